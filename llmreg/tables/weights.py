"""Sample weights, of which only the ratios matter."""

import numpy as np

__all__ = ["entry_counts", "relative_weights"]

LEAST_WEIGHT = 1e-30  # of the largest one: float32 holds it


def relative_weights(weight):
    """Positive weights (n,) by their mean; those below 1e-30 of the largest count as that.

    So no sum of some of them over- or underflows, and a part of the table has a mean weight too.
    """
    weight = np.maximum(weight / weight.max(), LEAST_WEIGHT)
    return weight / weight.mean()


def entry_counts(weight):
    """How often each row (n,) is gone through in an epoch: its weight by the mean, but once."""
    return np.maximum(np.rint(weight / weight.mean()), 1).astype(int)
