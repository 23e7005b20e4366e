"""What became of each column, for people to read, and which cells training rows did not have."""

import warnings

import numpy as np
import pandas as pd
from pandas.api import types

from llmreg.tables.cell_writing import read_column, unseen_cells
from llmreg.tables.date_orders import find_order, resemble_dates
from llmreg.tables.quantities import MEASURES

__all__ = ["as_frame", "describe_columns", "warn_unseen"]

MOST = 0.5
FEWEST_UNSEEN = 2  # one cell of one row is no sign of anything
MANY_ROWS = 20  # from which distinct values in every row are a name rather than chance


def describe_columns(plans, frame, doubts=None):
    """Describe how each column of a table is read.

    Parameters
    ----------
    plans : dict of str to ColumnPlan
    frame : pandas.DataFrame
    doubts : dict of str to Doubt or None, default=None
        What kept columns of words from being numbers or dates.

    Returns
    -------
    dict of str to dict
        By column, plain values; see :meth:`llmreg.RowSerializer.report`.
    """
    doubts = doubts or {}
    return {name: _describe(plan, frame[name], doubts.get(name)) for name, plan in plans.items()}


def as_frame(described):
    """What :func:`describe_columns` found, as a DataFrame with a row per column."""
    return pd.DataFrame.from_dict(described, orient="index").rename_axis("column")


def _describe(plan, column, doubt):
    values, absent, unread, unseen = read_column(plan, column)
    there = np.flatnonzero(~absent & ~unread)
    codes, distinct = pd.factorize(values[there])
    advice = _advice(plan, column, distinct, np.bincount(codes), unread, unseen)
    if doubt is not None:
        advice.append(f"{doubt.seen}: {doubt.remedy[0].lower()}{doubt.remedy[1:]}")
    return {
        "kind": plan.kind,
        "read_as": _read_as(plan, column.iloc[there]),
        "missing": float(absent.mean()),
        "unseen": float(unseen.mean()),
        "unreadable": float(unread.mean()),
        "distinct": len(distinct),
        "examples": ", ".join(_examples(column.iloc[there])),
        "advice": "; ".join(advice),
    }


def _examples(cells):
    """Some cells that differ, such as the first few rows show."""
    texts = [f"{cell!r:.60}" if isinstance(cell, str) else f"{cell!s:.60}" for cell in cells[:50]]
    return list(dict.fromkeys(texts))[:3]


def _read_as(plan, cells):
    written = next(
        (f", written as {cell!r:.60}" for cell in cells[:1] if isinstance(cell, str)), ""
    )
    if plan.kind == "number":
        unit = f" of {plan.unit}" if plan.unit else ""
        return MEASURES.get(plan.quantity, "number") + unit + written
    if plan.kind == "datetime":
        first = {"dmy": ", day first", "mdy": ", month first", "ymd": ", year first"}.get(
            plan.order[:3], ""
        )
        zone = f" in {plan.zone}" if plan.zone else ""
        return ("date" if plan.date_only else "date and time") + zone + written + first
    if plan.boolean:
        return "true or false" + written
    return f"one of {len(plan.levels or ())} words" if plan.kind == "category" else "words"


def _advice(plan, column, distinct, counts, unread, unseen):
    if not len(distinct):
        return ["empty: leave out"]
    advice = ["constant: leave out"] if len(distinct) == 1 < len(column) else []
    if plan.kind == "number" and _are_compact_dates(column, distinct, counts):
        advice.append("looks like dates: set column_kinds to 'datetime'")
    elif _may_be_dates(plan, distinct, counts):
        advice.append("looks like dates: convert with pandas.to_datetime")
    elif _is_name(plan, distinct, counts.sum()):
        advice.append("looks like an id: consider leaving out")
    if unread.any():
        advice.append(
            f"{plan.kind} expected, but holds {column[unread].astype(object).iloc[0]!r:.60}"
        )
    if _mostly(unseen):
        advice.append("most were not seen in training: compare spelling and type")
    return advice


def _is_name(plan, distinct, n_present):
    """Whether all rows differ: whole numbers that leave no gap, or single words."""
    if len(distinct) < max(n_present, MANY_ROWS) or plan.kind == "datetime":
        return False
    if plan.kind == "number":
        # In halves: the distance of two floats may be beyond all of them.
        gapless = distinct.max() / 2 - distinct.min() / 2 == (len(distinct) - 1) / 2
        return gapless and plan.whole and not plan.quantity and not plan.unit
    return not any(len(text.split()) > 1 for text in distinct)


def _may_be_dates(plan, distinct, counts):
    words = plan.kind in ("category", "text") and not plan.boolean
    return words and resemble_dates(distinct.tolist(), counts)


def _are_compact_dates(column, distinct, counts):
    middle = np.median(distinct) if types.is_integer_dtype(column.dtype) else 0
    if not any(19 * unit < middle < 21 * unit for unit in (1e6, 1e10, 1e12)):  # also with times
        return False
    return find_order(distinct.astype(int).astype(str).tolist(), counts)[0] == "compact"


def _mostly(unseen):
    return unseen.sum() >= FEWEST_UNSEEN and unseen.mean() > MOST


def warn_unseen(plans, fields):
    """Warn once, with counts and examples, of categories that mostly did not occur in training.

    Parameters
    ----------
    plans : dict of str to ColumnPlan
    fields : sequence of :class:`llmreg.tables.rows.Field`
    """
    found = []
    for field in fields:
        plan = plans[field.name]
        unseen = unseen_cells(plan, field.text, field.missing)
        if _mostly(unseen[~field.missing]):
            known = ", ".join(map(repr, plan.levels[:3])) or "none"
            found.append(
                f"{field.name!r} ({unseen.sum()} of {(~field.missing).sum()}, for example "
                f"{field.text[unseen][0]!r}, where training had {known})"
            )
    if found:
        warnings.warn(
            "Most cells of these category columns were not seen in training, and are read as "
            f"unknown: {'; '.join(dict.fromkeys(found))}. Compare their spelling, type and bins "
            "with the training rows; RowSerializer.report shows all columns.",
            UserWarning,
            stacklevel=3,
        )
