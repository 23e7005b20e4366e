"""The estimator's parameters: how many, where they went, and that each has a say."""

import inspect
import re

import pytest

from llmreg import GRPO, DigitCodec, LLMRegressor, PretrainedModel
from llmreg.config.parameters import CONSTRAINTS, MOVED


def test_there_are_few_and_each_is_checked():
    names = inspect.signature(LLMRegressor).parameters.keys()
    assert names == CONSTRAINTS.keys() and len(names) <= 33
    assert not names & MOVED.keys()


def test_each_is_in_one_of_the_groups():
    groups = inspect.getdoc(LLMRegressor).split("Parameters come in groups")[1]
    groups = groups.split("Parameters\n---")[0]
    named = [name for name in re.findall(r"``(\w+)``", groups) if name != "plan_"]
    assert sorted(named) == sorted(inspect.signature(LLMRegressor).parameters)


@pytest.mark.parametrize("name", MOVED)
def test_old_names_say_where_they_went(name):
    for use in (lambda: LLMRegressor(**{name: 1}), lambda: LLMRegressor().set_params(**{name: 1})):
        with pytest.raises(TypeError, match=f"no parameter '{name}' any more: set ") as error:
            use()
        assert MOVED[name] in str(error.value)


def test_unknown_names_are_unknown():
    with pytest.raises(TypeError, match="unexpected keyword argument 'lora'"):
        LLMRegressor(lora=1)
    with pytest.raises(ValueError, match="Invalid parameter 'lora'"):
        LLMRegressor().set_params(lora=1)


def test_reaching_into_a_part_builds_it():
    model = LLMRegressor("owner/name", "grpo").set_params(
        codec__n_digits=3, serializer__missing="none", fit_method__num_generations=4,
        sft_method__sigma=0.5, model__revision="v1", device__dtype="float64",
    )  # fmt: skip
    assert model.codec.n_digits == 3 and isinstance(model.codec, DigitCodec)
    assert model.serializer.missing == "none" and model.device.dtype == "float64"
    assert isinstance(model.fit_method, GRPO) and model.fit_method.num_generations == 4
    assert isinstance(model.model, PretrainedModel) and model.model.revision == "v1"
