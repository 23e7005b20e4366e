"""The plan of a fit: one object in which every "auto" has ended, with the reason beside it."""

import html
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np

from llmreg.config.adapters import Adapters
from llmreg.config.defaults import (
    FEW_AT_ONCE,
    FEW_ROWS,
    FRESH_MIN_ROWS,
    MANY_ROWS,
    MIN_ROWS_FOR_TREES,
    MIN_ROWS_TO_CALIBRATE,
    MOST_ROWS_FOR_KERNEL,
    ROWS_FOR_TWO_LAYERS,
    ROWS_THAT_TEACH,
    auto_adapters,
    auto_dropout,
    auto_estimates,
    auto_layers,
    auto_text_tokens,
    auto_validation,
    estimate_dropout,
    long_texts,
    stage_settings,
)
from llmreg.config.device import as_device
from llmreg.config.optimizer import as_optimizer
from llmreg.config.pretrained_model import as_pretrained
from llmreg.prompts.asking import both_ways, instruction_for
from llmreg.prompts.token_texts import is_spelled

__all__ = ["Computing", "Plan", "Predicting", "Reading", "StageSettings", "resolve"]


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


def resolve(params, methods, rows, serializer, codec, scale_scores, computing, seed, n_val=None):
    """End every "auto".

    Parameters
    ----------
    params : dict
        The estimator's parameters.
    methods : (Method, Method or None)
        Of the first and the second stage.
    rows : llmreg.tables.rows.SerializedRows of n rows
        Those of ``X_val`` are not among them.
    serializer : fitted RowSerializer
    codec : fitted codec
    scale_scores : dict of str to float
        What the codec's scales had in the comparison; empty if there was none.
    computing : Computing
    seed : int
    n_val : int or None, default=None
        Rows of ``X_val``; None: some of the rows are held out.

    Returns
    -------
    Plan
    """
    params = flat(params, serializer, codec)
    pretrained = as_pretrained(params["model"]) is not None
    n_rows, has_text = rows.n_rows, any(field.kind == "text" for field in rows.fields)
    weights = "pretrained" if pretrained else "fresh"
    fraction = auto_validation(params["validation_fraction"], n_rows, pretrained)
    n_held_out = int(np.ceil(fraction * n_rows))
    n_train = n_rows - n_held_out if n_val is None else n_rows
    if n_train < 1:
        raise ValueError(
            f"validation_fraction={fraction} holds out {n_held_out} of {n_rows} rows, which leaves "
            "none to train on. Lower it, or give rows of your own to validate on, as X_val and "
            "y_val."
        )
    reading = _reading(params, rows, pretrained, has_text, methods[0].stage != "none")
    spelled = any(
        is_spelled(field, "value", reading.max_text_tokens, reading.vector_texts)
        for field in rows.fields
        if field.kind == "text"
    )
    uneven = spelled and computing.device == "cpu"
    tiny = isinstance(params["model"], str) and params["model"] == "tiny"
    settings = stage_settings(
        params, n_train, pretrained, alone=methods[1] is None, texts=has_text, uneven=uneven
    )
    stages = [
        (method, StageSettings(**setting))
        for method, setting in zip(methods, settings, strict=True)
        if method is not None and method.stage != "none" and setting["epochs"]
    ]
    found = Plan(
        weights=weights, codec_scale=getattr(codec, "scale_", None), n_train=n_train,
        n_held_out=n_held_out if n_val is None else n_val, held_out_given=n_val is not None,
        reading=reading, computing=computing,
        adapters=auto_adapters(params["adapters"], pretrained),
        n_estimators=params["n_estimators"], methods=methods, stages=tuple(stages),
        predicting=_predicting(params, methods), seed=seed, why={},
        n_layers=auto_layers(n_train, reading.estimates, has_text, both_ways(methods))
        if tiny else None,
    )  # fmt: skip
    found.why.update(_reasons(params, found, has_text, scale_scores))
    return found


def flat(params, serializer, codec):
    """The estimator's parameters beside those of its parts that may be "auto" or matter here."""
    device, model = as_device(params["device"]), as_pretrained(params["model"])
    steps = as_optimizer(params["optimizer"]).get_params()
    return params | {
        "optimizer": steps.pop("name"), **steps,
        "device": device.name, "dtype": device.dtype, "micro_batch_size": device.micro_batch_size,
        "max_text_tokens": serializer.max_text_tokens,
        "max_prompt_tokens": serializer.max_prompt_tokens,
        "chat_template": model is not None and model.chat_template,
        "instruction": _instruction(model, serializer, codec),
        "prefill": "" if model is None else model.prefill,
    }  # fmt: skip


def _instruction(model, serializer, codec):
    if model is None or model.instruction != "auto":
        return "" if model is None else model.instruction
    written = serializer.template is None
    return instruction_for(serializer.target_name_, codec) if written else ""


def _reading(params, rows, pretrained, has_text, trains):
    n_rows = rows.n_rows
    number_input, texts = params["number_input"], params["text_features"]
    if number_input == "auto":
        number_input = "text" if pretrained else "value"
    if isinstance(texts, str):  # "auto"
        texts = not pretrained
    max_text_tokens = auto_text_tokens(params["max_text_tokens"], pretrained)
    if has_text and texts is False and not max_text_tokens:
        raise ValueError(
            f"max_text_tokens=0 leaves texts to text_features={params['text_features']!r}, which "
            f"reads none with {'pretrained' if pretrained else 'fresh'} weights. Give "
            "text_features=True or a transformer, or tokens for texts."
        )
    vector_texts = ()
    if params["max_text_tokens"] == "auto" and not pretrained and texts is True:
        vector_texts = long_texts(rows)
    return Reading(
        number_input=number_input, text_features=texts, max_text_tokens=max_text_tokens,
        vector_texts=vector_texts,
        max_prompt_tokens=params["max_prompt_tokens"], chat_template=params["chat_template"],
        instruction=params["instruction"], prefill=params["prefill"],
        estimates=auto_estimates(params["estimates"], n_rows, pretrained, has_text, trains),
        dropout=auto_dropout(params["dropout"], n_rows, pretrained, has_text),
        estimate_dropout=estimate_dropout(n_rows),
    )  # fmt: skip


def _predicting(params, methods):
    scales = params["temperature_scaling"]
    # A model that is asked as it is answers as it is, unless its user wants otherwise.
    if isinstance(scales, str):
        scales = methods[0].stage != "none"
    return Predicting(
        decoding=params["decoding"], temperature="auto" if scales else 1.0,
        estimate_weight=params["estimate_weight"], tree_tolerance=params["tree_tolerance"],
    )  # fmt: skip


# -- reasons ---------------------------------------------------------------------------------


def _reasons(params, plan, has_text, scale_scores):
    """Why, by name: of what the user left to the plan."""
    n_rows, kind = plan.n_train, f"{plan.weights} weights"
    n_rows += 0 if plan.held_out_given else plan.n_held_out
    of_rows = f"{kind}, {plan.n_train} training rows"
    few = _fewer(plan.n_train, FEW_ROWS)
    texts = f"{'' if has_text else 'no '}text columns"
    judged = "least CRPS on held-out rows"
    if plan.n_held_out < MIN_ROWS_TO_CALIBRATE:
        judged = f"fewer than {MIN_ROWS_TO_CALIBRATE} held-out rows, which say little"
    reasons = {
        "number_input": kind,
        "text_features": kind,
        "max_text_tokens": f"{kind}; sentences that TF-IDF reads are vectors alone",
        "estimates": f"{kind}, {n_rows} rows (trees from {MIN_ROWS_FOR_TREES}, "
        f"kernel on at most {MOST_ROWS_FOR_KERNEL}; none of texts beyond {MANY_ROWS}; pretrained: "
        f"none from {ROWS_THAT_TEACH})",
        "dropout": f"{kind}, {n_rows} rows, {texts}",
        "validation_fraction": f"{kind}, {n_rows} rows (fresh: none below {FRESH_MIN_ROWS})",
        "batch_size": f"{kind}, {few} training rows, {texts}",
        "weight_decay": of_rows,
        "sft_epochs": f"{of_rows}, {texts}",
        "align_epochs": of_rows if plan.pretrained else "a third of the first stage's",
        "sft_learning_rate": of_rows,
        "align_learning_rate": of_rows,
        "micro_batch_size": "all rows of a step, halved where memory runs out; first stage, fresh "
        f"weights, texts on a CPU: {FEW_AT_ONCE}",
        "max_grad_norm": "ten times the median of the last hundred steps",
        "warmup": "no warm-up with 'constant'",
        "n_iter_no_change": f"{kind}, {texts}; what a second stage brings fresh ones, it brings at "
        "once",
        "decoding": "the mean, or the median where held-out rows distrust it",
        "temperature_scaling": judged,
        "estimate_weight": judged if plan.reading.estimates else "no estimates",
        "device": "cuda if there is one, else mps, else cpu",
        "dtype": f"{kind} on {plan.computing.device}",
    }  # fmt: skip
    left = [name for name in reasons if isinstance(params[name], str) and params[name] == "auto"]
    shown = {name: reasons[name] for name in left}
    if plan.held_out_given:
        shown["n_held_out"] = "rows of X_val"
        shown.pop("validation_fraction", None)
    for name, names in SHOWN_AS.items():
        if name in shown:
            shown |= dict.fromkeys(names, shown.pop(name))
    if (
        isinstance(plan.adapters, Adapters)
        and getattr(params["adapters"], "depth", "auto") == "auto"
    ):
        shown["adapters"] = f"depth: {kind}"
    if plan.n_layers is not None:
        enough = _fewer(plan.n_train, ROWS_FOR_TWO_LAYERS)
        estimates = f"{'' if plan.reading.estimates else 'no '}estimates"
        read = ", prompts read both ways" if both_ways(plan.methods) else ""
        shown["n_layers"] = f"{enough} training rows, {texts}, {estimates}{read}"
    if scale_scores:
        scores = ", ".join(f"{scale} {score:.4g}" for scale, score in scale_scores.items())
        shown["codec_scale"] = f"held-out rows (the smaller the better): {scores}"
    return shown


def _fewer(n_rows, bound):
    return f"{'fewer' if n_rows < bound else 'no fewer'} than {bound}"


# Parameters that appear in the plan under other names.
SHOWN_AS = {
    "validation_fraction": ("n_held_out",),
    "max_text_tokens": ("max_text_tokens", "vector_texts"),
    "temperature_scaling": ("temperature",),
    "dtype": ("training", "prediction"),
    "n_iter_no_change": (
        *("sft_n_iter_no_change", "align_n_iter_no_change"),
        *("sft_least_gain", "align_least_gain"),
    ),
    **{
        name: (f"sft_{name}", f"align_{name}")
        for name in (
            "batch_size",
            "weight_decay",
            "micro_batch_size",
            "max_grad_norm",
            "warmup",
        )
    },
}
