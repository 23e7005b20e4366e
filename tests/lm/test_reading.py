"""Pretrained models as readers: means of states, computed as far as they are needed."""

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    T5Config,
    T5ForConditionalGeneration,
)

from llmreg.lm.loading.hub import ModelSource, load_reader
from llmreg.lm.reading import TextReader, mean_states

TEXTS = ["the red old house", "Graz", "", "size: 12.5, city: Graz. price: 30 40 50 1999", "red"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder_folder(pretrained_folder, tmp_path_factory):
    """A small BERT that reads with the tokenizer of the small Llama."""
    tokenizer = AutoTokenizer.from_pretrained(pretrained_folder)
    tokenizer.pad_token = "</s>"
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, initializer_range=0.5,
    )  # fmt: skip
    return _saved(BertModel, config, tokenizer, tmp_path_factory.mktemp("bert"))


def _saved(kind, config, tokenizer, folder):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        kind(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def _reader(folder):
    return TextReader(ModelSource(folder), CPU)


def _unit(vector):
    return vector / np.linalg.norm(vector)


@torch.no_grad()
def _states(folder, ids, n_blocks):
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    found = model(input_ids=torch.tensor([ids]), output_hidden_states=True)
    return found.hidden_states[n_blocks][0].numpy()


def test_the_mean_counts_what_it_is_told_to():
    states, counted = torch.randn(3, 4, 5), torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1], [0] * 4])
    found = mean_states(states, counted).numpy()
    np.testing.assert_allclose(found[0], _unit(states[0, :2].mean(0).numpy()), rtol=1e-5)
    np.testing.assert_allclose(found[1], _unit(states[1, 1:].mean(0).numpy()), rtol=1e-5)
    assert (found[2] == 0).all()


def test_an_encoder_is_read_to_its_end(encoder_folder):
    reader = _reader(encoder_folder)
    assert not reader.writes and reader.size == 32
    found = reader.read(TEXTS, "auto", 64, 2)
    tokenizer = AutoTokenizer.from_pretrained(encoder_folder)
    for text, vector in zip(TEXTS, found, strict=True):
        if text:
            expected = _states(encoder_folder, tokenizer(text)["input_ids"], 3).mean(0)
            np.testing.assert_allclose(vector, _unit(expected), atol=1e-5)
        else:
            assert (vector == 0).all()


def test_a_model_that_writes_is_read_halfway_without_its_first_state(pretrained_folder):
    reader = _reader(pretrained_folder)
    assert reader.writes
    found = reader.read(TEXTS, "auto", 64, 3)
    tokenizer = AutoTokenizer.from_pretrained(pretrained_folder)
    for text, vector in zip(TEXTS, found, strict=True):
        ids = [0, *tokenizer(text, add_special_tokens=False)["input_ids"]]
        if text:
            expected = _states(pretrained_folder, ids, 1)[1:].mean(0)
            np.testing.assert_allclose(vector, _unit(expected), atol=1e-5)
        else:
            assert (vector == 0).all()


def test_the_depth_is_a_share_of_the_blocks(encoder_folder):
    reader = _reader(encoder_folder)
    ids = AutoTokenizer.from_pretrained(encoder_folder)("old house")["input_ids"]
    for depth, n_blocks in ((0.01, 1), (0.34, 1), (0.67, 2), (1.0, 3)):
        expected = _unit(_states(encoder_folder, ids, n_blocks).mean(0))
        np.testing.assert_allclose(reader.read(["old house"], depth, 64, 1)[0], expected, atol=1e-5)


def test_blocks_above_are_not_computed(pretrained_folder):
    reader = _reader(pretrained_folder)
    reader.model.layers[1].register_forward_hook(lambda *args: pytest.fail("computed"))
    reader.read(TEXTS, 0.5, 64, 4)
    assert not reader.model.layers[0]._forward_hooks  # nothing of ours stays


@pytest.mark.parametrize("folder", ["encoder_folder", "pretrained_folder"])
def test_vectors_do_not_depend_on_other_texts_or_the_batch(folder, request):
    reader = _reader(request.getfixturevalue(folder))
    together = reader.read(TEXTS, "auto", 64, 5)
    for i, text in enumerate(TEXTS):
        np.testing.assert_allclose(reader.read([text], "auto", 64, 5)[0], together[i], atol=1e-6)
    assert reader.read([], "auto", 64, 5).shape == (0, reader.size)


@pytest.mark.parametrize("folder", ["encoder_folder", "pretrained_folder"])
def test_long_texts_are_cut(folder, request):
    reader = _reader(request.getfixturevalue(folder))
    long = "red " * 1000
    cut, other, longer = (reader.read([t], "auto", n, 1)[0] for t, n in
                          ((long, 9), (long + "house", 9), (long, 12)))  # fmt: skip
    np.testing.assert_array_equal(cut, other)
    assert np.abs(cut - longer).max() > 1e-4
    positions = reader.model.config.max_position_embeddings
    most = positions - reader.writes
    whole, beyond = (reader.read([long], "auto", n, 1)[0] for n in (most, 10**6))
    np.testing.assert_array_equal(whole, beyond)


def test_of_an_encoder_and_a_decoder_the_encoder_reads(pretrained_folder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(pretrained_folder)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2,
        decoder_start_token_id=0,
    )  # fmt: skip
    folder = _saved(T5ForConditionalGeneration, config, tokenizer, tmp_path)
    found = _reader(folder).read(["red house"], "auto", 64, 1)
    assert found.shape == (1, 16) and np.linalg.norm(found) == pytest.approx(1.0)


def test_a_model_that_lacks_weights_is_refused(encoder_folder, tmp_path):
    model = BertModel.from_pretrained(encoder_folder)
    state = {k: v for k, v in model.state_dict().items() if "layer.2" not in k}
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(ValueError, match=r"has no weights for 16 .* BertModel .*would be random"):
        load_reader(str(tmp_path))
