"""What each cell of a table is in numbers: standardised values, category codes, text features.

Fitted on the training rows and free of torch; :mod:`llmreg.prompts.cell_encoder` turns these
numbers into vectors beside the prompt's tokens.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from llmreg.estimates.scaling import NumberScaler, soften, weighted_quantiles
from llmreg.integrations.outputs import as_arrays
from llmreg.tables.words import LONG_WORD, beginnings, longest_piece, unparted

__all__ = ["CellFeaturizer", "CellValues", "TextFeaturizer"]

CLIP = 4.0  # standard deviations beyond which a text feature says only "far out"


@dataclass(frozen=True)
class CellValues:
    """The cells of some rows as arrays; every array has one row per table row."""

    numbers: np.ndarray  # (n, n_numbers) float32, standardised; NaN where missing
    categories: np.ndarray  # (n, n_categories) int64 codes: 0 missing, 1 unseen, 2... seen
    texts: np.ndarray  # (n, n_texts, n_components) float32 text features

    def take(self, rows):
        """The cells of these rows only."""
        return CellValues(self.numbers[rows], self.categories[rows], self.texts[rows])


class CellFeaturizer:
    """Learn scales, category codes and text features from serialised training rows.

    Parameters
    ----------
    numbers, categories, texts : bool
        Which cells get numbers of their own beside their tokens; the others are read as text only.
    n_knots : int
        Knots of each number's curve, at quantiles of the training values.
    n_edges : int
        Quantiles of each number's training values, between which it is read piece by piece.
    n_components : int
        Size of the text features of fields without vectors: TF-IDF, reduced by a truncated SVD.
    random_state : int
        Seed of the SVD.
    """

    def __init__(self, *, numbers, categories, texts, n_knots, n_edges, n_components, random_state):
        self.numbers = numbers
        self.categories = categories
        self.texts = texts
        self.n_knots = n_knots
        self.n_edges = n_edges
        self.n_components = n_components
        self.random_state = random_state

    def fit_transform(self, rows):
        """Fit on serialised rows and return their :class:`CellValues`."""
        raw = self._raw_numbers(rows)
        self.scaler_ = NumberScaler().fit(raw, sample_weight=rows.weight)
        z = self._standardise(raw)
        estimates = self._estimates(rows)
        self.knots_ = self._knots(z, rows.weight)
        self.edges_ = self._edges(z, estimates, rows.weight)
        self.n_estimates_ = int(estimates.sum())
        self.levels_ = [self._seen(field) for field in self._category_fields(rows)]
        self.text_models_ = [
            TextFeaturizer(self.n_components, self.random_state) for _ in self._text_fields(rows)
        ]
        texts = [
            model.fit_transform(field.text, field.vectors)
            for model, field in zip(self.text_models_, self._text_fields(rows), strict=True)
        ]
        return self._values(rows, raw, texts)

    def transform(self, rows):
        """:class:`CellValues` of serialised rows."""
        texts = [
            model.transform(field.text, field.vectors)
            for model, field in zip(self.text_models_, self._text_fields(rows), strict=True)
        ]
        return self._values(rows, self._raw_numbers(rows), texts)

    def _values(self, rows, raw, texts):
        codes = [
            _codes(field, levels)
            for field, levels in zip(self._category_fields(rows), self.levels_, strict=True)
        ]
        width = max((part.shape[1] for part in texts), default=0)
        padded = [np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in texts]
        return CellValues(
            numbers=self._standardise(raw).astype(np.float32),
            categories=np.stack(codes, 1) if codes else np.zeros((rows.n_rows, 0), np.int64),
            # No features at all (cells that are all empty): as if there were no text columns.
            texts=np.stack(padded, 1) if width else np.zeros((rows.n_rows, 0, 0), np.float32),
        )

    def _raw_numbers(self, rows):
        parts = [field.numbers for field in rows.fields if field.numbers is not None]
        if not self.numbers or not parts:
            return np.zeros((rows.n_rows, 0))
        return np.concatenate(parts, axis=1)

    def _standardise(self, raw):
        return soften(self.scaler_.transform(raw))

    def _knots(self, z, weight):
        """Knots at quantiles of each column, (n_numbers, n_knots); repeated where values tie."""
        if not z.shape[1]:
            return np.zeros((0, self.n_knots), np.float32)
        levels = np.linspace(0, 1, self.n_knots + 2)[1:-1]
        known = np.where(np.isnan(z).all(0), 0.0, z)
        knots = [weighted_quantiles(column, levels, weight) for column in known.T]
        return np.stack(knots).astype(np.float32)

    def _edges(self, z, estimates, weight):
        """Ascending quantiles of each column, (n_numbers, n_edges): its values where they are few.

        Where there are fewer distinct ones, the last is repeated; none in estimates,
        of which neighbouring ones mean nearly the same.
        """
        edges = np.zeros((z.shape[1], self.n_edges), np.float32)
        for row, column, is_estimate in zip(edges, z.T, estimates, strict=True):
            if is_estimate:
                continue
            values = np.unique(column[~np.isnan(column)].astype(np.float32))
            if len(values) > self.n_edges:
                levels = np.linspace(0, 1, self.n_edges)
                values = np.unique(weighted_quantiles(column, levels, weight).astype(np.float32))
            if len(values):
                row[: len(values)], row[len(values) :] = values, values[-1]
        return edges

    def _estimates(self, rows):
        """Which of the numbers are estimates of the target, (n_numbers,)."""
        fields = [field for field in rows.fields if self.numbers and field.numbers is not None]
        counts = [field.numbers.shape[1] for field in fields]
        return np.repeat(np.array([field.estimate for field in fields], bool), counts)

    def _category_fields(self, rows):
        return [f for f in rows.fields if f.kind == "category"] if self.categories else []

    def _text_fields(self, rows):
        return [f for f in rows.fields if f.kind == "text"] if self.texts else []

    @staticmethod
    def _seen(field):
        return {
            level: code for code, level in enumerate(sorted(set(field.text[~field.missing])), 2)
        }


def _codes(field, levels):
    codes = np.fromiter((levels.get(level, 1) for level in field.text), np.int64, len(field.text))
    return np.where(field.missing, 0, codes)


class TextFeaturizer:
    """Features of one text column, standardised: TF-IDF reduced by SVD, or vectors that are there.

    Words and word pairs where blanks part several words; character n-grams where they don't
    (codes, SMILES strings, part numbers, Chinese).
    """

    def __init__(self, n_components, random_state):
        self.n_components = n_components
        self.random_state = random_state

    @as_arrays
    def fit_transform(self, texts, vectors=None):
        """Fit on an array of strings, or their vectors, and return (n, k) float32 features."""
        self.model_ = None
        if vectors is not None:
            return self._scale(vectors, fit=True)
        texts = beginnings(texts)
        self.model_ = self._vectorizer(texts)
        try:
            matrix = self.model_.fit_transform(texts)
        except ValueError:  # an empty vocabulary: no cell has anything to count
            self.model_ = None
            return np.zeros((len(texts), 0), np.float32)
        size = min(self.n_components, matrix.shape[1] - 1, matrix.shape[0] - 1)
        if size < 1:
            self.model_ = None
            return np.zeros((len(texts), 0), np.float32)
        self.svd_ = TruncatedSVD(size, random_state=self.random_state)
        with np.errstate(divide="ignore", invalid="ignore"):  # equal texts have no variance
            reduced = self.svd_.fit_transform(matrix)
        return self._scale(reduced, fit=True)

    @as_arrays
    def transform(self, texts, vectors=None):
        """(n, k) float32 features of an array of strings, or of their vectors."""
        if vectors is not None:
            return self._scale(vectors)
        if self.model_ is None:
            return np.zeros((len(texts), 0), np.float32)
        return self._scale(self.svd_.transform(self.model_.transform(beginnings(texts))))

    @staticmethod
    def _vectorizer(texts):
        pieces = unparted(texts)
        kind = dict(ngram_range=(1, 2), token_pattern=LONG_WORD)
        if pieces:
            kind = dict(analyzer="char", ngram_range=(1, longest_piece(texts)))
        min_df = 2 if len(texts) >= 50 else 1
        lowercase = not pieces  # the case of a letter carries meaning in codes such as SMILES
        return TfidfVectorizer(
            sublinear_tf=True, min_df=min_df, lowercase=lowercase, max_features=50_000, **kind
        )

    def _scale(self, matrix, fit=False):
        if fit:
            self.mean_, spread = matrix.mean(0), matrix.std(0)
            self.spread_ = np.where(spread > 1e-12, spread, np.inf)
        z = (matrix - self.mean_) / self.spread_
        return np.clip(z, -CLIP, CLIP).astype(np.float32)
