"""Numbers in standard deviations from their column's mean, whatever their size."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

__all__ = ["NumberScaler", "soften", "weighted_quantiles"]

FAR = 4.0  # standard deviations within which values are left as they are
FARTHEST = 100.0  # and beyond which they say no more
LARGEST = np.finfo(np.float64).max


class NumberScaler(TransformerMixin, BaseEstimator):
    """Standardise columns of numbers; gaps stay gaps, and constant columns become 0.

    Attributes
    ----------
    mean_, scale_ : ndarray of shape (n_columns,)
        ``scale_`` is infinite where a column was constant.
    """

    def fit(self, raw, y=None, sample_weight=None):
        """Learn means and scales of an array (n_rows, n_columns) with NaN for gaps.

        Rows count by ``sample_weight`` (n_rows,), all positive; None: alike.
        """
        weight = np.ones((len(raw), 1)) if sample_weight is None else sample_weight[:, None]
        with np.errstate(invalid="ignore"):
            counts = (weight * ~np.isnan(raw)).sum(0)
            counts = np.where(counts > 0, counts, 1.0)
            self.mean_ = np.nansum(weight * (raw / counts), axis=0)
            # As shares of the largest, whose squares can neither over- nor underflow.
            largest = np.abs(np.nan_to_num(raw - self.mean_)).max(0, initial=0.0)
            shares = (raw - self.mean_) / np.where(largest > 0, largest, 1.0)
            spread = largest * np.sqrt(np.nansum(weight * shares**2, axis=0) / counts)
        # A constant column (also one whose spread is rounding noise) carries no information.
        constant = spread <= 1e-12 * np.maximum(np.abs(self.mean_), 1e-300)
        self.scale_ = np.where(constant, np.inf, spread)
        return self

    def transform(self, raw):
        """The standardised numbers, float64; infinite where one is beyond all floats away."""
        with np.errstate(over="ignore"):
            return np.clip(raw - self.mean_, -LARGEST, LARGEST) / self.scale_


def soften(z):
    """Pull in what lies beyond four standard deviations, by a logarithm and in the same order.

    Parameters
    ----------
    z : ndarray
        NaN stays NaN.

    Returns
    -------
    ndarray
        z within ±4, sign(z) · (4 + log(|z| − 3)) beyond, the same for all beyond ±100.
    """
    beyond = np.clip(np.abs(z) - FAR, 0.0, FARTHEST - FAR)
    return np.where(beyond > 0, np.sign(z) * (FAR + np.log1p(beyond)), z)


def weighted_quantiles(column, levels, weight=None):
    """Quantiles of the numbers in a column of which some may be NaN.

    Parameters
    ----------
    column : ndarray of shape (n_rows,)
    levels : ndarray of shape (m,)
    weight : ndarray of shape (n_rows,) or None
        How much rows count; None or all equal: as ``numpy.nanquantile`` has it.

    Returns
    -------
    ndarray of shape (m,)
    """
    if weight is None or np.ptp(weight) == 0:
        return np.nanquantile(column, levels)
    known = np.flatnonzero(~np.isnan(column))
    known = known[np.argsort(column[known])]
    reached = np.cumsum(weight[known])
    return np.interp(levels, (reached - weight[known] / 2) / reached[-1], column[known])
