"""Checks of what a fit gets, beyond the legal values of single parameters."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_consistent_length

from llmreg.codecs.digits import DigitCodec
from llmreg.config.adapters import Adapters
from llmreg.config.device import Device, as_device
from llmreg.config.optimizer import Optimizer
from llmreg.config.pretrained_model import PretrainedModel, as_pretrained
from llmreg.methods import METHODS, resolve_method
from llmreg.tables.reading import read_table
from llmreg.tables.row_labels import warn_other_order
from llmreg.tables.targets import numeric_targets
from llmreg.tables.weights import checked_weights, relative_weights

__all__ = [
    "TrainingTable", "check_methods", "check_parts", "check_training_data", "check_validation_data",
]  # fmt: skip


def check_methods(estimator):
    """Methods of the first stage and of the second (None where there is no second stage).

    What needs no training is the method of the first stage, which then has no steps. Both
    parameters must be legal, also where ``fit_method`` needs no first stage.
    """
    codec = DigitCodec() if estimator.codec is None else estimator.codec
    method = resolve_method(estimator.fit_method, "fit_method")
    sft_method = _first_stage(estimator.sft_method)
    method.check_codec(codec)
    _warn_of_far_means(estimator, method, codec)
    if method.stage == "none" and as_pretrained(estimator.model) is None:
        raise ValueError(
            f"model={estimator.model!r} starts from fresh weights and knows nothing before it is "
            f"trained, so fit_method={estimator.fit_method!r} would guess. Choose a pretrained "
            "model, or a method that trains."
        )
    if method.stage in ("sft", "none"):
        return method, None
    if method.weighs_vocabulary and as_pretrained(estimator.model) is None:
        raise ValueError(
            f"fit_method={estimator.fit_method!r} weighs the probabilities of all tokens, "
            f"but model={estimator.model!r} starts from fresh weights, and a first stage trains no "
            "token but those that write numbers: the others would keep nearly all the mass. Train "
            "it at once, with stage='sft', or choose a pretrained model."
        )
    if "head" in sft_method.parts:
        raise ValueError(
            f"sft_method={estimator.sft_method!r} trains a head, which leaves fit_method="
            f"{estimator.fit_method!r} no distribution over the codec's numbers to start from. "
            "Choose a first stage that writes numbers, such as 'ce' or 'soft_ce'."
        )
    if "new_tokens" in sft_method.parts and method.compares_digits:
        raise ValueError(
            f"fit_method={estimator.fit_method!r} compares digits, and sft_method="
            f"{estimator.sft_method!r} writes each number as one new token, without digits. Choose "
            "another first stage, such as 'ce'."
        )
    if "new_tokens" in sft_method.parts and "head" in method.parts:
        raise ValueError(
            f"fit_method={estimator.fit_method!r} reads what the vocabulary's own tokens say, "
            f"and sft_method={estimator.sft_method!r} writes numbers as new tokens that are not "
            "among them. Choose another first stage, such as 'ce', LearnableRAFT(weights='grid') "
            "or RAFT(normalisation='step')."
        )
    sft_method.check_codec(codec)
    return sft_method, method


def _first_stage(value):
    method = resolve_method(value, "sft_method")
    if method.stage != "sft":
        legal = [name for name, known in METHODS.items() if known.stage == "sft"]
        what = "trains nothing" if method.stage == "none" else "needs a first stage itself"
        raise ValueError(
            f"sft_method={value!r} {what}. Choose one of {legal} or a method of stage 'sft'."
        )
    return method


def _warn_of_far_means(estimator, method, codec):
    """A mean over numbers of any size is a matter of the largest; heads write no numbers."""
    means = estimator.decoding in ("rail", "sampled_mean")
    if means and "head" not in method.parts and getattr(codec, "far_reaching", False):
        warnings.warn(
            f"decoding={estimator.decoding!r} takes the mean over all numbers, and {codec!r} "
            "writes some far beyond the training targets, whose least probability decides it. "
            "Set decoding='median', which also judges the epochs on the validation rows.",
            UserWarning,
            stacklevel=2,
        )


def check_parts(estimator):
    """ValueError for illegal values of the parameters of a :class:`PretrainedModel`,
    :class:`Device`, :class:`Optimizer` or :class:`Adapters`, or if layers that get adapters are
    not given by names."""
    for part in (
        as_pretrained(estimator.model), as_device(estimator.device), estimator.optimizer,
        estimator.adapters,
    ):  # fmt: skip
        if isinstance(part, PretrainedModel | Device | Optimizer | Adapters):
            part._validate_params()
    if isinstance(estimator.model, PretrainedModel) and estimator.model.source == "tiny":
        raise ValueError(
            f"model={estimator.model!r}: 'tiny' starts from fresh weights and has none of a "
            "PretrainedModel's parameters. Set model='tiny', or name a pretrained model."
        )
    layers = getattr(estimator.adapters, "target_modules", None) or ()
    if not all(isinstance(name, str) for name in layers):
        raise ValueError(
            f"adapters: target_modules={layers!r} must be names of layers, such as "
            "['q_proj', 'v_proj'], or 'all-linear'."
        )


@dataclass(frozen=True)
class TrainingTable:
    """Checked training rows."""

    frame: Any  # DataFrame of n rows
    y: np.ndarray  # (n,) float64
    weight: np.ndarray  # (n,) float64, of mean 1, whatever weights are measured in
    target: str | None  # name of y


def check_training_data(estimator, X, y, sample_weight, reset=True, suffix=""):
    """Training rows as a fit needs them.

    Parameters
    ----------
    estimator : LLMRegressor
        Gets ``n_features_in_`` and ``feature_names_in_``, or is asked for them.
    X, y, sample_weight
        As in ``fit``.
    reset : bool, default=True
        Whether the columns are new; False: they must be those of the last fit.
    suffix : str, default=""
        Behind the arguments' names.

    Returns
    -------
    TrainingTable

    Raises
    ------
    ValueError
        See ``LLMRegressor.fit``.

    Warns
    -----
    UserWarning
        If y or sample_weight have the row labels of X in another order.
    """
    name = type(estimator).__name__
    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None.")
    target = None if getattr(y, "ndim", 1) > 1 else getattr(y, "name", None)
    frame = read_table(estimator, X, reset=reset)
    # The caller of fit, which scikit-learn wraps, is told.
    warn_other_order(X, suffix, stacklevel=6, y=y, sample_weight=sample_weight)
    y = numeric_targets(y, name, "y" + suffix)
    check_consistent_length(frame, y)
    weight = checked_weights(sample_weight, frame, "sample_weight" + suffix)
    used = weight > 0
    return TrainingTable(frame[used], y[used], relative_weights(weight[used]), target)


def check_validation_data(estimator, X_val, y_val, sample_weight_val):
    """Rows of their own to judge by, or None.

    Parameters
    ----------
    estimator : LLMRegressor
        Whose columns are known.
    X_val, y_val, sample_weight_val
        As in ``fit``.

    Returns
    -------
    TrainingTable or None

    Raises
    ------
    ValueError
        If one of X_val and y_val is missing, or as for training rows.
    """
    given = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
    absent = [name for name in ("X_val", "y_val") if given[name] is None]
    if not absent:
        return check_training_data(estimator, *given.values(), reset=False, suffix="_val")
    there = [name for name, value in given.items() if value is not None]
    if there:
        raise ValueError(
            f"{' and '.join(there)} without {' and '.join(absent)}: rows to validate on need both. "
            "Give X_val and y_val, or none of them."
        )
    return None
