"""Checks of what a fit gets, beyond the legal values of single parameters."""

import warnings

import numpy as np
from sklearn.utils.validation import _check_sample_weight, check_consistent_length

from llmreg.codecs.digits import DigitCodec
from llmreg.config.parameters import LORA_DEFAULTS, is_pretrained
from llmreg.methods import METHODS, resolve_method
from llmreg.tables.reading import read_table
from llmreg.tables.targets import numeric_targets

__all__ = ["check_adapters", "check_methods", "check_training_data"]

LEAST_WEIGHT = 1e-30  # of the largest one: float32 holds it


def check_methods(estimator):
    """Methods of the first stage and of the second (None where there is no second stage).

    What needs no training is the method of the first stage, which then has no steps. Both
    parameters must be legal, also where ``fit_method`` needs no first stage.
    """
    codec = DigitCodec() if estimator.codec is None else estimator.codec
    method = resolve_method(estimator.fit_method, "fit_method", estimator.reward)
    sft_method = _first_stage(estimator.sft_method)
    method.check_codec(codec)
    _warn_of_far_means(estimator, method, codec)
    if method.stage == "none" and not is_pretrained(estimator.model):
        raise ValueError(
            f"model={estimator.model!r} starts from fresh weights and knows nothing before it is "
            f"trained, so fit_method={estimator.fit_method!r} would guess. Choose a pretrained "
            "model, or a method that trains."
        )
    if method.stage in ("sft", "none"):
        return method, None
    if method.weighs_vocabulary and not is_pretrained(estimator.model):
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
    means = estimator.decoding in ("rail", "sampled_rail")
    if means and "head" not in method.parts and getattr(codec, "far_reaching", False):
        warnings.warn(
            f"decoding={estimator.decoding!r} takes the mean over all numbers, and {codec!r} "
            "writes some far beyond the training targets, whose least probability decides it. "
            "Set decoding='median', which also judges the epochs on the validation rows.",
            UserWarning,
            stacklevel=2,
        )


def check_adapters(estimator):
    """ValueError if adapters are described twice, or their layers not by names."""
    layers = estimator.target_modules
    if not all(isinstance(name, str) for name in layers):
        raise ValueError(
            f"target_modules={layers!r} must be names of layers, such as ['q_proj', 'v_proj'], or "
            "'all-linear'."
        )
    changed = [n for n, default in LORA_DEFAULTS.items() if getattr(estimator, n) != default]
    if estimator.peft_config is not None and changed:
        raise ValueError(
            f"peft_config was given beside {', '.join(changed)}, which it replaces. Set them "
            "in the peft_config and leave them at their defaults here."
        )


def check_training_data(estimator, X, y, sample_weight, reset=True):
    """Training rows as a fit needs them.

    Parameters
    ----------
    estimator : LLMRegressor
        Gets ``n_features_in_`` and ``feature_names_in_``, or is asked for them.
    X, y, sample_weight
        As in ``fit``.
    reset : bool, default=True
        Whether the columns are new; False: they must be those of the last fit.

    Returns
    -------
    frame : DataFrame of n rows
    y, weight : ndarray of shape (n,), float64
        Weights have a mean of 1, whatever they are measured in.
    target : str or None
        Name of y.

    Raises
    ------
    ValueError
        See ``LLMRegressor.fit``.
    """
    name = type(estimator).__name__
    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None.")
    target = None if getattr(y, "ndim", 1) > 1 else getattr(y, "name", None)
    frame = read_table(estimator, X, reset=reset)
    y = numeric_targets(y, name)
    check_consistent_length(frame, y)
    weight = _check_sample_weight(sample_weight, frame, dtype=np.float64)
    if weight.min() < 0 or weight.max() == 0:
        raise ValueError(
            f"sample_weight goes from {weight.min():g} to {weight.max():g}; weights must be "
            "non-negative, and at least one positive. Rows of weight zero are left out."
        )
    used = weight > 0
    return frame[used], y[used], _relative(weight[used]), target


def _relative(weight):
    """Positive weights by their mean; those below 1e-30 of the largest count as that.

    So no sum of some of them over- or underflows, and a part of the table has a mean weight too.
    """
    weight = np.maximum(weight / weight.max(), LEAST_WEIGHT)
    return weight / weight.mean()
