"""What is learned about a column.

Everything that is learned about a column is learned from the training rows, in
:func:`infer_kind` and :func:`plan_column`, and kept in a :class:`ColumnPlan`;
:func:`write_column` then writes each cell by itself, so that a row's prompt never depends on the
other rows of its batch.
"""

import warnings
from dataclasses import asdict, dataclass, replace

import numpy as np
from pandas.api import types

from llmreg.tables.booleans import are_boolean_words, are_booleans, are_digits, is_gap
from llmreg.tables.cell_values import distinct_texts, is_missing_word, other_types
from llmreg.tables.cell_writing import read_numbers, write_column
from llmreg.tables.date_cells import FIRST_YEAR
from llmreg.tables.date_orders import find_first_year, find_order, hundred_years_about
from llmreg.tables.dates import clock_of, date_numbers, read_moments, zone_of
from llmreg.tables.kinds import KINDS, infer_kind
from llmreg.tables.levels import levels_of
from llmreg.tables.number_texts import NumberStyle, find_style, read_number
from llmreg.tables.quantities import example_of

__all__ = ["KINDS", "ColumnPlan", "infer_kind", "plan_column", "write_column"]


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
    decimal : {".", ","}, default="."
        Of a number that came as strings: what stands before the fraction.
    thousands : {"", ",", ".", "'", " "}, default=""
        The same: what stands between groups of three digits.
    unit : str, default=""
        The same: the currency or unit of all its values.
    quantity : {"", "time", "duration", "feet"}, default=""
        Of a number: times of day are read in hours, durations in seconds, feet in inches.
    fractions : {"", "none", "thousandths"}, default=""
        Of a number that came as strings: whether no training cell had a fraction, or all had three
        digits behind a point, so that a text that differs is not read.
    example : str, default=""
        Of times and durations: a cell of training, where what has other parts may be in doubt.
    boolean : bool, default=False
        Of a number or category: all training values were true or false, however spelt.
    levels : tuple of str or None, default=None
        Of a category: the cells seen in training, as written; of booleans, the words for false
        and true. None: not known.
    order : {"", "dmy", "mdy", "mdy.", "ymd", "compact"}, default=""
        Of a datetime that came as strings: what stands first, day, month or year.
    first_year : int, default=1969
        The same: the first of the hundred years that two digits mean.
    zone : str or None, default=None
        Of a datetime: the time zone whose wall time is read; None: none was given.
    clock : {"m", "s", "ms", "us"}, default="m"
        Of a datetime: how finely times are written, as the unit of numpy's datetimes.
    """

    name: str
    kind: str
    whole: bool = False
    date_only: bool = False
    parts: tuple[str, ...] = ()
    decimal: str = "."
    thousands: str = ""
    unit: str = ""
    quantity: str = ""
    fractions: str = ""
    example: str = ""
    boolean: bool = False
    levels: tuple[str, ...] | None = None
    order: str = ""
    first_year: int = FIRST_YEAR
    zone: str | None = None
    clock: str = "m"


def plan_column(name, column, kind=None, *, look=None):
    """Learn from the training rows how a column of a given kind is written.

    Parameters
    ----------
    name : str
        Name of the column, for the plan and for messages.
    column : pandas.Series of shape (n_rows,)
        The training rows of the column.
    kind : {"number", "category", "text", "datetime"} or None, default=None
        How its cells are to be read; None: as the look has it.
    look : Look or None, default=None
        The look that gave the kind. Cells of a "number" or "datetime" that are not one are then
        missing, with a warning. None: such cells are refused.

    Returns
    -------
    ColumnPlan

    Raises
    ------
    ValueError
        If `kind` is "number" or "datetime" and a value is not one (and no `look` was given).

    Warns
    -----
    UserWarning
        If the cells of a datetime have different time zones: they are then read in UTC.
    """
    kind = look.kind if kind is None else kind
    planner = {"number": _plan_number, "datetime": _plan_datetime, "category": _plan_category}
    if kind not in planner:
        return ColumnPlan(name, kind)
    plan, doubt, unread = planner[kind](name, column, look)
    if unread.any():
        _report_unread(plan, column, unread, doubt, strict=look is None)
    return plan


def _plan_number(name, column, look):
    style, doubt, boolean = NumberStyle(), None, False
    if look is not None and look.style is not None:
        style = look.style
    elif _has_strings(column):
        cells, counts = distinct_texts(column)
        known = [i for i, cell in enumerate(cells) if not is_missing_word(cell)]
        words = [cells[i] for i in known]
        boolean = are_boolean_words(cells)
        if not boolean:
            others = other_types(column)
            found, doubt = find_style(words, counts[known], codes=False, others=others)
            style = found or style
    elif types.is_timedelta64_dtype(column.dtype):
        style = NumberStyle(quantity="duration", example=example_of("duration", []))
    elif column.dtype == object:
        cells = types.infer_dtype(column, skipna=True)
        quantity = {"time": "time", "timedelta": "duration", "timedelta64": "duration"}
        found = quantity.get(cells, "")
        style = NumberStyle(quantity=found, example=example_of(found, []))
    plan = ColumnPlan(name, "number", boolean=boolean, **asdict(style))
    values, unread, *_ = read_numbers(plan, column)
    present = np.unique(values[~np.isnan(values)])
    whole = len(present) > 0 and bool((present % 1 == 0).all())
    boolean = 0 < len(present) <= 2 and set(present.tolist()) <= {0.0, 1.0} and not style.unit
    return replace(plan, whole=whole, boolean=boolean), doubt, unread


def _has_strings(column):
    kinds = ("string", "bytes", "mixed", "mixed-integer")
    dtype = column.dtype
    if types.is_numeric_dtype(dtype) or types.is_timedelta64_dtype(dtype):
        return False
    return types.infer_dtype(column.astype(object), skipna=True) in kinds


def _plan_datetime(name, column, look):
    order, doubt, first_year = "", None, None
    if look is not None and look.order is not None:
        order = look.order
    elif _has_strings(column) or types.is_numeric_dtype(column.dtype):
        cells, counts = distinct_texts(column)
        found, doubt = find_order(cells, counts, asked=True)
        order = found or order
    if _has_strings(column):
        first_year = find_first_year(column, order)
    moments, unread = read_moments(column, order, first_year or FIRST_YEAR)
    zone = zone_of(moments.zones)
    if zone is not None and {zone} != moments.zones:
        warnings.warn(
            f"Column {name!r} has times in several zones: {sorted(moments.zones)[:5]}. All are "
            "read in UTC. To read each as the clocks there show it, drop the zones "
            "(tz_localize(None)).",
            UserWarning,
            stacklevel=4,
        )
    wall = moments.within(zone)
    present = wall[~np.isnat(wall)]
    if first_year is None:
        first_year = hundred_years_about(present)
    parts = tuple(
        part
        for part, values in date_numbers(present).items()
        if part == "timestamp" or len(np.unique(values)) > 1
    )
    clock = clock_of(present)
    return ColumnPlan(
        name, "datetime", date_only=clock == "D", parts=parts, order=order,
        first_year=first_year, zone=zone, clock="m" if clock == "D" else clock,
    ), doubt, unread  # fmt: skip


def _plan_category(name, column, look):
    cells, _ = distinct_texts(column)
    boolean = are_booleans(column) or are_boolean_words(cells)
    if boolean:
        words = {cell for cell in cells if not is_gap(cell)}
        digits = bool(words) and are_digits(words)
        levels = ("0", "1") if digits else ("False", "True")
    else:
        levels = levels_of(column)
    plan = ColumnPlan(name, "category", boolean=boolean, levels=levels)
    return plan, None, np.zeros(len(column), bool)


def _report_unread(plan, column, unread, doubt, *, strict):
    example = column[unread].astype(object).iloc[0]
    found = f"{unread.sum()} of its {len(column)} values cannot be, for example {example!r:.80}"
    if not strict:
        warnings.warn(
            f"Column {plan.name!r} is read as a {plan.kind}, but {found}; they are treated as "
            f"missing. Set column_kinds={{{plan.name!r}: 'category'}} (or 'text') to read words.",
            UserWarning,
            stacklevel=4,
        )
        return
    why = "" if doubt is None else f" The column {doubt.seen}."
    remedy = _remedy(plan.kind, example) if doubt is None else doubt.remedy
    raise ValueError(
        f"Column {plan.name!r} is to be read as a {plan.kind}, but {found}.{why} {remedy}, or make "
        "the column a 'category' or 'text' with column_kinds."
    )


def _remedy(kind, example):
    if kind == "number":
        return "Replace such values by NaN or by numbers"
    if read_number(example, NumberStyle()) is None:
        return "Convert the column with pandas.to_datetime first"
    return (  # of which pandas would make nanoseconds since 1970
        "Convert numbers first: years with pandas.to_datetime(column.astype('Int64').astype("
        "'string'), format='%Y'), seconds since 1970 with pandas.to_datetime(column, unit='s'), "
        "and days as spreadsheets count them with pandas.to_datetime(column, unit='D', "
        "origin='1899-12-30')"
    )
