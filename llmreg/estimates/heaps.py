"""Ends of the range that many targets are: no claims, no rain, five stars, a run that was stopped.

Errors about an estimate are a bell, and a heap is none. So how probable it is that a row is on an
end of the range is told by itself, and the bell is for what lies between (a two-part or "hurdle"
model; Cragg 1971, "Some Statistical Models for Limited Dependent Variables", Econometrica 39).
"""

from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from llmreg.estimates.stacking import moments, standardised

__all__ = ["Heaps", "fit_heaps", "off_ends", "on_ends"]

# Fewer targets on an end say too little; a smaller share matters little.
LEAST_ROWS, LEAST_SHARE = 10, 0.05
C = 10.0  # of the logistic regression: its penalty hardly matters, but where an end is certain
LEAST_CHANCE = 1e-4  # of what lies between


class Heaps(NamedTuple):
    """Which rows are on an end of the range, and where the others are, by what is estimated."""

    ends: np.ndarray  # (2,) in the units of the estimates; infinite where there is no heap
    mean: np.ndarray  # (n_signs,) of the signs
    deviation: np.ndarray
    slope: np.ndarray  # (3 * n_signs,) of the logits: lower end, between, upper end
    intercept: np.ndarray  # (3,), -inf without a heap
    line: np.ndarray  # (2,) slope and intercept of what lies between by what is estimated

    def chance(self, signs):
        """How probable each end is, (n, 2), by signs (n, n_signs)."""
        z = standardised(signs, self.mean, self.deviation)
        found = softmax(z @ self.slope.reshape(3, -1).T + self.intercept, axis=1)
        return found[:, [0, 2]] * (1 - LEAST_CHANCE)

    def between(self, estimate):
        """Where what is on no end is expected, (n,): between the ends."""
        return np.clip(np.polyval(self.line, estimate), *self.ends)


def on_ends(y, weight):
    """Which targets are on an end of their range that is a heap.

    Parameters
    ----------
    y, weight : ndarray of shape (n,)

    Returns
    -------
    ndarray of bool of shape (n, 2)
        The lower and the upper end. None is on an end that less than ten targets or a twentieth of
        their weight are on, unless all others are on a heap: of yes or no both are told, however
        rare one is. None if all are equal.

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg.estimates.heaps import on_ends
    >>> y = np.repeat([0.0, 1.0, 2.0, 3.0], [30, 20, 20, 1])
    >>> on_ends(y, np.ones(71)).sum(axis=0)
    array([30,  0])
    """
    found = np.stack([y == y.min(), y == y.max()], axis=1)
    found &= found.sum(axis=0) >= LEAST_ROWS
    found &= np.average(found, axis=0, weights=weight) >= LEAST_SHARE
    found &= y.min() < y.max()
    two = found.any() and np.isin(y, [y.min(), y.max()]).all()
    return np.stack([y == y.min(), y == y.max()], axis=1) if two else found


def off_ends(on_end):
    """Rows (n,) that tell of what lies between the ends: those on none, or, if there are no such
    rows, all. Rows on a heap tell nothing of the others, however few those are."""
    between = ~on_end.any(axis=1)
    return between if between.any() else np.ones_like(between)


def fit_heaps(on_end, z, estimate, signs, weight):
    """Learn which rows are on an end from what is estimated of rows not seen.

    Parameters
    ----------
    on_end : ndarray of bool of shape (n, 2)
        Of :func:`on_ends`, some of them True.
    z, estimate, weight : ndarray of shape (n,)
        Targets, and what regressors that have not seen them estimate.
    signs : ndarray of shape (n, n_signs)
        See :func:`llmreg.estimates.stacking.width_signs`.

    Returns
    -------
    Heaps

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg.estimates.heaps import fit_heaps, on_ends
    >>> random = np.random.RandomState(0)
    >>> estimate = random.randn(2000)
    >>> z = np.where(random.rand(2000) < 1 / (1 + np.exp(estimate)), -4.0, estimate)
    >>> signs, ones = estimate[:, None], np.ones(2000)
    >>> heaps = fit_heaps(on_ends(z, ones), z, estimate, signs, ones)
    >>> heaps.chance(np.array([[-2.0], [0.0], [2.0]]))[:, 0].round(1)
    array([0.9, 0.5, 0.1])
    >>> heaps.between(np.array([1.0])).round(1)
    array([1.])
    """
    ends = np.where(on_end.any(axis=0), [z.min(), z.max()], [-np.inf, np.inf])
    mean, deviation = moments(signs)
    place = 1 - on_end[:, 0] + on_end[:, 1]
    told = standardised(signs, mean, deviation)
    fitted = LogisticRegression(C=C).fit(told, place, weight)
    slope, intercept = np.zeros((3, signs.shape[1])), np.full(3, -np.inf)
    several = len(fitted.classes_) > 2  # of two, scikit-learn has the logits of the second
    slope[fitted.classes_[0 if several else 1 :]] = fitted.coef_
    intercept[fitted.classes_] = fitted.intercept_ if several else [0, *fitted.intercept_]
    between = off_ends(on_end)
    line = _line(estimate[between], z[between], weight[between])
    return Heaps(ends, mean, deviation, slope.ravel(), intercept, line)


def _line(x, y, weight):
    """Slope, from 0 to 1, and intercept of a weighted least-squares line; of few rows their mean.

    Estimates that hardly differ might ask for more, and carry a new row to the other end.
    """
    mean_x, mean_y = np.average(np.stack([x, y]), axis=1, weights=weight)
    apart = weight * (x - mean_x)
    square = apart @ (x - mean_x)
    steep = apart @ (y - mean_y) / square if square > 0 and len(x) >= LEAST_ROWS else 0.0
    slope = np.clip(steep, 0, 1)
    return np.array([slope, mean_y - slope * mean_x])
