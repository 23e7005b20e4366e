"""From whatever a scikit-learn user holds to one pandas DataFrame.

Everything downstream (serialisation, numbers, cross-validation) sees a plain frame with string
column names and a ``RangeIndex``, so the many shapes of input are dealt with here and only here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal

import numpy as np
import pandas as pd
from sklearn.utils.validation import _check_feature_names, _check_n_features, validate_data

__all__ = ["read_table"]

TEXT_COLUMN = "text"

_RESHAPE = (
    "Reshape your data either using array.reshape(-1, 1) if your data has a single feature or "
    "array.reshape(1, -1) if it contains a single sample. A 1-D input is accepted only for text "
    "regression, where every value is a string or missing"
)


def read_table(estimator, X, *, reset):
    """Read any table scikit-learn users pass as a pandas DataFrame, and check it.

    Parameters
    ----------
    estimator : estimator instance
        The estimator that is being fitted or applied. With ``reset=True`` its ``n_features_in_``
        and (when every column name is a string) ``feature_names_in_`` are set, together with the
        private ``_input_columns`` and ``_input_naming`` that later calls are checked against.
    X : table-like of shape (n_rows, n_columns), or 1-D collection of strings
        A pandas DataFrame, a polars DataFrame or LazyFrame, a 2-D array of any dtype, a list of
        rows or a list of dicts; for text regression a pandas or polars Series, a list or a 1-D
        array of strings. In a list of dicts the order of the keys is of no consequence and a key
        that a row lacks is a missing value. None, NaN, NaT and ``pd.NA`` are missing values.
    reset : bool
        True in ``fit``: the columns are learned. False afterwards: the columns are checked.

    Returns
    -------
    pandas.DataFrame of shape (n_rows, n_columns)
        A new frame with a ``RangeIndex`` and string column names. Columns of an array or of a list
        of rows are called ``x0, x1, ...``; a 1-D input is called by the name of the Series, else
        "text"; other names go through ``str``. With ``reset=False`` the columns bear the names
        seen in fit. The caller's data are never written to.

    Raises
    ------
    TypeError
        If X is a sparse matrix, or a list that mixes dicts with something else.
    ValueError
        If X is not two-dimensional (nor a collection of strings), is empty, holds complex or
        infinite values or duplicated column names, or does not fit the columns seen in fit.

    Warns
    -----
    UserWarning
        If only one of the tables given to fit and now has column names, as scikit-learn does;
        columns are then matched by position.

    Examples
    --------
    >>> from sklearn.base import BaseEstimator
    >>> from llmreg.tables.reading import read_table
    >>> estimator = BaseEstimator()
    >>> read_table(estimator, [[1, "a"], [None, "b"]], reset=True)
        x0 x1
    0  1.0  a
    1  NaN  b
    >>> estimator.n_features_in_
    2
    >>> read_table(BaseEstimator(), ["a fine flat", "a ruin"], reset=True)
              text
    0  a fine flat
    1       a ruin
    """
    owner = type(estimator).__name__
    known = None if reset else getattr(estimator, "feature_names_in_", None)
    frame, named = _to_frame(X, owner, known)
    _refuse_empty(frame, owner)
    names = _string_names(frame.columns)
    naming = _naming(frame.columns) if named else "none"
    # Both calls below make new frames, so that renaming does not reach the caller's.
    frame = frame.reset_index(drop=True).set_axis(names, axis=1)
    _check_columns(estimator, frame, naming, reset=reset)
    frame = frame.set_axis(list(getattr(estimator, "_input_columns", names)), axis=1)
    frame = _with_plain_columns(frame)
    _refuse_unwritable(frame)
    return frame


def _to_frame(X, owner, known):
    """Return X as a frame with its own column labels, and whether these labels mean something."""
    if hasattr(X, "toarray"):  # scipy's sparse matrices and arrays, and their likes
        raise TypeError(
            "Sparse data was passed for X, but dense data is required. Sparse input is not "
            f"supported by {owner}: use X.toarray() to convert to a dense numpy array."
        )
    X = _from_polars(X)
    if isinstance(X, pd.DataFrame):
        return X, True
    if isinstance(X, pd.Series):
        return _from_vector(X, X.name), False
    if isinstance(X, (list, tuple)) and any(isinstance(row, Mapping) for row in X):
        return _from_records(X, known), True
    if isinstance(X, (list, tuple)) and any(_is_row(row) for row in X):
        return _numbered(_from_rows(X, owner)), False
    return _from_array(X, owner), False


def _from_polars(X):
    """Turn polars objects into pandas ones without importing polars; leave the rest alone."""
    if type(X).__module__.split(".")[0] != "polars":
        return X
    if type(X).__name__ == "LazyFrame":
        X = X.collect()
    try:
        return X.to_pandas()
    except ImportError:  # to_pandas needs pyarrow, which llmreg does not
        if hasattr(X, "columns"):
            return pd.DataFrame({name: X[name].to_list() for name in X.columns})
        return pd.Series(X.to_list(), name=X.name)


def _from_array(X, owner):
    # A masked array is kept as it is: np.asarray would drop its mask.
    if not isinstance(X, np.ndarray):
        X = np.asarray(X, dtype=object if isinstance(X, (list, tuple)) and X else None)
    if X.dtype.kind == "S":
        X = np.char.decode(X, "utf-8")
    if X.ndim == 0:
        raise ValueError(f"Expected 2D array, got scalar array instead:\narray={X}.\n{_RESHAPE}.")
    if X.ndim == 1:
        return _from_vector(pd.Series(X), None)
    _refuse_deep(X.ndim, owner)
    return _numbered(pd.DataFrame(X))


def _from_vector(series, name):
    """Return a column of text, or raise scikit-learn's error about 1-D input."""
    values = series.to_numpy(dtype=object)
    present = values[~series.isna().to_numpy()]
    stranger = next((value for value in present if not isinstance(value, str)), None)
    if stranger is not None or len(present) == 0:
        found = "" if stranger is None else f"; got {stranger!r} ({type(stranger).__name__})"
        raise ValueError(
            f"Expected 2D array, got 1D array instead:\narray={values}.\n{_RESHAPE}{found}."
        )
    # np.str_ and other subclasses are strings all the same.
    return pd.DataFrame({TEXT_COLUMN if name in (None, "") else name: series.to_numpy(object)})


def _from_records(X, known):
    stranger = next((row for row in X if not isinstance(row, Mapping)), None)
    if stranger is not None or not all(isinstance(row, Mapping) for row in X):
        raise TypeError(
            f"X is a list of dicts, but one of its rows is {stranger!r} of type "
            f"{type(stranger).__name__}. Pass one dict per row (an empty dict for an empty row)."
        )
    frame = pd.DataFrame([dict(row) for row in X])
    if known is None:
        return frame
    # A row says nothing about order, and which keys a batch happens to lack must not matter.
    extra = [name for name in frame.columns if name not in set(known)]
    return frame.reindex(columns=[*known, *extra])


def _is_row(row):
    return isinstance(row, (list, tuple)) or (isinstance(row, np.ndarray) and row.ndim > 0)


def _from_rows(X, owner):
    """Read a list of rows column by column, so that mixed rows keep the type of each cell."""
    widths = {len(row) if _is_row(row) else None for row in X}
    if len(widths) > 1:
        shown = sorted(widths, key=lambda width: (width is not None, width))
        raise ValueError(
            f"Expected 2D array, got rows of different lengths instead: {shown} (None is a row "
            "that is not a sequence). Give every row the same columns, with None where a value "
            "is missing."
        )
    rows = [list(row) for row in X]
    if rows[0] and all(_is_row(cell) for row in rows for cell in row):
        _refuse_deep(3, owner)
    return pd.DataFrame(rows)


def _numbered(frame):
    return frame.set_axis([f"x{i}" for i in range(frame.shape[1])], axis=1)


def _refuse_deep(n_dimensions, owner):
    if n_dimensions > 2:
        raise ValueError(
            f"Found array with dim {n_dimensions}. {owner} expected <= 2: one row per sample and "
            "one column per feature."
        )


def _refuse_empty(frame, owner):
    for count, unit in zip(frame.shape, ("sample", "feature"), strict=True):
        if count == 0:
            raise ValueError(
                f"Found array with 0 {unit}(s) (shape={frame.shape}) while a minimum of 1 is "
                f"required by {owner}."
            )


def _string_names(labels):
    names = [str(label) for label in labels]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ValueError(
            f"The column names of X must be unique, also once turned into strings, but these "
            f"occur more than once: {repeated}. Rename these columns, for example with "
            "X.set_axis(new_names, axis=1)."
        )
    return names


def _naming(labels):
    """Say how a frame is named in scikit-learn's eyes, which takes strings for names only."""
    are_strings = [isinstance(label, str) for label in labels]
    if all(are_strings):
        return "str"
    return "mixed" if any(are_strings) else "other"


def _check_columns(estimator, frame, naming, *, reset):
    """Set or check n_features_in_ and the column names; `frame` bears string names."""
    fitted = getattr(estimator, "_input_naming", None)
    if not reset and _names_are_ours_to_check(fitted, naming):
        _check_feature_names(_stand_in(estimator), frame, reset=False)
        _check_n_features(estimator, frame, reset=False)
        return
    # scikit-learn looks only at the shape of an array, and raises on mixed names.
    seen = frame if naming == "str" else np.broadcast_to(0.0, frame.shape)
    validate_data(estimator, X=seen, reset=reset, skip_check_array=True)
    if reset:
        estimator._input_columns = tuple(frame.columns)
        estimator._input_naming = naming


def _names_are_ours_to_check(fitted, now):
    both_unusual = {fitted, now} <= {"mixed", "other"}
    return both_unusual or (fitted, now) in {("str", "mixed"), ("mixed", "str")}


def _stand_in(estimator):
    """Return what scikit-learn needs to word its error about names it did not store itself."""
    names = np.array(estimator._input_columns, dtype=object)
    return type(type(estimator).__name__, (), {"feature_names_in_": names})()


def _with_plain_columns(frame):
    """Replace the dtypes that the rest of the library need not know: sparse and Arrow's own."""
    plain = {}
    for name, column in frame.items():
        dtype = column.dtype
        if isinstance(dtype, pd.SparseDtype):
            plain[name] = column.sparse.to_dense()
        elif isinstance(dtype, pd.ArrowDtype) and not pd.api.types.is_numeric_dtype(dtype):
            plain[name] = column.astype(object)
    return frame.assign(**plain)


def _refuse_unwritable(frame):
    """Raise on complex and infinite values, which no prompt and no scaler can hold."""
    for name, column in frame.items():
        if pd.api.types.is_complex_dtype(column.dtype):
            _refuse_complex(name, column.iloc[0])
        if pd.api.types.is_float_dtype(column.dtype):
            infinite = np.isinf(column.to_numpy(dtype=np.float64, na_value=np.nan))
        elif column.dtype == object:
            infinite = np.fromiter(
                (_is_infinite(name, value) for value in column), dtype=bool, count=len(column)
            )
        else:
            continue
        if infinite.any():
            row = int(infinite.argmax())
            raise ValueError(
                f"Input X contains infinity: column {name!r} holds {column.iloc[row]} at row "
                f"{row} ({infinite.sum()} infinite values in all). Replace infinite values by "
                "NaN, which is read as missing, or clip them to a finite range."
            )


def _is_infinite(name, value):
    if isinstance(value, (complex, np.complexfloating)):
        _refuse_complex(name, value)
    if isinstance(value, Decimal):
        return value.is_infinite()
    return isinstance(value, (float, np.floating)) and bool(np.isinf(value))


def _refuse_complex(name, value):
    raise ValueError(
        f"Complex data not supported: column {name!r} holds {value}. Pass the real and the "
        "imaginary part as two columns."
    )
