"""Rows that are there more than once, target and all: what tells one of them tells the others."""

import numpy as np
import pandas as pd

__all__ = ["copies"]

# Rows of which more are alike come from a table of few rows that new ones are drawn from, too.
MOST_ALIKE = 5


def copies(rows, y):
    """Which of the distinct pairs of a row and its target each is.

    What was drawn or written twice has copies. They are not taken for such where equal rows are to
    be expected, also among those to predict for: where there are no more combinations of the
    columns' values than rows, or more than five rows for each distinct one. Rows that are equal but
    for their targets are repeated measurements.

    Parameters
    ----------
    rows : llmreg.tables.rows.SerializedRows of n rows
    y : ndarray of shape (n,)

    Returns
    -------
    ndarray of int of shape (n,)
        Numbered as they come first; 0, 1, 2, ... where there are no copies.
    """
    cells = pd.DataFrame({place: field.text for place, field in enumerate(rows.fields)})
    # A logarithm: of a thousand columns there are more combinations than floats reach.
    combinations = np.log(cells.nunique(dropna=False).to_numpy(float)).sum()
    cells["y"] = y
    kind = cells.groupby(list(cells), sort=False, dropna=False).ngroup().to_numpy()
    few = combinations < np.log(len(y) + 0.5)
    expected = few or len(y) > MOST_ALIKE * (kind.max(initial=0) + 1)
    return np.arange(len(y)) if expected else kind
