"""Regressors beside each other on one table: methods of LLMRegressor, and their peers."""

import time

import numpy as np
from scipy import sparse
from scipy.stats import spearmanr
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import TruncatedSVD
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from llmreg.displays.axes import pyplot
from llmreg.tables.serialization import RowSerializer

__all__ = ["HEADINGS", "PEERS", "CellFeatures", "draw", "figures", "measure"]

HEADINGS = {
    "r2": "R²", "rmse": "RMSE", "spearman": "Spearman", "crps": "CRPS",
    "coverage": "90 % interval holds", "seconds": "seconds",
}  # fmt: skip


class CellFeatures(TransformerMixin, BaseEstimator):
    """Numbers from any table, by the kinds of columns that LLMRegressor sees.

    Numbers and dates as they are; categories one-hot and texts as TF-IDF for linear models; for
    trees, categories numbered and texts as the first 20 singular vectors of their TF-IDF.

    Parameters
    ----------
    linear : bool, default=True
        For linear models; False: for trees.
    """

    def __init__(self, linear=True):
        self.linear = linear

    def fit(self, X, y=None):
        """Learn the kinds of columns, their categories and words."""
        self.serializer_ = RowSerializer().fit(X)
        self.encoders_ = {}
        for field in self._fields(X):
            encoder = self._encoder(field)
            if encoder is not None:
                self.encoders_[field.name] = encoder.fit(self._cells(field))
        return self

    def transform(self, X):
        """Numbers of shape (n_rows, n_features); sparse for linear models."""
        blocks = [
            self.encoders_[f.name].transform(self._cells(f)) if f.name in self.encoders_
            else f.numbers
            for f in self._fields(X)
        ]  # fmt: skip
        if self.linear:
            return sparse.hstack([sparse.csr_matrix(block) for block in blocks]).tocsr()
        return np.hstack(blocks)

    def _fields(self, X):
        return self.serializer_.serialize(X).fields

    def _cells(self, field):
        if field.numbers is not None:
            return field.numbers
        return field.text if field.kind == "text" else field.text[:, None]

    def _encoder(self, field):
        if field.numbers is not None:
            imputer = SimpleImputer(keep_empty_features=True, add_indicator=True)
            return make_pipeline(imputer, StandardScaler()) if self.linear else None
        if field.kind != "text":
            if self.linear:
                return OneHotEncoder(handle_unknown="ignore")
            return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        words = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True)
        return words if self.linear else make_pipeline(words, TruncatedSVD(20, random_state=0))


PEERS = {
    "mean": lambda: DummyRegressor(),
    "Ridge": lambda: make_pipeline(CellFeatures(), RidgeCV(np.logspace(-2, 3, 11))),
    "HistGradientBoosting": lambda: make_pipeline(
        CellFeatures(linear=False), HistGradientBoostingRegressor(random_state=0)
    ),
}


def measure(model, X, y, X_test, y_test):
    """Fit a regressor and judge it on other rows.

    Parameters
    ----------
    model : regressor
    X, y, X_test, y_test : DataFrame and array-like
        Rows to train on, and rows to judge by.

    Returns
    -------
    dict
        :func:`figures`, and "seconds" of fitting and predicting.
    """
    start = time.perf_counter()
    model.fit(X, y)
    distribution = None
    if hasattr(model, "predict_distribution"):
        distribution = model.predict_distribution(X_test)
        prediction = distribution.decode(model.decoding_, random_state=0)
        if distribution.probabilities.shape[1] == 1:  # a head that predicts a number alone
            distribution = None
    else:
        prediction = model.predict(X_test)
    seconds = time.perf_counter() - start
    return figures(np.asarray(y_test, float), prediction, distribution) | {"seconds": seconds}


def figures(y, prediction, distribution):
    """Errors of a prediction, and the quality of the distribution that it was read from.

    Parameters
    ----------
    y, prediction : ndarray of shape (n,)
    distribution : NumericDistribution or None
        None: there is a number alone, whose CRPS is its absolute error and which has no interval.

    Returns
    -------
    dict of str to float
        "r2", "rmse", "spearman", "crps", and "coverage" of the 90 % intervals.
    """
    constant = np.ptp(prediction) == 0 or np.ptp(y) == 0
    found = {
        "r2": r2_score(y, prediction),
        "rmse": root_mean_squared_error(y, prediction),
        "spearman": 0.0 if constant else spearmanr(y, prediction).statistic,
        "crps": np.abs(y - prediction).mean(),
    }
    if distribution is not None:
        low, high = distribution.interval(0.9).T
        found["crps"] = distribution.crps(y).mean()
        found["coverage"] = np.mean((low <= y) & (y <= high))
    return found


def draw(table, path):
    """Draw RMSE and CRPS of regressors as a picture.

    Parameters
    ----------
    table : DataFrame
        A row for each regressor and split: "model", "rmse" and "crps".
    path : str or os.PathLike
        The kind of picture is that of the name's end.

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    means = table.groupby("model")[["rmse", "crps"]].mean().sort_values("rmse", ascending=False)
    figure, axes = pyplot("A picture").subplots(
        figsize=(6, 1.4 + 0.3 * len(means)), layout="constrained"
    )
    axes.plot(means["rmse"], means.index, "o", label="RMSE of the prediction")
    axes.plot(means["crps"], means.index, "s", label="CRPS of the distribution")
    for model, errors in table.groupby("model")["rmse"]:  # of single splits
        axes.plot(errors, [model] * len(errors), "|", color="C0", alpha=0.6)
    axes.set(xlim=(0, None), xlabel="error on held-out rows, in units of the target")
    axes.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2, fontsize="small")
    figure.savefig(path, dpi=150)
    pyplot("A picture").close(figure)
