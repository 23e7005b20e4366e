"""Parameters are checked as a fit reads them, and refused as they were given."""

from datetime import timedelta
from functools import partial

import numpy as np
import pandas as pd
import pytest

from llmreg import GRPO, DigitCodec, LLMRegressor, Optimizer, PretrainedModel, RowSerializer
from llmreg.config.parameter_checks import check_parameters

KINDS = pd.Series({"a": "number"})


def refusal(**params):
    with pytest.raises(ValueError) as error:
        LLMRegressor(**params).fit(pd.DataFrame({"a": [1.0, 2, 3]}), [1.0, 2, 3])
    return str(error.value)


@pytest.mark.parametrize(
    "params",
    [
        {"time_limit": np.timedelta64(5, "s")}, {"time_limit": pd.Timedelta("5s")},
        {"time_limit": timedelta(seconds=5)}, {"time_limit": pd.NaT}, {"time_limit": "5s"},
        {"time_limit": np.timedelta64("NaT")}, {"n_samples": np.timedelta64(5, "s")},
        {"checkpoint_interval": pd.Timedelta("5s")}, {"time_limit": pd.Timestamp("2024-05-17")},
        {"estimates": np.array("both")}, {"n_samples": np.array(1)}, {"verbose": np.array(None)},
        {"estimates": KINDS}, {"decoding": np.array(["rail"])}, {"estimates": {"a": 1}.keys()},
        {"n_samples": np.float32(0.5)}, {"estimates": (np.int8(1),)},
    ],
    ids=str,
)  # fmt: skip
def test_values_are_shown_as_they_were_given(params):
    name, value = next(iter(params.items()))
    said = refusal(**params)
    assert f"The {name!r} parameter of LLMRegressor must be " in said
    assert said.count("Got") == 1 and f" Got {value!r} instead." in said


@pytest.mark.parametrize(
    ("param", "part", "name", "value"),
    [
        ("serializer", RowSerializer, "column_kinds", KINDS),
        ("serializer", RowSerializer, "number_format", np.array([".2f"])),
        ("codec", DigitCodec, "n_digits", np.timedelta64(5, "s")),
        ("fit_method", GRPO, "num_generations", np.array(8)),
        ("sft_method", GRPO, "num_generations", pd.Index(["a"])),
        ("optimizer", Optimizer, "weight_decay", np.timedelta64(5, "s")),
        ("model", partial(PretrainedModel, "a/b"), "model_kwargs", pd.Series({"a": "b"})),
    ],
)
def test_so_are_those_of_parts(param, part, name, value):
    given = part(**{name: value})
    said = refusal(**{param: given})
    assert f"The {name!r} parameter of {type(given).__name__} must be " in said
    assert f" Got {value!r} instead." in said


@pytest.mark.parametrize(
    ("params", "remedy"),
    [
        ({"time_limit": timedelta(seconds=5)}, "Give seconds, such as time_limit=5.0."),
        ({"time_limit": pd.NaT}, "Give seconds, such as time_limit=5.0."),
        ({"checkpoint_interval": "1 min"}, "Give seconds, such as checkpoint_interval=5.0."),
        ({"time_limit": -1.0}, "Got -1.0 instead."),
        ({"estimates": np.array("both")}, "Take the value out of the array, with .item()."),
        ({"dropout": np.array(0.5)}, "Take the value out of the array, with .item()."),
        ({"serializer": RowSerializer(column_kinds=KINDS)},
         "Make a dict of it, with .to_dict(): column_kinds={name: value}."),
        ({"adapters": np.str_("all")}, "and not 'all'."),
    ],
    ids=str,
)  # fmt: skip
def test_what_to_write_is_said(params, remedy):
    assert refusal(**params).endswith(remedy)


def test_parameters_without_constraints_are_not_checked():
    check_parameters(object(), {"name": 1})
    check_parameters(DigitCodec(), {"own": timedelta(1)})
