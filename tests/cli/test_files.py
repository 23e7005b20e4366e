"""Tables in files of each kind come back as they were, cell by cell."""

from datetime import date, time, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from llmreg import RowSerializer
from llmreg.cli.files import check_file, read_file, write_file

TABLE = pd.DataFrame({
    "size": [1.5, None, 1e-9], "date": ["2024-05-17", "2024-05-18", None],
    "text": ["a, b", 'c "d"', "é\n"], "count": [1, 2, 3],
})  # fmt: skip
AS_TEXT = {"size": ["1.5", None, "1e-09"], "count": ["1", "2", "3"]}


def cells_of(frame):
    """Rows of cells; None where one is missing."""
    return frame.astype(object).where(frame.notna(), None).to_numpy().tolist()


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet", "t.jsonl", "a.b.csv.gz",
                                  "t.tsv.zip", "t.jsonl.gz", "t.jsonl.zip"])  # fmt: skip
def test_what_is_written_is_read(name, tmp_path):
    check_file(tmp_path / name)
    write_file(TABLE, tmp_path / name)
    found = read_file(tmp_path / name)
    expected = TABLE.assign(**AS_TEXT) if "sv" in name else TABLE
    assert list(found) == list(TABLE) and cells_of(found) == cells_of(expected)


@pytest.mark.parametrize(("name", "sep"), [("t.csv", ","), ("t.tsv", "\t")])
def test_text_files_are_read_and_written_as_they_are(name, sep, tmp_path):
    rows = [
        ["key", "country", "n", "x", "said"],
        ["02139", "NA", "1", "1.0", "None"],
        ["", "null", "849446064442123456789", "1.50", "n/a"],
        ["0849446064442", "nan", "", "1e5", " - "],
        ["K1A 0B1", "DE", "True", "TRUE", '"a\nb"'],
    ]
    text = "".join(sep.join(row) + "\n" for row in rows)
    (tmp_path / name).write_bytes(text.encode())
    found = read_file(tmp_path / name)
    assert cells_of(found) == [[cell.strip('"') or None for cell in row] for row in rows[1:]]
    write_file(found, tmp_path / name)
    assert (tmp_path / name).read_bytes().decode() == text
    write_file(found, tmp_path / "t.jsonl")
    assert cells_of(read_file(tmp_path / "t.jsonl")) == cells_of(found)


def test_rows_of_json_are_read_and_written_as_they_are(tmp_path):
    text = (
        '{"id":849446064442123457,"2020":1,"x":1e-12,"ok":true,"zip":"01234","tags":["a",1]}\n'
        '{"id":null,"2020":null,"x":0.30000000000000004,"ok":null,"zip":"NA","tags":{"b":null}}\n'
    )
    (tmp_path / "t.jsonl").write_text("\ufeff\n" + text, encoding="utf-8")
    found = read_file(tmp_path / "t.jsonl")
    assert list(found) == ["id", "2020", "x", "ok", "zip", "tags"]
    write_file(found, tmp_path / "t.jsonl")
    assert (tmp_path / "t.jsonl").read_text(encoding="utf-8") == text
    write_file(found, tmp_path / "t.csv")
    rows = cells_of(read_file(tmp_path / "t.csv"))
    assert rows[0] == ["849446064442123457", "1", "1e-12", "True", "01234", "['a', 1]"]
    assert rows[1][:5] == [None, None, "0.30000000000000004", None, "NA"]


def test_gaps_and_an_index_of_parquet_files_cost_nothing(tmp_path):
    frame = pd.DataFrame({"n": pd.array([849446064442123457, None], "Int64"), "ok": [True, None]})
    frame.set_index(pd.Index(["a", "b"], name="key")).to_parquet(tmp_path / "t.parquet")
    found = read_file(tmp_path / "t.parquet")
    assert list(found) == ["n", "ok"]
    for name in ("t.csv", "t.jsonl", "u.parquet"):
        write_file(found, tmp_path / name)
        rows = cells_of(read_file(tmp_path / name))
        expected = [["a", 849446064442123457, True], ["b", None, None]]
        if name == "t.csv":
            expected[0][1:] = ["849446064442123457", "True"]
        assert rows == expected


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "u.parquet"])
def test_row_labels_without_a_name_are_written(name, tmp_path):
    frame = pd.DataFrame({"a": [1, 2]}, index=["x", "y"])
    several = pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=[None, "level_0"])
    for table, expected in (
        (frame, ["index", "a"]), (frame.rename(columns={"a": "index"}), ["index_", "index"]),
        (frame.set_index(several), ["level_0_", "level_0", "a"]),
        (frame.reset_index(), ["index", "a"]),
    ):  # fmt: skip
        table.to_parquet(tmp_path / "t.parquet")
        write_file(read_file(tmp_path / "t.parquet").assign(prediction=0.5), tmp_path / name)
        found = read_file(tmp_path / name)
        assert list(found) == [*expected, "prediction"]
        assert found[expected[0]].tolist() == ["x", "y"]


LOCAL = pd.to_datetime(["2024-05-17 14:30", "2024-01-01 00:00", None])
MOMENTS = pd.DataFrame({
    "day": pd.to_datetime(["2024-05-17", None, "2024-05-18"]),
    "at": pd.to_datetime(["2024-05-17 14:30:00.000001", None, "2024-01-01 00:00:00.0"]),
    "zone": LOCAL.tz_localize("Europe/Vienna"),
    "took": pd.to_timedelta(["1 days 02:03:04.5", "-1 s", None]),
    "date": [date(2024, 5, 17), None, date(2023, 1, 2)],
    "time": [time(14, 30), time(1, 2, 3), None],
})  # fmt: skip


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet"])
def test_dates_and_durations_of_a_table_mean_the_same_in_each_file(name, tmp_path, recwarn):
    write_file(MOMENTS, tmp_path / name)
    serializer = RowSerializer().fit(MOMENTS)
    found, expected = map(serializer.serialize, (read_file(tmp_path / name), MOMENTS))
    assert found.to_text().tolist() == expected.to_text().tolist()
    for one, other in zip(found.fields, expected.fields, strict=True):
        assert np.array_equal(one.numbers, other.numbers, equal_nan=True)
    assert not recwarn


def test_dates_are_iso_in_json(tmp_path):
    frame = MOMENTS.assign(price=[Decimal("1.50"), None, Decimal(2)], raw=[b"ab", None, b"c"])
    frame = frame.assign(n=np.arange(3, dtype="int8"), level=pd.Categorical(["a", None, "b"]))
    write_file(frame.assign(list=[np.arange(2), None, [timedelta(1)]]), tmp_path / "t.jsonl")
    rows = cells_of(read_file(tmp_path / "t.jsonl"))
    assert rows[0] == [
        "2024-05-17T00:00:00", "2024-05-17T14:30:00.000001", "2024-05-17T14:30:00+02:00",
        "1 days 02:03:04.500000", "2024-05-17", "14:30:00", 1.5, "ab", 0, "a", [0, 1],
    ]  # fmt: skip
    assert rows[1] == [
        None, None, "2024-01-01T00:00:00+01:00", "-1 days +23:59:59", None, "01:02:03", None, None,
        1, None, None,
    ]  # fmt: skip


BYTES = pd.DataFrame({
    "raw": [b"\xff", b"ab", None], "price": [Decimal("1.50"), None, Decimal(2)],
    "x": [1.5, np.inf, None], "far": [[1, 2], None, [3]], "at": [date(2024, 5, 17), None, None],
})  # fmt: skip


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("t.csv", [["\ufffd", "1.50", "1.5", "[1, 2]", "2024-05-17"],
                   ["ab", None, "inf", None, None], [None, "2.00", None, "[3]", None]]),
        ("t.jsonl", [["\ufffd", 1.5, 1.5, [1, 2], "2024-05-17"],
                     ["ab", None, None, None, None], [None, 2, None, [3], None]]),
    ],
)  # fmt: skip
def test_cells_of_all_types_are_written(name, cells, tmp_path):
    BYTES.to_parquet(tmp_path / "t.parquet")
    found = read_file(tmp_path / "t.parquet")
    write_file(found, tmp_path / name)
    assert cells_of(read_file(tmp_path / name)) == cells
    write_file(found, tmp_path / "again.parquet")
    again = cells_of(read_file(tmp_path / "again.parquet"))
    assert [row[:3] for row in again] == [row[:3] for row in cells_of(found)]


def test_what_parquet_has_no_type_for_is_text(tmp_path):
    frame = pd.DataFrame({"a": [1, "b", None], "b": [{}, None, {}], "c": [[1], None, None]})
    write_file(frame, tmp_path / "t.parquet")
    expected = [["1", "{}"], ["b", None], [None, "{}"]]
    assert [row[:2] for row in cells_of(read_file(tmp_path / "t.parquet"))] == expected


def test_names_that_are_numbers_are_texts(tmp_path):
    pd.DataFrame({0: [1], 1: [2]}).to_parquet(tmp_path / "t.parquet")
    assert list(read_file(tmp_path / "t.parquet")) == ["0", "1"]


def test_parquet_files_do_not_keep_how_text_was_laid_out(tmp_path):
    (tmp_path / "t.csv").write_text("a;b\n1;2\n")
    write_file(read_file(tmp_path / "t.csv"), tmp_path / "t.parquet")
    write_file(read_file(tmp_path / "t.parquet"), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines() == ["a,b", "1,2"]


@pytest.mark.parametrize("name", ["T.CSV", "t.Csv.GZ", "t.JSONL", "t.TSV", "t.Parquet"])
def test_ends_of_names_may_be_upper_case(name, tmp_path):
    write_file(TABLE[["text"]], tmp_path / name)
    assert cells_of(read_file(tmp_path / name)) == cells_of(TABLE[["text"]])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", ""),
        ("t.csv", "\n \n"),
        ("t.csv", "a,b\n"),
        ("t.tsv", "a\n\n"),
        ("t.csv", '" "\n'),
        ("t.jsonl", "\n"),
    ],
)
def test_files_without_rows_are_refused(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=rf"{name}' holds no rows"):
        read_file(tmp_path / name)


def test_names_must_differ(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,a\n1,2,3\n")
    frame = pd.DataFrame({"a": [1]}, index=pd.Index(["b"], name="key"))
    frame.assign(key=2).to_parquet(tmp_path / "t.parquet")
    for name, repeated in (("t.csv", "a"), ("t.parquet", "key")):
        with pytest.raises(ValueError, match=rf"{name}' must be unique, but .*\['{repeated}'\]"):
            read_file(tmp_path / name)


@pytest.mark.parametrize("name", ["table", "table.xls", "table.gz", ".csv"])
def test_other_files_are_refused(name, tmp_path):
    for use in (read_file, check_file):
        with pytest.raises(ValueError, match=r"is of no known kind. Legal ends"):
            use(tmp_path / name)


def test_there_must_be_a_folder_to_write_in(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder '.*nowhere' to write in"):
        check_file(tmp_path / "nowhere" / "t.csv")
