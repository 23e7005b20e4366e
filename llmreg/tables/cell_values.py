"""The single cells of a column: which are missing, and what they are as words."""

import re
from datetime import timedelta

import numpy as np
import pandas as pd
from pandas.api import types

__all__ = [
    "GAPS",
    "cell_text",
    "distinct_cells",
    "distinct_texts",
    "is_missing_word",
    "other_types",
    "spread",
]

# What programs write where there is nothing: databases, spreadsheets, and C for a number.
GAPS = frozenset(
    ("", "na", "n/a", "#na", "#n/a", "#n/a n/a", "<na>", "nan", "-nan", "nat", "null", "none",
     "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan")
)  # fmt: skip
# Words for "missing" in columns that otherwise hold numbers or dates.
MISSING_WORDS = GAPS.union(
    ("n.a.", "n.a", "nil", "-", "--", "---", "–", "—", "?", "??", ".", "..", "missing", "unknown",
     "no data")
)  # fmt: skip
FULL = 1e21  # below, whole floats are written in full, as JavaScript does


def is_missing_word(text):
    """Whether a string stands for a missing number or date; a blank does so everywhere."""
    return text.strip().casefold() in MISSING_WORDS


def distinct_cells(column):
    """The distinct cells of a column, so that work is done once for each.

    Parameters
    ----------
    column : pandas.Series of shape (n_rows,)

    Returns
    -------
    codes : ndarray of shape (n_rows,), dtype int
        The place of each row's cell among the distinct ones; -1 where it is missing or blank.
    cells : list
        Plain Python objects; bytes have become strings.
    """
    if column.dtype == object and types.infer_dtype(column, skipna=True) != "string":
        # 1, 1.0 and True are one and the same to factorize, so each cell is taken by itself.
        absent = column.isna().to_numpy(dtype=bool)
        codes = np.where(absent, -1, np.arange(len(column)))
        cells = column.tolist()
        cells = [_as_text(cell) if isinstance(cell, bytes) else cell for cell in cells]
    else:
        codes, values = pd.factorize(column)
        cells = values.tolist()
    blank = np.array([isinstance(cell, str) and not cell.strip() for cell in cells] + [False])
    return np.where(blank[codes], -1, codes), cells


def distinct_texts(column):
    """The distinct cells as stripped strings, and how often each occurs; no blanks."""
    codes, cells = distinct_cells(column)
    texts = [cell_text(cell).strip() for cell in cells]
    counts = np.bincount(codes[codes >= 0], minlength=len(cells))
    if len(cells) == len(column):  # not yet distinct
        places, texts = pd.factorize(np.array([*texts, ""], dtype=object)[:-1])
        counts = np.bincount(places, weights=counts, minlength=len(texts)).astype(int)
    there = np.flatnonzero(counts)
    return [texts[i] for i in there], counts[there]


def other_types(column):
    """The types of a column's cells that are no strings; a set."""
    if column.dtype != object:
        return set()
    return {kind for kind in set(map(type, column.dropna())) if not issubclass(kind, (str, bytes))}


def spread(values, codes, missing):
    """The values of distinct cells for every row, `missing` where the code is -1."""
    values = [*values, missing]
    array = np.empty(len(values), dtype=object)  # np.array would take lists apart
    array[:] = values
    return array[codes]


def cell_text(cell):
    """Write one cell; numbers alike whether a column came as integers or, for a NaN, as floats."""
    if type(cell) is str:  # most cells, and faster
        return cell
    if isinstance(cell, (bool, np.bool_)):
        return str(bool(cell))
    if isinstance(cell, bytes):
        return _as_text(cell)
    if isinstance(cell, (float, np.floating)) and cell % 1 == 0 and abs(cell) < FULL:
        return str(int(cell))
    if isinstance(cell, np.ndarray):
        return str(cell.tolist())  # numpy would abridge a long array
    if isinstance(cell, (np.datetime64, np.timedelta64, timedelta)):
        return _moment_text(cell)
    if isinstance(cell, pd.Interval):  # one gap makes floats of whole ends
        return re.sub(r"(?<=\d)\.0(?=[,\])])", "", str(cell))
    return str(cell)


def _moment_text(cell):
    """As in a column that holds nothing else, of which pandas makes its own type."""
    try:
        return str(pd.Timestamp(cell) if isinstance(cell, np.datetime64) else pd.Timedelta(cell))
    except (ValueError, OverflowError):  # beyond pandas' range, or years and months
        return str(cell)


def _as_text(cell):
    return cell.decode("utf-8", errors="replace")
