"""Rows of cells in text, where quotes may enclose cells or be part of them.

Quotes that enclose cells keep separators and line breaks in them from ending these. In files that
were written without such quoting, a cell that happens to begin with a quote would so swallow the
lines up to the next one. The whole file tells which it is.
"""

import csv
import re
from contextlib import contextmanager
from io import StringIO

__all__ = ["is_blank", "may_be_rows", "n_odd", "read_rows"]

ENCLOSED = re.compile(r'"[^"]*+(?:""[^"]*+)*+"')
LONGEST = 2**31 - 1  # characters of a cell; the csv module's own limit is 131,072


def read_rows(path, text, sep):
    """Read rows of cells.

    Parameters
    ----------
    path : str or os.PathLike
        For messages.
    text : str
    sep : str
        A character.

    Returns
    -------
    list of list of str
        Lines without any cell are there, too.

    Raises
    ------
    ValueError
        Where it can't be told which quotes enclose cells.
    """
    with _long_cells():
        if '"' not in text:
            return list(_plain_rows(text, sep))
        rows, first, last = _quoted_rows(text, sep)
        if rows is None:
            return _rows_with_stray_quotes(path, text, sep, first)
        odd = n_odd(rows)
        if not last + odd or _width(rows) == 1 or _names_are_enclosed(text, sep):
            return rows
        odd_plain = n_odd(_plain_rows(text, sep))
        if odd > odd_plain:
            return _bare_rows(text, sep)
        if last and odd == odd_plain:
            raise ValueError(
                f"Lines {first} to {last} of {str(path)!r} may be one row with line breaks in a "
                "cell in quotes, or several rows with quotes in their cells. Is it one, enclose "
                "all names of the first line in quotes; are there several, double these quotes, "
                "and enclose their cells in quotes."
            )
        return rows


def _names_are_enclosed(text, sep):
    """Whether writers put quotes around all cells of the first row, and so of the file."""
    cell = ENCLOSED.pattern
    return bool(re.match(rf"[\r\n]*{cell}(?:{re.escape(sep)}{cell})*+(?:[\r\n]|\Z)", text))


def _rows_with_stray_quotes(path, text, sep, first):
    """Rows where not all quotes enclose cells: lines as they are, else with what is enclosed."""
    if not n_odd(_plain_rows(text, sep)):
        return _bare_rows(text, sep)
    rows = _mixed_rows(text, sep)
    n_cells = _width(rows)
    if n_odd(rows) or any(may_be_rows(cell, sep, n_cells) for row in rows for cell in row):
        raise ValueError(
            f"The row in line {first} of {str(path)!r} has a quote that opens a cell but ends "
            "none, and without quotes not all lines have as many cells as the first. In cells that "
            f"hold {sep!r}, line breaks or quotes, double the quotes, and enclose them in quotes."
        )
    return rows


def may_be_rows(cell, sep, n_cells):
    """Whether a cell of several lines has enough separators for as many rows."""
    return "\n" in cell and cell.count(sep) >= (n_cells - 1) * cell.count("\n")


def is_blank(row):
    """Whether there was nothing to be seen in a line."""
    return not row or (len(row) == 1 and row[0].isspace())


@contextmanager
def _long_cells():
    limit = csv.field_size_limit(LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _plain_rows(text, sep):
    """Rows of which each is a line, with all quotes in their cells."""
    return csv.reader(StringIO(text, newline=""), delimiter=sep, quoting=csv.QUOTE_NONE)


def _quoted_rows(text, sep):
    """Rows, and the lines (from 1) of the first that has several, else 0.

    None in place of rows, and where the row begins, if a quote is neither doubled nor ends a cell.
    """
    reader = csv.reader(StringIO(text, newline=""), delimiter=sep, strict=True)
    rows, lines, before = [], (0, 0), 0
    try:
        for row in reader:
            if reader.line_num > before + 1 and not lines[1]:
                lines = before + 1, reader.line_num
            before = reader.line_num
            rows.append(row)
    except csv.Error:
        return None, before + 1, before + 1
    return rows, *lines


def _bare_rows(text, sep):
    """Rows of which each is a line; what quotes enclose is bare, as it is in other files."""
    return [[_bare(cell) for cell in row] for row in _plain_rows(text, sep)]


def _bare(cell):
    if cell[:1] == '"' and ENCLOSED.fullmatch(cell):
        return cell[1:-1].replace('""', '"')
    return cell


def _mixed_rows(text, sep):
    """Rows, without blank ones, of which quotes enclose a cell where the second one ends it."""
    sep = re.escape(sep)
    cells = re.compile(
        rf"(?:({ENCLOSED.pattern})(?=[{sep}\r\n]|\Z)|([^{sep}\r\n]*+))(\r\n|[{sep}\r\n]|\Z)"
    )
    rows = [[]]
    for enclosed, plain, end in cells.findall(text):
        rows[-1].append(_bare(enclosed) if enclosed else plain)
        if end in ("", "\r\n", "\r", "\n"):
            blank = not enclosed and rows[-1] == [""]
            rows[-1:] = [[]] if blank else [rows[-1], []]
    return rows[:-1]


def n_odd(rows):
    """How many rows have more or fewer cells than the first."""
    rows = iter(rows)
    width = _width(rows)
    return sum(len(row) != width and not is_blank(row) for row in rows)


def _width(rows):
    return len(next((row for row in rows if not is_blank(row)), [""]))
