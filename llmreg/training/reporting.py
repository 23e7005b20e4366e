"""What a fit tells while it trains: lines for the logger, a bar, hooks of callbacks."""

import contextlib
import logging
from datetime import timedelta

import numpy as np

from llmreg.integrations.logs import LOGGER, heard, watched

__all__ = ["Bar", "Hooks", "Lines", "Report", "reporting"]


class Report:
    """What a stage tells of itself; the listeners of this class hear all of it.

    Parameters
    ----------
    *listeners : Report
    """

    def __init__(self, *listeners):
        self.listeners = listeners

    @contextlib.contextmanager
    def stage(self, stage):
        """Within this context a :class:`llmreg.training.stage.Stage` trains."""
        with contextlib.ExitStack() as stack:
            for listener in self.listeners:
                stack.enter_context(listener.stage(stage))
            yield

    def start(self, record):
        """What held-out rows said before the first step."""
        for listener in self.listeners:
            listener.start(record)

    def begin_epoch(self, epoch):
        """An epoch begins, or the part of it until held-out rows are asked again."""
        for listener in self.listeners:
            listener.begin_epoch(epoch)

    def step(self, n_rows):
        """A step on so many rows is done."""
        for listener in self.listeners:
            listener.step(n_rows)

    def end_epoch(self, record, weights):
        """An epoch, or that part, has ended; returns whether somebody wants the stage to end, too.

        Parameters
        ----------
        record : dict
            A row of ``history_``.
        weights : callable
            Gives those that the stage would keep if it ended now.
        """
        return any([listener.end_epoch(record, weights) for listener in self.listeners])


class Lines(Report):
    """A line for each stage and each epoch, to the logger "llmreg".

    Parameters
    ----------
    plan : llmreg.config.plan.Plan
    member : str
        Which of an ensemble's models this is, with a blank, or nothing.
    """

    def __init__(self, plan, member):
        super().__init__()
        self.plan, self.member = plan, member

    @contextlib.contextmanager
    def stage(self, stage):
        plan, chosen, model = self.plan, stage.settings, stage.model
        self.settings, self.n_steps = chosen, stage.n_steps
        self.rows_per_step = len(stage.data) / stage.n_batches
        validated = f"validated on {plan.n_held_out}" if plan.n_held_out else "no validation"
        LOGGER.info(
            f"{self.member}[{chosen.name}] {type(stage.method).__name__}, {chosen.epochs} epochs: "
            f"{plan.n_train} rows, {validated}, batch_size {chosen.batch_size}, learning_rate "
            f"{chosen.learning_rate:g}, weight_decay {chosen.weight_decay:.3g}, {model.device}, "
            f"{str(model.dtype).removeprefix('torch.')}"
        )
        yield

    def start(self, record):
        LOGGER.info(f"{self.member}[{self.settings.name}] before: {_error(record)}")

    def end_epoch(self, record, weights):
        step, seconds = record["step"], record["seconds"]
        left = timedelta(seconds=round(seconds / step * (self.n_steps - step)))
        LOGGER.info(
            f"{self.member}[{self.settings.name}] epoch {record['epoch']}/{self.settings.epochs}: "
            f"loss {record['loss']:.4g}, {_error(record, ', ')}{seconds:.1f} s since the stage "
            f"began, {self.rows_per_step * step / seconds:.0f} rows/s, {left} left"
        )
        return False


class Bar(Report):
    """A bar for each stage, which moves with every step.

    Parameters
    ----------
    member : str
        As for :class:`Lines`.
    """

    def __init__(self, member):
        super().__init__()
        self.member = member

    @contextlib.contextmanager
    def stage(self, stage):
        from tqdm.auto import tqdm
        from tqdm.contrib.logging import logging_redirect_tqdm

        self.title = f"{self.member}{stage.settings.name} on {stage.model.device}, epoch "
        self.epochs, n_rows = stage.settings.epochs, len(stage.data)
        with (
            logging_redirect_tqdm([LOGGER, logging.root]),
            tqdm(
                desc=f"{self.title}{stage.epoch + 1}/{self.epochs}", total=self.epochs * n_rows,
                initial=stage.epoch * n_rows + sum(map(len, (stage.batches or [])[: stage.done])),
                unit=" rows", dynamic_ncols=True,
            ) as self.bar,
        ):  # fmt: skip
            yield

    def begin_epoch(self, epoch):
        self.bar.set_description(f"{self.title}{epoch}/{self.epochs}")

    def step(self, n_rows):
        self.bar.update(n_rows)

    def end_epoch(self, record, weights):
        self.bar.set_postfix_str(_error(record))
        return False


class Hooks(Report):
    """The hooks of an estimator's callbacks.

    Parameters
    ----------
    callbacks : llmreg.integrations.callbacks.FitCallbacks
    interim : callable
        Gives the :class:`llmreg.prediction.fitted.Fitted` of these weights.
    """

    def __init__(self, callbacks, interim):
        super().__init__()
        self.callbacks, self.interim = callbacks, interim

    def stage(self, stage):
        return self.callbacks.task(stage.settings.name, -(-stage.n_steps // stage.every))

    def start(self, record):
        self.callbacks.records.append(record)

    def begin_epoch(self, epoch):
        self.callbacks.begin_epoch()

    def end_epoch(self, record, weights):
        return self.callbacks.end_epoch(record, lambda: self.interim(weights()))


def _error(record, end=""):
    """The validation error of an epoch, where there is one."""
    rmse = record["validation_rmse"]
    return "" if np.isnan(rmse) else f"validation RMSE {rmse:.5g}{end}"


@contextlib.contextmanager
def reporting(fitted, member, verbose, callbacks, interim):
    """A :class:`Report` of a member's stages to all who want to hear of them.

    Parameters
    ----------
    fitted : llmreg.prediction.fitted.Fitted
    member : int
    verbose : int
        1: a bar where somebody watches and no callback draws, else lines. 0: lines, which are seen
        where the logger is configured for them.
    callbacks, interim
        As in :class:`Hooks`.

    Yields
    ------
    Report
    """
    plan, count = fitted.plan, fitted.plan.n_estimators
    name = f"member {member + 1}/{count} " if count > 1 else ""
    listeners = [Lines(plan, name)]
    with contextlib.ExitStack() as stack:
        if callbacks.present:
            listeners.append(Hooks(callbacks, interim))
            if count > 1:
                stack.enter_context(callbacks.task(f"member {member + 1}", len(plan.stages)))
        if verbose and watched() and not callbacks.present:
            listeners.append(Bar(name))
        elif verbose:
            stack.enter_context(heard())
        yield Report(*listeners)
