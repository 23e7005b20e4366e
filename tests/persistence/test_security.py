"""Saved folders as strangers might make them: refused with a clear error, quickly, in little room.

Nothing runs code, opens a file outside the folder, or asks the network.
"""

import json
import os
import random
import resource
import shutil
import socket
import sys
import time

import numpy as np
import pytest
from hostile import change_model, change_record, fitted_parts, model_parts, seal
from peft import LoraConfig
from safetensors.numpy import load_file, save_file
from sklearn.feature_extraction.text import CountVectorizer

from llmreg import LLMRegressor, PretrainedModel
from llmreg.persistence.record import dump

pytestmark = pytest.mark.security

MOST_SECONDS, MOST_BYTES = 5.0, 200e6


@pytest.fixture(scope="module")
def saved(table, quick_fit, pretrained_folder, tmp_path_factory):
    """``saved(way)``: the folder of a saved model, made once."""
    ways = {
        "tiny": dict(fit_method="ce", estimates="both"),
        "LoRA": dict(model=PretrainedModel(pretrained_folder), fit_method="ce"),
        "tuned": dict(model=pretrained_folder, fit_method="ce", adapters=None),
        "head": dict(model=pretrained_folder, fit_method="pointwise"),
        "two": dict(fit_method="ce", estimates=None, n_estimators=2),
    }
    folders, root = {}, tmp_path_factory.mktemp("saved")

    def get(way):
        if way not in folders:
            folders[way] = root / way
            quick_fit(table.X, table.y, **ways[way]).save(folders[way])
        return folders[way]

    return get


@pytest.fixture
def folder(saved, tmp_path):
    """``folder(way)``: a copy of a saved model to be changed."""

    def copy(way):
        shutil.copytree(saved(way), tmp_path / way)
        return tmp_path / way

    return copy


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        pytest.fail("went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def refused(folder, match=None, **options):
    """The message with which a folder is refused, within the limits of time and memory."""
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((ValueError, OSError), match=match) as error:
        LLMRegressor.load(folder, **options)
    assert time.process_time() - start < MOST_SECONDS
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MOST_BYTES
    message = str(error.value)
    assert str(folder) in message and len(message) < 3000
    return message


def change_json(folder, name, **changes):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    seal(folder)


def change_arrays(folder, change, name="arrays.safetensors"):
    arrays = load_file(folder / name)
    change(arrays)
    save_file(arrays, folder / name, metadata={"format": "pt"})
    seal(folder)


def found(structure, name):
    """All objects of a class within a structure, as dicts of their attributes' structures."""
    if isinstance(structure, dict):
        if "object" in structure and structure["object"][0] == name:
            yield structure["object"][1]
        structure = list(structure.values())
    if isinstance(structure, list):
        for part in structure:
            yield from found(part, name)


def change_object(folder, name, **changes):
    """Change attributes of the first object of a class."""

    def change(record):
        state = next(found(record["state"], name))
        for attribute, structure in changes.items():
            state[attribute] = structure

    change_record(folder, change)


# -- what would run code ---------------------------------------------------------------------

ADAPTERS = {
    "megatron": {"megatron_core": "evil", "megatron_config": {"dict": {"a": 1}}},
    "mapping": {"auto_mapping": {"dict": {"base_model_class": "x", "parent_library": "evil"}}},
    "kind": {"peft_type": "../evil"},
    "loftq": {"init_lora_weights": "loftq", "loftq_config": {"dict": {}}},
    "eva": {"init_lora_weights": "eva", "eva_config": {"dict": {}}},
    "corda": {"init_lora_weights": "corda", "corda_config": {"dict": {"cache_file": "/etc/x"}}},
    "arrow": {"arrow_config": {"dict": {}}},
    "replication": {"layer_replication": [[0, 1]] * 3000},
    "regex": {"target_modules": "(a+)+$"},
    "regexes": {"target_modules": ["(.*)*x"]},
    "pattern": {"rank_pattern": {"dict": {"(a+)+$": 3}}},
    "many names": {"target_modules": ["q_proj"] * 5000},
    "rank": {"r": 3_000_000},
    "ranks": {"rank_pattern": {"dict": {"q_proj": 3_000_000}}},
    "huge rank": {"r": 10**40},
    "negative rank": {"r": -4},
    "unknown": {"run_this": "evil"},
    "revision": {"base_model_name_or_path": "evil/model"},
    "modules": {"modules_to_save": ["embed_tokens"]},
}


@pytest.mark.parametrize("case", ADAPTERS)
def test_adapters_of_strangers(case, folder):
    path = folder("LoRA")

    def change(record):
        model_parts(record)["adapters"]["config"][2]["dict"].update(ADAPTERS[case])

    change_record(path, change)
    refused(path)
    assert "evil" not in sys.modules


@pytest.mark.parametrize(
    "kind", ["PromptTuningConfig", "XLoraConfig", "VeraConfig", "EvaConfig", "PeftConfig", "X"]
)
def test_other_kinds_of_adapters(kind, folder):
    path = folder("LoRA")
    change_model(path, adapters={"config": ["peft", kind, {"dict": {}}]})
    refused(path)


@pytest.mark.parametrize("value", [None, 0, "no", [], True, 1, {"dict": {}}, ""], ids=repr)
@pytest.mark.parametrize("place", ["source", "parameter"])
def test_code_needs_consent_unless_the_answer_is_false(value, place, folder):
    path = folder("LoRA")

    def change(record):
        source = model_parts(record)["source"]["dict"]
        given = record["state"]["model"]["object"][1]
        (source if place == "source" else given)["trust_remote_code"] = value

    change_record(path, change)
    # A parameter that is neither True nor False is refused as such.
    needed = "trust_remote_code" + "=True" * (place == "source" or value is True)
    assert needed in refused(path)


ARGUMENTS = [
    {"attn_implementation": "evil/kernel"}, {"attn_implementation": "evil/kernel:forward"},
    {"attn_implementation": {"dict": {"": "evil/kernel"}}}, {"attn_implementation": 5},
    {"weights_only": False}, {"trust_remote_code": True}, {"kernel_config": "x"},
    {"use_kernels": True}, {"custom_generate": "evil/x"}, {"cache_dir": "/tmp/elsewhere"},
    {"offload_folder": "/tmp/elsewhere"}, {"subfolder": "../../etc"}, {"gguf_file": "/etc/passwd"},
    {"variant": "../x"}, {"quantization_config": {"dict": {"quant_method": "hqq"}}},
    {"quantization_config": {"config": ["transformers", "TorchAoConfig", {"dict": {}}]}},
    {"quantization_config": {"config": ["transformers", "GPTQConfig", {"dict": {"bits": 4}}]}},
    {"adapter_kwargs": {"dict": {}}}, {"key_mapping": {"dict": {}}}, {"state_dict": None},
]  # fmt: skip


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
@pytest.mark.parametrize("place", ["source", "parameter"])
def test_arguments_of_strangers_are_not_handed_on(arguments, place, folder, monkeypatch):
    monkeypatch.setattr("llmreg.lm.loading.hub.load_lm", lambda *args: pytest.fail("loaded it"))
    path = folder("LoRA")

    def change(record):
        source = model_parts(record)["source"]["dict"]
        given = record["state"]["model"]["object"][1]
        (source if place == "source" else given)["model_kwargs"] = {"dict": arguments}

    change_record(path, change)
    refused(path)


SETTINGS = [
    {"num_hidden_layers": 3}, {"vocab_size": 10**9}, {"hidden_size": -128}, {"hidden_size": 1e308},
    {"num_hidden_layers": True}, {"use_cache": 1}, {"tie_word_embeddings": None}, {"head_dim": 64},
    {"model_type": 5}, {"architectures": None}, {"no_such_setting": 1}, {"low_cpu_mem_usage": True},
    {"is_quantized": True}, {"use_mamba_kernels": True}, {"load_in_8bit": True}, {"from_tf": True},
    {"num_hidden_layers": "1"}, {"rope_parameters": {"dict": {"rope_theta": 1}}}, {"__class__": 1},
    {"num_hidden_layers": {"float": "nan"}}, {"output_loading_info": True}, {"dtype": None},
]  # fmt: skip


@pytest.mark.parametrize("arguments", SETTINGS, ids=str)
@pytest.mark.parametrize("place", ["source", "parameter"])
@pytest.mark.parametrize("way", ["LoRA", "tuned"])
def test_settings_that_are_none_or_larger(arguments, place, way, folder, saved, monkeypatch):
    path = folder(way)
    monkeypatch.setattr("llmreg.lm.loading.hub.load_lm", lambda *args: pytest.fail("loaded it"))

    def change(record):
        source = model_parts(record)["source"]
        if place == "source" and source is not None:
            source["dict"]["model_kwargs"] = {"dict": arguments}
        model = {"source": str(path), "token": None, "model_kwargs": {"dict": arguments}}
        given = record["state"]["model"]
        if isinstance(given, dict):
            given["object"][1].update(model_kwargs={"dict": arguments})
        else:
            defaults = dump(PretrainedModel("a/b"), "model")[0]
            defaults["object"][1].update(model)
            record["state"]["model"] = defaults

    change_record(path, change)
    assert "model_kwargs" in refused(path)


CONFIGS = {
    "kernel": {"attn_implementation": "evil/kernel"},
    "kernel, private": {"_attn_implementation": "evil/kernel"},
    "kernel config": {"kernel_config": {"kernel_mapping": {}}},
    "code": {"auto_map": {"AutoModelForCausalLM": "evil--modeling.Evil"}},
    "pipelines": {"custom_pipelines": {"x": {"impl": "evil.Evil"}}},
    "quantised": {"quantization_config": {"quant_method": "hqq"}},
    "weights elsewhere": {"transformers_weights": "../../x.safetensors"},
    "fusion": {"fusion_config": {"patch_embeddings": True}},
    "width": {"hidden_size": 10**6, "head_dim": 10**6},
    "width beyond all": {"hidden_size": 10**30},
    "vocabulary": {"vocab_size": 10**7},
    "layers": {"num_hidden_layers": 3000},
    "layers beyond all": {"num_hidden_layers": 10**9},
    "inner width": {"intermediate_size": 10**7},
    "heads": {"num_attention_heads": 0},
    "negative": {"hidden_size": -64},
    "activation": {"hidden_act": "evil"},
    "text": {"hidden_size": "64"},
    "rotations": {"rope_parameters": {"rope_type": "evil", "rope_theta": 1.0}},
    "nothing": {"vocab_size": None},
}


@pytest.mark.parametrize("case", CONFIGS)
def test_configurations_of_strangers(case, folder):
    path = folder("tuned")
    change_json(path, "config.json", **CONFIGS[case])
    refused(path)


@pytest.mark.parametrize("case", ["kernel", "code", "quantised", "layers beyond all", "fusion"])
def test_a_configuration_as_the_parameter_model(case, folder):
    path = folder("tiny")
    structure, _ = dump(CONFIGS[case], "x")
    config = {"config": ["transformers", "LlamaConfig", structure]}
    change_record(path, lambda record: record["state"].update(model=config))
    refused(path)


@pytest.mark.parametrize(
    "kind", ["os.system", "AutoModelForCausalLM", "pipeline", "LlamaModel", "GPT2LMHeadModel", 5]
)
def test_the_class_of_the_weights(kind, folder):
    path = folder("tuned")
    change_model(path, **{"class": kind})
    refused(path)


@pytest.mark.parametrize("layers", ["(a+)+$", ".*", ["(.*)*x"], ["q_proj"] * 5000, {"tuple": []}])
def test_layers_are_named_and_not_searched_for(layers, folder):
    path = folder("LoRA")
    config = {"config": ["peft", "LoraConfig", {"dict": {"target_modules": layers}}]}
    change_record(path, lambda record: record["state"].update(adapters=config))
    refused(path, "target_modules")


def test_regular_expressions_are_refused_when_saving(table, quick_fit, pretrained_folder, tmp_path):
    adapters = LoraConfig(target_modules=r".*\.q_proj")
    model = quick_fit(table.X, table.y, model=pretrained_folder, fit_method="ce", adapters=adapters)
    with pytest.raises(
        (TypeError, ValueError), match=r"target_modules='.*q_proj'.*Use pickle, or.*lists of layers"
    ):
        model.save(tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_pretrained_model_does_not_bring_kernels(pretrained_folder, tmp_path, table):
    shutil.copytree(pretrained_folder, tmp_path / "base")
    config = json.loads((tmp_path / "base" / "config.json").read_text())
    for name in ("attn_implementation", "_attn_implementation"):
        text = json.dumps(config | {name: "evil/kernel"})
        (tmp_path / "base" / "config.json").write_text(text)
        model = LLMRegressor(model=str(tmp_path / "base"), fit_method="ce", sft_epochs=1)
        try:
            model.fit(table.X, table.y)
        except ValueError as error:
            assert "evil/kernel" in str(error) and "trust_remote_code" in str(error)
        else:  # transformers does not read it
            assert model.model_.transformer.config._attn_implementation != "evil/kernel"


def test_a_tokenizer_of_strangers(folder):
    path = folder("tuned")
    change_json(path, "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Evil", None]})
    refused(path, "auto_map")
    path = folder("tiny")
    change_json(
        path, "tokenizer_config.json", tokenizer_class="EvilTokenizer", vocab_file="/etc/passwd",
        tokenizer_file="/etc/passwd", name_or_path="evil/model",
    )  # fmt: skip
    LLMRegressor.load(path)  # none of these is read


def test_adapters_beside_whole_weights_are_not_read(folder, table):
    path = folder("tuned")
    expected = LLMRegressor.load(path).predict(table.X)
    config = {"peft_type": "LORA", "base_model_name_or_path": "evil/model"}
    (path / "adapter_config.json").write_text(json.dumps(config))
    (path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    (path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../x"}}')
    np.testing.assert_array_equal(LLMRegressor.load(path).predict(table.X), expected)


@pytest.mark.parametrize("name", ["evil", "os.system", "LlamaForCausalLM", "TextPrompts", None, []])
def test_classes_and_parts_of_other_names(name, folder):
    path = folder("tiny")
    change_record(path, lambda record: record.update({"class": name}))
    refused(path)
    change_record(path, lambda record: record.update({"class": "LLMRegressor"}))
    change_record(path, lambda record: fitted_parts(record).update(codec={"object": [name, {}]}))
    refused(path)


# -- what would take memory, time, or the process down ---------------------------------------

OBJECTS = {
    "levels": ("RowFeatures", {"levels_": [{"dict": {"a": -(10**6)}}]}),
    "frequent levels": ("RowFeatures", {"frequent_": [[1, 2]]}),
    "a pattern": ("TfidfVectorizer", {"token_pattern": "(a+)+$"}),
    "files as texts": ("TfidfVectorizer", {"input": "filename"}),
    "an analyser": ("TfidfVectorizer", {"analyzer": {"object": ["Ridge", {}]}}),
    "a preprocessor": ("TfidfVectorizer", {"preprocessor": "os.system"}),
    "an encoding": ("TfidfVectorizer", {"decode_error": 5}),
    "a vocabulary": ("TfidfVectorizer", {"vocabulary_": {"dict": {"a": 10**9}}}),
    "a shadowed method": ("TunedKernelRidge", {"predict": 5}),
    "an odd attribute": ("BoostedTrees", {"evil": 5}),
    "depth": ("BoostedTrees", {"depth_": 10**9}),
    "columns beyond": ("TunedKernelRidge", {"blocks": [[1], [1], [1]]}),
    "blocks without end": ("TunedKernelRidge", {"blocks": [[2**40], [1], [1]]}),
    "digits": ("DigitCodec", {"n_digits": 20}),
    "no ends": ("DigitCodec", {"edges_": {"objects": []}}),
    "heaps": ("DigitCodec", {"heaps_": None}),
    "slots": ("SlotLayout", {"n_soft": 10**9}),
    "slots in disorder": ("SlotLayout", {"n_numbers": -3}),
    "a format": ("RowSerializer", {"number_format": ".999999999f"}),
    "fields": ("RowSerializer", {"fields_": {"tuple": [{"tuple": ["size", ".999999f"]}]}}),
    "a plan": ("ColumnPlan", {"whole": {"object": ["Ridge", {}]}}),
    "estimates": ("RowEstimates", {"weights_": [1, 2]}),
    "no estimates": ("RowEstimates", {"features_": None}),
    "unfitted": ("RowEstimates", {"features_": {"object": ["RowFeatures", {}]}}),
}


@pytest.mark.parametrize("case", OBJECTS)
def test_objects_of_strangers(case, folder):
    path = folder("tiny")
    name, changes = OBJECTS[case]
    change_object(path, name, **changes)
    refused(path)


def test_trees_lead_to_nodes_that_are_there(folder):
    path = folder("tiny")
    for attribute in ("left_", "right_"):
        shutil.rmtree(path)
        folder("tiny")

        def change(arrays, attribute=attribute):
            name = next(n for n in arrays if n.partition("#")[0].endswith(f"].{attribute}"))
            arrays[name] = np.full_like(arrays[name], 10**6, dtype=np.int32)

        change_arrays(path, change)
        refused(path, "BoostedTrees")


STRUCTURES = {
    "broadcast": {"objects": [0] * 5, "shape": [10**9]},
    "old array": {"array": ["O", [10**9], ["x"]]},
    "sparse": {"sparse": ["csr_matrix", [2, 2], [1], [10**9], [0, 1, 1]]},
    "long range": {"range": [0, 10**12, 1]},
    "tuple of a range": {"tuple": {"range": [0, 10**9, 1]}},
    "array of a range": {"objects": {"range": [0, 10**9, 1]}},
    "set of a range": {"set": {"range": [0, 10**9, 1]}},
    "dict of ranges": {"items": [{"range": [0, 10**9, 1]}, {"range": [0, 10**9, 1]}]},
    "random state": {"RandomState": {"tuple": ["MT19937", [0] * 5, 2_000_000_000, 0, 0.0]}},
    "dtype": {"type": "object_"},
    "bytes": {"bytes": "AAAA"},
}


@pytest.mark.parametrize("case", STRUCTURES)
def test_structures_of_strangers(case, folder):
    path = folder("tiny")
    for part, key in ((fitted_parts, "mean"), (lambda record: record["state"], "model")):
        change_record(path, lambda record, p=part, k=key: p(record).update({k: STRUCTURES[case]}))
        refused(path)


def test_deep_structures(folder):
    path = folder("tiny")
    change_record(path, lambda record: fitted_parts(record).update(mean="here"))
    text = (path / "estimator.json").read_text()
    for depth in (300, 3000, 10**5):
        deep = '{"tuple": [' * depth + "1" + "]}" * depth
        (path / "estimator.json").write_text(text.replace('"here"', deep))
        seal(path)
        refused(path)


def test_a_random_state_goes_on_from_a_legal_place_only(folder, table, quick_fit, tmp_path):
    state = np.random.RandomState(3)
    quick_fit(table.X, table.y, fit_method="ce", estimates=None, random_state=state).save(
        tmp_path / "a"
    )
    LLMRegressor.load(tmp_path / "a").random_state.rand(700)

    def change(record):
        record["state"]["random_state"]["RandomState"]["tuple"][2] = 2_000_000_000

    change_record(tmp_path / "a", change)
    refused(tmp_path / "a", "RandomState")


@pytest.mark.parametrize("text", [
    b"[" * 10**6, b'{"format": 8, "state": ' + b"9" * 10**6 + b"}", b'{"format": NaN}',
    b'{"format": 8, "format": 8}', b"[" + b"{}," * 5 * 10**6 + b"1]", b" " * 10**8, b"",
    b"null", b"[]", b'"x"', b'{"format": 8}', b'{"format": "3"}', b"\xff\xfe",
], ids=lambda text: f"{len(text)} bytes {text[:12]!r}")  # fmt: skip
def test_records_of_strangers(text, folder):
    path = folder("tiny")
    (path / "estimator.json").write_bytes(text)
    seal(path)
    refused(path)


@pytest.mark.parametrize("way", ["tiny", "LoRA", "tuned", "head", "two"])
def test_every_entry_of_the_record_may_be_anything(way, folder):
    """Each entry of state and model in turn becomes something else: opened or refused, clearly."""
    path = folder(way)
    text = (path / "estimator.json").read_text()
    record, values = json.loads(text), [None, -1, "../x", [], {"dict": {}}, {"float": "nan"}]
    places = [("state", name) for name in record["state"] if name.endswith("_")]
    places += [("model", name) for name in model_parts(record)]
    places += [("fitted", name) for name in fitted_parts(record)]
    rng = random.Random(0)
    for group, name in rng.sample(places, min(16, len(places))):
        changed = json.loads(text)
        entries = {"state": changed["state"], "model": model_parts(changed)}
        entries["fitted"] = fitted_parts(changed)
        entries[group][name] = rng.choice(values)
        (path / "estimator.json").write_text(json.dumps(changed))
        seal(path)
        try:
            LLMRegressor.load(path)
        except (ValueError, OSError) as error:
            assert str(path) in str(error)


HEADERS = {
    "huge": b'{"a":{"dtype":"F64","shape":[1000000000],"data_offsets":[0,8]}}',
    "negative": b'{"a":{"dtype":"F64","shape":[-1],"data_offsets":[0,8]}}',
    "overflow": b'{"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,0]}}',
    "beyond": b'{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,80000000]}}',
    "objects": b'{"a":{"dtype":"O","shape":[1],"data_offsets":[0,8]}}',
    "no JSON": b"{" * 100,
}


@pytest.mark.parametrize("case", HEADERS)
@pytest.mark.parametrize(
    ("way", "name"),
    [("tiny", "arrays"), ("tiny", "cells"), ("tuned", "model"), ("LoRA", "adapter_model"),
     ("head", "heads"), ("two", "members")],
)  # fmt: skip
def test_arrays_are_backed_by_the_bytes_that_are_there(case, way, name, folder):
    path = folder(way)
    header = HEADERS[case]
    content = len(header).to_bytes(8, "little") + header + b"\0" * 8
    (path / f"{name}.safetensors").write_bytes(content)
    seal(path)
    refused(path)


@pytest.mark.parametrize(
    ("way", "name"),
    [("tiny", "cells"), ("tuned", "model"), ("LoRA", "adapter_model"), ("head", "heads"),
     ("two", "members")],
)  # fmt: skip
def test_weights_of_other_shapes(way, name, folder):
    path = folder(way)

    def change(arrays):
        first = next(n for n in arrays if arrays[n].ndim == 2)
        arrays[first] = np.zeros((3, 3), np.float32)

    change_arrays(path, change, f"{name}.safetensors")
    refused(path)


RECIPES = {
    "levels": ("cells", "n_levels", [10**9]),
    "negative levels": ("cells", "n_levels", [-5, 10]),
    "size": ("cells", "size", 10**8),
    "components": ("cells", "n_components", 10**9),
    "columns": ("cells", "n_columns", -1),
    "knots": ("cells", "n_knots", 10**9),
}


@pytest.mark.parametrize("case", RECIPES)
def test_cell_vectors_are_as_large_as_their_weights(case, folder):
    path = folder("tiny")
    part, name, value = RECIPES[case]
    change_record(path, lambda record: model_parts(record)[part]["dict"].update({name: value}))
    refused(path)


@pytest.mark.parametrize("changes", [
    {"hidden_size": 10**9}, {"kind": "evil"}, {"sizes": {"dict": {"vocabulary": 1, "size": 10**9}}},
    {"mean": "x"},
], ids=str)  # fmt: skip
def test_heads_are_as_large_as_their_weights(changes, folder):
    path = folder("head")
    change_record(
        path, lambda record: model_parts(record)["parts"]["dict"]["head"]["dict"].update(changes)
    )
    refused(path)


@pytest.mark.parametrize("changes", [
    {"symbol_ids": [10**6] * 10}, {"symbol_ids": [-1] * 10}, {"symbol_ids": []}, {"n_members": 3},
    {"n_members": 10**9}, {"dtype": "complex128"}, {"dtype": "load"}, {"folder": "../base"},
    {"folder": "/etc"}, {"packs": "yes"}, {"parts": {"dict": {"evil": {"dict": {}}}}},
    {"source": {"dict": {"name": "x"}}},
], ids=str)  # fmt: skip
def test_the_record_of_a_model_is_held_against_the_schema(changes, folder):
    path = folder("two")
    change_model(path, **changes)
    refused(path)


def test_a_vocabulary_is_bounded(folder):
    path = folder("tiny")
    (path / "tokenizer.json").write_bytes(b"[" + b"0," * 2_100_000 + b"0]")
    seal(path)
    refused(path, "tokenizer.json has more than")


# -- paths -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [
    "../x", "/etc/passwd", "base/../../x", "C:\\x", "a\\..\\b", "x\0y", "base/config.json/..", "",
    "estimator.json/", "./estimator.json", "SHA256SUMS",
], ids=repr)  # fmt: skip
def test_digests_name_files_of_a_model_alone(name, folder):
    path = folder("tiny")
    with open(path / "SHA256SUMS", "a") as file:
        file.write(f"{'0' * 64}  {name}\n")
    refused(path, "SHA256SUMS")


def test_links_do_not_lead_out_of_the_folder(folder, tmp_path):
    path = folder("tiny")
    for name in ("estimator.json", "model.safetensors", "SHA256SUMS"):
        (path / name).rename(tmp_path / name)
        (path / name).symlink_to(tmp_path / name)
        refused(path, "is a link to")
        (path / name).unlink()
        (tmp_path / name).rename(path / name)
    os.mkfifo(path / "pipe")
    (path / "cells.safetensors").unlink()
    (path / "cells.safetensors").symlink_to("pipe")
    refused(path, "missing")


def test_the_hub_keeps_a_snapshots_files_beside_it(folder, tmp_path):
    path = folder("tiny")
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshots").mkdir()
    path = path.rename(tmp_path / "snapshots" / ("0" * 40))
    for file in list(path.iterdir()):
        file.rename(tmp_path / "blobs" / file.name)
        file.symlink_to(f"../../blobs/{file.name}")
    LLMRegressor.load(path)


@pytest.mark.parametrize(
    "name",
    ["../x", "./x", "//server/share", "\\\\server\\share", "x\0", "~/x", "/a/../../etc"],
)
def test_the_base_is_on_the_hub_or_at_an_absolute_path(name, folder):
    path = folder("LoRA")
    change_record(path, lambda record: model_parts(record)["source"]["dict"].update(name=name))
    refused(path, r"source|null")


def test_a_saved_place_for_checkpoints_is_not_used(folder, tmp_path):
    path = folder("tiny")
    change_record(path, lambda r: r["state"].update(checkpoint_dir=str(tmp_path / "elsewhere")))
    assert LLMRegressor.load(path).checkpoint_dir is None


@pytest.mark.parametrize("device", ["evil", "cuda:x", "/dev/sda", 5, None, "meta"])
def test_devices_are_those_of_torch(device, folder):
    path = folder("tiny")
    change_record(path, lambda record: record["state"].update(device=device))
    refused(path, "device")


# -- damage ----------------------------------------------------------------------------------


@pytest.mark.parametrize("lines", [0, 1, 3])
def test_integrity_can_not_be_switched_off(lines, folder):
    path = folder("tiny")
    kept = (path / "SHA256SUMS").read_text().splitlines(keepends=True)[:lines]
    (path / "SHA256SUMS").write_text("".join(kept))
    refused(path)
    (path / "SHA256SUMS").unlink()
    refused(path, "SHA256SUMS")


def test_files_that_are_not_the_models_are_not_read(folder, table):
    path = folder("tiny")
    expected = LLMRegressor.load(path).predict(table.X)
    (path / "README.md").write_text("mine")
    (path / "model.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    (path / "heads.safetensors").write_bytes(b"x")
    np.testing.assert_array_equal(LLMRegressor.load(path).predict(table.X), expected)


@pytest.mark.parametrize("way", ["tiny", "LoRA"])
def test_no_damage_goes_unseen(way, folder):
    """Bits that flip, and ends that are cut off, in every file of the model."""
    path, rng = folder(way), random.Random(0)
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        content = file.read_bytes()
        damages = [content[: rng.randrange(len(content))] for _ in range(5)]
        for _ in range(40):
            damaged = bytearray(content)
            damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            damages.append(bytes(damaged))
        for damaged in damages:
            file.write_bytes(damaged)
            with pytest.raises((ValueError, OSError)):
                LLMRegressor.load(path)
        file.write_bytes(content)
    LLMRegressor.load(path)


def test_vectorisers_count_words_in_their_columns():
    counter = CountVectorizer().fit(["a b", "red house"])
    counter.vocabulary_["red"] = 10**6
    with pytest.raises(ValueError, match="don't fit one another"):
        dump(counter, "model")
