"""What single attributes of a saved model may be."""

import numpy as np
import pytest

from llmreg.persistence import legal

FLOATS, INTS = np.ones(2), np.ones(2, int)
CASES = {
    "plain": (legal.plain, [None, "a", [1.5, {"a": (2,)}], INTS], [object, [object()], {1: set}]),
    "sizes": (legal.sizes, [3, [5], {"a": 2**22}], [-1, [2**22 + 1], {"a": -1}]),
    "maybe": (legal.maybe(legal.text), [None, "a"], [1]),
    "number": (legal.number(0, 2), [0, 1.5, np.float32(2)], [-1, 2.1, True, "1", np.nan, None]),
    "whole": (legal.WHOLE, [0, np.int64(3)], [1.0, -1, 2**54]),
    "text": (legal.text, ["", "a"], [b"a", np.str_("a"), None]),
    "flag": (legal.flag, [True, np.False_], [0, 1, None, "True"]),
    "floats": (legal.FLOATS, [FLOATS, FLOATS.astype(np.float32)], [INTS, FLOATS[:, None], [1.0]]),
    "integers": (legal.array("i", 2), [INTS[:, None].astype(np.uint8)], [INTS, FLOATS[:, None]]),
    "texts": (legal.texts, [np.array(["a", "b"], object)], [np.array(["a", 1], object), ["a"]]),
    "each": (legal.each(tuple, legal.flag), [(), (True,)], [[True], (1,)]),
    "each of a dict": (legal.each(dict, legal.flag), [{"a": True}], [{"a": 1}, (True,)]),
    "one of": (legal.one_of("a", "b"), ["a"], ["c", None, ["a"]]),
    "format": (legal.format_spec, ["", ".3g", "010.2f"], [".1000f", "x" * 100, 3]),
    "column": (legal.column, ["a", 0, np.int32(1)], [1.5, None, ("a",)]),
}  # fmt: skip


@pytest.mark.parametrize(("test", "good", "bad"), CASES.values(), ids=CASES)
def test_what_is_legal_and_what_is_not(test, good, bad):
    assert all(test(value) for value in good)
    assert not any(test(value) for value in bad)


def test_only_what_may_be_missing_is_legal_without_a_value():
    assert legal.maybe(legal.text)()
    with pytest.raises(TypeError):
        legal.text()
