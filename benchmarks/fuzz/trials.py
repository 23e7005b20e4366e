"""Tables to predict: what a training table may look like when it comes back."""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd

from benchmarks.fuzz.tables import BLANKS, MISSING, any_column, as_objects, contain, with_gaps

__all__ = ["TRIALS", "Fitted", "Trial"]

NAMED = ("pandas", "polars", "arrow", "dicts", "columns", "records")
TABLES = (*NAMED, "array", "rows", "tuples")
# Columns whose cells a container may change for good reasons: a tuple becomes a list.
LOSSY = (
    "nested", "mixed", "odd", "complex", "bigints", "zoned", "far dates", "S10", "bins", "times",
    "texts", "blank",
)  # fmt: skip
UNHEARD_OF = "zzq17 unheard of"


@dataclass
class Fitted:
    """A fitted model, the table it was fitted on and what it predicts there."""

    model: object
    frame: pd.DataFrame
    kinds: list
    container: str
    base: np.ndarray
    spread: float

    @property
    def columns(self):
        """(name, kind) of the columns as the model read them."""
        serializer = self.model.serializer_
        return [(name, serializer.kinds_[name]) for name in serializer.columns_]


@dataclass
class Trial:
    """A table to predict, and what is expected of it."""

    X: object
    frame: pd.DataFrame | None = None  # the same as a frame, if rows of it are to be tried alone
    container: str = "pandas"
    rows: np.ndarray | None = None  # of the training table, whose predictions these must have
    silent: object = None  # the column whose cells say nothing, which a warning must name
    refused: bool = False  # nothing but an error is right
    what: str = ""  # failures of one kind are reported together
    of: str = ""  # and the rest of what is worth knowing


def _of(frame, container, rows=None, **further):
    return Trial(contain(container, frame), frame, container, rows=rows, **further)


def _all(fitted):
    return np.arange(len(fitted.frame))


def _put(frame, k, column):
    """The frame with another column in place of its k-th."""
    parts = [frame.iloc[:, j] for j in range(frame.shape[1])]
    parts[k] = column.reset_index(drop=True)
    return pd.concat([part.rename(None) for part in parts], axis=1).set_axis(frame.columns, axis=1)


def _same(rng, fitted):
    return _of(fitted.frame, fitted.container, _all(fitted))


def _container(rng, fitted):
    tables = TABLES if fitted.container not in ("texts", "series") else ("texts", "series")
    container = tables[rng.integers(len(tables))]
    lossy = any(word in kind for kind in fitted.kinds for word in LOSSY)
    return _of(fitted.frame, container, None if lossy else _all(fitted), what=container)


def _shuffled(rng, fitted):
    n = len(fitted.frame)
    rows = rng.integers(n, size=rng.choice([1, 7, n, 300]))
    return _of(fitted.frame.iloc[rows], fitted.container, rows)


def _odd_index(rng, fitted):
    index = pd.MultiIndex.from_product([["a"], range(len(fitted.frame))])
    return _of(fitted.frame.set_axis(index, axis=0), "pandas", _all(fitted))


def _rendering(rng, fitted):
    k = rng.integers(fitted.frame.shape[1])
    found = _renderings(fitted.frame.iloc[:, k], fitted.columns[k][1])
    if not found:
        return None
    name = list(found)[rng.integers(len(found))]
    frame = _put(fitted.frame, k, found[name])
    return _of(frame, "pandas", _all(fitted), what=f"as {name}", of=fitted.kinds[k])


def _missing_token(rng, fitted):
    k = rng.integers(fitted.frame.shape[1])
    column, kind = fitted.frame.iloc[:, k], fitted.columns[k][1]
    if not column.isna().any():
        return None
    tokens = MISSING + (("", " ") if kind in ("number", "datetime") else ())
    token = tokens[rng.integers(len(tokens))]
    cells = [token if gone else x for x, gone in zip(column, column.isna(), strict=True)]
    frame = _put(fitted.frame, k, as_objects(cells))
    return _of(frame, "pandas", _all(fitted), what=f"{token!r} in a {kind}", of=fitted.kinds[k])


def _unheard_of(rng, fitted):
    """Most cells of a column say nothing that the model could read."""
    k = rng.integers(fitted.frame.shape[1])
    column, (name, kind) = fitted.frame.iloc[:, k], fitted.columns[k]
    if kind == "text" or len(set(map(str, column.dropna()))) < 2:
        return None
    cells = [UNHEARD_OF if rng.random() < 0.9 else x for x in column]
    frame = _put(fitted.frame, k, as_objects(cells))
    return _of(frame, "pandas", silent=name, what=f"in a {kind}", of=fitted.kinds[k])


def _gaps(rng, fitted):
    k = rng.integers(fitted.frame.shape[1])
    frame = _put(fitted.frame, k, with_gaps(rng, fitted.frame.iloc[:, k]))
    return _of(frame, _any_container(rng, fitted), of=fitted.kinds[k])


def _stranger(rng, fitted):
    k = rng.integers(fitted.frame.shape[1])
    kind, column = any_column(rng, len(fitted.frame))
    frame = _put(fitted.frame, k, column)
    return _of(frame, _any_container(rng, fitted), of=f"{fitted.kinds[k]} → {kind}")


def _other_table(rng, fitted):
    n = int(rng.integers(1, 40))
    columns = [any_column(rng, n)[1] for _ in range(fitted.frame.shape[1])]
    frame = pd.concat(columns, axis=1).set_axis(fitted.frame.columns, axis=1)
    return _of(frame, _any_container(rng, fitted))


def _blank_column(rng, fitted):
    k = rng.integers(fitted.frame.shape[1])
    token = (*MISSING, *BLANKS)[rng.integers(len(MISSING) + len(BLANKS))]
    frame = _put(fitted.frame, k, as_objects([token] * len(fitted.frame)))
    return _of(frame, "pandas", of=f"{fitted.kinds[k]} all {token!r}")


def _any_container(rng, fitted):
    if fitted.container in ("texts", "series") or rng.random() < 0.6:
        return fitted.container
    return TABLES[rng.integers(len(TABLES))]


def _column_order(rng, fitted):
    """The same columns in another order have the same predictions, or are refused."""
    if fitted.container not in NAMED or fitted.frame.shape[1] < 2:
        return None
    order = rng.permutation(fitted.frame.shape[1])
    container = NAMED[rng.integers(len(NAMED))]
    lossy = any(word in kind for kind in fitted.kinds for word in LOSSY)
    frame = fitted.frame.iloc[:, order]
    return Trial(
        contain(container, frame), rows=None if lossy else _all(fitted), what=container
    )  # fmt: skip


def _other_width(rng, fitted):
    frame = fitted.frame
    container = "pandas" if fitted.container in NAMED else "array"
    if rng.random() < 0.5:
        wrong = pd.concat([frame, pd.Series(range(len(frame)))], axis=1)
        wrong.columns = pd.Index([*frame.columns, "one more"], dtype=object)
    else:
        wrong = frame.iloc[:, 1:]
    return Trial(contain(container, wrong), refused=True)


def _nonsense(rng, fitted):
    things = [
        None, "a", 5, object(), [], {}, np.zeros((0, fitted.frame.shape[1])), np.zeros((2, 2, 2)),
        fitted.frame.iloc[:0], [[1], [2, 3]], [{"a": 1}, 3], iter([1]), b"x", np.float64(1),
        [None] * 3, pd.DataFrame(), [[]], {1: 2}, np.zeros(3), [object()], slice(3), {"a", "b"},
    ]  # fmt: skip
    thing = things[rng.integers(len(things))]
    return Trial(thing, refused=True, what=f"{type(thing).__name__} {str(thing)[:20]!r}")


def _renderings(column, kind):
    """{name: Series}: the same values of a column, written or stored in other ways."""
    cells = column.astype(object).tolist()
    present = [x for x in cells if not _is_missing(x)]
    if not present or (kind == "text" and not all(isinstance(x, str) for x in present)):
        return {}
    makers = {}
    if all(isinstance(x, str) for x in present):
        makers = _of_strings(column)
    elif all(isinstance(x, (bool, np.bool_)) for x in present):
        makers = _of_booleans(cells)
    elif kind == "number" and all(isinstance(x, (int, float)) for x in present):
        makers = _of_numbers(cells)
    elif kind == "datetime" and all(isinstance(x, pd.Timestamp) for x in present):
        makers = _of_dates(column, cells)
    elif kind == "number" and all(isinstance(x, pd.Timedelta) for x in present):
        makers = {"seconds": lambda: _each(cells, pd.Timedelta.total_seconds),
                  "timedeltas": lambda: _each(cells, pd.Timedelta.to_pytimedelta)}  # fmt: skip
    found = {}
    for name, make in makers.items():
        try:
            found[name] = make()
        except Exception:  # such as whole numbers beyond the range of the dtype
            continue
    return found


def _is_missing(cell):
    return (
        cell is None
        or cell is pd.NA
        or cell is pd.NaT
        or (isinstance(cell, float) and cell != cell)
    )


def _each(cells, change):
    return as_objects([x if _is_missing(x) else change(x) for x in cells])


def _of_strings(column):
    dtypes = ("object", "str", "string", "string[pyarrow]", "category", "large_string[pyarrow]")
    found = {dtype: lambda dtype=dtype: column.astype(dtype) for dtype in dtypes}
    found["np.str_"] = lambda: _each(column.tolist(), np.str_)
    found["unused levels"] = lambda: column.astype("category").cat.add_categories([UNHEARD_OF])
    return found


def _of_booleans(cells):
    objects = as_objects(cells)
    found = {dtype: lambda dtype=dtype: objects.astype(dtype)
             for dtype in ("boolean", "object", "bool[pyarrow]", "category")}  # fmt: skip
    changes = {"0/1": int, "0.0/1.0": float, "strings": str, "'true'": lambda x: str(x).lower()}
    return found | {n: lambda c=c: _each(cells, c) for n, c in changes.items()}


def _of_numbers(cells):
    whole = all(_is_missing(x) or isinstance(x, int) for x in cells)
    dtypes = ("Int64", "int64[pyarrow]") if whole else ("Float64", "double[pyarrow]", "float64")
    found = {dtype: lambda dtype=dtype: as_objects(cells).astype(dtype) for dtype in dtypes}
    found["objects"] = lambda: as_objects(cells)
    changes = {"strings": _digits, "Decimals": lambda x: Decimal(_digits(x))}
    if all(_is_missing(x) or int(float(x)) == x for x in cells if whole):
        changes["np.float64"] = np.float64
    return found | {n: lambda c=c: _each(cells, c) for n, c in changes.items()}


def _digits(x):
    return repr(x if isinstance(x, int) else float(x))


def _of_dates(column, cells):
    changes = {
        "Timestamps": pd.Timestamp, "datetimes": lambda x: x.to_pydatetime(warn=False),
        "ISO strings": pd.Timestamp.isoformat, "strings": str,
    }  # fmt: skip
    found = {name: lambda c=c: _each(cells, c) for name, c in changes.items()}
    if column.dtype != object:
        for unit in ("us", "ns"):
            found[f"in {unit}"] = lambda unit=unit: column.dt.as_unit(unit)
    return found


TRIALS = {
    "same": _same,
    "container": _container,
    "shuffled": _shuffled,
    "odd index": _odd_index,
    "rendering": _rendering,
    "rendering again": _rendering,
    "missing token": _missing_token,
    "unheard of": _unheard_of,
    "gaps": _gaps,
    "stranger": _stranger,
    "stranger again": _stranger,
    "other table": _other_table,
    "blank column": _blank_column,
    "column order": _column_order,
    "other width": _other_width,
    "nonsense": _nonsense,
}
