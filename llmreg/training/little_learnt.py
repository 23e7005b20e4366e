"""Warnings of training that taught little, nothing, or the wrong thing."""

import warnings

import numpy as np

__all__ = [
    "warn_if_hurried",
    "warn_if_no_better_than_mean",
    "warn_if_nothing_to_learn",
    "warn_if_worse",
]

ENOUGH_STEPS = 50  # fewer teach little
# Held-out rows that tell whether anything was learnt, and from which share of the mean's error on
# nothing was.
ENOUGH_ROWS, ALMOST = 30, 0.99


def warn_if_hurried(stage):
    if stage.method.stage == "sft" and stage.steps < min(ENOUGH_STEPS, stage.n_steps):
        warnings.warn(
            f"The time limit left the first stage {stage.limit:.2g} seconds, which were enough for "
            f"{stage.steps} of {stage.n_steps} steps: little was learnt. Raise time_limit, or fit "
            "on fewer rows.",
            UserWarning,
            stacklevel=2,
        )


def warn_if_worse(records, method):
    best = min(record["validation_rmse"] for record in records if record["step"])
    warnings.warn(
        f"{type(method).__name__} made held-out rows clearly worse each time (RMSE at "
        f"best {best:.4g}), so the first stage's weights are kept. Lower align_learning_rate, or "
        "choose a fit_method without a second stage.",
        UserWarning,
        stacklevel=2,
    )


def warn_if_nothing_to_learn(records, method):
    name = type(method).__name__
    if _never(records, "sample_spread"):
        warnings.warn(
            f"All numbers that {name} drew for a row were equal in every epoch, so the rewards had "
            "no spread and nothing was learnt. Raise its temperature, or give the first stage "
            "fewer epochs.",
            UserWarning,
            stacklevel=2,
        )
    elif method.reward is not None and _never(records, "advantage"):
        warnings.warn(
            f"All numbers that {name} compared for a row got the same reward in every epoch (to "
            f"within 1e-6), so reward={method.reward!r} taught nothing. It must be the higher "
            "the closer a number is to the target: look whether it is constant, overflows, or is "
            "measured in units that make it tiny.",
            UserWarning,
            stacklevel=2,
        )


def _never(records, metric):
    """Whether a metric was reported and stayed at zero, but for rounding."""
    values = [record[metric] for record in records if metric in record]
    return bool(values) and max(values) < 1e-6


def warn_if_no_better_than_mean(records, rows):
    """Say so if held-out rows are predicted as if nothing had been read. Pretrained weights stay
    there for some hundred steps before they go on, fast; a fit that ends sooner looks hopeless."""
    y, weight, share = rows.y[rows.held_out], rows.weight[rows.held_out], rows.weight[rows.train]
    trained = any(record["step"] for record in records)
    if not trained or len(y) < ENOUGH_ROWS or not weight.any() or not share.any():
        return
    with np.errstate(over="ignore", invalid="ignore"):  # squares of huge targets tell nothing
        mean = np.average(rows.y[rows.train], weights=share)
        least = np.sqrt(np.average((y - mean) ** 2, weights=weight))
    best = min(record["validation_rmse"] for record in records)
    if best > ALMOST * least:
        warnings.warn(
            "The trained model predicts held-out rows no better than the mean of the targets does "
            f"(RMSE {best:.4g} and {least:.4g}): it has not learnt what the rows say, or they say "
            "nothing of the target. Pretrained weights often begin to learn after some hundred "
            "steps: raise align_epochs (of a method of one stage, sft_epochs), and see history_.",
            UserWarning,
            stacklevel=2,
        )
