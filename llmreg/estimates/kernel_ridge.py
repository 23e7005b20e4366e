"""Kernel ridge regression that chooses its settings itself, and how much each column counts.

One factorisation tells what training rows would be estimated as without their fold, so held-out
estimates need no fit for each.
"""

from itertools import chain, pairwise

import numpy as np
from scipy import linalg, sparse
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics.pairwise import euclidean_distances

from llmreg.estimates.kernel_settings import (
    MIDDLE,
    N_PLAIN,
    POWER,
    best_settings,
    emphases,
    relevance,
)

__all__ = ["TunedKernelRidge"]

MOST_ROWS, MOST_TO_CHOOSE = 4000, 800  # that are fitted on, and that choose the settings
# Rows that are left out together. What is left then tells of each of them alike, where with one row
# left out it tells of that row by what is missing.
N_FOLDS = 10
LEAST_WEIGHT = 1e-200  # of which there is still a root to divide by
ROWS_AT_ONCE = 2048
COUNTS = (0.0, 0.3, 3.0)  # of a text, in place of 1
CLEARLY = 0.002  # of the error, by which a count must be better


class TunedKernelRidge(RegressorMixin, BaseEstimator):
    """Kernel ridge regression on rows whose columns come in blocks.

    Each block (numbers; categories; then those of texts: words of length 1, words as they are,
    vectors) is scaled to a variance of 1, those of texts by an emphasis on top, and of several of
    these some may be left out. Then each text of a row may count less, more or not at all. All of
    this, width of the kernel and penalty are those with the least weighted squared leave-one-out
    error of at most 800 rows. Last, columns of numbers and categories count by how much the
    function that was found changes along them, if that makes the error less. Of more than 4,000
    distinct rows as many are drawn and fitted on: time grows as the cube of the rows.

    Parameters
    ----------
    blocks : sequence of sequences of int
        Of each block, how many columns belong together: to one number, to the levels of one
        category, to one text (in all blocks of texts one after the other).
    random_state : int
        Which rows choose, and are fitted on.

    Attributes
    ----------
    factors_ : ndarray of shape (n_columns,)
        What columns are multiplied with.
    gamma_ : float
        exp(-gamma · (p ** 0.75 + t)) is the kernel, of the squared distances p by numbers and
        categories and t by texts.
    penalty_ : float
    values_, columns_, starts_ : ndarray
        The distinct rows that were fitted on, scaled, as a sparse matrix has them.
    dual_ : ndarray of shape (n_known,)

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg.estimates.kernel_ridge import TunedKernelRidge
    >>> X = np.linspace(0, 6, 60)[:, None]
    >>> model = TunedKernelRidge([[1]], 0).fit(X, np.sin(X[:, 0]))
    >>> model.predict([[np.pi / 2]]).round(2)
    array([1.])
    """

    def __init__(self, blocks, random_state):
        self.blocks = blocks
        self.random_state = random_state

    def fit(self, X, z, sample_weight=None):
        """Choose settings, and fit on a matrix (n, n_columns) and targets (n,) about 0."""
        self.fit_held_out(X, z, sample_weight)
        return self

    def fit_held_out(self, X, z, sample_weight=None, groups=None):
        """The same; returns what is said of each training row without its fold and its ``groups``'
        other rows, (n,): see :func:`llmreg.tables.copies.copy_groups`.

        Of one row left out each, where little is to be found, estimates would be the mean less the
        row's own part of it, which gives its target away.
        """
        X, groups = sparse.csr_matrix(X), np.arange(len(z)) if groups is None else groups
        weight = np.ones(len(z)) if sample_weight is None else sample_weight
        X, z, weight = _distinct(X, z, np.maximum(weight, LEAST_WEIGHT), groups)
        some = np.random.RandomState(self.random_state).permutation(len(z))[:MOST_ROWS]
        part = some[:MOST_TO_CHOOSE]
        self._choose(X[part], self._block_scales(X), z[part], weight[part])
        rows = self._scaled(X[some])
        self.values_, self.columns_, self.starts_ = rows.data, rows.indices, rows.indptr
        said = np.empty(len(z))
        said[some] = self._solve(self._kernel(rows, rows), z[some], weight[some])
        others = np.setdiff1d(np.arange(len(z)), some)
        for start in range(0, len(others), ROWS_AT_ONCE):
            part = others[start : start + ROWS_AT_ONCE]
            said[part] = self.predict(X[part])
        return said[groups]

    def predict(self, X):
        """Estimates (m,) of rows."""
        rows, known = sparse.csr_matrix(X), self._known()
        parts = [
            self._kernel(self._scaled(rows[start : start + ROWS_AT_ONCE]), known) @ self.dual_
            for start in range(0, rows.shape[0], ROWS_AT_ONCE)
        ]
        return np.concatenate(parts or [np.zeros(0)])

    def fits_together(self):
        """Whether the arrays are those of one fit, and not of a file that was tampered with."""
        starts, size = self.starts_.astype(int), sum(self._sizes())
        if len(self.dual_) + 1 != len(starts) or len(self.factors_) != size:
            return False
        ordered = starts[0] == 0 and (np.diff(starts) >= 0).all()
        counted = len(self.values_) == len(self.columns_) == starts[-1]
        within = (self.columns_ >= 0).all() and self.columns_.max(initial=0) < size < 2**31
        return bool(ordered and counted and within)

    def _sizes(self):
        """Columns of each block."""
        return list(map(sum, self.blocks))

    def _n_plain(self):
        return sum(self._sizes()[:N_PLAIN])

    def _block_scales(self, X):
        """Of each block, one over the root of its variance; 0 where it has none."""
        squares = np.asarray(X.multiply(X).mean(0)).ravel() - np.asarray(X.mean(0)).ravel() ** 2
        ends = np.cumsum([0, *self._sizes()])
        variances = np.array([squares[i:j].sum() for i, j in pairwise(ends)])
        known = variances > 1e-12
        return np.where(known, 1 / np.sqrt(np.where(known, variances, 1.0)), 0.0)

    def _split(self, X, scales):
        """Squared distances between rows by each scaled block, (n_blocks, n, n)."""
        ends = np.cumsum([0, *self._sizes()])
        found = np.zeros((len(scales), X.shape[0], X.shape[0]))
        for block in np.flatnonzero(scales):
            columns = X[:, ends[block] : ends[block + 1]] * scales[block]
            found[block] = euclidean_distances(columns, squared=True)
        return found

    def _choose(self, X, scales, z, weight):
        """Find the factors of columns, width and penalty."""

        def error(words):
            return best_settings(plain + words, z, weight, MIDDLE).error

        distances = self._split(X, scales)
        plain, texts = distances[:N_PLAIN].sum(0) ** POWER, distances[N_PLAIN:]
        # One after the other: all of them at once would take too much memory.
        sums = ((counts, np.tensordot(counts[N_PLAIN:], texts, 1)) for counts in emphases(scales))
        least, counts, words = min(
            ((error(words), counts, words) for counts, words in sums), key=lambda found: found[0]
        )
        self.factors_ = np.repeat(scales * np.sqrt(counts), self._sizes())
        words = self._weigh_texts(X, words, error, least)
        best = self._weigh_plain(X, plain, words, z, weight)
        self.gamma_, self.penalty_ = best.gamma, best.penalty

    def _weigh_texts(self, X, words, error, least):
        """Let each text count as the error is least; returns the distances by all texts."""
        if not self.blocks[N_PLAIN:]:
            return words
        owner = [np.repeat(np.arange(len(block)), block) for block in self.blocks[N_PLAIN:]]
        n_plain, owner = self._n_plain(), np.concatenate(owner)
        for text in np.unique(owner):
            columns = n_plain + np.flatnonzero(owner == text)
            own = euclidean_distances(self._scaled(X)[:, columns], squared=True)
            rest = np.maximum(words - own, 0.0)
            factors = self.factors_[columns]
            self.factors_[columns] = 0.0
            others = self.factors_[n_plain:].any()  # some text must count
            share = 1.0
            for count in COUNTS[0 if others else 1 :]:
                found = error(rest + count * own)
                if found < (1 - CLEARLY) * least:
                    share, least = count, found
            words = rest + share * own
            self.factors_[columns] = factors * np.sqrt(share)
        return words

    def _weigh_plain(self, X, plain, words, z, weight):
        """Let numbers and categories count by slopes if that helps; :class:`KernelSettings`."""
        best = best_settings(plain + words, z, weight)
        mine = slice(self._n_plain())
        columns = X[:, mine].toarray() * self.factors_[mine]
        if np.count_nonzero(columns.var(0)) < 2:
            return best
        sizes = list(chain(*self.blocks[:N_PLAIN]))
        counts = relevance(columns, sizes, best, plain + words, z, weight)
        plain = euclidean_distances(columns * np.sqrt(counts), squared=True) ** POWER
        other = best_settings(plain + words, z, weight)
        if other.error < best.error:
            self.factors_[mine] *= np.sqrt(counts)
            return other
        return best

    def _solve(self, kernel, z, weight):
        """Find the dual weights; returns estimates of rows without their fold (as
        leave-one-out errors are found, by blocks of the inverse)."""
        root = np.sqrt(weight)
        kernel *= np.outer(root, root)
        kernel[np.diag_indices_from(kernel)] += self.penalty_
        inverse = linalg.inv(kernel, overwrite_a=True)
        solution = inverse @ (root * z)
        self.dual_ = root * solution
        said = np.empty(len(z))
        for fold in np.array_split(np.arange(len(z)), min(N_FOLDS, len(z))):  # in no order
            off = linalg.solve(inverse[np.ix_(fold, fold)], solution[fold], assume_a="pos")
            said[fold] = z[fold] - off / root[fold]
        return said

    def _scaled(self, X):
        return X @ sparse.diags(self.factors_, format="csr")

    def _known(self):
        shape = len(self.starts_) - 1, len(self.factors_)
        return sparse.csr_matrix((self.values_, self.columns_, self.starts_), shape)

    def _kernel(self, rows, known):
        """exp(-gamma · distance), in place: of many rows one matrix takes gigabytes."""
        n_plain = self._n_plain()
        far = np.zeros((rows.shape[0], known.shape[0]))
        for part, power in ((slice(n_plain), POWER), (slice(n_plain, None), 1.0)):
            if rows[:, part].shape[1]:
                squared = euclidean_distances(rows[:, part], known[:, part], squared=True)
                far += np.power(squared, power, out=squared)
        far *= -self.gamma_
        return np.exp(far, out=far)


def _distinct(X, z, weight, groups):
    """Rows without their copies, targets, and the sums of their weights.

    The fit is the same; but a copy would give away the target of one that is left out.
    """
    first = np.unique(groups, return_index=True)[1]
    return X[first], z[first], np.bincount(groups, weight)
