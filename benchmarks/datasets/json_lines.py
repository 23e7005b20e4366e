"""Files with one JSON object per line, compressed or not."""

import json

from benchmarks.datasets.base import open_text

__all__ = ["read_json_lines"]


def read_json_lines(path, keep=None, max_rows=None):
    """The objects of a file, in order.

    Parameters
    ----------
    path : pathlib.Path
        A name that ends in .gz is decompressed on the way.
    keep : callable or None, default=None
        Called with each object; what it returns is kept, unless that is None. None: the object.
    max_rows : int or None, default=None
        Stop after this many that were kept: such files can be larger than the memory.

    Returns
    -------
    list

    Raises
    ------
    ValueError
        For a line that is not a JSON object, or if nothing was kept.
    """
    if max_rows is not None and max_rows < 1:
        raise ValueError(f"max_rows={max_rows}; give a number of at least 1, or None for all.")
    kept = []
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            row = _parse(line, path, number)
            row = row if keep is None else keep(row)
            if row is not None:
                kept.append(row)
            if len(kept) == max_rows:
                break
    if not kept:
        raise ValueError(f"{path} holds no rows that fit.")
    return kept


def _parse(line, path, number):
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        row = error
    if not isinstance(row, dict):
        raise ValueError(
            f"Line {number} of {path} is not a JSON object ({line.strip()[:80]!r}). Needed is one "
            "object per line; a file in which one list or object spans the lines is another format."
        )
    return row
