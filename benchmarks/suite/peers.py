"""The suite's peers without a language model, each with the preparation that suits it.

A peer is a function ``make(X, text, seed)``: the training rows, the names of the text columns, and
the number of the split. What it returns is fitted on these rows and takes DataFrames.
"""

import os

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.suite.columns import Components, column_kinds, linear_features, tfidf, tree_features
from llmreg import NumericDistribution

ALPHAS = np.logspace(-2, 3, 11)
LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)  # the ends of 50, 80, 95 % intervals, the median


def mean(X, text, seed):
    return DummyRegressor()


def ridge(X, text, seed):
    return make_pipeline(linear_features(X, text, tfidf), RidgeCV(ALPHAS))


def random_forest(X, text, seed):
    return make_pipeline(tree_features(X, text)[0], RandomForestRegressor(random_state=seed))


def boosting(X, text, seed):
    return boosted(*tree_features(X, text), random_state=seed)


def boosted(features, n_categories, **options):
    """Categories as scikit-learn's boosting takes them: as such, not as numbers in an order."""
    return make_pipeline(
        features,
        HistGradientBoostingRegressor(categorical_features=range(n_categories), **options),
    )


def quantile_boosting(X, text, seed):
    return QuantileBoosting(text, seed)


class QuantileBoosting(RegressorMixin, BaseEstimator):
    """One boosting per quantile of LEVELS; predicts the mean of the distribution between them.

    Slower learning and early stopping: with scikit-learn's defaults, which do neither below 10,000
    rows, the same intervals are much too narrow and the CRPS is worse.
    """

    def __init__(self, text=(), random_state=0):
        self.text = text
        self.random_state = random_state

    def fit(self, X, y):
        features, n_categories = tree_features(X, self.text)
        self.features_ = features.fit(X)
        cells = self.features_.transform(X)
        options = {"categorical_features": range(n_categories), "random_state": self.random_state}
        self.models_ = [
            HistGradientBoostingRegressor(
                loss="quantile", quantile=q, learning_rate=0.05, max_iter=500, early_stopping=True,
                n_iter_no_change=20, **options,
            ).fit(cells, y)
            for q in LEVELS
        ]  # fmt: skip
        return self

    def predict(self, X):
        return self.predict_distribution(X).mean()

    def predict_distribution(self, X):
        cells = self.features_.transform(X)
        return between_quantiles(np.column_stack([m.predict(cells) for m in self.models_]))


def between_quantiles(quantiles):
    """The distribution that is uniform between quantiles (n, len(LEVELS)) and ends at the last.

    Quantiles that cross are put in order. The tails, 2.5 % each, lie at the outermost quantiles.
    """
    quantiles = np.sort(quantiles, axis=1)
    tails = np.full((len(quantiles), 1), LEVELS[0])
    between = np.broadcast_to(np.diff(LEVELS), (len(quantiles), len(LEVELS) - 1))
    return NumericDistribution(
        np.hstack([tails, between, tails]),
        lower=np.hstack([quantiles[:, :1], quantiles[:, :-1], quantiles[:, -1:]]),
        upper=np.hstack([quantiles[:, :1], quantiles[:, 1:], quantiles[:, -1:]]),
    )


def mlp(X, text, seed):
    options = {"hidden_layer_sizes": (128, 128), "early_stopping": True, "max_iter": 500}
    network = MLPRegressor(**options, random_state=seed)
    features = linear_features(X, text, Components).set_params(sparse_threshold=0)
    scaled = TransformedTargetRegressor(network, transformer=StandardScaler())
    return make_pipeline(features, scaled)


def on_logs(make):
    """The same peer on log(1 + y), for targets of at least 0 with a long tail."""

    def make_on_logs(X, text, seed):
        return TransformedTargetRegressor(make(X, text, seed), func=np.log1p, inverse_func=np.expm1)

    return make_on_logs


def catboost(X, text, seed):
    return CatBoost(text, seed)


class CatBoost(RegressorMixin, BaseEstimator):
    """CatBoost with its own ways with gaps and categories; dates in parts, texts as components.

    Its own way with texts (counts of words) takes twice the time and more, fails where no word
    comes back, as in SMILES, and added nothing to the components on used_cars_us, epa_2021,
    lego_sets and ramen_ratings. ``text_encoder`` makes the transformer of one column of texts.
    """

    def __init__(self, text=(), random_state=0, text_encoder=Components):
        self.text = text
        self.random_state = random_state
        self.text_encoder = text_encoder

    def fit(self, X, y):
        from catboost import CatBoostRegressor

        kinds = column_kinds(X, self.text)
        self.categories_ = kinds["category"]
        rest = [*kinds["number"], *kinds["date"], *kinds["text"]]
        features = tree_features(X[rest], self.text, self.text_encoder)[0] if rest else None
        self.numbers_ = features and features.fit(X)
        self.model_ = CatBoostRegressor(
            cat_features=self._names(), random_seed=self.random_state,
            thread_count=int(os.environ.get("OMP_NUM_THREADS", -1)),
            verbose=0, allow_writing_files=False,
        ).fit(self._cells(X), y)  # fmt: skip
        return self

    def _names(self):
        return [f"category {i}" for i in range(len(self.categories_))]

    def _cells(self, X):
        numbers = np.empty((len(X), 0)) if self.numbers_ is None else self.numbers_.transform(X)
        cells = pd.DataFrame(numbers).add_prefix("number ")
        for name, column in zip(self._names(), self.categories_, strict=True):
            strings = X[column].astype(object).where(X[column].notna(), "missing")
            cells[name] = strings.astype(str).to_numpy(object)
        return cells

    def predict(self, X):
        return self.model_.predict(self._cells(X))
