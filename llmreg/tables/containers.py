"""Tables of any library, and of none, as pandas frames: whatever has column names keeps them."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from itertools import chain
from operator import itemgetter
from os import PathLike

import narwhals as nw
import numpy as np
import pandas as pd

from llmreg.tables.plain_cells import legible, shown

__all__ = ["to_frame"]

TEXT_COLUMN = "text"
STRINGS = (str, bytes, bytearray, memoryview)

ONE_COLUMN = (
    "A 1-D input is accepted only for text regression, where every value is a string or missing"
)


def to_frame(X, owner, known):
    """Any table as a pandas frame with its own labels, cells as they are.

    Parameters
    ----------
    X : table-like
        See :func:`llmreg.tables.reading.read_table`.
    owner : str
        The estimator's class, for messages.
    known : sequence of str or None
        Names seen in fit, which say how rows with named cells, and dicts of columns, are ordered.

    Returns
    -------
    frame : pandas.DataFrame
        It may share memory with X.
    named : bool
        Whether its labels mean something.
    """
    if hasattr(X, "toarray"):  # scipy's sparse matrices and arrays, and their likes
        raise TypeError(
            "Sparse data was passed for X, but dense data is required. Sparse input is not "
            f"supported by {owner}: use X.toarray() to convert to a dense numpy array."
        )
    X = _as_pandas(X)
    if isinstance(X, pd.DataFrame):
        return X, True
    if isinstance(X, pd.Series):
        return _from_vector(X, X.name, X, known), False
    if isinstance(X, Mapping):
        return _from_columns(X, owner, known), True
    if _is_sequence(type(X)) and len(X):
        return _from_sequence(X, owner, known)
    X = _as_array(X)
    if X.dtype.names and X.ndim == 1:
        return _from_columns({name: X[name] for name in X.dtype.names}, owner), True
    return _from_array(X, owner, known), False


def _as_pandas(X):
    """Data frames and series of other libraries as those of pandas; the rest is left alone."""
    if isinstance(X, (pd.DataFrame, pd.Series, np.ndarray, list, tuple)):
        return X
    try:
        table = _narwhals(nw.to_native(X, pass_through=True))
        if isinstance(table, nw.LazyFrame):
            table = table.collect()
        if isinstance(table, nw.Series):
            return _lossless(table.to_frame(), [table.name]).iloc[:, 0].rename(table.name)
        if isinstance(table, nw.DataFrame):
            return _lossless(table, table.columns)
    except nw.exceptions.NarwhalsError as error:
        raise ValueError(f"X, a {type(X).__name__}, cannot be read as a table: {error}") from error
    return X.to_pandas() if hasattr(X, "to_pandas") else X


def _narwhals(X):
    """What narwhals knows, as its own; tables that it does not know may tell what they hold."""
    table = nw.from_native(X, pass_through=True, allow_series=True)
    if table is not X:
        return table
    if hasattr(X, "__arrow_c_stream__"):
        import pyarrow as pa

        stream = pa.chunked_array(X)
        is_table = pa.types.is_struct(stream.type)
        X = pa.Table.from_struct_array(stream) if is_table else stream
    elif hasattr(X, "__dataframe__"):
        from pyarrow.interchange import from_dataframe

        X = from_dataframe(X)
    return nw.from_native(X, pass_through=True, allow_series=True)


def _lossless(table, names):
    """A narwhals frame as one of pandas, in which no gap makes floats of integers."""
    try:
        with np.errstate(invalid="ignore"):  # gaps among integers, which are mended below
            frame = table.to_pandas()
    except (ImportError, TypeError, ValueError, NotImplementedError):
        # polars needs pyarrow for it, which llmreg does not; and categories may be dicts.
        if len(names) > 1:  # of which one may be to blame
            columns = [_lossless(table.select(name), [name]) for name in names]
            return pd.concat([one.reset_index(drop=True) for one in columns], axis=1)
        return pd.DataFrame({name: _cells(table[name]) for name in names})
    # Arrow remembers what pandas had: labels that are no strings, and an index among the columns.
    frame = frame.reset_index(drop=True)
    places = {str(label): place for place, label in enumerate(frame.columns)}
    for name in places.keys() & set(names):
        column, kind = table[name], frame.iloc[:, places[name]].dtype.kind
        if _has_levels(column):
            frame.isetitem(places[name], _of_levels(column))
        elif column.dtype.is_nested() or (column.dtype.is_integer() and kind == "f"):
            frame.isetitem(places[name], _objects(column.to_list()))
    return frame


def _cells(column):
    """A narwhals Series as one of pandas by way of Python's objects."""
    if _has_levels(column):
        return _of_levels(column)
    cells = _objects(column.to_list())
    try:
        return cells.astype("category") if column.dtype in (nw.Categorical, nw.Enum) else cells
    except TypeError:
        return cells


def _has_levels(column):
    """Whether a column has levels of a type of pandas, such as intervals, of which Arrow alone
    would give what they are stored as."""
    kind = getattr(column.to_native(), "type", None)
    return hasattr(kind, "index_type") and hasattr(kind.value_type, "extension_name")


def _of_levels(column):
    """Such a column as one of pandas."""
    array = column.to_native().unify_dictionaries().combine_chunks()
    levels, codes = array.dictionary.to_pandas(), array.indices.fill_null(-1).to_pylist()
    return pd.Series(pd.Categorical.from_codes(codes, levels, ordered=array.type.ordered))


def _objects(cells):
    """A Series of cells of which each keeps its type."""
    return pd.Series(list(cells), dtype=object)


def _is_sequence(kind):
    return issubclass(kind, Sequence) and not issubclass(kind, STRINGS)


def _from_sequence(X, owner, known):
    """Read rows, whose cells may have names, or a vector of text."""
    readers = {kind: _record_reader(kind) for kind in set(map(type, X))}
    if all(readers.values()):
        return _from_records([readers[type(row)](row) for row in X], known), True
    if any(readers.values()):
        stranger = next(row for row in X if readers[type(row)] is None)
        raise TypeError(
            f"X is a list of rows whose cells have names, but one of its rows is {shown(stranger)} "
            f"of type {type(stranger).__name__}. Pass one dict per row (an empty dict for an empty "
            "row)."
        )
    if any(map(_is_sequence, readers)) or any(getattr(row, "ndim", 0) > 0 for row in X):
        return _from_rows(X, owner), False
    return _from_vector(_objects(X), None, X, known), False


def _record_reader(kind):
    """What makes dicts by column of rows of this type, or None if their cells have no names."""
    if kind is dict:
        return _itself
    if issubclass(kind, (np.void, np.ma.core.mvoid)):  # of a structured array
        return lambda row: {name: row[name] for name in row.dtype.names or ()}
    if issubclass(kind, (Mapping, pd.Series)):
        return _named
    if is_dataclass(kind):
        return lambda row: {field.name: getattr(row, field.name) for field in fields(row)}
    if hasattr(kind, "_asdict"):  # named tuples, and rows of SQLAlchemy
        return kind._asdict
    # Rows of sqlite3. Of what has dimensions, only a vector is a row.
    return _named if hasattr(kind, "keys") and not hasattr(kind, "ndim") else None


def _itself(row):
    return row


def _named(row):
    names = list(row.keys())
    if len(set(names)) < len(names):
        raise ValueError(f"The cells of a row must have names that differ, but X has {names}.")
    return {name: row[name] for name in names}


def _from_records(records, known):
    """A row says nothing about order, and which keys a batch happens to lack must not matter."""
    labels = _as_known(dict.fromkeys(chain.from_iterable(records)), known or (), fill=True)
    if len(labels) > 1 and min(map(len, records)) == len(labels):  # none lacks one: faster
        rows = map(itemgetter(*labels), records)
    else:
        rows = ([row.get(label) for label in labels] for row in records)
    return _grid(labels, rows, len(records))


def _as_known(labels, known, fill=False):
    """Labels in fit's order, by their names; those unknown last. ``fill``: none is left out."""
    found = {legible(str(label)): label for label in labels}
    fill = fill and bool(not found or found.keys() & set(known))  # else they are names of others
    ordered = [found.get(name, name) for name in known if fill or name in found]
    placed = set(ordered)
    return ordered + [label for label in labels if label not in placed]


def _is_row(cell):
    return _is_sequence(type(cell)) or getattr(cell, "ndim", 0) > 0


def _from_rows(X, owner):
    """Read a list of rows column by column, so that mixed rows keep the type of each cell."""
    sequences = set(filter(_is_sequence, set(map(type, X))))
    _refuse_deep(1 + max(getattr(row, "ndim", 1) for row in X), owner)
    widths = {len(row) if type(row) in sequences or _is_row(row) else None for row in X}
    if len(widths) > 1:
        shape = sorted(widths, key=lambda width: (width is not None, width))
        raise ValueError(
            f"Expected 2D array, got rows of different lengths instead: {shape} (None is a row "
            "that is not a sequence). Give every row the same columns, with None where a value "
            "is missing."
        )
    if 0 not in widths and all(_is_row(cell) for row in X for cell in row):
        _refuse_deep(3, owner)
    return _grid(_numbered(*widths), X, len(X))


def _grid(labels, rows, n_rows):
    """A frame of rows, in which each cell keeps its type."""
    cells = np.fromiter(chain.from_iterable(rows), object, n_rows * len(labels))
    cells = np.asfortranarray(cells.reshape(n_rows, len(labels)))
    return _labelled(pd.DataFrame(cells, dtype=object), labels)


def _frame(labels, columns, n_rows):
    columns = dict(enumerate(map(_as_series, columns)))
    return _labelled(pd.DataFrame(columns, index=pd.RangeIndex(n_rows)), labels)


def _labelled(frame, labels):
    return frame.set_axis(pd.Index(labels, dtype=object, tupleize_cols=False), axis=1)


def _as_array(X):
    """What numpy makes an array of; a masked one keeps its mask."""
    try:
        array = np.asanyarray(X)
    except ValueError:  # of parts of different shapes, such as the groups of a groupby of pandas
        array = None
    holds_rows = isinstance(X, Iterable) and not isinstance(X, (*STRINGS, np.ndarray))
    if array is None or array.ndim == 0:
        remedy = "Pass a DataFrame, an array, or the rows as a list"
        if isinstance(X, (*STRINGS, PathLike)):
            remedy += f". One text is a list of one, [{shown(X)}]; a file is read first"
            remedy += ", as by pandas.read_csv"
        elif holds_rows:
            remedy += ": list(rows)"
        elif X is not None:
            remedy += "; one row is a list of one, [row]"
        raise ValueError(
            f"Expected 2D array, got {shown(X)} of type {type(X).__name__} instead, which is no "
            f"table. {remedy}."
        )
    return array


def _as_series(cells):
    if isinstance(cells, np.ndarray):
        return pd.Series(_unmasked(cells), dtype=object if cells.dtype.kind in "OSU" else None)
    return cells if isinstance(cells, pd.Series) else _objects(cells)


def _from_columns(X, owner, known=()):
    """Read a dict of columns, or anything like it; it says nothing about order."""
    columns = {name: _column(name, X[name], owner) for name in _as_known(X, known or ())}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"The columns of X must have the same length, but have {lengths}.")
    return _frame(list(columns), list(columns.values()), max(lengths.values(), default=0))


def _column(name, cells, owner):
    """One value of a dict of columns; its own index, if any, is of no consequence."""
    if isinstance(cells, (*STRINGS, Mapping, Set)) or not hasattr(cells, "__len__"):
        raise ValueError(
            f"X is read as a dict of columns, but X[{name!r}] is {shown(cells)} of type "
            f"{type(cells).__name__}. Pass a list or an array with one value per row; a dict that "
            "is one row goes in a list: [row]."
        )
    if not isinstance(cells, (list, tuple)):
        cells = _as_pandas(cells)
    if isinstance(cells, (pd.Series, pd.Index, pd.api.extensions.ExtensionArray)):
        return pd.Series(cells).reset_index(drop=True)
    if not _is_sequence(type(cells)):
        cells = np.asanyarray(cells)
        _refuse_deep(cells.ndim + 1 + bool(cells.dtype.names), owner)
    return cells


def _from_array(X, owner, known):
    if X.ndim == 1:
        return _from_vector(_as_series(X), None, X, known)
    _refuse_deep(X.ndim, owner)
    strings = X.dtype.kind in "OSU"  # of these pandas would make a type that not all fit into
    frame = pd.DataFrame(_unmasked(X), dtype=object if strings else None)
    return _labelled(frame, _numbered(X.shape[1]))


def _unmasked(X):
    """An array with missing values where it is masked."""
    if not isinstance(X, np.ma.MaskedArray):
        return X
    if X.dtype.kind in "fcmM":
        return X.filled(np.array("NaT" if X.dtype.kind in "mM" else "nan", X.dtype))
    cells = X.data.astype(object)
    cells[np.ma.getmaskarray(X)] = None
    return cells


def _from_vector(series, name, X, known):
    """Return a column of text, or raise scikit-learn's error about 1-D input.

    ``X`` is what was given, for the remedy: one row of a table of several columns, most likely.
    """
    values = series.to_numpy(dtype=object)
    present = values[~series.isna().to_numpy()]
    strange = {kind for kind in set(map(type, present)) if not issubclass(kind, (str, bytes))}
    if strange or len(present) == 0 or len(known or "x") > 1:
        stranger = next((value for value in present if type(value) in strange), None)
        found = f"; got {shown(stranger)} ({type(stranger).__name__})" if strange else ""
        raise ValueError(
            f"Expected 2D array, got 1D array instead:\narray=[{', '.join(map(shown, values[:6]))}"
            f"{', ...' if len(values) > 6 else ''}].\n{_reshaping(X)} {ONE_COLUMN}{found}."
        )
    return _frame([TEXT_COLUMN if name in (None, "") else name], [_objects(values)], len(values))


def _reshaping(X):
    """How to make a table of one row, or of one column, that was given without the other axis."""
    if isinstance(X, pd.Series):
        return "One row is X.iloc[[0]] in place of X.iloc[0]; one column is series.to_frame()."
    if not hasattr(X, "reshape"):
        return "One row is a list of one, [row]; one column is [[cell] for cell in column]."
    return (
        "Reshape your data either using array.reshape(-1, 1) if your data has a single feature or "
        "array.reshape(1, -1) if it contains a single sample."
    )


def _numbered(width):
    return [f"x{i}" for i in range(width)]


def _refuse_deep(n_dimensions, owner):
    if n_dimensions > 2:
        raise ValueError(
            f"Found array with dim {n_dimensions}. {owner} expected <= 2: one row per sample and "
            "one column per feature."
        )
