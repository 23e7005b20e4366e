"""What a column is taken for, and how its cells are written."""

import datetime
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from llmreg import RowSerializer
from llmreg.tables.columns import infer_kind, plan_column, write_column


def written(train, new=None, *, kind=None, number_format=".6g", exact=False):
    train = pd.Series(train)
    plan = plan_column("c", train, kind or infer_kind(train))
    new = train if new is None else pd.Series(new)
    return write_column(plan, new, number_format=number_format, missing="?", exact=exact)


def objects(*cells):
    return pd.Series(cells, dtype=object)


SENTENCES = [f"a sentence of many words, number {i}" for i in range(40)]

KINDS = {
    "integers": (pd.Series([1, 2]), "number"),
    "floats": (pd.Series([1.5, np.nan]), "number"),
    "nullable integers": (pd.Series([1, None], dtype="Int64"), "number"),
    "nullable floats": (pd.Series([1.5, None], dtype="Float64"), "number"),
    "numbers as objects": (objects(1, 2.5, None, pd.NA), "number"),
    "Decimals": (objects(Decimal("1.5"), None), "number"),
    "Decimals and floats": (objects(Decimal("1.5"), 2.0), "number"),
    "numbers and numbers as strings": (objects(1, "2.5"), "number"),
    "durations": (pd.Series(pd.to_timedelta(["1s", "2s"])), "number"),
    "durations as objects": (objects(datetime.timedelta(1), None), "number"),
    "nothing at all": (objects(None, np.nan, pd.NaT), "number"),
    "strings of numbers": (pd.Series(["1.5", "-2e3", None, " .5 "]), "number"),
    "leading zeros": (pd.Series(["01234", "10115"]), "category"),
    "zero point something": (pd.Series(["0.5", "0"]), "number"),
    "words for infinity": (pd.Series(["inf", "1"]), "category"),
    "booleans": (pd.Series([True, False]), "category"),
    "nullable booleans": (pd.Series([True, None], dtype="boolean"), "category"),
    "booleans as objects": (objects(True, None), "category"),
    "pandas categories": (pd.Series(["a", "b"], dtype="category"), "category"),
    "pandas categories of numbers": (pd.Series([1, 2], dtype="category"), "category"),
    "datetimes": (pd.Series(pd.to_datetime(["2011-01-20"])), "datetime"),
    "datetimes with a zone": (pd.Series(pd.to_datetime(["2011-01-20"], utc=True)), "datetime"),
    "periods": (pd.Series(pd.period_range("2011-01", periods=2, freq="M")), "datetime"),
    "dates as objects": (objects(datetime.date(2011, 1, 20), None), "datetime"),
    "ISO dates": (pd.Series(["2011-01-20", None, "2011-02-03T05:00:00Z"]), "datetime"),
    "what only looks like a date": (pd.Series(["2011-99-20"]), "category"),
    "few short strings": (pd.Series(list("abcdefghij")), "category"),
    "many short strings that repeat": (pd.Series([f"v{i}" for i in range(100)] * 2), "category"),
    "too many categories": (pd.Series([f"v{i}" for i in range(201)] * 3), "text"),
    "short strings that mostly differ": (pd.Series([f"v{i}" for i in range(100)]), "text"),
    "sentences": (pd.Series(SENTENCES), "text"),
    "few sentences that differ": (pd.Series(SENTENCES[:3]), "text"),
    "few sentences that repeat": (pd.Series(SENTENCES[:3] * 4), "category"),
    "many sentences that repeat": (pd.Series(SENTENCES * 4), "text"),
    "lists": (objects([1, 2], [1, 2]), "category"),
    "mixed types": (objects(1, "a", {"b": 2}), "category"),
}


@pytest.mark.parametrize(("column", "kind"), KINDS.values(), ids=KINDS)
def test_the_kind_is_inferred_from_the_training_rows(column, kind):
    assert infer_kind(column) == kind


def test_the_strings_of_a_table_of_one_column_are_text():
    assert infer_kind(pd.Series(["good", "bad"]), alone=True) == "text"
    assert infer_kind(objects(True, False), alone=True) == "category"
    assert infer_kind(pd.Series([1, 2]), alone=True) == "number"


@pytest.mark.parametrize(("n_words", "warns"), [(1, True), (10, True), (11, False)])
def test_numbers_with_a_few_words_among_them_warn_with_name_example_and_remedy(n_words, warns):
    column = pd.Series([str(i / 7) for i in range(100 - n_words)] + ["n/a"] * n_words, name="rent")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert infer_kind(column) == "text"
    assert len(caught) == warns
    for warning in caught:
        message = str(warning.message)
        assert f"{100 - n_words} of 100 values of column 'rent' are numbers" in message
        assert "'n/a'" in message and "NaN" in message and "column_kinds" in message


def test_what_the_warning_about_words_among_numbers_advises_helps():
    column = pd.Series([*map(str, range(50)), "n/a"], name="rent")
    with pytest.warns(UserWarning, match="'rent'"):
        infer_kind(column)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert infer_kind(column.replace("n/a", np.nan)) == "number"
        frame = column.to_frame().assign(other=1.5)
        kinds = RowSerializer(column_kinds={"rent": "category"}).fit(frame).kinds_
    assert kinds == {"rent": "category", "other": "number"}


@pytest.mark.parametrize(
    "values",
    [
        [*map(str, range(50)), None],
        [f"{i:05d}" for i in range(50)] + ["n/a"],  # codes, not numbers
        [f"2011-01-{day:02d}" for day in range(1, 29)],
        list("abcdefghij") * 5,
        [True] * 20,
    ],
)
def test_other_columns_do_not_warn(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        infer_kind(pd.Series(values, name="c"))


def test_max_categories_is_where_categories_end():
    column = pd.Series(list("abc") * 3)
    assert infer_kind(column, max_categories=3) == "category"
    assert infer_kind(column, max_categories=2) == "text"


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([8.0, 3.0, np.nan], ["8", "3", "?"]),
        ([1_234_567, -3], ["1234567", "-3"]),
        ([0.1 + 0.2, 8.0], ["0.3", "8"]),
        ([-0.0, 0.5], ["0", "0.5"]),
        ([-0.0, 1.0], ["0", "1"]),
        ([1e300, 1.0], ["1e+300", "1"]),
        (pd.Series([1, None], dtype="Int64"), ["1", "?"]),
        (["1.50", "2"], ["1.5", "2"]),
        (objects(Decimal("1.50"), None), ["1.5", "?"]),
        (pd.to_timedelta(["1min", None]), ["60", "?"]),
    ],
)
def test_numbers_are_written_short_and_whole_ones_without_a_point(values, texts):
    assert written(values)[0].tolist() == texts


def test_a_column_of_whole_numbers_reads_alike_as_integers_and_as_floats():
    assert written([1_234_567, 2], [1_234_567.0, np.nan])[0].tolist() == ["1234567", "?"]


def test_number_format_applies_to_columns_with_fractions():
    assert written([8.0, 0.25], number_format=".1f")[0].tolist() == ["8.0", "0.2"]
    assert written([8.0, 3.0], [8.0, 0.26], number_format=".1f")[0].tolist() == ["8", "0.3"]


def test_an_exact_format_applies_to_whole_numbers_as_well():
    assert written([8, 3], number_format=".2f", exact=True)[0].tolist() == ["8.00", "3.00"]


def test_numbers_come_as_one_column_that_is_nan_where_missing():
    _, missing, numbers, names = written(["1.5", None, "-2"])
    np.testing.assert_array_equal(numbers, [[1.5], [np.nan], [-2.0]])
    assert numbers.dtype == np.float64
    assert missing.tolist() == [False, True, False]
    assert names == ("c",)


@pytest.mark.parametrize("word", ["n/a", "inf", "nan", "1e999", "", "1,5", [1]])
def test_what_is_no_number_warns_with_an_example_and_is_missing(word):
    with pytest.warns(UserWarning, match="'c' was a number in training, but 1 of the 2 values"):
        text, missing, numbers, _ = written([1.5, 2.5], objects(word, "7"))
    assert text.tolist() == ["?", "7"]
    assert missing.tolist() == [True, False]
    assert np.isnan(numbers[0, 0])


def test_a_number_is_no_date():
    with pytest.warns(UserWarning, match=r"'c' was a datetime.*example 20110120"):
        text, *_ = written(["2011-01-20", "2011-01-21"], objects(20110120, "2011-01-21"))
    assert text.tolist() == ["?", "2011-01-21"]


@pytest.mark.parametrize(
    ("kind", "cells"), [("number", ["1", "many"]), ("datetime", ["2011-01-01", "some day"])]
)
def test_a_kind_that_the_training_values_contradict_is_refused(kind, cells):
    with pytest.raises(ValueError, match=f"read as a {kind}, but 1 of its 2.*example {cells[1]!r}"):
        plan_column("c", pd.Series(cells), kind)


@pytest.mark.parametrize(
    ("cells", "texts"),
    [
        (pd.Series([True, None], dtype="boolean"), ["True", "?"]),
        (objects(True, np.bool_(False), None), ["True", "False", "?"]),
        (objects(1, 1.0, True, "1", 1.5), ["1", "1", "True", "1", "1.5"]),
        (pd.Series(["é", None], dtype="category"), ["é", "?"]),
        (objects([1, 2], {"a": 1}, (1,)), ["[1, 2]", "{'a': 1}", "(1,)"]),
        (objects(np.arange(3), None), ["[0, 1, 2]", "?"]),
        (objects(b"caf\xc3\xa9", None), ["café", "?"]),
        (pd.Series(["", "a"]), ["", "a"]),
    ],
)
def test_categories_are_written_as_their_strings(cells, texts):
    assert written(cells, kind="category")[0].tolist() == texts


def test_codes_read_alike_as_integers_floats_and_objects():
    for new in ([10115, 20095], [10115.0, 20095.0], objects(10115, 20095.0)):
        text, _, numbers, names = written([10115, 20095], new, kind="category")
        assert text.tolist() == ["10115", "20095"]
        assert numbers is None
        assert names == ()


def test_datetimes_are_written_as_iso_and_counted_in_days_since_1970():
    text, missing, numbers, names = written(["2011-01-20 05:30", None, "2012-03-21 06:00"])
    assert text.tolist() == ["2011-01-20 05:30", "?", "2012-03-21 06:00"]
    assert missing.tolist() == [False, True, False]
    assert names == ("c__timestamp", "c__month", "c__day", "c__weekday", "c__hour")
    days = (pd.Timestamp("2011-01-20 05:30") - pd.Timestamp(0)).total_seconds() / 86400
    np.testing.assert_allclose(numbers[0], [days, 1, 20, 3, 5.5])
    assert np.isnan(numbers[1]).all()


def test_dates_without_times_are_written_without_times():
    text, _, _, names = written(["2011-01-20", "2012-03-22"], ["2013-03-22 11:00"])
    assert text.tolist() == ["2013-03-22"]
    assert "c__hour" not in names


def test_parts_of_a_date_that_never_vary_in_training_are_dropped_but_the_timestamp():
    assert written(["2011-01-20", "2012-01-20"])[3] == ("c__timestamp", "c__weekday")
    assert written(["2011-01-20", "2011-01-20"])[3] == ("c__timestamp",)
    assert written([pd.NaT, pd.NaT], kind="datetime")[3] == ("c__timestamp",)


@pytest.mark.parametrize(
    "moments",
    [
        pd.Series(pd.to_datetime(["2011-01-20 05:00"]).tz_localize("Europe/Vienna")),
        objects(pd.Timestamp("2011-01-20 05:00", tz="Europe/Vienna")),
        pd.Series(["2011-01-20T05:00:00+01:00"]),
    ],
)
def test_time_zones_are_converted_to_utc(moments):
    assert written(moments)[0].tolist() == ["2011-01-20 04:00"]


def test_a_period_is_written_as_the_day_it_begins():
    periods = pd.Series(pd.period_range("2011-01", periods=2, freq="M"))
    assert written(periods)[0].tolist() == ["2011-01-01", "2011-02-01"]
    assert written(periods.astype(object))[0].tolist() == ["2011-01-01", "2011-02-01"]
