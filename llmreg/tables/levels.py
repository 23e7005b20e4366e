"""Names of categories: one for all spellings that differ in nothing that is seen."""

import re

import numpy as np

from llmreg.tables.cell_values import cell_text, distinct_cells

__all__ = ["known_level", "level_name", "levels_of"]

# What a number, or a day, is also written as: by floats, and with the time of midnight.
_ALSO = re.compile(r"(0|-?[1-9][0-9]*)\.0|(\d{4}-\d\d-\d\d)[ T]00:00:00", re.ASCII)


def level_name(cell):
    """The text of a cell, with one blank where there are some, and none around it."""
    return " ".join(cell_text(cell).replace("\u200b", "").split())


def levels_of(column):
    """The categories of a column of training rows.

    Parameters
    ----------
    column : pandas.Series of shape (n_rows,)

    Returns
    -------
    tuple of str
        Sorted. "1.0" is "1", as the number 1.0 is, and midnight is its day, unless both occur as
        strings.

    Examples
    --------
    >>> import pandas as pd
    >>> from llmreg.tables.levels import levels_of
    >>> levels_of(pd.Series(["1.0", "1.10", "A", "01"])), levels_of(pd.Series(["1.0", "1"]))
    (('01', '1', '1.10', 'A'), ('1', '1.0'))
    """
    codes, cells = distinct_cells(column)
    cells = [cells[code] for code in np.unique(codes[codes >= 0])]
    strings = set(map(level_name, {cell for cell in cells if isinstance(cell, str)}))
    names = strings.union(level_name(cell) for cell in cells if not isinstance(cell, str))
    apart = {name for name in strings if _shortest(name) in strings}
    return tuple(sorted({name if name in apart else _shortest(name) for name in names}))


def known_level(cell, known):
    """The category of a cell: as it is written if it is known so; else of "1.0" or a midnight the
    number or day.

    Parameters
    ----------
    cell : object
    known : set of str

    Returns
    -------
    str
    """
    name = level_name(cell)
    return name if name in known else _shortest(name)


def _shortest(name):
    also = _ALSO.fullmatch(name)
    return name if also is None else also[1] or also[2]
