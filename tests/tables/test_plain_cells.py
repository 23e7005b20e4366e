"""Cells of every type: what they are read as, and which are refused."""

import datetime
import enum
import uuid
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from table_reading import fitted_on, read

from llmreg.tables.cell_values import cell_text
from llmreg.tables.reading import read_table

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


@pytest.mark.parametrize(
    "cells", [[uuid.UUID(int=1), uuid.UUID(int=2)], [b"a", b"b"], [(1, 2), (3, 4)], [Path("a")]]
)
def test_a_gap_does_not_change_categories_of_objects(cells):
    column = pd.Series([*cells, None, *cells], dtype=object)
    plain, levels = (read(pd.DataFrame({"x": c}))["x"] for c in (column, column.astype("category")))
    assert levels.isna().tolist() == plain.isna().tolist()
    assert levels.astype(object)[plain.notna()].tolist() == plain[plain.notna()].tolist()


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


def test_fractions_are_numbers():
    column = read([[Fraction(1, 8)], [Fraction(21, 2)], [None]])["x0"]
    assert column.dtype == float and column[:2].tolist() == [0.125, 10.5]
    with pytest.raises(ValueError, match="infinity"):
        read([[Fraction(10**400, 3)], [Fraction(1, 2)]])


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


@pytest.mark.parametrize("kind", ["f8", "f4", "i4", "u2", "M8[ns]", "m8[s]"])
def test_the_order_of_bytes_does_not_matter(kind):
    cells = np.array([1, 2, 5]).astype(f"<{kind}")
    swapped = cells.astype(f">{kind}")
    plain = read(pd.DataFrame({"a": cells}))
    pd.testing.assert_frame_equal(read(pd.DataFrame({"a": swapped})), plain)
    pd.testing.assert_frame_equal(read({"a": swapped}), plain)
    records = np.array([(cell,) for cell in swapped], dtype=[("a", f">{kind}")])
    pd.testing.assert_frame_equal(read(records), plain)
    expected = read(np.stack([cells, cells], 1))
    pd.testing.assert_frame_equal(read(np.stack([cells, cells], 1).astype(f">{kind}")), expected)


def test_models_read_the_other_order_of_bytes(quick_fit):
    X = np.random.RandomState(0).rand(30, 2)
    model, other = quick_fit(X, X[:, 0]), quick_fit(X.astype(">f8"), X[:, 0].astype(">f8"))
    frame = pd.DataFrame({"a": X[:, 0].astype(">f8"), "b": (99 * X[:, 1]).astype(">i4")})
    native = pd.DataFrame({"a": X[:, 0], "b": (99 * X[:, 1]).astype("i4")})
    assert np.array_equal(other.predict(X.astype(">f8")), model.predict(X))
    assert np.array_equal(other.predict(X), model.predict(X.astype(">f8")))
    found = quick_fit(frame, X[:, 0])
    assert np.array_equal(found.predict(native), quick_fit(native, X[:, 0]).predict(frame))
