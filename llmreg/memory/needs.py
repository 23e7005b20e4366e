"""What a fit and a prediction need of a device's memory, told before anything is loaded."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import _num_samples

from llmreg.config.checks import check_methods, check_parts, check_training_data
from llmreg.config.parameters import ParametersMixin, fresh_parts, given_parameters
from llmreg.integrations.arithmetic import own_arithmetic

__all__ = ["MemoryEstimate", "StageMemory", "estimate_memory"]

SHOWN = (
    "adapters", "gradients", "optimizer", "copies", "activations_per_row", "working_per_row",
    "working", "update",
)  # fmt: skip


@dataclass(frozen=True)
class StageMemory:
    """Bytes that one stage of a fit needs on the device.

    Attributes
    ----------
    method : str
        The method's class.
    rows : int
        Rows computed at once: ``batch_size``, or ``micro_batch_size`` where that is smaller.
    weights : dict of str to int
        Of the model and the cell vectors, without adapters, by number format.
    adapters : int
    gradients : int
        Of all weights that train.
    optimizer : int
        AdamW's two moments, or Adafactor's sums.
    copies : int
        Of the weights that train: their running mean, those of the best epoch (with validation)
        and, for a KL penalty (``beta`` above 0), the reference twice.
    activations_per_row : int
        What a row's forward pass keeps for the backward pass, at the longest prompt.
    working_per_row : int
        What a row needs beside that at the fullest moment of both passes.
    working : int
        What a step needs at that moment however many rows there are.
    update : int
        What an optimizer step needs besides; by then all activations are gone.
    validation : int
        The whole stage while it validates; 0 without validation.
    """

    method: str
    rows: int
    weights: dict
    adapters: int
    gradients: int
    optimizer: int
    copies: int
    activations_per_row: int
    working_per_row: int
    working: int
    update: int
    validation: int

    @property
    def resident(self):
        """int: what stays all the time, whatever is computed."""
        whole = sum(self.weights.values())
        return whole + self.adapters + self.gradients + self.optimizer + self.copies

    def per_step(self, rows=None):
        """Bytes at the peak of a training step.

        Parameters
        ----------
        rows : int or None, default=None
            Rows computed at once; None: ``rows``.

        Returns
        -------
        int
        """
        rows = self.rows if rows is None else rows
        passes = self.working + rows * (self.activations_per_row + self.working_per_row)
        return self.resident + max(passes, self.update)

    @property
    def total(self):
        """int: the stage's peak."""
        return max(self.per_step(), self.validation)

    def _told(self):
        """Readable sizes by their labels."""
        sizes = {f"weights, {kind}": size for kind, size in sorted(self.weights.items())}
        sizes |= {name.replace("_", " "): getattr(self, name) for name in SHOWN}
        told = {label: _readable(size) for label, size in sizes.items()}
        return told | {
            "a step of one row": _readable(self.per_step(1)),
            "a step (rows at once)": f"{_readable(self.per_step())} ({self.rows})",
            "validation": _readable(self.validation),
        }


@dataclass(frozen=True, repr=False)
class MemoryEstimate:
    """Bytes that a fit and a prediction need on the device; printed, a table.

    Attributes
    ----------
    device : str
        What the estimate is for: its kernels and number formats.
    prompt_tokens : tuple of (int, float)
        Longest and mean prompt of the table. All rows are counted as long as the longest.
    sft, align : StageMemory or None
        The stages of the fit; None for one that is left out.
    predict_weights, predict_working : int
        Of a prediction with the fitted model: its weights, and a full batch of rows.
    """

    device: str
    prompt_tokens: tuple
    sft: StageMemory | None
    align: StageMemory | None
    predict_weights: int
    predict_working: int

    @property
    def stages(self):
        """list of StageMemory: those that the fit has."""
        return [stage for stage in (self.sft, self.align) if stage is not None]

    @property
    def fit(self):
        """int: the fit's peak; without stages, that of loading the weights."""
        return max([stage.total for stage in self.stages], default=self.predict_weights)

    @property
    def predict(self):
        """int: the peak of a prediction."""
        return self.predict_weights + self.predict_working

    def largest_micro_batch(self, bytes_available: int) -> int:
        """Most rows that can be computed at once in every stage.

        Parameters
        ----------
        bytes_available : int
            The device's memory, less what others and the driver take of it (on a GPU, about 1 GiB).

        Returns
        -------
        int
            A value for ``micro_batch_size``; 0 if not even one row fits.

        Raises
        ------
        ValueError
            If the fit has no stage.
        """
        if not self.stages:
            raise ValueError(
                "Nothing is trained: sft_epochs and align_epochs are 0. There is no micro-batch."
            )
        fits = []
        for stage in self.stages:
            free = bytes_available - stage.resident
            each = stage.activations_per_row + stage.working_per_row
            fits.append((free - stage.working) // each if free >= stage.update else 0)
        return max(0, int(min(fits)))

    def __repr__(self):
        longest, mean = self.prompt_tokens
        named = {"sft": self.sft, "align": self.align}
        columns = {f"{s.method} ({name})": s._told() for name, s in named.items() if s is not None}
        labels = dict.fromkeys(label for column in columns.values() for label in column)
        table = pd.DataFrame(columns, index=list(labels), dtype=object).fillna("")
        return (
            f"MemoryEstimate(device={self.device!r}, prompts of up to {longest} tokens, "
            f"{mean:.0f} on average)\n"
            + (table.to_string() + "\n" if columns else "")
            + f"fit      {_readable(self.fit)}\npredict  {_readable(self.predict)}"
        )


def _readable(size):
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"


@own_arithmetic
def estimate_memory(model: Any, X: ArrayLike, y: ArrayLike | None = None) -> MemoryEstimate:
    """What fitting and predicting need of the device's memory, before anything is loaded.

    The estimator's model is built without data from its configuration, and a training step and a
    prediction run on tensors that have shapes and no numbers: only configuration and tokenizer are
    read, or downloaded, never weights. No regressor is fitted: for ``estimates`` stand numbers
    about as long.

    Parameters
    ----------
    model : LLMRegressor, or a Pipeline that ends with one
        Not changed, fitted or not; clones of a Pipeline's other steps are fitted. Its ``device``
        decides on kernels and number formats; it must be there, though nothing is put on it.
    X : DataFrame, array-like, Series or list of str
        The table, or a sample of it with its longest rows. A sample's size stands for the table's
        where parameters are "auto" (``batch_size``, for one), and a model from fresh weights gets
        its vocabulary from it: from too few texts, prompts become longer.
    y : array-like of shape (n_rows,) or None, default=None
        Targets; None: numbers from 0 to 1. They matter to codecs that write more digits of larger
        numbers, such as DecimalCodec, and a little to pretrained models, which read estimates.

    Returns
    -------
    MemoryEstimate
        Of one process and one device, at the longest prompt. Sampled numbers are taken to be all
        different, which makes the estimate of the policy gradients an upper bound, and with
        ``tree_tolerance`` predictions take less. Of quantised weights, what their configuration
        says. Not included: what the driver, kernels and the allocator's gaps take (on a GPU, about
        1 GiB and up to a fifth), what ``torch_compile`` changes, and the table itself.

    Raises
    ------
    TypeError
        If ``model`` is neither.
    ValueError
        For what ``fit`` refuses; for a device that is not there; for models whose number tree is
        computed one path at a time (state-space models, flash attention), of which nothing can
        be told without running them.
    OSError
        If the configuration or the tokenizer can't be loaded.

    Warns
    -----
    UserWarning
        If texts or prompts are cut; if a method of your own cannot run without data: then the
        whole number tree is counted in its place.

    Examples
    --------
    >>> import pandas as pd
    >>> from llmreg import LLMRegressor, estimate_memory
    >>> X = pd.DataFrame({"size": [30.0, 45, 60, 80], "city": list("ABAB")})
    >>> estimate = estimate_memory(LLMRegressor(device="cpu"), X)
    >>> estimate.largest_micro_batch(2**30) > estimate.sft.rows
    True
    """
    from llmreg.memory.virtual_fit import VirtualFit

    if isinstance(model, Pipeline):
        X = clone(model[:-1]).fit_transform(X, y) if len(model) > 1 else X
        return estimate_memory(model[-1], X, y)
    if not isinstance(model, ParametersMixin):
        raise TypeError(
            f"estimate_memory tells of an LLMRegressor, alone or last in a Pipeline, and got "
            f"{model!r}. Give the regressor that is inside, and X and y as it gets them."
        )
    reader = type(model)(**model.get_params(deep=False))  # reading a table sets attributes
    reader._validate_params()
    given = given_parameters(model)
    methods = check_methods(SimpleNamespace(**given))
    check_parts(SimpleNamespace(**given))
    y = np.linspace(0.0, 1.0, _num_samples(X)) if y is None else y
    table = check_training_data(reader, X, y, None)
    fit = VirtualFit(given, table, *fresh_parts(given), methods)
    kept = {name: StageMemory(**fields) for name, fields in fit.stages().items()}
    stages = kept.get("sft"), kept.get("align")
    return MemoryEstimate(str(fit.device), fit.prompt_tokens, *stages, *fit.prediction())
