"""Columns of dates, and the clocks by which they are read."""

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from dateutil.tz import tzoffset

from llmreg.tables.dates import (
    clock_of,
    date_numbers,
    date_texts,
    read_cells,
    read_moments,
    zone_of,
)

ZONES = {
    "dtype": pd.Series(pd.to_datetime(["2011-01-20 05:00"]).tz_localize("Europe/Vienna")),
    "Timestamps": pd.Series([pd.Timestamp("2011-01-20 05:00", tz="Europe/Vienna")], dtype=object),
    "datetimes": pd.Series(
        [dt.datetime(2011, 1, 20, 5, tzinfo=ZoneInfo("Europe/Vienna"))], dtype=object
    ),
    "dateutil": pd.Series([pd.Timestamp("2011-01-20 05:00", tz="dateutil/Europe/Vienna")]),
    "strings": pd.Series(["2011-01-20T05:00:00+01:00"]),
    "an offset called as a zone elsewhere": pd.Series(
        [dt.datetime(2011, 1, 20, 5, tzinfo=dt.timezone(dt.timedelta(hours=1), "EST"))],
        dtype=object,
    ),
    "an offset of dateutil": pd.Series(
        [dt.datetime(2011, 1, 20, 5, tzinfo=tzoffset("EST", 3600))], dtype=object
    ),
    "a zone's own name": pd.Series(["2011-01-20T05:00:00 CET"]),
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


def test_iso_cells_are_read_alike_one_by_one_and_together():
    # Together they take a faster way, which is left where one of them is something else.
    zones = ["", "Z", "+02:00", "-0330", "+14:00"]
    cells = [f"20{k:02d}-03-05T0{k % 10}:30:01.{k:03d}{zones[k % 5]}" for k in range(50)]
    fast, unread = read_cells(cells, "")
    slow, _ = read_cells([*cells, "2001-02-30"], "")
    assert not unread.any() and fast.zones == slow.zones
    np.testing.assert_array_equal(fast.wall, slow.wall[:-1])
    np.testing.assert_array_equal(fast.utc, slow.utc[:-1])
    _, unread = read_cells(["2020-01-01T00:00+25:00", "2020-01-01T00:00Z"], "")
    assert unread.tolist() == [True, False]
