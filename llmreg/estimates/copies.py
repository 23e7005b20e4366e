"""Rows that are there more than once, target and all: what tells one of them tells the others."""

from hashlib import blake2b
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import sparse

__all__ = ["copies", "row_copies"]


def copies(X, z):
    """Which of the distinct pairs of a row and its target each is.

    Rows that are equal but for their targets are repeated measurements, not copies: new rows will
    have their like among the training rows, too.

    Parameters
    ----------
    X : matrix or ndarray of shape (n, n_columns)
    z : ndarray of shape (n,)

    Returns
    -------
    ndarray of int of shape (n,)
        Numbered as they come first.

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg.estimates.copies import copies
    >>> copies(np.array([[1.0], [2.0], [1.0], [1.0]]), np.array([5.0, 6.0, 5.0, 7.0]))
    array([0, 1, 0, 2])
    """
    X, z = sparse.csr_matrix(X), np.asarray(z, float)
    X.sum_duplicates()
    parts = ((X.indices[i:j], X.data[i:j]) for i, j in pairwise(X.indptr))
    bytes_of = (b"".join(map(np.ndarray.tobytes, part)) for part in parts)
    keys = [
        blake2b(row + target.tobytes(), digest_size=16).digest()
        for row, target in zip(bytes_of, z, strict=True)
    ]
    return pd.factorize(np.array(keys, object))[0]


def row_copies(rows, y):
    """The same of rows as they are written.

    Parameters
    ----------
    rows : llmreg.tables.rows.SerializedRows of n rows
    y : ndarray of shape (n,)

    Returns
    -------
    ndarray of int of shape (n,)
    """
    cells = pd.DataFrame({place: field.text for place, field in enumerate(rows.fields)})
    cells["y"] = y
    return cells.groupby(list(cells), sort=False, dropna=False).ngroup().to_numpy()
