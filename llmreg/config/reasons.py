"""Why what was left to the plan ended as it did."""

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
)
from llmreg.prompts.asking import both_ways

__all__ = ["reasons"]

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


def reasons(params, plan, has_text, scale_scores):
    """Why, by name: of what the user left to the plan.

    Parameters
    ----------
    params : dict
        Those of the estimator and its parts, as :func:`llmreg.config.resolve.flat` gives them.
    plan : llmreg.config.plan.Plan
    has_text : bool
    scale_scores : dict of str to float
        As in :func:`llmreg.config.resolve.resolve`.

    Returns
    -------
    dict of str to str
    """
    texts = f"{'' if has_text else 'no '}text columns"
    found = {
        name: why
        for name, why in _of_parameters(plan, texts).items()
        if isinstance(params[name], str) and params[name] == "auto"
    }
    if plan.held_out_given:
        found["n_held_out"] = "rows of X_val"
        found.pop("validation_fraction", None)
    for name, names in SHOWN_AS.items():
        if name in found:
            found |= dict.fromkeys(names, found.pop(name))
    depth = getattr(params["adapters"], "depth", "auto")
    if isinstance(plan.adapters, Adapters) and depth == "auto":
        found["adapters"] = f"depth: {plan.weights} weights"
    if plan.n_layers is not None:
        enough = _fewer(plan.n_train, ROWS_FOR_TWO_LAYERS)
        estimates = f"{'' if plan.reading.estimates else 'no '}estimates"
        read = ", prompts read both ways" if both_ways(plan.methods) else ""
        found["n_layers"] = f"{enough} training rows, {texts}, {estimates}{read}"
    if scale_scores:
        scores = ", ".join(f"{scale} {score:.4g}" for scale, score in scale_scores.items())
        found["codec_scale"] = f"held-out rows (the smaller the better): {scores}"
    return found


def _of_parameters(plan, texts):
    """What decided, by the parameter that it decided of."""
    n_rows, kind = plan.n_train, f"{plan.weights} weights"
    n_rows += 0 if plan.held_out_given else plan.n_held_out
    of_rows = f"{kind}, {plan.n_train} training rows"
    few = _fewer(plan.n_train, FEW_ROWS)
    judged = "least CRPS on held-out rows"
    if plan.n_held_out < MIN_ROWS_TO_CALIBRATE:
        judged = f"fewer than {MIN_ROWS_TO_CALIBRATE} held-out rows, which say little"
    return {
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


def _fewer(n_rows, bound):
    return f"{'fewer' if n_rows < bound else 'no fewer'} than {bound}"
