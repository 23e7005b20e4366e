"""True and false, however they are spelt."""

from numbers import Number

import numpy as np
import pandas as pd
from pandas.api import types

from llmreg.tables.cell_values import GAPS, cell_text

__all__ = ["are_boolean_words", "are_booleans", "are_digits", "is_gap", "truth"]

# Each word for true with one for false that goes with it. Some libraries make numbers of bools that
# stand among numbers.
PAIRS = (
    ("true", "false"), ("t", "f"), ("yes", "no"), ("y", "n"), ("on", "off"), ("1", "0"),
    ("1.0", "0.0"), ("true", "0"), ("1", "false"),
)  # fmt: skip
DIGITS = frozenset(("0", "1", "0.0", "1.0"))
TRUTH = {word: True for word, _ in PAIRS} | {word: False for _, word in PAIRS}


def is_gap(text):
    """Whether a string among booleans stands for no answer; "unknown" or "-" may be a third one."""
    return text.strip().casefold() in GAPS


def are_digits(words):
    """Whether words for true and false are the numbers 0 and 1, as programs write them."""
    return all(word.strip() in DIGITS for word in words)


def truth(cell):
    """True, False, or None for a cell that is neither.

    Examples
    --------
    >>> [truth(cell) for cell in (1, 0.0, "Yes", " f ", "maybe", 2)]
    [True, False, True, False, None, None]
    """
    return TRUTH.get(cell_text(cell).strip().casefold())


def are_boolean_words(cells):
    """Whether all cells are true or false, and both words of one pair occur: "y" alone is a code.

    Parameters
    ----------
    cells : iterable

    Returns
    -------
    bool
    """
    words = set()
    for cell in cells:  # most columns end it at the first
        word = cell_text(cell).strip().casefold()
        if word not in TRUTH and word not in GAPS:
            return False
        words.add(word)
    return any({*pair} <= words for pair in PAIRS)


def are_booleans(column):
    """Whether a column holds nothing but the bools of Python, numpy or pandas.

    0 and 1 may stand among them where both answers occur, as some libraries make numbers of all.
    """
    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    if types.is_bool_dtype(values.dtype):
        return True
    if values.dtype != object:
        return False
    cells = np.asarray(values, object)
    cells = cells[~pd.isna(cells)]
    kinds = set(map(type, cells))
    bools = {kind for kind in kinds if issubclass(kind, (bool, np.bool_))}
    if not bools or not all(issubclass(kind, (bool, np.bool_, Number)) for kind in kinds):
        return False
    return kinds == bools or set(cells) == {0, 1}
