"""Scorers of distributions in searches, cross-validation and pipelines."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from llmreg import LLMRegressor, NumericDistribution, combine_scorers, get_scorer, metrics
from llmreg.metrics.scorers import SCORES

QUICK = dict(fit_method="ce", sft_epochs=1, random_state=0, validation_fraction=None)


class Fake(DummyRegressor):
    """Predicts the training targets' histogram, times ``width``; counts its predictions."""

    counts = []

    def __init__(self, width=1.0):
        super().__init__()
        self.width = width

    def fit(self, X, y, sample_weight=None):
        self.edges_ = np.linspace(y.mean() - self.width, y.mean() + self.width, 9)
        return super().fit(X, y, sample_weight=sample_weight)

    def predict_distribution(self, X):
        self.counts.append(len(X))
        p = np.tile(np.full(8, 1 / 8), (len(X), 1))
        return NumericDistribution(p, self.edges_[:-1], self.edges_[1:])


@pytest.fixture(scope="module")
def rows():
    rng = np.random.RandomState(0)
    return pd.DataFrame({"a": rng.randn(60)}), rng.randn(60)


@pytest.mark.parametrize(
    ("name", "params", "score"),
    [
        ("neg_crps", {}, "mean_crps"),
        ("neg_pinball_loss", dict(quantile=0.9), "pinball_loss"),
        ("neg_interval_score", dict(coverage=0.5), "interval_score"),
        ("coverage", dict(coverage=0.5), "interval_coverage"),
    ],
)
def test_each_is_the_score_with_its_sign(name, params, score, rows):
    X, y = rows
    model, weight = Fake().fit(X, y), np.arange(60.0)
    scorer = get_scorer(name, **params)
    sign = -1 if name.startswith("neg") else 1
    score = getattr(metrics, score)
    distribution = model.predict_distribution(X)
    assert scorer(model, X, y) == sign * score(y, distribution, **params)
    expected = sign * score(y, distribution, sample_weight=weight, **params)
    assert scorer(model, X, y, sample_weight=weight) == expected
    assert eval(repr(scorer))(model, X, y) == scorer(model, X, y)
    assert pickle.loads(pickle.dumps(scorer))(model, X, y) == scorer(model, X, y)


def test_a_search_finds_the_width_of_the_targets(rows):
    X, y = rows
    grid = {"width": [0.2, 2.0, 20.0]}
    for scoring in ("neg_crps", "neg_interval_score"):
        search = GridSearchCV(Fake(), grid, cv=3, scoring=get_scorer(scoring)).fit(X, y)
        assert search.best_params_ == {"width": 2.0}


def test_a_search_chooses_by_one_of_several(rows):
    X, y = rows
    scorers = {"crps": get_scorer("neg_crps"), "inside": get_scorer("coverage"), "r2": "r2"}
    search = GridSearchCV(Fake(), {"width": [0.2, 2.0]}, cv=2, scoring=scorers, refit="crps")
    results = search.fit(X, y).cv_results_
    assert search.best_params_ == {"width": 2.0}
    assert results["mean_test_inside"][0] < results["mean_test_inside"][1]


def test_combined_scorers_predict_once(rows):
    X, y = rows
    scorers = {"crps": get_scorer("neg_crps"), "low": get_scorer("neg_pinball_loss", quantile=0.1)}
    combined = pickle.loads(pickle.dumps(combine_scorers(scorers)))
    Fake.counts.clear()
    found = cross_validate(Fake(), X, y, cv=3, scoring=combined)
    assert len(Fake.counts) == 3
    apart = cross_validate(Fake(), X, y, cv=3, scoring=scorers)
    for name in scorers:
        np.testing.assert_array_equal(found[f"test_{name}"], apart[f"test_{name}"])
    search = GridSearchCV(Fake(), {"width": [0.2, 2.0]}, scoring=combined, refit="crps")
    assert search.fit(X, y).best_params_ == {"width": 2.0}
    assert "neg_crps" in repr(combined)
    weighted = combined(search, X, y, sample_weight=np.arange(60.0))
    assert weighted["crps"] == scorers["crps"](search, X, y, sample_weight=np.arange(60.0))


def test_language_models_are_scored_through_pipelines(table):
    pipeline = make_pipeline(FunctionTransformer(), LLMRegressor(**QUICK))
    found = cross_val_score(pipeline, table.X, table.y, cv=2, scoring=get_scorer("neg_crps"))
    assert (found < 0).all() and (found > -table.y.std()).all()


def test_weights_are_routed_where_asked_for(rows):
    X, y = rows
    weight = np.arange(1.0, 61)
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = get_scorer("neg_crps").set_score_request(sample_weight=True)
        model = Fake().set_fit_request(sample_weight=False)
        found = cross_validate(
            model, X, y, cv=2, scoring=scorer, params={"sample_weight": weight},
            return_estimator=True, return_indices=True,
        )  # fmt: skip
    for fold, (fitted, test) in enumerate(
        zip(found["estimator"], found["indices"]["test"], strict=True)
    ):
        expected = metrics.mean_crps(
            y[test], fitted.predict_distribution(X.iloc[test]), sample_weight=weight[test]
        )
        assert found["test_score"][fold] == -expected


def test_combined_scorers_pass_weights_to_those_that_ask_for_them(rows):
    X, y = rows
    params = {"sample_weight": np.random.RandomState(1).exponential(size=60)}
    with sklearn.config_context(enable_metadata_routing=True):
        scorers = {
            "weighted": get_scorer("neg_crps").set_score_request(sample_weight=True),
            "plain": get_scorer("neg_crps").set_score_request(sample_weight=False),
            "inside": get_scorer("coverage").set_score_request(sample_weight="sample_weight"),
        }
        model = Fake().set_fit_request(sample_weight=False)
        apart, together = (
            cross_validate(model, X, y, cv=3, scoring=scoring, params=params)
            for scoring in (scorers, combine_scorers(scorers))
        )
        for name in (f"test_{name}" for name in scorers):
            np.testing.assert_array_equal(together[name], apart[name])
        assert (together["test_weighted"] != together["test_plain"]).all()
        grid = {"width": [0.2, 2.0]}
        search = GridSearchCV(model, grid, scoring=combine_scorers(scorers), refit="weighted")
        alone = GridSearchCV(model, grid, scoring=scorers["weighted"]).fit(X, y, **params)
        search.fit(X, y, **params)
        found = search.cv_results_["mean_test_weighted"], alone.cv_results_["mean_test_score"]
        np.testing.assert_array_equal(*found)
        undecided = combine_scorers({"crps": get_scorer("neg_crps")})
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            cross_validate(model, X, y, cv=3, scoring=undecided, params=params, error_score="raise")
        assert "test_crps" in cross_validate(model, X, y, cv=3, scoring=undecided)


@pytest.mark.parametrize("name", SCORES)
def test_scorers_refuse_illegal_weights_and_masked_targets(name, rows):
    X, y = rows
    model, scorer = Fake().fit(X, y), get_scorer(name)
    for combined in (scorer, combine_scorers({"one": scorer})):
        with pytest.raises(ValueError, match="non-negative"):
            combined(model, X, y, sample_weight=-np.ones(60))
        with pytest.raises(ValueError, match=r"^y is masked in 2 of 60 rows"):
            combined(model, X, np.ma.array(y, mask=np.arange(60) < 2))
        with pytest.raises(ValueError, match=r"Input y contains NaN.* get_scorer\(.*then X\[known"):
            combined(model, X, np.where(y > 1, np.nan, y))


def test_what_cannot_be_scored_is_refused(rows):
    X, y = rows
    with pytest.raises(ValueError, match=r"'crps'.*neg_crps"):
        get_scorer("crps")
    with pytest.raises(TypeError, match=r"no parameter 'quantile'; it has \['coverage'\]"):
        get_scorer("coverage", quantile=0.5)
    with pytest.raises(TypeError, match="it has none"):
        get_scorer("neg_crps", quantile=0.5)
    with pytest.raises(ValueError, match="is no score of distributions"):
        get_scorer(["neg_crps"])
    with pytest.raises(TypeError, match="DummyRegressor has no 'predict_distribution'"):
        get_scorer("neg_crps")(DummyRegressor().fit(X, y), X, y)
    with pytest.raises(TypeError, match="'r2' is 'r2'"):
        combine_scorers({"r2": "r2"})


@pytest.mark.parametrize("value", [50, -0.1, float("nan"), "half", [0.1, 0.9], None, True])
def test_illegal_values_are_refused_when_a_scorer_is_made(value):
    for name, param in (
        ("neg_pinball_loss", "quantile"), ("neg_interval_score", "coverage"),
        ("coverage", "coverage"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=rf"{param} is .*; give one number in \[0, 1\]"):
            get_scorer(name, **{param: value})


def test_the_docstring_names_all():
    assert all(f'"{name}"' in get_scorer.__doc__ for name in SCORES)
