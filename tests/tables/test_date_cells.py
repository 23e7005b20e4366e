"""Dates as people write them, and what only looks like one."""

import datetime as dt

import numpy as np
import pytest

from llmreg.tables.date_cells import bare_date, read_moment


def test_cells_are_read_in_the_training_order_or_where_they_leave_no_doubt():
    march = dt.datetime(2021, 3, 5)
    assert read_moment("3/5/2021", "mdy") == read_moment("5/3/2021", "dmy") == march
    for cell in ("2021-03-05", "05.03.2021", "Mar 5, 2021", "2021/3/5", dt.date(2021, 3, 5)):
        assert read_moment(cell, "mdy") == read_moment(cell, "") == march
    assert read_moment("3/5/2021", "") is None
    assert read_moment("20210305", "") is None and read_moment(20210305, "") is None
    assert read_moment("20210305", "compact") == read_moment(20210305.0, "compact") == march
    assert read_moment("2021-02-30", "") is None
    half_past = dt.datetime(2021, 3, 5, 14, 30)
    assert read_moment("202103051430", "compact") == half_past
    assert read_moment("20210305143000", "compact") == half_past
    assert read_moment(20210305143000, "compact") == half_past
    assert read_moment("20210305246000", "compact") is None
    assert read_moment("2021-03-05 13:30 pm", "") is None


SPELLINGS = {
    "31DEC2020": "2020-12-31", "31-DEC-20": "2020-12-31", "31dec20": "2020-12-31",
    "31st of January 2020": "2020-01-31", "2020-Jan-05": "2020-01-05", "2020 Jan 5": "2020-01-05",
    "03/2015": "2015-03-01", "3/2015": "2015-03-01", "2015/03": "2015-03-01",
    "03.2015": "2015-03-01", "03-2015": "2015-03-01",
    "2020-W05": "2020-01-27", "2020W05": "2020-01-27", "2020-W53-7": "2021-01-03",
    "2020H1": "2020-01-01", "2020-H2": "2020-07-01", "H2 2020": "2020-07-01",
    "2020-01-06 24:00": "2020-01-07", "31.01.2020 23.30": "2020-01-31T23:30",
    "2020-01-06 10:00 EST": "2020-01-06T10:00", "2020-01-06 10:00 CEST": "2020-01-06T10:00",
    "2020-01-06 10:00:00 +0000 UTC": "2020-01-06T10:00",
    "Mon Jan  6 12:00:00 2020": "2020-01-06T12:00",
    "Mon Jan  6 12:00:00 UTC 2020": "2020-01-06T12:00",
    "Wed Oct 10 20:19:24 +0000 2018": "2018-10-10T20:19:24",
    "Mon Jan 06 2020 12:00:00 GMT+0100 (Central European Standard Time)": "2020-01-06T12:00",
    "5. März 2020": "2020-03-05", "5. MÄRZ 2020": "2020-03-05", "3. Okt. 2020": "2020-10-03",
    "1er février 2019": "2019-02-01", "15 août 2020": "2020-08-15",
    "5 de marzo de 2020": "2020-03-05",
    "7 giugno 2020": "2020-06-07", "7 de março de 2020": "2020-03-07", "3 mei 2020": "2020-05-03",
    "Juni 2020": "2020-06-01", "2020年1月5日": "2020-01-05", "2020年1月": "2020-01-01",
    "2020년 1월 5일": "2020-01-05",
    "Samstag, 05.01.2019": "2019-01-05", "Sa., den 5. Januar 2019": "2019-01-05",
    "le mardi 24 septembre 2019": "2019-09-24", "mar. 5 mars 2019": "2019-03-05",
    "sábado, 5 de enero del 2019": "2019-01-05", "terça-feira, 05.01.2021": "2021-01-05",
    "lunedì 7 gennaio 2019": "2019-01-07", "za 5-Jan-2019": "2019-01-05",
    "2019-01-05 (Sat)": "2019-01-05", "05.01.2019, Samstag": "2019-01-05",
    "2019/1/5（土） 14:30": "2019-01-05T14:30", "2019年1月5日 土曜日": "2019-01-05",
    "05.01.2019 14:30 Uhr": "2019-01-05T14:30", "5. Januar 2019 um 14:30 Uhr": "2019-01-05T14:30",
    "5 janvier 2019 à 14h30": "2019-01-05T14:30", "05-Jan-2019 14:30 uur": "2019-01-05T14:30",
    "05-JAN-19 02.30.15.250000 PM": "2019-01-05T14:30:15.250",
    "05/Jan/2019:14:30:15 +0000": "2019-01-05T14:30:15",
    "[05/Jan/2019:14:30:15 +0000]": "2019-01-05T14:30:15",
    "05.01.2019 14.30.15": "2019-01-05T14:30:15", "2019-01-05-14.30.15": "2019-01-05T14:30:15",
    "2019-01-05_14:30:15": "2019-01-05T14:30:15", "2019-01-05T14:30+01:00[Europe/Paris]":
    "2019-01-05T14:30", "Jan 5 2019 02:30:15:250PM": "2019-01-05T14:30:15.250",
    "Jan 5, 2019, 2:30:15\u202fPM": "2019-01-05T14:30:15", "Jan-05-2019": "2019-01-05",
    "2019. 1. 5": "2019-01-05", "2019. 1. 5.": "2019-01-05", "2019.01.05.": "2019-01-05",
    "5. 1. 2019.": "2019-01-05", "2019 - 01 - 05": "2019-01-05", "5 Jan '19": "2019-01-05",
    "Q2/2019": "2019-04-01", "2019/Q2": "2019-04-01", "2Q2019": "2019-04-01",
    "H2/2019": "2019-07-01", "2H 2019": "2019-07-01", "Jan, 2019": "2019-01-01",
    "٢٠١٩-٠١-٠٥": "2019-01-05", "２０１９／０１／０５": "2019-01-05",
    "２０１９年１月５日": "2019-01-05",
    "٠٥.٠١.٢٠١٩": "2019-01-05",
    "2019_01_05": "2019-01-05", "2019_01_05_14:30": "2019-01-05T14:30", "2019 June": "2019-06-01",
    "2019-Jan": "2019-01-01", "14:30 25.01.2019": "2019-01-25T14:30",
    "2:30 pm, Jan 5, 2019": "2019-01-05T14:30", "14:30:15 Sat 2019-01-05": "2019-01-05T14:30:15",
    "05JAN19:14:30:15": "2019-01-05T14:30:15", "14:30 20190105": "2019-01-05T14:30",
}  # fmt: skip


@pytest.mark.parametrize("cell", SPELLINGS)
def test_common_spellings_are_read(cell):
    moment = read_moment(cell, "").replace(tzinfo=None)
    assert np.datetime64(moment) == np.datetime64(SPELLINGS[cell])


@pytest.mark.parametrize(
    "cell",
    ["03-08-18", "13/2015", "2015/16", "2020-W54", "2020H3", "2020-01-06 24:01", "set 2000",
     "Dec-15", "2020-Foo-05", "1234/05", "1.2015", "32DEC2020", "2020年13月5日", "Sa 2019-05",
     "Fr. 12.50", "sun 2019", "20190105_0001", "2019-01-05_2", "Mond 05.01.2019",
     "05.01.2019 14h3", "5Q2019", "[2019-05]", "5 June 23:03",
     "23:03 5 June", "5 June 23:03:15", "23:03 2019-05", "10:00 2019-01-05 12:00", "1001_01_02",
     "2019_13_01", "2019 set", "20190105143000", "201901051430", "Sa 20190105"],
)  # fmt: skip
def test_what_is_no_date_or_may_be_another_is_not_read(cell):
    assert read_moment(cell, "") is None


def test_short_dates_are_read_in_the_order_and_the_hundred_years_of_the_column():
    assert read_moment("03-08-18", "dmy") == read_moment("3.8.18", "") == dt.datetime(2018, 8, 3)
    assert (
        read_moment("19/04/05", "ymd") == read_moment("19.04.05", "ymd") == dt.datetime(2019, 4, 5)
    )
    assert read_moment("19/04/2005", "ymd") is None
    assert read_moment("28/03/45", "dmy") == dt.datetime(2045, 3, 28)
    assert read_moment("28/03/45", "dmy", 1930) == dt.datetime(1945, 3, 28)
    assert read_moment("28/03/2045", "dmy", 1930) == dt.datetime(2045, 3, 28)


def test_a_date_is_bare_without_its_weekday_where_there_is_a_date():
    assert bare_date(" Sa, 5.1.19 ") == "5.1.19"
    assert bare_date("mar 5, 2021") == "mar 5, 2021"
    assert bare_date("Sa 2019-05") == "Sa 2019-05"
    assert bare_date("23:03 Sa 5.1.19") == bare_date("23:03, 5.1.19") == "5.1.19 23:03"
    assert bare_date("23:03 5.1") == "23:03 5.1"
    assert bare_date("Sam was here") == "Sam was here"


def test_zones_by_name_are_offsets():
    assert read_moment("2020-01-06 10:00 EST", "").utcoffset() == dt.timedelta(hours=-5)
    assert read_moment("2020-07-06 10:00 CEST", "").utcoffset() == dt.timedelta(hours=2)
    assert read_moment("Wed Oct 10 20:19:24 -0130 2018", "").utcoffset() == dt.timedelta(hours=-1.5)
