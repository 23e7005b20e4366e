"""Checks of what a fit gets; most are tested through the estimator."""

import warnings

import numpy as np
import pytest

from llmreg import LLMRegressor
from llmreg.config.checks import check_training_data

X = np.random.RandomState(0).randn(40, 2)
Y = 3 * X[:, 0] + np.random.RandomState(1).randn(40)


def _weight(weight):
    return check_training_data(LLMRegressor(), X, Y, weight).weight


@pytest.mark.parametrize("unit", [7.3, 1e40, 1e-45, 1e308, 5e-324])
def test_weights_have_no_unit(unit):
    assert np.array_equal(_weight(np.full(40, unit)), np.ones(40))
    if 1e-300 < unit < 1e300:
        some = np.random.RandomState(2).uniform(0.1, 3, 40)
        np.testing.assert_allclose(_weight(unit * some), some / some.mean(), rtol=1e-12)


def test_weights_of_any_range_stay_positive_and_in_order():
    weight = _weight(np.logspace(-300, 300, 40))
    assert weight.mean() == pytest.approx(1.0)
    assert (np.diff(weight) >= 0).all()
    assert (weight.astype(np.float32) > 0).all()


def test_equal_weights_of_any_size_fit_as_none():
    model = LLMRegressor(fit_method="ce", sft_epochs=1, batch_size=20, random_state=0)
    expected = model.fit(X, Y).predict(X)
    for unit in (1e40, 1e-45):
        found = model.fit(X, Y, sample_weight=np.full(40, unit)).predict(X)
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("estimates", ["both", None])
@pytest.mark.filterwarnings("ignore:temperature_scaling")
def test_one_row_that_outweighs_all_others_is_what_is_learnt(estimates):
    # The validation rows and most folds have next to no weight.
    weight = np.logspace(300, -300, 40)
    model = LLMRegressor(
        fit_method="ce", sft_epochs=8, estimates=estimates, estimate_weight=0.5 * bool(estimates),
        validation_fraction=0.3, n_iter_no_change=None, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        model.fit(X, Y, sample_weight=weight)
    assert np.isfinite(model.predict(X)).all()
    assert model.y_mean_ == pytest.approx(Y[0], rel=1e-6)
