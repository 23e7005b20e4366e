"""How alike two texts of a row are, as numbers: that is in neither of them."""

from itertools import chain, combinations

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import TfidfVectorizer

from llmreg.tables.words import MANY, WORD, beginnings, longest_piece

__all__ = ["OPTIONS", "TextLikeness", "text_columns"]

OPTIONS = {"sublinear_tf": True, "max_features": 50_000}  # of TF-IDF
ALIKE = 0.05  # cosine of two texts of a row beyond that of texts of different rows


class TextLikeness(TransformerMixin, BaseEstimator):
    """Cosines of two texts of a row: of their vectors or, if texts have none, of TF-IDF of pieces
    of words (of words, if texts are long and have blanks between them).

    By words those are compared that have more in common within a row than across rows; of others
    nothing is learnt by it. A missing text has nothing in common with any.

    Attributes
    ----------
    common_ : TfidfVectorizer or None
        Of all texts that are compared by words; None if there are none.
    pairs_ : list of tuple of int
        Which two text columns these are.
    """

    def fit(self, rows, y=None):
        """Learn words of :class:`llmreg.tables.rows.SerializedRows`, and which texts share them."""
        self.common_, self.pairs_ = None, []
        columns = [] if _vectors(rows) else [text[:MANY] for text in _texts(rows)]
        if len(columns) < 2:
            return self
        longest = min(map(longest_piece, columns))
        pieces = {"analyzer": "char_wb", "ngram_range": (2, longest)}
        common = TfidfVectorizer(**(pieces if longest else {"token_pattern": WORD}), **OPTIONS)
        try:
            common.fit(chain(*columns))
        except ValueError:  # an empty vocabulary
            return self
        counts = list(map(common.transform, columns))
        self.pairs_ = [
            (i, j) for i, j in combinations(range(len(counts)), 2)
            if _alike_within_rows(counts[i], counts[j])
        ]  # fmt: skip
        self.common_ = common if self.pairs_ else None
        return self

    def transform(self, rows):
        """Cosines (n_rows, n_pairs)."""
        vectors, texts = _vectors(rows), _texts(rows)
        pairs = [(a, b) for a, b in combinations(vectors, 2) if a.shape[1] == b.shape[1]]
        pairs += [[self.common_.transform(texts[i]) for i in pair] for pair in self.pairs_]
        found = [_cosines(*pair) for pair in pairs]
        return np.stack(found, axis=1) if found else np.zeros((rows.n_rows, 0))


def text_columns(rows):
    """Fields of texts."""
    return [field for field in rows.fields if field.kind == "text"]


def _texts(rows):
    fields = text_columns(rows)
    return [beginnings(np.where(field.missing, "", field.text)) for field in fields]


def _vectors(rows):
    return [
        np.where(field.missing[:, None], 0.0, field.vectors)
        for field in rows.fields
        if field.vectors is not None
    ]


def _alike_within_rows(a, b):
    """Whether rows (n, d) and (n, d) are more alike than those that lie far from each other."""
    others = np.roll(np.arange(b.shape[0]), b.shape[0] // 2)
    return np.mean(_cosines(a, b) - _cosines(a, b[others])) > ALIKE


def _cosines(a, b):
    """Of rows (n, d) and (n, d), sparse or not, (n,); 0 where one of them is 0."""
    sizes = np.sqrt(_row_products(a, a) * _row_products(b, b))
    return _row_products(a, b) / np.maximum(sizes, 1e-12)


def _row_products(a, b):
    products = a.multiply(b) if sparse.issparse(a) else a * b
    return np.asarray(products.sum(1)).ravel()
