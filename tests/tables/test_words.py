"""How much of a column's texts is counted, and what is typical of it."""

import pytest

from llmreg.tables.words import LONGEST, beginnings, typical


def test_the_beginning_of_a_very_long_text_is_counted():
    assert beginnings(["a short one", "x" * (LONGEST + 5)]) == ["a short one", "x" * LONGEST]


def test_what_is_typical_is_the_mean_and_no_single_long_text():
    assert typical([1, 2, 3], 2) == 2
    assert typical([1] * 999 + [10**6], 2) == pytest.approx(1.019)
