"""Functions that users give are looked at before they are called."""

import operator
from functools import partial

import numpy as np
import pytest

from llmreg.integrations.functions import check_function


def _check(function):
    check_function(function, "cost", "prediction", "y", example="np.maximum")


@pytest.mark.parametrize(
    "function",
    [lambda a, y: 0, lambda a, y, power=2: 0, lambda *both: 0, np.maximum, operator.sub, max,
     partial(lambda power, a, y: 0, 2)],
)  # fmt: skip
def test_what_takes_the_arguments_passes(function):
    _check(function)


@pytest.mark.parametrize("function", ["mse", 3, np.zeros(2), {"a": 1}])
def test_what_is_no_function_is_refused(function):
    with pytest.raises(TypeError, match=r"^cost=.* is no function.*cost\(prediction, y\), such as"):
        _check(function)


@pytest.mark.parametrize("function", [lambda a: 0, lambda: 0, lambda a, y, third: 0])
def test_what_takes_other_arguments_is_refused(function):
    with pytest.raises(TypeError, match=r"^cost=<function .* cannot be called with 2 arguments"):
        _check(function)
