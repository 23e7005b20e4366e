"""What simple regressors make of a row: as further cells of it, and together as an estimate.

What a ridge regression finds at once (slopes, the worth of each word) and what boosted trees find
(steps, interactions) a small network with fresh weights finds only with many rows. So it is told,
and learns how far to trust whom: the estimates of the training rows come from regressors that have
not seen them. And what they say together is kept, to be pooled with what it says after training.
"""

from dataclasses import replace

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import KFold

from llmreg.estimates.boosted_trees import BoostedTrees
from llmreg.estimates.heaps import Heaps, fit_heaps, off_ends, on_ends
from llmreg.estimates.kernel_ridge import TunedKernelRidge
from llmreg.estimates.row_features import RowFeatures
from llmreg.estimates.stacking import (
    Estimate,
    OnEnds,
    Spread,
    Widths,
    fit_spread,
    stacking_weights,
    width_signs,
)
from llmreg.tables.copies import copy_groups
from llmreg.tables.rows import Field

__all__ = ["KINDS", "RowEstimates"]

KINDS = ("linear", "kernel", "boosted")
PENALTIES = np.logspace(-2, 3, 6)
MOST_ROWS_TO_CHOOSE = 3000  # the penalty is chosen on so many
LIGHTEST = 1e-6  # of the mean: rows of less leave errors that are 0 in 0
N_FOLDS, FEWER_FOLDS, COARSE_FOLDS = 5, 3, 4
MANY_ROWS = 20_000  # beyond which fewer folds leave enough of them to fit on
SHRUNK = 1 / 1.1  # targets in place of estimates: of round ones, numbers that are not
DIGITS = 6  # after the point; the others depend on how many threads the computer has


class RowEstimates(BaseEstimator):
    """Extend serialised rows by fields with simple regressors' estimates of the target.

    Parameters
    ----------
    kinds : sequence of {"linear", "kernel", "boosted"}
        "linear": a ridge regression on standardised numbers with flags for gaps, one-hot categories
        and TF-IDF of the texts. "kernel": a kernel ridge regression on the same, of at most 4,000
        rows. "boosted": gradient-boosted trees on numbers, codes of categories, and components of
        the texts.
    codec : fitted TargetCodec
        On whose axis all is fitted and said.
    mean, std : float
        Of the training targets, on that axis.
    random_state : int
        Seed of folds, components and trees.

    Attributes
    ----------
    features_ : RowFeatures
    regressors_ : dict of str to fitted regressor
        By kind, fitted on all training rows.
    weights_ : ndarray of shape (n_kinds,)
        What estimates (less the mean) are multiplied with to be one together.
    spread_ : tuple of float
        :class:`llmreg.estimates.stacking.Spread` of its errors, in standard deviations of the
        targets.
    widths_ : tuple of ndarray
        :class:`llmreg.estimates.stacking.Widths`: in which rows errors are larger.
    heaps_ : tuple of ndarray, or None
        :class:`llmreg.estimates.heaps.Heaps`, where targets heap up on an end of their range:
        which rows are there. Spread and widths are those of the others.
    """

    def __init__(self, kinds, codec, mean, std, random_state):
        self.kinds = kinds
        self.codec = codec
        self.mean = mean
        self.std = std
        self.random_state = random_state

    def fit_extend(self, rows, y, weight):
        """Fit on training rows, and extend them.

        Parameters
        ----------
        rows : SerializedRows of n rows
        y, weight : ndarray of shape (n,)

        Returns
        -------
        SerializedRows
            With held-out estimates: each row's own target has no part in its estimates.
        """
        self.features_ = RowFeatures(self.kinds, self.random_state)
        designs = self.features_.fit_transform(rows)
        estimates = self._stacked(designs, y, weight, copy_groups(rows, y))
        z, weight = self._standardised(y), weight / weight.mean()
        for kind, design in designs.items():
            if kind != "kernel":  # which is fitted since it was stacked
                self.regressors_[kind].fit(design, z, sample_weight=weight)
        return self._extended(rows, estimates)

    def extend_unfitted(self, rows, y, weight):
        """Rows as :meth:`fit_extend` leaves them, but that nothing is fitted: for estimates stand
        numbers within the range of the targets, in as many digits."""
        z = SHRUNK * self._standardised(y)
        ends = OnEnds(np.zeros((len(z), 2)), np.zeros(2)) if on_ends(y, weight).any() else None
        estimate = Estimate(z, np.ones_like(z), Spread(1.0, 1.0, 0.5), ends)
        return self._extended(rows, np.tile(z[:, None], len(self.kinds)), estimate)

    def held_out_estimate(self, designs, y, weight, groups):
        """About what regressors say of rows that they have not seen, by fewer folds and trees;
        nothing else is fitted.

        Parameters
        ----------
        designs : dict of str to matrix
            Of :class:`RowFeatures`, by kind.
        y, weight : ndarray of shape (n,)
        groups : ndarray of int of shape (n,)
            Of :func:`llmreg.tables.copies.copy_groups`.

        Returns
        -------
        Estimate
        """
        return self._estimate(self._stacked(designs, y, weight, groups, coarse=True))

    def _stacked(self, designs, y, weight, groups, coarse=False):
        """Choose regressors, and learn from held-out estimates (n, n_kinds) how good they are."""
        z, weight = self._standardised(y), weight / weight.mean()
        self.range_ = float(z.min()), float(z.max())
        self.regressors_, estimates = {}, {}
        for kind, design in designs.items():
            regressor = self.regressors_[kind] = self._chosen(kind, design, z, weight, coarse)
            n_folds = COARSE_FOLDS if coarse else None
            estimates[kind] = self._held_out(regressor, design, z, weight, groups, n_folds)
        estimates = self._within_reach(estimates)
        self._stack(estimates, z, weight, on_ends(y, weight), coarse)
        return estimates

    def _stack(self, estimates, z, weight, on_end, coarse):
        """Learn what held-out estimates say together, of which rows, and how far off that is."""
        self.weights_ = stacking_weights(estimates, z, weight)
        centre, signs = estimates @ self.weights_, width_signs(estimates, self.weights_)
        self.heaps_, some = None, off_ends(on_end)
        if on_end.any():
            heaps = fit_heaps(on_end, z, centre, signs, weight)
            self.heaps_, centre = tuple(heaps), heaps.between(centre)
        if coarse:  # as wide in all rows, which is what scales of the target are compared by
            signs = np.zeros_like(signs)
        spread, widths = fit_spread((z - centre)[some], weight[some], signs[some])
        self.spread_, self.widths_ = tuple(spread), tuple(widths)

    def extend_training(self, rows, y, weight):
        """Extend further training rows as :meth:`fit_extend` does, and stay as fitted."""
        z, weight, groups = self._standardised(y), weight / weight.mean(), copy_groups(rows, y)
        held_out = {
            kind: self._held_out(clone(self.regressors_[kind]), design, z, weight, groups)
            for kind, design in self.features_.transform(rows).items()
        }
        return self._extended(rows, self._within_reach(held_out))

    def extend(self, rows):
        """Extend rows to predict for."""
        estimates = {
            kind: self.regressors_[kind].predict(design)
            for kind, design in self.features_.transform(rows).items()
        }
        return self._extended(rows, self._within_reach(estimates))

    def _standardised(self, y):
        return (self.codec.to_axis(y) - self.mean) / self.std

    def _chosen(self, kind, design, z, weight, coarse):
        """An unfitted regressor."""
        if kind == "boosted":
            return BoostedTrees(self.random_state, coarse)
        if kind == "kernel":
            return TunedKernelRidge(self.features_.blocks_, self.random_state)
        return self._ridge(design, z, weight)

    def _ridge(self, design, z, weight):
        """The ridge regression, not fitted, of the penalty with the least leave-one-out error."""
        if len(z) < 2:
            return Ridge()
        some = np.random.RandomState(self.random_state).permutation(len(z))[:MOST_ROWS_TO_CHOOSE]
        some_weight = np.maximum(weight[some], LIGHTEST)
        return Ridge(RidgeCV(PENALTIES).fit(design[some], z[some], some_weight).alpha_)

    def _held_out(self, regressor, design, z, weight, groups, n_folds=None):
        """Estimates (n,) of rows by regressors that were fitted without them.

        Kernel ridge regression is fitted afterwards, and needs no fit without each fold; of others
        clones are fitted. Copies of a row are left out together.
        """
        if isinstance(regressor, TunedKernelRidge):
            return regressor.fit_held_out(design, z, weight, groups)
        n_kinds = groups.max() + 1
        if n_kinds < 2:
            return np.zeros(len(z))
        n_folds = n_folds or (N_FOLDS if len(z) <= MANY_ROWS else FEWER_FOLDS)
        folds = KFold(min(n_folds, n_kinds), shuffle=True, random_state=self.random_state)
        estimate = np.empty(len(z))
        # Not cross_val_predict: it would hand the folds to the joblib backend that this fit may
        # itself run on, and let another fit begin in this process meanwhile.
        for _, fold in folds.split(np.arange(n_kinds)):
            out = np.isin(groups, fold)
            fitted = clone(regressor).fit(design[~out], z[~out], sample_weight=weight[~out])
            estimate[out] = fitted.predict(design[out])
        return estimate

    def _within_reach(self, estimates):
        """Estimates by kind as a matrix (n, n_kinds): at most as far beyond the targets as they
        reach."""
        low, high = self.range_
        # On a scale that is not y itself, a little beyond is far too much.
        beyond = high - low if self.codec.linear else 0.0
        z = np.stack([estimates[kind] for kind in self.kinds], axis=1)
        return np.clip(z.round(DIGITS), low - beyond, high + beyond)

    def _extended(self, rows, estimates, estimate=None):
        for kind, z in zip(self.kinds, estimates.T, strict=True):
            rows = self._with_field(rows, f"{kind} estimate", self.mean + self.std * z)
        return replace(rows, estimate=estimate or self._estimate(estimates))

    def _estimate(self, estimates):
        centre, signs = estimates @ self.weights_, width_signs(estimates, self.weights_)
        chances = None
        if self.heaps_ is not None:
            heaps = Heaps(*self.heaps_)
            centre = heaps.between(centre)
            chances = OnEnds(heaps.chance(signs), self.mean + self.std * heaps.ends)
        width = self.std * Widths(*self.widths_).of(signs)
        return Estimate(self.mean + self.std * centre, width, Spread(*self.spread_), chances)

    def _with_field(self, rows, name, estimate):
        text = np.empty(len(estimate), dtype=object)
        text[:] = [f"{value:.4g}" for value in self.codec.from_axis(estimate)]
        missing = np.zeros(len(estimate), bool)
        field = Field(name, "number", text, missing, estimate[:, None], (name,), estimate=True)
        *literals, last = rows.literals
        label = f"\n{name}: " if last.startswith("\n") else f", {name}: "
        return replace(rows, literals=(*literals, label, last), fields=(*rows.fields, field))
