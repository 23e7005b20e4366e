"""Models that pack are believed, whatever the codec writes and the tokenizer calls it."""

import itertools
import warnings

import codec_zoo
import pytest
import torch
from hypothesis import given, settings
from tokenizer_zoo import STYLES

from llmreg import DecimalCodec, DigitCodec, GridCodec, LLMRegressor, ScientificCodec
from llmreg.lm.backbone import NumberLM
from llmreg.prompts.spelling import symbol_tokens

MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September",
          "October", "November", "December"]  # fmt: skip
Y = [0.0, 1.0, 3.5, 12.0, 99.0]
CODECS = {
    "digits": DigitCodec(),
    "bits": DigitCodec(2, 5),
    "scientific": ScientificCodec(),  # no signs: the first number ends early
    "signed": ScientificCodec(signs="both"),
    "whole": DecimalCodec(0, low=0),
    "decimal": DecimalCodec(1, low=0),
    "below zero": DecimalCodec(1, low=-20),
    "fives": GridCodec(range(0, 101, 5)),
    "stars": GridCodec([1, 2, 3, 4, 5]),
    "one": GridCodec([5]),
    "ends early": GridCodec([1, 12, 123, 2]),
    "months": GridCodec(range(1, 13), spellings=MONTHS),
    "words": GridCodec([1, 2, 3], spellings=["poor", "fair", "good"]),
    "observed": GridCodec(),
}


def _model(lm, symbol_ids, codec):
    return NumberLM(lm, None, torch.tensor(symbol_ids), codec).place("cpu").eval()


def _packs_without_a_word(model, batch):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return model.verify_packing(batch)


@pytest.mark.parametrize("style", STYLES)
def test_every_codec_packs_with_every_tokenizer(style, tokenizer_zoo, random_prompts, as_batch):
    import transformers

    tokenizer = tokenizer_zoo[style]
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, initializer_range=0.3,
    )  # fmt: skip
    lm, batch = transformers.LlamaForCausalLM(config), as_batch(random_prompts((6, 12)))
    for name, codec in CODECS.items():
        codec = codec.fit(Y)
        model = _model(lm, symbol_tokens(tokenizer, codec.symbols), codec)
        assert _packs_without_a_word(model, batch), name


@settings(max_examples=25, deadline=None)
@given(codec_zoo.fitted())
def test_whatever_a_codec_is_fitted_on(build_model, random_batch, fitted):
    assert _packs_without_a_word(build_model("gpt2", fitted[0]), random_batch((6, 9)))


ROOT_ALONE = {"stars", "one"}  # nothing is put behind the prompt


@pytest.mark.parametrize("name", sorted(CODECS.keys() - ROOT_ALONE))
def test_a_family_that_cannot_pack_is_found_with_every_codec(name, random_prompts, as_batch):
    import transformers

    torch.manual_seed(0)
    config = transformers.MptConfig(
        vocab_size=60, d_model=32, n_layers=2, n_heads=4, initializer_range=0.3
    )
    codec = CODECS[name].fit(Y)
    model = _model(
        transformers.MptForCausalLM(config), list(range(20, 20 + len(codec.symbols))), codec
    )
    batch = as_batch(random_prompts((6, 14)))
    with pytest.warns(UserWarning, match="model_type='mpt'.*differ by"):
        assert not model.verify_packing(batch)


@pytest.mark.parametrize("name", list(CODECS))
def test_all_roads_agree_at_all_nodes(name, build_model, random_batch):
    model = build_model("llama", CODECS[name].fit(Y), dtype=torch.float64)
    tree, batch = model.tree, random_batch((4, 7))
    nodes = torch.arange(1, tree.n_open)
    with torch.no_grad():
        packed, plain = model.node_logits(batch, nodes), model.plain_logits(batch, nodes)
        root, cache = model.prefill(batch)
        cached = [root.unsqueeze(1)]
        for _, level in itertools.groupby(nodes.tolist(), lambda k: int(tree.depth[k])):
            cached.append(model.extend(cache, torch.tensor(list(level)).expand(2, -1)))
    assert torch.allclose(packed, plain, atol=1e-8)
    assert torch.allclose(torch.cat(cached, 1), plain, atol=1e-8)


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [("BloomConfig", dict(hidden_size=32, n_layer=1, n_head=2)),  # fails on masks of ours
     ("MptConfig", dict(d_model=32, n_layers=1, n_heads=2))],  # goes on, with other numbers
)  # fmt: skip
def test_a_configuration_for_fresh_weights_is_verified_too(kind, sizes, table):
    import transformers

    model = LLMRegressor(
        getattr(transformers, kind)(initializer_range=0.3, **sizes), fit_method="ce",
        sft_epochs=0, estimates=None, codec=DigitCodec(4, 2), random_state=0,
    )  # fmt: skip
    with pytest.warns(UserWarning, match="cannot share one sequence"):
        model.fit(table.X, table.y)
    assert not model.model_.packs


@pytest.mark.parametrize("codec", ["whole", "fives"])
def test_a_pretrained_model_packs_without_a_warning(codec, tokenizer_zoo, table):
    import transformers

    tokenizer = tokenizer_zoo["qwen"]
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=1,
        num_attention_heads=4,
    )  # fmt: skip
    pair = transformers.LlamaForCausalLM(config), tokenizer
    model = LLMRegressor(pair, fit_method="zero_shot", codec=CODECS[codec], random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", "The untrained model would hardly begin")
        assert model.fit(table.X, table.y - min(table.y)).model_.packs
