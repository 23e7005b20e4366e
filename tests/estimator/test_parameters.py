"""Parameters: by name or as an object, set, cloned and shown; illegal ones are refused."""

import copy
import itertools

import numpy as np
import pytest
from peft import LoraConfig
from sklearn.base import clone

from llmreg import (
    GRPO,
    Device,
    DigitCodec,
    LLMRegressor,
    RowSerializer,
    SoftCE,
    TextEncoder,
    fit_methods,
)
from llmreg.config.devices import resolve_device

METHODS = list(fit_methods().index)


def _layers(*names):
    return LoraConfig(target_modules=list(names))


TRAINED = [name for name in METHODS if name != "zero_shot"]  # which asks pretrained models


@pytest.mark.parametrize("fit_method", TRAINED)
def test_every_method_by_name_predicts_within_the_codecs_range(fit_method, table, quick_fit):
    model = quick_fit(table.X, table.y, fit_method=fit_method, codec=DigitCodec(margin=0.1))
    found = model.predict(table.X)
    assert np.isfinite(found).all()
    assert (found > model.codec_.edges_[0]).all() and (found < model.codec_.edges_[-1]).all()
    stages = {"sft"} if fit_methods()["stage"][fit_method] == "sft" else {"sft", "align"}
    assert set(model.history_["stage"]) == stages


def test_methods_differ_in_what_they_learn(table, quick_fit):
    found = [quick_fit(table.X, table.y, fit_method=name).predict(table.X) for name in TRAINED]
    for one, other in itertools.combinations(found, 2):
        assert (one != other).any()


def test_a_method_given_by_name_equals_its_object(table, predictions, quick_fit):
    method, first = GRPO(), SoftCE()
    model = quick_fit(table.X, table.y, fit_method=method, sft_method=first)
    np.testing.assert_array_equal(model.predict(table.X), predictions)
    assert vars(method) == vars(GRPO()) and vars(first) == vars(SoftCE())  # left alone
    other = quick_fit(table.X, table.y, fit_method=GRPO(num_generations=4))
    assert (other.predict(table.X) != predictions).any()


def test_set_params_reaches_into_parts_that_are_not_built_yet():
    model = LLMRegressor().set_params(
        codec__n_digits=3, fit_method__num_generations=8, sft_method__sigma=0.3,
        serializer__template="{a}",
    )  # fmt: skip
    assert model.codec.n_digits == 3
    assert isinstance(model.fit_method, GRPO) and model.fit_method.num_generations == 8
    assert model.sft_method.sigma == 0.3
    assert model.serializer.template == "{a}"
    assert LLMRegressor().codec is None  # the defaults of other instances are untouched


def test_set_params_takes_a_part_and_its_parameter_together():
    codec = DigitCodec(base=2)
    model = LLMRegressor().set_params(codec=codec, codec__n_digits=5)
    assert model.codec is codec and codec.n_digits == 5
    model = LLMRegressor().set_params(fit_method="remax", fit_method__reward="mae")
    assert type(model.fit_method).__name__ == "ReMax" and model.fit_method.reward == "mae"
    with pytest.raises(ValueError, match="Invalid parameter 'n_digts' for estimator DigitCodec"):
        LLMRegressor().set_params(codec__n_digts=3)
    with pytest.raises(ValueError, match="fit_method='dpo' is not a method"):
        LLMRegressor(fit_method="dpo").set_params(fit_method__beta=1)


def test_set_params_changes_what_it_was_asked_to_and_nothing_else():
    model = LLMRegressor()
    before = model.get_params(deep=False)
    after = model.set_params(fit_method__num_generations=8).get_params(deep=False)
    assert [name for name in before if after[name] is not before[name]] == ["fit_method"]
    assert model.fit_method.reward == "crps"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (dict(sft_method="typo"), "sft_method='typo' is not a method"),
        (dict(sft_method=SoftCE(sigma=-1)), "'sigma' parameter of SoftCE"),
        (dict(sft_method="grpo"), "sft_method='grpo' needs a first stage itself"),
        (dict(sft_method="zero_shot"), "sft_method='zero_shot' trains nothing"),
        (dict(decoding="typo", fit_method="head_last"), "'decoding' parameter"),
        (dict(adapters=_layers("q_proj", 3)), "target_modules=.*3.* must be names"),
        (dict(codec=DigitCodec(base="ten"), fit_method="head_last"), "'base' parameter"),
        (dict(serializer=RowSerializer(max_text_tokens="many")), "'max_text_tokens' parameter"),
        (dict(serializer=RowSerializer(max_categories=-1)), "'max_categories' parameter"),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
def test_what_a_fit_does_not_use_must_be_legal_too(params, said):
    model = LLMRegressor(**{"fit_method": "ce", "sft_epochs": 0} | params)
    with pytest.raises(ValueError, match=said):
        model.fit([[0.0], [1.0]], [0.0, 1.0])


@pytest.mark.parametrize("name", sorted(LLMRegressor._parameter_constraints))
def test_every_parameter_is_checked_with_every_kind_of_method(name):
    for method in ("ce", "head_last", "zero_shot"):
        model = LLMRegressor(**{"fit_method": method, "sft_epochs": 0} | {name: object()})
        with pytest.raises(ValueError, match=f"The '{name}' parameter of LLMRegressor must be"):
            model.fit([[0.0], [1.0]], [0.0, 1.0])


def test_a_clone_has_the_parameters_and_not_the_fit(fitted, table, predictions):
    twin = clone(fitted.set_params())
    assert not hasattr(twin, "model_")
    assert twin.get_params() == fitted.get_params()
    np.testing.assert_array_equal(twin.fit(table.X, table.y).predict(table.X), predictions)


def test_fit_leaves_the_parameters_alone(table, quick_fit):
    codec, serializer = DigitCodec(n_digits=1), RowSerializer(max_text_tokens=5)
    with pytest.warns(UserWarning, match="Text cells were cut to 5 tokens"):
        model = quick_fit(table.X, table.y, codec=codec, serializer=serializer)
    assert model.codec is codec and not hasattr(codec, "edges_")
    assert model.serializer is serializer and not hasattr(serializer, "plans_")
    assert hasattr(model.codec_, "edges_") and hasattr(model.serializer_, "plans_")


def test_get_params_goes_deep():
    params = LLMRegressor(codec=DigitCodec(base=3), fit_method=GRPO(beta=0.5)).get_params()
    assert params["codec__base"] == 3 and params["fit_method__beta"] == 0.5


def test_repr_shows_what_is_not_default(fitted):
    assert repr(LLMRegressor()) == "LLMRegressor()"
    assert repr(LLMRegressor(fit_method=GRPO(beta=0.5), sft_epochs=3)) == (
        "LLMRegressor(fit_method=GRPO(beta=0.5), sft_epochs=3)"
    )
    assert "LLMRegressor" in fitted._repr_html_()


PARAMETER_ERRORS = [
    (dict(fit_method="dpo"), ["fit_method='dpo'", *METHODS]),
    (dict(sft_method="dpo"), ["sft_method='dpo'", *METHODS]),
    (dict(sft_method="grpo"), ["sft_method='grpo' needs a first stage", "'ce', 'soft_ce'"]),
    (dict(sft_method=GRPO()), ["sft_method=GRPO() needs a first stage", "'ce', 'soft_ce'"]),
    (dict(fit_method=GRPO(reward="mape")), ["'reward'", "'mape'", "'crps'", "'mae'", "callable"]),
    (dict(fit_method=GRPO(num_generations=2)), ["num_generations", "[3, inf)", "exact", "Got 2"]),
    (dict(decoding="average"), ["'decoding'", "'rail'", "'median'", "'sample'", "Got 'average'"]),
    (dict(number_input="digits"), ["number_input", "'text+value'", "Got 'digits'"]),
    (dict(text_features="tfidf"), ["text_features", "'auto'", "fit_transform", "Got 'tfidf'"]),
    (dict(text_features="owner/name"), ["Got 'owner/name'", "=TextEncoder('owner/name')"]),
    (
        dict(text_features=TextEncoder),
        [
            "text_features=TextEncoder of LLMRegressor is a class",
            "object: text_features=TextEncoder(...)",
        ],
    ),
    (dict(fit_method=GRPO), ["fit_method=GRPO of", "object: fit_method=GRPO(...)"]),
    (dict(adapters=LoraConfig), ["adapters=LoraConfig(...)"]),
    (dict(device=Device), ["device=Device(...)"]),
    (dict(fit_method="GRPO"), ["fit_method='GRPO' is not a method. Did you mean 'grpo'?"]),
    (dict(serializer="{size} m2"), ["Got '{size} m2'", "serializer=RowSerializer('{size} m2')"]),
    (dict(serializer=RowSerializer), ["serializer=RowSerializer(...)"]),
    (dict(adapters="lora"), ["Got 'lora'", "adapters=8"]),
    (dict(device=Device(dtype="float16")), ["dtype", "'bfloat16'", "Got 'float16'"]),
    (dict(device="gpu"), ["device='gpu'", "'auto'", "'cpu'", "'cuda'", "'mps'"]),
    (dict(model=7), ["model", "str", "to_dict", "Got 7"]),
    (dict(codec="digits"), ["codec", "TargetCodec", "Got 'digits'", "such as codec=DigitCodec()"]),
    (dict(adapters=0), ["adapters", "[1, inf)", "None", "Got 0"]),
    (dict(dropout=1.0), ["dropout", "'auto'", "[0.0, 1.0)", "Got 1.0"]),
    (dict(dropout=-0.1), ["dropout", "[0.0, 1.0)", "Got -0.1"]),
    (dict(dropout="none"), ["dropout", "'auto'", "Got 'none'"]),
    (dict(tree_tolerance=-1e-9), ["tree_tolerance", "[0.0, inf)", "Got -1e-09"]),
    (dict(validation_fraction="most"), ["validation_fraction", "'auto'", "Got 'most'"]),
    (dict(validation_fraction=0.0), ["validation_fraction", "(0.0, 1.0)", "Got 0.0"]),
    (
        dict(adapters=LoraConfig(target_modules=["lm_head"])),
        ["lm_head", "output layer", "'all-linear'"],
    ),
    (dict(validation_fraction=1.0), ["validation_fraction", "(0.0, 1.0)", "Got 1.0"]),
    (dict(sft_epochs=-1), ["sft_epochs", "'auto'", "[0, inf)", "Got -1"]),
    (
        dict(serializer=RowSerializer(max_prompt_tokens=7)),
        ["max_prompt_tokens", "[8, inf)", "Got 7"],
    ),
    (dict(codec=DigitCodec(low=5, high=1)), ["range is empty", "low=5", "high=1", "None"]),
    (dict(codec=DigitCodec(n_digits=9)), ["n_digits=9", "1,000,000", "fewer digits"]),
    (dict(serializer=RowSerializer("{sise}")), ["'sise'", "Did you mean 'size'", "'words'"]),
]


@pytest.mark.parametrize(("params", "pieces"), PARAMETER_ERRORS, ids=lambda value: str(value)[:50])
def test_illegal_parameters_raise_with_value_and_remedy(params, pieces, table, quick_fit):
    with pytest.raises(ValueError) as error:
        quick_fit(table.X, table.y, **params)
    for piece in pieces:
        assert piece in str(error.value)


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_a_device_that_is_not_there_raises_in_fit_and_warns_in_predict(
    kind, table, fitted, predictions, quick_fit, tmp_path
):
    if resolve_device("auto").type == kind:
        pytest.skip("this machine has one")
    said = f"was asked for.*no {kind.upper()}.*device='auto'"
    with pytest.raises(ValueError, match=f"device='{kind}:0' {said}"):
        quick_fit(table.X, table.y, device=f"{kind}:0")
    model = copy.copy(fitted).set_params(device=kind)
    model.save(tmp_path / "saved")
    for one in (model, LLMRegressor.load(tmp_path / "saved")):
        with pytest.warns(UserWarning, match=f"device='{kind}' {said}"):
            found = one.predict(table.X)
        np.testing.assert_array_equal(found, predictions)
