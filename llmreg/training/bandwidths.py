"""How wide a kernel about each target may be where training targets crowd."""

import numpy as np
from scipy.stats import norm

__all__ = ["neighbour_bandwidths"]

NEIGHBOURS = 0.2  # share of the other targets, by weight, that count as those about one
ROUNDING = 1e-9
LEAST = 0.05
N_HALVINGS = 20
# Targets crowd that lie half as far from one as those of a normal distribution from its mean.
CROWDED = norm.ppf((1 + NEIGHBOURS) / 2) / 2


def neighbour_bandwidths(z, others, weight):
    """Bandwidths of kernels about numbers, by how near the others are.

    As wide as a fifth of those reach that are not the same number, where they crowd (Breiman,
    Meisel & Purcell 1977, "Variable kernel estimates of multivariate densities", Technometrics 19).
    Elsewhere 1, the standard deviation of the targets, which is that of one bulk. Where they are of
    two sizes, or at one end of a range that few others make long, it is far more than each spreads.

    Parameters
    ----------
    z : ndarray of shape (n,)
    others : ndarray of shape (m,)
        Training targets, in the same units: their standard deviations.
    weight : ndarray of shape (m,)
        How much each counts; positive.

    Returns
    -------
    ndarray of shape (n,)
        From 0.05 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg.training.bandwidths import neighbour_bandwidths
    >>> small, large = np.linspace(-0.7, -0.6, 70), np.linspace(1.5, 1.6, 30)
    >>> z = np.append(small, large)
    >>> neighbour_bandwidths(np.array([-0.65, 1.55]), z, np.ones(100)).round(2)
    array([0.11, 0.26])
    """
    order = np.argsort(others)
    places, below = others[order], np.append(0.0, np.cumsum(weight[order]))

    def within(reach):
        upper = below[places.searchsorted(z + reach, "right")]
        return upper - below[places.searchsorted(z - reach)]

    same = within(0.0)
    low, high = np.zeros(len(z)), np.full(len(z), CROWDED)
    for _ in range(N_HALVINGS):
        reach = (low + high) / 2
        enough = within(reach) - same > (NEIGHBOURS - ROUNDING) * (below[-1] - same)
        low, high = np.where(enough, low, reach), np.where(enough, reach, high)
    return np.maximum(high / CROWDED, LEAST)
