"""Objects as JSON and arrays: everything legal comes back, everything else is refused."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    Normalizer,
)

from llmreg import GRPO, Device, DigitCodec, LLMRegressor, PretrainedModel, RowSerializer
from llmreg.persistence.record import dump, load, parse


def through_a_file(value):
    """As a stranger would read it: nothing but JSON text and safetensors bytes."""
    structure, arrays = dump(value, "object")
    text = json.dumps(structure, allow_nan=False)
    return load(parse(text.encode(), "text"), load_arrays(save_arrays(arrays)))


PLAIN = [
    None, True, 3, -(2**70), 0.1, -0.0, "", "ä\ud800", [], (), {}, set(),
    frozenset({1}),
    [1, [2.5, ("a", None)]], {"a": 1, "b": {"c": (1,)}}, {1: "a", (2, "b"): [3], None: 4, 2.5: 5},
    {"tuple": [1]}, {3, 1, 2}, np.float64, np.int32, np.bool_, range(0, 101, 5), list(range(30)),
    [True] * 20, ["a", "ä\ud800", ""] * 10, [2**70] * 20, {f"{i}": i for i in range(30)},
    {i: f"{i}" for i in range(30)},
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_values_come_back_equal_and_of_the_same_type(value):
    again = through_a_file(value)
    assert again == value and type(again) is type(value)
    assert repr(again) == repr(value) or isinstance(value, set | frozenset)


def test_numbers_that_json_lacks():
    again = through_a_file([math.nan, math.inf, -math.inf])
    assert math.isnan(again[0]) and again[1:] == [math.inf, -math.inf]


ARRAYS = [
    np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.array(2.5),
    np.arange(12, dtype=np.int16).reshape(3, 4)[:, ::2], np.zeros((0, 4), np.float32),
    np.array([True, False]), np.array([1.5, np.nan, -np.inf], np.float16),
    np.array([1, "a", None, 2.5, (1, 2)], dtype=object),
    np.array([], dtype=object), np.arange(3, dtype=np.uint64) + 2**63,
]  # fmt: skip


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays_keep_values_dtype_shape_and_order_in_memory(array):
    before = array.copy(order="K")
    again = through_a_file(array)
    assert again.dtype == array.dtype and again.shape == array.shape
    np.testing.assert_array_equal(again, array)
    np.testing.assert_array_equal(array, before)
    if array.ndim > 1 and array.flags.f_contiguous:
        assert again.flags.f_contiguous


SCALARS = [
    np.float32(0.1), np.int64(-3), np.bool_(True), np.float64("nan"), np.float16(0.5),
]  # fmt: skip


@pytest.mark.parametrize("scalar", SCALARS, ids=repr)
def test_numpy_scalars_keep_their_type(scalar):
    again = through_a_file(scalar)
    assert type(again) is type(scalar) and again.dtype == scalar.dtype
    np.testing.assert_array_equal(again, scalar)


def test_a_vocabulary_is_stored_as_an_array():
    vocabulary = {f"word{i}": np.int64(i) for i in range(1000)}
    structure, arrays = dump(vocabulary, "words")
    assert len(arrays) == 3 and len(json.dumps(structure)) < 100
    assert load(structure, arrays) == vocabulary


def test_random_states_go_on_with_the_same_numbers():
    state = np.random.RandomState(3)
    state.randn(5)  # an odd count: one normal number is kept for later
    again = through_a_file(state)
    np.testing.assert_array_equal(again.randn(7), state.randn(7))


TEXTS = ["red house", "old red barn", "new house by the lake", "blue barn"]


def test_fitted_estimators_of_scikit_learn_give_the_same_numbers():
    model = make_pipeline(TfidfVectorizer(min_df=1), TruncatedSVD(2, random_state=0)).fit(TEXTS)
    np.testing.assert_array_equal(through_a_file(model).transform(TEXTS), model.transform(TEXTS))
    hashing = HashingVectorizer(n_features=16, dtype=np.float32)
    assert through_a_file(hashing).get_params() == hashing.get_params()
    both = FeatureUnion([("words", CountVectorizer()), ("scaled", make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3)), MaxAbsScaler(), Normalizer()
    ))]).fit(TEXTS)  # fmt: skip
    matrix = both.transform(TEXTS).toarray()
    np.testing.assert_array_equal(through_a_file(both).transform(TEXTS).toarray(), matrix)


def test_our_own_estimators_keep_parameters_and_what_they_learnt(table):
    serializer = RowSerializer(column_kinds={"city": "text"}).fit(table.X, table.y)
    again = through_a_file(serializer)
    np.testing.assert_array_equal(again.transform(table.X), serializer.transform(table.X))
    assert again.plans_ == serializer.plans_
    codec = DigitCodec(scale="log").fit(table.y)
    np.testing.assert_array_equal(through_a_file(codec).edges_, codec.edges_)
    model = LLMRegressor(
        PretrainedModel("owner/name", revision="v1"), GRPO(reward="mse"), random_state=3,
        adapters=4, device=Device(dtype="float64"),
    )  # fmt: skip
    again = through_a_file(model)
    assert repr(again) == repr(model) and again.get_params().keys() == model.get_params().keys()


def test_configurations_of_transformers_and_peft_come_back():
    import peft
    import torch
    from transformers import BitsAndBytesConfig, LlamaConfig

    config = LlamaConfig(hidden_size=32, num_attention_heads=4, attn_implementation="eager")
    again = through_a_file(config)
    assert type(again) is LlamaConfig and again.to_dict() == config.to_dict()
    assert again._attn_implementation == "eager"
    for lora in (
        peft.LoraConfig(
            r=4, use_dora=True, target_modules=["q_proj", "v_proj"], rank_pattern={"q_proj": 2},
            task_type="CAUSAL_LM", init_lora_weights="pissa", layers_to_transform=[0, 1],
        ),
        peft.IA3Config(target_modules="all-linear", feedforward_modules=["mlp.down_proj"]),
        peft.LoHaConfig(r=3, alpha=2), peft.OFTConfig(oft_block_size=4), peft.LNTuningConfig(),
    ):  # fmt: skip
        again = through_a_file(lora)
        assert type(again) is type(lora) and again.to_dict() == lora.to_dict()
    four_bit = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16)
    assert through_a_file(four_bit).to_dict() == four_bit.to_dict()


class Stranger:
    pass


class StrangeEstimator(TfidfVectorizer):
    pass


ILLEGAL = {
    "reward": (GRPO(reward=lambda samples, y: -abs(samples - y)), r"model\.reward is a .*function"),
    "user's class": ({"a": [0, Stranger()]}, r"model\['a'\]\[1\] is a \S*test_record\.Stranger"),
    "user's estimator": (StrangeEstimator(), r"is a \S*test_record\.StrangeEstimator"),
    "another estimator": (FunctionTransformer(np.log), "FunctionTransformer.*saving.md lists"),
    "lambda inside": (TfidfVectorizer(analyzer=lambda text: text), r"model\.analyzer is a"),
    "generator": (np.random.default_rng(0), "is a numpy.random"),
    "module": (math, "is a builtins.module"),
    "structured array": (np.zeros(2, dtype=[("a", "f8")]), "an array of"),
    "complex array": (np.zeros(2, complex), "an array of complex128"),
    "dates": (np.array(["2020-01-01"], "M8[D]"), "an array of datetime64"),
    "strings": (np.array(["a"]), "an array of <U1"),
    "table": (pd.DataFrame({"a": [1]}), "DataFrame"),
    "bytes": (b"x", "builtins.bytes"),
    "dict's child": (type("Odd", (dict,), {})(), "Odd"),
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_what_is_not_on_the_list_is_named_with_its_place_and_a_remedy(name):
    value, message = ILLEGAL[name]
    with pytest.raises(TypeError, match=message) as error:
        dump(value, "model")
    assert "Use pickle or joblib" in str(error.value) and len(str(error.value)) < 500


def test_an_object_that_contains_itself_is_refused():
    circle = [1]
    circle.append({"again": circle})
    with pytest.raises(ValueError, match=r"object\[1\]\['again'\] contains itself"):
        dump(circle, "object")
    twice = [0]
    assert through_a_file([twice, twice]) == [[0], [0]]  # shared is not circular


def test_what_reads_files_or_keeps_pickles_does_not_travel(tmp_path):
    for part in (
        make_pipeline(TfidfVectorizer(), memory=str(tmp_path)), TfidfVectorizer(input="filename"),
        CountVectorizer(token_pattern=r"(a+)+$"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"in a saved model|don't fit one another"):
            dump(part, "model")


MALICIOUS = [
    "os.system", "subprocess.Popen", "builtins.eval", "llmreg.persistence.record.np",
    "SVR", "np", "Method",
    "llmreg", "sklearn.utils.Bunch", "sklearn.os", "llmreg.lm.backbone.NumberLM",
    "llmreg.prompts.cell_prompts.replace", "llmreg.prompts.cells.TruncatedSVD",
    "llmreg.prompts..cells.CellFeaturizer", "llmreg.nothing.Here",
    "joblib.memory.Memory", "sklearnish.Estimator", "torch.nn.modules.linear.Linear",
]  # fmt: skip


@pytest.mark.parametrize("name", MALICIOUS)
def test_a_file_cannot_name_classes_of_its_own_choice(name, monkeypatch):
    import os

    monkeypatch.setattr(os, "system", lambda command: pytest.fail("ran a command"))
    with pytest.raises(ValueError, match=f"names the class '{name}'"):
        load([{"object": [name, {"command": "true"}]}], {})


MALFORMED = [
    {"pickle": "gASVAAAA"}, {"tuple": 5}, {"a": 1, "b": 2}, {}, {"array": ["gone", False]},
    {"array": "x"}, {"float": "1"}, {"dict": [1]}, {"items": [[1, 2], [3]]}, {"items": [[[]], [3]]},
    {"type": "load"}, {"type": "savetxt"}, {"type": "eval"}, {"scalar": ["load", 1]},
    {"scalar": ["float64", "x"]}, {"range": [0, 1, 0]}, {"range": ["a"]}, {"whole": "gone"},
    {"config": ["os", "system", {"dict": {}}]}, {"config": ["transformers", "pipeline", {}]},
    {"config": ["transformers", "LlamaForCausalLM", {"dict": {}}]},
    {"config": ["peft", "PeftModel", {"dict": {}}]}, {"config": ["peft", "PeftConfig", []]},
    {"object": ["DigitCodec"]}, {"object": [5, {}]}, {"object": ["DigitCodec", [1]]},
    {"RandomState": 5}, {"objects": 5}, {"object": [["DigitCodec"], {}]},
]  # fmt: skip


@pytest.mark.parametrize("structure", MALFORMED, ids=lambda structure: json.dumps(structure)[:60])
def test_malformed_files_are_errors_that_say_so(structure):
    with pytest.raises(ValueError, match=r"it holds what can't be restored: \S"):
        load(structure, {})


def test_deep_nesting_is_an_error_and_not_a_crash():
    structure = 1
    for _ in range(50_000):
        structure = [structure]
    with pytest.raises(ValueError, match="can't be restored"):
        load(structure, {})


def test_arrays_are_used_once_and_texts_fit_their_lengths():
    numbers = np.arange(3.0)
    with pytest.raises(ValueError, match="used twice"):
        load([{"array": ["a", False]}, {"array": ["a", False]}], {"a": numbers})
    text = np.frombuffer(b"abc", np.uint8)
    for lengths in ([5], [-1, 4], [2], [2**62, 2**62]):
        with pytest.raises(ValueError, match="don't fit"):
            load({"texts": ["t", "n"]}, {"t": text, "n": np.array(lengths)})


@pytest.mark.parametrize("text", [
    b'{"a": 1, "a": 2}', b"[NaN]", b"[-Infinity]", b"[" * 100_000, b"9" * 10_000, b"{", b"\xff",
])  # fmt: skip
def test_json_of_strangers_has_each_key_once_and_only_numbers(text):
    with pytest.raises(ValueError, match=r"x\.json is damaged"):
        parse(text, "x.json")


def test_json_of_strangers_has_a_bounded_number_of_entries():
    with pytest.raises(ValueError, match=r"x\.json has 2,000,002 entries, more than the 1,000,000"):
        parse(b"[" + b"{}," * 10**6 + b"{}]", "x.json")
