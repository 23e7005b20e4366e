"""Dates however they are written, and the clocks by which they are read."""

import datetime as dt
import time
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from llmreg.tables.dates import (
    clock_of,
    date_numbers,
    date_texts,
    find_order,
    read_moment,
    read_moments,
    zone_of,
)


def found(*cells):
    return find_order(list(cells), np.ones(len(cells), int))


def read(*cells):
    order, doubt = found(*cells)
    assert doubt is None and order is not None, (cells, order, doubt)
    moments, unread = read_moments(pd.Series(cells, dtype=object), order)
    return np.datetime_as_string(moments.wall, unit="m").tolist(), unread.tolist()


READ = {
    "ISO": (["2021-03-05", "2021-04-06 14:30"], ["2021-03-05T00:00", "2021-04-06T14:30"]),
    "month first": (["03/15/2021", "4/5/2021"], ["2021-03-15T00:00", "2021-04-05T00:00"]),
    "day first": (["15/03/2021", "4/5/2021"], ["2021-03-15T00:00", "2021-05-04T00:00"]),
    "dashes": (["15-03-2021", "04-05-2021"], ["2021-03-15T00:00", "2021-05-04T00:00"]),
    "points": (["03.05.2021", "4.6.2021 8:05"], ["2021-05-03T00:00", "2021-06-04T08:05"]),
    "points and short years": (["03.05.21", "14.06.99"], ["2021-05-03T00:00", "1999-06-14T00:00"]),
    "points, month first": (["03.25.2021", "04.05.2021"], ["2021-03-25T00:00", "2021-04-05T00:00"]),
    "short years": (["3/15/21", "4/5/21"], ["2021-03-15T00:00", "2021-04-05T00:00"]),
    "year first": (["2021/03/05", "2021/12/31"], ["2021-03-05T00:00", "2021-12-31T00:00"]),
    "names of months": (["Mar 5, 2021", "June 7, 2021"], ["2021-03-05T00:00", "2021-06-07T00:00"]),
    "days and names": (["5 March 2021", "7-May-22"], ["2021-03-05T00:00", "2022-05-07T00:00"]),
    "weekdays": (["Fri, 05 Mar 2021 12:00:00 GMT"], ["2021-03-05T12:00"]),
    "months": (["2021-03", "2021-04"], ["2021-03-01T00:00", "2021-04-01T00:00"]),
    "names of months alone": (["Mar 2021", "April 2021"], ["2021-03-01T00:00", "2021-04-01T00:00"]),
    "quarters": (["2021Q1", "2021-Q3", "Q4 2021"],
                 ["2021-01-01T00:00", "2021-07-01T00:00", "2021-10-01T00:00"]),
    "twelve hours": (
        ["3/15/2021 2:30 PM", "4/5/2021 12:05 am"],
        ["2021-03-15T14:30", "2021-04-05T00:05"],
    ),
    "compact": (
        ["20210305", "20210306", "20211231"],
        ["2021-03-05T00:00", "2021-03-06T00:00", "2021-12-31T00:00"],
    ),
    "compact with times": (
        ["20141013T000000", "20150225T143000"],
        ["2014-10-13T00:00", "2015-02-25T14:30"],
    ),
    "far away": (["0001-01-01", "9999-12-31"], ["0001-01-01T00:00", "9999-12-31T00:00"]),
}  # fmt: skip


@pytest.mark.parametrize(("cells", "moments"), READ.values(), ids=READ)
def test_dates_are_read_where_a_column_agrees(cells, moments):
    assert read(*cells) == (moments, [False] * len(cells))


@pytest.mark.parametrize(
    "cells",
    [
        ["03/05/2021", "04/06/2021"],
        ["03-05-2021", "04-06-2021"],
        ["03/03/2021", "04/04/2021"],  # alike here, but not in other rows
        ["3/5/2021 2:30 PM"],
    ],
)
def test_whether_day_or_month_comes_first_must_be_seen(cells):
    order, doubt = found(*cells)
    assert order is None
    assert cells[0] in doubt.seen and "day or month" in doubt.seen
    assert "%d/%m/%Y" in doubt.remedy


@pytest.mark.parametrize(
    "cells",
    [
        ["2011-99-20"], ["1.2.3", "1.10.0"], ["10.12.13", "11.12.13"], ["1234-05", "9876-11"],
        ["10.0.0.1"], ["Mar", "Apr"], ["5 km"], ["20210305", "99999999", "12345678"], ["20210305"],
        ["2021", "2022"], ["21-03-05"], ["Mary 1999"], ["0000-00-00"], [],
    ],
)  # fmt: skip
def test_what_only_resembles_a_date_is_none(cells):
    assert found(*cells) == (None, None)


def test_one_date_in_a_hundred_may_be_none():
    cells = [str(day.date()) for day in pd.date_range("2021-01-01", periods=100)]
    assert found(*cells, "2021-02-30") == ("", None)
    assert found(*cells, *["soon"] * 3, *["later"] * 3) == (None, None)


@pytest.mark.parametrize("nothing", ["0000-00-00", "0000-00-00 00:00:00", "00/00/0000", "", "n/a"])
def test_nothing_counts_as_missing(nothing):
    assert found("2021-03-05", nothing) == ("", None)
    moments, unread = read_moments(pd.Series(["2021-03-05", nothing]))
    assert np.isnat(moments.wall).tolist() == [False, True]
    assert not unread.any()


def test_cells_are_read_in_the_training_order_or_where_they_leave_no_doubt():
    march = dt.datetime(2021, 3, 5)
    assert read_moment("3/5/2021", "mdy") == read_moment("5/3/2021", "dmy") == march
    for cell in ("2021-03-05", "05.03.2021", "Mar 5, 2021", "2021/3/5", dt.date(2021, 3, 5)):
        assert read_moment(cell, "mdy") == read_moment(cell, "") == march
    assert read_moment("3/5/2021", "") is None
    assert read_moment("20210305", "") is None and read_moment(20210305, "") is None
    assert read_moment("20210305", "compact") == read_moment(20210305.0, "compact") == march
    assert read_moment("2021-02-30", "") is None
    assert read_moment("2021-03-05 13:30 pm", "") is None


ZONES = {
    "dtype": pd.Series(pd.to_datetime(["2011-01-20 05:00"]).tz_localize("Europe/Vienna")),
    "Timestamps": pd.Series([pd.Timestamp("2011-01-20 05:00", tz="Europe/Vienna")], dtype=object),
    "datetimes": pd.Series(
        [dt.datetime(2011, 1, 20, 5, tzinfo=ZoneInfo("Europe/Vienna"))], dtype=object
    ),
    "dateutil": pd.Series([pd.Timestamp("2011-01-20 05:00", tz="dateutil/Europe/Vienna")]),
    "strings": pd.Series(["2011-01-20T05:00:00+01:00"]),
    "strings without a colon": pd.Series(["2011-01-20 05:00+0100"]),
}


@pytest.mark.parametrize("column", ZONES.values(), ids=ZONES)
def test_a_zone_is_known_by_a_name_and_gives_the_time_on_its_own_clocks(column):
    moments, _ = read_moments(column)
    zone = zone_of(moments.zones)
    assert str(moments.within(zone)[0]) == "2011-01-20T05:00:00.000000"
    assert str(moments.utc[0]) == "2011-01-20T04:00:00.000000"
    later, _ = read_moments(pd.Series(["2011-01-20T12:00:00Z"]))
    assert str(later.within(zone)[0]) == "2011-01-20T13:00:00.000000"


def test_zones_that_differ_are_read_in_utc_and_unnamed_ones_by_their_own_clocks():
    assert zone_of(frozenset(["Asia/Tokyo", "UTC"])) == "UTC"
    assert zone_of(frozenset(["no such place"])) is None
    assert zone_of(frozenset()) is None


def test_a_note_behind_a_date_and_many_blanks_takes_no_longer_than_it_is():
    cells = ["2021-01-01 10:00" + " " * 20_000 + f"note {n}" for n in range(20)]
    started = time.process_time()
    assert find_order(cells, np.ones(20)) == (None, None)
    assert read_moment(cells[0], "ymd") is None
    assert time.process_time() - started < 1


def test_mixed_cells_are_read_one_by_one():
    cells = [pd.Timestamp("2011-01-20 05:00"), "2011-01-21", dt.date(2011, 1, 22), None, 5,
             np.datetime64("2011-01-23T01", "h"), pd.Period("2011-02", "M")]  # fmt: skip
    moments, unread = read_moments(pd.Series(cells, dtype=object))
    assert np.datetime_as_string(moments.wall, unit="h").tolist() == [
        "2011-01-20T05", "2011-01-21T00", "2011-01-22T00", "NaT", "NaT", "2011-01-23T01",
        "2011-02-01T00",
    ]  # fmt: skip
    assert unread.tolist() == [False] * 4 + [True] + [False] * 2


@pytest.mark.parametrize("unit", ["Y", "M", "D", "h", "m", "s", "ms", "us", "ns", "ps"])
def test_every_unit_of_numpy_is_read(unit):
    cell = np.datetime64("1970-02-01T00", "h").astype(f"datetime64[{unit}]")
    moments, unread = read_moments(pd.Series([cell], dtype=object))
    assert (
        moments.wall[0] == np.datetime64("1970-01" if unit == "Y" else "1970-02")
        and not unread.any()
    )


@pytest.mark.parametrize("dtype", ["datetime64[s]", object])
def test_years_beyond_all_clocks_are_unread(dtype):
    column = pd.Series([np.datetime64(10**6, "Y").astype("datetime64[s]")], dtype=dtype)
    moments, unread = read_moments(column)
    assert np.isnat(moments.wall[0]) and unread.tolist() == [True]


def test_how_finely_times_are_written_and_counted():
    wall = np.array(["2011-01-20T05:00:07", "2011-01-20T05:00:14", "NaT"], "datetime64[us]")
    assert clock_of(wall[:2]) == "s"
    assert date_texts(wall, "s", "?").tolist() == [
        "2011-01-20 05:00:07", "2011-01-20 05:00:14", "?",
    ]  # fmt: skip
    np.testing.assert_allclose(date_numbers(wall)["hour"][:2], [5 + 7 / 3600, 5 + 14 / 3600])
    assert np.isnan(date_numbers(wall)["hour"][2])
    for unit, text in {"D": "2011-01-20", "m": "2011-01-20T05:00", "ms": "2011-01-20T05:00:00.250",
                       "us": "2011-01-20T05:00:00.000250"}.items():  # fmt: skip
        assert clock_of(np.array([text], "datetime64[us]")) == unit
