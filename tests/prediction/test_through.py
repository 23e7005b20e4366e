"""The way to the regressor inside of pipelines and searches, and predict's road through them."""

import numpy as np
import pytest
import sklearn
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from llmreg import LLMRegressor
from llmreg.prediction.through import predicted_distribution, regressor_within

QUICK = dict(fit_method="ce", sft_epochs=1, random_state=0, validation_fraction=None)


def add_one(X):
    return X.assign(size=X["size"] + 1)


@pytest.fixture(scope="module")
def pipeline(table):
    steps = FunctionTransformer(add_one), LLMRegressor(**QUICK)
    return make_pipeline(*steps).fit(table.X, table.y)


@pytest.fixture(scope="module")
def expected(pipeline, table):
    """The distributions of the rows as the last step gets them."""
    return pipeline[-1].predict_distribution(add_one(table.X))


def same(found, expected):
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


def test_pipelines_and_frozen_estimators_are_seen_through(pipeline, table, expected):
    same(predicted_distribution(pipeline, table.X), expected)
    same(predicted_distribution(FrozenEstimator(pipeline[-1]), add_one(table.X)), expected)
    same(predicted_distribution(make_pipeline(pipeline), table.X), expected)


def test_searches_are_seen_through(pipeline, table):
    search = GridSearchCV(pipeline, {"llmregressor__batch_size": [16]}, cv=2).fit(table.X, table.y)
    best = search.best_estimator_
    same(predicted_distribution(search, table.X), predicted_distribution(best, table.X))


def test_others_are_refused_by_name(table):
    dummy = make_pipeline(DummyRegressor()).fit(table.X[["size"]], table.y)
    with pytest.raises(TypeError, match="DummyRegressor has no 'predict_distribution'"):
        regressor_within(dummy, table.X[["size"]])


@pytest.mark.parametrize("fit", [False, True])
def test_searches_without_a_best_estimator_are_refused(fit, table):
    search = GridSearchCV(make_pipeline(DummyRegressor()), {}, cv=2, refit=False)
    if fit:
        search.fit(table.X[["size"]], table.y)
    with pytest.raises(NotFittedError, match=r"GridSearchCV has no best_estimator_.*refit=True"):
        regressor_within(search, table.X[["size"]])


@pytest.mark.parametrize("routing", [False, True])
def test_a_pipeline_predicts_quantiles_and_intervals(routing, pipeline, table, expected):
    with sklearn.config_context(enable_metadata_routing=routing):
        found = pipeline.predict(table.X, quantiles=[0.1, 0.9])
        np.testing.assert_array_equal(found, expected.quantile([0.1, 0.9]))
        assert pipeline.predict(table.X, quantiles=0.5).shape == (40,)
        found = pipeline.predict(table.X, coverage=0.8)
        np.testing.assert_array_equal(found, expected.interval(0.8))
        _, y_std = pipeline.predict(table.X, return_std=True)
        np.testing.assert_array_equal(y_std, expected.std())
        median = pipeline.predict(table.X, decoding="median")
        np.testing.assert_array_equal(median, expected.median())


@pytest.mark.parametrize("routing", [False, True])
def test_quantiles_pass_through_transformed_targets(routing, table):
    model = LLMRegressor(**QUICK)
    logs = TransformedTargetRegressor(model, func=np.log, inverse_func=np.exp)
    with sklearn.config_context(enable_metadata_routing=routing):
        logs.fit(table.X, table.y)
        found = logs.predict(table.X, quantiles=[0.1, 0.9])
        inner = logs.regressor_.predict_quantiles(table.X, [0.1, 0.9])
        np.testing.assert_allclose(found, np.exp(inner))
        assert logs.predict(table.X, coverage=0.5).shape == (40, 2)
        with pytest.raises(TypeError, match=r"cannot be transformed back.*quantiles="):
            logs.predict(table.X, return_std=True)
