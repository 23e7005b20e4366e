"""Saved folders: the same predictions anywhere, no pickle, nothing secret, nothing half-written."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from hostile import change_record, fitted_parts, model_parts
from peft import LoraConfig, PeftModel
from safetensors.torch import load as load_bytes
from safetensors.torch import load_file, save_file
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import HashingVectorizer
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, LlamaConfig

from llmreg import GRPO, Device, DigitCodec, LLMRegressor, PretrainedModel, RowSerializer
from llmreg.lm.packing import pack_model
from llmreg.persistence.folders import DAY, replacing

load = LLMRegressor.load
EVERYTHING = dict(
    r=4, use_dora=True, bias="lora_only", modules_to_save=["lm_head"], task_type="CAUSAL_LM",
    target_modules=["q_proj", "v_proj"],
)  # fmt: skip


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def pair(pretrained_folder):
    return (
        AutoModelForCausalLM.from_pretrained(pretrained_folder, dtype="float32"),
        AutoTokenizer.from_pretrained(pretrained_folder),
    )


@pytest.fixture(scope="module")
def fit(table, quick_fit, pretrained_folder, pair):
    """``fit(name)``: one fitted estimator per way in which a model can be given."""
    pissa = LoraConfig(r=4, init_lora_weights="pissa", target_modules="all-linear")
    ways = {
        "tiny": dict(codec=DigitCodec(scale="log"), serializer=RowSerializer(number_format=".3g")),
        "configuration": dict(
            model=GPT2Config(n_embd=32, n_layer=1, n_head=2), text_features=False
        ),
        "another text transformer": dict(text_features=HashingVectorizer(n_features=8)),
        "float64": dict(
            device=Device("cpu", dtype="float64"),
            fit_method="ce",
            codec=DigitCodec(scale="shifted_log"),
        ),
        "bfloat16": dict(device=Device("cpu", dtype="bfloat16"), fit_method="ce"),
        "LoRA": dict(model=pretrained_folder),
        "LoRA and cells": dict(model=pretrained_folder, number_input="text+value"),
        "LoRA in bfloat16": dict(model=pretrained_folder, device=Device(dtype="bfloat16")),
        "DoRA": dict(model=pretrained_folder, adapters=LoraConfig(**EVERYTHING)),
        "PiSSA": dict(model=pretrained_folder, adapters=pissa),
        "tuned": dict(model=pretrained_folder, adapters=None),
        "pair": dict(model=pair, number_input="text+value"),
        "pair with DoRA": dict(model=pair, adapters=LoraConfig(**EVERYTHING)),
        "pair, tuned": dict(model=pair, adapters=None),
    }
    fitted = {}

    def get(name):
        if name not in fitted:
            fitted[name] = quick_fit(table.X, table.y, **ways[name])
        return fitted[name]

    get.ways = list(ways)
    return get


WAYS = (
    "tiny", "configuration", "another text transformer", "float64", "bfloat16", "LoRA",
    "LoRA and cells", "LoRA in bfloat16", "DoRA", "PiSSA", "tuned", "pair", "pair with DoRA",
    "pair, tuned",
)  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_a_loaded_estimator_predicts_bit_identically_and_so_does_one_saved_twice(
    way, fit, table, tmp_path
):
    model = fit(way)
    attributes, expected = dict(vars(model)), model.predict(table.X)
    model.save(tmp_path / "once")
    assert vars(model) == attributes  # saving changes nothing
    np.testing.assert_array_equal(model.predict(table.X), expected)
    once = LLMRegressor.load(tmp_path / "once")
    once.save(tmp_path / "twice")
    twice = LLMRegressor.load(tmp_path / "twice")
    for again in (once, twice, pickle.loads(pickle.dumps(once))):
        np.testing.assert_array_equal(again.predict(table.X), expected)
        pd.testing.assert_frame_equal(again.history_, model.history_)
        assert again.model_.dtype == model.model_.dtype
        assert again.model_.trainable().keys() == model.model_.trainable().keys()
    names = {Path(name).suffix for name in files(tmp_path / "once") - {"SHA256SUMS"}}
    assert names <= {".json", ".safetensors", ".jinja"}


@pytest.mark.slow  # test_pickling.py has the same for pickles
def test_another_process_predicts_bit_identically(fit, table, tmp_path):
    ways = ("tiny", "DoRA")
    for way in ways:
        fit(way).save(tmp_path / way)
    table.X.to_pickle(tmp_path / "X.pickle")
    script = (
        "import sys, numpy, pandas\n"
        "from llmreg import LLMRegressor\n"
        "X, out, folders = pandas.read_pickle(sys.argv[1]), sys.argv[2], sys.argv[3:]\n"
        "numpy.save(out, [LLMRegressor.load(folder).predict(X) for folder in folders])\n"
    )
    arguments = [str(tmp_path / name) for name in ("X.pickle", "found.npy", *ways)]
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, capture_output=True)
    found = np.load(tmp_path / "found.npy")
    np.testing.assert_array_equal(found, [fit(way).predict(table.X) for way in ways])


@pytest.mark.parametrize("way", ["tiny", "LoRA and cells", "pair", "tuned"])
def test_a_loaded_estimator_is_as_good_as_the_original(way, fit, table, tmp_path):
    model = fit(way)
    model.save(tmp_path / "model")
    again = LLMRegressor.load(tmp_path / "model", device="cpu")
    assert again.device == "cpu"
    parameters = model.get_params() | {"device": "cpu", "model": again.model}
    assert repr(again.get_params()) == repr(parameters)
    state = torch.get_rng_state()
    LLMRegressor.load(tmp_path / "model")
    assert torch.equal(torch.get_rng_state(), state)
    # From the start: the same weights are there to start from, save for tuned ones in memory.
    fresh = clone(again).fit(table.X, table.y)
    np.testing.assert_array_equal(fresh.predict(table.X), model.predict(table.X))
    # From where it was: like an estimator that was never saved, and without a warning.
    kept = pickle.loads(pickle.dumps(model)).set_params(warm_start=True)
    kept.fit(table.X, table.y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        again.set_params(warm_start=True).fit(table.X, table.y)
    np.testing.assert_array_equal(again.predict(table.X), kept.predict(table.X))


def test_what_was_given_in_memory_becomes_the_folder_of_its_weights(fit, tmp_path, pair, table):
    fit("pair").save(tmp_path / "a")
    first = load(tmp_path / "a")
    assert first.model == str(tmp_path / "a" / "base")
    lm = AutoModelForCausalLM.from_pretrained(first.model)
    for name, weights in pair[0].state_dict().items():
        assert torch.equal(lm.state_dict()[name], weights)
    first.save(tmp_path / "b")
    assert load(tmp_path / "b").model == str(tmp_path / "b" / "base")
    fit("pair, tuned").save(tmp_path / "c")
    assert load(tmp_path / "c").model == str(tmp_path / "c")
    clone(load(tmp_path / "c")).fit(table.X, table.y)
    fit("tuned").save(tmp_path / "d")  # given by name: a new fit starts from the original
    assert load(tmp_path / "d").model == fit("tuned").model


def test_saving_over_the_base_that_was_fitted_again_keeps_the_base(fit, table, tmp_path):
    fit("pair").save(tmp_path / "a")
    again = load(tmp_path / "a").fit(table.X, table.y)
    expected = again.predict(table.X)
    again.save(tmp_path / "a")
    found = load(tmp_path / "a")
    np.testing.assert_array_equal(found.predict(table.X), expected)
    assert found.model == str(tmp_path / "a" / "base")


# -- what is in the folder -------------------------------------------------------------------


def test_whole_models_and_adapters_open_in_transformers_and_peft_alone(
    fit, tmp_path, pretrained_folder
):
    ids = torch.arange(40).reshape(2, 20)
    fit("tuned").save(tmp_path / "tuned")
    lm = AutoModelForCausalLM.from_pretrained(tmp_path / "tuned")
    assert torch.equal(lm(ids).logits, fit("tuned").model_.lm(ids).logits)
    assert AutoTokenizer.from_pretrained(tmp_path / "tuned")("a 12")["input_ids"]
    for way in ("LoRA", "DoRA", "pair with DoRA"):
        fit(way).save(tmp_path / way)
        base = tmp_path / way / "base"
        base = AutoModelForCausalLM.from_pretrained(base if base.exists() else pretrained_folder)
        lm = PeftModel.from_pretrained(base, tmp_path / way)
        torch.testing.assert_close(lm(ids).logits, fit(way).model_.lm(ids).logits)


def test_adapters_take_little_room(table, quick_fit, pretrained_folder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(pretrained_folder)
    config = LlamaConfig(
        vocab_size=8000, hidden_size=512, intermediate_size=1408, num_hidden_layers=2,
        num_attention_heads=8,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    model = quick_fit(table.X[:8], table.y[:8], model=str(tmp_path / "base"), fit_method="ce")
    model.save(tmp_path / "saved")
    sizes = {name: (tmp_path / "saved" / name).stat().st_size for name in files(tmp_path / "saved")}
    base = (tmp_path / "base" / "model.safetensors").stat().st_size
    print(f"adapter: {sizes['adapter_model.safetensors'] / base:.2%} of its base")
    assert 0.005 * base < sizes["adapter_model.safetensors"] < 0.05 * base
    assert sum(sizes.values()) < 0.06 * base
    assert len(pickle.dumps(model)) < 0.06 * base


def test_a_second_adapter_is_never_saved(fit, tmp_path):
    model = pickle.loads(pickle.dumps(fit("LoRA")))
    model.model_.keep_reference()
    model.save(tmp_path / "a")
    weights = load_file(tmp_path / "a" / "adapter_model.safetensors")
    assert weights and not any("reference" in name for name in weights)
    assert files(tmp_path / "a") == files_of(fit("LoRA"), tmp_path / "b")
    whole = pickle.loads(pickle.dumps(fit("pair"))).model_
    whole.keep_reference()
    names = load_bytes(pack_model(whole)["weights"]["adapters"])
    assert names and not any("reference" in name for name in names)


def files_of(model, folder):
    model.save(folder)
    return files(folder)


def test_the_hub_token_is_in_no_file(fit, table, tmp_path, quick_fit, pretrained_folder):
    model = quick_fit(
        table.X, table.y, model=PretrainedModel(pretrained_folder, token="hf_secret"),
        warm_start=True,
    )  # fmt: skip
    assert clone(model).model.token == "hf_secret"
    model.save(tmp_path / "saved")
    joblib.dump(model, tmp_path / "saved" / "model.joblib")
    for name in files(tmp_path / "saved"):
        assert b"hf_secret" not in (tmp_path / "saved" / name).read_bytes(), name
    (tmp_path / "saved" / "model.joblib").unlink()
    assert model.model.token == "hf_secret" and model.model_.source.token == "hf_secret"
    assert load(tmp_path / "saved").model.token is None
    again = load(tmp_path / "saved", token="hf_other")
    assert again.model.token == again.model_.source.token == "hf_other"


def test_the_record_says_what_it_is_and_where_the_base_came_from(fit, tmp_path, pretrained_folder):
    fit("LoRA").save(tmp_path / "a")
    record = json.loads((tmp_path / "a" / "estimator.json").read_text())
    assert record["format"] == 8 and record["class"] == "LLMRegressor"
    assert {"llmreg", "torch", "transformers", "peft", "scikit-learn"} <= record["versions"].keys()
    model = model_parts(record)
    assert model["source"]["dict"]["name"] == pretrained_folder
    assert len(model["checksum"]) == 16
    lines = (tmp_path / "a" / "SHA256SUMS").read_text().splitlines()
    assert {line.split("  ")[1] for line in lines} == files(tmp_path / "a") - {"SHA256SUMS"}
    checked = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "a")
    assert checked.returncode == 0


# -- merging ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["LoRA", "DoRA", "pair with DoRA", "tuned"])
def test_a_merged_model_is_a_plain_one_with_the_same_logits(way, fit, table, tmp_path):
    model = fit(way)
    before = model.predict(table.X)
    model.save(tmp_path / "merged", merge=True)
    assert not any("adapter" in name or "base" in name for name in files(tmp_path / "merged"))
    lm = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    ids = torch.arange(60).reshape(3, 20)
    torch.testing.assert_close(lm(ids).logits, model.model_.lm(ids).logits, rtol=1e-4, atol=1e-4)
    again = load(tmp_path / "merged")
    assert not again.model_.has_lora
    np.testing.assert_allclose(again.predict(table.X), before, rtol=1e-4)
    np.testing.assert_array_equal(model.predict(table.X), before)
    assert model.model_.has_lora == (way != "tuned")
    again.save(tmp_path / "again")
    np.testing.assert_array_equal(load(tmp_path / "again").predict(table.X), again.predict(table.X))


@pytest.mark.parametrize("way", ["tiny", "configuration", "LoRA and cells", "pair"])
def test_merging_is_refused_where_it_would_be_another_function(way, fit, tmp_path):
    with pytest.raises(ValueError, match=r"vectors of cells.*merge=False"):
        fit(way).save(tmp_path / "merged", merge=True)
    assert not list(tmp_path.iterdir())


# -- what can't be saved ---------------------------------------------------------------------


def test_unfitted_estimators_are_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        LLMRegressor().save(tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_function_as_the_reward_is_named_and_nothing_is_left_behind(table, quick_fit, tmp_path):
    method = GRPO(reward=lambda samples, y: -abs(samples - y))
    model = quick_fit(table.X, table.y, fit_method=method)
    with pytest.raises(TypeError, match=r"fit_method\.reward is a .*func"):
        model.save(tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_classes_of_others_are_not_saved(fit, tmp_path):
    class Mine(LLMRegressor):
        pass

    mine = Mine()
    vars(mine).update(vars(fit("tiny")))
    with pytest.raises(TypeError, match=r"Mine is not one of llmreg's own classes.*pickle"):
        mine.save(tmp_path / "a")
    fit("tiny").save(tmp_path / "a")
    with pytest.raises(TypeError, match=r"holds a LLMRegressor, which is no .*Mine"):
        Mine.load(tmp_path / "a")


def test_only_saved_models_and_empty_folders_are_replaced(fit, tmp_path, table):
    (tmp_path / "empty").mkdir()
    fit("tiny").save(tmp_path / "empty")
    fit("LoRA").save(tmp_path / "empty")  # over the former one
    assert not (tmp_path / "empty" / "cells.safetensors").exists()
    np.testing.assert_array_equal(
        load(tmp_path / "empty").predict(table.X), fit("LoRA").predict(table.X)
    )
    fit("tiny").save(str(tmp_path / "new" / "parents" / "model"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "estimator.json").write_text('{"mine": 1}')
    (tmp_path / "file").write_text("mine")
    for name in ("full", "file"):
        with pytest.raises(FileExistsError, match="is not a saved llmreg model"):
            fit("tiny").save(tmp_path / name)
    assert files(tmp_path / "full") == {"estimator.json"}
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("step", ["transformers.PreTrainedModel.save_pretrained", "json.dumps"])
def test_a_crash_leaves_the_former_model_and_nothing_half_written(
    step, fit, table, tmp_path, monkeypatch
):
    def crash(*args, **kwargs):
        raise KeyboardInterrupt

    fit("LoRA").save(tmp_path / "model")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(step, crash)
        fit("tiny").save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(table.X), fit("LoRA").predict(table.X))


def test_a_model_that_can_not_be_moved_into_place_leaves_the_former_one(fit, tmp_path, monkeypatch):
    fit("LoRA").save(tmp_path / "model")
    former, rename = files(tmp_path / "model"), Path.rename

    def fail(path, target):
        if path.suffix == ".part":
            raise PermissionError("in use")
        return rename(path, target)

    with monkeypatch.context() as patch, pytest.raises(PermissionError):
        patch.setattr(Path, "rename", fail)
        fit("tiny").save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert files(tmp_path / "model") == former


def test_files_of_others_stay_where_a_model_is_saved_again(fit, tmp_path, table):
    target = tmp_path / "model"
    fit("pair").save(target)
    (target / ".git" / "refs" / "tags").mkdir(parents=True)
    (target / ".git" / "HEAD").write_text("ref")
    (target / "README.md").write_text("mine")
    (target / "base" / "notes.txt").write_text("mine")
    (target / "data.json").write_text("{}")
    for way in ("tiny", "pair"):
        fit(way).save(target)
        kept = {".git/HEAD", "README.md", "base/notes.txt", "data.json"}
        assert files(target) == files_of(fit(way), tmp_path / f"{way} alone") | kept
        assert (target / ".git" / "refs" / "tags").is_dir()
        np.testing.assert_array_equal(load(target).predict(table.X), fit(way).predict(table.X))
    fit("tiny").save(target)
    (target / "adapter_config.json").write_text("mine")
    with pytest.raises(FileExistsError, match=r"adapter_config\.json.*would be overwritten"):
        fit("LoRA").save(target)
    assert (target / "adapter_config.json").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"model", "tiny alone", "pair alone"}


def killed_save(target, at):
    """Save from a process that is killed before a complete model moves in, while, or after."""
    script = (
        "import os, sys, shutil, pathlib\n"
        "from llmreg.persistence import folders\n"
        "target, at = pathlib.Path(sys.argv[1]), sys.argv[2]\n"
        "rename, replace, moved = pathlib.Path.rename, pathlib.Path.replace, []\n"
        "def die(path, to):\n"
        "    if at == 'before':\n"
        "        os.kill(os.getpid(), 9)\n"
        "    rename(path, to)\n"
        "    if at == 'complete':\n"
        "        os.kill(os.getpid(), 9)\n"
        "def die_later(path, to):\n"
        "    replace(path, to)\n"
        "    moved.append(path.name)\n"
        "    if len(moved) == 4 and at == 'moving' or path.name == 'SHA256SUMS':\n"
        "        os.kill(os.getpid(), 9)\n"
        "pathlib.Path.rename, pathlib.Path.replace = die, die_later\n"
        "with folders.replacing(target) as (folder, _):\n"
        "    shutil.copytree(sys.argv[3], folder, dirs_exist_ok=True)\n"
    )
    source = str(target.parent / "other")
    subprocess.run([sys.executable, "-c", script, str(target), at, source], capture_output=True)


@pytest.mark.parametrize(
    ("at", "found"),
    [("before", "LoRA"), ("complete", "tiny"), ("moving", "tiny"), ("after", "tiny")],
)
def test_a_killed_save_leaves_the_old_model_or_the_new_one(at, found, fit, tmp_path, table):
    target = tmp_path / "model"
    fit("LoRA").save(target)
    (target / "README.md").write_text("mine")
    fit("tiny").save(tmp_path / "other")
    killed_save(target, at)
    left = [path for path in tmp_path.iterdir() if path.suffix == ".part"]
    assert len(left) == (at == "before")
    assert (target / ".new").exists() == (at != "before")
    np.testing.assert_array_equal(load(target).predict(table.X), fit(found).predict(table.X))
    for path in left:
        os.utime(path, (time.time() - DAY - 60,) * 2)
    fit("LoRA").save(target)
    assert {path.name for path in tmp_path.iterdir()} == {"model", "other"}
    assert files(target) == files_of(fit("LoRA"), tmp_path / "alone") | {"README.md"}
    assert (target / "README.md").read_text() == "mine"
    np.testing.assert_array_equal(load(target).predict(table.X), fit("LoRA").predict(table.X))


def test_files_are_not_moved_to_where_a_link_leads(fit, tmp_path):
    fit("pair").save(tmp_path / "model")
    shutil.move(tmp_path / "model" / "base", tmp_path / "elsewhere")
    (tmp_path / "model" / "base").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "config.json").write_text("mine")
    fit("pair").save(tmp_path / "model")
    assert (tmp_path / "elsewhere" / "config.json").read_text() == "mine"
    load(tmp_path / "model")


def test_a_save_that_still_runs_is_left_alone(fit, tmp_path):
    with replacing(tmp_path / "model") as (folder, _):
        fit("LoRA").save(tmp_path / "model")
        assert folder.is_dir()
        shutil.copytree(tmp_path / "model", folder, dirs_exist_ok=True)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    load(tmp_path / "model")


# -- files that are missing, damaged, or not to be trusted -----------------------------------


def test_what_is_not_there_is_said_clearly(fit, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"no estimator\.json"):
        load(tmp_path)
    with pytest.raises(OSError, match=r"no-such-organisation-zq/none.*Hugging Face hub"):
        load("no-such-organisation-zq/none")


@pytest.mark.parametrize("name", [
    "./models/cars", "../cars", "~/cars", "/nowhere/cars", "models/deep/cars", "models\\cars",
    "C:\\cars", "cars", "here/cars", "models/cars.llmreg", "models/", "", ".", "a b/c", "x\0/y",
], ids=repr)  # fmt: skip
def test_what_looks_like_a_path_is_not_asked_of_the_hub(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *a, **k: pytest.fail("asked"))
    with pytest.raises(OSError, match=r"does not exist|no estimator\.json"):
        load(name)


@pytest.mark.parametrize("name", ["me/cars", "me/cars-v1.5", "Org_1/cars.of.2024"])
def test_what_looks_like_a_hub_id_is(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda path, **k: "/nothing/here")
    with pytest.raises(FileNotFoundError, match="/nothing/here"):
        load(name)


@pytest.mark.parametrize("way", ["tiny", "LoRA and cells", "pair"])
def test_every_file_is_missed_and_every_damage_seen(way, fit, tmp_path):
    fit(way).save(tmp_path / "model")
    for name in sorted(files(tmp_path / "model")):
        path = tmp_path / "model" / name
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(FileNotFoundError, match=Path(name).name):
            load(tmp_path / "model")
        for damaged in (content[: len(content) // 2], b"version https://git-lfs\n", b""):
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=rf"{Path(name).name}.* is damaged"):
                load(tmp_path / "model")
        path.write_bytes(content)
    load(tmp_path / "model")


def test_a_newer_format_and_unknown_parameters_ask_for_a_newer_version(fit, tmp_path):
    fit("tiny").save(tmp_path / "a")
    change_record(tmp_path / "a", lambda record: record["state"].update(new_one=1))
    with pytest.raises(ValueError, match=r"LLMRegressor\.new_one is 1, which is not legal"):
        load(tmp_path / "a")
    change_record(tmp_path / "a", lambda record: record.update(format=9))
    with pytest.raises(ValueError, match=r"of format 9, saved by another version.*reads format 8"):
        load(tmp_path / "a")


def test_a_folder_of_an_earlier_version_says_so(fit, tmp_path):
    fit("tiny").save(tmp_path / "a")
    change_record(tmp_path / "a", lambda record: record.update(format=2))
    with pytest.raises(ValueError, match=r"of format 2, saved by an earlier version of llmreg"):
        load(tmp_path / "a")
    (tmp_path / "a" / "SHA256SUMS").unlink()
    with pytest.raises(OSError, match=r"saved by an earlier version of llmreg.*save it again"):
        load(tmp_path / "a")


def test_weights_that_do_not_fit_are_an_error(fit, tmp_path):
    for way, name in (("LoRA", "adapter_model"), ("tuned", "model"), ("tiny", "cells")):
        folder = tmp_path / way
        fit(way).save(folder)
        weights = load_file(folder / f"{name}.safetensors")
        weights.popitem()
        save_file(weights, folder / f"{name}.safetensors", metadata={"format": "pt"})
        change_record(folder, lambda record: None)
        with pytest.raises((ValueError, RuntimeError), match=r"(?i)missing|lacks weights"):
            load(folder)


def test_another_base_under_the_same_name_is_an_error(table, quick_fit, pair, tmp_path):
    lm = pair[0]
    for part in pair:
        part.save_pretrained(tmp_path / "base")
    model = quick_fit(table.X, table.y, model=str(tmp_path / "base"), fit_method="ce")
    model.save(tmp_path / "saved")
    packed = pickle.dumps(model)
    other = {name: 1.01 * weights for name, weights in lm.state_dict().items()}
    lm.save_pretrained(tmp_path / "base", state_dict=other)
    for opened in (lambda: load(tmp_path / "saved"), lambda: pickle.loads(packed)):
        with pytest.raises(OSError, match="not those that the adapters were trained on") as error:
            opened()
        message = str(error.value)
        assert repr(str(tmp_path / "base")) in message and "fit again" in message
        assert "revision asked for: None" in message
        record = json.loads((tmp_path / "saved" / "estimator.json").read_text())
        assert model_parts(record)["checksum"] in message


@pytest.mark.parametrize(
    "name", ["os.system", "sklearn.svm._classes.SVR", "llmreg.codecs.digits.np"]
)
def test_a_malicious_record_cannot_choose_its_classes(name, fit, tmp_path):
    fit("tiny").save(tmp_path / "a")
    change_record(tmp_path / "a", lambda record: record.update({"class": name}))
    with pytest.raises(ValueError, match=f"names the class '{name}'"):
        load(tmp_path / "a")
    fit("tiny").save(tmp_path / "a")
    evil = {"object": ["os.system", {"command": "true"}]}
    change_record(tmp_path / "a", lambda record: fitted_parts(record).update(codec=evil))
    with pytest.raises(ValueError, match=r"names the class 'os\.system'"):
        load(tmp_path / "a")


def test_harmless_arguments_need_no_trust(table, quick_fit, pretrained_folder, tmp_path):
    model = quick_fit(
        table.X, table.y, fit_method="ce", checkpoint_dir=tmp_path / "checkpoints",
        model=PretrainedModel(
            pretrained_folder, model_kwargs={"attn_implementation": "eager"}
        ),
    )  # fmt: skip
    model.save(tmp_path / "a")
    again = load(tmp_path / "a")
    assert again.model_.lm.config._attn_implementation == "eager"
    assert model.checkpoint_dir is not None and again.checkpoint_dir is None
    np.testing.assert_array_equal(again.predict(table.X), model.predict(table.X))


@pytest.mark.parametrize("adapters", [4, None])
@pytest.mark.parametrize(
    "settings", [{"num_hidden_layers": 1}, {"attention_dropout": 0.5}], ids=str
)
def test_settings_of_the_bases_configuration_need_no_trust(
    settings, adapters, table, quick_fit, pretrained_folder, tmp_path
):
    given = PretrainedModel(pretrained_folder, model_kwargs=settings)
    model = quick_fit(table.X, table.y, fit_method="ce", model=given, adapters=adapters)
    model.save(tmp_path / "a")
    again = load(tmp_path / "a")
    assert again.model.model_kwargs == settings
    np.testing.assert_array_equal(again.predict(table.X), model.predict(table.X))


# -- the hub ---------------------------------------------------------------------------------


class Hub:
    """Repositories as folders."""

    def __init__(self, root):
        self.root, self.calls = root, []

    def create_repo(self, repo_id, **kwargs):
        self.calls.append(kwargs)
        (self.root / repo_id).mkdir(parents=True, exist_ok=True)

    def upload_folder(self, repo_id, folder_path, commit_message, delete_patterns):
        import fnmatch
        import shutil

        repo = self.root / repo_id
        for name in files(repo):
            if any(fnmatch.fnmatch(name, pattern) for pattern in delete_patterns):
                (repo / name).unlink()
        shutil.copytree(folder_path, repo, dirs_exist_ok=True)
        self.calls.append(commit_message)
        return SimpleNamespace(commit_url=f"https://hub/{repo_id}/commit/1")

    def snapshot_download(self, repo_id, **kwargs):
        self.calls.append(kwargs)
        return str(self.root / repo_id)


def test_push_to_hub_and_back(fit, table, tmp_path, monkeypatch):
    hub = Hub(tmp_path)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda token: hub.calls.append(token) or hub)
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub.snapshot_download)
    fit("tiny").push_to_hub("me/cars", private=True, token="hf_write")
    kept = {"README.md", "notes.txt", "results.json", "old.safetensors"}
    for name in kept:
        (tmp_path / "me" / "cars" / name).write_text("mine")
    url = fit("LoRA").push_to_hub("me/cars", commit_message="Better")
    assert url == "https://hub/me/cars/commit/1"
    assert hub.calls[0] == "hf_write" and hub.calls[1] == {"private": True, "exist_ok": True}
    assert hub.calls[3:] == [None, {"private": None, "exist_ok": True}, "Better"]
    assert files(tmp_path / "me" / "cars") == files_of(fit("LoRA"), tmp_path / "b") | kept
    again = LLMRegressor.load("me/cars", revision="v1", token="hf_read", local_files_only=True)
    asked = hub.calls[-1]
    assert (asked["revision"], asked["token"], asked["local_files_only"]) == ("v1", "hf_read", True)
    assert again.model.local_files_only is again.model_.source.local_files_only is True
    assert again.model.revision is None and again.model_.source.revision is None  # the base's own
    np.testing.assert_array_equal(again.predict(table.X), fit("LoRA").predict(table.X))
