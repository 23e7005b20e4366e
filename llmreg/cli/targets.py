"""The column to predict, apart from those to read."""

from dataclasses import asdict

import pandas as pd

from llmreg.cli.names import named_columns
from llmreg.tables.booleans import are_boolean_words
from llmreg.tables.cell_values import distinct_texts, is_missing_word
from llmreg.tables.cell_writing import read_numbers
from llmreg.tables.columns import ColumnPlan
from llmreg.tables.number_texts import Doubt, NumberStyle, find_style

__all__ = ["split_target"]


def split_target(frame, target, dropped=()):
    """The rows whose target is there.

    Parameters
    ----------
    frame : DataFrame
    target : str
        Name of the column to predict. Of texts, the numbers are read as in other columns.
    dropped : collection of str, default=()
        Columns that are not to be read.

    Returns
    -------
    X : DataFrame
    y : Series
    n_left_out : int
        Rows without a target.

    Raises
    ------
    ValueError
        For a column that is not there, and for a target of texts that are no numbers.
    """
    found = named_columns(frame, [target, *dropped])
    y = _numbers(frame[found[0]])
    known = y.notna()
    X = frame[known].drop(columns=found).reset_index(drop=True)
    return X, y[known].reset_index(drop=True), int((~known).sum())


def _numbers(column):
    """Numbers in place of texts, NaN where these are blank or words for missing."""
    if not any(isinstance(cell, str) for cell in column):
        return column
    plan, doubt = _plan(column)
    numbers, unread, *_ = read_numbers(plan, column)
    if doubt is not None:
        raise ValueError(f"The target {column.name!r} {doubt.seen}. {doubt.remedy}.")
    if unread.any():
        raise ValueError(
            f"The target {column.name!r} holds {column[unread].iloc[0]!r:.80}, and LLMRegressor "
            "needs finite numbers. Replace such cells by numbers, or leave them blank: rows "
            "without a target are left out."
        )
    return pd.Series(numbers, index=column.index, name=column.name)


def _plan(column):
    """How its numbers are written, and what keeps this from being told."""
    cells, counts = distinct_texts(column)
    present = [i for i, cell in enumerate(cells) if not is_missing_word(cell)]
    words = [cells[i] for i in present]
    if are_boolean_words(words):
        return ColumnPlan(column.name, "number", boolean=True), None
    style, doubt = find_style(words, counts[present], codes=False)
    style = style or NumberStyle()
    if style.quantity == "time":  # as of objects of that type, of which y may hold none
        doubt = Doubt(f"holds times of day, such as {words[0]!r}", "Convert them to hours")
    return ColumnPlan(column.name, "number", **asdict(style)), doubt
