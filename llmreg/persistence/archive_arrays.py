"""numpy, pandas and scipy values in an archive (see :mod:`llmreg.persistence.archive`).

Every function of ``WRITERS`` gets (writer, value, path) and returns a structure, or None for what
is not its business; ``READERS`` has a function (reader, parts) for each tag.
"""

import math
import re

import numpy as np
import pandas as pd

__all__ = ["READERS", "WRITERS"]

# pandas' own dtypes whose cells are plain values.
CELL_DTYPES = re.compile(r"str|string|boolean|U?Int(8|16|32|64)|Float(32|64)")
SPARSE_KINDS = ("csr_matrix", "csr_array", "csc_matrix", "csc_array")


def _write_numpy(writer, value, path):
    if isinstance(value, np.generic):
        return {"scalar": _write_array(writer, np.asarray(value), path)}
    if type(value) in (np.ndarray, np.memmap):
        return {"array": _write_array(writer, np.asarray(value), path)}
    if type(value) is np.random.RandomState:
        return {"RandomState": writer.write(value.get_state(legacy=True), path)}
    return None


def _write_array(writer, array, path):
    """[dtype, order, name of the stored array]; [dtype, shape, items] of strings and objects."""
    kind = array.dtype.kind
    if kind in "OUS":
        dtype = "O" if kind == "O" else array.dtype.str
        return [dtype, list(array.shape), writer.items(array.ravel().tolist(), path)]
    if kind not in "biufMm" or array.dtype.itemsize > 8:
        raise writer.illegal(array, f"{path} (dtype {array.dtype})")
    dtype = array.dtype.str
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    array = array.view(np.int64) if kind in "Mm" else array
    # The order in memory decides the last bits of a matrix product.
    order = "F" if array.ndim > 1 and not array.flags.c_contiguous else "C"
    return [dtype, order, writer.array(array.T if order == "F" else array, path)]


def _read_array(reader, parts):
    dtype = np.dtype(parts[0])
    if dtype.kind in "OUS":
        array = np.empty(math.prod(parts[1]), dtype)
        array[:] = reader.items(parts[2])
        return array.reshape(parts[1])
    array = reader.array(parts[2])
    array = array.view(dtype.newbyteorder("=")) if dtype.kind in "Mm" else array
    return (array.T if parts[1] == "F" else array).astype(dtype, copy=False)


def _read_random_state(reader, parts):
    state = np.random.RandomState()
    state.set_state(reader.read(parts))
    return state


# -- tables ----------------------------------------------------------------------------------


def _write_pandas(writer, value, path):
    if value is pd.NA or value is pd.NaT:
        return {"missing": "NA" if value is pd.NA else "NaT"}
    if type(value) is pd.DataFrame:
        columns = [_write_cells(writer, value.iloc[:, i], path) for i in range(value.shape[1])]
        axes = [_write_index(writer, axis, path) for axis in (value.index, value.columns)]
        return {"DataFrame": [columns, *axes]}
    if type(value) is pd.Series:
        cells, name = _write_cells(writer, value, path), writer.write(value.name, path)
        return {"Series": [cells, _write_index(writer, value.index, path), name]}
    if type(value) in (pd.Index, pd.RangeIndex):
        return {"Index": _write_index(writer, value, path)}
    return None


def _write_index(writer, index, path):
    name = writer.write(index.name, f"{path} (an index name)")
    if type(index) is pd.RangeIndex:
        return [[index.start, index.stop, index.step], name]
    if type(index) is not pd.Index:
        raise writer.illegal(index, f"{path} (an index)")
    return [_write_cells(writer, index, path), name]


def _write_cells(writer, column, path):
    if isinstance(column.dtype, np.dtype):
        return {"array": _write_array(writer, column.to_numpy(), path)}
    dtype = str(column.dtype)
    if not CELL_DTYPES.fullmatch(dtype):
        raise writer.illegal(column.dtype, f"{path} (a column's dtype)")
    return {"cells": [dtype, writer.items(column.to_numpy(dtype=object).tolist(), path)]}


def _read_cells(reader, structure):
    [(tag, parts)] = structure.items()
    if tag == "array":
        return _read_array(reader, parts)
    if not CELL_DTYPES.fullmatch(parts[0]):
        raise ValueError(f"it holds a column of unknown dtype {parts[0]!r}.")
    return pd.array(reader.items(parts[1]), dtype=parts[0])


def _read_index(reader, parts):
    values, name = parts
    if type(values) is list:
        return pd.RangeIndex(*values, name=reader.read(name))
    return pd.Index(_read_cells(reader, values), name=reader.read(name))


def _read_frame(reader, parts):
    columns, index, names = parts
    index = _read_index(reader, index)
    data = {i: pd.Series(_read_cells(reader, cells), index) for i, cells in enumerate(columns)}
    return pd.DataFrame(data, index).set_axis(_read_index(reader, names), axis=1)


def _read_series(reader, parts):
    cells, index, name = parts
    return pd.Series(_read_cells(reader, cells), _read_index(reader, index), name=reader.read(name))


# -- sparse matrices -------------------------------------------------------------------------


def _write_sparse(writer, value, path):
    if type(value).__name__ not in SPARSE_KINDS or not hasattr(value, "indptr"):
        return None
    parts = [_write_array(writer, part, path) for part in (value.data, value.indices, value.indptr)]
    return {"sparse": [type(value).__name__, list(value.shape), *parts]}


def _read_sparse(reader, parts):
    from scipy import sparse

    kind, shape, *arrays = parts
    if kind not in SPARSE_KINDS:
        raise ValueError(f"it holds a sparse matrix of unknown kind {kind!r}.")
    arrays = tuple(_read_array(reader, part) for part in arrays)
    return getattr(sparse, kind)(arrays, shape=tuple(shape))


WRITERS = (_write_numpy, _write_pandas, _write_sparse)
READERS = {
    "scalar": lambda reader, parts: _read_array(reader, parts)[()],
    "array": _read_array,
    "RandomState": _read_random_state,
    "missing": lambda reader, name: {"NA": pd.NA, "NaT": pd.NaT}[name],
    "DataFrame": _read_frame,
    "Series": _read_series,
    "Index": _read_index,
    "sparse": _read_sparse,
}
