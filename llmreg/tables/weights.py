"""Sample weights, of which only the ratios matter."""

from numbers import Number

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from llmreg.tables.targets import read_floats, refuse_masked

__all__ = ["checked_weights", "entry_counts", "relative_weights"]

LEAST_WEIGHT = 1e-30  # of the largest one: float32 holds it


def checked_weights(sample_weight, rows):
    """Weights of rows, (n,) float64; None: all count alike.

    Parameters
    ----------
    sample_weight : array-like of shape (n,), number or None
    rows : sized collection of n rows

    Raises
    ------
    ValueError
        If weights are masked, negative, not finite, all zero or of another number.

    Examples
    --------
    >>> from llmreg.tables.weights import checked_weights
    >>> checked_weights([2, 1], rows="ab")
    array([2., 1.])
    """
    refuse_masked(sample_weight, "sample_weight")
    if not isinstance(sample_weight, Number | None):
        sample_weight = read_floats(sample_weight, "sample_weight", "a fit")
    weight = _check_sample_weight(sample_weight, rows, dtype=np.float64)
    if weight.min() < 0 or weight.max() == 0:
        raise ValueError(
            f"sample_weight goes from {weight.min():g} to {weight.max():g}; weights must be "
            "non-negative, and at least one positive. Rows of weight zero are left out."
        )
    return weight


def relative_weights(weight):
    """Positive weights (n,) by their mean; those below 1e-30 of the largest count as that.

    So no sum of some of them over- or underflows, and a part of the table has a mean weight too.
    """
    weight = np.maximum(weight / weight.max(), LEAST_WEIGHT)
    return weight / weight.mean()


def entry_counts(weight):
    """How often each row (n,) is gone through in an epoch: its weight by the mean, but once."""
    return np.maximum(np.rint(weight / weight.mean()), 1).astype(int)
