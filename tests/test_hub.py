"""Pretrained models and tokenizers: found, or a message that says what to do."""

import pickle
import shutil

import numpy as np
import pytest

from llmreg.hub import load_lm, load_tokenizer

LOADERS = [load_lm, load_tokenizer]


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_a_folder_gives_its_model_and_its_tokenizer(pretrained_folder):
    lm, tokenizer = load_lm(pretrained_folder), load_tokenizer(pretrained_folder)
    assert lm.get_input_embeddings().num_embeddings == len(tokenizer)
    assert type(lm).__name__ == "LlamaForCausalLM"


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize("name", ["Tiny", "TINY", "tiny"])
def test_a_misspelt_tiny_is_answered_without_looking_for_it(load, name, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("looked for it")

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", fail)
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", fail)
    with pytest.raises(ValueError, match=f"model='{name}' is not a model; did you mean 'tiny'"):
        load(name)


def test_the_estimator_suggests_tiny(table, quick_fit):
    with pytest.raises(ValueError, match="model='Tiny' is not a model; did you mean 'tiny'"):
        quick_fit(table.X, table.y, model="Tiny")


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize("name", ["missing", "no-such-organisation-zq/none", "two words", "a/b/c"])
def test_what_is_not_there_says_what_to_do_and_what_the_loader_said(load, name, tmp_path):
    name = str(tmp_path / name) if name == "missing" else name
    with pytest.raises(OSError) as error:
        load(name)
    message = str(error.value)
    remedies = ("Check the name", "download it first", "model='tiny'", "no download")
    for piece in (f"model={name!r} could not be loaded", "neither a folder", *remedies):
        assert piece in message
    assert str(error.value.__cause__) in message


def test_a_folder_without_a_model_is_missing_too(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises((OSError, ValueError)) as error:
        load_lm(str(tmp_path))
    assert str(tmp_path) in str(error.value)


def test_a_tokenizer_without_padding_pads_with_its_end(pretrained_folder, tmp_path):
    tokenizer = load_tokenizer(pretrained_folder)
    assert tokenizer.pad_token == tokenizer.eos_token == "</s>"
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    tokenizer.pad_token = "<s>"  # one of its own is left alone
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path)).pad_token == "<s>"


@pytest.mark.parametrize("lora_r", [8, None])
def test_unpickling_without_the_base_says_what_is_missing(
    lora_r, table, quick_fit, pretrained_folder, tmp_path
):
    folder = tmp_path / "base"
    shutil.copytree(pretrained_folder, folder)
    model = quick_fit(table.X, table.y, model=str(folder), fit_method="ce", lora_r=lora_r)
    expected, packed = model.predict(table.X), pickle.dumps(model)
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="could not be loaded") as error:
        pickle.loads(packed)
    for piece in (f"model={str(folder)!r}", "neither a folder", "download it first"):
        assert piece in str(error.value)
    np.testing.assert_array_equal(model.predict(table.X), expected)  # the live one goes on
    (tmp_path / "elsewhere").rename(folder)
    np.testing.assert_array_equal(pickle.loads(packed).predict(table.X), expected)
