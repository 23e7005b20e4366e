"""Pretrained models as readers: means of states, computed as far as they are needed."""

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    T5Config,
    T5ForConditionalGeneration,
)

from llmreg.lm import reading
from llmreg.lm.loading.hub import ModelSource, load_reader
from llmreg.lm.reading import TextReader

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
def test_long_texts_are_cut_and_that_is_said(folder, request):
    reader = _reader(request.getfixturevalue(folder))
    long = "red " * 1000
    with pytest.warns(UserWarning, match=r"to 9 tokens in 1 of 2 .*Raise max_tokens of the Text"):
        cut = reader.read([long, "red"], "auto", 9, 2)[0]
    with pytest.warns(UserWarning, match="cut to 9"):
        other = reader.read([long + "house", "red"], "auto", 9, 2)[0]
    with pytest.warns(UserWarning, match="cut to 12"):
        longer = reader.read([long], "auto", 12, 1)[0]
    np.testing.assert_array_equal(cut, other)
    assert np.abs(cut - longer).max() > 1e-4


def test_what_a_model_cannot_read_at_once_is_read_in_pieces(encoder_folder):
    reader, tokenizer = _reader(encoder_folder), AutoTokenizer.from_pretrained(encoder_folder)
    words = ["the", "red", "old", "house", "Graz", "size", "city", "price"]
    text = " ".join(np.random.RandomState(0).choice(words, 200))
    ids = tokenizer(text)["input_ids"]
    assert len(ids) > 2 * 64  # positions of the model
    pieces = [ids[start : start + 64] for start in range(0, len(ids), 64)]
    expected = _unit(sum(_states(encoder_folder, piece, 3).sum(0) for piece in pieces))
    for batch_size in (1, 2, 9):
        found = reader.read(["old", text, "red"], "auto", 10**6, batch_size)
        np.testing.assert_allclose(found[1], expected, atol=1e-5)


def test_pieces_are_no_longer_than_memory_bears(pretrained_folder, monkeypatch):
    monkeypatch.setattr(reading, "LONGEST_PIECE", 5)
    pieces, owners = _reader(pretrained_folder)._pieces(["red", "the red old house " * 3, ""], 64)
    assert [len(piece) <= 5 for piece in pieces] == [True] * len(pieces)
    assert all(piece[0] == 0 for piece in pieces)  # what writes gets its start before each
    assert sorted(set(owners)) == [0, 1, 2] and (owners == 1).sum() > 1


def test_marks_of_a_text_stand_around_every_piece(encoder_folder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(encoder_folder)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[(m, tokenizer.convert_tokens_to_ids(m))
                                               for m in ("<s>", "</s>")])  # fmt: skip
    reader = _reader(encoder_folder)
    reader.tokenizer = tokenizer
    start, end = tokenizer("")["input_ids"]
    pieces, _ = reader._pieces(["red " * 100, "old"], 10**6)
    assert len(pieces) > 2 and pieces[-1] == tokenizer("old")["input_ids"]
    assert all(p[0] == start and p[-1] == end and len(p) <= 64 for p in pieces)


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
