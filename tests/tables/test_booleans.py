"""True and false, however spelt."""

import numpy as np
import pandas as pd
import pytest

from llmreg.tables.booleans import are_boolean_words, are_booleans, are_digits, truth


@pytest.mark.parametrize("cells", [
    [True, False], [1, 0], [1.0, 0.0], ["true", "false"], ["TRUE", "False"], ["yes", "No"],
    ["y", "n"], [" t ", "f"], ["on", "off"], ["1", "0"],
    [np.True_, np.False_], [True, "0"], ["1", False],
])  # fmt: skip
def test_all_spellings_mean_the_same(cells):
    assert [truth(cell) for cell in cells] == [True, False]
    assert are_boolean_words(cells)


@pytest.mark.parametrize("cells", [
    ["y", "n", "maybe"], ["y"], ["m", "f"], ["no", "se"], ["no", "on"], ["y", "f"], [0, 1, 2],
    ["1", "2"], [], ["yes", "no", "unknown"], ["yes", "no", "-"],
])  # fmt: skip
def test_other_words_are_codes(cells):
    assert not are_boolean_words(cells)


def test_gaps_do_not_count():
    assert are_boolean_words(["yes", "no", "n/a", "None", "#N/A"])


def test_zeros_and_ones_are_numbers():
    assert are_digits(["0", "1.0", " 0.0"]) and not are_digits(["1", "true"])


def test_bools_are_known_by_type():
    for dtype in (bool, "boolean", "category", object):
        assert are_booleans(pd.Series([True, False], dtype=dtype))
    assert are_booleans(pd.Series([np.True_, None], dtype=object))
    assert not are_booleans(pd.Series([True, 1], dtype=object))
    assert not are_booleans(pd.Series(["true", "false"]))
    assert not are_booleans(pd.Series([0, 1]))


def test_zero_and_one_may_stand_among_bools():
    """polars and others make numbers of them all."""
    for cells in ([True, 0, None], [np.True_, 0.0, True], [1, False, True]):
        assert are_booleans(pd.Series(cells, dtype=object))
    assert not are_booleans(pd.Series([True, 0, 2], dtype=object))
    assert not are_booleans(pd.Series([True, 0, "a"], dtype=object))
