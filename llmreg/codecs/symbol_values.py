"""What a codec's symbols are worth, for losses that measure the distance between symbols."""

import math
import re

from llmreg.codecs.digits import SYMBOLS

__all__ = ["symbol_values"]

NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def symbol_values(symbols):
    """The value of each symbol; NaN for one that is no number: signs, a decimal point, an end.

    Parameters
    ----------
    symbols : sequence of str
        A codec's symbols. Digits and whole numbers ("7", "12", "-0.5") have their value. A letter
        is a digit of a base above 10 where all digits below it are symbols too: "a" is 10 beside
        "0"–"9", while an "e" without "a" to "d" marks an exponent.

    Returns
    -------
    list of float

    Examples
    --------
    >>> from llmreg.codecs.symbol_values import symbol_values
    >>> symbol_values(["+", "-", "0", "1", "e"])
    [nan, nan, 0.0, 1.0, nan]
    >>> symbol_values("0123456789ab")[-2:]
    [10.0, 11.0]
    """
    found = {symbol.strip() for symbol in symbols}
    n_digits = next((i for i, digit in enumerate(SYMBOLS) if digit not in found), len(SYMBOLS))
    letters = {letter: float(value) for value, letter in enumerate(SYMBOLS[10:n_digits], 10)}
    return [_value(symbol.strip(), letters) for symbol in symbols]


def _value(symbol, letters):
    if NUMBER.fullmatch(symbol):
        return float(symbol)
    return letters.get(symbol, math.nan)
