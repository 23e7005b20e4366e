"""From whatever a scikit-learn user holds to one pandas DataFrame.

Everything downstream (serialisation, numbers, cross-validation) sees a plain frame with string
column names and a ``RangeIndex``, so the many shapes of input are dealt with here and only here.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from sklearn.utils.validation import _check_feature_names, _check_n_features, validate_data

from llmreg.tables.containers import to_frame
from llmreg.tables.plain_cells import legible, plain_column, refuse_unwritable

__all__ = ["read_table"]


def read_table(estimator, X, *, reset):
    """Read any table scikit-learn users pass as a pandas DataFrame, and check it.

    Parameters
    ----------
    estimator : estimator instance
        The estimator that is being fitted or applied. With ``reset=True`` its ``n_features_in_``
        and (when every column name is a string) ``feature_names_in_`` are set, together with the
        private ``_input_columns`` and ``_input_naming`` that later calls are checked against.
    X : table-like of shape (n_rows, n_columns), or 1-D collection of strings
        A data frame of any library that narwhals reads (pandas, polars, pyarrow, Dask, Modin, ...)
        or that offers its columns by the Arrow or the interchange protocol, lazy ones included; a
        dict of columns; a 2-D or a structured array; a list of rows, which may be dicts, named
        tuples, dataclasses or Series; for text regression a Series, a list or a 1-D array of
        strings. Whatever has names for its columns is read with them. In dicts of columns and in
        rows that have names for their cells the order is of no consequence, and a name that a row
        lacks is a missing value.
        None, NaN, NaT, ``pd.NA`` and what a masked array masks are missing values.
    reset : bool
        True in ``fit``: the columns are learned. False afterwards: the columns are checked.

    Returns
    -------
    pandas.DataFrame of shape (n_rows, n_columns)
        A new frame with a ``RangeIndex`` and string column names. Columns of an array or of a list
        of rows are called ``x0, x1, ...``; a 1-D input is called by the name of the Series, else
        "text"; other names go through ``str``. With ``reset=False`` the columns bear the names
        seen in fit. Each cell stays what it is, whatever stands beside it: integers with gaps are
        of dtype "Int64". Lone surrogates (halves of emoji) become U+FFFD, also in names; bytes are
        decoded as UTF-8; cells that are neither numbers, dates nor strings, such as lists, become
        their text. The caller's data are never written to.

    Raises
    ------
    TypeError
        If X is a sparse matrix, a list of which only some rows have names for their cells, or
        holds an object that has no text of its own.
    ValueError
        If X is not two-dimensional (nor a collection of strings), is empty, holds complex numbers,
        numbers beyond the range of floats or duplicated column names, or does not fit the columns
        seen in fit.

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
    0     1  a
    1  <NA>  b
    >>> estimator.n_features_in_
    2
    >>> read_table(BaseEstimator(), ["a fine flat", "a ruin"], reset=True)
              text
    0  a fine flat
    1       a ruin
    """
    owner = type(estimator).__name__
    named = not reset and getattr(estimator, "_input_naming", "none") != "none"
    known = estimator._input_columns if named else None
    frame, named = to_frame(X, owner, known)
    _refuse_empty(frame, owner)
    names = _string_names(frame.columns)
    naming = _naming(frame.columns) if named else "none"
    # Both calls below make new frames, so that renaming does not reach the caller's.
    frame = frame.reset_index(drop=True).set_axis(names, axis=1)
    _check_columns(estimator, frame, naming, reset=reset)
    frame = frame.set_axis(list(getattr(estimator, "_input_columns", names)), axis=1)
    plain = {}
    for name, column in frame.items():
        plain[name] = plain_column(name, column)
        refuse_unwritable(name, plain[name])
        if plain[name] is column:  # the usual case, in tables that may have thousands of columns
            del plain[name]
    return frame.assign(**plain)


def _refuse_empty(frame, owner):
    for count, unit in zip(frame.shape, ("sample", "feature"), strict=True):
        if count == 0:
            raise ValueError(
                f"Found array with 0 {unit}(s) (shape={frame.shape}) while a minimum of 1 is "
                f"required by {owner}."
            )


def _string_names(labels):
    names = [legible(str(label)) for label in labels]
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
    if not reset and _names_are_ours_to_check(estimator, frame, naming):
        _check_feature_names(_stand_in(estimator), frame, reset=False)
        _check_n_features(estimator, frame, reset=False)
        return
    # scikit-learn looks only at the shape of an array, and raises on mixed names.
    seen = frame if naming == "str" else np.broadcast_to(0.0, frame.shape)
    validate_data(estimator, X=seen, reset=reset, skip_check_array=True)
    if reset:
        estimator._input_columns = tuple(frame.columns)
        estimator._input_naming = naming


def _names_are_ours_to_check(estimator, frame, now):
    fitted = getattr(estimator, "_input_naming", None)
    if fitted == now == "str" or {None, "none"} & {fitted, now}:
        return False
    if {fitted, now} != {"str", "other"}:
        return True
    # Libraries whose names are all strings write others as such. What pandas numbers has no names.
    known, found = estimator._input_columns, tuple(frame.columns)
    numbered = tuple(map(str, range(len(found)))) in (known, found)
    return not numbered or set(known) == set(found)


def _stand_in(estimator):
    """Return what scikit-learn needs to word its error about names it did not store itself."""
    names = np.array(estimator._input_columns, dtype=object)
    return type(type(estimator).__name__, (), {"feature_names_in_": names})()
