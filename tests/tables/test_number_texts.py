"""Numbers in disguise: what is read, what is left alone, and what is too open to be read."""

import math
import re
import time as clock
from datetime import time, timedelta
from decimal import Decimal

import numpy as np
import pytest

from llmreg.tables.number_texts import NumberStyle, find_style, read_number


def found(*cells, codes=True):
    return find_style(list(cells), np.ones(len(cells), int), codes=codes)


def read(*cells):
    style, doubt = found(*cells)
    assert doubt is None and style is not None, (cells, doubt)
    return [read_number(cell, style) for cell in cells]


READ = {
    "as Python writes them": (["1.5", "-2e3", ".5", "+3"], [1.5, -2000, 0.5, 3]),
    "dollars": (["$1,234", "$12,345"], [1234, 12345]),
    "dollars and cents": (["$1,234.50", "-$3.20", "$-4"], [1234.5, -3.2, -4]),
    "a currency behind": (["1.234,50 €", "99,50 €", "12 €"], [1234.5, 99.5, 12]),
    "a currency in front": (["€ 99.50", "€ 1,000.00"], [99.5, 1000]),
    "a currency code": (["USD 12", "USD 1,500"], [12, 1500]),
    "an accountant's negatives": (["(1,234)", "1,234.5", "(3)"], [-1234, 1234.5, -3]),
    "an accountant's negative dollars": (["$(1,234.5)", "($3)"], [-1234.5, -3]),
    "percent": (["5.5 %", "7%", "-3.25 %"], [5.5, 7, -3.25]),
    "decimal commas": (["1,25", "-2,5", "3"], [1.25, -2.5, 3]),
    "three digits behind a comma and less": (["1,234", "2,5"], [1.234, 2.5]),
    "zero point something": (["0,123", "0,456"], [0.123, 0.456]),
    "millions": (["1,234,567", "1,234"], [1234567, 1234]),
    "thousands beside small numbers": (["1,234", "12,345", "850"], [1234, 12345, 850]),
    "points for thousands": (["1.234.567", "2.345", "12"], [1234567, 2345, 12]),
    "spaces": (["1 234", "12 345 678", "5"], [1234, 12345678, 5]),
    "spaces that do not break": (["1\u00a0234,5", "12\u202f345,0"], [1234.5, 12345]),
    "apostrophes": (["1'234.50", "12’345", "5"], [1234.5, 12345, 5]),
    "lakhs and crores": (
        ["₹1,00,000", "₹12,50,000.50", "₹95,000", "₹3,45,67,890"],
        [100000, 1250000.5, 95000, 34567890],
    ),
    "lakhs alone": (["1,00,000", "12,50,000", "10,00,000"], [100000, 1250000, 1000000]),
    "a unit": (["12 km", "3.5 km", "1,200 km"], [12, 3.5, 1200]),
    "a unit without a space": (["3.5kg", "2kg"], [3.5, 2]),
    "a unit with signs": (["10 mg/l", "2.5 mg/l"], [10, 2.5]),
    "a unit of two words": (["800 sq ft", "1,200 sq ft", "950.5 sq ft"], [800, 1200, 950.5]),
    "one and many": (["1 year", "5 years"], [1, 5]),
    "a zero without a unit": (["0", "12 km"], [0, 12]),
    "degrees": (["-5 °C", "12.5 °C"], [-5, 12.5]),
    "a true minus": (["−5", "−2.5"], [-5, -2.5]),
    "three digits behind a point": (["1.234", "8.501"], [1.234, 8.501]),
    "kilograms below one": (["1.250 kg", "0.500 kg", "2.750 kg"], [1.25, 0.5, 2.75]),
    "kilograms of fewer digits": (["1.250 kg", "12.5 kg", "2 kg"], [1.25, 12.5, 2]),
    "kilometres below a thousand": (
        ["85.000 km", "120.500 km", "9.000 km", "900 km", "500 km", "10 km"],
        [85000, 120500, 9000, 900, 500, 10],
    ),
    "kilometres beyond a million": (["1.250.000 km", "9.500 km"], [1250000, 9500]),
    "eighths of a percent": (["6.125 %", "5.875 %", "6 %"], [6.125, 5.875, 6]),
    "degrees of latitude": (["48.137°", "52.520°"], [48.137, 52.52]),
    "more digits than a float holds": (["1234567890123456789", "5"], [1234567890123456789, 5]),
    "times of day": (["14:30", "07:15:36", "2:30 PM", "12:00 am"], [14.5, 7.26, 14.5, 0]),
    "thousands and millions": (["4.7k", "201k", "19M", "872"], [4700, 201000, 19_000_000, 872]),
    "sums of millions": (["$5m", "$1.5 million", "$350,000"], [5e6, 1.5e6, 350000]),
    "millions, shouted": (["1.5 MILLION", "2 Thousand", "3 Lakhs"], [1.5e6, 2000, 3e5]),
    "millions in German": (["1,5 Millionen", "3 Milliarden"], [1.5e6, 3e9]),
    "millions of euros": (["1,5 Mio. €", "2 Mrd. €", "12k €"], [1.5e6, 2e9, 12000]),
    "thousands of millions of dollars": (
        ["$1,234 million", "$456 million", "$12,938 million"],
        [1.234e9, 4.56e8, 1.2938e10],
    ),
    "thousands of millions of dollars alone": (["$1,234M", "$2,345M"], [1.234e9, 2.345e9]),
    "thousands of millions of pounds": (["£12,938m", "£2,456m"], [1.2938e10, 2.456e9]),
    "thousands of millions of euros": (["1.234 Mio. €", "456 Mio. €"], [1.234e9, 4.56e8]),
    "thousands of millions": (["1,234M", "3M"], [1.234e9, 3e6]),
    "thousands of thousands": (["1,250k", "980k"], [1250000, 980000]),
    "thousands of millions of people": (
        ["1,234 million people", "4 million people"],
        [1.234e9, 4e6],
    ),
    "thousands of crores": (["₹12,500 crore", "₹350 crore"], [1.25e11, 3.5e9]),
    "thousands of crores alone": (["1,200 crore", "2,350 crore"], [1.2e10, 2.35e10]),
    "thousands of tens of thousands": (["3,980万円", "4,280万円"], [39_800_000, 42_800_000]),
    "thousands beside fractions of millions": (["$1,234K", "$3.5M"], [1.234e6, 3.5e6]),
    "thousandths of millions beside fewer digits": (
        ["1,234 Mrd. €", "2,5 Mrd. €"],
        [1.234e9, 2.5e9],
    ),
    "thousandths of millions": (
        ["1.500 million", "2.125 million", "3 million"],
        [1.5e6, 2.125e6, 3e6],
    ),
    "thousandths of millions of dollars": (["$1.234M", "$2.345M"], [1.234e6, 2.345e6]),
    "thousandths of thousands": (["1.234k", "2.125k"], [1234, 2125]),
    "thousandths as programs write them": (["1.234k", "2.125M", "950"], [1234, 2125000, 950]),
    "thousandths and exponents": (["1.234e5", "2.125e6"], [123400, 2125000]),
    "lakhs in words": (["₹2 lakh", "₹1.5 Cr", "₹50,000"], [200000, 1.5e7, 50000]),
    "ten thousands": (["3万円", "12万円"], [30000, 120000]),
    "kelvins": (["300 K", "77.5 K"], [300, 77.5]),
    "kelvins with and without a blank": (["300 K", "310K", "77 K", "4K"], [300, 310, 77, 4]),
    "views": (["1.2M views", "5k views", "3 views"], [1.2e6, 5000, 3]),
    "metres and tonnes": (["1.5m", "2m"], [1.5, 2]),
    "amperes": (["2.5A", "1.5A"], [2.5, 1.5]),
    "degrees below nought": (["-5C", "3C"], [-5, 3]),
    "sums in blanks": (["1 250 000", "1 950 000", "9 950 000"], [1250000, 1950000, 9950000]),
    "large sums in blanks": (["125 000 000", "310 000 000"], [125000000, 310000000]),
    "a minus behind": (["89.50-", "471-", "42"], [-89.5, -471, 42]),
    "flat prices": (["299,-", "1299,-", "35,-"], [299, 1299, 35]),
    "hours or minutes": (["1h", "30m", "2h", "45m"], [3600, 1800, 7200, 2700]),
    "hours or minutes behind blanks": (["1 h", "30 min", "2 hours"], [3600, 1800, 7200]),
    "days or hours": (["12h", "1d", "2d"], [43200, 86400, 172800]),
    "seconds to hours": (["10s", "2m", "1h"], [10, 120, 3600]),
    "hours or minutes of ISO 8601": (["PT1H", "PT30M"], [3600, 1800]),
    "hours alone": (["1 hour", "2 hours"], [1, 2]),
    "rupees only": (["Rs.1,00,000/-", "Rs.500/-"], [100000, 500]),
    "durations as pandas writes them": (["0 days 00:01:00", "-1 days +23:59:59"], [60, -1]),
}


@pytest.mark.parametrize(("cells", "values"), READ.values(), ids=READ)
def test_numbers_are_read_where_a_column_agrees(cells, values):
    assert read(*cells) == values


WIDE = str.maketrans(" ", "\u3000") | {code: code + 0xFEE0 for code in range(33, 127)}


@pytest.mark.parametrize(("cells", "values"), READ.values(), ids=READ)
def test_digits_and_signs_of_full_width_are_as_others(cells, values):
    assert read(*(cell.translate(WIDE) for cell in cells)) == values


def test_signs_of_full_width_may_stand_beside_other_digits():
    assert read("1，234", "1２，３45", "－850") == [1234, 12345, -850]
    assert read("￥500", "￥１．５") == [500, 1.5]
    assert read("１００％", "+5%", "٥٪") == [100, 5, 5]
    assert found("０１２３", "１０１１５") == found("٠١٢٣", "١٠١١٥") == (None, None)


LEFT = {
    "leading zeros": ["00123", "10115"],
    "telephone numbers": ["+4915112345678", "+4930123456"],
    "telephone numbers in groups": ["030 123 456", "040 765 432"],
    "telephone numbers with dashes": ["555-1234", "555-9876"],
    "telephone numbers of North America": [f"{area}5551234" for area in (212, 415, 617, 305, 702)],
    "numbers of firms": ["732 829 320", "552 100 554"],
    "ISBNs": ["9783161484100", "9780306406157"],
    "ISBNs with dashes": ["978-3-16-148410-0", "0-306-40615-2"],
    "versions": ["1.2.3", "1.10.0"],
    "addresses of computers": ["10.0.0.1", "192.168.100.100"],
    "addresses that look grouped": ["192.168.100.100", "172.168.100.101"],
    "ids": ["A12", "B7"],
    "seats": ["12A", "14A", "3A"],
    "houses": ["12A", "14B", "3C", "7"],
    "houses, small": ["12a", "14b", "3c", "5m"],
    "houses, few with letters": ["12d", "14h", "3", "5"],
    "houses in French": ["5A", "12bis", "7"],
    "grades": ["5A", "7B", "12C"],
    "seats that look like times": ["12D", "14H", "3S"],
    "telephone numbers in twos": ["55 12 34 56", "91 23 45 67"],
    "telephone numbers of eight digits": ["912 34 567", "413 22 111"],
    "ranks": ["1st", "2nd", "3rd"],
    "ranges": ["10-20", "20-30"],
    "scores": ["2:1", "0:3"],
    "codes of one length, few with a zero in front": [*map(str, range(100, 150)), "099"],
    "codes of many lengths, some with a zero in front": [*map(str, range(5, 15)), "01", "02"],
    "words": ["Graz", "Linz"],
    "nothing": [],
}


@pytest.mark.parametrize("cells", LEFT.values(), ids=LEFT)
def test_codes_and_words_are_no_numbers_and_raise_no_doubt(cells):
    assert found(*cells) == (None, None)


@pytest.mark.parametrize(
    ("cells", "seen"),
    [
        (["1,234", "5,678"], "'1,234'.*thousands or fractions"),
        (["€ 1.459", "€ 1.389"], "'€ 1.459'.*thousands or fractions"),
        (["1.234", "2,345"], "thousands or fractions"),
        (["1.234", "8.501", "12.345", "12", "99", "850"], "thousands or fractions"),
        (["1.234", "5.678", "850"], "thousands or fractions"),
        (["85.000 km", "120.500 km", "9.000 km"], "'85.000 km'.*thousands or fractions"),
        (["85.000 km", "120.500 km", "500 km", "750 km"], "thousands or fractions"),
        (["1.250 kg", "2 kg", "3 kg", "1.750 kg", "5 kg"], "thousands or fractions"),
        (["85.000 km", "120.500 km", "9500 km"], "thousands or fractions"),
        (["1,250k", "2,125k"], "'1,250k'.*thousands or fractions"),
        (["1,234M", "3M", "950k"], "thousands or fractions"),
        (["1.234M", "3M"], "thousands or fractions"),
        (["€1.234M", "€2.345M"], "thousands or fractions"),
        (["€1,234M", "€2,345M"], "thousands or fractions"),
        (["1.234 Mio. €", "2.345 Mio. €"], "thousands or fractions"),
        (["1,234 Mio. €", "456 Mio. €"], "thousands or fractions"),
        (["1.234 Mrd. €", "456 Mio. €"], "thousands or fractions"),
        (["1.234k views", "2.125k views"], "thousands or fractions"),
        ([*map(str, range(1, 60)), "05"], "nearly all numbers .59 of 60 values.*'05'"),
        ([*map(str, range(1, 60)), "-05"], "nearly all numbers .59 of 60 values.*'-05'"),
        (["03:45", "12:10", "01:02:03"], "'03:45' beside '01:02:03'.*hours and minutes"),
        (["28:31", "25:30", "22:27"], "'28:31' and its like.*minutes and seconds, or scores"),
        (["4", "3.8", "3.9", "3.10", "3.11"], "'3.8' and '3.10', which look like versions"),
        (["2 h 5 min", "4:13", "1 h"], "'4:13' beside '2 h 5 min'.*minutes and seconds"),
        (["12 km", "7 mi", "3 km", "9 mi"], "mixed units"),
        (["$5", "€7", "$9", "€2"], "mixed units"),
        (["12 km", "7 km", "5", "4"], "mixed units"),
        (["1kg", "500g", "250g", "2kg"], "mixed units, such as '2kg', '250g'"),
        (["1L", "500ml", "250ml"], "mixed units"),
        (["1.8m", "175cm", "180cm"], "mixed units"),
        (["5A", "500mA"], "mixed units, such as '5A', '500mA'"),
        (["20C", "70F"], "mixed units"),
        (["20C", "70 °F"], "mixed units"),
        (["1.5h", "90min"], "mixed units"),
        (["1h", "30m", "5"], "mixed units"),
        (["3m", "2d"], "mixed units"),
        (["1w", "2d"], "mixed units"),
        (["3 weeks", "2d"], "mixed units"),
        (["512B", "200kB"], "mixed units"),
        ([*map(str, range(40)), "<5"], "nearly all numbers .40 of 41 values.*'<5'"),
        ([*map(str, range(30)), "many", "few"], "nearly all numbers .30 of 32 values.*'many'"),
    ],
)
def test_what_cannot_be_told_is_left_and_says_why(cells, seen):
    style, doubt = found(*cells)
    assert style is None
    assert re.search(seen, doubt.seen)
    assert doubt.remedy


def test_few_words_without_digits_do_not_keep_a_column_from_being_numbers():
    style, doubt = found(*map(str, range(40)), "many")
    assert style == NumberStyle() and doubt is None


@pytest.mark.parametrize(
    "cells", [["1 234.5", "1,250"], ["1'234.5", "1,250"], ["1.250,5", "1 250"]]
)
def test_of_two_signs_between_thousands_one_is_read_beside_the_other(cells):
    for order in (cells, cells[::-1]):
        style, _ = found(*order)
        assert style.thousands in ",."


@pytest.mark.parametrize(
    ("cells", "unit"),
    [
        (["5 m/s", "7 m/s"], "m/s"), (["5 kbps", "7 kbps"], "kbps"),
        (["1 year", "5 years"], "year"),
        (["5 years", "7 years"], "years"), (["5 bus", "7 bus"], "bus"), (["5 ms", "7 ms"], "ms"),
    ],
)  # fmt: skip
def test_a_unit_is_told_as_it_is_written_and_its_plural_is_the_same(cells, unit):
    style, _ = found(*cells)
    assert style.unit == unit
    assert read_number(cells[0], style) is not None
    assert read_number("3 years", style) == (3 if "year" in unit else None)
    assert read_number("3 year", style) == (3 if "year" in unit else None)


def test_units_of_saved_fits_that_lost_their_s_are_read():
    assert read_number("5 m/s", NumberStyle(unit="m/")) == 5


def test_one_cell_of_another_writer_is_told_and_not_read_a_thousand_times_too_large():
    german = [f"{n}.{100 + n},50" for n in range(2, 60)]
    assert found(*german, "0.125")[0] is None
    style, _ = found(*german)
    assert read_number("0.500", style) is None and read_number("1.500", style) == 1500


def test_an_error_of_a_spreadsheet_is_a_gap():
    style, doubt = found(*map(str, np.arange(40) / 8), "#DIV/0!")
    assert style == NumberStyle() and doubt is None


def test_codes_can_be_asked_for_as_numbers():
    style, _ = found("00123", "10115", codes=False)
    assert [read_number(cell, style) for cell in ("00123", "10115")] == [123, 10115]


def test_what_came_as_other_objects_says_what_strings_are():
    counts = np.ones(3, int)
    assert find_style(["1.234", "5.678", "850"], counts, others={float, int})[0] == NumberStyle()
    style, _ = find_style(["01:02:03", "15:30", "4:13"], counts, others={time})
    assert style == NumberStyle(quantity="time")
    assert find_style(["01:02:03", "75:30", "4:13"], counts, others={time}) == (None, None)


def read_later(cells, *later):
    style, _ = found(*cells)
    return [read_number(cell, style) for cell in later]


LATER = {
    "a point in whole dollars": (["$1,234", "$950"], ["$1.234", "1.234", "$1.234,50"], [None] * 3),
    "a fraction in whole dollars": (["$1,234", "$950"], ["$1.50", "1.5", 1.234], [1.5, 1.5, 1.234]),
    "a comma in whole euros": (["1.234 €", "950 €"], ["1,234 €", "1,234"], [None, None]),
    "a point in whole kilometres": (["12 km", "900 km"], ["1.234 km", "1.5 km"], [None, 1.5]),
    "a point in whole percents": (["12 %", "9 %"], ["6.125 %"], [6.125]),
    "a point in cents": (["$1,234.50", "$950"], ["$1.234"], [1.234]),
    "whole numbers among thousandths": (
        ["85.000", "9.125"], ["900", "0", "5.5", 900], [None, 0, 5.5, 900]
    ),
    "whole numbers among fractions": (["85.5", "9.125"], ["900"], [900]),
    "a comma in whole millions": (["456M", "12M"], ["1,234M", "1,5M"], [None, None]),
    "a comma in millions of dollars": (["$456M", "$12M"], ["$1,234M", "1.234B"], [1.234e9, None]),
    "a comma in fractions of millions": (["4.5M", "12M"], ["1,234M"], [None]),
    "bare durations": (["2 h 5 min", "50 min"], ["75", 75, 75.0, "75 min"], [None] * 3 + [4500]),
    "bare times": (["09:30", "14:15"], ["9.30", "0930", 45, "24:30", "24:00"], [None] * 4 + [24]),
    "bare feet": (["5'11", "6'2"], ["6", "5.9", 6, True, "6'"], [None] * 4 + [72]),
    "hours among songs": (["4:13", "3:05"], ["1:02:03", "14:15:36", "2 PM"], [None, 14.26, None]),
    "songs among hours": (["1:02:03", "0:59:10"], ["4:13", "4:13:00"], [None, 4 + 13 / 60]),
    "seconds among clocks": (["09:30", "14:15"], ["14:15:36", "09:30:00"], [14.26, 9.5]),
    "no seconds among clocks": (["09:30:00", "14:15:36"], ["14:15", "01:30"], [14.25, 1.5]),
    "two parts among durations": (["2 h 5 min"], ["4:13", "75:30", "1:02:03"], [None, None, 3723]),
    "two parts among laps": (["75:30", "4:13"], ["5:00", "1:02:03"], [300, 3723]),
}  # fmt: skip


@pytest.mark.parametrize(("cells", "later", "values"), LATER.values(), ids=LATER)
def test_a_later_cell_that_training_cells_leave_in_doubt_is_not_read(cells, later, values):
    assert read_later(cells, *later) == values


DOLLARS = NumberStyle(thousands=",", unit="$")


@pytest.mark.parametrize(
    ("cell", "style", "value"),
    [
        (1234.5, DOLLARS, 1234.5),
        (Decimal("1234.50"), DOLLARS, 1234.5),
        ("1234.50", DOLLARS, 1234.5),
        ("€5", DOLLARS, None),
        ("5 km", NumberStyle(), None),
        ("5 %", NumberStyle(), None),
        ("310K", NumberStyle(unit="K"), 310),
        ("310M", NumberStyle(unit="MB"), None),
        ("300K", NumberStyle(unit="kg"), None),
        ("300K", NumberStyle(unit="$"), 300_000),
        ("$300K", NumberStyle(), 300_000),
        ("300K", NumberStyle(), 300_000),
        ("1,234", NumberStyle(), None),
        ("1,5", NumberStyle(), None),
        ("$1,234", NumberStyle(), 1234),
        ("1,234.5", NumberStyle(), 1234.5),
        ("1,234,567", NumberStyle(), 1234567),
        ("1.234", NumberStyle(decimal=","), None),
        ("1.234", NumberStyle(decimal=",", thousands="."), 1234),
        ("1.5", NumberStyle(decimal=",", thousands="."), None),
        ("1e999", NumberStyle(), None),
        (10**400, NumberStyle(), None),
        (str(10**400), NumberStyle(), None),
        (Decimal("1e30"), NumberStyle(), 10**30),
        (Decimal("1e999999"), NumberStyle(), None),
        (float("inf"), NumberStyle(), None),
        (10**25, NumberStyle(), 10**25),
        (np.float32(0.5), NumberStyle(), 0.5),
        (np.True_, NumberStyle(), 1),
        ([1], NumberStyle(), None),
        (timedelta(minutes=1), NumberStyle(), None),
        (timedelta(minutes=1), NumberStyle(quantity="duration"), 60),
        (timedelta(days=10**8), NumberStyle(quantity="duration"), 864 * 10**10),
        (np.timedelta64(3, "m"), NumberStyle(quantity="duration"), 180),
        (np.timedelta64(3, "m"), NumberStyle(), None),
        (np.timedelta64(3, "M"), NumberStyle(quantity="duration"), None),
        (time(14, 30), NumberStyle(quantity="time"), 14.5),
        (time(14, 30), NumberStyle(), None),
        ("25:00", NumberStyle(quantity="time"), None),
        ("1" * 5000, NumberStyle(), None),
    ],
)
def test_a_cell_is_read_as_the_training_cells_were_or_not_at_all(cell, style, value):
    result = read_number(cell, style)
    assert result == value and (result is None) == (value is None)


@pytest.mark.parametrize("word", ["", " ", "n/a", "NA", "nan", "null", "None", "-", "?", "missing"])
def test_words_for_missing_are_nan(word):
    assert math.isnan(read_number(word, NumberStyle()))


@pytest.mark.parametrize("cell", ["1" * 10**6 + "x", "1," * 10**5, "1." * 10**5, " " * 10**6 + "x"])
def test_a_long_cell_takes_no_longer_than_it_is(cell):
    started = clock.process_time()
    find_style(["1.5", cell], np.array([100, 1]))
    assert clock.process_time() - started < 2
