"""What several regressors together say of a number: one estimate, and how far off it tends to be.

Estimates of rows that their regressors have not seen tell both: how much to believe whom (Breiman
1996, "Stacked regressions", Machine Learning 24), and how large the errors are that remain.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize, nnls
from scipy.special import expit

__all__ = ["Estimate", "Spread", "fit_spread", "stacking_weights"]

LEAST_SCALE = 1e-3  # of a logistic, in the units of the errors: finer than digits tell apart
LEAST_SHARE, MOST_SHARE = 0.01, 0.5


class Spread(NamedTuple):
    """A mixture of two logistic distributions around 0: most errors, and the large ones."""

    narrow: float  # scales
    wide: float
    share: float  # of the wide one

    def times(self, unit):
        """The same in other units."""
        return Spread(self.narrow * unit, self.wide * unit, self.share)


@dataclass(frozen=True)
class Estimate:
    """A distribution for each of some rows: :class:`Spread` around a number of its own."""

    centre: object  # (n,) ndarray or Tensor, on the codec's axis
    spread: Spread  # in its units

    def take(self, rows):
        """These rows only."""
        return replace(self, centre=self.centre[rows])

    def followed_by(self, others):
        """These rows and then others."""
        return replace(self, centre=np.append(self.centre, others.centre))


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


def fit_spread(errors, weight):
    """The likeliest :class:`Spread` of errors.

    Parameters
    ----------
    errors : ndarray of shape (n,)
        In standard deviations of the targets.
    weight : ndarray of shape (n,)

    Returns
    -------
    Spread
        With scales of 0.001 at least, and a share of the wide one of 1 to 50 %.

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg.estimates.stacking import fit_spread
    >>> errors = np.random.RandomState(0).logistic(scale=0.2, size=2000)
    >>> errors[:200] *= 10
    >>> narrow, wide, share = fit_spread(errors, np.ones(2000))
    >>> round(narrow, 1), round(wide), round(share, 1)
    (0.2, 2, 0.1)
    """
    spread = np.sqrt(np.average(errors**2, weights=weight))

    def loss(free):
        return -np.average(_log_density(errors, _spread_of(free)), weights=weight)

    start = [np.log(max(spread / 2, LEAST_SCALE)), 0.5, -1.0]
    return _spread_of(minimize(loss, start, method="Nelder-Mead").x)


def _spread_of(free):
    """Any three numbers as a legal spread."""
    narrow = max(float(np.exp(free[0])), LEAST_SCALE)
    share = LEAST_SHARE + (MOST_SHARE - LEAST_SHARE) * float(expit(free[2]))
    return Spread(narrow, narrow * (1 + float(np.exp(free[1]))), share)


def _log_density(errors, spread):
    def logistic(scale):
        x = np.abs(errors) / scale
        return -x - 2 * np.log1p(np.exp(-x)) - np.log(scale)

    narrow, wide = logistic(spread.narrow), logistic(spread.wide)
    return np.logaddexp(np.log1p(-spread.share) + narrow, np.log(spread.share) + wide)
