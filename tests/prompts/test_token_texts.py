"""Which cells are written as tokens."""

import pandas as pd
import pytest

from llmreg import RowSerializer
from llmreg.prompts.token_texts import token_texts

X = pd.DataFrame({
    "size": [30.0, 45.0, 30.0], "city": ["A", "B", "A"],
    "words": ["red old house", "blue flat", "red old house"],
})  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    kinds = {"size": "number", "city": "category", "words": "text"}
    return RowSerializer(column_kinds=kinds).fit(X).serialize(X)


@pytest.mark.parametrize(
    ("number_input", "expected"),
    [
        ("value", ["blue flat", "red old house"]),
        ("text", ["30", "45", "blue flat", "red old house"]),
        ("text+value", ["30", "45", "blue flat", "red old house"]),
    ],
)
def test_texts_and_written_numbers_once_and_in_order(rows, number_input, expected):
    assert token_texts(rows, number_input, 64) == expected


@pytest.mark.parametrize(("number_input", "expected"), [("value", []), ("text", ["30", "45"])])
def test_without_tokens_for_texts_numbers_alone_are_spelled(rows, number_input, expected):
    assert token_texts(rows, number_input, 0) == expected


def test_texts_that_are_vectors_are_not_spelled(rows):
    assert token_texts(rows, "text", 64, ("words",)) == ["30", "45"]


def test_no_more_of_a_text_than_the_budget_may_reach(rows):
    long = pd.DataFrame({"words": ["ab " * 100_000]})
    rows = RowSerializer(column_kinds={"words": "text"}).fit(long).serialize(long)
    (text,) = token_texts(rows, "value", 8)
    assert len(text) < 10_000 and text.startswith("ab ab")
