"""What kind a column is: number, category, text or datetime."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api import types

from llmreg.tables.booleans import are_boolean_words, are_booleans, are_digits
from llmreg.tables.cell_values import distinct_texts, is_missing_word, other_types
from llmreg.tables.date_orders import find_order
from llmreg.tables.number_texts import Doubt, NumberStyle, find_style

__all__ = ["KINDS", "Look", "infer_kind", "look_at"]

KINDS = ("number", "category", "text", "datetime")

# Where strings stop being a category: see infer_kind.
FEW_VALUES = 20
FEW_WORDS = 4

# What pandas.api.types.infer_dtype says of cells that need no second look.
_KIND_OF_CELLS = {
    "empty": "number",
    "boolean": "category",
    **dict.fromkeys(
        ("integer", "floating", "mixed-integer-float", "decimal", "timedelta", "timedelta64",
         "time"),
        "number",
    ),
    **dict.fromkeys(("datetime", "datetime64", "date", "period"), "datetime"),
}  # fmt: skip


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
        By dtype: numbers, Decimal objects, durations and times of day are a "number", booleans
        and the pandas category dtype a "category", dates and periods a "datetime". A column
        without any value is a "number". Strings are a "number" or a "datetime" when at least
        95 % of them are, all written in one way: with one currency or unit and the same
        separators, and none with a leading zero ("01234" is a code). Words for missing ("n/a",
        "-", "?") don't count. Strings for true and false are a "category". Other
        strings are a "category" when at most 20 values occur, or when values occur twice or more
        on average; long ones (more than 4 words on average) only when both hold. All else, and
        whatever has more than `max_categories` values, is "text". Cells of mixed types count as
        the strings they are written as.

    Warns
    -----
    UserWarning
        If strings look like numbers or dates, but it can't be told which: "1,234" and "1.234 kg"
        may have thousands or thousandths, "03:45" beside "01:02:03" hours or minutes in front,
        "3/5/2021" be in March or May, "12 km" stand beside "7 mi". If few numbers have a zero in
        front.

    Examples
    --------
    >>> import pandas as pd
    >>> from llmreg.tables.kinds import infer_kind
    >>> infer_kind(pd.Series(["$1,234.50", None, "$2"]))
    'number'
    >>> infer_kind(pd.Series(["01234", "10115"]))
    'category'
    """
    return look_at(column, max_categories=max_categories, alone=alone).kind


@dataclass(frozen=True)
class Look:
    """What a first look at a column showed.

    Parameters
    ----------
    kind : {"number", "category", "text", "datetime"}
    doubt : Doubt or None
        What kept it from being a number or a datetime.
    style : NumberStyle or None
        How a number is written, if it came as strings.
    order : str or None
        How a datetime is written, if it came as strings.
    """

    kind: str
    doubt: Doubt | None = None
    style: NumberStyle | None = None
    order: str | None = None


def look_at(column, *, max_categories=200, alone=False):
    """:func:`infer_kind` with all that was found; a :class:`Look`."""
    look = _look(column, max_categories)
    if look.doubt is not None:
        warnings.warn(
            f"Column {column.name!r} {look.doubt.seen}; so it is read as words. "
            f"{look.doubt.remedy}, or set column_kinds={{{column.name!r}: 'category'}} (or 'text')"
            ".",
            UserWarning,
            stacklevel=3,
        )
    if alone and look.kind == "category" and not are_booleans(column):
        return Look("text", look.doubt)
    return look


def _look(column, max_categories):
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype) or are_booleans(column):
        return Look("category")
    if types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
        return Look("datetime")
    if types.is_numeric_dtype(dtype) or types.is_timedelta64_dtype(dtype):
        return Look("number")
    kind = _KIND_OF_CELLS.get(types.infer_dtype(column[~column.isna()], skipna=True))
    if kind:
        return Look(kind)
    return _look_at_strings(*distinct_texts(column), other_types(column), max_categories)


def _look_at_strings(cells, counts, others, max_categories):
    if not cells:
        return Look("number")
    present = [i for i, cell in enumerate(cells) if not is_missing_word(cell)]
    values, weights = [cells[i] for i in present], counts[present]
    if are_boolean_words(cells) and not are_digits(values):
        return Look("category")
    order, date_doubt = find_order(values, weights)
    if order is not None:
        return Look("datetime", order=order)
    style, doubt = find_style(values, weights, others=others)
    if style is not None:
        return Look("number", style=style)
    few = len(cells) <= FEW_VALUES
    repeated = len(cells) <= counts.sum() / 2
    long = np.mean([len(value.split()) for value in cells]) > FEW_WORDS
    is_category = (few and repeated) if long else (few or repeated)
    kind = "category" if is_category and len(cells) <= max_categories else "text"
    return Look(kind, date_doubt or doubt)
