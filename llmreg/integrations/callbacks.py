"""scikit-learn's callbacks, from 1.9 on: their hooks on the tasks of a fit."""

import contextlib

from llmreg.integrations.functions import check_function

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Estimators without callbacks."""


__all__ = ["CallbackSupportMixin", "EpochCallback", "FitCallbacks"]


class EpochCallback:
    """Call a function after each epoch of a fit, which may end the stage or the fit.

    A callback for ``LLMRegressor().set_callbacks(...)``, which needs scikit-learn 1.9 or newer.
    Clones of the estimator share it: of fits in other processes the function is called there.

    Parameters
    ----------
    function : callable
        Gets the epoch's record, a dict: a row of ``history_``. Where it returns something true,
        the stage ends early and keeps the weights of its best epoch, as if ``n_iter_no_change`` had
        ended it; the next stage, or member of the ensemble, begins. What it raises ends the fit,
        and the estimator is what it was before.

    Examples
    --------
    >>> from llmreg import EpochCallback, LLMRegressor
    >>> X, y = [[float(i)] for i in range(30)], list(range(30))
    >>> model = LLMRegressor(fit_method="ce", sft_epochs=9, random_state=0)
    >>> enough = EpochCallback(lambda record: record["epoch"] == 2)
    >>> len(model.set_callbacks(enough).fit(X, y).history_)
    2
    """

    def __init__(self, function):
        self.function = function

    def setup(self, estimator, context):
        """At the beginning of a fit; part of scikit-learn's protocol.

        Raises
        ------
        TypeError
            If ``function`` is no function of one argument.
        """
        example = "lambda record: record['epoch'] == 5"
        check_function(self.function, "function", "record", example=example)

    def teardown(self, estimator, context):
        """At the end of a fit; part of scikit-learn's protocol."""

    def on_fit_task_begin(self, estimator, context):
        """At the beginning of a task; part of scikit-learn's protocol."""

    def on_fit_task_end(self, estimator, context):
        """Call the function with the record of the epoch, if it is one that ends."""
        return context.task_name == "epoch" and bool(self.function(context.record))


class FitCallbacks:
    """Calls the hooks of an estimator's callbacks on the tasks of one fit.

    The tasks of a fit are its stages, or the members of an ensemble, whose tasks are stages; those
    of a stage are epochs. An epoch's context has the row of ``history_`` as ``record``.

    Parameters
    ----------
    estimator : LLMRegressor
        Its callbacks are set up here.
    X, y
        As ``fit`` got them.
    metadata : dict
        What else ``fit`` may get, by name.
    attributes : callable
        Gives those of a fitted estimator, by its ``Fitted`` and the records of its epochs.

    Attributes
    ----------
    present : bool
        Whether there are callbacks; False: there are no tasks, and nobody is called.
    """

    def __init__(self, estimator, X, y, metadata, attributes):
        metadata = {name: value for name, value in metadata.items() if value is not None}
        self.given = dict(estimator=estimator, X=X, y=y, metadata=metadata or None)
        self.attributes, self.records, self.device = attributes, [], None
        self.present = "_skl_callbacks" in vars(estimator)
        if self.present:  # of how many tasks, the plan will say
            self.context = estimator._init_callback_context(max_subtasks=None)

    def begin(self, n_tasks, device):
        """The fit begins on this torch.device, and is going to have so many tasks."""
        if self.present:
            self.context.max_subtasks, self.device = n_tasks, device
            self._call(self.context.call_on_fit_task_begin)

    def end(self, fitted, records):
        """The fit has ended with these parts and records of epochs."""
        if self.device is not None:
            self._call(self.context.call_on_fit_task_end, lambda: (fitted, records))

    @contextlib.contextmanager
    def task(self, name, n_tasks):
        """Within this context runs a task of this name, with so many tasks of its own."""
        outer = self.context
        self.context = outer.subcontext(task_name=name, max_subtasks=n_tasks)
        self._call(self.context.call_on_fit_task_begin)
        yield
        self._call(self.context.call_on_fit_task_end)
        self.context = outer

    def begin_epoch(self):
        """An epoch of the present stage begins."""
        self.epoch = self.context.subcontext(task_name="epoch")
        self._call(self.epoch.call_on_fit_task_begin)

    def end_epoch(self, record, fitted):
        """An epoch has ended; returns whether its stage is to end, too.

        Parameters
        ----------
        record : dict
        fitted : callable
            Gives the parts of the fit as if it had ended here; called if a callback asks for them.
        """
        self.records.append(record)
        self.epoch.record = record
        return self._call(self.epoch.call_on_fit_task_end, lambda: (fitted(), self.records))

    def _call(self, hook, parts=None):
        """Call a hook; what callbacks draw from torch's random state is none of the fit's."""
        from llmreg.integrations.process_state import own_draws

        def attributes():
            fitted, records = parts()
            return fitted and self.attributes(fitted, records)

        with own_draws(device=self.device):
            return hook(**self.given, reconstruction_attributes=parts and attributes)
