"""What a fit begins with: fresh weights or pretrained ones."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from families import FAMILIES, family_config
from plans import plan_of
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from llmreg import DigitCodec, LLMRegressor, PretrainedModel, RowSerializer
from llmreg.lm.loading.base import fresh_base, model_source, pretrained_base
from llmreg.lm.packing import filled, shape_of

X = pd.DataFrame({"size": np.arange(30.0)})
CODEC = DigitCodec(10, 2).fit(np.arange(30.0))


def _fresh(model, X=X):
    rows = RowSerializer().fit(X).serialize(X)
    plan = plan_of(LLMRegressor(model), rows, CODEC)
    return fresh_base(model, plan, rows, CODEC)


def test_tiny_is_known_and_fresh_each_time():
    base = _fresh("tiny")
    assert base.known and base.lm is None and base.source is None
    with torch.random.fork_rng(devices=[]):
        one, other = base.language_model(), base.language_model()
    weights = [next(lm.parameters()) for lm in (one, other)]
    assert weights[0].shape == weights[1].shape and not torch.equal(*weights)
    spelled = base.tokenizer.convert_ids_to_tokens(base.symbol_ids.tolist())
    assert spelled == list(CODEC.symbols)


def test_tiny_has_as_many_layers_as_are_planned():
    words = pd.DataFrame({"says": [f"row number {i} of many" for i in range(30)]})
    assert [_fresh("tiny", table).config.num_hidden_layers for table in (X, words)] == [2, 1]


def test_a_configuration_keeps_its_shape_and_gets_the_vocabulary():
    config = LlamaConfig(hidden_size=32, intermediate_size=32, num_hidden_layers=1,
                         num_attention_heads=2, vocab_size=7)  # fmt: skip
    base = _fresh(config)
    assert not base.known and config.vocab_size == 7
    assert base.language_model().get_input_embeddings().weight.shape == (len(base.tokenizer), 32)


def test_pretrained_weights_are_loaded_once_and_say_from_where(pretrained_folder):
    base = pretrained_base(PretrainedModel(pretrained_folder), CODEC, torch.bfloat16)
    assert base.language_model() is base.language_model() is base.lm
    assert base.source.name == pretrained_folder and base.lm.dtype == torch.bfloat16


def test_a_pair_is_copied_and_has_no_source(pretrained_folder):
    loaded = pretrained_base(PretrainedModel(pretrained_folder), CODEC)
    base = pretrained_base(PretrainedModel((loaded.lm, loaded.tokenizer)), CODEC)
    assert base.source is None and base.lm is not loaded.lm
    same = zip(base.lm.parameters(), loaded.lm.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_cast_has_rounded_is_computed_as_copies_have_it(family, dtype, pretrained_folder):
    tokenizer = AutoTokenizer.from_pretrained(pretrained_folder)
    config = family_config(family)
    config.vocab_size = len(tokenizer)
    with torch.random.fork_rng(devices=[]):
        given = AutoModelForCausalLM.from_config(config).to(dtype)
        copied = filled(shape_of(given), dict(given.state_dict()), "float32")
    before, state = copy.deepcopy(given), torch.get_rng_state()
    base = pretrained_base(PretrainedModel((given, tokenizer)), CODEC)
    assert torch.equal(torch.get_rng_state(), state)
    saved = given.state_dict()
    for name, buffer in copied.named_buffers():
        if name not in saved:
            assert torch.equal(base.lm.get_buffer(name), buffer), name
            assert torch.equal(given.get_buffer(name), before.get_buffer(name)), name


def test_the_source_has_all_that_was_asked_for():
    given = dict(revision="v1", token="t", local_files_only=True, trust_remote_code=True,
                 model_kwargs={"subfolder": "x"})  # fmt: skip
    source = model_source(PretrainedModel("owner/name", **given))
    assert source.name == "owner/name"
    assert {name: getattr(source, name) for name in given} == given


@pytest.mark.parametrize("pair", [(1, 2), (torch.nn.Linear(1, 1),), ()])
def test_what_is_no_pair_is_refused(pair):
    with pytest.raises(ValueError, match="is not a pair of a loaded causal language model"):
        pretrained_base(PretrainedModel(pair), CODEC)
