"""Saved models: the same predictions anywhere, in small files without live tensors."""

import copy
import io
import pickle
import pickletools
import shutil
import subprocess
import sys
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from peft import LoraConfig
from transformers import BitsAndBytesConfig

from llmreg import GRPO, Device, DigitCodec, LLMRegressor, PretrainedModel, RowSerializer
from llmreg.lm.loading.hub import ModelSource, load_lm, load_tokenizer, weights_checksum
from llmreg.lm.packing import pack_model, unpack_model

WAYS = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "pickle protocol 2": lambda model: pickle.loads(pickle.dumps(model, protocol=2)),
    "cloudpickle": lambda model: cloudpickle.loads(cloudpickle.dumps(model)),
    "deepcopy": copy.deepcopy,
}


@pytest.fixture(scope="module")
def fitted(table, quick_fit):
    return quick_fit(table.X, table.y)


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_predicts_bit_identically(way, fitted, table):
    again = WAYS[way](fitted)
    assert again is not fitted and again.model_ is not fitted.model_
    for decoding in ("rail", "median", "mode", "greedy", "sample"):
        np.testing.assert_array_equal(
            again.predict(table.X, decoding=decoding), fitted.predict(table.X, decoding=decoding)
        )
    pd.testing.assert_frame_equal(again.history_, fitted.history_)
    assert repr(again) == repr(fitted)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_every_dtype_survives_bit_by_bit(dtype, table, quick_fit):
    model = quick_fit(table.X, table.y, device=Device("cpu", dtype=dtype))
    again = pickle.loads(pickle.dumps(model))
    assert again.model_.dtype == model.model_.dtype == getattr(torch, dtype)
    np.testing.assert_array_equal(again.predict(table.X), model.predict(table.X))
    twice = pickle.loads(pickle.dumps(again))
    np.testing.assert_array_equal(twice.predict(table.X), model.predict(table.X))


@pytest.mark.parametrize("compress", [0, 3])
def test_a_joblib_file_predicts_bit_identically(compress, fitted, table, tmp_path):
    joblib.dump(fitted, tmp_path / "model.joblib", compress=compress)
    again = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(again.predict(table.X), fitted.predict(table.X))


def test_another_process_predicts_bit_identically(fitted, table, pretrained_folder, tmp_path,
                                                  quick_fit):  # fmt: skip
    tuned = quick_fit(table.X, table.y, model=pretrained_folder, number_input="text+value")
    joblib.dump([fitted, tuned], tmp_path / "models.joblib")
    table.X.to_pickle(tmp_path / "X.pickle")
    script = (
        "import sys, joblib, numpy, pandas\n"
        "models, X, out = joblib.load(sys.argv[1]), pandas.read_pickle(sys.argv[2]), sys.argv[3]\n"
        "numpy.save(out, [model.predict(X) for model in models])\n"
    )
    files = [str(tmp_path / name) for name in ("models.joblib", "X.pickle", "found.npy")]
    subprocess.run([sys.executable, "-c", script, *files], check=True, capture_output=True)
    found = np.load(files[2])
    np.testing.assert_array_equal(found[0], fitted.predict(table.X))
    np.testing.assert_array_equal(found[1], tuned.predict(table.X))


def test_files_are_hardly_larger_than_the_weights(fitted):
    names = [name for name, _ in fitted.model_.named_parameters()]
    n_weights = sum(p.numel() for p in fitted.model_.parameters())
    size, weights = len(pickle.dumps(fitted)), 4 * n_weights  # as float32
    print(f"{size:,} bytes, weights {weights:,} bytes in {len(names)} tensors")
    assert weights < size < 1.6 * weights + 50_000


def test_the_size_does_not_grow_with_the_training_rows_but_for_kernels(table, quick_fit):
    X = pd.concat([table.X] * 100, ignore_index=True)
    X["size"] = np.random.RandomState(1).randn(len(X))
    y = pd.concat([table.y] * 100, ignore_index=True)
    params = dict(fit_method="ce", batch_size=1000, estimates="linear")
    few = len(pickle.dumps(quick_fit(X[:2000], y[:2000], **params)))
    many = len(pickle.dumps(quick_fit(X, y, **params)))
    assert many < few + 8 * 2000  # the added numbers alone would take that
    kernel = len(pickle.dumps(quick_fit(X, y, **params | dict(estimates="kernel"))))
    assert kernel > many + 8 * 2000


def live_objects(thing):
    """Types of what goes through a pickle, and its strings and arrays."""
    seen, arrays = set(), []

    class Recorder(pickle.Pickler):
        def reducer_override(self, part):
            seen.add(type(part))
            if isinstance(part, np.ndarray):
                arrays.append(part)
            return NotImplemented

    stream = io.BytesIO()
    Recorder(stream).dump(thing)
    texts = [arg for _, arg, _ in pickletools.genops(stream.getvalue()) if isinstance(arg, str)]
    return seen, texts, arrays


def test_a_pickle_holds_no_tensors_optimizers_or_training_rows(table, quick_fit):
    marked = table.X.assign(words=[f"{text} xq{i}zj" for i, text in enumerate(table.X["words"])])
    model = quick_fit(marked, table.y, fit_method=GRPO(beta=0.1))
    kinds, named, arrays = live_objects(model)
    assert "symbol_ids" in named
    assert not any(kind.__module__.split(".")[0] == "torch" for kind in kinds)
    assert not any(name == "torch" or name.startswith("torch.") for name in named)
    assert not any("EncodedRows" in name or "TrainingData" in name for name in named)
    assert not any(len(array) == len(marked) and array.dtype == object for array in arrays)
    assert not any("xq7zj" in name and "blue" in name for name in named)


@pytest.mark.parametrize("way", ["adapters", "all weights", "in memory"])
def test_no_way_of_giving_a_model_puts_live_tensors_into_a_pickle(
    way, table, quick_fit, pretrained_folder
):
    lm, tokenizer = load_lm(pretrained_folder), load_tokenizer(pretrained_folder)
    model = quick_fit(
        table.X, table.y, number_input="text+value", fit_method=GRPO(beta=0.1),
        model=(lm, tokenizer) if way == "in memory" else pretrained_folder,
        adapters=None if way == "all weights" else 8,
    )  # fmt: skip
    kinds, _, _ = live_objects(model)
    forbidden = (torch.Tensor, torch.nn.Module, torch.Generator, torch.storage.TypedStorage)
    assert not any(issubclass(kind, forbidden) for kind in kinds)


def test_unfitted_estimators_pack_a_model_in_memory_too(pretrained_folder, table, quick_fit):
    lm = load_lm(pretrained_folder, torch.bfloat16)
    model = LLMRegressor(model=(lm, load_tokenizer(pretrained_folder)))
    kinds, _, _ = live_objects(model)
    assert not any(issubclass(kind, torch.Tensor) for kind in kinds)
    again, tokenizer = pickle.loads(pickle.dumps(model)).model
    ids = torch.arange(20)[None]
    assert again.dtype == torch.bfloat16 and torch.equal(again(ids).logits, lm(ids).logits)
    assert tokenizer("a 12")["input_ids"] == model.model[1]("a 12")["input_ids"]


def test_unpickling_leaves_the_random_states_alone(fitted, table):
    packed = pickle.dumps(fitted)
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002  (the legacy global state is the point)
    before = torch.get_rng_state(), pickle.dumps(np.random.get_state())  # noqa: NPY002
    again = pickle.loads(packed)
    again.predict(table.X)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert pickle.dumps(np.random.get_state()) == before[1]  # noqa: NPY002


def test_unfitted_estimators_are_pickled_without_torch():
    model = LLMRegressor(fit_method=GRPO(), codec=DigitCodec(), serializer=RowSerializer("{a}"))
    assert repr(pickle.loads(pickle.dumps(model))) == repr(model)
    script = (
        "import pickle, sys\n"
        "from llmreg import GRPO, DigitCodec, LLMRegressor, RowSerializer\n"
        "model = LLMRegressor(fit_method=GRPO(), codec=DigitCodec(), serializer=RowSerializer())\n"
        "pickle.loads(pickle.dumps(model)).set_params(sft_method__sigma=0.3)\n"
        "print(sorted({'torch', 'transformers', 'peft'} & set(sys.modules)))\n"
    )
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("pretrained", [False, True])
@pytest.mark.parametrize("adapters", [8, None])
def test_a_warm_start_after_unpickling_goes_on_like_one_without(
    pretrained, adapters, table, quick_fit, pretrained_folder
):
    model = quick_fit(
        table.X, table.y, model=pretrained_folder if pretrained else "tiny", adapters=adapters,
        number_input="text+value", warm_start=True,
    )  # fmt: skip
    again = pickle.loads(pickle.dumps(model))
    assert again.model_.trainable().keys() == model.model_.trainable().keys()
    before = again.predict(table.X)
    model.fit(table.X, table.y)
    again.fit(table.X, table.y)
    assert (again.predict(table.X) != before).any()
    np.testing.assert_array_equal(again.predict(table.X), model.predict(table.X))


def test_a_fully_tuned_model_survives_a_warm_start_with_adapters_asked_for(
    table, quick_fit, pretrained_folder
):
    model = quick_fit(
        table.X, table.y, model=pretrained_folder, adapters=None, warm_start=True,
        sft_learning_rate=1e-3,
    )  # fmt: skip
    model.set_params(adapters=8).fit(table.X, table.y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(table.X), model.predict(table.X))


def test_a_model_of_another_format_is_refused(fitted):
    packed = pack_model(fitted.model_)
    for format_ in ({"format": 2}, {"format": None}):
        with pytest.raises(ValueError, match="made by another version of llmreg"):
            unpack_model(packed | format_)


def test_a_constant_targets_model_survives(table, quick_fit):
    model = quick_fit(table.X, np.full(len(table.X), 3.25))
    np.testing.assert_allclose(pickle.loads(pickle.dumps(model)).predict(table.X), 3.25)


# -- pretrained weights ----------------------------------------------------------------------


@pytest.fixture
def base(pretrained_folder, tmp_path):
    """A copy of the pretrained folder, to take away or to change."""
    return Path(shutil.copytree(pretrained_folder, tmp_path / "base"))


KINDS = {
    "DoRA, biases, a whole layer": dict(
        r=4, use_dora=True, bias="all", modules_to_save=["lm_head"], target_modules=["q_proj"]
    ),
    "embeddings": dict(r=4, target_modules=["q_proj", "embed_tokens"]),
    "PiSSA": dict(r=4, init_lora_weights="pissa", target_modules="all-linear"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_an_adapter_trains_survives(kind, table, quick_fit, pretrained_folder):
    config = LoraConfig(**KINDS[kind])
    model = quick_fit(table.X, table.y, model=pretrained_folder, adapters=config)
    again = pickle.loads(pickle.dumps(model))
    twice = pickle.loads(pickle.dumps(again))
    for copied in (again, twice):
        np.testing.assert_array_equal(copied.predict(table.X), model.predict(table.X))
        assert copied.model_.trainable().keys() == model.model_.trainable().keys()


@pytest.mark.parametrize("kind", ["tuned", "in memory", "PiSSA"])
def test_what_is_packed_whole_needs_no_base(kind, table, quick_fit, base):
    params = {
        "tuned": dict(model=str(base), adapters=None),
        "in memory": dict(model=(load_lm(str(base)), load_tokenizer(str(base)))),
        "PiSSA": dict(model=str(base), adapters=LoraConfig(**KINDS["PiSSA"])),
    }
    model = quick_fit(table.X, table.y, fit_method="ce", **params[kind])
    packed = pickle.dumps(model)
    shutil.rmtree(base)
    again = pickle.loads(packed)
    np.testing.assert_array_equal(again.predict(table.X), model.predict(table.X))
    assert again.model_.pretrained and again.model_.source is None


def test_adapters_alone_are_packed_where_the_base_can_be_loaded_again(table, quick_fit, base):
    model = quick_fit(table.X, table.y, model=str(base), fit_method="ce")
    packed = pickle.dumps(model)
    assert len(packed) < 0.3 * (base / "model.safetensors").stat().st_size
    model.model_.keep_reference()  # a second adapter, as in training
    assert len(pickle.dumps(model)) == pytest.approx(len(packed), abs=100)
    assert not any("reference" in text for text in live_objects(model)[1])


def test_a_changed_base_is_an_error_and_not_other_numbers(table, quick_fit, base):
    model = quick_fit(table.X, table.y, model=str(base), fit_method="ce")
    packed, trained_on = pickle.dumps(model), pickle.loads(pickle.dumps(model)).model_
    lm = load_lm(str(base))
    lm.get_input_embeddings().weight.data[0] += 1
    lm.save_pretrained(base)
    with pytest.raises(OSError, match="not those that the adapters were trained on") as error:
        pickle.loads(packed)
    checksums = (weights_checksum(trained_on.lm), weights_checksum(lm))
    for piece in (*checksums, repr(str(base)), "revision asked for", "fit again"):
        assert piece in str(error.value)


def test_the_source_is_found_from_any_directory_and_never_brings_its_token(
    table, quick_fit, base, monkeypatch
):
    monkeypatch.chdir(base.parent)
    base_ = PretrainedModel("base", token="hf_secret")
    model = quick_fit(table.X, table.y, model=base_, fit_method="ce")
    packed = pickle.dumps(model)
    assert b"hf_secret" not in packed
    monkeypatch.chdir(base)
    again = pickle.loads(packed)
    assert again.model_.source == ModelSource(str(base))
    assert again.model_.source.token is again.model.token is None
    assert model.model.token == "hf_secret"


def test_the_revision_and_the_quantisation_that_were_trained_on_are_asked_for_again(
    table, quick_fit, pretrained_folder, monkeypatch
):
    bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16)
    source = ModelSource(
        "owner/name", revision="main", token="hf_secret", model_kwargs={"quantization_config": bits}
    )
    model = quick_fit(table.X, table.y, model=pretrained_folder, fit_method="ce").model_
    model.source, model.transformer.config._commit_hash = source, "abc123"
    asked = []

    def load_quantised(source, dtype):
        asked.append((source, dtype))
        lm = load_lm(pretrained_folder, dtype)
        lm.config._commit_hash = source.revision
        return lm

    monkeypatch.setattr("llmreg.lm.loading.hub.load_lm", load_quantised)
    pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(model))))
    for found, dtype in asked:
        assert (found.name, found.revision, found.token) == ("owner/name", "abc123", None)
        assert found.model_kwargs["quantization_config"].to_dict() == bits.to_dict()
        assert dtype == torch.float32
    assert len(asked) == 2


def test_quantised_weights_are_not_packed_whole(table, quick_fit, pretrained_folder):
    lm, tokenizer = load_lm(pretrained_folder), load_tokenizer(pretrained_folder)
    model = quick_fit(table.X, table.y, model=(lm, tokenizer), fit_method="ce")
    model.model_.transformer.hf_quantizer = object()
    with pytest.raises(ValueError, match="quantization_config in model_kwargs"):
        pickle.dumps(model)
