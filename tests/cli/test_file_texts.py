"""What is no text, or not what its name says, is told with the file's name and a remedy."""

import gzip

import pytest

from llmreg.cli.files import read_file


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.csv.gz"])
@pytest.mark.parametrize(
    ("encoding", "what"),
    [
        ("cp1252", "0xfc can't be read as utf-8"),
        ("utf-16-le", "0xfc|zero"),
    ],
)
def test_other_encodings_are_refused(name, encoding, what, tmp_path):
    data = '{"a": "x"}\n{"a": "Müller"}\n'.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    with pytest.raises(ValueError, match=rf"{name}' is no text in UTF-8.* in line \d .*({what})"):
        read_file(tmp_path / name)


def test_zero_bytes_are_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,\0\n")
    with pytest.raises(ValueError, match=r"in line 2 there is a zero byte. Save it as UTF-8"):
        read_file(tmp_path / "t.csv")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_tell_the_encoding(encoding, tmp_path):
    (tmp_path / "t.jsonl").write_bytes('{"ä": "Müller"}\n'.encode(encoding))
    assert read_file(tmp_path / "t.jsonl").to_dict("list") == {"ä": ["Müller"]}


@pytest.mark.parametrize("end", ["csv.gz", "csv.zip", "csv.xz", "jsonl.bz2", "parquet"])
def test_files_that_are_not_what_their_name_says_are_named(end, tmp_path):
    (tmp_path / f"t.{end}").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(ValueError, match=rf"t.{end}' is not what the end of its name says.* anew"):
        read_file(tmp_path / f"t.{end}")


def test_half_a_packed_file_is_refused(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n" * 99)[:30])
    with pytest.raises(ValueError, match="or is damaged: Compressed file ended before"):
        read_file(tmp_path / "t.csv.gz")
    with pytest.raises(FileNotFoundError, match=r"nowhere.csv.gz"):
        read_file(tmp_path / "nowhere.csv.gz")
