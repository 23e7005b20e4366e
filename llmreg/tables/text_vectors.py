"""What a user's transformer makes of the texts of a table: a vector for each cell."""

from dataclasses import replace

import numpy as np
from sklearn.base import BaseEstimator, clone

from llmreg.integrations.outputs import as_arrays

__all__ = ["TextVectors", "fit_text_vectors"]


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
        From strings to a matrix, dense or sparse. A clone is fitted for each text column.
    random_state : int
        Of clones that have none of their own.

    Attributes
    ----------
    transformers_ : list of fitted transformer
        One for each text column.

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
            If what the transformer returns is no matrix of finite numbers with a row per text.
        """
        texts = [field.text for field in rows.fields if field.kind == "text"]
        self.transformers_ = [self._seeded(clone(self.transformer)) for _ in texts]
        pairs = zip(self.transformers_, texts, strict=True)
        return self._extended(rows, [one.fit_transform(text) for one, text in pairs])

    @as_arrays
    def extend(self, rows):
        """The same for further rows; the transformers stay as they are."""
        texts = [field.text for field in rows.fields if field.kind == "text"]
        pairs = zip(self.transformers_, texts, strict=True)
        return self._extended(rows, [one.transform(text) for one, text in pairs])

    def _extended(self, rows, found):
        matrices = iter([self._dense(matrix, rows.n_rows) for matrix in found])
        fields = [
            replace(field, vectors=next(matrices)) if field.kind == "text" else field
            for field in rows.fields
        ]
        return replace(rows, fields=tuple(fields))

    def _dense(self, matrix, n_rows):
        dense = np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, np.float64)
        if dense.ndim != 2:
            wrong = "no matrix of"
        elif len(dense) != n_rows:
            wrong = "another number of rows than"
        elif not np.isfinite(dense).all():
            wrong = "numbers that are not finite of"
        else:
            return dense
        raise ValueError(
            f"text_features={self.transformer!r} made {wrong} {n_rows} texts (an array of shape "
            f"{dense.shape}). It must return finite numbers of shape (n_texts, n_columns)."
        )

    def _seeded(self, transformer):
        """With our seed where it (or a step of it) would draw from numpy's global state."""
        unseeded = {
            name: self.random_state
            for name, value in transformer.get_params().items()
            if name.split("__")[-1] == "random_state" and value is None
        }
        return transformer.set_params(**unseeded)
