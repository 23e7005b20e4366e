"""Pretrained models and tokenizers: found, or a message that says what to do."""

import os
import pickle
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from huggingface_hub import errors

from llmreg.lm.loading.hub import (
    ModelSource,
    load_lm,
    load_tokenizer,
    resolved_revision,
    weights_checksum,
)

LOADERS = [load_lm, load_tokenizer]
NAME, COMMIT = "acme/small", "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_a_folder_gives_its_model_and_its_tokenizer(pretrained_folder, capfd):
    lm, tokenizer = load_lm(pretrained_folder), load_tokenizer(pretrained_folder)
    assert lm.get_input_embeddings().num_embeddings == len(tokenizer)
    assert type(lm).__name__ == "LlamaForCausalLM"
    assert not lm.training and lm.dtype == torch.float32
    assert "Loading weights" not in capfd.readouterr().err
    assert resolved_revision(lm) is None


def test_the_progress_bars_of_others_stay_as_they_were(pretrained_folder, capfd):
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    seen = []

    def hook(factory, args, kwargs):
        seen.append(kwargs)
        return factory(*args, **kwargs)

    before = logging.set_tqdm_hook(hook)
    try:
        load_lm(pretrained_folder)
        with pytest.raises(OSError):
            load_lm("no-such-organisation-zq/none")
        assert not seen
        AutoModelForCausalLM.from_pretrained(pretrained_folder)
        assert seen
    finally:
        logging.set_tqdm_hook(before)


@pytest.mark.parametrize("saved", [torch.float32, torch.bfloat16])
def test_the_type_of_the_weights_is_what_was_asked_for_whatever_was_saved(
    saved, pretrained_folder, tmp_path
):
    load_lm(pretrained_folder, saved).save_pretrained(tmp_path)
    assert load_lm(str(tmp_path)).dtype == torch.float32
    assert load_lm(str(tmp_path), torch.bfloat16).dtype == torch.bfloat16


# -- names ------------------------------------------------------------------------------------


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
@pytest.mark.parametrize("name", ["./missing", "../m", "~/missing", "{}", "a/b/c", "a\\b"])
def test_a_folder_that_is_missing_is_said_to_be(load, name, tmp_path):
    name = name.format(tmp_path / "missing")
    path = re.escape(os.path.abspath(os.path.expanduser(name)))
    with pytest.raises(OSError, match=f"{path} is no folder on this machine. Check the path") as e:
        load(name)
    assert "hf download" not in str(e.value) and str(e.value.__cause__) in str(e.value)


def test_a_file_is_said_to_be_no_folder(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    with pytest.raises(OSError, match=r"model.safetensors is a file, and no folder"):
        load_lm(str(file))


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize("name", ["no-such-organisation-zq/none", "two words"])
def test_what_is_not_there_says_what_to_do_and_what_the_loader_said(load, name):
    with pytest.raises(OSError) as error:
        load(name)
    message = str(error.value)
    remedies = ("Check the name", "download it first", "model='tiny'", "no download")
    for piece in (f"model={name!r} could not be loaded", "neither a folder", *remedies):
        assert piece in message
    assert str(error.value.__cause__) in message


@pytest.mark.parametrize("load", LOADERS)
def test_a_folder_without_a_model_is_named_with_what_to_put_there(load, tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(OSError, match="holds no model that transformers can read") as error:
        load(str(tmp_path))
    assert f"the folder {tmp_path}" in str(error.value)
    assert "model.save_pretrained(folder)" in str(error.value)


def test_a_home_directory_may_be_written_short(pretrained_folder, monkeypatch):
    home, _, folder = pretrained_folder.rpartition("/")
    monkeypatch.setenv("HOME", home)
    assert ModelSource(f"~/{folder}").is_folder
    assert load_lm(f"~/{folder}").config.vocab_size


def test_a_revision_of_a_folder_warns(pretrained_folder):
    source = ModelSource(pretrained_folder, revision="v1")
    with pytest.warns(UserWarning, match="revision='v1' has no effect"):
        lm = load_lm(source)
    assert resolved_revision(lm) is None


# -- settings ---------------------------------------------------------------------------------


def test_a_token_is_neither_shown_nor_compared():
    source = ModelSource(NAME, token="hf_secret")
    assert "hf_secret" not in repr(source) and source == replace(source, token=None)


@pytest.mark.parametrize("key", ["revision", "token", "trust_remote_code", "dtype", "torch_dtype"])
def test_what_has_a_parameter_of_its_own_is_no_model_kwarg(key):
    with pytest.raises(ValueError, match=f"model_kwargs holds '{key}'.*parameter") as error:
        ModelSource(NAME, model_kwargs={key: "hf_secret"})
    assert key != "token" or "hf_secret" not in str(error.value)


def _passed(load, kind, source, monkeypatch):
    """What a loader hands to from_pretrained of ``kind``."""
    passed = {}

    def from_pretrained(name, **kwargs):
        passed.update(kwargs, name=name)
        raise OSError("that is all")

    monkeypatch.setattr(f"transformers.{kind}.from_pretrained", from_pretrained)
    with pytest.raises(OSError, match="that is all"):
        load(source)
    return passed


def test_all_settings_reach_the_loaders(monkeypatch, pretrained_folder):
    from transformers import LlamaConfig

    kwargs = {"attn_implementation": "eager", "cache_dir": "/nowhere", "subfolder": "deep"}
    source = ModelSource(NAME, "v1", "hf_secret", True, True, kwargs)
    shared = {
        "name": NAME, "revision": "v1", "token": "hf_secret", "local_files_only": True,
        "trust_remote_code": True, "cache_dir": "/nowhere", "subfolder": "deep",
    }  # fmt: skip
    assert _passed(load_tokenizer, "AutoTokenizer", source, monkeypatch) == shared
    assert _passed(load_lm, "AutoConfig", source, monkeypatch) == shared
    monkeypatch.setattr(
        "transformers.AutoConfig.from_pretrained", lambda *args, **kwargs: LlamaConfig()
    )
    passed = _passed(load_lm, "AutoModelForCausalLM", source, monkeypatch)
    assert passed.items() >= (shared | {"attn_implementation": "eager"}).items()
    assert passed["adapter_kwargs"] == {"local_files_only": True}


# -- the hub ----------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, pretrained_folder):
    """A hub cache that holds ``NAME`` at ``COMMIT``."""
    root = tmp_path / "hub" / "models--acme--small"
    shutil.copytree(pretrained_folder, root / "snapshots" / COMMIT)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(COMMIT)
    return str(tmp_path / "hub")


def _hub_error(kind):
    if not issubclass(kind, errors.HfHubHTTPError):
        return kind("what the hub said")
    response = SimpleNamespace(headers={}, request=None, status_code=400)
    return kind("what the hub said", response=response)


@pytest.fixture
def hub(monkeypatch):
    """``hub(error)``: a hub that is asked, and answers with an error; returns the requests."""

    def answer(error):
        asked = []

        def metadata(url, **kwargs):
            asked.append(url)
            raise error

        monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", metadata)
        return asked

    return answer


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize(
    "kind, pieces",
    [
        (errors.GatedRepoError, ("it is gated", f"/{NAME}", "hf auth login", "token")),
        (errors.RepositoryNotFoundError, ("none of that name", "private", "token")),
        (errors.RevisionNotFoundError, ("no such revision", f"/{NAME}/tree/main", "None")),
        (ConnectionError, ("could not be reached", "local cache at", "Check the name")),
        (errors.OfflineModeIsEnabled, ("HF_HUB_OFFLINE is set", "local cache at")),
    ],
)
def test_what_the_hub_answers_is_told_after_one_request(load, kind, pieces, hub, tmp_path):
    asked = hub(_hub_error(kind))
    source = ModelSource(NAME, revision="v9", model_kwargs={"cache_dir": str(tmp_path)})
    with pytest.raises(OSError) as error:
        load(source)
    named = f"model={NAME!r} (revision 'v9') could not be loaded"
    for piece in (named, "The hub said: what the hub said", *pieces):
        assert piece in str(error.value)
    assert error.value.__cause__ is not None
    assert len(asked) == 1 and "/v9/" in asked[0]


@pytest.mark.parametrize("load", LOADERS)
def test_errors_of_the_loader_are_told_as_well(load, monkeypatch):
    def from_pretrained(*args, **kwargs):
        raise OSError("no access") from _hub_error(errors.GatedRepoError)

    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", from_pretrained)
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", from_pretrained)
    with pytest.raises(OSError, match="it is gated"):
        load(ModelSource(NAME))


@pytest.mark.parametrize("load", LOADERS)
def test_a_model_on_the_hub_without_the_files_is_not_said_to_be_missing(load, hub, monkeypatch):
    def from_pretrained(*args, **kwargs):
        raise OSError("it does not appear to have a file named config.json")

    hub(_hub_error(errors.EntryNotFoundError))
    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", from_pretrained)
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", from_pretrained)
    with pytest.raises(OSError, match=r"the hub has the model, but not as files.*config\.json"):
        load(ModelSource(NAME))


@pytest.mark.parametrize("kind", [ConnectionError, errors.GatedRepoError])
def test_without_the_hub_the_cache_is_enough(kind, hub, cache, pretrained_folder, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    asked = hub(_hub_error(kind))
    source = ModelSource(NAME, model_kwargs={"cache_dir": cache})
    lm, tokenizer = load_lm(source), load_tokenizer(source)
    assert len(asked) == 2  # one each
    assert resolved_revision(lm) == COMMIT
    assert tokenizer("12")["input_ids"] == load_tokenizer(pretrained_folder)("12")["input_ids"]
    lm = load_lm(replace(source, local_files_only=True, revision=COMMIT))
    assert len(asked) == 2 and resolved_revision(lm) == COMMIT


def test_local_files_only_is_named_where_the_files_are_not_there(hub, tmp_path):
    asked = hub(AssertionError())
    source = ModelSource(NAME, local_files_only=True, model_kwargs={"cache_dir": str(tmp_path)})
    with pytest.raises(OSError, match="local_files_only=True") as error:
        load_lm(source)
    assert str(tmp_path) in str(error.value) and not asked


# -- models that do not fit -------------------------------------------------------------------


def _save(kind, config, folder, **sizes):
    import transformers

    config = getattr(transformers, config)(vocab_size=50, **sizes)
    getattr(transformers, kind)(config).save_pretrained(folder)


BERT = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)


@pytest.mark.parametrize(
    "kind, config, sizes, said",
    [
        ("BertForMaskedLM", "BertConfig", BERT, "reads both ways"),
        ("T5ForConditionalGeneration", "T5Config",
         dict(d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2), "with an encoder"),
        ("BartForConditionalGeneration", "BartConfig",
         dict(d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
              decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16),
         "with an encoder"),
        ("DistilBertModel", "DistilBertConfig", dict(dim=16, n_layers=1, n_heads=2, hidden_dim=16),
         "does not write text from left to right"),
    ],
)  # fmt: skip
def test_what_is_no_causal_language_model_is_refused(kind, config, sizes, said, tmp_path):
    _save(kind, config, tmp_path, **sizes)
    with pytest.raises(ValueError, match="is not a causal language model") as error:
        load_lm(str(tmp_path))
    for piece in (f"model={str(tmp_path)!r}", kind, said, "Choose a model that generates text"):
        assert piece in str(error.value)


def test_a_bert_that_was_trained_to_write_is_a_causal_language_model(tmp_path):
    _save("BertLMHeadModel", "BertConfig", tmp_path, is_decoder=True, **BERT)
    assert type(load_lm(str(tmp_path))).__name__ == "BertLMHeadModel"


def test_weights_without_an_output_layer_are_refused(tmp_path, pretrained_folder):
    load_lm(pretrained_folder).model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"no weights for the layer that writes \(lm_head"):
        load_lm(str(tmp_path))


def test_adapters_are_no_model(pretrained_folder, tmp_path):
    from peft import LoraConfig, get_peft_model

    lm = get_peft_model(load_lm(pretrained_folder), LoraConfig(task_type="CAUSAL_LM"))
    lm.save_pretrained(tmp_path)
    with pytest.raises(OSError, match=r"holds peft adapters, not a model.*merge_and_unload"):
        load_lm(str(tmp_path))
    lm.get_base_model().config.save_pretrained(tmp_path)
    shutil.copy(f"{pretrained_folder}/model.safetensors", tmp_path)
    with pytest.raises(ValueError, match="comes with peft adapters"):
        load_lm(str(tmp_path))


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2"])
def test_a_model_without_a_tokenizer_is_told_so(family, tmp_path):
    from transformers import AutoConfig

    AutoConfig.for_model(family).save_pretrained(tmp_path)
    with pytest.raises(OSError, match="holds no tokenizer that can be read") as error:
        load_tokenizer(str(tmp_path))
    assert f"the folder {tmp_path}" in str(error.value)
    assert "tokenizer.save_pretrained(folder)" in str(error.value)


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_spoilt_files_say_where_they_are(file, pretrained_folder, tmp_path):
    shutil.copytree(pretrained_folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / file).write_text("{ rubbish")
    with pytest.raises(OSError, match="could not be loaded") as error:
        load_tokenizer(str(tmp_path))
        load_lm(str(tmp_path))
    assert str(tmp_path) in str(error.value) and error.value.__cause__ is not None


def test_code_that_comes_with_a_model_is_run_only_if_asked_for(pretrained_folder, tmp_path):
    import json

    shutil.copytree(pretrained_folder, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="set trust_remote_code=True if you want to run it"):
        load_lm(str(tmp_path))


def test_an_unknown_argument_is_told_with_the_others(pretrained_folder):
    source = ModelSource(pretrained_folder, model_kwargs={"no_such_argument": 1})
    with pytest.raises(ValueError, match=r"model_kwargs=\{'no_such_argument': 1\}.*unknown name"):
        load_lm(source)


def test_quantisation_without_its_package_says_what_to_install(pretrained_folder, monkeypatch):
    from transformers import BitsAndBytesConfig

    module = "transformers.quantizers.quantizer_bnb_4bit"
    monkeypatch.setattr(f"{module}.is_bitsandbytes_available", lambda *args: False)
    kwargs = {"quantization_config": BitsAndBytesConfig(load_in_4bit=True)}
    with pytest.raises(OSError, match="package that this way of loading needs") as error:
        load_lm(ModelSource(pretrained_folder, model_kwargs=kwargs))
    assert "bitsandbytes" in str(error.value) and isinstance(error.value.__cause__, ImportError)


# -- which weights they are -------------------------------------------------------------------


def test_the_checksum_is_that_of_the_base_weights(pretrained_folder, tmp_path):
    from peft import LoraConfig, PeftModel, get_peft_model

    lm = load_lm(pretrained_folder)
    expected = weights_checksum(lm)
    assert len(expected) == 16 and int(expected, 16) >= 0
    for dtype in (torch.bfloat16, torch.float64):
        assert weights_checksum(load_lm(pretrained_folder, dtype)) == expected
    config = LoraConfig(target_modules="all-linear", modules_to_save=["norm"], use_dora=True)
    wrapped = get_peft_model(lm, config)
    with torch.no_grad():
        for p in wrapped.parameters():
            if p.requires_grad:
                p += 1
    assert weights_checksum(wrapped) == expected
    wrapped.save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(load_lm(pretrained_folder), tmp_path)
    assert weights_checksum(again) == expected
    assert weights_checksum(again.merge_and_unload()) != expected


def test_the_checksum_sees_a_changed_weight_name_and_shape(pretrained_folder):
    lm = load_lm(pretrained_folder)
    expected = weights_checksum(lm)
    with torch.no_grad():
        lm.model.norm.weight[3] += 0.5
    changed = weights_checksum(lm)
    lm.model.norm.weight.data = lm.model.norm.weight.data.reshape(2, -1)
    reshaped = weights_checksum(lm)
    lm.model.other = lm.model.norm
    del lm.model.norm
    assert len({expected, changed, reshaped, weights_checksum(lm)}) == 4


def test_the_checksum_leaves_quantised_and_absent_weights_out(pretrained_folder):
    lm = load_lm(pretrained_folder)
    expected = weights_checksum(lm)
    for name, p in (
        ("bytes", torch.zeros(3, dtype=torch.uint8)),
        ("halves", torch.zeros(3).to(torch.float8_e4m3fn)),
        ("absent", torch.zeros(3, device="meta")),
    ):
        lm.register_parameter(name, torch.nn.Parameter(p, requires_grad=False))
    assert weights_checksum(lm) == expected
    lm.register_parameter("empty", torch.nn.Parameter(torch.zeros(0)))
    assert weights_checksum(lm) != expected


def test_tied_weights_count_once(tmp_path):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    sizes = dict(vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                 num_attention_heads=2, num_key_value_heads=2)  # fmt: skip
    lm = Qwen2ForCausalLM(Qwen2Config(tie_word_embeddings=True, **sizes))
    expected = weights_checksum(lm)
    lm.save_pretrained(tmp_path)
    assert weights_checksum(load_lm(str(tmp_path))) == expected
    lm.lm_head.weight = torch.nn.Parameter(lm.lm_head.weight.detach().clone())
    assert weights_checksum(lm) != expected


def test_a_tokenizer_without_padding_pads_with_its_end(pretrained_folder, tmp_path):
    tokenizer = load_tokenizer(pretrained_folder)
    assert tokenizer.pad_token == tokenizer.eos_token == "</s>"
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    tokenizer.pad_token = "<s>"  # one of its own is left alone
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path)).pad_token == "<s>"


def test_a_tokenizer_with_neither_padding_nor_end_stays_so(tokenizer_zoo, tmp_path):
    from transformers import PreTrainedTokenizerFast

    core = tokenizer_zoo["gpt2"].backend_tokenizer
    PreTrainedTokenizerFast(tokenizer_object=core).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(str(tmp_path))
    assert tokenizer.pad_token_id is None and tokenizer.eos_token_id is None


def test_unpickling_without_the_base_says_what_is_missing(
    table, quick_fit, pretrained_folder, tmp_path
):
    folder = tmp_path / "base"
    shutil.copytree(pretrained_folder, folder)
    model = quick_fit(table.X, table.y, model=str(folder), fit_method="ce")
    expected, packed = model.predict(table.X), pickle.dumps(model)
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="could not be loaded") as error:
        pickle.loads(packed)
    for piece in (f"model={str(folder)!r}", f"{folder} is no folder", "Check the path"):
        assert piece in str(error.value)
    np.testing.assert_array_equal(model.predict(table.X), expected)  # the live one goes on
    (tmp_path / "elsewhere").rename(folder)
    np.testing.assert_array_equal(pickle.loads(packed).predict(table.X), expected)
