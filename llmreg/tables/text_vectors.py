"""What a user's transformer makes of the texts of a table: a vector for each cell."""

import warnings
from dataclasses import replace

import numpy as np
from sklearn.base import BaseEstimator, clone

from llmreg.integrations.outputs import as_arrays

__all__ = ["TextVectors", "fit_text_vectors"]

MOST = 10_000  # columns: every row has a float64 for each of them
GIVEN = (
    "It is given one column at a time, as a 1-D array of strings, and must return real numbers of "
    "shape (n_texts, n_columns)"
)


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

    Warns
    -----
    UserWarning
        If there is a transformer and no text for it to read.
    """
    if isinstance(features, bool):
        return None, rows
    if all(field.kind != "text" for field in rows.fields):
        _warn_without_texts(features, rows.fields)
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
            If the transformer fails, or what it returns is no matrix of finite numbers with a row
            per text, or one of more than 10,000 columns. OSError and MemoryError stay what they
            are, with a note.
        """
        texts = [field for field in rows.fields if field.kind == "text"]
        self.transformers_ = [self._seeded(self._clone()) for _ in texts]
        pairs = zip(self.transformers_, texts, strict=True)
        found = [self._vectors(one.fit_transform, field) for one, field in pairs]
        self.widths_ = [matrix.shape[1] for matrix in found]
        return _extended(rows, found)

    @as_arrays
    def extend(self, rows):
        """The same for further rows; the transformers stay as they are."""
        texts = [field for field in rows.fields if field.kind == "text"]
        parts = zip(self.transformers_, texts, self.widths_, strict=True)
        found = [self._vectors(one.transform, field, width) for one, field, width in parts]
        return _extended(rows, found)

    def _clone(self):
        try:
            return clone(self.transformer)
        except Exception as error:
            raise ValueError(
                f"text_features={self.transformer!r} cannot be cloned, and each column of texts "
                "gets a clone of its own. Give it the get_params and set_params of scikit-learn's "
                f"BaseEstimator. {type(error).__name__}: {error}"
            ) from error

    def _vectors(self, compute, field, width=None):
        failed = f"text_features={self.transformer!r} failed on the texts of column {field.name!r}"
        try:
            found = compute(field.text)
        except (OSError, MemoryError) as error:  # no fault of the texts; callers tell them apart
            error.add_note(f"{failed}.")
            raise
        except Exception as error:
            raise ValueError(f"{failed}. {GIVEN}. {type(error).__name__}: {error}") from error
        return self._dense(found, field, width)

    def _dense(self, matrix, field, width):
        shape, n_rows = _shape(matrix), len(field.text)
        if len(shape) != 2:
            wrong = "no matrix of"
        elif shape[0] != n_rows:
            wrong = "another number of rows than"
        elif shape[1] > MOST:
            self._refuse_wide(shape[1])
        elif width is not None and shape[1] != width:
            wrong = f"another number of columns than in fit ({width}) of"
        else:
            dense = _real_numbers(matrix)
            if dense is not None and np.isfinite(dense).all():
                return dense
            what = "something else than real numbers" if dense is None else "numbers not finite"
            wrong = f"{what} of"
        raise ValueError(
            f"text_features={self.transformer!r} made {wrong} {n_rows} texts (an array of shape "
            f"{shape}) of column {field.name!r}. {GIVEN}, all finite, with as many columns for new "
            "texts as in fit."
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


def _shape(matrix):
    try:
        return np.shape(matrix)
    except ValueError:  # rows of different lengths
        return ()


def _real_numbers(matrix):
    """A dense matrix of float64; None for what converts with a loss, or not at all."""
    try:
        dense = matrix.toarray() if hasattr(matrix, "toarray") else matrix
        if np.ma.is_masked(dense):
            return None
        dense = np.asarray(dense)
        strings = dense.dtype == object and any(isinstance(cell, str) for cell in dense.flat)
        return None if strings or dense.dtype.kind not in "biufO" else dense.astype(np.float64)
    except Exception:  # tensors, and objects, each have their own
        return None


def _warn_without_texts(features, fields):
    names = [field.name for field in fields if field.kind == "category" and _in_words(field)]
    kinds = ", ".join(f"{name!r}: 'text'" for name in names)
    remedy = (
        f"These columns of strings are read as categories: set RowSerializer(column_kinds="
        f"{{{kinds}}}) as serializer for those that it is to read."
        if names else "Leave it out."
    )  # fmt: skip
    warnings.warn(
        f"text_features={features!r} reads nothing: no column of the table is read as texts. "
        f"{remedy}",
        UserWarning,
        stacklevel=3,
    )


def _in_words(field):
    cells = {*field.text[~field.missing]}
    return not cells <= {"True", "False"} and any(map(str.isalpha, "".join(cells)))
