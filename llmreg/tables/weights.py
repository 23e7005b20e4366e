"""Sample weights, of which only the ratios matter."""

from numbers import Number

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from llmreg.tables.targets import read_floats, refuse_masked

__all__ = ["checked_weights", "entry_counts", "relative_weights", "row_counts", "whole_counts"]

LEAST_WEIGHT = 1e-30  # of the largest one: float32 holds it
MOST_ENTRIES, MOST_IN_ALL = 20, 1_000_000  # for each row, in the mean, that stand for its weight
ROUNDING = 1e-6  # of ratios, such as those of float32


def checked_weights(sample_weight, rows, name="sample_weight", owner="a fit"):
    """Weights of rows, (n,) float64; None: all count alike.

    Parameters
    ----------
    sample_weight : array-like of shape (n,), number or None
    rows : sized collection of n rows
    name, owner : str
        Of the argument and of who takes it, for messages.

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
    refuse_masked(sample_weight, name)
    if not isinstance(sample_weight, Number | None):
        sample_weight = read_floats(sample_weight, name, owner)
    weight = _check_sample_weight(sample_weight, rows, dtype=np.float64)
    if weight.min() < 0 or weight.max() == 0:
        raise ValueError(
            f"{name} goes from {weight.min():g} to {weight.max():g}; weights must be "
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


def row_counts(weight):
    """Weights (n,) as numbers of rows: whole where their ratios are those of small whole numbers.

    Where they are not, so large that rounding loses least. Those below 1e-30 of the largest count
    as that.

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg.tables.weights import row_counts
    >>> row_counts(np.array([0.5, 1.0, 2.5])).tolist(), row_counts(np.array([1.0, 1.4])).tolist()
    ([1.0, 2.0, 5.0], [5.0, 7.0])
    """
    weight = np.maximum(weight, LEAST_WEIGHT * weight.max())  # else ratios overflow
    counts, n_rows = weight / weight.min(), len(weight)
    most = max(n_rows, min(MOST_ENTRIES * n_rows, MOST_IN_ALL)) / counts.sum()
    for times in range(1, int(most) + 1):
        whole = np.rint(times * counts)
        if (np.abs(times * counts - whole) <= ROUNDING * whole).all():
            return whole
    return most * counts


def whole_counts(weight):
    """How often each row (n,) would be in the table if weights were numbers of rows: once at least,
    and by their ratios as nearly as 20 times in the mean, or a million in all, can say.

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg.tables.weights import whole_counts
    >>> whole_counts(np.array([0.5, 1.0, 2.5])).tolist()
    [1, 2, 5]
    """
    return np.maximum(np.rint(row_counts(weight)), 1).astype(int)
