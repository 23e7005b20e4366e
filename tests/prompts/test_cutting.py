"""Long texts are cut before they are tokenised, and the tokens that are kept are the same."""

import numpy as np
import pytest
from tokenizer_zoo import STYLES

from llmreg.prompts.chat import encode_plain
from llmreg.prompts.cutting import beginnings, distinct, most_characters
from llmreg.prompts.tiny_tokenizer import train_tokenizer

WORDS = ["house", "12.5", "été", "🏠", "\n\n", "price:", "  ", "=====", "don't", "Graz,", "\0"]


def _text(seed, n_words):
    return " ".join(np.random.RandomState(seed).choice(WORDS, n_words))


@pytest.fixture(scope="module", params=[*STYLES, "tiny"])
def tokenizer(request, tokenizer_zoo):
    if request.param == "tiny":
        return train_tokenizer([_text(seed, 50) for seed in range(5)], vocab_size=400)
    return tokenizer_zoo[request.param]


@pytest.mark.parametrize("budget", [1, 20])
def test_the_first_tokens_of_a_cut_text_are_those_of_the_whole(tokenizer, budget):
    texts = [_text(seed, 2000) for seed in range(3)] + [" " * 9000, "x" * 9000]
    short = beginnings(tokenizer, texts, budget)
    assert all(len(part) < len(text) for part, text in zip(short, texts, strict=True))
    _, ids, offsets = encode_plain(tokenizer, short)
    _, whole, whole_offsets = encode_plain(tokenizer, texts)
    for row in range(len(texts)):
        assert len(ids[row]) > budget
        assert ids[row][:budget] == whole[row][:budget]
        assert offsets[row][:budget] == whole_offsets[row][:budget]


def test_texts_that_are_no_longer_than_tokens_may_be_stay_whole(tokenizer):
    text = "x" * most_characters(3)
    assert beginnings(tokenizer, [text, ""], 3) == [text, ""]


def test_more_is_looked_at_where_tokens_are_very_long():
    tokenizer = train_tokenizer(["=" * 4096] * 2, vocab_size=400)
    (short,) = beginnings(tokenizer, ["=" * 200_000], 2)
    assert most_characters(2) < len(short) < 200_000
    assert (
        encode_plain(tokenizer, [short])[1][0][:2]
        == encode_plain(tokenizer, ["=" * 200_000])[1][0][:2]
    )


def test_strings_are_told_apart_to_the_last_character():
    texts = np.array(["b", "a\0", "a", "b", "\ud83d", ""], dtype=object)
    found, which = distinct(texts)
    assert found == ["b", "a\0", "a", "\ud83d", ""]
    assert which.tolist() == [0, 1, 2, 0, 3, 4]
