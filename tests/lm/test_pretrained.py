"""LLMRegressor on pretrained models: what is loaded, how it is tuned, and what that may cost."""

import copy
import pickle

import numpy as np
import pytest
import torch
from peft import LoraConfig
from sklearn.base import clone
from transformers import AutoModelForCausalLM, AutoTokenizer, BertConfig, BertForMaskedLM

from llmreg import GRPO, Device, LLMRegressor, PretrainedModel
from llmreg.lm.loading.hub import ModelSource


@pytest.fixture
def pair(pretrained_folder):
    return (
        AutoModelForCausalLM.from_pretrained(pretrained_folder),
        AutoTokenizer.from_pretrained(pretrained_folder),
    )


# -- what is loaded --------------------------------------------------------------------------


@pytest.mark.parametrize("adapters", [4, None])
def test_a_pair_in_memory_fits_as_its_folder_does_and_stays_as_it_was(
    adapters, pair, pretrained_folder, table, quick_fit
):
    before = {name: p.clone() for name, p in pair[0].state_dict().items()}
    vocabulary = pair[1].get_vocab()
    model = quick_fit(table.X, table.y, model=pair, adapters=adapters)
    expected = quick_fit(table.X, table.y, model=pretrained_folder, adapters=adapters)
    assert np.array_equal(model.predict(table.X), expected.predict(table.X))
    after = pair[0].state_dict()
    assert before.keys() == after.keys() and pair[1].get_vocab() == vocabulary
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(p.requires_grad for p in pair[0].parameters())
    again = clone(model).fit(table.X, table.y)
    assert np.array_equal(again.predict(table.X), expected.predict(table.X))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_pair_that_was_cast_predicts_as_its_copies_do(dtype, pair, table, quick_fit, tmp_path):
    rough = pair[0].to(dtype)
    model = quick_fit(table.X, table.y, model=(rough, pair[1]))
    found = model.predict(table.X)
    model.save(tmp_path / "saved")
    copies = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    for other in (*copies, LLMRegressor.load(tmp_path / "saved")):
        np.testing.assert_array_equal(other.predict(table.X), found)
    assert {tensor.dtype for tensor in (*rough.parameters(), *rough.buffers())} == {dtype}


def _sizes(tokenizer):
    return dict(vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32,
                num_hidden_layers=1, num_attention_heads=2)  # fmt: skip


def test_what_is_no_pair_is_refused_with_the_remedy(pair, table):
    lm, tokenizer = pair
    lora = LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM")
    from peft import get_peft_model

    adapted = get_peft_model(copy.deepcopy(lm), lora)
    large = copy.deepcopy(tokenizer)
    large.add_tokens([f"<new{i}>" for i in range(400)])
    reader = BertConfig(**_sizes(tokenizer))
    for given, message in [
        ((lm,), r"\(LlamaForCausalLM\) is not a pair of a loaded causal language model"),
        ((tokenizer, lm), "Pass \\(model, tokenizer\\) in this order"),
        (("gpt2", tokenizer), "is not a pair of a loaded"),
        ((lm, "gpt2"), "the second of the pair must be the model's tokenizer"),
        ((adapted, tokenizer), r"adapters already. Pass model.merge_and_unload\(\)"),
        ((lm.model, tokenizer), r"\(LlamaModel, .*Load it with AutoModelForCausalLM.from_pret"),
        ((BertForMaskedLM(reader), tokenizer), r"\(BertForMaskedLM, .* no causal language model"),
        ((lm, large), "of which the model knows 301. Pass the tokenizer that belongs"),
    ]:
        with pytest.raises(ValueError, match=message):
            LLMRegressor(model=given).fit(table.X, table.y)


def test_the_parameters_of_loading_reach_the_loader(table, pretrained_folder, monkeypatch):
    seen = []

    def spy(source, *args):
        seen.append(source)
        raise KeyboardInterrupt

    monkeypatch.setattr("llmreg.lm.loading.base.load_tokenizer", spy)
    given = dict(
        revision="v2", token="secret", local_files_only=True, trust_remote_code=True,
        model_kwargs={"subfolder": "half"},
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        LLMRegressor(PretrainedModel("some/model", **given)).fit(table.X, table.y)
    assert seen == [ModelSource("some/model", **given)]
    assert seen[0].token == "secret"


def test_model_kwargs_reach_the_model(table, pretrained_folder, quick_fit):
    eager = PretrainedModel(pretrained_folder, model_kwargs={"attn_implementation": "eager"})
    model = quick_fit(table.X, table.y, model=eager)
    assert model.model_.transformer.config._attn_implementation == "eager"
    opened = pickle.loads(pickle.dumps(model))
    assert opened.model_.transformer.config._attn_implementation == "eager"
    plain = quick_fit(table.X, table.y, model=pretrained_folder)
    assert plain.model_.transformer.config._attn_implementation == "sdpa"
    np.testing.assert_allclose(model.predict(table.X), plain.predict(table.X), rtol=1e-3)


def test_the_chat_template_is_a_choice(table, tokenizer_zoo, pair, quick_fit):
    tokenizer = tokenizer_zoo["qwen"]
    config = copy.deepcopy(pair[0].config)
    config.vocab_size = len(tokenizer)
    lm = AutoModelForCausalLM.from_config(config)
    found = {}
    for chat in (True, False):
        asked = PretrainedModel((lm, tokenizer), chat_template=chat, prefill="")
        model = quick_fit(table.X, table.y, model=asked)
        rows = model.prompts_.encode(model.serializer_.serialize(table.X[:1]))
        found[chat] = tokenizer.decode(rows.ids[: rows.lengths[0]])
    assert found[False] in found[True] and found[False] != found[True]
    assert found[True].startswith("<|im_start|>") and "<|im_start|>" not in found[False]


# -- adapters --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(r=4, use_dora=True, target_modules="all-linear", task_type="CAUSAL_LM"),
        LoraConfig(r=4, use_rslora=True, target_modules=["q_proj"], task_type="CAUSAL_LM"),
    ],
    ids=["dora", "rslora"],
)
@pytest.mark.parametrize("base", ["pretrained", "tiny"])
def test_a_whole_configuration_of_peft_is_used(base, config, table, pretrained_folder, quick_fit):
    model = "tiny" if base == "tiny" else pretrained_folder
    before = config.to_dict()
    fitted = quick_fit(table.X, table.y, model=model, adapters=config)
    plain = quick_fit(table.X, table.y, model=model)
    assert not np.array_equal(fitted.predict(table.X), plain.predict(table.X))
    assert config.to_dict() == before
    if base == "pretrained":
        used = fitted.model_.lm.peft_config["default"]
        assert (used.use_dora, used.use_rslora) == (config.use_dora, config.use_rslora)


def test_adapters_train_in_float32_on_a_bfloat16_base(table, pretrained_folder, quick_fit):
    model = quick_fit(
        table.X, table.y, model=pretrained_folder, device=Device(dtype="bfloat16"),
        number_input="text+value",
    )  # fmt: skip
    kinds = {
        name.split(".")[0] if "lora_" not in name else "adapters": p.dtype
        for name, p in model.model_.named_parameters()
    }
    assert kinds == {"lm": torch.bfloat16, "adapters": torch.float32, "cells": torch.float32}
    assert np.isfinite(model.predict(table.X)).all()


def test_a_penalty_keeps_the_adapters_near_those_of_the_first_stage(
    table, pretrained_folder, quick_fit
):
    asked = PretrainedModel(pretrained_folder, instruction="", prefill="")

    def fitted(beta):
        return quick_fit(
            table.X, table.y, model=asked, fit_method=GRPO(8, beta=beta),
            sft_learning_rate=1e-2, align_learning_rate=1e-2, align_epochs=3,
        )  # fmt: skip

    free, held = fitted(0.0), fitted(50.0)
    start = quick_fit(table.X, table.y, model=asked, fit_method="soft_ce", sft_learning_rate=1e-2)
    moved = [np.abs(m.predict(table.X) - start.predict(table.X)).mean() for m in (free, held)]
    assert moved[1] < 0.5 * moved[0]
    assert "kl" in held.history_ and "kl" not in free.history_
    assert list(held.model_.lm.peft_config) == ["default"]  # the frozen copy is gone


# -- memory and speed ------------------------------------------------------------------------


@pytest.mark.parametrize("fit_method", ["soft_ce", "grpo"])
@pytest.mark.parametrize("change", [dict(gradient_checkpointing=True), dict(micro_batch_size=3)])
def test_saving_memory_changes_no_result(change, fit_method, table, pretrained_folder, quick_fit):
    def fitted(**change):
        device = Device(dtype="float64", **change)
        fit = dict(model=pretrained_folder, fit_method=fit_method, device=device)
        return quick_fit(table.X, table.y, **fit).predict(table.X)

    expected, found = fitted(), fitted(**change)
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_checkpointing_is_really_on(table, pretrained_folder, quick_fit, monkeypatch):
    from llmreg.lm.backbone import NumberLM

    switched = []
    method = NumberLM.checkpointing
    monkeypatch.setattr(
        NumberLM, "checkpointing", lambda self, on=True: switched.append(on) or method(self, on)
    )
    device = Device(gradient_checkpointing=True)
    quick_fit(table.X, table.y, model=pretrained_folder, device=device)
    assert switched == [True, False]  # for the fit alone


@pytest.mark.slow
def test_a_compiled_fit_gives_the_same_model(table, pretrained_folder, quick_fit):
    expected = quick_fit(table.X, table.y, model=pretrained_folder)
    device = Device(torch_compile=True)
    found = quick_fit(table.X, table.y, model=pretrained_folder, device=device)
    assert found.model_._compiled
    np.testing.assert_allclose(found.predict(table.X), expected.predict(table.X), rtol=1e-3)


def test_prediction_splits_batches_that_do_not_fit(table, quick_fit, monkeypatch):
    from llmreg.lm.backbone import NumberLM

    model = quick_fit(table.X, table.y)
    expected, sizes, method = model.predict(table.X), [], NumberLM.node_logits

    def limited(self, batch, nodes):
        sizes.append(len(batch))
        if len(batch) > 12:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return method(self, batch, nodes)

    monkeypatch.setattr(NumberLM, "node_logits", limited)
    monkeypatch.setattr("llmreg.prediction.distributions.MOST_PADDING", 10.0)  # one batch for all
    np.testing.assert_allclose(model.predict(table.X), expected, rtol=1e-12)
    assert sizes[0] == 40 and sorted(sizes)[-3:] == [20, 20, 40]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("fit_method", ["soft_ce", "grpo"])
def test_on_a_gpu_a_fit_predicts_what_it_predicts_on_the_cpu(
    fit_method, table, pretrained_folder, quick_fit
):
    model = quick_fit(
        table.X, table.y, model=pretrained_folder, fit_method=fit_method, device="cuda"
    )
    assert model.model_.dtype == torch.bfloat16
    on_gpu = model.predict(table.X)
    opened = pickle.loads(pickle.dumps(model)).set_params(device="cpu")
    assert opened.model_.device.type == "cpu"
    np.testing.assert_allclose(opened.predict(table.X), on_gpu, rtol=0.05)
