"""Objects a line: what is no JSON is neither read nor written."""

import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from llmreg.cli.json_lines import read_json_lines, write_json_lines


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n[1]\n', r"Line 2 of '.*t.jsonl' is no object, but '\[1\]'. Legal"),
        ('{"a": 1}\n{"a": }\n', r"Line 2 of '.*t.jsonl' is no JSON that .*: Expecting value"),
        ('{"a": 1, "b": 2, "a": 3}\n', r"Line 1 of .* more than once: \['a'\]\. Legal"),
        ('{"a": ' + "1" * 5000 + "}\n", r"Line 1 of .*limit \(4300 digits\)"),
        ('{"a": ' + "[" * 100_000 + "}\n", r"Line 1 of '.*t.jsonl' is no JSON that can be read"),
    ],
    ids=["list", "no value", "twice", "digits", "depth"],
)
def test_lines_that_are_no_rows_are_refused(text, message, tmp_path):
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_json_lines(tmp_path / "t.jsonl")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n"])
def test_lines_end_as_any_program_ends_them(end, tmp_path):
    (tmp_path / "t.jsonl").write_bytes(f'{{"a": "x:y"}}{end}{{"b": ":"}}{end}'.encode())
    found = read_json_lines(tmp_path / "t.jsonl")
    assert found["a"][0] == "x:y" and found["b"][1] == ":" and found.isna().sum().sum() == 2


def test_what_is_written_is_json(tmp_path):
    frame = pd.DataFrame({
        "x": [np.inf, 1.5], "y": np.array([np.nan, 2], "float32"), "price": [Decimal("1.50"), None],
        "list": [[np.nan, (1, -np.inf)], {"b": [np.float32(np.inf), pd.NaT, None, "c"]}],
        "array": [np.array([1, np.nan]), None],
    })  # fmt: skip
    write_json_lines(frame, tmp_path / "t.jsonl")

    def refuse(constant):
        raise AssertionError(constant)

    lines = (tmp_path / "t.jsonl").read_text().splitlines()
    rows = [json.loads(line, parse_constant=refuse) for line in lines]
    assert rows == [
        {"x": None, "y": None, "price": 1.5, "list": [None, [1, None]], "array": [1, None]},
        {"x": 1.5, "y": 2, "price": None, "list": {"b": [None, None, None, "c"]}, "array": None},
    ]
