"""Distinct cells, gaps among them, and cells as words."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from llmreg import RowSerializer
from llmreg.tables.cell_values import (
    cell_text,
    distinct_cells,
    distinct_texts,
    is_missing_word,
    plain_text,
    spread,
)
from llmreg.tables.columns import plan_column


@pytest.mark.parametrize("dtype", ["str", object, "category"])
def test_distinct_cells_come_back_as_the_column_without_gaps_and_blanks(dtype):
    column = pd.Series(["a", None, "b", " ", "a"], dtype=dtype)
    codes, cells = distinct_cells(column)
    assert spread(cells, codes, None).tolist() == ["a", None, "b", None, "a"]


def test_cells_of_several_types_are_kept_apart():
    column = pd.Series([1, True, 1.0, "1", b"x", None], dtype=object)
    codes, cells = distinct_cells(column)
    assert spread(map(repr, cells), codes, "-").tolist() == ["1", "True", "1.0", "'1'", "'x'", "-"]


def test_texts_are_counted_however_their_cells_are_typed():
    texts, counts = distinct_texts(pd.Series([1, 1.0, " 1 ", "a", None, ""], dtype=object))
    assert dict(zip(texts, counts.tolist(), strict=True)) == {"1": 3, "a": 1}


@pytest.mark.parametrize(
    ("cell", "text"),
    [(1e18, "1000000000000000000"), (1e300, "1e+300"), (2.5, "2.5"), (np.float32(3), "3"),
     (np.True_, "True"), (np.arange(2), "[0, 1]"), (b"\xff", "\ufffd"),
     (np.datetime64("2020-01-02"), "2020-01-02 00:00:00"), (timedelta(1), "1 days 00:00:00"),
     (np.timedelta64(1, "m"), "0 days 00:01:00"), (np.timedelta64(2, "Y"), "2 years"),
     (timedelta.max, str(timedelta.max))],
)  # fmt: skip
def test_cells_are_written_alike_whatever_their_type(cell, text):
    assert cell_text(cell) == text


def test_words_for_missing_are_known_in_any_case():
    assert all(map(is_missing_word, ["", " N/A ", "NaN", "None", "-", "?", "Unknown"]))
    assert not any(map(is_missing_word, ["0", "no", "many"]))


def test_what_pandas_takes_for_missing_in_files_is_so_in_columns_of_numbers():
    """So that files may be read as they are written."""
    words = ["#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "1.#IND", "<NA>", "NULL"]
    assert all(map(is_missing_word, words))
    plan = plan_column("x", pd.Series(["1.5", "2", *words]), "number")
    assert plan.kind == "number" and not plan.boolean


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Cafe\u0301 \u2126", "Caf\u00e9 \u03a9"),
        ("\ufeffa\u200bb\u00ad\u2060\n\u00a0c", "ab\n\u00a0c"),  # blanks of texts stay
        ("กรุงเทพ\u200bมหานคร ខ្មែរ\u200bភាសា", "กรุงเทพ\u200bมหานคร ខ្មែរ\u200bភាសា"),
        ("می\u200cخواهم 👩\u200d💻 5\ufe0f\u20e3", "می\u200cخواهم 👩\u200d💻 5\ufe0f\u20e3"),
    ],
)
def test_texts_hold_accents_with_their_letters_and_nothing_unseen(text, plain):
    assert plain_text(text) == plain
    codes, cells = distinct_cells(pd.Series([text, "plain"]))
    assert [cells[code] for code in codes] == [plain, "plain"]


def test_cells_of_nothing_that_is_seen_are_blank():
    codes, _ = distinct_cells(pd.Series(["\ufeff", "\u200b \u2060", "a"]))
    assert (codes < 0).tolist() == [True, True, False]


def test_numbers_with_unseen_characters_are_numbers():
    X = pd.DataFrame({"price": ["\u200e12.5\u200b", "\ufeff7", "8"], "c": ["a", "b", "a"]})
    rows = RowSerializer().fit(X).serialize(X)
    assert rows.fields[0].numbers.ravel().tolist() == [12.5, 7.0, 8.0]
