"""Tables in files, by the ends of their names: cells come as they are written there.

What they mean is for :mod:`llmreg.tables` to say, which sees a whole column. So no reader takes
"01234" for a number or "NA" for nothing, and each writer gives back what was read.
"""

import csv
import json
import sys
from datetime import date, time
from functools import partial
from pathlib import Path

import pandas as pd
from pandas.io.common import get_handle

from llmreg.tables.cell_values import cell_text
from llmreg.tables.containers import to_frame

__all__ = ["check_file", "read_file", "write_file"]

PACKED = (".gz", ".bz2", ".xz", ".zip", ".zst")


def _read_csv(path, sep=","):
    frame = pd.read_csv(path, sep=sep, dtype=str, keep_default_na=False, na_values=[""])
    if len(frame) and not isinstance(frame.index, pd.RangeIndex):  # pandas shifts the names
        raise ValueError(
            f"Rows of {str(path)!r} have more cells than its first line has names, which are "
            f"{', '.join(frame)}. Name each column there, and end no line with {sep!r}."
        )
    return frame


def _write_csv(frame, target, sep=","):
    words = frame.select_dtypes(exclude=["number", "bool"]).astype(str)
    # Without quotes, which it would not get, a carriage return ends a row.
    returns = any(cells.str.contains("\r", regex=False).any() for _, cells in words.items())
    quoting = csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL
    frame.to_csv(target, index=False, sep=sep, quoting=quoting)


def _read_jsonl(path):
    with get_handle(path, "r", encoding="utf-8-sig", compression="infer") as opened:
        lines = enumerate(opened.handle, 1)
        rows = [_row(path, number, line) for number, line in lines if line.strip()]
    if not rows:
        raise ValueError(f"{str(path)!r} holds no rows.")
    return to_frame(rows, "", None)[0]


def _row(path, number, line):
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"Line {number} of {str(path)!r} is no JSON: {error}.") from error
    if not isinstance(row, dict):
        raise ValueError(
            f"Line {number} of {str(path)!r} is no object, but {line.strip()!r:.80}. Legal lines "
            'are such as {"size": 54.5, "city": "Graz"}.'
        )
    return row


def _write_jsonl(frame, path):
    cells = frame.astype(object).where(frame.notna(), None)
    rows = zip(*(column.tolist() for _, column in cells.items()), strict=True)
    with get_handle(path, "w", encoding="utf-8", compression="infer") as opened:
        for row in rows:
            named = dict(zip(frame, row, strict=True))
            opened.handle.write(json.dumps(named, separators=(",", ":"), default=_of_json) + "\n")


def _of_json(cell):
    """What JSON has for a cell that it does not know: dates as ISO 8601 writes them."""
    if isinstance(cell, (date, time)):
        return cell.isoformat()
    return cell.tolist() if hasattr(cell, "tolist") else cell_text(cell)


READERS = {
    ".csv": _read_csv,
    ".tsv": partial(_read_csv, sep="\t"),
    # Of integers with gaps, pandas would make floats.
    ".parquet": partial(pd.read_parquet, dtype_backend="numpy_nullable"),
    ".jsonl": _read_jsonl,
}
WRITERS = {
    ".csv": _write_csv,
    ".tsv": partial(_write_csv, sep="\t"),
    ".parquet": partial(pd.DataFrame.to_parquet, index=False),
    ".jsonl": _write_jsonl,
}


def _of_kind(path, known):
    """What is known of files of this kind; ValueError for others."""
    ends = [end for end in Path(path).suffixes if end not in PACKED]
    if not ends or ends[-1] not in known:
        raise ValueError(
            f"{str(path)!r} is of no known kind. Legal ends of names: {', '.join(known)}, and "
            "these with .gz."
        )
    return known[ends[-1]]


def read_file(path):
    """Read a table.

    Parameters
    ----------
    path : str or os.PathLike
        A .csv, .tsv, .parquet or .jsonl file (JSON lines: an object a line); may be packed
        (.csv.gz).

    Returns
    -------
    DataFrame
        Cells as they are in the file: strings of text files, of which empty ones are missing.

    Raises
    ------
    ValueError
        For another kind of file, or one that holds no table.
    OSError
        If the file can't be read.
    """
    return _of_kind(path, READERS)(path)


def check_file(path):
    """ValueError or OSError where :func:`write_file` could not write, before what takes long."""
    _of_kind(path, WRITERS)
    if not Path(path).absolute().parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(Path(path).parent)!r} to write in.")


def write_file(frame, path=None):
    """Write a table, as :func:`read_file` reads it.

    Parameters
    ----------
    frame : DataFrame
        An index that has a name is written, too: .parquet files have such.
    path : str, os.PathLike or None, default=None
        None: csv on standard output.

    Raises
    ------
    ValueError
        For an end that is none of those that :func:`read_file` knows.
    OSError
        If the file can't be written.
    """
    if frame.index.names != [None]:
        frame = frame.reset_index()
    write = _write_csv if path is None else _of_kind(path, WRITERS)
    write(frame, sys.stdout if path is None else path)
