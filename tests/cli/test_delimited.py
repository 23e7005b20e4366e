"""Text with a character between cells is read as it was meant, and written as it was read."""

import random

import pandas as pd
import pytest

from llmreg.cli.delimited import read_delimited, write_delimited


def cells_of(frame):
    """Rows of cells; None where one is missing."""
    return frame.astype(object).where(frame.notna(), None).to_numpy().tolist()


def read(tmp_path, text, sep=None):
    (tmp_path / "t.txt").write_bytes(text.encode())
    return read_delimited(tmp_path / "t.txt", sep)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
def test_files_are_written_as_they_were_read(sep, encoding, tmp_path):
    lines = [["", "city", "y", ""], ["1", "Köln", "1.5", "a b"], ["2", "", '"12,5;|\t"', "-"]]
    data = "".join(sep.join(line) + "\n" for line in lines).encode(encoding)
    (tmp_path / "in.csv").write_bytes(data)
    frame = read_delimited(tmp_path / "in.csv").assign(prediction=[1, 2])
    assert list(frame) == ["Unnamed: 0", "city", "y", "Unnamed: 3", "prediction"]
    assert cells_of(frame)[1][:4] == ["2", None, "12,5;|\t", "-"]
    write_delimited(frame.drop(columns="prediction"), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == data


def test_the_first_line_tells_what_stands_between_cells(tmp_path):
    for text, cells in (
        ("a;b;y\n1,5;2;3\n", [["1,5", "2", "3"]]),
        ("a, in m;b;y\n1;2;3\n", [["1", "2", "3"]]),
        ('"a;b;c",y\n1,2\n', [["1", "2"]]),
        ("a;b,y\n1,2\n", [["1", "2"]]),
    ):
        assert cells_of(read(tmp_path, text)) == cells
    for text, sep in (("a,b\n1,2\n", ","), ("a;b\n1;2\n", ";")):
        with pytest.raises(ValueError, match=rf"no .*, but '{sep}': a{sep}b\. .* end with .csv"):
            read(tmp_path, text, "\t")
    assert list(read(tmp_path, '"a,b"\n1,2\n', "\t")) == ["a,b"]


def test_names_may_hold_what_stands_between_cells_elsewhere(tmp_path):
    frame = read(tmp_path, "Preis, EUR;Fläche\n1,5;2\n3;4,25\n")
    assert list(frame) == ["Preis, EUR", "Fläche"]
    assert cells_of(frame) == [["1,5", "2"], ["3", "4,25"]]
    write_delimited(frame.assign(prediction=[1, 2]), tmp_path / "out.csv")
    found = read_delimited(tmp_path / "out.csv")
    assert list(found) == ["Preis, EUR", "Fläche", "prediction"]
    assert cells_of(found)[1] == ["3", "4,25", "2"]


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("sep", [";", "\t", "^"])
def test_a_line_that_says_what_it_is_stays(sep, encoding, name, tmp_path):
    text = f"sep={sep}\na{sep}c\n1,5{sep}2\n"
    (tmp_path / "in.csv").write_bytes(text.encode(encoding))
    for given in (None, "\t"):
        frame = read_delimited(tmp_path / "in.csv", given)
        assert list(frame) == ["a", "c"] and cells_of(frame) == [["1,5", "2"]]
    write_delimited(frame, tmp_path / name)
    found = read_delimited(tmp_path / name)
    assert list(found) == ["a", "c"] and cells_of(found) == [["1,5", "2"]]
    if name == "out.csv":
        assert (tmp_path / name).read_bytes() == text.encode(encoding)
    write_delimited(frame, tmp_path / "t.tsv", "\t")
    assert (tmp_path / "t.tsv").read_bytes().decode(encoding) == "a\tc\n1,5\t2\n"


def test_a_line_that_says_what_it_is_counts_as_a_line_in_messages(tmp_path):
    text = 'sep=;\nt;y\na;0\n"Foo;1\nBaz";2\n'
    with pytest.raises(ValueError, match=r"Lines 4 to 5 of"):
        read(tmp_path, text)
    assert read(tmp_path, "sep=;\n").empty and read(tmp_path, "sep=;").empty


def test_blank_lines_are_missing_cells_of_a_single_column(tmp_path):
    found = read(tmp_path, "\nt\nred flat\n\nblue flat\n\n\n")
    assert cells_of(found) == [["red flat"], [None], ["blue flat"]]
    assert cells_of(read(tmp_path, 't\n""\nred\n""\n')) == [[None], ["red"], [None]]
    assert cells_of(read(tmp_path, "t,y\n\nred,1\n  \n,\n")) == [["red", "1"], [None, None]]


def test_short_lines_lack_cells_and_long_ones_are_refused(tmp_path):
    assert cells_of(read(tmp_path, "a,b\n1\n")) == [["1", None]]
    for text in ("a,b\n1,2\n3,4,\n", 'a,b\n1,"2, 3",4\n', "a,b\n1,2,3\n"):
        with pytest.raises(ValueError, match=r"more cells than .* are a, b; row \d has '.* Name"):
            read(tmp_path, text)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_any_program_ends_them(end, tmp_path):
    text = end.join(["a,b", "1,2", f'3,"x{end}y"', ""])
    assert cells_of(read(tmp_path, text)) == [["1", "2"], ["3", f"x{end}y"]]


def test_very_long_cells_are_read(tmp_path):
    cells = ["x" * 300_000, "y, " * 200_000]
    assert cells_of(read(tmp_path, f'a,b\n{cells[0]},"{cells[1]}"\n')) == [cells]


BITS = ['"', '""', ",", "\t", ";", "\n", "\r", "\r\n", " ", "a", '5" x', "é", "|"]
NAMES = ["a", "b", "c,d", "e;f", 'g"h', "i\tj", "k l", "m\nn"]


@pytest.mark.parametrize("sep", [None, "\t"])
def test_any_cell_comes_back(sep, tmp_path):
    draw = random.Random(0)
    for _ in range(150):
        names, n_rows = draw.sample(NAMES, draw.randint(1, 4)), draw.randint(1, 5)
        rows = [
            ["".join(draw.choices(BITS, k=draw.randint(0, 6))) or None for _ in names]
            for _ in range(n_rows)
        ]
        write_delimited(pd.DataFrame(rows, columns=names), tmp_path / "t.txt", sep)
        found = read_delimited(tmp_path / "t.txt", sep)
        assert list(found) == names and cells_of(found) == rows


def test_files_of_tabs_are_written_with_commas_elsewhere(tmp_path):
    frame = read(tmp_path, "a\tb\n1\t2\n", "\t")
    write_delimited(frame, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "a,b\n1,2\n"


def test_names_put_no_quotes_into_files_of_tabs(tmp_path):
    text = "Preis, EUR\tids; all\ta|b\n1,5\t2\tx; y\n"
    write_delimited(read(tmp_path, text, "\t"), tmp_path / "t.tsv", "\t")
    assert (tmp_path / "t.tsv").read_text() == text
    write_delimited(read(tmp_path, text, "\t")[["Preis, EUR"]], tmp_path / "t.tsv", "\t")
    assert list(read_delimited(tmp_path / "t.tsv", "\t")) == ["Preis, EUR"]


@pytest.mark.parametrize("sep", [",", ";", "\t"])
def test_names_are_without_what_is_not_seen_around_them_and_written_with_it(sep, tmp_path):
    text = sep.join([" a", "b\u00a0", "\u200by", "  ", "c d "]) + "\n" + sep.join(" 1234") + "\n"
    frame = read(tmp_path, text)
    assert list(frame) == ["a", "b", "y", "Unnamed: 3", "c d"]
    assert cells_of(frame) == [[" ", "1", "2", "3", "4"]]
    write_delimited(frame, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == text
    assert list(read(tmp_path, f"\ufeff\ufeffa{sep}y\n1{sep}2\n")) == ["a", "y"]


def test_names_that_blanks_tell_apart_keep_them(tmp_path):
    assert list(read(tmp_path, "a, a, b\n1,2,3\n")) == ["a", " a", "b"]
