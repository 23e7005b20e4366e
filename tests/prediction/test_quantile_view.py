"""A regressor of one quantile."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

from llmreg import LLMRegressor, QuantileView

QUICK = dict(fit_method="ce", sft_epochs=1, random_state=0, validation_fraction=None)


@pytest.fixture(scope="module")
def model(table):
    return LLMRegressor(**QUICK).fit(table.X, table.y)


def test_a_view_of_a_fitted_regressor_needs_no_fit(model, table):
    view = QuantileView(model, 0.9)
    check_is_fitted(view)
    assert view.n_features_in_ == 3
    np.testing.assert_array_equal(view.predict(table.X), model.predict_quantiles(table.X, 0.9))


def test_fit_trains_a_clone(model, table):
    view = QuantileView(LLMRegressor(**QUICK), 0.2)
    with pytest.raises(NotFittedError):
        view.predict(table.X)
    assert not hasattr(view, "n_features_in_")
    found = view.fit(table.X, table.y).predict(table.X)
    np.testing.assert_array_equal(found, model.predict_quantiles(table.X, 0.2))
    assert not hasattr(view.estimator, "fitted_")
    with pytest.raises(NotFittedError):
        clone(view).predict(table.X)


def test_weights_reach_the_regressor(table):
    weight = np.r_[np.ones(30), np.zeros(10)]
    view = QuantileView(LLMRegressor(**QUICK), 0.5).fit(table.X, table.y, sample_weight=weight)
    alone = LLMRegressor(**QUICK).fit(table.X[:30], table.y[:30])
    np.testing.assert_array_equal(view.predict(table.X), alone.predict_quantiles(table.X, 0.5))


def test_a_frozen_regressor_stays_as_it_is(model, table):
    view = clone(QuantileView(FrozenEstimator(model), 0.9)).fit(table.X[:5], table.y[:5])
    np.testing.assert_array_equal(view.predict(table.X), model.predict_quantiles(table.X, 0.9))


def test_pipelines_and_cross_validation(table):
    pipeline = make_pipeline(FunctionTransformer(), LLMRegressor(**QUICK))
    found = cross_val_predict(QuantileView(pipeline, 0.9), table.X, table.y, cv=2)
    first = QuantileView(pipeline, 0.9).fit(table.X[20:], table.y[20:])
    np.testing.assert_array_equal(found[:20], first.predict(table.X[:20]))


def test_illegal_quantiles_are_refused(model, table):
    with pytest.raises(ValueError, match="quantile"):
        QuantileView(model, 90).fit(table.X, table.y)
    for quantile in (90, "median", None, [0.1, 0.9], float("nan")):
        with pytest.raises(ValueError, match=r"quantile is .*; give one number in \[0, 1\]"):
            QuantileView(model, quantile).predict(table.X)


def test_what_predicts_no_quantiles_is_refused(table):
    X, y = np.arange(6.0).reshape(-1, 1), np.arange(6.0)
    for use in (lambda view: view.fit(X, y), lambda view: view.predict(X)):
        with pytest.raises(ValueError, match=r"'estimator' parameter of QuantileView .*Got 'x'"):
            use(QuantileView("x"))
    for one in (Ridge(), make_pipeline(FunctionTransformer(), Ridge())):
        with pytest.raises(TypeError, match=r"predicts no quantiles. Give an LLMRegressor"):
            QuantileView(one).fit(X, y).predict(X)


def test_conformalised_quantile_regression(model, table):
    regression = pytest.importorskip("mapie.regression")
    views = [QuantileView(model, q) for q in (0.1, 0.9, 0.5)]
    conformal = regression.ConformalizedQuantileRegressor(
        views, confidence_level=0.8, prefit=True
    ).conformalize(table.X, table.y)
    y_hat, intervals = conformal.predict_interval(table.X)
    np.testing.assert_array_equal(y_hat, model.predict_quantiles(table.X, 0.5))
    inside = (intervals[:, 0, 0] <= table.y) & (table.y <= intervals[:, 1, 0])
    assert inside.mean() >= 0.8
