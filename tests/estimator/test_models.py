"""Models: configurations with fresh weights, and pretrained ones."""

import itertools
import pickle

import numpy as np
import pytest
import torch
from peft import LoraConfig
from sklearn.base import clone

from llmreg import DigitCodec, RowSerializer


def _llama():
    from transformers import LlamaConfig

    return LlamaConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )


def _gpt2():
    from transformers import GPT2Config

    return GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=64)


@pytest.mark.parametrize("config", [_llama, _gpt2])
@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
def test_a_configuration_gives_a_model_of_that_shape_from_fresh_weights(config, table, quick_fit):
    config = config()
    before = config.to_dict()
    model = quick_fit(table.X, table.y, model=config)
    found = model.predict(table.X)
    assert np.isfinite(found).all() and np.ptp(found) > 0
    assert type(model.model_.lm.config) is type(config)
    assert model.model_.lm.get_input_embeddings().embedding_dim == 32
    assert config.to_dict() == before
    assert model.model_.source is None and not model.model_.has_lora  # merged after stage "align"
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(table.X), found)
    np.testing.assert_array_equal(clone(model).fit(table.X, table.y).predict(table.X), found)


@pytest.mark.filterwarnings("ignore:Text cells were cut")
def test_prompts_are_cut_to_the_positions_that_a_model_has(table, quick_fit):
    X = table.X.assign(words=[f"{text} {i} " * 30 for i, text in enumerate(table.X["words"])])
    with pytest.warns(UserWarning, match="Prompts were cut to 61 tokens in 40 of 40 rows"):
        model = quick_fit(
            X, table.y, model=_gpt2(), fit_method="ce", codec=DigitCodec(n_digits=3),
            serializer=RowSerializer(max_text_tokens=64),
        )  # fmt: skip
    with pytest.warns(UserWarning, match="Prompts were cut to 61 tokens"):
        assert np.isfinite(model.predict(X)).all()


@pytest.fixture(scope="module")
def base_weights(pretrained_folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(pretrained_folder).state_dict()


@pytest.mark.parametrize("number_input", ["text", "text+value", "value"])
@pytest.mark.parametrize("text_features", [False, True])
def test_a_pretrained_model_is_tuned_by_adapters(
    number_input, text_features, table, quick_fit, pretrained_folder, base_weights
):
    model = quick_fit(
        table.X, table.y, model=pretrained_folder, number_input=number_input,
        text_features=text_features,
    )  # fmt: skip
    found = model.predict(table.X)
    assert np.isfinite(found).all() and np.ptp(found) > 0

    weights = model.model_.lm.state_dict()
    plain = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): weight
        for name, weight in weights.items()
        if "lora_" not in name
    }
    assert plain.keys() == base_weights.keys()
    for name, weight in plain.items():
        assert torch.equal(weight, base_weights[name]), name
    adapters = [weight for name, weight in weights.items() if "lora_B" in name]
    assert len(adapters) == 7  # q, k, v, o, gate, up, down of the second of two layers
    assert all(weight.any() for weight in adapters)

    wants_cells = number_input != "text" or text_features
    assert (model.model_.cells is not None) == wants_cells
    if wants_cells:
        cells = model.model_.cells
        assert bool(cells.numbers.curve.weight.any()) == (number_input != "text")
        assert bool(cells.texts.weight.any()) == text_features

    packed = pickle.dumps(model)
    assert len(packed) < 0.3 * sum(weight.nbytes for weight in base_weights.values())
    again = pickle.loads(packed)
    np.testing.assert_array_equal(again.predict(table.X), found)
    assert again.model_.trainable().keys() == model.model_.trainable().keys()


def test_what_a_pretrained_model_reads_of_numbers_changes_its_predictions(
    table, quick_fit, pretrained_folder
):
    one_row = table.X.iloc[[0, 0]].assign(size=[-9.0, 9.0])
    models = [
        quick_fit(
            table.X, table.y, model=pretrained_folder, fit_method="ce", number_input=number_input,
            text_features=text_features,
        )
        for number_input, text_features in [
            ("text", False), ("text+value", False), ("value", False), ("value", True)
        ]
    ]  # fmt: skip
    for one, other in itertools.combinations(models, 2):
        assert (one.predict(table.X) != other.predict(table.X)).any()
    for model in models:
        assert np.ptp(model.predict(one_row)) > 0


def test_without_lora_all_weights_of_a_pretrained_model_are_trained(
    table, quick_fit, pretrained_folder, base_weights
):
    model = quick_fit(table.X, table.y, model=pretrained_folder, adapters=None)
    assert not model.model_.has_lora
    trained = model.model_.lm.state_dict()
    moved = [name for name in base_weights if not torch.equal(trained[name], base_weights[name])]
    assert len(moved) > 0.8 * len(base_weights)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(table.X), model.predict(table.X))


@pytest.mark.parametrize(
    "adapters",
    [2, None, LoraConfig(target_modules="all-linear", lora_alpha=1)],
    ids=["2", "None", "LoraConfig"],
)
def test_adapters_of_fresh_weights_act_in_the_second_stage_alone(adapters, table, quick_fit):
    def history(**params):
        model = quick_fit(table.X, table.y, align_epochs=2, **params)
        return model.history_.groupby("stage")["loss"].apply(list), model.predict(table.X)

    (before, expected), (after, found) = history(), history(adapters=adapters)
    assert before["sft"] == after["sft"]
    assert before["align"] != after["align"]
    assert (found != expected).any()


def _with(dropout):
    return LoraConfig(r=8, target_modules="all-linear", lora_dropout=dropout)


def test_lora_dropout_changes_the_first_stage_of_a_pretrained_model(
    table, quick_fit, pretrained_folder
):
    found = [
        quick_fit(
            table.X, table.y, model=pretrained_folder, fit_method="ce", adapters=_with(dropout)
        )
        for dropout in (0.0, 0.5)
    ]
    assert (found[0].predict(table.X) != found[1].predict(table.X)).any()


def test_lora_dropout_does_nothing_in_stage_align(table, quick_fit, pretrained_folder):
    for params in (dict(), dict(model=pretrained_folder, sft_epochs=0)):
        found = [
            quick_fit(table.X, table.y, adapters=_with(dropout), **params).predict(table.X)
            for dropout in (0.0, 0.5)
        ]
        np.testing.assert_array_equal(*found)


def test_a_model_that_does_not_exist_says_what_was_looked_for(table, quick_fit, tmp_path):
    name = str(tmp_path / "nothing-here")
    with pytest.raises(OSError, match="nothing-here") as error:
        quick_fit(table.X, table.y, model=name)
    for piece in (f"model={name!r}", "no folder on this", "hub", "model='tiny'", "no download"):
        assert piece in str(error.value)


def test_a_codec_whose_symbols_the_tokenizer_lacks_is_named(
    table, quick_fit, pretrained_folder, tmp_path
):
    from tokenizers import Tokenizer, models
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    AutoModelForCausalLM.from_pretrained(pretrained_folder).save_pretrained(tmp_path)
    words = {word: i for i, word in enumerate(["<s>", "<unk>", *"01234567"])}
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<unk>")), unk_token="<unk>"
    ).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"no token of its own for the symbols \['8', '9'\]") as e:
        quick_fit(table.X, table.y, model=str(tmp_path))
    assert "DigitCodec(scale='minmax')" in str(e.value) and "smaller base" in str(e.value)
