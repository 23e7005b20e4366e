"""Quotes enclose cells or are part of them, and never swallow a row."""

import csv

import pytest

from llmreg.cli.quotes import may_be_rows, read_rows


def read(text):
    return read_rows("t.tsv", text.replace("|", "\t"), "\t")[1:]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('t|y\n"Foo bar|1\nBaz|2\n"Qux|3\n', [['"Foo bar', "1"], ["Baz", "2"], ['"Qux', "3"]]),
        ('t|y\n"a" b|1\n"He"|2\n"|3\n5" x|4\n""|5\n"a""b"|6\n',
         [['"a" b', "1"], ["He", "2"], ['"', "3"], ['5" x', "4"], ["", "5"], ['a"b', "6"]]),
        ('t|y\nfoo|1\n"bar|2\n', [["foo", "1"], ['"bar', "2"]]),
        ('t|u|y\n"a|b"|1\n', [['"a', 'b"', "1"]]),
        ('t|y\n"a||\nb"|1\n', [["a\t\t\nb", "1"]]),
        ('t|y\n"a|b\nc"|1\n"d|e"|2\n', [["a\tb\nc", "1"], ["d\te", "2"]]),
        ('"t"|"y"\n"a|b\nc"|1\n', [["a\tb\nc", "1"]]),
        ('"t|u"|y\n"a|b"|1\n', [["a\tb", "1"]]),
        ('t\n"red\nflat"\n', [["red\nflat"]]),
        ('t|y\n"a" b|1\n"c|d"|2\n"e\nf"|3\n\n|\n|4\n',
         [['"a" b', "1"], ["c\td", "2"], ["e\nf", "3"], ["", ""], ["", "4"]]),
        ('t|y\n"Foo|1\nBaz|2\n"a|b"|3\n', [['"Foo', "1"], ["Baz", "2"], ["a\tb", "3"]]),
    ],
)  # fmt: skip
def test_the_whole_file_tells_what_quotes_are(text, rows):
    assert read(text) == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('t|y\na|0\n"Foo|1\nBaz"|2\n', r"Lines 3 to 4 of 't.tsv' may be one row .* or several"),
        ('t|y\na\n"Foo|1\nBaz"|2\n', r"Lines 3 to 4 of 't.tsv' may be one row .* or several"),
        ('t|y\na|0\n"Foo|b|1\n', r"row in line 3 of 't.tsv' has a quote .* double the quotes"),
        ('t|y\n"a" b|1\n"c|d"|2\n"Foo|1\nBaz"|2\n', r"row in line 2 of 't.tsv' has a quote"),
    ],
)
def test_what_cannot_be_told_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        read(text)


def test_limits_of_other_readers_stay():
    limit = csv.field_size_limit()
    assert read("t|y\n" + "x" * (limit + 1) + "|1\n")[0][1] == "1"
    assert csv.field_size_limit() == limit


def test_lines_of_a_cell_may_be_rows():
    assert may_be_rows("a,b\nc", ",", 2) and not may_be_rows("a,b\nc\nd", ",", 2)
    assert not may_be_rows("a,b", ",", 2)
