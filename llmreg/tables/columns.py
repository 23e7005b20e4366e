"""What a column is, and how its cells are written in a prompt.

Everything that is learned about a column is learned from the training rows, in
:func:`infer_kind` and :func:`plan_column`, and kept in a :class:`ColumnPlan`;
:func:`write_column` then writes each cell by itself, so that a row's prompt never depends on the
other rows of its batch.
"""

import math
import re
import warnings
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from numbers import Real

import numpy as np
import pandas as pd
from pandas.api import types

__all__ = ["KINDS", "ColumnPlan", "infer_kind", "plan_column", "write_column"]

KINDS = ("number", "category", "text", "datetime")
DATE_PARTS = ("timestamp", "month", "day", "weekday", "hour")

_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_LEADING_ZERO = re.compile(r"\s*[+-]?0[0-9]")  # "01234": a code, which 1234 would spoil
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

# Where strings stop being a category: see infer_kind.
FEW_VALUES = 20
FEW_WORDS = 4

# What pandas.api.types.infer_dtype says of cells that need no second look.
_KIND_OF_CELLS = {
    "empty": "number",
    "boolean": "category",
    **dict.fromkeys(
        ("integer", "floating", "mixed-integer-float", "decimal", "timedelta", "timedelta64"),
        "number",
    ),
    **dict.fromkeys(("datetime", "datetime64", "date", "period"), "datetime"),
}


@dataclass(frozen=True)
class ColumnPlan:
    """What was learned about one column from the training rows.

    Parameters
    ----------
    name : str
        The column.
    kind : {"number", "category", "text", "datetime"}
        How its cells are read.
    whole : bool, default=False
        Of a number: every training value was whole, so that whole values are written in full.
    date_only : bool, default=False
        Of a datetime: every training value was at midnight, so that no times are written.
    parts : tuple of str, default=()
        Of a datetime: the parts that are given as numbers, "timestamp" and those that vary.
    """

    name: str
    kind: str
    whole: bool = False
    date_only: bool = False
    parts: tuple[str, ...] = ()


def infer_kind(column, *, max_categories=200, alone=False):
    """Decide from the training rows what a column is.

    Parameters
    ----------
    column : pandas.Series of shape (n_rows,)
        The training rows of one column.
    max_categories : int, default=200
        Strings with more distinct values than this are text.
    alone : bool, default=False
        Whether the table has no other column: strings are then text, never a category.

    Returns
    -------
    {"number", "category", "text", "datetime"}
        By dtype: numbers, Decimal objects and durations are a "number", booleans and the pandas
        category dtype a "category", dates and periods a "datetime". A column without any value is
        a "number". Strings are a "number" when each of them is one and none has a leading zero
        ("01234" is a code), a "datetime" when each begins with an ISO date and is one. Other
        strings are a "category" when at most 20 values occur, or when values occur twice or more
        on average; long ones (more than 4 words on average) only when both hold. All else, and
        whatever has more than `max_categories` values, is "text". Cells of mixed types count as
        the strings they are written as.

    Examples
    --------
    >>> import pandas as pd
    >>> from llmreg.tables.columns import infer_kind
    >>> infer_kind(pd.Series(["1.5", None, "2"]))
    'number'
    >>> infer_kind(pd.Series(["01234", "10115"]))
    'category'
    """
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype) or types.is_bool_dtype(dtype):
        return "category"
    if types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
        return "datetime"
    if types.is_numeric_dtype(dtype) or types.is_timedelta64_dtype(dtype):
        return "number"
    cells = column[~column.isna()].astype(object)
    kind = _KIND_OF_CELLS.get(types.infer_dtype(cells, skipna=True))
    if kind is None:
        strings = pd.Series([_cell_text(cell) for cell in cells], dtype=object)
        kind = _kind_of_strings(strings, max_categories, column.name)
    return "text" if alone and kind == "category" and not _are_booleans(cells) else kind


def _are_booleans(cells):
    return types.infer_dtype(cells, skipna=True) == "boolean"


def _warn_if_nearly_numbers(strings, name):
    """One "n/a" among numbers makes a column of strings, which is hardly ever meant."""
    number = strings.map(lambda value: _NUMBER.fullmatch(value) is not None)
    if number.mean() >= 0.9 and not strings[number].map(_LEADING_ZERO.match).any():
        warnings.warn(
            f"{number.sum()} of {len(strings)} values of column {name!r} are numbers, but it also "
            f"holds {strings[~number].iloc[0]!r}, so it is read as words. Replace such values by "
            f"NaN to read it as numbers, or set column_kinds={{{name!r}: 'category'}} (or 'text').",
            UserWarning,
            stacklevel=2,
        )


def _kind_of_strings(strings, max_categories, name):
    values = strings.unique()
    if all(map(_NUMBER.fullmatch, values)) and not any(map(_LEADING_ZERO.match, values)):
        return "number" if np.isfinite(values.astype(float)).all() else "category"
    if all(map(_ISO_DATE.match, values)) and _moments(pd.Series(values)).notna().all():
        return "datetime"
    _warn_if_nearly_numbers(strings, name)
    few = len(values) <= FEW_VALUES
    repeated = len(values) <= len(strings) / 2
    long = np.mean([len(value.split()) for value in values]) > FEW_WORDS
    is_category = (few and repeated) if long else (few or repeated)
    return "category" if is_category and len(values) <= max_categories else "text"


def plan_column(name, column, kind):
    """Learn from the training rows how a column of a given kind is written.

    Parameters
    ----------
    name : str
        Name of the column, for the plan and for messages.
    column : pandas.Series of shape (n_rows,)
        The training rows of the column.
    kind : {"number", "category", "text", "datetime"}
        How its cells are to be read.

    Returns
    -------
    ColumnPlan

    Raises
    ------
    ValueError
        If `kind` is "number" or "datetime" and a value is not one.
    """
    if kind == "number":
        values = _numbers(column)
        _refuse_unread(name, kind, column, np.isnan(values))
        present = values[~np.isnan(values)]
        return ColumnPlan(name, kind, whole=len(present) > 0 and bool((present % 1 == 0).all()))
    if kind == "datetime":
        moments = _moments(column)
        _refuse_unread(name, kind, column, moments.isna().to_numpy())
        present = moments.dropna()
        parts = tuple(
            part
            for part, values in _date_numbers(present).items()
            if part == "timestamp" or len(np.unique(values)) > 1
        )
        date_only = bool((present == present.dt.normalize()).all())
        return ColumnPlan(name, kind, date_only=date_only, parts=parts)
    return ColumnPlan(name, kind)


def write_column(plan, column, *, number_format, missing, exact=False):
    """Write the cells of a column as they stand in the prompt.

    Parameters
    ----------
    plan : ColumnPlan
        What was learned about the column.
    column : pandas.Series of shape (n_rows,)
        The rows to write.
    number_format : str
        Format specification of numbers.
    missing : str
        The word for a missing cell.
    exact : bool, default=False
        Apply `number_format` also to whole values of a column of whole numbers, which are
        otherwise written as integers, in full.

    Returns
    -------
    text : ndarray of shape (n_rows,), dtype object
        The cells as written.
    absent : ndarray of shape (n_rows,), dtype bool
        Where the cell is missing.
    numbers : ndarray of shape (n_rows, k), dtype float64, or None
        The cells as numbers, NaN where missing; None for categories and text.
    number_names : tuple of str
        Names of these k columns.

    Warns
    -----
    UserWarning
        If a column of numbers or dates holds something else, which is then treated as missing.
    """
    if plan.kind == "number":
        values = _numbers(column)
        absent = np.isnan(values)
        _warn_unread(plan, column, absent)
        text = _number_texts(values, number_format, plan.whole and not exact, missing)
        return text, absent, values[:, np.newaxis], (plan.name,)
    if plan.kind == "datetime":
        moments = _moments(column)
        absent = moments.isna().to_numpy()
        _warn_unread(plan, column, absent)
        numbers = _date_numbers(moments)
        names = tuple(f"{plan.name}__{part}" for part in plan.parts)
        stacked = np.column_stack([numbers[part] for part in plan.parts])
        return _date_texts(moments, plan.date_only, missing), absent, stacked, names
    return _texts(column, missing), column.isna().to_numpy(dtype=bool), None, ()


def _texts(column, missing):
    if column.dtype == object and types.infer_dtype(column, skipna=True) != "string":
        # 1, 1.0 and True are one and the same to factorize, so each cell is written by itself.
        absent = column.isna().to_numpy()
        texts = [
            missing if gone else _cell_text(cell) for cell, gone in zip(column, absent, strict=True)
        ]
        return _object_array(texts)
    codes, values = pd.factorize(column)
    return _object_array([*map(_cell_text, values), missing])[codes]  # code -1 is the last one


def _cell_text(cell):
    """Write one cell; numbers alike whether a column came as integers or, for a NaN, as floats."""
    if isinstance(cell, (bool, np.bool_)):
        return str(bool(cell))
    if isinstance(cell, bytes):
        return cell.decode("utf-8", errors="replace")
    if isinstance(cell, (float, np.floating)) and cell == cell and cell % 1 == 0:
        return str(int(cell)) if abs(cell) < 1e15 else str(cell)
    if isinstance(cell, np.ndarray):
        return str(cell.tolist())  # numpy would abridge a long array
    return str(cell)


def _numbers(column):
    """Return float64 values; NaN where a cell is missing or is no finite number."""
    if types.is_timedelta64_dtype(column.dtype):
        values = column.dt.total_seconds().to_numpy()
    elif isinstance(column.dtype, pd.CategoricalDtype) or not (
        types.is_numeric_dtype(column.dtype) or types.is_bool_dtype(column.dtype)
    ):
        values = np.array([_number(cell) for cell in column.astype(object)], dtype=np.float64)
    else:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values + 0.0  # a new array, in which -0.0 has become 0.0


def _number(cell):
    if isinstance(cell, (timedelta, np.timedelta64)):
        return pd.Timedelta(cell).total_seconds()
    if isinstance(cell, str):
        cell = cell if _NUMBER.fullmatch(cell) else math.nan
    elif not isinstance(cell, (Real, Decimal, np.bool_)):
        return math.nan
    try:
        value = float(cell)
    except OverflowError:  # an integer beyond the range of floats
        return math.nan
    return value if math.isfinite(value) else math.nan


def _number_texts(values, number_format, whole, missing):
    codes, distinct = pd.factorize(values)
    texts = [
        str(int(value))
        if whole and value % 1 == 0 and abs(value) < 1e15
        else format(value, number_format)
        for value in distinct.tolist()
    ]
    return _object_array([*texts, missing])[codes]


def _moments(column):
    """Return datetimes without time zone (UTC); NaT where a cell is missing or is no date."""
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if not types.is_datetime64_any_dtype(column.dtype):
        cells = pd.Series([_date_like(cell) for cell in column.astype(object)], dtype=object)
        column = pd.to_datetime(cells, format="ISO8601", errors="coerce", utc=True)
    if column.dt.tz is not None:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    return column.astype("datetime64[us]")


def _date_like(cell):
    """Keep what pandas may read as a date; a number would be taken for nanoseconds since 1970."""
    if isinstance(cell, pd.Period):
        return cell.to_timestamp()
    return cell if isinstance(cell, (str, date, np.datetime64)) else pd.NaT


def _date_numbers(moments):
    values = moments.to_numpy()
    days = (values - np.datetime64(0, "us")) / np.timedelta64(1, "D")
    parts = (
        days,
        moments.dt.month,
        moments.dt.day,
        moments.dt.day_of_week,
        moments.dt.hour + moments.dt.minute / 60,
    )
    return {
        name: np.asarray(part, dtype=np.float64)
        for name, part in zip(DATE_PARTS, parts, strict=True)
    }


def _date_texts(moments, date_only, missing):
    codes, distinct = pd.factorize(moments)
    texts = pd.DatetimeIndex(distinct).strftime("%Y-%m-%d" if date_only else "%Y-%m-%d %H:%M")
    return _object_array([*texts, missing])[codes]


def _object_array(texts):
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array


def _unread(column, absent):
    """Return the cells that hold something and yet were not read."""
    if not absent.any():  # the usual case, in tables that may have thousands of columns
        return column.iloc[:0]
    return column[absent & ~column.isna().to_numpy(dtype=bool)].astype(object)


def _refuse_unread(name, kind, column, absent):
    unread = _unread(column, absent)
    if len(unread):
        remedy = {
            "number": "Replace such values by NaN or by numbers, or make the column a 'category' "
            "or 'text' with column_kinds",
            "datetime": "Convert the column with pandas.to_datetime first, or make it a 'category' "
            "or 'text' with column_kinds",
        }[kind]
        raise ValueError(
            f"Column {name!r} is to be read as a {kind}, but {len(unread)} of its {len(column)} "
            f"values cannot be, for example {unread.iloc[0]!r}. {remedy}."
        )


def _warn_unread(plan, column, absent):
    unread = _unread(column, absent)
    if len(unread):
        warnings.warn(
            f"Column {plan.name!r} was a {plan.kind} in training, but {len(unread)} of the "
            f"{len(column)} values here cannot be read as one, for example {unread.iloc[0]!r}; "
            "they are treated as missing.",
            UserWarning,
            stacklevel=3,
        )
