"""Categories by name, however they are spelt and typed."""

import datetime as dt
import warnings

import numpy as np
import pandas as pd
import pytest

from llmreg import RowSerializer
from llmreg.tables.levels import level_name, levels_of


def _read(train, new, **parameters):
    def table(cells):
        if not isinstance(cells, pd.Series):
            cells = pd.Series(cells, dtype=object)
        return pd.DataFrame({"c": cells, "z": 1.0})

    serializer = RowSerializer(**parameters).fit(table(train))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (field, _) = serializer.serialize(table(new)).fields
    assert field.kind == "category"
    return field.text.tolist()


@pytest.mark.parametrize(
    ("train", "new", "read"),
    [
        (["1.0", "2.0", "A"], [1.0], ["1"]),
        (["1.0", "2.0", "A"], [1, "2.0", "2", "A"], ["1", "2", "2", "A"]),
        ([1, 2, "A"], ["1", "1.0", 1.0], ["1", "1", "1"]),
        (["1.0", 1.0, "A"], ["1.0", "1"], ["1", "1"]),  # read in parts of a file
        (["-1.0", "0.0", "A"], [-1, 0.0], ["-1", "0"]),
        (["1.0", "1", "A"], ["1.0", "1", 1.0], ["1.0", "1", "1"]),
    ],
)
def test_whole_numbers_are_one_category_as_words_and_as_floats(train, new, read):
    assert _read(train * 20, new) == read


def test_midnight_is_its_day_however_it_came():
    days = pd.date_range("2020-01-01", periods=3)
    new = ["2020-01-02", pd.Timestamp("2020-01-02"), dt.date(2020, 1, 2), "2020-01-02 00:00:00"]
    kinds = {"c": "category"}
    assert _read([*days] * 9, new, column_kinds=kinds) == ["2020-01-02"] * 4
    assert _read(pd.Series([*days] * 9, dtype="category"), new) == ["2020-01-02"] * 4
    assert _read(new[:1] * 9, new[-1:], column_kinds=kinds) == ["2020-01-02"]


def test_versions_and_codes_stay_apart():
    cells = ["1.1", "1.10", "2.0.1", "01", "1.00", "001.0", "A"]
    assert levels_of(pd.Series(cells)) == tuple(sorted(cells))
    assert _read(cells * 20, cells) == cells


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", ["float32", "Float32", "float16", "category"])
def test_narrow_floats_are_as_short_as_in_their_own_precision(dtype):
    train = pd.Series([0.1, 0.2, 3.0] * 20, dtype="float32").astype(dtype)
    kinds = {"c": "category"}
    assert _read(train, [np.float32(0.1), 0.2, "3"], column_kinds=kinds) == ["0.1", "0.2", "3"]


PLACES = ["Café", "São Paulo", "Graz"] * 20


@pytest.mark.parametrize("dtype", [object, "str", "category"])
@pytest.mark.parametrize(
    ("cell", "read"),
    [
        ("Cafe\u0301", "Café"),
        ("São\u00a0Paulo", "São Paulo"),
        ("São \t\u2009Paulo\u3000", "São Paulo"),
        ("Graz\u200b", "Graz"),
        ("\ufeffGr\u00ad\u2060az\u200f", "Graz"),
    ],
)
def test_spellings_that_look_alike_are_one_category(cell, read, dtype):
    assert _read(pd.Series(PLACES, dtype=dtype), pd.Series([cell], dtype=dtype)) == [read]
    mixed = pd.Series([*PLACES, cell], dtype=dtype)
    assert levels_of(mixed) == ("Café", "Graz", "São Paulo")


def test_joiners_tell_words_apart():
    assert level_name("می\u200cخواهم") == "می\u200cخواهم"
    assert level_name("👩\u200d💻") == "👩\u200d💻"
