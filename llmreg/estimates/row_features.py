"""Serialised rows as matrices: one for slopes, with a column per word, and one for trees."""

from itertools import chain

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from llmreg.estimates.likeness import OPTIONS, TextLikeness, text_columns
from llmreg.estimates.scaling import NormalScores, NumberScaler, soften
from llmreg.estimates.written_numbers import WrittenNumbers
from llmreg.integrations.outputs import as_arrays
from llmreg.tables.words import WORD, beginnings, longest_piece, n_words

__all__ = ["RowFeatures"]

WIDE = 200  # columns beyond which most of them are words or levels: a sparse matrix
N_COMPONENTS = 30  # that trees read of a text column


class RowFeatures(TransformerMixin, BaseEstimator):
    """Matrices of serialised rows, one for each kind of regressor.

    Numbers are those of the cells, those that are written in texts and names of categories, and how
    alike two texts of a row are. "linear" has numbers standardised, and pulled in where they are
    far out, the ranks of numbers where these tell more, flags for gaps, a column per level, TF-IDF
    of words, pairs of words and (in short texts, and in those without blanks between words) pieces
    of words, scaled to length 1, and the vectors of texts that have some, with a variance of 1 for
    each text column; it is sparse if it is wide. "kernel" has the same and TF-IDF that is not
    scaled, which grows with the text: a molecule's weight is the sum of its atoms'. "boosted" has
    numbers as they are with NaN for gaps, a code per category, how long texts are, and components
    of the scaled TF-IDF and of the vectors.

    Parameters
    ----------
    kinds : sequence of {"linear", "kernel", "boosted"}
    random_state : int
        Of the components.

    Attributes
    ----------
    likeness_ : TextLikeness
    written_ : WrittenNumbers
    scaler_ : NumberScaler
    ranks_ : NormalScores
    blocks_ : list of lists of int
        Of numbers, categories, words scaled and as they are, and vectors of texts, how many columns
        of "kernel" belong to one number or flag, to one category, or to one text.
    """

    def __init__(self, kinds, random_state):
        self.kinds = kinds
        self.random_state = random_state

    def fit(self, rows, y=None):
        """Learn scales, levels and words of :class:`llmreg.tables.rows.SerializedRows`."""
        self.fit_transform(rows)
        return self

    @as_arrays
    def fit_transform(self, rows, y=None):
        """The same, and the matrices of :meth:`transform`."""
        self.likeness_, self.written_ = TextLikeness().fit(rows), WrittenNumbers().fit(rows)
        raw, levels = self._numbers(rows), _levels(rows)
        self.scaler_ = NumberScaler().fit(raw, sample_weight=rows.weight)
        self.ranks_ = NormalScores().fit(self._standardised(raw), sample_weight=rows.weight)
        self.gaps_ = np.isnan(raw).any(0)
        counted = [np.unique(column, return_counts=True) for column in levels.T]
        self.levels_ = [dict(zip(seen, range(len(seen)), strict=True)) for seen, _ in counted]
        self.frequent_ = [counts > 1 for _, counts in counted]
        # A list of counters for each text column, and what they count.
        fitted = [_fitted_counters(text) for text in _texts(rows)]
        self.counters_ = [counters for counters, _ in fitted]
        counts = [counts for _, counts in fitted if counts]
        words = list(map(_scaled, counts))
        self.centres_ = [vectors.mean(0) for vectors in _vectors(rows)]
        self.spreads_ = [float(np.sqrt(vectors.var(0).sum())) for vectors in _vectors(rows)]
        vectors = self._scaled_vectors(rows)
        n_words = [sum(part.shape[1] for part in parts) for _, parts in fitted]
        n_vectors = [0 if t.vectors is None else t.vectors.shape[1] for t in text_columns(rows)]
        n_numbers = 1 + raw.shape[1] + len(self.ranks_.columns_) + int(self.gaps_.sum())
        n_levels = list(map(_n_columns, self.frequent_))
        self.blocks_ = [[1] * n_numbers, n_levels, n_words, n_words, n_vectors]
        self.components_ = []
        if "boosted" in self.kinds:
            self.components_ = [self._fitted_components(part) for part in [*words, *vectors]]
        return self._matrices(rows, raw, counts, vectors)

    @as_arrays
    def transform(self, rows):
        """Dict from kind to matrix (n_rows, n_columns)."""
        counts, vectors = self._counts(rows), self._scaled_vectors(rows)
        return self._matrices(rows, self._numbers(rows), counts, vectors)

    def _numbers(self, rows):
        """What has a size, (n_rows, n_numbers)."""
        parts = [field.numbers for field in rows.fields if field.numbers is not None]
        parts += [part.transform(rows) for part in (self.likeness_, self.written_)]
        return np.concatenate(parts, axis=1)

    def _standardised(self, raw):
        return soften(self.scaler_.transform(raw))

    def _fitted_components(self, counts):
        count = min(N_COMPONENTS, min(counts.shape) - 1)
        if count < 1:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):  # equal texts have no variance
            return TruncatedSVD(count, random_state=self.random_state).fit(counts)

    def _counts(self, rows):
        """For each text column that has words, sparse matrices (n_rows, n_words)."""
        return [
            [counter.transform(text) for counter in counters]
            for counters, text in zip(self.counters_, _texts(rows), strict=True)
            if counters
        ]

    def _scaled_vectors(self, rows):
        """For each text column that has vectors, these (n_rows, d) about 0."""
        scales = zip(self.centres_, self.spreads_, strict=True)
        return [
            (vectors - centre) / (spread or 1.0)
            for vectors, (centre, spread) in zip(_vectors(rows), scales, strict=True)
        ]

    def _codes(self, rows):
        """For each category, which of its levels a row has, (n_rows,): -1 for one not seen."""
        return [
            np.fromiter((known.get(level, -1) for level in column), int, rows.n_rows)
            for known, column in zip(self.levels_, _levels(rows).T, strict=True)
        ]

    def _matrices(self, rows, raw, counts, vectors):
        words = list(map(_scaled, counts))
        texts = {
            "linear": [*words, *vectors], "boosted": [*words, *vectors],
            "kernel": [*words, *chain(*counts), *vectors],
        }  # fmt: skip
        return {
            kind: (self._narrow if kind == "boosted" else self._wide)(rows, raw, texts[kind])
            for kind in self.kinds
        }

    def _wide(self, rows, raw, texts):
        z, gaps = self._standardised(raw), np.isnan(raw[:, self.gaps_]).astype(float)
        # The first column, of zeros, is for tables that have nothing to be read.
        numbers = [np.zeros((len(z), 1)), np.nan_to_num(z), self.ranks_.transform(z), gaps]
        levels = list(map(_one_hot, self._codes(rows), self.frequent_))
        parts = map(sparse.csr_matrix, [*numbers, *levels, *texts])
        matrix = sparse.hstack(list(parts), format="csr")
        return matrix if matrix.shape[1] > WIDE else matrix.toarray()

    def _narrow(self, rows, raw, texts):
        parts = [np.zeros((rows.n_rows, 1)), raw, *map(_sizes, text_columns(rows))]
        parts += [codes[:, None].astype(float) for codes in self._codes(rows)]
        for part, components in zip(texts, self.components_, strict=True):
            if components is not None:
                parts.append(components.transform(part))
        return np.concatenate(parts, axis=1)


def _levels(rows):
    parts = [field.text for field in rows.fields if field.kind == "category"]
    return np.stack(parts, 1) if parts else np.zeros((rows.n_rows, 0), object)


def _n_columns(frequent):
    return int(frequent.sum()) + int(not frequent.all())


def _one_hot(codes, frequent):
    """A column for each frequent level, and one for all that were seen once, if there are any,
    which stands for those that never were, too."""
    n_frequent = int(frequent.sum())
    places = np.append(np.where(frequent, np.cumsum(frequent) - 1, n_frequent), n_frequent)[codes]
    width = _n_columns(frequent)
    known = np.flatnonzero(places < width)
    ones = np.ones(len(known)), (known, places[known])
    return sparse.csr_matrix(ones, shape=(len(codes), width))


def _texts(rows):
    return [beginnings(field.text) for field in text_columns(rows)]


def _sizes(field):
    """Logarithms (n_rows, 2) of how many characters and words texts have; 0 of missing ones."""
    texts = np.where(field.missing, "", field.text)
    sizes = [(len(text), n_words(text)) for text in texts]
    return np.log1p(np.array(sizes, dtype=float).reshape(-1, 2))


def _vectors(rows):
    return [field.vectors for field in rows.fields if field.vectors is not None]


def _scaled(counts):
    """Matrices of one text's words and pieces of words, with rows of length 1, side by side."""
    return sparse.hstack(list(map(normalize, counts)), format="csr")


def _fitted_counters(texts):
    """TF-IDF of a column of texts: transformers and their matrices; none if there is nothing to
    count."""
    options = OPTIONS | {"norm": None}
    counters = [TfidfVectorizer(ngram_range=(1, 2), token_pattern=WORD, **options)]
    longest = longest_piece(texts)
    if longest:
        counters.append(TfidfVectorizer(analyzer="char_wb", ngram_range=(1, longest), **options))
    try:
        return counters, [counter.fit_transform(texts) for counter in counters]
    except ValueError:  # an empty vocabulary
        return [], []
