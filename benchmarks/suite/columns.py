"""Table rows as numbers, for the suite's peers: scikit-learn's usual preparation, by column kind.

Every peer is given what suits it: linear models and networks scaled numbers and one-hot categories,
trees numbers with their gaps and numbered categories, and all of them the parts of dates, whatever
the style in which those were written.
"""

import re

import numpy as np
import pandas as pd
from pandas.api import types
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

DATE_LIKE = re.compile(r"\s*(?:\d+|[A-Za-z]{3,9})[-/. ]+(?:\d+|[A-Za-z]{3,9}),?[-/. ]+\d{2,4}.*")
TWO_NUMBERS = r"^\s*(\d{1,2})[-/.](\d{1,2})[-/.]"  # day and month, or month and day
PARTS = ("year", "month", "day", "day_of_week", "hour")
COMPONENTS = 30  # of a text column, for models that want few and dense features


def column_kinds(X, text):
    """Sort the columns into kinds by the training rows; text columns are given.

    Returns
    -------
    dict
        {"number", "date", "category", "text": list of columns}, those without any value left out.
    """
    kinds = {"number": [], "date": [], "category": [], "text": []}
    for column in X:
        if X[column].notna().any():
            kinds["text" if column in text else _kind(X[column])].append(column)
    return kinds


def _kind(column):
    if types.is_datetime64_any_dtype(column):
        return "date"
    if types.is_numeric_dtype(column):
        return "number"
    return "date" if day_first(column) is not None else "category"


def day_first(column):
    """Whether the dates of a column of strings put the day first; None if they are no dates."""
    values = pd.Series(column.dropna().astype(str).unique())
    if not len(values) or not all(map(DATE_LIKE.fullmatch, values)):
        return None
    numbers = values.str.extract(TWO_NUMBERS).dropna().astype(int)
    first = bool((numbers[0] > 12).any())
    return first if _moments(values, first).notna().all() else None


def _moments(values, first):
    iso = values.astype(str).str.match(r"\s*\d{4}-").any()
    style = {"format": "ISO8601"} if iso else {"format": "mixed", "dayfirst": first}
    return pd.to_datetime(values, errors="coerce", utc=True, **style)


class Dates(TransformerMixin, BaseEstimator):
    """Columns of dates as days since 1970, year, month, day, weekday and hour.

    A column that writes the day first ("23/09/2017") is known by its days above twelve.
    """

    def fit(self, X, y=None):
        self.day_first_ = {column: bool(day_first(X[column].astype(object))) for column in X}
        return self

    def transform(self, X):
        parts = []
        for column, first in self.day_first_.items():
            moments = _moments(X[column].astype(object), first)
            parts.append((moments - pd.Timestamp(0, tz="UTC")).dt.total_seconds() / 86400)
            parts += [getattr(moments.dt, part).astype(float) for part in PARTS]
        return np.column_stack(parts)


class Cells(TransformerMixin, BaseEstimator):
    """Categories as strings and numbers as float64; what is missing stays missing."""

    def __init__(self, strings=True):
        self.strings = strings

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        if not self.strings:
            return X.astype(float).to_numpy()
        return X.astype(object).where(X.isna(), X.astype(str)).to_numpy(object)


class Texts(TransformerMixin, BaseEstimator):
    """One column of texts as an array of strings, the missing ones empty."""

    def fit(self, X, y=None):
        self.n_features_in_ = 1
        return self

    def transform(self, X):
        return X.fillna("").astype(str).to_numpy(object)


def tfidf():
    """Words, pairs of words and pieces of words (which is what SMILES have), as TF-IDF."""
    options = {"sublinear_tf": True, "max_features": 50_000}
    return make_union(
        TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\b\w+\b", **options),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), **options),
    )


class Components(TransformerMixin, BaseEstimator):
    """The first singular vectors of TF-IDF: at most COMPONENTS, and fewer than there are rows."""

    def __init__(self, random_state=0):
        self.random_state = random_state

    def fit(self, X, y=None):
        self.tfidf_ = tfidf()
        features = self.tfidf_.fit_transform(X)
        n = max(1, min(COMPONENTS, features.shape[0] - 1, features.shape[1] - 1))
        self.svd_ = TruncatedSVD(n, random_state=self.random_state).fit(features)
        return self

    def transform(self, X):
        return self.svd_.transform(self.tfidf_.transform(X))


def linear_features(X, text, text_encoder=tfidf):
    """For linear models and networks: scaled numbers with flags for gaps, one-hot categories.

    Parameters
    ----------
    X : DataFrame
        The training rows: they say which column is what.
    text : tuple of str
        Text columns; the others' kinds are found.
    text_encoder : callable, default=tfidf
        Makes a transformer from strings to features, one for each text column.

    Returns
    -------
    ColumnTransformer, not fitted
    """
    kinds = column_kinds(X, text)
    filled = SimpleImputer(strategy="median", keep_empty_features=True, add_indicator=True)
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=2)
    steps = [
        ("number", make_pipeline(Cells(False), filled, StandardScaler()), kinds["number"]),
        ("date", make_pipeline(Dates(), SimpleImputer(), StandardScaler()), kinds["date"]),
        ("category", make_pipeline(Cells(), one_hot), kinds["category"]),
        *_text_steps(kinds["text"], text_encoder),
    ]
    return ColumnTransformer([step for step in steps if len(step[2])])


def tree_features(X, text, text_encoder=Components):
    """For trees: numbers as they are, categories numbered (they come first), few text features.

    Returns
    -------
    (ColumnTransformer, int)
        Not fitted; and how many of the columns are categories.
    """
    kinds = column_kinds(X, text)
    numbered = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=250
    )
    steps = [
        ("category", make_pipeline(Cells(), numbered), kinds["category"]),
        ("number", Cells(False), kinds["number"]),
        ("date", Dates(), kinds["date"]),
        *_text_steps(kinds["text"], text_encoder),
    ]
    return ColumnTransformer([step for step in steps if len(step[2])], sparse_threshold=0), len(
        kinds["category"]
    )


def _text_steps(columns, encoder):
    return [(f"text {i}", make_pipeline(Texts(), encoder()), c) for i, c in enumerate(columns)]
