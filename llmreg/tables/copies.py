"""Rows that are there more than once, target and all: what tells one of them tells the others."""

import numpy as np
import pandas as pd

from llmreg.tables.kinds import FEW_VALUES

__all__ = ["copy_groups"]

# Rows of which more are alike come from a table of few rows that new ones are drawn from, too.
MOST_ALIKE = 5


def copy_groups(rows, y):
    """Groups, as scikit-learn calls rows that must not be parted: the copies of one row.

    What was drawn or written twice has copies. Equal rows are not taken for such where they are to
    be expected, also among those to predict for: where columns of few values have no more
    combinations than there are rows, or each distinct row is there more than five times. Rows that
    are equal but for their targets are repeated measurements.

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
    cells["y"] = y
    groups = cells.groupby(list(cells), sort=False, dropna=False).ngroup().to_numpy()
    often = len(y) > MOST_ALIKE * (groups.max(initial=0) + 1)
    return np.arange(len(y)) if often or _few_combinations(rows) else groups


def _few_combinations(rows):
    """Whether there are no more combinations of the columns' values than rows."""
    counts = np.array([pd.Series(field.text).nunique() for field in rows.fields], float)
    endless = [
        field.kind != "category" and count > FEW_VALUES
        for field, count in zip(rows.fields, counts, strict=True)
    ]
    # A sum of logarithms: a thousand columns have more combinations than floats reach.
    return not any(endless) and np.log(counts).sum() < np.log(rows.n_rows + 0.5)
