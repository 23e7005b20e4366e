"""What a user's transformer makes of the texts of a table: a vector for each cell."""

from dataclasses import replace

import numpy as np
from sklearn.base import BaseEstimator, clone

from llmreg.integrations.outputs import as_arrays

__all__ = ["TextVectors", "fit_text_vectors"]

MOST = 10_000  # columns: every row has a float64 for each of them


def fit_text_vectors(features, rows, random_state):
    """:class:`TextVectors` fitted on rows, and the rows with them.

    Parameters
    ----------
    features : bool or transformer
        A bool: there are none, and rows stay as they are.
    rows : llmreg.tables.rows.SerializedRows
    random_state : int

    Returns
    -------
    text_vectors : TextVectors or None
    rows : SerializedRows
    """
    if isinstance(features, bool):
        return None, rows
    text_vectors = TextVectors(features, random_state)
    return text_vectors, text_vectors.fit_extend(rows)


class TextVectors(BaseEstimator):
    """Give the text fields of serialised rows the vectors of a scikit-learn transformer.

    All that reads a row's texts as numbers reads these: they are computed once.

    Parameters
    ----------
    transformer : estimator
        From strings to a matrix, dense or sparse, of 10,000 columns at most: sparse ones become
        dense. A clone is fitted for each text column.
    random_state : int
        Of clones that have none of their own.

    Attributes
    ----------
    transformers_ : list of fitted transformer
        One for each text column.
    widths_ : list of int
        How many columns each of them returns.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.feature_extraction.text import HashingVectorizer
    >>> from llmreg import RowSerializer
    >>> from llmreg.tables.text_vectors import TextVectors
    >>> X = pd.DataFrame({"review": ["works very well", "never works at all"]})
    >>> rows = RowSerializer(column_kinds={"review": "text"}).fit(X).serialize(X)
    >>> TextVectors(HashingVectorizer(n_features=8), 0).fit_extend(rows).fields[0].vectors.shape
    (2, 8)
    """

    def __init__(self, transformer, random_state):
        self.transformer = transformer
        self.random_state = random_state

    @as_arrays
    def fit_extend(self, rows):
        """Fit on training rows, and extend them.

        Parameters
        ----------
        rows : llmreg.tables.rows.SerializedRows

        Returns
        -------
        SerializedRows
            With ``vectors`` of the fields of texts.

        Raises
        ------
        ValueError
            If what the transformer returns is no matrix of finite numbers with a row per text, or
            one of more than 10,000 columns.
        """
        texts = [field.text for field in rows.fields if field.kind == "text"]
        self.transformers_ = [self._seeded(clone(self.transformer)) for _ in texts]
        pairs = zip(self.transformers_, texts, strict=True)
        found = [self._dense(one.fit_transform(text), rows.n_rows) for one, text in pairs]
        self.widths_ = [matrix.shape[1] for matrix in found]
        return _extended(rows, found)

    @as_arrays
    def extend(self, rows):
        """The same for further rows; the transformers stay as they are."""
        texts = [field.text for field in rows.fields if field.kind == "text"]
        parts = zip(self.transformers_, texts, self.widths_, strict=True)
        return _extended(
            rows,
            [self._dense(one.transform(text), rows.n_rows, width) for one, text, width in parts],
        )

    def _dense(self, matrix, n_rows, width=None):
        shape = np.shape(matrix)
        if len(shape) != 2:
            wrong = "no matrix of"
        elif shape[0] != n_rows:
            wrong = "another number of rows than"
        elif shape[1] > MOST:
            self._refuse_wide(shape[1])
        elif width is not None and shape[1] != width:
            wrong = f"another number of columns than in fit ({width}) of"
        else:
            dense = matrix.toarray() if hasattr(matrix, "toarray") else matrix
            dense = np.asarray(dense, np.float64)
            if np.isfinite(dense).all():
                return dense
            wrong = "numbers that are not finite of"
        raise ValueError(
            f"text_features={self.transformer!r} made {wrong} {n_rows} texts (an array of shape "
            f"{shape}). It must return finite numbers of shape (n_texts, n_columns), with as many "
            "columns for new texts as in fit."
        )

    def _refuse_wide(self, n_columns):
        raise ValueError(
            f"text_features={self.transformer!r} made {n_columns:,} columns, and each row would "
            f"hold a number for every one. Some hundred are sensible, {MOST:,} the most: put a "
            "TruncatedSVD(100) behind it (sklearn.pipeline.make_pipeline), or limit it "
            "(n_features of a HashingVectorizer, max_features of a TfidfVectorizer)."
        )

    def _seeded(self, transformer):
        """With our seed where it (or a step of it) would draw from numpy's global state."""
        unseeded = {
            name: self.random_state
            for name, value in transformer.get_params().items()
            if name.split("__")[-1] == "random_state" and value is None
        }
        return transformer.set_params(**unseeded)


def _extended(rows, matrices):
    matrices = iter(matrices)
    fields = [
        replace(field, vectors=next(matrices)) if field.kind == "text" else field
        for field in rows.fields
    ]
    return replace(rows, fields=tuple(fields))
