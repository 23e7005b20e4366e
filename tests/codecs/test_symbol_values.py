"""Values of symbols: digits have one, signs and marks have none."""

import numpy as np
import pytest

from llmreg import DigitCodec
from llmreg.codecs.symbol_values import symbol_values

NONE = float("nan")


@pytest.mark.parametrize("base", [2, 10, 16, 36])
def test_a_digits_value_is_its_place_among_the_symbols_of_a_digit_codec(base):
    assert symbol_values(DigitCodec(base, 1).symbols) == list(range(base))


@pytest.mark.parametrize(
    ("symbols", "values"),
    [
        (["+", "-", "0", "9", ".", "<end>"], [NONE, NONE, 0, 9, NONE, NONE]),
        (["e", "0", "1"], [NONE, 0, 1]),  # an exponent's mark, not the digit 14
        (["b", "a", *"0123456789"], [11, 10, *range(10)]),  # in whatever order
        ([" 1", "12", "2.5", "-3"], [1, 12, 2.5, -3]),  # whole numbers as one token
        (["bad", "ok", "", "-", "1.", "nan"], [NONE] * 6),
    ],
)
def test_numbers_have_values_and_other_symbols_none(symbols, values):
    np.testing.assert_array_equal(symbol_values(symbols), values)
