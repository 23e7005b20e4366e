"""Objects as JSON and arrays: everything legal comes back, everything else is refused."""

import copy
import json
import math

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from llmreg import GRPO, DigitCodec, LLMRegressor, RowSerializer
from llmreg.persistence.archive import dump, load


def through_a_file(value):
    """As a stranger would read it: nothing but JSON text and safetensors bytes."""
    structure, arrays = dump(value)
    text = json.dumps(structure, allow_nan=False)
    return load(json.loads(text), load_arrays(save_arrays(arrays)))


PLAIN = [
    None, True, 3, -(2**70), 0.1, -0.0, "", "ä\ud800", b"\x00\xff", [], (), {}, set(),
    frozenset({1}),
    [1, [2.5, ("a", None)]], {"a": 1, "b": {"c": (1,)}}, {1: "a", (2, "b"): [3], None: 4, 2.5: 5},
    {"tuple": [1]}, {3, 1, 2}, np.float64, np.int32, str, float, np.dtype("<f4"),
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
    np.arange(3, dtype=">i4"),
    np.array(["2020-01-01", "NaT"], "M8[D]"), np.array([90], "m8[s]"), np.array([["a", "bcd"]]),
    np.array([b"x"]), np.array([1, "a", None, 2.5, (1, 2)], dtype=object),
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
    np.float32(0.1), np.int64(-3), np.bool_(True), np.str_("a"), np.datetime64("2020-01-01", "ns"),
    np.float64("nan"),
]  # fmt: skip


@pytest.mark.parametrize("scalar", SCALARS, ids=repr)
def test_numpy_scalars_keep_their_type(scalar):
    again = through_a_file(scalar)
    assert type(again) is type(scalar) and again.dtype == scalar.dtype
    np.testing.assert_array_equal(again, scalar)


def test_a_vocabulary_is_stored_as_an_array():
    vocabulary = {f"word{i}": np.int64(i) for i in range(1000)}
    structure, arrays = dump(vocabulary)
    assert len(arrays) == 1 and len(json.dumps(structure)) < 20 * len(vocabulary)
    again = load(structure, arrays)
    assert again == vocabulary and {type(i) for i in again.values()} == {np.int64}


def test_random_states_go_on_with_the_same_numbers():
    state = np.random.RandomState(3)
    state.randn(5)  # an odd count: one normal number is kept for later
    again = through_a_file(state)
    np.testing.assert_array_equal(again.randn(7), state.randn(7))


def test_tables_come_back():
    frame = pd.DataFrame(
        {
            "stage": ["sft", None],
            "loss": [0.5, np.nan],
            "kept": [True, False],
            "n": pd.array([1, None], dtype="Int64"),
            "o": np.array([1, "a"], dtype=object),
            "when": pd.to_datetime(["2020-01-01", "2021-01-01"]),
        }
    )
    for table in (frame, frame.iloc[:0], frame.set_index("loss"), pd.DataFrame()):
        again = through_a_file(table)
        pd.testing.assert_frame_equal(again, table)
        assert type(again.index) is type(table.index)
    series = pd.Series([1.5, 2], index=["a", "b"], name="y")
    pd.testing.assert_series_equal(through_a_file(series), series)
    pd.testing.assert_index_equal(through_a_file(series.index), series.index)
    assert through_a_file(pd.NA) is pd.NA and through_a_file(pd.NaT) is pd.NaT


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array])
def test_sparse_matrices_come_back(kind):
    matrix = kind(np.array([[0, 1.5, 0], [2, 0, 0]]))
    again = through_a_file(matrix)
    assert type(again) is kind
    np.testing.assert_array_equal(again.toarray(), matrix.toarray())


TEXTS = ["red house", "old red barn", "new house by the lake", "blue barn"]


def test_fitted_estimators_of_scikit_learn_give_the_same_numbers():
    model = make_pipeline(TfidfVectorizer(min_df=1), TruncatedSVD(2, random_state=0)).fit(TEXTS)
    np.testing.assert_array_equal(through_a_file(model).transform(TEXTS), model.transform(TEXTS))
    hashing = HashingVectorizer(n_features=16, dtype=np.float32)
    assert through_a_file(hashing).get_params() == hashing.get_params()


def test_our_own_estimators_keep_parameters_and_what_they_learnt(table):
    serializer = RowSerializer(column_kinds={"city": "text"}).fit(table.X, table.y)
    again = through_a_file(serializer)
    np.testing.assert_array_equal(again.transform(table.X), serializer.transform(table.X))
    assert again.plans_ == serializer.plans_
    codec = DigitCodec(scale="log").fit(table.y)
    np.testing.assert_array_equal(through_a_file(codec).edges_, codec.edges_)
    model = LLMRegressor(fit_method=GRPO(reward="mse"), random_state=3, target_modules=["q_proj"])
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
    lora = peft.LoraConfig(
        r=4, use_dora=True, target_modules=["q_proj", "v_proj"], rank_pattern={"q_proj": 2},
        task_type="CAUSAL_LM", init_lora_weights="loftq", loftq_config=peft.LoftQConfig(),
    )  # fmt: skip
    lora = copy.deepcopy(lora)
    again = through_a_file(lora)
    assert again == lora and isinstance(again.target_modules, set)
    assert isinstance(through_a_file(peft.EvaConfig(rho=3.0)), peft.EvaConfig)
    four_bit = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16)
    assert through_a_file(four_bit).to_dict() == four_bit.to_dict()
    assert through_a_file({"dtype": torch.bfloat16}) == {"dtype": torch.bfloat16}


class Stranger:
    pass


class StrangeEstimator(TfidfVectorizer):
    pass


ILLEGAL = {
    "reward": (GRPO(reward=lambda samples, y: -abs(samples - y)), r"model\.reward is a .*function"),
    "user's class": ({"a": [0, Stranger()]}, r"model\['a'\]\[1\] is a test_archive\.Stranger"),
    "user's estimator": (StrangeEstimator(), "is a test_archive.StrangeEstimator"),
    "function inside": (FunctionTransformer(np.log), r"model\.func is a numpy\.ufunc"),
    "lambda inside": (TfidfVectorizer(analyzer=lambda text: text), r"model\.analyzer is a"),
    "generator": (np.random.default_rng(0), "is a numpy.random"),
    "module": (math, "is a builtins.module"),
    "structured array": (np.zeros(2, dtype=[("a", "f8")]), "dtype"),
    "complex array": (np.zeros(2, complex), "dtype complex128"),
    "categories": (pd.DataFrame({"a": pd.Categorical(["x"])}), "Categorical"),
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
        dump(circle)
    twice = [0]
    assert through_a_file([twice, twice]) == [[0], [0]]  # shared is not circular


def test_a_cache_on_the_disk_does_not_travel(tmp_path):
    pipeline = make_pipeline(TfidfVectorizer(), memory=str(tmp_path))
    with pytest.raises(ValueError, match="keeps pickles on the disk"):
        dump(pipeline)
    structure, arrays = dump(pipeline.set_params(memory=None))
    structure["object"][1]["memory"] = str(tmp_path)
    with pytest.raises(ValueError, match="keeps pickles on the disk"):
        load(structure, arrays)


MALICIOUS = [
    "os.system", "subprocess.Popen", "builtins.eval", "llmreg.persistence.archive.importlib",
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
        load({"list": [{"object": [name, {"command": "true"}]}]}, {})


MALFORMED = [
    {"pickle": "gASVAAAA"}, {"tuple": 5}, {"a": 1, "b": 2}, {}, [1],
    {"array": ["<f8", "C", "gone"]},
    {"array": ["nonsense", "C", "x"]}, {"float": "1"}, {"bytes": "?"}, {"dict": [1]},
    {"items": [[1, 2], [3]]}, {"numpy type": "load"}, {"numpy type": "savetxt"}, {"type": "eval"},
    {"torch dtype": "load"}, {"config": ["os", "system", {"dict": {}}]},
    {"config": ["transformers", "pipeline", {"dict": {}}]},
    {"config": ["transformers", "LlamaForCausalLM", {"dict": {}}]},
    {"config": ["peft", "PeftModel", {"dict": {}}]}, {"missing": "x"},
    {"sparse": ["eye", [2, 2]]}, {"object": ["llmreg.numbers.codecs.DigitCodec"]},
    {"object": [5, {}]}, {"object": ["llmreg.numbers.codecs.DigitCodec", [1]]},
    {"Index": [{"cells": ["interval", []]}, None]},
]  # fmt: skip


@pytest.mark.parametrize("structure", MALFORMED, ids=lambda structure: json.dumps(structure)[:60])
def test_malformed_files_are_errors_that_say_so(structure):
    with pytest.raises(ValueError, match=r"The saved object can't be restored: \S"):
        load(structure, {})


def test_deep_nesting_is_an_error_and_not_a_crash():
    structure = 1
    for _ in range(50_000):
        structure = {"list": [structure]}
    with pytest.raises(ValueError, match="can't be restored"):
        load(structure, {})
