"""Any table a scikit-learn user holds becomes the same plain frame, or a clear error."""

import datetime
import enum
import sqlite3
import warnings
from collections import OrderedDict, deque, namedtuple
from dataclasses import make_dataclass
from decimal import Decimal

import narwhals as nw
import narwhals.stable.v1 as nw_v1
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator

from llmreg.tables.cell_values import cell_text
from llmreg.tables.reading import read_table


class Thing(BaseEstimator):
    """An estimator to hang what is learned on."""


def fitted_on(X):
    estimator = Thing()
    read_table(estimator, X, reset=True)
    return estimator


def read(X):
    return read_table(Thing(), X, reset=True)


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
MATCHED_BY_NAME = {name for name in CONTAINERS if name.startswith(("list of", "rows of"))}


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


# Each cell stays what it is

CELLS = {
    "long integers": [10**18 + 1, 10**18 + 2],
    "unsigned integers": [2**64 - 1, 5],
    "endless integers": [2**70, -1],
    "booleans": [True, False],
    "floats": [0.5, 1.5],
    "integers and floats": [2**60 + 1, 0.5],
    "float32": [np.float32(0.1), np.float32(0.2)],
    "strings": ["1", "b"],
    "mixed": [1, "a"],
    "decimals": [Decimal("0.10"), Decimal("2")],
}


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA], ids=["None", "NaN", "NA"])
@pytest.mark.parametrize("cells", CELLS.values(), ids=CELLS)
def test_a_missing_cell_does_not_change_the_others(cells, gap):
    for X in ([[cell] for cell in [*cells, gap]], [{"x0": cell} for cell in [*cells, gap]]):
        column = read(X)["x0"]
        assert column.isna().tolist() == [False, False, True]
        assert [(type(c), c) for c in column[:2].astype(object)] == [
            (type(c), c) for c in read([[cell] for cell in cells])["x0"].astype(object)
        ]
        assert column[:2].tolist() == cells


def test_what_is_masked_does_not_change_the_others():
    X = np.ma.masked_array([[2**60 + 1], [5]], mask=[[False], [True]])
    for table in (X, list(X)):
        column = read(table)["x0"]
        assert column[0] == 2**60 + 1 and column.isna()[1]


# Strings that cannot be encoded, and cells that are no strings

HALF = "\ud83d"  # of an emoji


@pytest.mark.parametrize(
    "X",
    [
        [[HALF, "b"]],
        [{"x0": HALF, "x1": "b"}],
        np.array([[HALF, "b"]]),
        np.array([[HALF, "b"]], dtype=object),
        np.array([(HALF, "b")], dtype=[("x0", "U9"), ("x1", "U9")]),
        pd.DataFrame({"x0": pd.Series([HALF], dtype=object), "x1": ["b"]}),
        pd.DataFrame({"x0": pd.Series([HALF], dtype="string[python]"), "x1": ["b"]}),
    ],
)
def test_half_an_emoji_is_replaced_in_cells(X):
    assert read(X).to_numpy().tolist() == [["\ufffd", "b"]]


def test_half_an_emoji_is_replaced_in_names_levels_and_texts():
    estimator = fitted_on([{HALF: 1, "b": 2}])
    assert list(read_table(estimator, [{"b": 3, HALF: 4}], reset=False)) == ["\ufffd", "b"]
    assert read([HALF, None])["text"].tolist()[0] == "\ufffd"
    levels = pd.Index([b"a", "b"], dtype=object)
    frame = read(pd.DataFrame({"a": pd.Categorical.from_codes([1, 0], levels), "b": 0}))
    assert frame["a"].tolist() == ["b", "a"] and frame["a"].dtype == "category"
    with pytest.raises(ValueError, match="occur more than once"):
        read([{HALF: 1, "\ud83e": 2}])


class Word(str, enum.Enum):
    RED = "red"


ODD = {
    "nothing": ("", ""),
    "a NUL": ("a\0b\0", "a\0b\0"),
    "np.str_": (np.str_("a"), "a"),
    "a string enum": (Word.RED, "red"),
    "bytes": (b"1.5", "1.5"),
    "broken bytes": (b"a\xff", "a\ufffd"),
    "a bytearray": (bytearray(b"a"), "a"),
    "a list": ([1, 2], "[1, 2]"),
    "a tuple": ((1, 2), "(1, 2)"),
    "an array": (np.arange(3), "[0, 1, 2]"),
    "a dict": ({"a": 1}, "{'a': 1}"),
    "a set": ({"b", "a", "c"}, "{'a', 'b', 'c'}"),
    "a scalar array": (np.array(2.5), 2.5),
    "an interval": (pd.Interval(1, 2), "(1, 2]"),
}


@pytest.mark.parametrize(("cell", "plain"), ODD.values(), ids=ODD)
def test_odd_cells_are_read_as_their_text(cell, plain):
    frame = read([[cell, "x"], [None, "y"]])
    assert frame.loc[0, "x0"] == plain and isinstance(frame.loc[0, "x0"], type(plain))
    assert frame["x0"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    "cell",
    [
        np.datetime64("2020-01-02"), np.datetime64("2020-01-02T03:04:05.678"),
        datetime.timedelta(days=1, seconds=-3), np.timedelta64(5, "s"), np.timedelta64(5, "Y"),
        np.timedelta64("NaT", "Y"),
    ],
)  # fmt: skip
def test_moments_and_durations_are_written_alike_whatever_stands_beside_them(cell):
    alone, among = (read([[c] for c in cells])["x0"] for cells in ([cell], [cell, "a"]))
    assert cell_text(alone.tolist()[0]) == cell_text(among.tolist()[0])


@pytest.mark.parametrize("values", [[{"a": 1}, {"a": 2}], [[1], [2]]])
def test_levels_of_arrow_may_be_nested(values):
    pa = arrow()
    cells = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(values))
    frame = read(pa.table({"a": cells, "b": pa.array([1, None, 2**60 + 1])}))
    assert frame["a"].tolist() == [str(values[k]) for k in (0, 1, 0)]
    assert frame["b"].tolist() == [1, pd.NA, 2**60 + 1]


class Mute:
    def __str__(self):
        raise RuntimeError("nothing to say")

    __repr__ = __str__

    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = None


class Plain:
    pass


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (Mute(), "'x0' holds an object of type Mute that has no text: RuntimeError: nothing to"),
        (Plain(), "'x0' holds an object of type Plain whose text.*is another one in each run"),
        ([Plain()], "is another one in each run"),
        (len.__call__, "is another one in each run"),
    ],
)
def test_objects_without_a_text_of_their_own_are_refused(cell, message):
    with pytest.raises(TypeError, match=message):
        read([[cell, 1], [None, 2]])


def test_an_object_that_cannot_even_be_shown_is_no_text():
    with pytest.raises(ValueError, match=r"got 1D array[\s\S]*got <Mute> \(Mute\)"):
        read([Mute()])


# What is refused


@pytest.mark.parametrize(
    "X", [np.arange(3.0), [1, 2, 3], pd.Series([1.5, 2.5]), ["a", 5], [None, None], np.array([])]
)
def test_one_dimension_of_anything_but_strings_is_refused(X):
    with pytest.raises(
        ValueError, match=r"Expected 2D array, got 1D array[\s\S]*Reshape your data"
    ):
        read(X)


@pytest.mark.parametrize("X", [3.0, "a string", None])
def test_a_scalar_is_refused(X):
    with pytest.raises(ValueError, match=r"Expected 2D array, got scalar[\s\S]*Reshape your data"):
        read(X)


@pytest.mark.parametrize("X", [np.zeros((2, 2, 2)), np.zeros((2, 2, 2)).tolist()])
def test_three_dimensions_are_refused(X):
    with pytest.raises(ValueError, match=r"Found array with dim 3\. Thing expected <= 2"):
        read(X)


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.coo_array])
def test_sparse_matrices_are_refused_with_the_remedy(container):
    with pytest.raises(TypeError, match=r"Sparse data was passed.*toarray\(\)"):
        read(container(np.eye(2)))


def test_rows_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"rows of different lengths instead: \[1, 2\]"):
        read([[1, 2], [3]])
    with pytest.raises(ValueError, match=r"rows of different lengths instead: \[None, 2\]"):
        read([[1, 2], 3])


def test_records_must_all_be_dicts():
    with pytest.raises(TypeError, match="one of its rows is 3 of type int"):
        read([{"a": 1}, 3])


@pytest.mark.parametrize("value", [1 + 2j, np.complex64(1 + 2j)])
@pytest.mark.parametrize("dtype", [complex, object])
def test_complex_values_are_refused(value, dtype):
    with pytest.raises(ValueError, match="Complex data not supported: column 'x1'"):
        read(pd.DataFrame({"x0": [1.0], "x1": np.array([value], dtype=dtype)}))


@pytest.mark.parametrize("X", [np.empty((0, 3)), pd.DataFrame({"a": []})])
def test_a_table_without_rows_is_refused(X):
    with pytest.raises(ValueError, match=r"0 sample\(s\) \(shape=\(0, \d\)\) while a minimum of 1"):
        read(X)


@pytest.mark.parametrize("X", [np.empty((3, 0)), pd.DataFrame(index=range(3)), [[], [], []]])
def test_a_table_without_columns_is_refused(X):
    with pytest.raises(ValueError, match=r"0 feature\(s\) \(shape=\(3, 0\)\) while a minimum of 1"):
        read(X)


INFINITE = {
    "float": pd.Series([1.0, -np.inf]),
    "float32": pd.Series([1.0, -np.inf], dtype=np.float32),
    "nullable": pd.Series([1.0, -np.inf], dtype="Float64"),
    "object": pd.Series([1.0, -np.inf], dtype=object),
    "numpy object": pd.Series([None, np.float32(-np.inf)], dtype=object),
    "Decimal": pd.Series([None, Decimal("-Infinity")], dtype=object),
    "among strings": pd.Series(["a", -np.inf], dtype=object),
}


@pytest.mark.parametrize("column", INFINITE.values(), ids=INFINITE)
def test_an_infinite_value_is_refused_by_column_and_row(column):
    with pytest.raises(ValueError, match=r"column 'price' holds -[Ii]nf\w* at row 1.*NaN.*clip"):
        read(pd.DataFrame({"size": [1.0, np.nan], "price": column}))


BEYOND = [10**400, 10**5000, Decimal("1e400"), np.longdouble("1e4000")]


@pytest.mark.parametrize("value", BEYOND, ids=["integer", "long", "Decimal", "longdouble"])
def test_a_number_beyond_the_range_of_floats_is_refused(value):
    with pytest.raises(ValueError, match=r"too large for float64: column 'x0' holds .* at row 1"):
        read([[1], [value]])


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_missing_values_are_fine(missing):
    X = pd.DataFrame({"a": pd.Series([1.0, missing], dtype=object)})
    assert read(X)["a"].isna().tolist() == [False, True]


@pytest.mark.parametrize("names", [["a", "a"], [1, "1"], [("a", 1), "('a', 1)"]])
def test_names_that_coincide_as_strings_are_refused(names):
    X = pd.DataFrame([[1, 2]], columns=pd.Index(names, dtype=object, tupleize_cols=False))
    with pytest.raises(ValueError, match=r"occur more than once: \[.*Rename"):
        read(X)


# Consistency between fit and later calls


@pytest.mark.parametrize(
    ("names", "as_strings"),
    [
        ([0, 1], ["0", "1"]),
        (["a", 1], ["a", "1"]),
        ([("a", "x"), ("a", "y")], ["('a', 'x')", "('a', 'y')"]),
    ],
)
def test_names_that_are_no_strings_are_accepted_and_still_compared(names, as_strings):
    X = pd.DataFrame([[1, 2], [3, 4]], columns=names)
    estimator = fitted_on(X)
    assert not hasattr(estimator, "feature_names_in_")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(read_table(estimator, X, reset=False).columns) == as_strings
        written = X.set_axis(as_strings, axis=1)  # as libraries do whose names are all strings
        assert list(read_table(estimator, written, reset=False).columns) == as_strings
    for reordered in (X.iloc[:, ::-1], written.iloc[:, ::-1]):
        with pytest.raises(ValueError, match="Feature names must be in the same order as they"):
            read_table(estimator, reordered, reset=False)


def test_names_that_pandas_counted_are_none_and_others_must_match():
    counted = fitted_on(pd.DataFrame([[1, 2], [3, 4]]))
    with pytest.warns(UserWarning, match="fitted without feature names"):
        read_table(counted, pd.DataFrame([[1, 2]], columns=["a", "b"]), reset=False)
    tuples = fitted_on(pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples(["ab", "ac"])))
    with pytest.raises(ValueError, match="unseen at fit time:\n- a\\.b"):
        read_table(tuples, pd.DataFrame([[1, 2]], columns=["a.b", "a.c"]), reset=False)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["b", "a"], "Feature names must be in the same order"),
        (["a", "c"], "Feature names unseen at fit time:\n- c\n"),
        (["a"], "Feature names seen at fit time, yet now missing:\n- b\n"),
        (["a", 7], "Feature names unseen at fit time:\n- 7\n"),
    ],
)
def test_other_names_than_in_fit_are_refused_in_the_words_of_scikit_learn(names, message):
    estimator = fitted_on(pd.DataFrame({"a": [1], "b": [2]}))
    with pytest.raises(ValueError, match=message) as caught:
        read_table(estimator, pd.DataFrame([[1] * len(names)], columns=names), reset=False)
    assert "The feature names should match those that were passed during fit" in str(caught.value)


@pytest.mark.parametrize("X", [np.ones((2, 3)), ["text"], [[1]]])
def test_another_number_of_columns_than_in_fit_is_refused(X):
    with pytest.raises(ValueError, match=r"X has \d features, but Thing is expecting 2 features"):
        read_table(fitted_on(np.ones((2, 2))), X, reset=False)


def test_names_given_only_in_fit_warn_and_match_by_position():
    estimator = fitted_on(pd.DataFrame({"a": [1], "b": [2]}))
    with pytest.warns(UserWarning, match="X does not have valid feature names, but Thing was"):
        frame = read_table(estimator, [[3, 4]], reset=False)
    assert frame.to_dict("records") == [{"a": 3, "b": 4}]


def test_names_given_only_later_warn_and_match_by_position():
    estimator = fitted_on(np.ones((2, 2)))
    with pytest.warns(UserWarning, match="X has feature names, but Thing was fitted without"):
        frame = read_table(estimator, pd.DataFrame({"a": [3], "b": [4]}), reset=False)
    assert frame.to_dict("records") == [{"x0": 3, "x1": 4}]


def test_a_series_and_a_list_of_strings_are_interchangeable():
    estimator = fitted_on(pd.Series(TEXTS, name="advert"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_table(estimator, TEXTS, reset=False)["advert"].tolist() == TEXTS


def test_records_match_by_key_and_a_lacking_key_is_a_missing_value():
    estimator = fitted_on([{"a": 1, "b": 2}, {"b": 3}])
    frame = read_table(estimator, [{"b": 5, "a": 4}, {"b": 6}], reset=False)
    assert list(frame.columns) == ["a", "b"]
    assert frame["a"].iloc[0] == 4
    assert frame["a"].isna().tolist() == [False, True]
    assert read_table(estimator, [{"b": 6}], reset=False)["a"].isna().all()
    with pytest.raises(ValueError, match="unseen at fit time:\n- c\n"):
        read_table(estimator, [{"a": 1, "b": 2, "c": 3}], reset=False)


def test_fitting_again_forgets_the_names_of_the_previous_table():
    estimator = fitted_on(pd.DataFrame({"a": [1], "b": [2]}))
    assert list(read_table(estimator, np.ones((1, 3)), reset=True).columns) == ["x0", "x1", "x2"]
    assert not hasattr(estimator, "feature_names_in_")
    assert estimator.n_features_in_ == 3
