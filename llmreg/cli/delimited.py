"""Tables as text with a character between cells: .csv and .tsv files."""

import csv
import os
from collections import Counter
from numbers import Number

import pandas as pd
from pandas.api.types import is_object_dtype
from pandas.io.common import get_handle

from llmreg.cli.file_texts import read_text
from llmreg.cli.names import bare_name
from llmreg.cli.quotes import is_blank, may_be_rows, read_rows
from llmreg.cli.separators import SEPARATORS, between_names, declared_separator, find_separator
from llmreg.tables.cell_values import cell_text

__all__ = ["LAYOUT", "read_delimited", "write_delimited"]

LAYOUT = "llmreg"  # of a frame's attrs: how its file was written, in words of DataFrame.to_csv
AS_THEY_ARE = (str, Number, type(None), type(pd.NA), type(pd.NaT))  # pandas writes them well


def read_delimited(path, sep=None):
    """Read a table of texts.

    Parameters
    ----------
    path : str or os.PathLike
    sep : str or None, default=None
        None: see :func:`llmreg.cli.separators.find_separator`. A first line such as ``sep=;`` goes
        before either.

    Returns
    -------
    DataFrame
        Empty cells, and those that a line lacks at its end, are missing. Columns without a name
        get one, as pandas gives it. Blanks around names, and what is not seen there, are left out
        (and written again) unless they tell names apart.

    Raises
    ------
    ValueError
        For text that is no table, or could be one in several ways.
    """
    text, encoding = read_text(path)
    declared, text = declared_separator(text)
    if not text or text.isspace():
        return pd.DataFrame()
    if declared is None and sep is not None:
        _check_given(path, text, sep)
        as_written = ","
    else:
        sep = as_written = declared or find_separator(path, text)
    frame = _frame(path, read_rows(path, text, sep), sep)
    frame.attrs[LAYOUT] |= {"sep": as_written, "encoding": encoding, "declared": bool(declared)}
    return frame


def _check_given(path, text, sep):
    """ValueError where names have another separator, but not the one of such files."""
    names = between_names(text)
    found = max(SEPARATORS, key=names.count)
    if sep not in names and found in names:
        raise ValueError(
            f"The first line of {str(path)!r} has no {sep!r}, but {found!r}: {names:.80}. If "
            "that stands between its cells, let the file's name end with .csv, else enclose the "
            "name of its column in quotes."
        )


def _frame(path, rows, sep):
    start = next((i for i, row in enumerate(rows) if not is_blank(row)), 0)
    names, rows = rows[start], _without_blank(rows[start + 1 :], len(rows[start]))
    for i, row in enumerate(rows):
        if len(row) > len(names):
            raise ValueError(
                f"Rows of {str(path)!r} have more cells than its first line has names, which are "
                f"{', '.join(names)}; row {i + 1} has {sep.join(row)!r:.80}. Name each column "
                f"there, end no line with {sep!r}, and enclose cells that hold it in quotes."
            )
        if len(row) < len(names):
            rows[i] = row + [""] * (len(names) - len(row))
    kind = pd.Series([""]).dtype  # also where all cells are missing
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    frame = pd.DataFrame({
        i: pd.Series([cell or None for cell in column], dtype=kind)
        for i, column in enumerate(columns)
    })  # fmt: skip
    frame = frame.set_axis(_bare_names(names), axis=1)
    frame.attrs[LAYOUT] = {"names": dict(zip(frame, names, strict=True))}
    return frame


def _bare_names(names):
    """Names without blanks around them, where these alone don't tell them apart."""
    bare = [bare_name(name) for name in names]
    counts = Counter(bare)
    return [
        (short if counts[short] == 1 else name) if short else f"Unnamed: {i}"
        for i, (name, short) in enumerate(zip(names, bare, strict=True))
    ]


def _without_blank(rows, width):
    """Blank lines are no rows; of one column they are missing cells, but at the end of the file."""
    if width > 1:
        return [row for row in rows if not is_blank(row)]
    while rows and not rows[-1]:
        rows.pop()
    return [row or [""] for row in rows]


def write_delimited(frame, target, sep=None):
    """Write a table, laid out as the file that it was read from.

    Parameters
    ----------
    frame : DataFrame
    target : str, os.PathLike or file of text
    sep : str or None, default=None
        None: as in the file that was read, else a comma.
    """
    layout = {"sep": ",", "encoding": "utf-8", "names": {}, **frame.attrs.get(LAYOUT, {})}
    given, sep = sep, sep or layout["sep"]
    declared = f"sep={sep}{os.linesep}" if layout.get("declared") and not given else ""
    objects = frame.columns[frame.dtypes.map(is_object_dtype)]
    frame = frame.assign(**{name: _written(frame[name]) for name in objects})
    header = [str(layout["names"].get(name, name)) for name in frame]
    words = frame.select_dtypes(exclude=["number", "bool"]).astype(str)
    # With a tab among them, names of a .tsv file tell nothing else.
    puzzling = {"\n"} if given and frame.shape[1] > 1 else {*SEPARATORS, "\n"}
    unclear = any(puzzling & set(name) for name in header) or any(
        _is_unclear(cells, sep, frame.shape[1]) for _, cells in words.items()
    )
    with get_handle(target, "w", encoding=layout["encoding"], compression="infer") as opened:
        opened.handle.write(declared)
        frame.to_csv(
            opened.handle, index=False, sep=sep, encoding=layout["encoding"],
            header=header,
            quoting=csv.QUOTE_ALL if unclear else csv.QUOTE_MINIMAL,
        )  # fmt: skip


def _written(column):
    cells = [cell if isinstance(cell, AS_THEY_ARE) else cell_text(cell) for cell in column]
    return pd.Series(cells, index=column.index, dtype=object)


def _is_unclear(cells, sep, n_columns):
    """Whether only quotes around all cells of the file, names included, tell what is in these.

    A carriage return would get no quotes, and end a row; parts of several lines could be rows.
    """
    if cells.str.contains("\r", regex=False).any():
        return True
    cells = cells[cells.str.contains("\n", regex=False)]
    return any(may_be_rows(cell, sep, n_columns) for cell in cells)
