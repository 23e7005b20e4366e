"""NumPy's numbers among parameters: Python's own, in copies, wherever they sit."""

import enum
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from peft import LoraConfig

from llmreg import GRPO, Adapters, Device, DigitCodec, GridCodec, PretrainedModel, RowSerializer
from llmreg.integrations.masking import Masked
from llmreg.integrations.python_values import as_python


class Shade(str, enum.Enum):
    DARK = "dark"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3), (np.uint8(200), 200), (np.float32(0.5), 0.5), (np.float64(0.1), 0.1),
        (np.longdouble(2), 2.0), (np.bool_(False), False), (np.str_("a"), "a"),
        (Shade.DARK, "dark"), (Fraction(1, 4), 0.25), ([np.int8(1), "a"], [1, "a"]),
        ((np.True_, None), (True, None)), ({np.str_("a"): {"b": np.int16(4)}}, {"a": {"b": 4}}),
        ({np.str_("a")}, {"a"}), (np.array(["a", "b"]), ["a", "b"]), ({"a": 1}.keys(), ["a"]),
        (pd.Index(["a", "b"]), ["a", "b"]), (pd.Series(["a"], dtype="category"), ["a"]),
        (np.array([1, "a"], dtype=object), [1, "a"]),
    ],
)  # fmt: skip
def test_values_become_pythons(value, expected):
    found = as_python(value)
    assert found == expected and _kinds(found) == _kinds(expected)


def _kinds(value):
    if isinstance(value, dict):
        value = [*value.items()]
    return type(value), [_kinds(item) for item in value] if type(value) in (list, tuple) else None


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, 0.5, "a", [1, ("a", 2)], {"a": [1.5]}, np.array([1.5, 2]), len, range(3),
        DigitCodec(), GRPO(reward=len), np.random.RandomState(0), LoraConfig(r=4), Masked("hf_x"),
        np.array(1), np.array("a"), np.array(None), pd.Timedelta("5s"), pd.NaT,
    ],
    ids=str,
)  # fmt: skip
def test_what_is_pythons_already_stays_the_very_object(value):
    assert as_python(value) is value


def test_parts_are_copied_with_their_parameters():
    given = [
        DigitCodec(np.int64(8), margin=np.float32(0.5)), Adapters(np.int16(4)),
        RowSerializer(columns=np.array(["a"]), column_kinds={"a": np.str_("number")}),
        Device(np.str_("cpu"), torch_compile=np.False_), GridCodec(pd.Series([1.0, 2.0])),
        LoraConfig(r=np.int64(4), lora_alpha=np.float32(8), target_modules=np.array(["q_proj"])),
    ]  # fmt: skip
    digits, adapters, rows, device, grid, lora = as_python(given)
    assert type(digits.base) is int and type(digits.margin) is float and type(adapters.rank) is int
    assert rows.columns == ["a"] and type(rows.column_kinds["a"]) is str
    assert type(device.name) is str and device.torch_compile is False
    assert isinstance(grid.values, np.ndarray) and type(lora.r) is int
    assert lora.target_modules == ["q_proj"] and lora.peft_type == LoraConfig().peft_type
    assert type(given[0].base) is np.int64 and type(given[2].columns) is np.ndarray  # left alone
    assert type(given[5].r) is np.int64


def test_a_token_stays_hidden():
    model = as_python(PretrainedModel(np.str_("a/b"), token="hf_secret"))
    assert type(model.source) is str and model.token == "hf_secret" and "secret" not in repr(model)
    assert "secret" not in repr(as_python(PretrainedModel("a/b", token=np.str_("hf_secret"))))


def test_a_duration_is_no_number():
    assert as_python(np.timedelta64(5, "m")) == pd.Timedelta(minutes=5)
