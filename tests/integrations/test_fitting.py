"""The frame around fit."""

import inspect

import pytest
from sklearn.base import BaseEstimator

from llmreg import LLMRegressor
from llmreg.integrations.fitting import fit_context


class Constant(BaseEstimator):
    _parameter_constraints: dict = {"value": [int]}

    def __init__(self, value=1):
        self.value = value

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Do nothing."""
        return self


def test_parameters_are_checked_first():
    model = Constant()
    assert model.fit(None, None) is model
    with pytest.raises(ValueError, match="'value' parameter of Constant"):
        Constant("one").fit(None, None)


@pytest.mark.parametrize("kind", [Constant, LLMRegressor])
def test_a_method_keeps_its_signature_and_help(kind):
    assert list(inspect.signature(kind.fit).parameters)[1:3] == ["X", "y"]
    assert kind.fit.__doc__
