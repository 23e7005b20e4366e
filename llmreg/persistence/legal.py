"""What single attributes of a saved model may be: tests of values, of which the schema is made."""

import math
import re

import numpy as np

__all__ = [
    "FINITE",
    "FLOATS",
    "SEED",
    "SMALL",
    "WHOLE",
    "array",
    "column",
    "each",
    "flag",
    "format_spec",
    "maybe",
    "number",
    "one_of",
    "plain",
    "sizes",
    "text",
    "texts",
]


def plain(value):
    """None, numbers, texts, arrays of numbers, and lists, tuples and dicts of these."""
    if type(value) in (list, tuple, set, frozenset):
        return all(map(plain, value))
    if type(value) is dict:
        return all(map(plain, value)) and all(map(plain, value.values()))
    simple = value is None or isinstance(value, bool | int | float | str | np.generic)
    return simple or (isinstance(value, np.ndarray) and value.dtype.kind in "biuf")


def sizes(value):
    """Plain values in which whole numbers are sizes that there can be."""
    if type(value) in (list, dict):
        return all(map(sizes, value if type(value) is list else value.values()))
    return plain(value) and (type(value) is not int or 0 <= value <= 2**22)


def maybe(test):
    """Legal without, too: an attribute that is absent, or None."""
    return lambda value=None: value is None or test(value)


def number(low=-math.inf, high=math.inf, whole=False):
    """A number in a range."""
    kinds = int | np.integer if whole else int | float | np.integer | np.floating

    def test(value):
        return isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high

    return test


def text(value):
    """A string."""
    return type(value) is str


def flag(value):
    """True or False."""
    return isinstance(value, bool | np.bool_)


def array(kinds, ndim=1):
    """An array of numbers: kinds "b", "i" (with or without sign), "f"."""
    kinds = kinds.replace("i", "iu")

    def test(value):
        return isinstance(value, np.ndarray) and value.ndim == ndim and value.dtype.kind in kinds

    return test


def texts(value):
    """A 1-D array of strings."""
    return isinstance(value, np.ndarray) and value.ndim == 1 and all(map(text, value))


def each(kind, test):
    """A list, tuple or dict of legal values."""
    return lambda value: type(value) is kind and all(
        map(test, value.values() if kind is dict else value)
    )


def one_of(*values):
    """One of these strings."""
    return lambda value: type(value) is str and value in values


def format_spec(value):
    """A format that does not ask for thousands of digits."""
    return type(value) is str and len(value) < 100 and not re.search(r"\d{4}", value)


def column(value):
    """A column's name."""
    return isinstance(value, str | int | np.integer)


WHOLE, FINITE = number(0, 2**53, whole=True), number(-1e308, 1e308)
SMALL = number(0, 10**6, whole=True)
SEED = maybe(number(0, 2**32, whole=True))
FLOATS = array("f")
