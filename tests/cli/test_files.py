"""Tables in files of each kind come back as they were."""

import pandas as pd
import pytest

from llmreg.cli.files import check_file, read_file, split_target, write_file

TABLE = pd.DataFrame({
    "size": [1.5, None, 1e-9], "date": ["2024-05-17", "2024-05-18", None],
    "text": ["a, b", 'c "d"', "é\n"], "count": [1, 2, 3],
})  # fmt: skip


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet", "t.jsonl", "a.b.csv.gz"])
def test_what_is_written_is_read(name, tmp_path):
    check_file(tmp_path / name)
    write_file(TABLE, tmp_path / name)
    found = read_file(tmp_path / name)
    pd.testing.assert_frame_equal(found, TABLE, check_dtype=False)
    assert list(found["count"]) == [1, 2, 3]


@pytest.mark.parametrize("name", ["table", "table.xls", "table.gz", ".csv"])
def test_other_files_are_refused(name, tmp_path):
    for use in (read_file, check_file):
        with pytest.raises(ValueError, match=r"is of no known kind. Legal ends"):
            use(tmp_path / name)


def test_there_must_be_a_folder_to_write_in(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder '.*nowhere' to write in"):
        check_file(tmp_path / "nowhere" / "t.csv")


def test_rows_without_a_target_are_left_out():
    X, y, n_left_out = split_target(TABLE, "size", ["text"])
    assert list(X) == ["date", "count"] and list(X["count"]) == [1, 3]
    assert list(y) == [1.5, 1e-9] and n_left_out == 1 and y.name == "size"
    for wrong in (("price", []), ("size", ["price"])):
        with pytest.raises(ValueError, match=r"no column 'price'. Columns: size, date"):
            split_target(TABLE, *wrong)
