"""The temperature of a fitted model's distributions, from the rows that it was validated on."""

import warnings

import numpy as np

from llmreg.numbers.calibration import best_temperature
from llmreg.predicting import has_spread, outputs, tempered_distribution

__all__ = ["calibration_rows", "fitted_temperature"]

MIN_ROWS = 30  # fewer say little about the width of a distribution
MAX_ROWS = 2000
MAX_CELLS = 2**21  # log-probabilities that are kept, unless that were fewer than 100 rows'
ENOUGH_ROWS = 100


def fitted_temperature(model, encoded, y, weight, asked):
    """The temperature with the smallest mean CRPS.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
        Trained and placed for prediction.
    encoded : llmreg.prompts.encoding.EncodedRows of n rows
        That no weight was trained on.
    y, weight : ndarray of shape (n,)
    asked : bool
        Whether to say so where nothing can be calibrated.

    Returns
    -------
    float
        1.0 with less than 30 rows, for a head that predicts one number per row, and for a constant
        target.

    Warns
    -----
    UserWarning
        If ``asked``, and there are too few rows or nothing to calibrate.
    """
    obstacle = _obstacle(model, len(y))
    if obstacle:
        if asked:
            warnings.warn(
                f"temperature_scaling=True has no effect: {obstacle}. temperature_ is 1.",
                UserWarning,
                stacklevel=2,
            )
        return 1.0
    rows = calibration_rows(len(y), _cells_per_row(model))
    y, share = y[rows], weight[rows] / weight[rows].sum()
    found = outputs(model, encoded.take(rows))
    return best_temperature(lambda t: tempered_distribution(model, found, t).crps(y) @ share)


def _obstacle(model, n_rows):
    if not has_spread(model):
        return "the method predicts one number per row, which has no width"
    if n_rows < MIN_ROWS:
        return (
            f"it needs at least {MIN_ROWS} validation rows, and there are {n_rows}. Give more rows "
            "or a larger validation_fraction"
        )
    return None


def _cells_per_row(model):
    """Log-probabilities that a row takes, or its numbers if there are more of them."""
    if model.head is not None:
        return model.head.n_bins + 2
    tree = model.tree
    return max(tree.n_open * tree.child.shape[1], len(tree.leaf_value))


def calibration_rows(n_rows, n_cells):
    """Which of the validation rows are used: all, or evenly spaced ones.

    Parameters
    ----------
    n_rows : int
    n_cells : int
        Numbers to keep for each row.

    Returns
    -------
    ndarray of int, ascending
        At most 2,000; at most two million numbers in all, unless that were fewer than 100 rows.

    Examples
    --------
    >>> from llmreg.calibrating import calibration_rows
    >>> len(calibration_rows(5000, 110)), len(calibration_rows(5000, 11_110))
    (2000, 188)
    """
    most = min(MAX_ROWS, max(ENOUGH_ROWS, MAX_CELLS // n_cells))
    return np.unique(np.linspace(0, n_rows - 1, min(n_rows, most)).round().astype(int))
