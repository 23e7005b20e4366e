"""What a column is taken for, and how its cells are written."""

import datetime
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from llmreg import RowSerializer
from llmreg.tables.columns import infer_kind, plan_column, write_column
from llmreg.tables.kinds import look_at


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
    "times of day": (objects(datetime.time(14, 30), None), "number"),
    "money": (pd.Series(["$1,234", "$99"]), "number"),
    "lengths": (pd.Series(["12 km", None, "3.5 km"]), "number"),
    "American dates": (pd.Series(["3/15/2021", "4/5/2021"]), "datetime"),
    "German dates": (pd.Series(["15.3.2021", "5.4.2021"]), "datetime"),
    "dates with gaps": (pd.Series(["2011-01-20", "", "0000-00-00"]), "datetime"),
    "blanks": (pd.Series(["", "  "]), "number"),
    "zeros and ones": (pd.Series(["0", "1", None]), "number"),
    "zeros and ones as pandas writes them": (pd.Series(["0.0", "1.0", None]), "number"),
    "yes and no": (pd.Series(["yes", "no"]), "category"),
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


@pytest.mark.parametrize("cells", [["0", "1", ""], ["0.0", "1.0", "NaN"], ["1.0", "0", None]])
def test_strings_of_zeros_and_ones_are_the_numbers_that_they_were(cells):
    columns = pd.Series([0.0, 1.0, np.nan]), pd.Series(cells, dtype=object)
    plans = [plan_column("c", column, look=look_at(column)) for column in columns]
    assert plans[0] == plans[1] and plans[0].boolean


def test_the_strings_of_a_table_of_one_column_are_text():
    assert infer_kind(pd.Series(["good", "bad"]), alone=True) == "text"
    assert infer_kind(objects(True, False), alone=True) == "category"
    assert infer_kind(pd.Series([1, 2]), alone=True) == "number"


@pytest.mark.parametrize(("n_words", "warns"), [(6, True), (10, True), (11, False)])
def test_numbers_with_words_among_them_warn_with_name_example_and_remedy(n_words, warns):
    column = pd.Series([str(i / 7) for i in range(100 - n_words)] + ["many"] * n_words, name="rent")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert infer_kind(column) == "text"
    assert len(caught) == warns
    for warning in caught:
        message = str(warning.message)
        assert f"'rent' is nearly all numbers ({100 - n_words} of 100 values)" in message
        assert "'many'" in message and "NaN" in message and "column_kinds" in message


def test_up_to_five_words_in_a_hundred_numbers_are_missing_with_a_warning():
    column = pd.Series([str(i / 7) for i in range(95)] + ["many"] * 5)
    look = look_at(column)
    assert look.kind == "number"
    with pytest.warns(UserWarning, match="'c' is read as a number, but 5 of its 100.*'many'"):
        plan = plan_column("c", column, look=look)
    with pytest.warns(UserWarning, match="5 of the 100"):
        _, absent, _, _ = write_column(plan, column, number_format="g", missing="?")
    assert absent.sum() == 5


def test_training_rows_are_warned_of_once():
    X = pd.DataFrame(
        {"c": [*map(str, range(95)), *["many"] * 5], "at": ["2021-03-05"] * 99 + ["x"]}
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        serializer = RowSerializer().fit(X)
        serializer.serialize(X, training=True)
    assert [str(warning.message)[:22] for warning in caught] == [
        "Column 'c' is read as ", "Column 'at' is read as"
    ]  # fmt: skip
    with (
        pytest.warns(UserWarning, match="'at' was a datetime"),
        pytest.warns(match="'c' was a num"),
    ):
        serializer.serialize(X)


@pytest.mark.parametrize("word", ["n/a", "NaN", "", "  ", "-", "?", "unknown"])
def test_words_for_missing_do_not_keep_a_column_from_being_numbers_or_dates(word):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert infer_kind(pd.Series(["1.5", word, word, "3"])) == "number"
        assert infer_kind(pd.Series(["2011-01-20", word, word])) == "datetime"
        assert written(["1.5", word])[0].tolist() == ["1.5", "?"]
        assert written([1.5, 2.5], [word, "3"])[0].tolist() == ["?", "3"]
        assert written(["2011-01-20", word])[0].tolist() == ["2011-01-20", "?"]
    assert infer_kind(pd.Series(["n/a", "-", "?"])) == "category"


def test_what_the_warning_about_words_among_numbers_advises_helps():
    column = pd.Series([*map(str, range(50)), "<5"], name="rent")
    with pytest.warns(UserWarning, match="'rent'"):
        infer_kind(column)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert infer_kind(column.replace("<5", np.nan)) == "number"
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
        ([10**15, 10**18 + 1], ["1000000000000000", "1000000000000000001"]),
        ([1e15, 2e18, np.nan], ["1000000000000000", "2000000000000000000", "?"]),
        (objects(10**25, None), [str(10**25), "?"]),
        (["1234567890123456789", "5"], ["1234567890123456789", "5"]),
        (["$1,234.50", "$2"], ["1234.5", "2"]),
        (objects(datetime.time(14, 30), None), ["14.5", "?"]),
        (pd.Series(["1.5", "2"], dtype="category"), ["1.5", "2"]),
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


@pytest.mark.parametrize("word", ["many", "inf", "1e999", "1,5", [1], datetime.timedelta(1)])
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
    ("cells", "options"),
    [
        ([2019, 2020], {"format": "%Y"}), (["2019", "2020"], {"format": "%Y"}),
        ([2019.0, 2020.0, None], {"format": "%Y"}),
        ([1577836800.0, 1577923200], {"unit": "s"}),
        ([43831, 43832.5], {"unit": "D", "origin": "1899-12-30"}),
    ],
)  # fmt: skip
def test_numbers_that_are_to_be_dates_are_told_how_to_become_some(cells, options):
    column = pd.Series(cells)
    shown = ", ".join(f"{name}={value!r}" for name, value in options.items())
    with pytest.raises(ValueError, match=f"be read as a datetime.*{shown}.*column_kinds"):
        plan_column("c", column, "datetime")
    if "format" in options:
        column = column.astype("Int64").astype("string")
    assert pd.to_datetime(column, **options).dropna().dt.year.between(2019, 2020).all()


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
        (pd.Series(["", "a", " b "]), ["?", "a", "b"]),
        (objects(1e18, 123456789012345678), ["1000000000000000000", "123456789012345678"]),
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
def test_a_column_with_a_zone_is_read_by_its_own_clocks(moments):
    assert written(moments)[0].tolist() == ["2011-01-20 05:00"]
    later = pd.Series(pd.to_datetime(["2011-01-20 12:00"]).tz_localize("Asia/Tokyo"))
    assert written(moments, later)[0].tolist() == ["2011-01-20 04:00"]
    with pytest.warns(UserWarning, match="'c' was in the zone .* but has none here"):
        assert written(moments, ["2011-01-20 12:00"])[0].tolist() == ["2011-01-20 12:00"]


def test_midnight_in_tokyo_is_midnight():
    tokyo = pd.Series(pd.date_range("2011-01-20", periods=3, tz="Asia/Tokyo"))
    text, _, numbers, names = written(tokyo)
    assert text.tolist() == ["2011-01-20", "2011-01-21", "2011-01-22"]
    assert names == ("c__timestamp", "c__day", "c__weekday") and numbers[0, 1] == 20


def test_zones_that_differ_within_a_column_are_read_in_utc_with_a_warning():
    mixed = pd.Series(["2011-01-20T05:00:00+01:00", "2011-01-20T05:00:00+09:00"])
    with pytest.warns(UserWarning, match=r"'c' has times in several zones: \['UTC\+01:00', 'UTC"):
        text, *_ = written(mixed)
    assert text.tolist() == ["2011-01-20 04:00", "2011-01-19 20:00"]


def test_zones_in_a_column_that_had_none_warn():
    with pytest.warns(UserWarning, match="'c' had no time zones in training"):
        assert written(["2011-01-20 03:00"], ["2011-01-20T05:00Z"])[0][0] == "2011-01-20 05:00"


def test_the_hundred_years_of_two_digits_are_those_of_the_training_rows():
    births = ["28/03/45", "13/01/87"]
    assert written(births)[0].tolist() == ["1945-03-28", "1987-01-13"]
    assert written(births, ["05/06/30", "05/06/02"])[0].tolist() == ["1930-06-05", "2002-06-05"]
    assert written(births, ["05/06/30"], kind="datetime")[0].tolist() == ["1930-06-05"]


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d/%m/%Y", None])
def test_the_hundred_years_are_also_those_of_training_rows_with_four_digits(form):
    days = pd.Series(pd.date_range("1940-01-20", periods=40, freq="400D"))
    days = days if form is None else days.dt.strftime(form)
    found = written(days, ["05-MAR-61", "25.03.45"])[0]
    assert found.tolist() == ["1961-03-05", "1945-03-25"]


def test_a_year_of_two_digits_may_stand_first():
    train = ["19/04/05", "18/06/10", "20/12/31"]
    assert written(train, ["19/04/05"])[0].tolist() == ["2019-04-05"]


def test_an_offset_is_read_by_its_clocks_whatever_it_is_called():
    sydney = datetime.timezone(datetime.timedelta(hours=10), "EST")
    noon = objects(datetime.datetime(2020, 7, 1, 12, tzinfo=sydney))
    assert written(noon)[0].tolist() == ["2020-07-01 12:00"]


def test_seconds_and_fractions_are_written_where_training_cells_have_them():
    text, _, numbers, _ = written(["2011-01-20 05:00:00", "2011-01-20 05:00:07"])
    assert text.tolist() == ["2011-01-20 05:00:00", "2011-01-20 05:00:07"]
    assert numbers[0, 0] < numbers[1, 0] and numbers[0, 1] < numbers[1, 1]
    assert written(["2011-01-20 05:00:07.25"])[0].tolist() == ["2011-01-20 05:00:07.250"]
    assert written(["2011-01-20 05:00"], ["2011-01-20 05:00:07"])[0][0] == "2011-01-20 05:00"


BOOLEANS = {
    "bools": pd.Series([True, False, True]),
    "nullable": pd.Series([True, False, True], dtype="boolean"),
    "objects": objects(True, np.False_, True),
    "integers": pd.Series([1, 0, 1]),
    "floats": pd.Series([1.0, 0.0, 1.0]),
    "words": pd.Series(["true", "FALSE", "True"]),
    "yes and no": pd.Series(["yes", "No", "YES"]),
    "letters": pd.Series(["t", "f", "T"]),
    "digits": pd.Series(["1", "0", "1"]),
    "categories": pd.Series([True, False, True], dtype="category"),
    "categories of integers": pd.Series([1, 0, 1], dtype="category"),
}


@pytest.mark.parametrize("fitted", BOOLEANS.values(), ids=BOOLEANS)
def test_true_and_false_mean_the_same_however_they_are_spelt(fitted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan = plan_column("c", fitted, look=look_at(fitted))
        assert plan.boolean
        expected = write_column(plan, fitted, number_format="g", missing="?")
        for new in BOOLEANS.values():
            text, absent, numbers, _ = write_column(plan, new, number_format="g", missing="?")
            assert text.tolist() == expected[0].tolist() and not absent.any()
            if numbers is not None:
                np.testing.assert_array_equal(numbers, expected[2])


def test_levels_that_are_no_booleans_stay_as_they_are():
    assert written(["y", "n", "maybe"])[0].tolist() == ["y", "n", "maybe"]
    assert written([True, False], ["maybe", 2])[0].tolist() == ["maybe", "2"]


def test_a_number_in_disguise_is_read_as_asked_but_not_where_it_is_open():
    column = pd.Series(["$1,234", "$99"])
    np.testing.assert_array_equal(written(column, kind="number")[2], [[1234.0], [99.0]])
    for cells, seen in ((["1,234", "5,678"], "thousands"), (["1 km", "2 mi"], "mixed units")):
        with pytest.raises(ValueError, match=f"be read as a number, but 2 of its 2.*{seen}"):
            plan_column("c", pd.Series(cells), "number")
    with pytest.raises(ValueError, match=r"read as a datetime.*day or month.*format='%d/%m/%Y'"):
        plan_column("c", pd.Series(["3/5/2021", "4/5/2021"]), "datetime")
    assert written(pd.Series([20210305, 20210306]), kind="datetime")[0][0] == "2021-03-05"
    moments = pd.Series([20210305143000, None, 20210306000000])
    assert written(moments, kind="datetime")[0][0] == "2021-03-05 14:30"


@pytest.mark.parametrize(
    ("cells", "seen"),
    [
        (["1,234", "5,678"], "'1,234'.*thousands or fractions"),
        (["12 km", "7 mi", "3 km"], "mixed units, such as"),
        (["3/5/2021", "4/6/2021"], "'3/5/2021'.*day or month comes first"),
    ],
)
def test_what_cannot_be_told_is_words_with_a_warning(cells, seen):
    with pytest.warns(UserWarning, match=f"Column 'c' h.*{seen}.*column_kinds={{'c': 'category'}}"):
        assert infer_kind(pd.Series(cells, name="c")) == "category"


def test_a_period_is_written_as_the_day_it_begins():
    periods = pd.Series(pd.period_range("2011-01", periods=2, freq="M"))
    assert written(periods)[0].tolist() == ["2011-01-01", "2011-02-01"]
    assert written(periods.astype(object))[0].tolist() == ["2011-01-01", "2011-02-01"]


REMARKS = ["TBD", "pending", "see note", "tba", "no rating", "refused"]
MANY_REMARKS = [f"remark {chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(520)]
NEARLY_ALL = {
    "few ratings": (["1", "2", "3", "4", "5"] * 59, REMARKS, "number"),
    "many ratings": (["1", "2", "3", "4", "5"] * 1000, MANY_REMARKS[:100], "number"),
    "prices": ([f"{i / 7:.4f}" for i in range(12_000)], MANY_REMARKS, "number"),
    "few dates": ([f"2021-03-0{i}" for i in range(1, 6)] * 60, [*REMARKS, "moved"], "datetime"),
    "short dates": (["19/04/05", "18/06/10", "20/12/31"] * 60, REMARKS, "datetime"),
    "years first, one slip": (["19/04/05", "18/06/10", "20/12/31"] * 60, ["19/13/05"], "datetime"),
    "compact dates": (["20210305", "20210401", "20211231"] * 60, REMARKS, "datetime"),
    "telephone numbers": (
        [f"{area}5551234" for area in (212, 415, 617, 305, 702)] * 60, ["unlisted"], "category"
    ),
    "versions": (["10.12.13", "11.12.13", "11.12.14"] * 60, ["none"], "category"),
    "seasons": (["2009/10", "2010/11", "2011/12"] * 60, ["none"], "category"),
}  # fmt: skip


@pytest.mark.parametrize(("cells", "words", "kind"), NEARLY_ALL.values(), ids=NEARLY_ALL)
def test_nearly_all_cells_decide_in_whatever_order_they_come(cells, words, kind):
    shuffled = np.random.default_rng(0).permutation([*cells, *words]).tolist()
    for column in ([*cells, *words], [*words, *cells], shuffled):
        column = pd.Series(column, name="c")
        look = look_at(column)
        assert look.kind == kind
        if kind != "category":
            with pytest.warns(UserWarning, match=f"'c' is read as a {kind}, but {len(words)} of"):
                plan_column("c", column, look=look)
