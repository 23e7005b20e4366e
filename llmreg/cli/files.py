"""Tables in files, by the ends of their names: cells come as they are written there.

What they mean is for :mod:`llmreg.tables` to say, which sees a whole column. So no reader takes
"01234" for a number or "NA" for nothing, and each writer gives back what was read.
"""

import sys
from collections import Counter
from functools import partial
from io import BytesIO
from pathlib import Path

import pandas as pd
from pandas.api.types import is_object_dtype

from llmreg.cli.delimited import LAYOUT, read_delimited, write_delimited
from llmreg.cli.file_texts import naming
from llmreg.cli.json_lines import read_json_lines, write_json_lines
from llmreg.tables.cell_values import cell_text

__all__ = ["check_file", "names_cells", "read_file", "write_file"]

PACKED = (".gz", ".bz2", ".xz", ".zip", ".zst")


def _read_parquet(path):
    with naming(path):  # of integers with gaps, pandas would make floats without this type
        frame = pd.read_parquet(path, dtype_backend="numpy_nullable")
    frame.attrs.pop(LAYOUT, None)
    return frame.set_axis(frame.columns.map(str), axis=1)


def _write_parquet(frame, path):
    """Columns that parquet has no type for, such as numbers beside words, become texts."""
    objects = frame.columns[frame.dtypes.map(is_object_dtype)]
    texts = {name: _texts(frame[name]) for name in objects if not _fits(frame[[name]])}
    frame.assign(**texts).to_parquet(path, index=False)


def _fits(frame):
    try:
        frame.to_parquet(BytesIO(), index=False)
    except Exception:  # of pyarrow, of many kinds
        return False
    return True


def _texts(column):
    return column.map(cell_text, na_action="ignore")


READERS = {
    ".csv": read_delimited,
    ".tsv": partial(read_delimited, sep="\t"),
    ".parquet": _read_parquet,
    ".jsonl": read_json_lines,
}
WRITERS = {
    ".csv": write_delimited,
    ".tsv": partial(write_delimited, sep="\t"),
    ".parquet": _write_parquet,
    ".jsonl": write_json_lines,
}


def _of_kind(path, known):
    """What is known of files of this kind; ValueError for others."""
    ends = [end for end in Path(str(path).lower()).suffixes if end not in PACKED]
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
    frame = _of_kind(path, READERS)(path)
    if not len(frame):
        raise ValueError(f"{str(path)!r} holds no rows.")
    names = Counter([*frame, *(name for name in frame.index.names if name is not None)])
    repeated = [name for name, count in names.items() if count > 1]
    if repeated:
        raise ValueError(
            f"The column names of {str(path)!r} must be unique, but these occur more than once: "
            f"{repeated}. Rename these columns in the file."
        )
    return frame


def names_cells(path):
    """Whether each row of such a file names its cells, so that none may have those of a column."""
    return _of_kind(path, READERS) is read_json_lines


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
        An index that has a name, or holds other labels than row numbers, is written as columns,
        too: .parquet files have such.
    path : str, os.PathLike or None, default=None
        None: csv on standard output.

    Raises
    ------
    ValueError
        For an end that is none of those that :func:`read_file` knows.
    OSError
        If the file can't be written.
    """
    if frame.index.names != [None] or not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index(names=_index_names(frame))
    write = write_delimited if path is None else _of_kind(path, WRITERS)
    write(frame, sys.stdout if path is None else path)


def _index_names(frame):
    """Names of the index, or such as pandas gives it that no column has."""
    names = list(frame.index.names)
    for i, name in enumerate(names):
        if name is None:
            names[i] = "index" if len(names) == 1 else f"level_{i}"
            while names[i] in frame or names.count(names[i]) > 1:
                names[i] += "_"
    return names
