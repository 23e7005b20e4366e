"""Tables in files, by the ends of their names."""

from functools import partial
from pathlib import Path

import pandas as pd

__all__ = ["check_file", "read_file", "split_target", "write_file"]

# pandas 2 takes a column called "date" for dates; pandas 3 does not, and is to lose the keyword.
AS_WRITTEN = {"convert_dates": False} if pd.__version__ < "3" else {}
READERS = {
    ".csv": pd.read_csv,
    ".tsv": partial(pd.read_csv, sep="\t"),
    ".parquet": pd.read_parquet,
    ".jsonl": partial(pd.read_json, lines=True, dtype=False, precise_float=True, **AS_WRITTEN),
}
WRITERS = {
    ".csv": partial(pd.DataFrame.to_csv, index=False),
    ".tsv": partial(pd.DataFrame.to_csv, index=False, sep="\t"),
    ".parquet": partial(pd.DataFrame.to_parquet, index=False),
    ".jsonl": partial(pd.DataFrame.to_json, lines=True, orient="records"),
}
PACKED = (".gz", ".bz2", ".xz", ".zip", ".zst")


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


def write_file(frame, path):
    """Write a table, as :func:`read_file` reads it.

    Parameters
    ----------
    frame : DataFrame
    path : str or os.PathLike

    Raises
    ------
    ValueError
        For an end that is none of those that :func:`read_file` knows.
    OSError
        If the file can't be written.
    """
    _of_kind(path, WRITERS)(frame, path)


def split_target(frame, target, dropped=()):
    """The rows whose target is there.

    Parameters
    ----------
    frame : DataFrame
    target : str
        Name of the column to predict.
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
        For a column that is not there.
    """
    for name in (target, *dropped):
        if name not in frame:
            raise ValueError(f"There is no column {name!r}. Columns: {', '.join(map(str, frame))}.")
    known = frame[frame[target].notna()].reset_index(drop=True)
    return known.drop(columns=[target, *dropped]), known[target], len(frame) - len(known)
