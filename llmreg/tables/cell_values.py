"""The single cells of a column: which are missing, and what they are as words."""

import re
import unicodedata
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
    "plain_text",
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
# Nothing of these is seen but where a line may break or which way it runs; joiners are no such. In
# Thai, Lao, Burmese and Khmer the blank of no width parts words.
_UNSEEN = "\u00ad\u061c\u180e\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
_MAYBE_UNSEEN = re.compile(rf"[{_UNSEEN}\u200b]")  # one class is searched seven times as fast
_INVISIBLE = re.compile(rf"[{_UNSEEN}]|(?<![\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\u200b")
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
        Plain Python objects; bytes have become strings, and strings are as :func:`plain_text` has
        them. Some may be equal.
    """
    if column.dtype == object and types.infer_dtype(column, skipna=True) != "string":
        # 1, 1.0 and True are one and the same to factorize, so each cell is taken by itself.
        absent = column.isna().to_numpy(dtype=bool)
        codes = np.where(absent, -1, np.arange(len(column)))
        cells = column.tolist()
        cells = [_as_text(cell) if isinstance(cell, bytes) else cell for cell in cells]
    else:
        codes, values = pd.factorize(column)
        cells = _as_objects(values, column.dtype)
    cells = [plain_text(cell) if isinstance(cell, str) else cell for cell in cells]
    blank = np.array([isinstance(cell, str) and not cell.strip() for cell in cells] + [False])
    return np.where(blank[codes], -1, codes), cells


def plain_text(text):
    """A text with accents in one character with their letters, and nothing that is not seen.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        In Unicode's form NFC, without characters of no width but joiners.

    Examples
    --------
    >>> from llmreg.tables.cell_values import plain_text
    >>> plain_text("Cafe\\u0301\\u200b") == "Caf\\u00e9"
    True
    """
    if text.isascii():
        return text
    if _MAYBE_UNSEEN.search(text):
        text = _INVISIBLE.sub("", text)
    return unicodedata.normalize("NFC", text)


def _as_objects(values, dtype):
    """A list of factorized cells. 0.1 in 32 bits is another number in 64, so narrow floats stay."""
    dtype = getattr(getattr(dtype, "categories", None), "dtype", dtype)
    if types.is_float_dtype(dtype) and dtype.itemsize < 8:
        return list(np.asarray(values, getattr(dtype, "numpy_dtype", dtype)))
    return values.tolist()


def distinct_texts(column):
    """The distinct cells as stripped strings, and how often each occurs; no blanks."""
    codes, cells = distinct_cells(column)
    texts = [cell_text(cell).strip() for cell in cells]
    counts = np.bincount(codes[codes >= 0], minlength=len(cells))
    if len(set(texts)) < len(texts):
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
    if isinstance(cell, (float, np.floating)) and cell % 1 == 0 and abs(float(cell)) < FULL:
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
