"""How the dates of a column are written: what comes first, in which hundred years."""

import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from llmreg.tables.date_cells import read_moment
from llmreg.tables.date_orders import (
    find_first_year,
    find_order,
    hundred_years_about,
    resemble_dates,
)
from llmreg.tables.dates import read_moments


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
    "compact with times in digits": (
        ["20141013000000", "20150225143000", "20150226143000"],
        ["2014-10-13T00:00", "2015-02-25T14:30", "2015-02-26T14:30"],
    ),
    "compact with hours and minutes": (
        ["201410130000", "201502251430", "201502261430"],
        ["2014-10-13T00:00", "2015-02-25T14:30", "2015-02-26T14:30"],
    ),
    "time first": (
        ["23:03 25/06/2022", "8:05 4/6/2022"], ["2022-06-25T23:03", "2022-06-04T08:05"]
    ),
    "time first and short years": (
        ["23:03 25/06/99", "8:05 14/6/05"], ["1999-06-25T23:03", "2005-06-14T08:05"]
    ),
    "year and name": (["2022 June", "2021 May"], ["2022-06-01T00:00", "2021-05-01T00:00"]),
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
        ["20210305143000", "20210306143000"], [f"2012345678{n}" for n in range(10, 20)],
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


def test_a_note_behind_a_date_and_many_blanks_takes_no_longer_than_it_is():
    cells = ["2021-01-01 10:00" + " " * 20_000 + f"note {n}" for n in range(20)]
    started = time.process_time()
    assert find_order(cells, np.ones(20)) == (None, None)
    assert read_moment(cells[0], "ymd") is None
    assert time.process_time() - started < 1


def drawn(form, start, end, n=60):
    days = pd.date_range(start, end)
    return (
        days[np.random.default_rng(0).integers(len(days), size=n)].strftime(form).unique().tolist()
    )


SHORT = ["%d/%m/%y", "%m/%d/%y", "%y/%m/%d", "%d-%m-%y", "%y-%m-%d", "%d.%m.%y", "%y.%m.%d"]
SPANS = [("2015-01-01", "2024-12-31"), ("2001-01-01", "2023-12-31"), ("1995-01-01", "2009-12-31")]


@pytest.mark.parametrize("form", [*SHORT, "%-d.%-m.%y", "%d%b%y"])
@pytest.mark.parametrize("span", SPANS)
def test_years_of_two_digits_are_found_by_what_all_cells_say(form, span):
    cells = drawn(form, *span)
    wanted = pd.to_datetime(pd.Series(cells), format=form.replace("-d", "d").replace("-m", "m"))
    assert read(*cells)[0] == wanted.dt.strftime("%Y-%m-%dT00:00").tolist()


@pytest.mark.parametrize("sign", "/.-")
@pytest.mark.parametrize("freq", ["YE", "QE", "ME"])
def test_ends_of_months_are_no_years(freq, sign):
    ends = pd.date_range(
        "2005-01-01", "2024-12-31", freq={"YE": "12ME", "QE": "3ME"}.get(freq, freq)
    )
    for form, order in {"%d/%m/%y": "dmy", "%y/%m/%d": "ymd"}.items():
        cells = ends.strftime(form.replace("/", sign)).tolist()
        order = "" if sign == "." and order == "dmy" else order
        if sign != "-":  # of which ids have few
            assert found(*cells) == (order, None)


def test_few_cells_may_do_where_they_are_clear():
    assert found("19/04/05", "18/06/10", "20/12/31") == ("ymd", None)
    assert found("19.04.05", "18.06.10", "20.12.31") == ("ymd", None)
    assert found("28/03/21", "13/01/22") == ("dmy", None)
    assert found("25/01/05", "25/02/05", *drawn("25/%m/%y", "2005-01-01", "2024-01-01")) == (
        "dmy",
        None,
    )


@pytest.mark.parametrize("cells", [["25/03/21"], ["19/04/05", "18/06/10"], ["19.04.05"]])
def test_whether_day_or_year_comes_first_must_be_seen(cells):
    order, doubt = found(*cells)
    assert order is None
    assert cells[0] in doubt.seen and "day or year" in doubt.seen
    assert "'%d/%m/%y') (or '%y/%m/%d')" in doubt.remedy


@pytest.mark.parametrize(
    "cells",
    [
        ["3.10.12", "3.9.18", "3.11.14", "3.8.10"], ["12-10-15", "11-11-12", "10-09-11"],
        ["20-45-77", "40-02-11", "60-83-71"], ["48-22-12", "50-20-12", "41-30-11"],
        ["2009/10", "2010/11", "2011/12"], ["1/2015", "123/2015"], ["10.1998", "11.2003"],
        ["03/2015", "04/2015"], ["01-02-03", "01-02-04", "02-01-01"], ["12MAR34", "99ABC12"],
        ["1.2015", "3.1999", "7.2001"], ["3/4", "1/2", "5/8"], ["Dec-15", "Jan-16", "Mar-17"],
    ],
)  # fmt: skip
def test_versions_codes_and_seasons_are_no_dates(cells):
    assert found(*cells) == (None, None)


SEASONS = [f"{year}-{(year + 1) % 100:02d}" for year in range(1990, 2024)]


@pytest.mark.parametrize(
    "cells",
    [SEASONS[14:22], SEASONS[11:14] * 2, [*SEASONS[10:22] * 5, "2012-13", "tba"],
     ["2004-06", "2006-08", "2008-10"], ["2001-05", "2006-10", "2007-11"]],
)  # fmt: skip
def test_seasons_and_spans_of_years_may_be_months(cells):
    order, doubt = find_order([*dict.fromkeys(cells)], np.array([*Counter(cells).values()]))
    assert order is None and "year to year" in doubt.seen and "%Y-%m" in doubt.remedy
    assert find_order(cells, np.ones(len(cells)), asked=True)[0] == ""


def test_seasons_of_which_few_could_be_months_are_none():
    assert found(*SEASONS) == found(*(cell.replace("-", "/") for cell in SEASONS)) == (None, None)


@pytest.mark.parametrize("freq", ["1ME", "3ME", "5ME", "6ME", "11ME", "12ME"])
@pytest.mark.parametrize("start", ["1999-01-31", "2004-05-31", "2010-10-31"])
def test_months_are_no_seasons(start, freq):
    assert found(*pd.date_range(start, periods=12, freq=freq).strftime("%Y-%m")) == ("", None)


BORN = [("1930-01-01", "2004-12-31"), ("1940-01-01", "1960-12-31"), ("1935-01-01", "2012-12-31"),
        ("1990-01-01", "2045-12-31"), ("2020-01-01", "2060-12-31"),
        ("1970-01-01", "2024-12-31")]  # fmt: skip


@pytest.mark.parametrize("form", ["%d/%m/%y", "%d.%m.%y", "%d-%b-%y", "%d/%m/%y 10:00"])
@pytest.mark.parametrize("span", BORN)
def test_dates_of_a_column_keep_together(span, form):
    cells = pd.Series(drawn(form, *span, n=300))
    order = "dmy" if "/" in form else ""
    wall = read_moments(cells, order, find_first_year(cells, order))[0].wall
    assert wall.min() >= np.datetime64(span[0]) and wall.max() < np.datetime64(span[1]) + 1
    assert len(np.unique(wall.astype("M8[Y]"))) > 10


def test_years_of_four_digits_say_nothing_of_those_of_two():
    assert find_first_year(pd.Series(["28/03/2045", "13/01/1987"]), "dmy") is None
    assert find_first_year(pd.Series(["2045-03-28", None, "n/a"]), "") is None


@pytest.mark.parametrize(
    ("years", "first"),
    [((1990, 2020), 1969), ((1969, 2068), 1969), ((1940, 1982), 1912), ((1920, 2019), 1920),
     ((2050, 2080), 2016), ((1850, 2020), 1969), ((), 1969)],
)  # fmt: skip
def test_two_digits_are_in_the_hundred_years_about_the_training_rows(years, first):
    wall = np.array([f"{year}-06-01" for year in years], "datetime64[us]")
    assert hundred_years_about(wall) == first
    assert (first <= min(years, default=first) and max(years, default=first) < first + 100) or (
        np.ptp(years) >= 100
    )


@pytest.mark.parametrize("months", [range(1, 13), (3, 6, 9, 12), (6, 12)])
@pytest.mark.parametrize(("day", "sign"), [(5, "/"), (15, "/"), (15, "."), (25, "-")])
def test_one_day_of_the_same_months_may_go_through_the_years(months, day, sign):
    cells = [f"{y:02d}{sign}{m:02d}{sign}{day:02d}" for y in range(10, 22) for m in months]
    assert found(*cells)[0] is None
    # Of one year, about the middle of each month.
    paid = [f"{15 + m % 3}{sign}{m:02d}{sign}21" for m in range(1, 13)]
    order = found(*paid)[0]
    assert order == ("dmy" if sign == "/" else order) and order != "ymd"


def resemble(*cells):
    return resemble_dates(list(cells), np.ones(len(cells), int))


def test_words_that_look_like_dates_are_told_from_codes():
    assert resemble("Dec-15", "Jan-16") and resemble("5-Mar", "7-Apr")
    for cells in (["MAR-12", "ZED-13"], ["1.2.10", "1.3.12"], ["2009/10", "2010/11"], []):
        assert not resemble(*cells)


def test_what_has_a_year_and_two_small_numbers_looks_like_a_date():
    for cell in (
        "2019_1_5",
        "30–09–2013",
        "5 stycznia 2019 14:30",
        "05 01 2019",
        "on 2019:01:05",
    ):
        assert resemble(cell) and found(cell) == (None, None)
    for cell in ("1.2.2019", "2019-13-32", "2019, 4 of the 5", "12 45 2019", "5 of 12", "3 doors"):
        assert not resemble(cell)


def test_weekdays_do_not_say_whether_day_month_or_year_comes_first():
    assert found("Sa, 19/04/05")[1] == found("19/04/05")[1] is not None
    assert found("Sat 05/06/2024", "Sun 04/06/2024")[1].seen.startswith("holds dates such as '05/")


def test_times_of_day_do_not_hide_years_of_two_digits():
    for time_of_day in (" 10.30.00.0000 AM", ":10:30:00", ", 10:30", " 10:30"):
        cells = [f"{day}{time_of_day}" for day in ("28-MAR-45", "13-JAN-87")]
        assert find_first_year(pd.Series(cells), "") == 1917


def test_rows_and_not_distinct_words_say_whether_a_column_looks_like_dates():
    cells = ["soon", "Dec-15", "Jan-16"]
    assert resemble_dates(cells, np.array([1, 50, 50]))
    assert not resemble_dates(cells, np.array([10, 50, 50]))
