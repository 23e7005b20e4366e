"""Standard deviations, quantiles, intervals and draws of a fitted estimator."""

import copy

import noisy_toy
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.metrics import mean_pinball_loss
from sklearn.model_selection import cross_val_predict

from llmreg import LLMRegressor
from llmreg.prediction import predictions

LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]


@pytest.fixture(scope="module")
def model():
    return noisy_toy.fitted()


@pytest.fixture(scope="module")
def new():
    return noisy_toy.rows(600, seed=2)


@pytest.fixture(scope="module")
def distribution(model, new):
    """Of the first 40 rows."""
    return model.predict_distribution(new[0][:40])


def test_each_is_what_the_distribution_says(model, new, distribution):
    X = new[0][:40]
    np.testing.assert_array_equal(model.predict_quantiles(X, LEVELS), distribution.quantile(LEVELS))
    assert model.predict_quantiles(X, 0.3).shape == (len(X),)
    np.testing.assert_array_equal(model.predict_interval(X), distribution.interval(0.9))
    np.testing.assert_array_equal(model.predict_interval(X, 0.5), distribution.interval(0.5))
    np.testing.assert_array_equal(model.sample_y(X, 3, random_state=4), distribution.sample(3, 4))


def test_far_quantiles_are_computed_as_finely_as_near_ones(model, new, monkeypatch):
    monkeypatch.setattr("llmreg.prediction.distributions.SMALL_TREE", 0)
    X, levels = new[0][:100], [0.002, 0.01, 0.99, 0.998]
    exact = copy.copy(model).set_params(tree_tolerance=0)
    expected, read = exact.predict_quantiles(X, levels), model.predict_distribution(X)
    spread = model.y_std_
    assert np.abs(read.quantile(levels) - expected).max() > 0.1 * spread
    np.testing.assert_allclose(model.predict_quantiles(X, levels), expected, atol=0.01 * spread)
    for level, column in zip(levels, expected.T, strict=True):
        found = model.predict(X, quantiles=level)
        np.testing.assert_allclose(found, column, atol=0.01 * spread)
    low_high = model.predict_interval(X, 0.98)
    np.testing.assert_allclose(low_high, expected[:, 1:3], atol=0.01 * spread)
    # Nearer ones, and the ends of the range, are what the distribution says.
    near = [0.0, *LEVELS, 1.0]
    np.testing.assert_array_equal(model.predict_quantiles(X, near), read.quantile(near))
    for coverage in (0.9, 0.5, 1.0):
        found = model.predict_interval(X, coverage)
        np.testing.assert_array_equal(found, read.interval(coverage))


@pytest.mark.parametrize("decoding", [None, "median", "sample"])
def test_predict_returns_the_standard_deviation_beside_any_decoding(
    decoding, model, new, distribution
):
    X = new[0][:40]
    y_hat, y_std = model.predict(X, decoding=decoding, return_std=True)
    np.testing.assert_array_equal(y_hat, model.predict(X, decoding=decoding))
    np.testing.assert_array_equal(y_std, distribution.std())


def test_blocks_of_rows_change_nothing(model, new, monkeypatch):
    X = new[0][:50]
    calls = [
        lambda: model.predict_quantiles(X, LEVELS), lambda: model.predict_interval(X, 0.8),
        lambda: model.sample_y(X, 4), lambda: np.array(model.predict(X, return_std=True)),
    ]  # fmt: skip
    whole = [call() for call in calls]
    monkeypatch.setattr(predictions, "ROWS_PER_BLOCK", 7)
    for expected, call in zip(whole, calls, strict=True):
        np.testing.assert_allclose(call(), expected, rtol=1e-9)


def test_draws_repeat_unless_the_random_state_goes_on(model, new):
    X, state = new[0][:20], np.random.RandomState(0)
    np.testing.assert_array_equal(model.sample_y(X, 2), model.sample_y(X, 2))
    first = model.sample_y(X, 2, random_state=state)
    np.testing.assert_array_equal(first, model.sample_y(X, 2, random_state=0))
    assert (model.sample_y(X, 2, random_state=state) != first).all()


def test_quantiles_beat_constant_ones_by_pinball_loss(model, new):
    X, y, _ = new
    constant = np.quantile(noisy_toy.rows(300, seed=1)[1], LEVELS)
    for level, found, same in zip(
        LEVELS, model.predict_quantiles(X, LEVELS).T, constant, strict=True
    ):
        loss = mean_pinball_loss(y, found, alpha=level)
        assert loss < 0.6 * mean_pinball_loss(y, np.full(len(y), same), alpha=level)


def test_intervals_cover_and_widen_where_the_noise_is_larger(model, new):
    X, y, spread = new
    distribution = model.predict_distribution(X)
    for coverage in (0.5, 0.8, 0.95):
        low, high = distribution.interval(coverage).T
        # 45 validation rows set the width; a share of them has a standard error of 0.07.
        assert np.mean((low <= y) & (y <= high)) == pytest.approx(coverage, abs=0.15)
    std = distribution.std()
    assert std[spread > 0.5].mean() > 1.4 * std[spread < 0.5].mean()


def test_intervals_reach_the_numbers_on_which_targets_heap_up():
    """Ratings that end at five, durations that end at nought: a quarter of the rows each."""
    X, y, _ = noisy_toy.rows(800, seed=3)
    y = y.clip(-2, 2)
    model = LLMRegressor(**noisy_toy.SETTINGS).fit(X[:300], y[:300])
    assert model.codec_.heaps_[[0, -1]] == pytest.approx([1, 1], abs=0.1)
    low, high = model.predict_interval(X[300:], 0.9).T
    inside = (low <= y[300:]) & (y[300:] <= high)
    for end in (-2, 2):
        at_end = y[300:] == end
        assert 0.15 < at_end.mean() < 0.4 and inside[at_end].mean() > 0.85
    assert inside.mean() == pytest.approx(0.9, abs=0.08)


def test_conformal_methods_work_with_it(model, new):
    """Split-conformal quantile regression, and out-of-fold predictions for residual methods."""
    X, y, _ = new
    rest, low_high = slice(300, None), model.predict_interval(X, 0.5)
    miss = np.maximum(low_high[:, 0] - y, y - low_high[:, 1])
    widen = np.quantile(miss[:300], 0.9 * (1 + 1 / 300))
    assert np.mean(miss[rest] <= widen) == pytest.approx(0.9, abs=0.05)
    quick = LLMRegressor(fit_method="ce", sft_epochs=1, random_state=0)
    assert np.isfinite(cross_val_predict(quick, X[:40], y[:40], cv=2, method="predict")).all()


# -- errors -----------------------------------------------------------------------------------

CALLS = {
    "quantiles": lambda model, X: model.predict_quantiles(X, 0.5),
    "intervals": lambda model, X: model.predict_interval(X),
    "samples": lambda model, X: model.sample_y(X),
    "standard deviation": lambda model, X: model.predict(X, return_std=True),
}


def test_a_method_that_predicts_one_number_refuses_to_say_how_sure_it_is(table, quick_fit):
    model = quick_fit(table.X, table.y, fit_method="pointwise")
    for what, call in CALLS.items():
        with pytest.raises(ValueError, match=f"'pointwise' predicts one .* no {what}. Fit a "):
            call(model, table.X)
    assert (model.predict_distribution(table.X).std() == 0).all()  # as documented: one atom
    certain = quick_fit(table.X, np.full(40, 7.0), fit_method="pointwise")
    assert (certain.predict_interval(table.X) == 7).all()  # of a constant target one can be sure


@pytest.mark.parametrize("what", CALLS)
def test_before_fit_they_raise(what, table):
    with pytest.raises(NotFittedError, match="Call 'fit'"):
        CALLS[what](LLMRegressor(), table.X)


def test_illegal_arguments_are_refused_before_anything_is_computed(model, new, monkeypatch):
    monkeypatch.setattr(model, "_blocks", None)  # would be an error of another kind
    with pytest.raises(ValueError, match=r"q contains 50\.0; give .* not percentages"):
        model.predict_quantiles(new[0], [0.5, 50])
    with pytest.raises(ValueError, match="coverage is 90; give one number"):
        model.predict_interval(new[0], 90)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="n_samples is 0"):
        model.sample_y(new[0][:2], 0)


def test_predict_gives_quantiles_and_intervals_too(model, new):
    X = new[0][:40]
    np.testing.assert_array_equal(
        model.predict(X, quantiles=LEVELS), model.predict_quantiles(X, LEVELS)
    )
    np.testing.assert_array_equal(model.predict(X, coverage=0.5), model.predict_interval(X, 0.5))


@pytest.mark.parametrize(
    "both",
    [
        dict(quantiles=[0.1], coverage=0.5),
        dict(quantiles=[0.1], return_std=True),
        dict(decoding="median", coverage=0.5),
        dict(decoding="median", cost=np.subtract),
        dict(cost=np.subtract, quantiles=0.5),
    ],
)
def test_predict_returns_one_thing_at_a_time(both, model, new):
    with pytest.raises(ValueError, match=" and ".join(both)):
        model.predict(new[0][:4], **both)


def test_a_pair_is_a_pair_for_all_but_who_takes_it_for_an_array(model, new):
    both = model.predict(new[0][:4], return_std=True)
    assert isinstance(both, tuple) and len(both) == 2
    assert np.array(both).shape == (2, 4)
    with pytest.raises(TypeError, match="quantiles"):
        _ = both.ndim


@pytest.mark.parametrize(
    "wrong", ["0.9", None, True, "many", [[0.1]], 90, np.nan, [0.1, "0.9"]], ids=str
)
def test_what_is_no_probability_is_refused(wrong, model, new):
    X = new[0][:3]
    with pytest.raises(ValueError, match=r"^coverage is .*give one number in \[0, 1\]"):
        model.predict_interval(X, coverage=wrong)
    with pytest.raises(ValueError, match=r"^q .*give a scalar or a 1-D array of numbers"):
        model.predict_quantiles(X, wrong)
    for legal in (np.float32(0.5), np.array(0.5)):
        assert np.array_equal(model.predict_interval(X, legal), model.predict_interval(X, 0.5))


@pytest.mark.parametrize("wrong", [True, 0, 2.5, "3", None])
def test_what_is_no_count_of_draws_is_refused(wrong, model, new):
    with pytest.raises(ValueError, match=r"n_samples is .*; give an integer >= 1"):
        model.sample_y(new[0][:3], wrong)
