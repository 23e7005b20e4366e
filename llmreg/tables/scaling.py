"""Numbers in standard deviations from their column's mean, whatever their size."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

__all__ = ["NumberScaler", "soften"]

FAR = 4.0  # standard deviations within which values are left as they are
FARTHEST = 100.0  # and beyond which they say no more


class NumberScaler(TransformerMixin, BaseEstimator):
    """Standardise columns of numbers; gaps stay gaps, and constant columns become 0.

    Attributes
    ----------
    mean_, scale_ : ndarray of shape (n_columns,)
        ``scale_`` is infinite where a column was constant.
    """

    def fit(self, raw, y=None):
        """Learn means and scales of an array (n_rows, n_columns) with NaN for gaps."""
        with np.errstate(invalid="ignore"):
            counts = np.maximum((~np.isnan(raw)).sum(0), 1)
            self.mean_ = np.nansum(raw / counts, axis=0)
            # As shares of the largest, whose squares can neither over- nor underflow.
            largest = np.abs(np.nan_to_num(raw - self.mean_)).max(0, initial=0.0)
            shares = (raw - self.mean_) / np.where(largest > 0, largest, 1.0)
            spread = largest * np.sqrt(np.nansum(shares**2, axis=0) / counts)
        # A constant column (also one whose spread is rounding noise) carries no information.
        constant = spread <= 1e-12 * np.maximum(np.abs(self.mean_), 1e-300)
        self.scale_ = np.where(constant, np.inf, spread)
        return self

    def transform(self, raw):
        """The standardised numbers, float64."""
        return (raw - self.mean_) / self.scale_


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
