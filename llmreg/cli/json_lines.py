"""Tables as JSON, an object a line: .jsonl files."""

import json
from datetime import date, time
from decimal import Decimal
from math import isfinite

import pandas as pd
from pandas.io.common import get_handle

from llmreg.cli.file_texts import read_text
from llmreg.tables.cell_values import cell_text
from llmreg.tables.containers import to_frame

__all__ = ["read_json_lines", "write_json_lines"]


def read_json_lines(path):
    """Read a table, of which each cell keeps its type; what a row lacks is missing.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    DataFrame

    Raises
    ------
    ValueError
        For lines that are no objects.
    """
    text, _ = read_text(path)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    rows = [_row(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    return to_frame(rows, "", None)[0] if rows else pd.DataFrame()


def _row(path, number, line):
    try:
        row = json.loads(line)
        # Perhaps of a repeated name: to look for it in each line takes time.
        if isinstance(row, dict) and line.count(":") > len(row):
            row = json.loads(line, object_pairs_hook=_named)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"Line {number} of {str(path)!r} is no JSON that can be read: {error}. Legal lines are "
            'such as {"size": 54.5, "city": "Graz"}.'
        ) from error
    if not isinstance(row, dict):
        raise ValueError(
            f"Line {number} of {str(path)!r} is no object, but {line.strip()!r:.80}. Legal lines "
            'are such as {"size": 54.5, "city": "Graz"}.'
        )
    return row


def _named(pairs):
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = [name for name in row if names.count(name) > 1]
        raise ValueError(f"these names occur more than once: {repeated}")
    return row


def write_json_lines(frame, path):
    """Write a table, in UTF-8. What JSON has no number for (NaN, infinity) is null.

    Parameters
    ----------
    frame : DataFrame
    path : str or os.PathLike
    """
    cells = frame.astype(object).where(frame.notna(), None)
    rows = zip(*(column.tolist() for _, column in cells.items()), strict=True)
    with get_handle(path, "w", encoding="utf-8", compression="infer") as opened:
        for row in rows:
            opened.handle.write(_line(dict(zip(frame, row, strict=True))) + "\n")


def _line(row):
    try:
        return json.dumps(row, separators=(",", ":"), default=_of_json, allow_nan=False)
    except ValueError:  # seldom, and to look for it takes time
        return json.dumps(_finite(row), separators=(",", ":"), default=_of_json)


def _of_json(cell):
    """What JSON has for a cell that it does not know: dates as ISO 8601 writes them."""
    if cell is pd.NaT or cell is pd.NA:  # within lists
        return None
    if isinstance(cell, (date, time)):
        return cell.isoformat()
    if isinstance(cell, Decimal):
        return json.loads(str(cell))
    return cell.tolist() if hasattr(cell, "tolist") else cell_text(cell)


def _finite(cell):
    """The same without numbers that JSON has not, also within lists and objects."""
    if isinstance(cell, dict):
        return {name: _finite(inner) for name, inner in cell.items()}
    if isinstance(cell, (list, tuple)):
        return [_finite(inner) for inner in cell]
    if isinstance(cell, float):
        return cell if isfinite(cell) else None
    return cell if cell is None or isinstance(cell, (str, int)) else _finite(_of_json(cell))
