"""Numbers in standard deviations from their column's mean, whatever their size; and by rank."""

import numpy as np
from scipy.special import ndtri
from sklearn.base import BaseEstimator, TransformerMixin

__all__ = ["NormalScores", "NumberScaler", "soften", "weighted_quantiles"]

FAR = 4.0  # standard deviations within which values are left as they are
FARTHEST = 100.0  # and beyond which they say no more
LARGEST = np.finfo(np.float64).max
LEVELS = np.linspace(0, 1, 201)
OUTERMOST = 0.0025  # share of values that are taken to lie beyond an end: half a level
LEAST_VALUES = 10  # of a column, from which on its ranks are worth telling
ALIKE = 0.98  # correlation of ranks and sizes from which on one of them does


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


class NormalScores(TransformerMixin, BaseEstimator):
    """How many of the training values are smaller: normal scores of columns of numbers.

    Of numbers over orders of magnitude sizes tell the few large ones apart, ranks all others. Only
    of columns that take many values, and whose scores are not their sizes over again.

    Attributes
    ----------
    columns_ : list of int
        Of which there are scores.
    knots_, scores_ : list of ndarray
        Their distinct quantiles, ascending, and the scores at these.
    """

    def fit(self, z, y=None, sample_weight=None):
        """Learn from standardised columns (n_rows, n_columns) with NaN for gaps."""
        self.columns_, self.knots_, self.scores_ = [], [], []
        for place, column in enumerate(z.T):
            known = ~np.isnan(column)
            if len(np.unique(column[known])) < LEAST_VALUES:
                continue
            knots, scores = _scores(weighted_quantiles(column, LEVELS, sample_weight))
            both = column[known], np.interp(column[known], knots, scores)
            weight = None if sample_weight is None else sample_weight[known]
            (size, shared), (_, rank) = np.cov(*both, aweights=weight)
            if shared < ALIKE * np.sqrt(size * rank):
                self.columns_.append(place)
                self.knots_.append(knots)
                self.scores_.append(scores)
        return self

    def transform(self, z):
        """Scores (n_rows, n_kept), between those of the smallest and largest value; 0 for gaps."""
        kept = zip(self.columns_, self.knots_, self.scores_, strict=True)
        found = [np.interp(z[:, place], knots, scores) for place, knots, scores in kept]
        return np.nan_to_num(np.stack(found, axis=1)) if found else np.zeros((len(z), 0))


def _scores(quantiles):
    """Distinct quantiles and their normal scores; of those that are equal, of their middle."""
    knots, first, counts = np.unique(quantiles, return_index=True, return_counts=True)
    middle = (LEVELS[first] + LEVELS[first + counts - 1]) / 2
    return knots, ndtri(np.clip(middle, OUTERMOST, 1 - OUTERMOST))


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
