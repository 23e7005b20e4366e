"""Kernel ridge regression: leave-one-out by brute force, blocks, weights, and what it chooses."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import r2_score

from llmreg.estimates.kernel_ridge import GaussianKernelRidge, leave_one_out


def _rows(n=60, seed=0):
    rng = np.random.RandomState(seed)
    X = rng.randn(n, 3)
    z = np.sin(2 * X[:, 0]) + 0.3 * X[:, 1] + 0.1 * rng.randn(n)
    return X, (z - z.mean()) / z.std(), rng.randint(1, 4, n).astype(float)


@pytest.mark.parametrize("weighted", [False, True])
def test_leave_one_out_is_a_fit_without_each_row(weighted):
    X, z, weight = _rows(25)
    weight = weight if weighted else np.ones(25)
    kernel = np.exp(-0.5 * ((X[:, None] - X) ** 2).sum(2))
    penalties = np.array([0.01, 1.0])
    found = leave_one_out(kernel, z, weight, penalties)
    for said, penalty in zip(found, penalties, strict=True):
        for row in range(25):
            rest = np.delete(np.arange(25), row)
            plain = KernelRidge(alpha=penalty, kernel="rbf", gamma=0.5)
            plain.fit(X[rest], z[rest], sample_weight=weight[rest])
            assert said[row] == pytest.approx(plain.predict(X[[row]])[0], abs=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_fit_is_scikit_learns_with_the_chosen_settings(weighted):
    X, z, weight = _rows()
    weight = weight if weighted else np.ones(len(z))
    model = GaussianKernelRidge([3], 0)
    unseen = model.fit_leave_one_out(X, z, weight)
    plain = KernelRidge(alpha=model.penalty_, kernel="rbf", gamma=model.gamma_)
    plain.fit(X * model.factors_[0], z, sample_weight=weight)
    new = _rows(seed=1)[0]
    np.testing.assert_allclose(model.predict(new), plain.predict(new * model.factors_[0]))
    kernel = np.exp(-model.gamma_ * ((X[:, None] - X) ** 2).sum(2) * model.factors_[0] ** 2)
    expected = leave_one_out(kernel, z, weight, np.array([model.penalty_]))[0]
    np.testing.assert_allclose(unseen, expected, atol=1e-8)


def test_sparse_and_dense_rows_are_the_same():
    X, z, _ = _rows()
    dense, thin = (GaussianKernelRidge([2, 1], 0).fit(A, z) for A in (X, sparse.csr_matrix(X)))
    np.testing.assert_allclose(dense.predict(X), thin.predict(sparse.csr_matrix(X)))


def test_a_block_counts_the_same_in_any_unit_and_one_that_is_constant_does_not():
    X, z, _ = _rows()
    plain = GaussianKernelRidge([1, 2], 0).fit(X, z).predict(X)
    scaled = X * [1e6, 1e-3, 1e-3]
    np.testing.assert_allclose(GaussianKernelRidge([1, 2], 0).fit(scaled, z).predict(scaled), plain)
    padded = np.hstack([X, np.full((len(z), 2), 7.0)])
    model = GaussianKernelRidge([1, 2, 2], 0).fit(padded, z)
    assert model.factors_[2] == 0
    assert np.isfinite(model.predict(padded * 2)).all()


def test_the_block_that_matters_gets_the_emphasis():
    X, z, _ = _rows(200)
    rng = np.random.RandomState(1)
    noise = rng.randn(200, 5)
    model = GaussianKernelRidge([5, 0, 3], 0).fit(np.hstack([noise, X]), z)
    assert model.factors_[2] / model.factors_[0] > 2
    other = GaussianKernelRidge([3, 0, 5], 0).fit(np.hstack([X, noise]), z)
    assert other.factors_[2] < other.factors_[0]


def test_of_two_blocks_of_texts_one_that_says_nothing_is_left_out():
    X, z, _ = _rows(200)
    noise = np.random.RandomState(1).randn(200, 9)
    for columns, blocks, idle in (((noise, X), [0, 0, 9, 3], 2), ((X, noise), [0, 0, 3, 9], 3)):
        model = GaussianKernelRidge(blocks, 0).fit(np.hstack(columns), z)
        assert model.factors_[idle] == 0 < model.factors_[5 - idle]
    both = GaussianKernelRidge([0, 0, 1, 2], 0).fit(X, z)
    assert (both.factors_[2:] > 0).all()  # each knows a part


def test_of_three_blocks_of_texts_the_one_that_says_nothing_is_left_out():
    X, z, _ = _rows(200)
    noise = np.random.RandomState(1).randn(200, 9)
    model = GaussianKernelRidge([0, 0, 1, 9, 2], 0).fit(np.hstack([X[:, :1], noise, X[:, 1:]]), z)
    assert model.factors_[3] == 0 < model.factors_[[2, 4]].min()


def test_what_is_smooth_is_learnt_and_unseen_estimates_tell_how_well():
    X, z, _ = _rows(400)
    model = GaussianKernelRidge([3], 0)
    unseen = r2_score(z, model.fit_leave_one_out(X, z))
    fresh, truth, _ = _rows(400, seed=1)
    assert 0.9 < unseen < 1 and r2_score(truth, model.predict(fresh)) == pytest.approx(
        unseen, abs=0.04
    )


def test_nothing_to_read_gives_the_mean():
    model = GaussianKernelRidge([1, 0], 0).fit(np.zeros((9, 1)), np.arange(9.0) - 4)
    np.testing.assert_allclose(model.predict(np.zeros((2, 1))), 0.0, atol=1e-9)
    assert model.predict(np.zeros((0, 1))).shape == (0,)


def test_a_row_twice_is_a_row_of_twice_the_weight_and_its_equal_gives_nothing_away():
    X, z, weight = _rows(40)
    z -= np.average(z, weights=weight)
    once, often = GaussianKernelRidge([3], 0), GaussianKernelRidge([3], 0)
    unseen = once.fit_leave_one_out(X, z, weight)
    copies = np.random.RandomState(0).permutation(np.repeat(np.arange(40), weight.astype(int)))
    repeated = often.fit_leave_one_out(X[copies], z[copies])
    np.testing.assert_allclose(repeated, unseen[copies], atol=1e-8)
    np.testing.assert_allclose(often.predict(X), once.predict(X), atol=1e-8)


def test_equal_rows_with_other_targets_count_by_their_mean():
    X, z, _ = _rows(40)
    twins = GaussianKernelRidge([3], 0).fit(np.vstack([X, X]), np.append(z + 1, z - 1))
    single = GaussianKernelRidge([3], 0).fit(X, z, np.full(40, 2.0))
    np.testing.assert_allclose(twins.predict(X), single.predict(X), atol=1e-8)


def test_predictions_do_not_depend_on_how_many_rows_are_asked_for(monkeypatch):
    X, z, _ = _rows()
    model = GaussianKernelRidge([3], 0).fit(X, z)
    whole = model.predict(X)
    monkeypatch.setattr("llmreg.estimates.kernel_ridge.ROWS_AT_ONCE", 7)
    np.testing.assert_allclose(model.predict(X), whole, atol=1e-12)
    np.testing.assert_allclose(model.predict(X[3:5]), whole[3:5], atol=1e-12)


def test_too_many_rows_are_refused_with_the_remedy(monkeypatch):
    X, z, _ = _rows()
    monkeypatch.setattr("llmreg.estimates.kernel_ridge.MOST_ROWS", 59)
    with pytest.raises(ValueError, match=r"60 distinct training rows.*estimates='both'"):
        GaussianKernelRidge([3], 0).fit(X, z)
    twins = np.where(np.arange(60) < 2, 0, np.arange(60))  # two of them alike
    GaussianKernelRidge([3], 0).fit(X[twins], z)


@pytest.mark.parametrize("light", [0.0, 5e-324, 1e-300, 1e-12])
def test_rows_that_hardly_count_are_estimated_like_new_ones(light):
    X, z, _ = _rows()
    weight = np.where(np.arange(60) < 20, light, 1.0)
    model = GaussianKernelRidge([3], 0)
    unseen = model.fit_leave_one_out(X, z, weight)
    np.testing.assert_allclose(unseen[:20], model.predict(X)[:20], atol=1e-6)
