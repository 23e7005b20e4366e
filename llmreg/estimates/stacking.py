"""What several regressors together say of a number: one estimate, and how far off it tends to be.

Estimates of rows that their regressors have not seen tell all: how much to believe whom (Breiman
1996, "Stacked regressions", Machine Learning 24), how large the errors are that remain, and in
which rows they are larger than in others.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize, nnls
from scipy.special import expit

__all__ = [
    "Estimate",
    "OnEnds",
    "Spread",
    "Widths",
    "fit_spread",
    "moments",
    "stacking_weights",
    "standardised",
    "width_signs",
]

LEAST_SCALE = 1e-3  # of a logistic, in the units of the errors: finer than digits tell apart
LEAST_SHARE, MOST_SHARE = 0.01, 0.5
LEAST_DEVIATION = 0.1  # of signs
NEAR = 0.025  # deviation of estimates of a row from which on they differ
# Standard deviations, beyond which a sign says no more; of a slope, which is about 0 before
# errors are seen; and the largest slope.
FAR, SLOPE, STEEPEST = 3.0, 0.3, 1.5
# The two parts of a spread lie apart where that is e**3 = 20 times as likely. In deviations of the
# errors, where the search for that begins; in those of the targets, how far they lie apart at most.
MORE_LIKELY, SIDES, FARTHEST = 3.0, (-2.0, 2.0), 10.0


class Spread(NamedTuple):
    """A mixture of two logistic distributions of mean 0: most errors, and the large ones."""

    narrow: float  # scales
    wide: float
    share: float  # of the wide one
    apart: float = 0.0  # how far above the narrow one the wide one lies

    @property
    def parts(self):
        """Of each: its share, its centre and its scale."""
        most, few = 1 - self.share, self.share
        return (most, -few * self.apart, self.narrow), (few, most * self.apart, self.wide)


class Widths(NamedTuple):
    """How much wider errors are in some rows: exp(slopes · standardised signs of the row)."""

    mean: np.ndarray  # (n_signs,) of the signs
    deviation: np.ndarray
    slope: np.ndarray

    def of(self, signs):
        """How wide errors of rows are, (n,), about 1, by signs (n, n_signs)."""
        z = standardised(signs, self.mean, self.deviation)
        return np.exp(np.clip(z @ self.slope, -FAR, FAR))


class OnEnds(NamedTuple):
    """How probable it is that each of some rows is an end of the range."""

    chance: object  # (n, 2) ndarray or Tensor, of the lower and the upper one; 0 without a heap
    ends: object  # (2,) where they are; infinite without a heap


@dataclass(frozen=True)
class Estimate:
    """A distribution for each of some rows: :class:`Spread`, so many times as wide, around a number
    of its own; and where targets heap up, how probable it is that the row is an end."""

    centre: object  # (n,) ndarray or Tensor, on the codec's axis, of what is on no end
    width: object  # (n,), in its units
    spread: Spread  # in widths
    heaps: OnEnds | None = None  # None: there are none

    @property
    def mean(self):
        """(n,) on the codec's axis."""
        if self.heaps is None:
            return self.centre
        chance, ends = self.heaps
        found = (1 - chance.sum(1)) * self.centre
        for k in (0, 1):
            if np.isfinite(float(ends[k])):
                found = found + chance[:, k] * ends[k]
        return found

    @property
    def columns(self):
        """list of (n, ...) arrays: all that tells rows apart."""
        return [self.centre, self.width, *([] if self.heaps is None else [self.heaps.chance])]

    def take(self, rows):
        """These rows only."""
        heaps = self.heaps and self.heaps._replace(chance=self.heaps.chance[rows])
        return replace(self, centre=self.centre[rows], width=self.width[rows], heaps=heaps)

    def followed_by(self, others):
        """These rows and then others, of the same regressors."""
        centre, width = np.append(self.centre, others.centre), np.append(self.width, others.width)
        heaps = self.heaps
        if heaps is not None:
            chance = np.concatenate([heaps.chance, others.heaps.chance])
            heaps = heaps._replace(chance=chance)
        return replace(self, centre=centre, width=width, heaps=heaps)


def stacking_weights(estimates, y, weight):
    """How much each estimate counts in their sum.

    Parameters
    ----------
    estimates : ndarray of shape (n, K)
        Of n rows, by regressors that have not seen them; as y, about 0.
    y, weight : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (K,)
        Non-negative; those of the least weighted squared error. Shrunk where all estimates say too
        much: they need not sum to one.

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg.estimates.stacking import stacking_weights
    >>> y = np.array([-1.0, 1.0, 2.0])
    >>> stacking_weights(np.stack([y + [1, 1, -1], y - [1, 1, -1]], 1), y, np.ones(3)).round(3)
    array([0.5, 0.5])
    """
    root = np.sqrt(weight)
    return nnls(estimates * root[:, None], y * root)[0]


def width_signs(estimates, weights):
    """What may tell of a row how large the error of its estimate is.

    Parameters
    ----------
    estimates : ndarray of shape (n, K)
    weights : ndarray of shape (K,)
        See :func:`stacking_weights`.

    Returns
    -------
    ndarray of shape (n, 3), or (n, 2) with K = 1
        Their sum, its square, and the logarithm of how much they differ.

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg.estimates.stacking import width_signs
    >>> width_signs(np.array([[1.0, 1.0], [2.0, 4.0]]), np.array([0.5, 0.5])).round(1)
    array([[ 1. ,  1. , -3.7],
           [ 3. ,  9. ,  0. ]])
    """
    centre = estimates @ weights
    signs = [centre, centre**2]
    if len(weights) > 1:
        signs.append(np.log(estimates.std(1) + NEAR))
    return np.stack(signs, axis=1)


def moments(signs):
    """Mean and deviation (n_signs,) of signs, 0.1 at least: what differs less between rows that
    regressors have not seen is not what differs between new ones."""
    return signs.mean(axis=0), np.maximum(signs.std(axis=0), LEAST_DEVIATION)


def standardised(signs, mean, deviation):
    """Signs (n, n_signs) in deviations from the mean, none of which is farther than three."""
    return np.clip((signs - mean) / deviation, -FAR, FAR)


def fit_spread(errors, weight, signs):
    """The likeliest :class:`Spread` of errors, and :class:`Widths` of rows.

    Slopes are shrunk: they are as likely as a normal distribution of deviation 0.3 has them. Its
    two parts have one centre, unless errors are 20 times as likely with two: they are skewed, or
    targets are of two sizes that nothing tells apart.

    Parameters
    ----------
    errors : ndarray of shape (n,)
        In standard deviations of the targets.
    weight : ndarray of shape (n,)
    signs : ndarray of shape (n, n_signs)
        See :func:`width_signs`; a constant one tells nothing.

    Returns
    -------
    Spread
        With scales of 0.001 at least, and a share of the wide one of 1 to 50 %.
    Widths

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg.estimates.stacking import fit_spread
    >>> random = np.random.RandomState(0)
    >>> signs = random.randn(2000, 1)
    >>> errors = random.logistic(scale=0.2 * np.exp(signs[:, 0] / 2))
    >>> errors[:200] *= 10
    >>> spread, widths = fit_spread(errors, np.ones(2000), signs)
    >>> round(spread.narrow, 1), round(spread.wide), round(float(widths.slope[0]), 1)
    (0.2, 2, 0.5)
    """
    unsloped = Widths(*moments(signs), np.zeros(signs.shape[1]))

    def loss(free):
        spread, widths = _parts(free, unsloped)
        width = widths.of(signs)
        density = _log_density(errors / width, spread) - np.log(width)
        shrinkage = (widths.slope @ widths.slope) / SLOPE**2 / 2 / weight.sum()
        return shrinkage - np.average(density, weights=weight)

    size = np.sqrt(np.average(errors**2, weights=weight))
    start = np.array([np.log(max(size / 2, LEAST_SCALE)), 0.5, -1.0, 0.0, *unsloped.slope])
    least = _least(loss, start, farthest=0.0)
    found = [_least(loss, _with_apart(start, side * size), FARTHEST) for side in SIDES]
    best = min(found, key=lambda one: one.fun)
    n_rows = weight.sum() ** 2 / (weight @ weight)  # as many as unequal weights are worth
    clearly = best.fun < least.fun - MORE_LIKELY / n_rows
    return _parts((best if clearly else least).x, unsloped)


def _with_apart(free, apart):
    free = free.copy()
    free[3] = apart
    return free


def _least(loss, start, farthest):
    """The least loss found from a start, with the two parts of the spread so far apart at most."""
    bounds = [(np.log(LEAST_SCALE), np.log(1 / LEAST_SCALE)), (-8, 8), (-8, 8)]
    bounds += [(-farthest, farthest)] + [(-STEEPEST, STEEPEST)] * (len(start) - 4)
    # Differences to either side: those to one would be off by as much as units of y move them.
    return minimize(loss, start, method="L-BFGS-B", jac="3-point", bounds=bounds)


def _parts(free, unsloped):
    """Numbers without bounds as a legal spread, and widths."""
    narrow = max(float(np.exp(free[0])), LEAST_SCALE)
    share = LEAST_SHARE + (MOST_SHARE - LEAST_SHARE) * float(expit(free[2]))
    spread = Spread(narrow, narrow * (1 + float(np.exp(free[1]))), share, float(free[3]))
    return spread, unsloped._replace(slope=free[4:])


def _log_density(errors, spread):
    found = -np.inf
    for share, centre, scale in spread.parts:
        x = np.abs(errors - centre) / scale
        density = np.log(share) - x - 2 * np.log1p(np.exp(-x)) - np.log(scale)
        found = np.logaddexp(found, density)
    return found
