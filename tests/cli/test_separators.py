"""The separator is the one that all rows have as the names do, or what a first line says."""

import pytest

from llmreg.cli.separators import between_names, declared_separator, find_separator


@pytest.mark.parametrize(
    ("text", "sep"),
    [
        ("Preis, EUR;Fläche\n1,5;2\n", ";"),
        ("Preis, EUR;Fläche\n1,5 €;2 m\n3;4\n", ";"),
        ("Preis,EUR;Fläche\n1,5;2\n3;4\n", ";"),
        ("Preis, in EUR, netto;Fläche\n1,5;2\n3;4\n", ";"),
        ('Preis, EUR;Fläche\n"1,5";2\n', ";"),
        ('Preis, EUR;Ort\n1,5;"Wien; Graz"\n', ";"),
        ("text, long\ty\nred, small, old\t1\n", "\t"),
        ("text, long\ty\nred, small\t1\nblue, big\t2\n", "\t"),
        ("Name, Vorname;Ort\nMüller, Hans;Wien\n", ";"),
        ("size, kind|y\n1,2|3\n", "|"),
        ("ids; all,y\na; b,1\nc,2\n", ","),
        ("a;b,y\n1,2\n", ","),
        ("a;b,c,y\n1,2,3\n1,2\n", ","),
        ('"a;b;c",y\n"x;y;z",2\n', ","),
        ('"Preis\n(EUR)";Fläche\n1;2\n', ";"),
        ('"Preis,\nEUR";Fläche\n1;2\n', ";"),
        ('5" x;7" y\n1;2\n', ";"),
        ('\n \n"a, b";c\n', ";"),
    ],
)
def test_the_rows_tell_where_names_hold_several(text, sep):
    assert find_separator("t.csv", text) == sep


@pytest.mark.parametrize(
    ("text", "sep"),
    [
        ("t\na, b\n", ","), ("t\na; b\n", ","), ("Preis\n1,5\n", ","), ("a,b\n1\n", ","),
        ("a, b\n1,2\n", ","), ("Preis, EUR\n84\n61\n", ";"), ('text; long\n"a; b"\nc\n', "\t"),
        ("a, b\tc; d| e\n1\n", "\t"),
    ],
)  # fmt: skip
def test_of_names_without_or_with_one_it_is_that(text, sep):
    assert find_separator("t.csv", text) == sep


@pytest.mark.parametrize(
    "text", ["a;b,y\n1;2,3\n", "name;nick,city\nJon;JD,Wien\n", "a; b, c\n1; 2, 3\n"]
)
def test_what_cannot_be_told_is_refused(text):
    with pytest.raises(ValueError, match=r"'t.csv' may have ',' or ';' .*quotes, or .* sep=;$"):
        find_separator("t.csv", text)
    enclosed = '"' + text.replace(",", '",', 1)
    assert find_separator("t.csv", enclosed) == ","


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""])
@pytest.mark.parametrize(
    ("line", "sep"), [("sep=;", ";"), ("SEP=,", ","), ("sep=\t", "\t"), ("sep=^ ", "^")]
)
def test_a_line_in_front_may_say_it(line, sep, end):
    assert declared_separator(line + end) == (sep, end)
    assert declared_separator(f"{line}\na{sep}b\n") == (sep, f"\na{sep}b\n")


def test_a_name_is_no_such_line():
    for text in ("sep=;;b\n1;2\n", "sep=\n1\n", "sep=ab\n1\n", "a\nsep=;\n", '"sep=;"\n1\n'):
        assert declared_separator(text) == (None, text)
    assert declared_separator('"sep=;"\na;b\n') == (";", "\na;b\n")


def test_names_in_quotes_are_not_asked():
    assert between_names('"a;b",c\n1') == ",c" and between_names('\n"a\n;b",c\n1') == ",c"
    assert between_names('5" a;7" b\n') == '5" a;7" b'
