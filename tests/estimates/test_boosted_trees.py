"""Boosted trees as arrays: what scikit-learn's model says, without scikit-learn's model."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from llmreg.estimates.boosted_trees import ROWS_AT_ONCE, BoostedTrees, tree_settings
from llmreg.persistence import record


def _table(n=3 * ROWS_AT_ONCE // 2, seed=0):
    rng = np.random.RandomState(seed)
    X = rng.randn(n, 4)
    y = X[:, 0] + np.abs(X[:, 1]) + (X[:, 2] > 0)
    X[rng.rand(n, 4) < 0.1] = np.nan
    return X, y


@pytest.mark.parametrize(("weighted", "n"), [(False, 3000), (True, 3000), (False, 900)])
def test_it_predicts_what_scikit_learn_predicts(weighted, n):
    X, y = _table(n)
    weight = np.random.RandomState(1).rand(len(y)) if weighted else None
    new, _ = _table(seed=1)  # more than are predicted at once
    new[:4, 0] = [np.inf, -np.inf, 1e300, -1e300]
    theirs = HistGradientBoostingRegressor(**tree_settings(len(y)), random_state=0)
    theirs.fit(X, y, sample_weight=weight)
    ours = BoostedTrees().fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(ours.predict(new), theirs.predict(new), rtol=1e-12, atol=1e-12)


def test_many_rows_get_more_and_larger_trees():
    X, y = _table(1000)
    few, many = BoostedTrees().fit(X[:999], y[:999]), BoostedTrees().fit(X, y)
    assert (few.value_.shape, many.value_.shape) == ((130, 31), (300, 61))  # leaves and splits


def test_coarse_trees_are_half_as_many_and_nearly_as_good():
    X, y = _table(1400)
    X, new, y, truth = X[:700], X[700:], y[:700], y[700:]
    fine, coarse = BoostedTrees().fit(X, y), BoostedTrees(coarse=True).fit(X, y)
    assert (len(fine.value_), len(coarse.value_)) == (130, 65)
    fine, coarse = (np.mean((trees.predict(new) - truth) ** 2) for trees in (fine, coarse))
    assert coarse == pytest.approx(fine, rel=0.1)


def test_rows_do_not_depend_on_their_company():
    X, y = _table()
    trees = BoostedTrees().fit(X[:300], y[:300])
    alone = np.concatenate([trees.predict(X[i : i + 1]) for i in range(0, len(X), 500)])
    np.testing.assert_array_equal(trees.predict(X)[::500], alone)
    assert trees.predict(X[:0]).shape == (0,)


def test_leaves_are_smaller_in_small_tables():
    X = np.arange(30.0)[:, None]
    y = (X[:, 0] >= 25).astype(float)
    assert np.ptp(HistGradientBoostingRegressor().fit(X, y).predict(X)) < 1e-9  # no leaf of 20
    np.testing.assert_allclose(BoostedTrees().fit(X, y).predict(X), y, atol=0.01)


@pytest.mark.parametrize("n", [1, 3, 12])
def test_without_a_split_it_is_the_mean(n):
    y = np.arange(float(n))
    trees = BoostedTrees().fit(np.full((n, 2), np.nan), y)
    np.testing.assert_allclose(trees.predict(np.ones((2, 2))), y.mean())


def test_many_rows_stop_early_as_the_seed_says():
    X, y = _table(10_500)
    y = y + 5 * np.random.RandomState(0).randn(len(y))
    values = [BoostedTrees(seed).fit(X, y).value_ for seed in (0, 0, 1)]
    assert len(values[0]) < 300
    np.testing.assert_array_equal(values[0], values[1])
    assert values[0].shape != values[2].shape or (values[0] != values[2]).any()


def test_it_is_saved_without_pickle():
    X, y = _table(200)
    trees = BoostedTrees().fit(X, y)
    restored = record.load(*record.dump(trees, "trees"))
    np.testing.assert_array_equal(restored.predict(X), trees.predict(X))


def test_equal_weights_are_no_weights():
    X, y = _table(200)
    plain, weighted = BoostedTrees().fit(X, y), BoostedTrees().fit(X, y, np.full(200, 3.0))
    np.testing.assert_array_equal(plain.predict(X), weighted.predict(X))
