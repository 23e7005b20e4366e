"""A table becomes the same plain frame whatever container a scikit-learn user holds it in."""

import datetime
import sqlite3
from collections import OrderedDict, deque, namedtuple
from dataclasses import make_dataclass
from decimal import Decimal

import narwhals as nw
import narwhals.stable.v1 as nw_v1
import numpy as np
import pandas as pd
import polars as pl
import pytest
from table_reading import Thing, fitted_on, read

from llmreg import RowSerializer
from llmreg.tables.reading import read_table


class Stream:
    """A table of some library that nobody knows, which offers its columns to others."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


class Interchanged:
    """The same by the older protocol."""

    def __init__(self, table):
        self.table = table

    def __dataframe__(self, nan_as_null=False, allow_copy=True):
        return self.table.__dataframe__(nan_as_null, allow_copy)


class Convertible:
    """The same by a method."""

    def __init__(self, table):
        self.table = table

    def to_pandas(self):
        return self.table.to_pandas()


def _sqlite(columns):
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    names = ", ".join(f'? as "{name}"' for name in columns)
    return [connection.execute(f"select {names}", row).fetchone() for row in _rows(columns)]


def _rows(columns):
    return list(zip(*columns.values(), strict=True))


def _records(columns):
    return [dict(zip(columns, row, strict=True)) for row in _rows(columns)]


def _exact_frame(columns):
    return pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in columns.items()})


def _nullable(columns):
    kinds = {int: "Int64", float: "Float64", str: "string"}
    return pd.DataFrame({n: pd.array(c, dtype=kinds[type(c[0])]) for n, c in columns.items()})


def _structured(columns):
    kinds = [
        (name, type(next(c for c in cells if c is not None))) for name, cells in columns.items()
    ]
    table = np.ma.empty(len(_rows(columns)), dtype=[(n, "U9" if k is str else k) for n, k in kinds])
    for name, cells in columns.items():
        for row, cell in enumerate(cells):
            table[name][row] = np.ma.masked if cell is None else cell
    return table if np.any(table.mask.tolist()) else table.data.view(np.recarray)


# One and the same table in whatever has names for its columns. Each takes a dict of lists.
CONTAINERS = {
    "pandas": _exact_frame,
    "pandas nullable": _nullable,
    "pandas arrow": lambda c: arrow().table(c).to_pandas(types_mapper=pd.ArrowDtype),
    "polars": lambda c: polars().DataFrame(c),
    "polars lazy": lambda c: polars().LazyFrame(c),
    "pyarrow table": lambda c: arrow().table(c),
    "pyarrow batch": lambda c: arrow().RecordBatch.from_pydict(c),
    "pyarrow reader": lambda c: arrow().table(c).to_reader(),
    "narwhals": lambda c: nw.from_native(polars().DataFrame(c)),
    "narwhals lazy": lambda c: nw.from_native(polars().LazyFrame(c)),
    "narwhals stable": lambda c: nw_v1.from_native(arrow().table(c)),
    "dask": lambda c: dask().from_pandas(_nullable(c), npartitions=2),
    "arrow stream": lambda c: Stream(arrow().table(c)),
    "interchange": lambda c: Interchanged(arrow().table(c)),
    "to_pandas": lambda c: Convertible(polars().DataFrame(c)),
    "dict of lists": dict,
    "dict of arrays": lambda c: {n: np.array(v, dtype=object) for n, v in c.items()},
    "dict of Series": lambda c: dict(_exact_frame(c).set_index("city", drop=False).items()),
    "structured": _structured,
    "list of records": lambda c: list(_structured(c)),
    "list of dicts": _records,
    "list of mappings": lambda c: [OrderedDict(row) for row in _records(c)],
    "list of named tuples": lambda c: [namedtuple("Row", c)(*row) for row in _rows(c)],
    "list of dataclasses": lambda c: [make_dataclass("Row", c)(*row) for row in _rows(c)],
    "list of Series": lambda c: [pd.Series(row, dtype=object) for row in _records(c)],
    "rows of sqlite3": _sqlite,
}  # fmt: skip

MATCHED_BY_NAME = {
    name for name in CONTAINERS if name.startswith(("list of", "dict of", "rows of"))
}


def polars():
    return pytest.importorskip("polars")


def arrow():
    return pytest.importorskip("pyarrow")


def dask():
    return pytest.importorskip("dask.dataframe")


WHOLE = {"id": [2**53 + 1, 2**60 + 1], "size": [1.5, 2.5], "city": ["Graz", "Linz"]}

GAPS = {name: [*cells, None] for name, cells in WHOLE.items()}


@pytest.mark.parametrize("columns", [WHOLE, GAPS], ids=["whole", "gaps"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_table_is_the_same_in_every_container(container, columns):
    X = CONTAINERS[container](columns)
    if container == "to_pandas" and columns is GAPS:
        columns = {**GAPS, "id": [float(2**53), float(2**60), None]}  # not ours to keep
    estimator = Thing()
    frame = read_table(estimator, X, reset=True)
    assert estimator.feature_names_in_.tolist() == list(columns)
    for name, cells in columns.items():
        missing = frame[name].isna().tolist()
        assert missing == [cell is None for cell in cells]
        present = [cell for cell, gone in zip(frame[name], missing, strict=True) if not gone]
        assert present == [cell for cell in cells if cell is not None]


@pytest.mark.parametrize("container", CONTAINERS)
def test_another_order_of_columns_is_matched_or_refused(container):
    estimator = fitted_on(CONTAINERS[container](WHOLE))
    X = CONTAINERS[container](dict(reversed(WHOLE.items())))
    if container in MATCHED_BY_NAME:
        assert read_table(estimator, X, reset=False)["id"].tolist() == WHOLE["id"]
    else:
        with pytest.raises(ValueError, match="Feature names must be in the same order"):
            read_table(estimator, X, reset=False)


class ArrayLike:
    def __array__(self, dtype=None, copy=None):
        return np.array([[1.0, 2.0], [3.0, 4.0]])


def read_only(array):
    array.setflags(write=False)
    return array


UNNAMED = {
    "a deque": deque([[1, 2], [3, 4]]),
    "ranges": [range(1, 3), range(3, 5)],
    "floats": np.array([[1.0, 2.0], [3.0, 4.0]]),
    "integers": np.array([[1, 2], [3, 4]]),
    "objects": np.array([[1, 2], [3, 4]], dtype=object),
    "Fortran order": np.asfortranarray([[1.0, 2.0], [3.0, 4.0]]),
    "read-only floats": read_only(np.array([[1.0, 2.0], [3.0, 4.0]])),
    "read-only objects": read_only(np.array([[1, 2], [3, 4]], dtype=object)),
    "lists": [[1, 2], [3, 4]],
    "tuples": ((1, 2), (3, 4)),
    "list of arrays": [np.array([1, 2]), np.array([3, 4])],
    "an array in disguise": ArrayLike(),
}


@pytest.mark.parametrize("X", UNNAMED.values(), ids=UNNAMED)
def test_columns_of_unnamed_tables_are_numbered(X):
    estimator = Thing()
    frame = read_table(estimator, X, reset=True)
    assert list(frame.columns) == ["x0", "x1"]
    assert frame.to_numpy().tolist() == [[1, 2], [3, 4]]
    assert estimator.n_features_in_ == 2
    assert not hasattr(estimator, "feature_names_in_")


def test_cells_of_mixed_rows_keep_their_types():
    frame = read([[1, "a", None], [2, "b", True]])
    assert frame["x0"].tolist() == [1, 2]
    assert frame["x1"].tolist() == ["a", "b"]
    assert frame["x2"].tolist() == [None, True]


def test_byte_strings_are_decoded_and_masks_are_missing_values():
    assert read(np.array([["é".encode()], [b"b"]])).to_numpy().tolist() == [["é"], ["b"]]
    masked = np.ma.masked_array([[1.0, 2.0]], mask=[[False, True]])
    assert read(masked).isna().to_numpy().tolist() == [[False, True]]


def test_uncommon_dtypes_become_plain_ones():
    pa = pytest.importorskip("pyarrow")
    day = datetime.date(2011, 1, 20)
    X = pd.DataFrame(
        {
            "sparse": pd.arrays.SparseArray([0.0, 1.0]),
            "day": pd.Series([day, None], dtype=pd.ArrowDtype(pa.date32())),
            "flag": pd.Series([True, None], dtype=pd.ArrowDtype(pa.bool_())),
            "wait": pd.Series([pd.Timedelta(1, "s"), None], dtype=pd.ArrowDtype(pa.duration("s"))),
        }
    )
    frame = read(X)
    assert frame["sparse"].dtype == np.float64
    assert [frame[name].dtype.kind for name in ("day", "flag", "wait")] == ["O", "O", "m"]
    assert frame.iloc[0].tolist() == [0.0, day, True, pd.Timedelta(1, "s")]


TEXTS = ["a flat", "a house"]

TEXT_INPUTS = {
    "list": (TEXTS, "text"),
    "tuple": (tuple(TEXTS), "text"),
    "string array": (np.array(TEXTS), "text"),
    "object array": (read_only(np.array(TEXTS, dtype=object)), "text"),
    "bytes array": (np.array(TEXTS, dtype="S"), "text"),
    "pandas Series": (pd.Series(TEXTS, index=[7, 7]), "text"),
    "named pandas Series": (pd.Series(TEXTS, name="advert"), "advert"),
    "categorical Series": (pd.Series(TEXTS, dtype="category"), "text"),
}


@pytest.mark.parametrize(("X", "name"), TEXT_INPUTS.values(), ids=TEXT_INPUTS)
def test_strings_in_one_dimension_are_one_column_of_text(X, name):
    estimator = Thing()
    frame = read_table(estimator, X, reset=True)
    assert list(frame.columns) == [name]
    assert frame[name].tolist() == TEXTS
    assert frame.index.tolist() == [0, 1]
    assert estimator.n_features_in_ == 1


@pytest.mark.parametrize(("given", "name"), [("advert", "advert"), ("", "text")])
def test_a_polars_series_of_strings_is_text(given, name):
    polars = pytest.importorskip("polars")
    frame = read(polars.Series(given, TEXTS))
    assert list(frame.columns) == [name]
    assert frame[name].tolist() == TEXTS


def test_text_may_be_missing():
    assert read(["a", None, np.nan, pd.NA])["text"].isna().tolist() == [False, True, True, True]


def test_polars_is_read_without_pyarrow(monkeypatch):
    polars = pytest.importorskip("polars")

    def no_pyarrow(self):
        raise ModuleNotFoundError("pyarrow")

    monkeypatch.setattr(polars.DataFrame, "to_pandas", no_pyarrow)
    monkeypatch.setattr(polars.Series, "to_pandas", no_pyarrow)
    frame = read(polars.DataFrame({"a": [1, None], "b": ["x", None]}))
    assert frame["a"].iloc[0] == 1
    assert frame["b"].iloc[0] == "x"
    assert frame.iloc[1].isna().all()
    assert read(polars.Series("advert", TEXTS))["advert"].tolist() == TEXTS


def test_the_frame_is_new_and_the_callers_table_is_left_alone():
    X = pd.DataFrame({0: [1.0, 2.0], 1: ["a", "b"]}, index=["r", "s"])
    before = X.copy(deep=True)
    frame = read(X)
    frame.loc[0, "0"] = -1.0
    frame["1"] = "overwritten"
    pd.testing.assert_frame_equal(X, before)
    assert frame.index.tolist() == [0, 1]


BAD_DICTS = {
    "a scalar": ({"a": 1}, r"X\['a'\] is 1 of type int"),
    "a string": ({"a": "xyz"}, r"X\['a'\] is 'xyz' of type str"),
    "a dict": ({"a": {0: 1}}, "of type dict"),
    "lengths": ({"a": [1], "b": [1, 2]}, "must have the same length, but have {'a': 1, 'b': 2}"),
    "a matrix": ({"a": np.ones((2, 2))}, "Found array with dim 3"),
    "no rows": ({"a": []}, r"0 sample\(s\)"),
}


@pytest.mark.parametrize(("X", "message"), BAD_DICTS.values(), ids=BAD_DICTS)
def test_a_dict_of_what_are_no_columns_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        read(X)


def test_values_of_a_dict_may_be_of_any_library():
    pl, pa = polars(), arrow()
    columns = {
        "a": pl.Series([1, None]), "b": pa.chunked_array([[1, None]]), "c": pa.array([1, None]),
        "d": pd.array([1, None], dtype="Int64"), "e": pd.Index([1, 2]), "f": range(1, 3),
        "g": np.ma.masked_array([1, 5], mask=[False, True]),
    }  # fmt: skip
    frame = read(columns)
    assert frame.iloc[0].tolist() == [1] * 7
    assert frame.iloc[1].isna().tolist() == [True, True, True, True, False, False, True]


def test_the_kinds_of_columns_of_other_libraries_are_kept():
    pl = polars()
    moment = datetime.datetime(2020, 2, 3, 4, 5, tzinfo=datetime.UTC)
    frame = read(
        pl.DataFrame(
            {
                "level": pl.Series(["u", None], dtype=pl.Categorical),
                "enum": pl.Series(["u", None], dtype=pl.Enum(["u", "v"])),
                "moment": [moment, None],
                "flag": [True, None],
                "price": [Decimal("1.50"), None],
                "wait": [datetime.timedelta(seconds=3), None],
                "bytes": [b"a", None],
                "nested": [{"x": 1}, None],
            }
        )
    )
    assert frame.iloc[0].tolist() == [
        "u", "u", pd.Timestamp(moment), True, Decimal("1.50"), pd.Timedelta(3, "s"), "a",
        "{'x': 1}",
    ]  # fmt: skip
    assert [str(dtype) for dtype in frame.dtypes[:2]] == ["category"] * 2
    assert frame.iloc[1].isna().all()


@pytest.mark.parametrize("values", [[{"a": 1}, {"a": 2}], [[1], [2]]])
def test_levels_of_arrow_may_be_nested(values):
    pa = arrow()
    cells = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(values))
    frame = read(pa.table({"a": cells, "b": pa.array([1, None, 2**60 + 1])}))
    assert frame["a"].tolist() == [str(values[k]) for k in (0, 1, 0)]
    assert frame["b"].tolist() == [1, pd.NA, 2**60 + 1]


@pytest.mark.parametrize("names", [["bin"], ["month"], ["bin", "month", "whole", "number", "when"]])
@pytest.mark.parametrize("gap", [False, True])
def test_levels_of_arrow_that_pandas_has_a_type_for_are_what_they_are_in_pandas(gap, names):
    pa = pytest.importorskip("pyarrow")
    n = 12
    bins = pd.cut(np.arange(n), [-1, 3, 7, 11])
    periods = pd.Categorical(pd.period_range("2020-01", periods=n, freq="M"))
    frame = pd.DataFrame(
        {
            "bin": bins, "month": periods,
            "whole": pd.arrays.IntervalArray.from_breaks(range(n + 1)),
            "number": np.arange(n) / 2,
            "when": pd.date_range("2021-03-01", periods=n),
        }
    )  # fmt: skip
    if gap:
        frame.loc[3, ["bin", "month"]] = None
    frame = frame[names]
    found = RowSerializer().fit(frame)
    texts = found.transform(frame)
    assert "(3, 7]" in texts[5, 0] or "2020-06" in texts[5, 0]
    np.testing.assert_array_equal(found.transform(pa.Table.from_pandas(frame)), texts)
    arrow = RowSerializer().fit(pa.Table.from_pandas(frame))
    assert arrow.kinds_ == found.kinds_
    np.testing.assert_array_equal(arrow.transform(frame), texts)


@pytest.mark.parametrize("index", [None, [7, 5, 6], list("pqr"), pd.Index([7, 5, 6], name="id")])
@pytest.mark.parametrize(
    "labels", ["abcd", range(4), [1.5, 2.5, 0.5, 3.5], pd.date_range("2020-01-01", periods=4)]
)
def test_arrow_tables_of_pandas_frames_are_read_as_the_frames_are(labels, index):
    large = 2**53 + 1
    columns = [
        [1, 2, 3], pd.array([large, None, 3], dtype="Int64"), ["x", None, "y"],
        pd.Categorical(pd.interval_range(0, 3)),
    ]  # fmt: skip
    frame = pd.DataFrame(dict(zip(labels, columns, strict=True)), index=index)
    found = read(arrow().Table.from_pandas(frame))
    pd.testing.assert_frame_equal(found, read(frame))
    assert found.iloc[0, 1] == large


def test_integers_with_gaps_of_an_indexed_arrow_table_stay_what_they_are():
    pa = arrow()
    frame = pd.DataFrame({"a": [2.0, 3.0, 4.0]}, index=[7, 5, 6])
    table = pa.Table.from_pandas(frame)
    large = pa.array([2**53 + 1, None, 3])
    table = table.append_column("b", large)
    assert read(table)["b"].tolist()[::2] == [2**53 + 1, 3]


ITERABLES = {
    "a generator": lambda frame: (row for row in frame.to_numpy()),
    "a map": lambda frame: map(list, frame.to_numpy()),
    "a zip": lambda frame: zip(frame["a"], frame["b"], strict=True),
    "rows of pandas": lambda frame: frame.iterrows(),
    "a groupby": lambda frame: frame.groupby("b"),
    "a groupby of a column": lambda frame: frame.groupby("b")["a"],
    "windows": lambda frame: frame[["a"]].rolling(2),
    "a groupby of polars": lambda frame: pl.DataFrame(frame.to_dict("list")).group_by("b"),
    "a view of a dict": lambda frame: frame.to_dict("list").values(),
}


@pytest.mark.parametrize("kind", ITERABLES)
def test_what_is_no_table_but_holds_rows_is_refused_with_the_remedy(kind):
    X = ITERABLES[kind](pd.DataFrame({"a": [1.0, 2, 3], "b": [1, 1, 2]}))
    with pytest.raises(ValueError, match=rf"of type {type(X).__name__} instead.*DataFrame.*list"):
        read(X)
