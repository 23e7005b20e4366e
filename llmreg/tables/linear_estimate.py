"""A linear model's estimate of the target, as one more cell of every row.

What a ridge regression finds at once (slopes, the worth of each word) a small network with fresh
weights finds only with many rows. So it is told, and learns how far to trust it: the estimates of
the training rows come from models that have not seen them.
"""

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.preprocessing import OneHotEncoder

from llmreg.tables.scaling import NumberScaler
from llmreg.tables.serialization import Field, SerializedRows

__all__ = ["LinearEstimate"]

NAME = "linear estimate"
PENALTIES = np.logspace(-2, 3, 6)
N_FOLDS = 10
MOST_ROWS_TO_CHOOSE = 5000  # the penalty is chosen on so many
WIDE = 200  # columns beyond which most of them are words or levels: a sparse matrix
DIGITS = 6  # after the point; the others depend on how many threads the computer has
FARTHEST = 1e6  # standard deviations; keeps squares of outlandish cells finite


class LinearEstimate(BaseEstimator):
    """Extend serialised rows by a field with a ridge regression's estimate of the target.

    It reads standardised numbers with flags for gaps, one-hot categories, and TF-IDF of words,
    pairs of words and (in short texts) pieces of words.

    Parameters
    ----------
    mean, std : float
        Of the training targets.
    random_state : int
        Seed of the folds.

    Attributes
    ----------
    ridge_ : Ridge
        Fitted on all training rows, with the penalty that predicts held-out rows best.
    """

    def __init__(self, mean, std, random_state):
        self.mean = mean
        self.std = std
        self.random_state = random_state

    def fit_extend(self, rows, y, weight):
        """Fit on training rows, and extend them.

        Parameters
        ----------
        rows : SerializedRows of n rows
        y, weight : ndarray of shape (n,)

        Returns
        -------
        SerializedRows
            With held-out estimates: each row's own target has no part in its estimate.
        """
        design = self._fit_design(rows)
        z, weight = self._standardised(y), weight / weight.mean()
        self.range_ = float(z.min()), float(z.max())
        penalty = self._best_penalty(design, z, weight)
        self.ridge_ = Ridge(penalty).fit(design, z, sample_weight=weight)
        return self._extended(rows, self._held_out(design, z, weight, penalty))

    def extend_training(self, rows, y, weight):
        """Extend further training rows as :meth:`fit_extend` does, and stay as fitted."""
        z, weight = self._standardised(y), weight / weight.mean()
        held_out = self._held_out(self._design(rows), z, weight, self.ridge_.alpha)
        return self._extended(rows, held_out)

    def extend(self, rows):
        """Extend rows to predict for."""
        return self._extended(rows, self.ridge_.predict(self._design(rows)))

    def _standardised(self, y):
        return (y - self.mean) / self.std

    def _held_out(self, design, z, weight, penalty):
        """Estimates (n,) of rows by models without them."""
        if len(z) < 2:
            return np.zeros(len(z))
        folds = KFold(min(N_FOLDS, len(z)), shuffle=True, random_state=self.random_state)
        estimate = np.empty(len(z))
        # Not cross_val_predict: it would hand the folds to the joblib backend that this fit may
        # itself run on, and let another fit begin in this process meanwhile.
        for seen, held_out in folds.split(z):
            ridge = Ridge(penalty).fit(design[seen], z[seen], sample_weight=weight[seen])
            estimate[held_out] = ridge.predict(design[held_out])
        return estimate

    def _best_penalty(self, design, z, weight):
        rng = np.random.RandomState(self.random_state)
        some = rng.permutation(len(z))[:MOST_ROWS_TO_CHOOSE]
        part, y, w = design[some], z[some], weight[some]
        errors = [
            np.average((self._held_out(part, y, w, penalty) - y) ** 2, weights=w)
            for penalty in PENALTIES
        ]
        return float(PENALTIES[int(np.argmin(errors))])

    def _extended(self, rows, z):
        low, high = self.range_
        z = z.round(DIGITS)
        z = np.clip(z, 2 * low - high, 2 * high - low)  # as far beyond the targets as they reach
        estimate = self.mean + self.std * z
        text = np.empty(len(z), dtype=object)
        text[:] = [f"{value:.4g}" for value in estimate]
        missing = np.zeros(len(z), bool)
        field = Field(NAME, "number", text, missing, estimate[:, None], (NAME,), smooth=True)
        *literals, last = rows.literals
        label = f"\n{NAME}: " if last.startswith("\n") else f", {NAME}: "
        return SerializedRows((*literals, label, last), (*rows.fields, field), rows.n_rows)

    # -- what the ridge regression reads ------------------------------------------------------

    def _fit_design(self, rows):
        self.scaler_ = NumberScaler().fit(_numbers(rows))
        self.gaps_ = np.isnan(_numbers(rows)).any(0)
        # Levels that are seen once are treated as those that never were.
        self.one_hot_ = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=2)
        levels = _levels(rows)
        self.one_hot_ = self.one_hot_.fit(levels) if levels.shape[1] else None
        # A list of counters for each text column.
        self.words_ = [_fitted_counters(text) for text in _texts(rows)]
        return self._design(rows)

    def _design(self, rows):
        """Matrix (n_rows, n_columns), sparse if it is wide."""
        raw = _numbers(rows)
        z = np.clip(np.nan_to_num(self.scaler_.transform(raw)), -FARTHEST, FARTHEST)
        # The first column, of zeros, is for tables that have nothing to be read.
        parts = [np.zeros((len(z), 1)), z, np.isnan(raw[:, self.gaps_]).astype(float)]
        if self.one_hot_ is not None:
            parts.append(self.one_hot_.transform(_levels(rows)))
        for counters, text in zip(self.words_, _texts(rows), strict=True):
            parts += [counter.transform(text) for counter in counters]
        design = sparse.hstack(list(map(sparse.csr_matrix, parts)), format="csr")
        return design if design.shape[1] > WIDE else design.toarray()


def _numbers(rows):
    parts = [field.numbers for field in rows.fields if field.numbers is not None]
    return np.concatenate(parts, axis=1) if parts else np.zeros((rows.n_rows, 0))


def _levels(rows):
    parts = [field.text.astype(str) for field in rows.fields if field.kind == "category"]
    return np.stack(parts, 1).astype(object) if parts else np.zeros((rows.n_rows, 0), object)


def _texts(rows):
    return [field.text.astype(str) for field in rows.fields if field.kind == "text"]


def _fitted_counters(texts):
    """TF-IDF of a column of texts: a list of transformers, empty if there is nothing to count."""
    options = {"sublinear_tf": True, "max_features": 50_000}
    counters = [TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\b\w+\b", **options)]
    if np.mean([len(text) for text in texts[:10_000]]) <= 200:  # slow, and long texts have words
        counters.append(TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), **options))
    try:
        return [counter.fit(texts) for counter in counters]
    except ValueError:  # an empty vocabulary
        return []
