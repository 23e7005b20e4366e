"""The plan of a fit: one object in which every "auto" has ended, with the reason beside it."""

import html
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np

from llmreg.config.adapters import Adapters

__all__ = ["Computing", "Plan", "Predicting", "Reading", "StageSettings"]


@dataclass(frozen=True)
class Reading:
    """How rows become what the model reads."""

    number_input: str  # "text", "text+value" or "value"
    text_features: Any  # False, True (TF-IDF) or a transformer
    max_text_tokens: int
    vector_texts: tuple  # columns of texts that are read as vectors alone
    max_prompt_tokens: int
    chat_template: bool
    instruction: str  # in front of every row
    prefill: str | None  # between the row and its number; None until the model was asked
    estimates: tuple  # of "linear", "kernel" and "boosted"
    dropout: float  # share of the cells hidden in training
    estimate_dropout: float  # of the estimates


@dataclass(frozen=True)
class Computing:
    """Where passes are computed, and in which number formats: torch's names, or None."""

    device: str
    training: str  # the weights' format
    prediction: str
    autocast: str | None  # of matrix products, where it is another
    gradient_checkpointing: bool
    torch_compile: bool

    def formats(self, purpose):
        """torch's dtypes of weights and of autocast (or None), to train or to predict with."""
        import torch

        weights = self.training if purpose == "training" else self.prediction
        return getattr(torch, weights), self.autocast and getattr(torch, self.autocast)


@dataclass(frozen=True)
class StageSettings:
    """How long and how fast a stage trains."""

    name: str  # "sft" or "align"
    epochs: int
    learning_rate: float
    batch_size: int
    weight_decay: float
    n_iter_no_change: int | None
    optimizer: str = "adamw"
    schedule: str = "one_cycle"
    warmup: float | int = 0.15  # share of the steps with a rising learning rate, or how many
    final_share: float = 0.1  # of the learning rate, where a cosine ends
    max_grad_norm: float | str | None = "auto"  # see llmreg.training.clipping.GradientClip
    average: bool = True  # whether the running mean of the weights is judged and kept
    selection: str = "error"  # what held-out rows choose weights by; see LLMRegressor
    validation_interval: int | None = None  # steps; None: once an epoch
    micro_batch_size: int | None = None  # rows computed at once; None: as many as fit
    least_gain: float = 0.0  # share of the error that must be gained lest patience end
    by_length: bool = False  # batches of rows of like length: less padding


@dataclass(frozen=True)
class Predicting:
    """What is made of the trained model's distributions; "auto" until held-out rows have said."""

    decoding: str
    temperature: float | str  # "auto", or 1 where none is looked for
    estimate_weight: float | str
    tree_tolerance: float


@dataclass(frozen=True, repr=False)
class Plan:
    """What a fit does, decided before it begins; printed, a table with reasons.

    Attributes
    ----------
    weights : {"fresh", "pretrained"}
    codec_scale : str or None
        Of a DigitCodec; None for other codecs.
    n_train, n_held_out : int
        Rows that are trained on, and rows that choose the epoch and calibrate.
    held_out_given : bool
        Whether the latter are rows of their own (``X_val``), and come last.
    reading : Reading
    computing : Computing
    n_layers : int or None
        Of the model "tiny"; None: another model has as many as it has.
    adapters : Adapters, peft.PeftConfig or None
        Rank or kind of the adapters; None: all weights train.
    n_estimators : int
    methods : tuple of (Method, Method or None)
        Of the first and the second stage, also of one that is left out.
    stages : tuple of (Method, StageSettings)
        Those that train, in order.
    predicting : Predicting
    seed : int
    answer_mass : float or None
        The probability that an untrained pretrained model gave to all legal numbers together,
        where it was to write one.
    why : dict of str to str
        Why what was "auto" ended as it did, by name.
    """

    weights: str
    codec_scale: str | None
    n_train: int
    n_held_out: int
    reading: Reading
    computing: Computing
    adapters: Any
    n_estimators: int
    methods: tuple
    stages: tuple
    predicting: Predicting
    seed: int
    why: dict = field(compare=False)
    answer_mass: float | None = None
    held_out_given: bool = False
    n_layers: int | None = None

    @property
    def pretrained(self):
        """bool: whether the weights exist already."""
        return self.weights == "pretrained"

    @property
    def n_tasks(self):
        """int: members of an ensemble, or else stages."""
        return self.n_estimators if self.n_estimators > 1 else len(self.stages)

    @property
    def trains(self):
        """bool: whether there is a stage of training, be it of no epochs."""
        return all(method is None or method.stage != "none" for method in self.methods)

    def split(self, groups=None):
        """Rows to train on and rows held out, both ascending; always the same for one plan.

        Parameters
        ----------
        groups : ndarray of int of shape (n,) or None, default=None
            Of :func:`llmreg.tables.copies.copy_groups`: rows of a group stay together. None: each
            row is its own.
        """
        rows = np.arange(self.n_train + self.n_held_out)
        if self.held_out_given or not self.n_held_out:
            return rows[: self.n_train], rows[self.n_train :]
        from sklearn.model_selection import GroupShuffleSplit

        groups = rows if groups is None or not groups.any() else groups
        n_groups = groups.max() + 1
        n_out = min(max(1, round(self.n_held_out * n_groups / len(rows))), n_groups - 1)
        splitter = GroupShuffleSplit(1, test_size=n_out, random_state=self.seed)
        return next(splitter.split(rows, groups=groups))

    def divided(self, groups):
        """The plan with the numbers of rows of its :meth:`split`, and both parts of it."""
        train, held_out = self.split(groups)
        return replace(self, n_train=len(train), n_held_out=len(held_out)), train, held_out

    def settled(self, decoding, temperature, estimate_weight):
        """The plan with what held-out rows have said of predictions."""
        found = replace(
            self.predicting, decoding=decoding, temperature=temperature,
            estimate_weight=estimate_weight,
        )  # fmt: skip
        return replace(self, predicting=found)

    def answered(self, prefill, masses, answer_mass):
        """The plan with what the untrained model has said of the text before its number."""
        tried = ", ".join(f"{text!r} {mass:.2g}" for text, mass in masses.items())
        why = self.why | {"prefill": f"a number begins with probability {tried}"}
        reading = replace(self.reading, prefill=prefill)
        return replace(self, reading=reading, answer_mass=answer_mass, why=why)

    def after(self, earlier, n_estimators):
        """The plan of a fit that goes on from another one, which settled what is read and how."""
        settled = dict(
            weights=earlier.weights, codec_scale=earlier.codec_scale, reading=earlier.reading,
            n_estimators=n_estimators, answer_mass=earlier.answer_mass, n_layers=earlier.n_layers,
        )  # fmt: skip
        names = {"codec_scale", "n_layers", *(one.name for one in fields(Reading))}
        why = {name: reason for name, reason in self.why.items() if name not in names}
        return replace(self, **settled, why=why | dict.fromkeys(names, "settled by the first fit"))

    def rows(self):
        """list of (str, str, str): name, value and reason of all that was decided."""
        return [(name, _written(value), self.why.get(name, "")) for name, value in _leaves(self)]

    def __repr__(self):
        rows = self.rows()
        wide, wider = (max(len(row[i]) for row in rows) for i in range(2))
        return "\n".join(
            f"{name:<{wide}}  {value:<{wider}}  {why}".rstrip() for name, value, why in rows
        )

    def _repr_html_(self):
        cells = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows()
        )
        return f"<table><tr><th>Plan</th><th>value</th><th>why</th></tr>{cells}</table>"


def _leaves(part, prefix=""):
    for one in fields(part):
        value, name = getattr(part, one.name), prefix + one.name
        if one.name == "stages":
            for method, stage in value:
                yield f"{stage.name}_method", method
                yield from _leaves(stage, f"{stage.name}_")
        elif is_dataclass(value):
            yield from _leaves(value, prefix)
        elif one.name not in ("why", "methods", "name"):
            yield name, value


def _written(value):
    if isinstance(value, Adapters):
        return f"rank {value.rank}, depth {value.depth}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:.4}" if isinstance(value, float) else str(value)
