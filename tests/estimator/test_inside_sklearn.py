"""Inside pipelines, cross-validation and grid searches of scikit-learn."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from llmreg import LLMRegressor


def test_it_works_behind_a_column_transformer(table):
    scaler = make_column_transformer(
        (StandardScaler(), ["size"]), remainder="passthrough", verbose_feature_names_out=False
    ).set_output(transform="pandas")
    model = LLMRegressor(sft_epochs=1, align_epochs=1, random_state=0)
    pipeline = make_pipeline(scaler, model).fit(table.X, table.y)
    assert np.isfinite(pipeline.predict(table.X)).all()
    assert model.serializer_.kinds_ == {"size": "number", "city": "category", "words": "text"}
    pipeline.set_params(llmregressor__codec__n_digits=1).fit(table.X, table.y)
    assert len(model.codec_.values_) == 10


@pytest.mark.filterwarnings("ignore:.* did not improve the validation")
def test_it_works_under_a_transformed_target(table):
    model = LLMRegressor(sft_epochs=1, align_epochs=1, random_state=0)
    outer = TransformedTargetRegressor(model, func=np.log, inverse_func=np.exp)
    found = outer.fit(table.X, table.y).predict(table.X)
    inner = np.exp(clone(model).fit(table.X, np.log(table.y.to_numpy())).predict(table.X))
    np.testing.assert_allclose(found, inner, rtol=1e-9)


def test_it_can_be_cross_validated(table):
    model = LLMRegressor(sft_epochs=1, align_epochs=0, random_state=0)
    found = cross_val_predict(model, table.X, table.y, cv=2)
    assert found.shape == (40,) and np.isfinite(found).all()
    texts = cross_val_predict(model, table.X["words"], table.y, cv=2)
    assert np.isfinite(texts).all() and (texts != found).any()


def test_a_grid_search_in_two_processes_finds_what_one_process_finds(table):
    grid = [
        {"fit_method": ["ce", "raft"]},
        {"codec__n_digits": [1]},
        {"serializer__template": ["{size}", "A flat in {city}, {words}, costs"]},
    ]
    model = LLMRegressor(sft_epochs=1, align_epochs=1, random_state=0)
    search = GridSearchCV(model, grid, cv=2, n_jobs=2, error_score="raise").fit(table.X, table.y)
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) == 5
    assert np.isfinite(search.predict(table.X)).all()
    alone = GridSearchCV(model, {"serializer__template": ["{size}"]}, cv=2).fit(table.X, table.y)
    # joblib gives its processes fewer threads, and sums in another order round differently.
    assert alone.cv_results_["mean_test_score"][0] == pytest.approx(scores[3], rel=1e-5)
