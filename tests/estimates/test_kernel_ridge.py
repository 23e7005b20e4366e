"""Kernel ridge regression: blocks, weights, what it chooses, and rows that it has not seen."""

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import r2_score

from llmreg.estimates import kernel_ridge
from llmreg.estimates.kernel_ridge import TunedKernelRidge
from llmreg.estimates.kernel_settings import leave_one_out


def _rows(n=60, seed=0):
    rng = np.random.RandomState(seed)
    X = rng.randn(n, 3)
    z = np.sin(2 * X[:, 0]) + 0.3 * X[:, 1] + 0.1 * rng.randn(n)
    return X, (z - z.mean()) / z.std(), rng.randint(1, 4, n).astype(float)


def _model(*blocks):
    """Each number a column of its own, each block of texts one text."""
    parts = [[1] * size if place < 2 else [size] for place, size in enumerate(blocks)]
    return TunedKernelRidge(parts, 0)


@pytest.mark.parametrize("blocks", [[3], [2, 0, 1], [1, 1, 0, 1]])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_fit_is_scikit_learns_with_the_chosen_settings(weighted, blocks, monkeypatch):
    X, z, weight = _rows()
    weight = weight if weighted else np.ones(len(z))
    model = _model(*blocks)
    unseen = model.fit_held_out(X, z, weight)

    def kernel(A, B):
        A, B, n_plain = A * model.factors_, B * model.factors_, sum(blocks[:2])
        far = cdist(A[:, :n_plain], B[:, :n_plain]) ** 1.5
        far += ((A[:, None, n_plain:] - B[:, n_plain:]) ** 2).sum(2)
        return np.exp(-model.gamma_ * far)

    plain = KernelRidge(alpha=model.penalty_, kernel="precomputed")
    plain.fit(kernel(X, X), z, sample_weight=weight)
    new = _rows(seed=1)[0]
    np.testing.assert_allclose(model.predict(new), plain.predict(kernel(new, X)))
    monkeypatch.setattr(kernel_ridge, "N_FOLDS", 999)  # each row by itself
    expected = leave_one_out(kernel(X, X), z, weight, np.array([model.penalty_]))[0]
    np.testing.assert_allclose(_model(*blocks).fit_held_out(X, z, weight), expected, atol=1e-8)
    folds = np.array_split(np.random.RandomState(0).permutation(60), 10)
    for fold in folds:
        others = np.setdiff1d(np.arange(60), fold)
        plain.fit(kernel(X[others], X[others]), z[others], sample_weight=weight[others])
        said = plain.predict(kernel(X[fold], X[others]))
        np.testing.assert_allclose(unseen[fold], said, atol=1e-8)


def test_rows_are_not_given_away_by_what_is_missing_without_them():
    """Where nothing is to be found, the mean without a row is the lower the higher the row."""
    rng = np.random.RandomState(0)
    X, z = rng.randn(300, 3), np.where(rng.rand(300) < 0.3, 1.5, -0.65)
    unseen = _model(3).fit_held_out(X, z)
    assert abs(np.corrcoef(unseen, z)[0, 1]) < 0.3
    order = np.argsort(unseen)  # nor by any other order of what is said
    shares = [(z[part] > 0).mean() for part in np.array_split(order, 3)]
    assert np.ptp(shares) < 0.3


def test_columns_count_by_what_they_tell(monkeypatch):
    X, z, _ = _rows(300)
    new, truth, _ = _rows(300, seed=1)
    draw = np.random.RandomState(2).randn
    X, new = np.hstack([X, draw(300, 5)]), np.hstack([new, draw(300, 5)])
    model = _model(8).fit(X, z)
    sine, slope, *idle = model.factors_
    assert sine > slope > max(idle)
    steps = np.log2((model.factors_ / model.factors_[0]) ** 2)
    np.testing.assert_allclose(steps, steps.round(), atol=1e-9)
    known = r2_score(truth, model.predict(new))
    monkeypatch.setattr("llmreg.estimates.kernel_ridge.relevance", lambda X, *_: np.ones(8))
    groups = _model(8).fit(X, z)
    assert known > r2_score(truth, groups.predict(new)) + 0.05


def test_levels_of_a_category_count_the_same():
    rng = np.random.RandomState(0)
    level, other = rng.randint(0, 8, 300), rng.randint(0, 8, 300)
    X = np.hstack([np.eye(8)[level], np.eye(8)[other], rng.randn(300, 1)])
    z = (level == 0) * 2.0 + (level == 1) + 0.1 * rng.randn(300)
    factors = TunedKernelRidge([[], [8, 8], [1]], 0).fit(X, z - z.mean()).factors_
    (telling,), (idle,) = set(factors[:8]), set(factors[8:16])
    assert telling > 1.5 * idle


def test_columns_keep_their_part_where_slopes_only_harm(monkeypatch):
    X, z, _ = _rows()
    monkeypatch.setattr(
        "llmreg.estimates.kernel_ridge.relevance", lambda *args: np.array([0.0, 0.0, 3.0])
    )
    assert len(set(_model(3).fit(X, z).factors_)) == 1


def test_sparse_and_dense_rows_are_the_same():
    X, z, _ = _rows()
    dense, thin = (_model(2, 1).fit(A, z) for A in (X, sparse.csr_matrix(X)))
    np.testing.assert_allclose(dense.predict(X), thin.predict(sparse.csr_matrix(X)))


def test_a_block_counts_the_same_in_any_unit_and_one_that_is_constant_does_not():
    X, z, _ = _rows()
    plain = _model(1, 2).fit(X, z).predict(X)
    scaled = X * [1e6, 1e-3, 1e-3]
    np.testing.assert_allclose(_model(1, 2).fit(scaled, z).predict(scaled), plain)
    padded = np.hstack([X, np.full((len(z), 2), 7.0)])
    model = _model(1, 2, 2).fit(padded, z)
    assert not model.factors_[3:].any()
    assert np.isfinite(model.predict(padded * 2)).all()


def test_the_block_that_matters_gets_the_emphasis():
    X, z, _ = _rows(200)
    rng = np.random.RandomState(1)
    noise = rng.randn(200, 5)
    model = _model(5, 0, 3).fit(np.hstack([noise, X]), z)
    assert model.factors_[5] / model.factors_[:5].mean() > 2
    other = _model(3, 0, 5).fit(np.hstack([X, noise]), z)
    assert other.factors_[3] < other.factors_[:3].mean()


def test_of_two_blocks_of_texts_one_that_says_nothing_is_left_out():
    X, z, _ = _rows(200)
    noise = np.random.RandomState(1).randn(200, 9)
    for columns, blocks in (((noise, X), [0, 0, 9, 3]), ((X, noise), [0, 0, 3, 9])):
        factors = _model(*blocks).fit(np.hstack(columns), z).factors_
        idle, telling = (factors[:9], factors[9:]) if blocks[2] == 9 else (factors[3:], factors[:3])
        assert not idle.any() and (telling > 0).all()
    both = _model(0, 0, 1, 2).fit(X, z)
    assert (both.factors_ > 0).all()  # each knows a part


def test_of_three_blocks_of_texts_the_one_that_says_nothing_is_left_out():
    X, z, _ = _rows(200)
    noise = np.random.RandomState(1).randn(200, 9)
    model = _model(0, 0, 1, 9, 2).fit(np.hstack([X[:, :1], noise, X[:, 1:]]), z)
    assert not model.factors_[1:10].any() and (model.factors_[[0, 10, 11]] > 0).all()


def test_a_text_that_says_nothing_counts_less_or_not_at_all(monkeypatch):
    """Texts 1 and 2 stand in two blocks: of either, one part tells, or none does."""
    X, z, _ = _rows(200)
    new, truth, _ = _rows(200, seed=1)
    draw = np.random.RandomState(2).randn
    blocks = [[], [], [3, 6], [0, 4]]
    X, new = np.hstack([X, draw(200, 10)]), np.hstack([new, draw(200, 10)])
    model = TunedKernelRidge(blocks, 0).fit(X, z)
    telling, *idle = np.split(model.factors_, [3, 9])
    assert all(part.max() < 0.6 * telling.min() for part in idle)
    known = r2_score(truth, model.predict(new))
    monkeypatch.setattr("llmreg.estimates.kernel_ridge.COUNTS", ())
    groups = TunedKernelRidge(blocks, 0).fit(X, z)
    assert known > r2_score(truth, groups.predict(new)) + 0.1


def test_of_the_counts_of_a_text_the_one_with_the_least_error_is_taken():
    model = TunedKernelRidge([[], [], [1, 1, 1]], 0)
    X = sparse.csr_matrix(np.random.RandomState(0).rand(9, 3))
    model.factors_ = np.array([1.0, 2.0, 1.0])
    rows = X.toarray() * model.factors_
    words = model._weigh_texts(X, cdist(rows, rows) ** 2, np.mean, 1e9)
    np.testing.assert_allclose(model.factors_, [0, 0, np.sqrt(0.3)])  # the last must stay
    left = X.toarray() * model.factors_
    np.testing.assert_allclose(words, cdist(left, left) ** 2, atol=1e-12)
    model.factors_ = np.array([1.0, 2.0, 1.0])
    model._weigh_texts(X, np.zeros((9, 9)), lambda far: -far.mean(), 0.0)
    np.testing.assert_allclose(model.factors_, np.sqrt(3) * np.array([1, 2, 1]))


def test_some_text_counts_even_where_none_tells_anything():
    X, z, _ = _rows(60)
    noise = np.random.RandomState(1).randn(60, 8)
    model = TunedKernelRidge([[1] * 3, [], [4, 4]], 0).fit(np.hstack([X, noise]), z)
    assert model.factors_[3:].any() and model.factors_[3:].max() < model.factors_[:3].max()


def test_distances_by_texts_are_those_of_the_factors_that_were_found(monkeypatch):
    """What is chosen is what was tried: the settings' error is that of the fit."""
    found, true = [], kernel_ridge.best_settings
    monkeypatch.setattr(
        kernel_ridge, "best_settings", lambda *args: found.append(true(*args)) or found[-1]
    )
    monkeypatch.setattr(kernel_ridge, "N_FOLDS", 80)
    X, z, weight = _rows(80)
    X = np.hstack([X, np.random.RandomState(1).randn(80, 6)])
    model = TunedKernelRidge([[1, 1], [], [1, 3], [2, 1]], 0)
    unseen = model.fit_held_out(X, z, weight)
    chosen = [s for s in found if (s.gamma, s.penalty) == (model.gamma_, model.penalty_)]
    error = np.average((unseen - z) ** 2, weights=weight)
    assert min(abs(settings.error - error) for settings in chosen) < 1e-9


def test_what_is_smooth_is_learnt_and_unseen_estimates_tell_how_well():
    X, z, _ = _rows(400)
    model = _model(3)
    unseen = r2_score(z, model.fit_held_out(X, z))
    fresh, truth, _ = _rows(400, seed=1)
    assert 0.9 < unseen < 1 and r2_score(truth, model.predict(fresh)) == pytest.approx(
        unseen, abs=0.04
    )


def test_nothing_to_read_gives_the_mean():
    model = _model(1, 0).fit(np.zeros((9, 1)), np.arange(9.0) - 4)
    np.testing.assert_allclose(model.predict(np.zeros((2, 1))), 0.0, atol=1e-9)
    assert model.predict(np.zeros((0, 1))).shape == (0,)


def test_a_row_twice_is_a_row_of_twice_the_weight_and_its_copy_gives_nothing_away():
    X, z, weight = _rows(40)
    z -= np.average(z, weights=weight)
    once, often = _model(3), _model(3)
    unseen = once.fit_held_out(X, z, weight)
    copies = np.random.RandomState(0).permutation(np.repeat(np.arange(40), weight.astype(int)))
    repeated = often.fit_held_out(X[copies], z[copies], groups=copies)
    np.testing.assert_allclose(repeated, unseen[copies], atol=1e-8)
    np.testing.assert_allclose(often.predict(X), once.predict(X), atol=1e-8)


def test_equal_rows_with_other_targets_are_measurements_of_which_new_rows_have_their_like():
    random = np.random.RandomState(0)
    level, effect = random.randint(20, size=400), random.randn(20)
    X = np.eye(20)[level]
    z = effect[level] + 0.5 * random.randn(400)
    model = TunedKernelRidge([[], [20]], 0)
    unseen = model.fit_held_out(X, z)
    new = random.randint(20, size=2000)
    truth = effect[new] + 0.5 * random.randn(2000)
    assert r2_score(truth, model.predict(np.eye(20)[new])) > 0.7
    assert r2_score(z, unseen) > 0.7


def test_predictions_do_not_depend_on_how_many_rows_are_asked_for(monkeypatch):
    X, z, _ = _rows()
    model = _model(3).fit(X, z)
    whole = model.predict(X)
    monkeypatch.setattr("llmreg.estimates.kernel_ridge.ROWS_AT_ONCE", 7)
    np.testing.assert_allclose(model.predict(X), whole, atol=1e-12)
    np.testing.assert_allclose(model.predict(X[3:5]), whole[3:5], atol=1e-12)


def test_of_many_rows_some_are_fitted_on_and_all_are_told_what_is_said_without_them(monkeypatch):
    X, z, weight = _rows(200)
    X = np.vstack([X, X[:50]])  # copies, which are left out together
    z, weight = np.append(z, z[:50]), np.append(weight, weight[:50])
    groups = np.append(np.arange(200), np.arange(50))
    monkeypatch.setattr("llmreg.estimates.kernel_ridge.MOST_ROWS", 90)
    model = _model(3)
    unseen = model.fit_held_out(X, z, weight, groups)
    assert len(model.dual_) == 90
    known = (np.abs(X[:, None] * model.factors_ - model._known().toarray()) < 1e-12).all(2).any(1)
    assert 90 < known.sum() < 180
    said = model.predict(X)
    np.testing.assert_allclose(unseen[~known], said[~known], atol=1e-12)
    assert (np.abs(unseen - said)[known] > 1e-6).all()
    new, truth, _ = _rows(200, seed=1)
    assert r2_score(truth, model.predict(new)) > 0.85


@pytest.mark.parametrize("light", [0.0, 5e-324, 1e-300, 1e-12])
def test_rows_that_hardly_count_are_estimated_like_new_ones(light, monkeypatch):
    monkeypatch.setattr(kernel_ridge, "N_FOLDS", 60)
    X, z, _ = _rows()
    weight = np.where(np.arange(60) < 20, light, 1.0)
    model = _model(3)
    unseen = model.fit_held_out(X, z, weight)
    np.testing.assert_allclose(unseen[:20], model.predict(X)[:20], atol=1e-6)
