"""What a kernel ridge regression is to be like: by what it would say of rows without them.

One factorisation tells what each training row would be estimated as without it, so that settings
are compared without a fit for each fold.
"""

from itertools import chain, combinations, product
from typing import NamedTuple

import numpy as np
from scipy import linalg
from sklearn.metrics.pairwise import euclidean_distances

__all__ = [
    "MIDDLE", "N_PLAIN", "POWER", "KernelSettings", "best_settings", "emphases", "leave_one_out",
    "mean_slopes", "relevance",
]  # fmt: skip

PENALTIES = np.logspace(-3, 1, 9)
NARROWNESS = (0.1, 0.3, 1.0)  # of the kernel, at the median distance
MIDDLE = NARROWNESS[1:2]  # enough to compare what columns count by
N_PLAIN = 2  # blocks that come first: numbers and categories; the others are of texts
EMPHASES = (1.0, 3.0, 10.0)  # of the blocks of texts, where there are others
# Of the squared distance by numbers and categories: of what follows from them less is smooth than
# of what follows from many words (docs/appendix/ablations.md).
POWER = 0.75
LEAST_RELEVANCE = 2.0**-20  # of a column along which nothing changes


class KernelSettings(NamedTuple):
    """What a kernel is best with, and the weighted mean squared leave-one-out error then."""

    error: float
    gamma: float
    penalty: float


def leave_one_out(kernel, z, weight, penalties):
    """What kernel ridge regression says of each row that it is fitted without.

    Parameters
    ----------
    kernel : ndarray of shape (n, n)
    z, weight : ndarray of shape (n,)
        Targets about 0, and how much rows count.
    penalties : ndarray of shape (m,)

    Returns
    -------
    ndarray of shape (m, n)

    References
    ----------
    Rifkin & Lippert 2007, "Notes on regularized least squares".
    """
    root = np.sqrt(weight)
    # Not scipy's, which has threads of its own: they and those of the products below would wait
    # for one another.
    values, vectors = np.linalg.eigh(kernel * np.outer(root, root))
    values = np.maximum(values, 0.0)  # but for rounding, a kernel has no negative ones
    projected = vectors.T @ (root * z)
    shares = 1 / (values + penalties[:, None])  # (m, n)
    solution = (shares * projected) @ vectors.T
    return z - solution / (shares @ (vectors**2).T) / root


def mean_slopes(columns, kernel, dual, weight):
    """How much the function that kernel ridge regression has found changes along each column.

    Parameters
    ----------
    columns : ndarray of shape (n, d)
        The rows that it was fitted on.
    kernel : ndarray of shape (n, n)
        exp(-gamma · (distance² ** 0.75 + what does not depend on the columns)).
    dual : ndarray of shape (n,)
    weight : ndarray of shape (n,)
        How much rows count.

    Returns
    -------
    ndarray of shape (d,)
        Roots of the weighted mean squared slope at the rows, but for a common factor.

    References
    ----------
    Radhakrishnan et al. 2024, "Mechanism for feature learning in neural networks and
    backpropagation-free machine learning models", Science 383: the diagonal of the average
    gradient outer product.
    """
    far = euclidean_distances(columns, squared=True)
    # Rows in one place pull into no direction.
    pull = dual * kernel * np.where(far > 0, far, 1.0) ** (POWER - 1) * (far > 0)
    slopes = pull @ columns - columns * pull.sum(1, keepdims=True)
    return np.sqrt(np.average(slopes**2, axis=0, weights=weight))


def best_settings(far, z, weight, narrowness=NARROWNESS):
    """:class:`KernelSettings` for distances (n, n) between rows."""
    found, middle = [], np.median(far) or 1.0
    for narrow in narrowness:
        gamma = float(narrow / middle)
        said = leave_one_out(np.exp(-gamma * far), z, weight, PENALTIES)
        errors = np.average((said - z) ** 2, axis=1, weights=weight)
        found.append(KernelSettings(errors.min(), gamma, float(PENALTIES[errors.argmin()])))
    return min(found)


def relevance(columns, groups, settings, far, z, weight):
    """How much squared differences in each column are to count, (d,): by slopes, together about as
    much as before, and in steps, as other settings come, lest a row's own target show in them."""
    kernel, root = np.exp(-settings.gamma * far), np.sqrt(weight)
    penalised = kernel * np.outer(root, root) + settings.penalty * np.eye(len(z))
    dual = root * linalg.solve(penalised, root * z, assume_a="pos")
    variances = columns.var(0)
    steep = mean_slopes(columns, kernel, dual, weight) * variances
    if not steep.any():
        return np.ones(len(steep))
    group = np.repeat(np.arange(len(groups)), groups)
    shares = np.bincount(group, steep) / steep.sum()
    before = np.bincount(group, variances) / variances.sum()
    counts = np.divide(shares, before, out=np.ones(len(groups)), where=before > 0)
    return np.exp2(np.log2(np.maximum(counts, LEAST_RELEVANCE)).round())[group]


def emphases(scales):
    """How much each block counts, a list of (n_blocks,): the texts' more than the others', all of
    them or some alone."""
    texts = np.flatnonzero(scales[N_PLAIN:]) + N_PLAIN
    plain = np.ones(len(scales))
    if not len(texts):
        return [plain]
    plain[texts] = 0.0
    strengths = EMPHASES if plain @ (scales > 0) else (1.0,)
    some = chain.from_iterable(combinations(texts, n) for n in range(len(texts), 0, -1))
    return [
        plain + strength * np.isin(np.arange(len(scales)), chosen)
        for chosen, strength in product(some, strengths)
    ]
