"""Columns with cells of any Python type as columns of the few that the rest of the library knows.

No cell changes because of what stands in another one: a gap makes no floats of integers.
"""

import math
import operator
import re
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Integral, Number, Rational

import numpy as np
import pandas as pd
from pandas.api import types

from llmreg.tables.cell_values import cell_text

__all__ = ["legible", "plain_column", "refuse_unwritable", "shown"]

KEPT = (
    Number, np.number, np.bool_, np.datetime64, np.timedelta64, date, time, timedelta, pd.Period,
    type(None), type(pd.NA), type(pd.NaT),
)  # fmt: skip
NARROW = (np.float16, np.float32, np.longdouble)
EXACT = 2**53  # up to here, floats hold every integer
_SURROGATE = re.compile("[\ud800-\udfff]")
_ADDRESS = re.compile(r"\bat 0x[0-9A-Fa-f]{6,}")


def legible(text):
    """Text that can be encoded: halves of cut-off emoji (lone surrogates) become U+FFFD.

    Examples
    --------
    >>> from llmreg.tables.plain_cells import legible
    >>> legible("great \\ud83d") == "great \\ufffd"
    True
    """
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def shown(value):
    """A value for a message: not too long, and whatever it does when asked."""
    try:
        text = str(value) if isinstance(value, Number) else repr(value)
    except Exception:  # also integers of more than 4,300 digits
        return f"<{type(value).__name__}>"
    return legible(text if len(text) <= 200 else f"{text[:180]}... ({len(text)} characters)")


def plain_column(name, column):
    """A column in a dtype that the rest of the library knows, with plain cells.

    Parameters
    ----------
    name : str
        For messages.
    column : pandas.Series
        Is not changed.

    Returns
    -------
    pandas.Series
        The column itself if it is plain. Sparse ones become dense, and numbers get the order of
        bytes of this machine. In columns of objects, bytes are decoded, strings made legible, and
        what is no number, date or string becomes its text (sets in sorted order); then they get a
        dtype if it holds all cells as they are. Integers with gaps become "Int64".

    Raises
    ------
    TypeError
        If a cell has no text of its own.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.SparseDtype):
        column = column.sparse.to_dense()
    elif isinstance(dtype, pd.CategoricalDtype):
        return _with_plain_levels(name, column)
    elif isinstance(dtype, np.dtype) and not dtype.isnative:  # pandas computes with no others
        return column.astype(dtype.newbyteorder("="))
    elif _holds_objects(dtype):
        column = column.astype(object)
    if column.dtype != object:
        return column
    kinds = _kinds(column)
    plain = _with_plain_cells(name, column, kinds)
    return _settled(plain, kinds if plain is column else _kinds(plain))


def _kinds(column):
    return set(map(type, column.to_numpy()))


def _holds_objects(dtype):
    if isinstance(dtype, pd.StringDtype):
        return dtype.storage == "python"
    arrow = isinstance(dtype, pd.ArrowDtype) and not types.is_numeric_dtype(dtype)
    return arrow or types.is_object_dtype(dtype)


def _with_plain_levels(name, column):
    levels = column.cat.categories
    if not _holds_objects(levels.dtype):
        return column
    kinds = set(map(type, levels))
    plain = _with_plain_cells(name, pd.Series(levels, dtype=object), kinds)
    if all(map(operator.is_, plain, levels)):
        return column
    cells = column.astype(object)  # and gaps
    return _with_plain_cells(name, cells, _kinds(cells)).astype("category")


def _with_plain_cells(name, column, kinds):
    cells = column.to_numpy()
    readers = {kind: _reader(kind) for kind in kinds}
    if str in kinds and all(map(str.isascii, (cell for cell in cells if type(cell) is str))):
        readers[str] = None
    if not any(readers.values()):
        return column
    plain = [cell if (read := readers[type(cell)]) is None else read(name, cell) for cell in cells]
    return pd.Series(plain, index=column.index, dtype=object)


def _reader(kind):
    """What turns cells of a type into plain ones; None where they are so."""
    if issubclass(kind, str):
        return _string
    if issubclass(kind, Decimal):
        return _decimal
    if issubclass(kind, Rational) and not issubclass(kind, Integral):
        return _fraction
    return None if issubclass(kind, KEPT) else _text


def _string(name, cell):
    return legible(str.__str__(cell))  # of a subclass, what it holds


def _decimal(name, cell):
    return None if cell.is_nan() else cell  # signalling ones cannot even be compared


def _fraction(name, cell):
    try:
        return float(cell)
    except OverflowError:  # refused as infinite later
        return cell


def _text(name, cell):
    try:
        text = _described(cell)
    except Exception as error:  # a class may raise anything
        raise TypeError(
            f"Column {name!r} holds an object of type {type(cell).__name__} that has no text: "
            f"{type(error).__name__}: {error}. Pass strings or numbers in its place."
        ) from error
    if isinstance(text, str) and _ADDRESS.search(text):
        raise TypeError(
            f"Column {name!r} holds an object of type {type(cell).__name__} whose text, "
            f"{shown(text)}, is another one in each run of a program. Pass strings or numbers in "
            "its place."
        )
    return legible(text) if isinstance(text, str) else text


def _described(cell):
    if cell is np.ma.masked:
        return None
    if isinstance(cell, (bytes, bytearray, memoryview)):
        return bytes(cell).decode("utf-8", errors="replace")
    if isinstance(cell, (set, frozenset)):
        return "{" + ", ".join(sorted(map(repr, cell))) + "}"
    if getattr(cell, "ndim", None) == 0 and hasattr(cell, "item"):  # of a tensor or an array
        return cell.item()
    if hasattr(cell, "tolist"):  # str would abridge a long array
        return str(cell.tolist())
    return cell_text(cell)


def _settled(column, kinds):
    """An object column in a dtype of its cells, if there is one that holds them exactly."""
    if any(issubclass(kind, NARROW) for kind in kinds):
        return column
    whole = any(issubclass(kind, (int, np.integer)) and kind is not bool for kind in kinds)
    try:
        found = column.infer_objects()
    except (OverflowError, TypeError, ValueError):  # such as durations in years
        return column
    if not whole or found.dtype != np.float64:
        return _with_gaps(column) if whole and found.dtype == object else found
    # Of integers with gaps, or among floats, pandas makes floats.
    if types.infer_dtype(column, skipna=True) == "integer":
        return _with_gaps(column)
    return found if found.abs().max() <= EXACT else column


def _with_gaps(column):
    """Integers with gaps in a dtype that has both; others are left alone."""
    if types.infer_dtype(column, skipna=True) != "integer":
        return column
    try:
        return column.astype("Int64")
    except (OverflowError, TypeError, ValueError):  # beyond 64 bits
        return column


def refuse_unwritable(name, column):
    """Raise ValueError on complex and infinite values, which no prompt and no scaler can hold."""
    if types.is_complex_dtype(column.dtype):
        _refuse_complex(name, column.iloc[0])
    if types.is_float_dtype(column.dtype):
        infinite = np.isinf(column.to_numpy(dtype=np.float64, na_value=np.nan))
    elif column.dtype == object:
        infinite = _infinite(name, column)
    else:
        return
    if infinite.any():
        row = int(infinite.argmax())
        raise ValueError(
            f"Input X contains infinity, or a value too large for float64: column {name!r} holds "
            f"{shown(column.iloc[row])} at row {row} ({infinite.sum()} such values in all). "
            "Replace infinite values by NaN, which is read as missing, or clip them to a finite "
            "range."
        )


def _infinite(name, column):
    numeric = [kind for kind in set(map(type, column)) if issubclass(kind, Number)]
    if not numeric:
        return np.zeros(len(column), dtype=bool)
    return np.fromiter((_is_infinite(name, cell) for cell in column), bool, len(column))


def _is_infinite(name, cell):
    if not isinstance(cell, Number) or isinstance(cell, np.timedelta64):
        return False
    if isinstance(cell, (complex, np.complexfloating)):
        _refuse_complex(name, cell)
    try:
        return math.isinf(cell)
    except OverflowError:  # an integer or a fraction beyond the range of floats
        return True


def _refuse_complex(name, value):
    raise ValueError(
        f"Complex data not supported: column {name!r} holds {value}. Pass the real and the "
        "imaginary part as two columns."
    )
