"""Kernel ridge regression with a Gaussian kernel, which chooses its settings itself.

One factorisation tells what each training row would be estimated as without it, so that settings
are compared, and held-out estimates made, without a fit for each fold.
"""

from itertools import chain, combinations, pairwise, product

import numpy as np
import pandas as pd
from scipy import linalg, sparse
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics.pairwise import euclidean_distances

__all__ = ["GaussianKernelRidge", "leave_one_out"]

MOST_TO_CHOOSE = 800  # rows that choose the settings
MOST_ROWS = 20_000  # whose kernel is factorised in 10 GB of memory
LEAST_WEIGHT = 1e-200  # of which there is still a root to divide by
ROWS_AT_ONCE = 2048
PENALTIES = np.logspace(-3, 1, 9)
NARROWNESS = (0.1, 0.3, 1.0)  # of the kernel, at the median distance
N_PLAIN = 2  # blocks that come first: numbers and categories; the others are of texts
EMPHASES = (1.0, 3.0, 10.0)  # of the blocks of texts, where there are others


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
    values, vectors = linalg.eigh(kernel * np.outer(root, root))
    values = np.maximum(values, 0.0)  # but for rounding, a kernel has no negative ones
    projected = vectors.T @ (root * z)
    shares = 1 / (values + penalties[:, None])  # (m, n)
    solution = (shares * projected) @ vectors.T
    return z - solution / (shares @ (vectors**2).T) / root


class GaussianKernelRidge(RegressorMixin, BaseEstimator):
    """Kernel ridge regression on rows whose columns come in blocks.

    Each block (numbers; categories; then those of texts: words of length 1, words as they are,
    vectors) is scaled to a variance of 1, those of texts by an emphasis on top, and of several of
    these some may be left out. All of this, width of the kernel and penalty are those with the
    least weighted squared leave-one-out error of at most 800 rows.

    Parameters
    ----------
    blocks : sequence of int
        Columns of each block.
    random_state : int
        Which rows choose.

    Attributes
    ----------
    factors_ : ndarray of shape (n_blocks,)
        What the columns of a block are multiplied with.
    gamma_ : float
        exp(-gamma · squared distance) is the kernel.
    penalty_ : float
    values_, columns_, starts_ : ndarray
        The distinct training rows, scaled, as a sparse matrix has them.
    dual_ : ndarray of shape (n_distinct,)

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg.estimates.kernel_ridge import GaussianKernelRidge
    >>> X = np.linspace(0, 6, 60)[:, None]
    >>> model = GaussianKernelRidge([1], 0).fit(X, np.sin(X[:, 0]))
    >>> model.predict([[np.pi / 2]]).round(2)
    array([1.])
    """

    def __init__(self, blocks, random_state):
        self.blocks = blocks
        self.random_state = random_state

    def fit(self, X, z, sample_weight=None):
        """Choose settings, and fit on a matrix (n, n_columns) and targets (n,) about 0.

        Raises
        ------
        ValueError
            If there are more than 20,000 distinct rows.
        """
        self.fit_leave_one_out(X, z, sample_weight)
        return self

    def fit_leave_one_out(self, X, z, sample_weight=None):
        """The same; returns what is said of each training row without it and its equals, (n,)."""
        X = sparse.csr_matrix(X)
        weight = np.ones(len(z)) if sample_weight is None else sample_weight
        X, z, weight, kind = _distinct(X, z, np.maximum(weight, LEAST_WEIGHT))
        if len(z) > MOST_ROWS:
            raise ValueError(
                f"estimates='kernel' got {len(z):,} distinct training rows, more than the "
                f"{MOST_ROWS:,} whose kernel fits into memory. Use estimates='both' or 'linear'."
            )
        scales = self._block_scales(X)
        some = np.random.RandomState(self.random_state).permutation(len(z))[:MOST_TO_CHOOSE]
        self._choose(self._split(X[some], scales), scales, z[some], weight[some])
        rows = self._scaled(X)
        self.values_, self.columns_, self.starts_ = rows.data, rows.indices, rows.indptr
        return self._solve(self._kernel(rows, rows), z, weight)[kind]

    def predict(self, X):
        """Estimates (m,) of rows."""
        rows, known = self._scaled(sparse.csr_matrix(X)), self._known()
        parts = [
            self._kernel(rows[start : start + ROWS_AT_ONCE], known) @ self.dual_
            for start in range(0, rows.shape[0], ROWS_AT_ONCE)
        ]
        return np.concatenate(parts or [np.zeros(0)])

    def fits_together(self):
        """Whether the arrays are those of one fit, and not of a file that was tampered with."""
        starts, size = self.starts_.astype(int), sum(self.blocks)
        if len(self.dual_) + 1 != len(starts) or len(self.factors_) != len(self.blocks):
            return False
        ordered = starts[0] == 0 and (np.diff(starts) >= 0).all()
        counted = len(self.values_) == len(self.columns_) == starts[-1]
        within = (self.columns_ >= 0).all() and self.columns_.max(initial=0) < size < 2**31
        return bool(ordered and counted and within)

    def _block_scales(self, X):
        """Of each block, one over the root of its variance; 0 where it has none."""
        squares = np.asarray(X.multiply(X).mean(0)).ravel() - np.asarray(X.mean(0)).ravel() ** 2
        ends = np.cumsum([0, *self.blocks])
        variances = np.array([squares[i:j].sum() for i, j in pairwise(ends)])
        known = variances > 1e-12
        return np.where(known, 1 / np.sqrt(np.where(known, variances, 1.0)), 0.0)

    def _split(self, X, scales):
        """Squared distances between rows by each scaled block, (n_blocks, n, n)."""
        ends = np.cumsum([0, *self.blocks])
        found = np.zeros((len(scales), X.shape[0], X.shape[0]))
        for block in np.flatnonzero(scales):
            columns = X[:, ends[block] : ends[block + 1]] * scales[block]
            found[block] = euclidean_distances(columns, squared=True)
        return found

    def _choose(self, distances, scales, z, weight):
        best = np.inf
        for by_block, narrow in product(_emphases(scales), NARROWNESS):
            far = np.tensordot(by_block, distances, 1)
            gamma = narrow / (np.median(far) or 1.0)
            said = leave_one_out(np.exp(-gamma * far), z, weight, PENALTIES)
            errors = np.average((said - z) ** 2, axis=1, weights=weight)
            if errors.min() < best:
                best, penalty = errors.min(), PENALTIES[errors.argmin()]
                self.factors_, self.gamma_ = scales * np.sqrt(by_block), float(gamma)
                self.penalty_ = float(penalty)

    def _solve(self, kernel, z, weight):
        """Find the dual weights; returns the leave-one-out estimates."""
        root = np.sqrt(weight)
        kernel *= np.outer(root, root)
        kernel[np.diag_indices_from(kernel)] += self.penalty_
        inverse = linalg.inv(kernel, overwrite_a=True)
        solution = inverse @ (root * z)
        self.dual_ = root * solution
        return z - solution / np.diag(inverse) / root

    def _scaled(self, X):
        return X @ sparse.diags(np.repeat(self.factors_, self.blocks), format="csr")

    def _known(self):
        shape = len(self.starts_) - 1, sum(self.blocks)
        return sparse.csr_matrix((self.values_, self.columns_, self.starts_), shape)

    def _kernel(self, rows, known):
        return np.exp(-self.gamma_ * euclidean_distances(rows, known, squared=True))


def _emphases(scales):
    """How much each block counts, a list of (n_blocks,): the texts' more than the others', all of
    them or some alone."""
    texts = np.flatnonzero(scales[N_PLAIN:]) + N_PLAIN
    plain = np.ones(len(scales))
    if not len(texts):
        return [plain]
    plain[texts] = 0.0
    emphases = EMPHASES if plain @ (scales > 0) else (1.0,)
    some = chain.from_iterable(combinations(texts, n) for n in range(len(texts), 0, -1))
    return [
        plain + emphasis * np.isin(np.arange(len(scales)), chosen)
        for chosen, emphasis in product(some, emphases)
    ]


def _distinct(X, z, weight):
    """Rows of which no two are equal, with their mean target and the sum of their weights; and
    which of them each row is, (n,).

    The fit is the same; but an equal row would give away the target of one that is left out.
    """
    X.sum_duplicates()
    parts = pairwise(X.indptr)
    keys = np.array([X.indices[i:j].tobytes() + X.data[i:j].tobytes() for i, j in parts], object)
    kind = pd.factorize(keys)[0]
    first = np.unique(kind, return_index=True)[1]
    total = np.bincount(kind, weight)
    return X[first], np.bincount(kind, weight * z) / total, total, kind
