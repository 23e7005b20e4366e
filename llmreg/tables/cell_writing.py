"""Cells as they stand in the prompt, and as numbers."""

import warnings

import numpy as np
import pandas as pd
from pandas.api import types

from llmreg.tables.booleans import is_gap, truth
from llmreg.tables.cell_values import FULL, cell_text, distinct_cells, spread
from llmreg.tables.dates import date_numbers, date_texts, read_moments
from llmreg.tables.levels import known_level, level_name
from llmreg.tables.number_texts import read_number

__all__ = ["read_column", "read_numbers", "unseen_cells", "write_column"]


def write_column(plan, column, *, number_format, missing, exact=False, training=False):
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
    training : bool, default=False
        Whether these are the rows that the plan was learned from, of whose cells all is told.

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
        If a column of numbers or dates holds something else, which is then treated as missing; if
        a column of dates has time zones and had none in training, or the other way round.
    """
    if plan.kind == "number":
        values, unread, codes, cells = read_numbers(plan, column)
        _warn_unread(plan, column, unread & (not training))
        texts = _number_texts(cells, number_format, plan.whole and not exact)
        return spread(texts, codes, missing), np.isnan(values), values[:, None], (plan.name,)
    if plan.kind == "datetime":
        moments, unread = read_moments(column, plan.order, plan.first_year)
        _warn_unread(plan, column, unread & (not training))
        _warn_zones(plan, moments)
        wall = moments.within(plan.zone)
        numbers = date_numbers(wall)
        names = tuple(f"{plan.name}__{part}" for part in plan.parts)
        stacked = np.column_stack([numbers[part] for part in plan.parts])
        texts = date_texts(wall, "D" if plan.date_only else plan.clock, missing)
        return texts, np.isnat(wall), stacked, names
    texts, absent = _read_words(plan, column)
    return np.where(absent, missing, texts), absent, None, ()


def read_column(plan, column):
    """Where the cells of a column are missing, and where they are something unheard of.

    Parameters
    ----------
    plan : ColumnPlan
    column : pandas.Series of shape (n_rows,)

    Returns
    -------
    values : ndarray of shape (n_rows,)
        Numbers, dates or strings.
    absent, unread, unseen : ndarray of shape (n_rows,), dtype bool
        Missing as given; no number or date though the column is one; a category that training
        rows did not have.
    """
    nowhere = np.zeros(len(column), bool)
    if plan.kind == "number":
        values, unread, *_ = read_numbers(plan, column)
        return values, np.isnan(values) & ~unread, unread, nowhere
    if plan.kind == "datetime":
        moments, unread = read_moments(column, plan.order, plan.first_year)
        return moments.wall, np.isnat(moments.wall) & ~unread, unread, nowhere
    texts, absent = _read_words(plan, column)
    return texts, absent, nowhere, unseen_cells(plan, texts, absent)


def unseen_cells(plan, texts, absent):
    """Where a category is none that training rows had; ndarray of shape (n_rows,), dtype bool."""
    if plan.kind != "category" or plan.levels is None:
        return np.zeros(len(texts), bool)
    codes, distinct = pd.factorize(texts)
    known = set(plan.levels)
    return np.array([text not in known for text in distinct] + [False])[codes] & ~absent


def _read_words(plan, column):
    """Categories and texts as strings, "" where missing."""
    codes, cells = distinct_cells(column)
    if plan.boolean:
        texts = [_boolean_text(level_name(cell), plan.levels) for cell in cells]
    elif plan.kind == "category":
        known = set(plan.levels or ())
        texts = [known_level(cell, known) for cell in cells]
    else:
        texts = map(cell_text, cells)
    texts = spread(texts, codes, "")
    return texts, texts == "" if plan.boolean else codes < 0


def _boolean_text(text, levels):
    value = truth(text)
    if value is None:
        return "" if is_gap(text) else text
    return levels[value]


def read_numbers(plan, column):
    """float64 values of the rows, where they were not read, and the distinct values by code."""
    dtype = column.dtype
    are_numbers = types.is_numeric_dtype(dtype) and not plan.quantity
    if types.is_timedelta64_dtype(dtype):
        are_numbers = plan.quantity == "duration"
        column = column.dt.total_seconds() if are_numbers else column.astype(object)
    if are_numbers and not isinstance(dtype, pd.CategoricalDtype):
        codes, distinct = pd.factorize(column)
        cells, failed = distinct.tolist(), np.zeros(len(distinct) + 1, bool)
    else:
        codes, distinct = distinct_cells(column)
        read = [_read_number(plan, cell) for cell in distinct]
        failed = np.array([value is None for value in read] + [False])
        cells = [np.nan if value is None else value for value in read]
    values = np.array([*cells, np.nan], dtype=np.float64)[codes] + 0.0  # -0.0 becomes 0.0
    return values, failed[codes], np.where(np.isnan(values), -1, codes), cells


def _read_number(plan, cell):
    value = read_number(cell, plan)
    if value is None and plan.boolean and truth(cell) is not None:
        return int(truth(cell))
    return value


def _number_texts(values, number_format, whole):
    return [
        str(int(value))
        if whole and value % 1 == 0 and (isinstance(value, int) or abs(value) < FULL)
        else format(float(value) + 0.0, number_format)
        for value in values
    ]


def _warn_unread(plan, column, unread):
    if unread.any():
        warnings.warn(
            f"Column {plan.name!r} was a {plan.kind} in training, but {unread.sum()} of the "
            f"{len(column)} values here cannot be read as one, for example "
            f"{column[unread].astype(object).iloc[0]!r:.80}; they are treated as missing.",
            UserWarning,
            stacklevel=3,
        )


def _warn_zones(plan, moments):
    has_zone = ~np.isnat(moments.utc)
    naive = ~np.isnat(moments.wall) & ~has_zone
    if plan.zone is None and has_zone.any():
        what = f"had no time zones in training, but {sorted(moments.zones)[:3]} here"
    elif plan.zone is not None and naive.all():
        what = f"was in the zone {plan.zone!r} in training, but has none here"
    else:
        return
    warnings.warn(
        f"Column {plan.name!r} {what}; times are read as the clocks there show them.",
        UserWarning,
        stacklevel=3,
    )
