"""The tokens of a number's symbols, for each way in which models write digits."""

import itertools

import numpy as np
import pytest
from codec_zoo import KINDS, fitted
from hypothesis import given, settings
from tokenizer_zoo import STYLES
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from llmreg import DigitCodec
from llmreg.codecs.decimals import DecimalCodec
from llmreg.codecs.digits import END, SYMBOLS
from llmreg.codecs.grids import GridCodec
from llmreg.prompts.chat import special_ids
from llmreg.prompts.spelling import symbol_tokens
from llmreg.prompts.tiny_tokenizer import train_tokenizer

DIGITS = SYMBOLS[:10]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("symbols", [SYMBOLS[:2], DIGITS, SYMBOLS])
def test_tokens_read_as_the_symbols_without_spaces(style, symbols, tokenizer_zoo):
    tokenizer = tokenizer_zoo[style]
    tokens = symbol_tokens(tokenizer, tuple(symbols))
    assert len(set(tokens)) == len(symbols)
    assert not special_ids(tokenizer) & set(tokens)
    for (a, i), (b, j) in itertools.product(zip(symbols, tokens, strict=True), repeat=2):
        assert tokenizer.decode([i, j]) == a + b


@pytest.mark.parametrize("kind", KINDS)
def test_every_tokenizer_writes_and_reads_every_number_of_every_codec(kind, tokenizer_zoo):
    tokenizers = [tokenizer_zoo[style] for style in STYLES]

    @settings(max_examples=6, deadline=None, derandomize=True, database=None)
    @given(fitted(kinds=(kind,)))
    def check(found):
        codec, y = found
        some = np.arange(0, len(codec.values_), len(codec.values_) // 10 + 1)
        leaves = np.concatenate([some, codec.leaf_of(y), [len(codec.values_) - 1]])
        for tokenizer in tokenizers:
            _writes_and_reads(tokenizer, codec, codec.sequences()[leaves], codec.values_[leaves])

    check()


def _writes_and_reads(tokenizer, codec, sequences, values):
    tokens = symbol_tokens(tokenizer, codec.symbols, codec)
    place = {token: i for i, token in enumerate(tokens)}
    assert len(place) == len(codec.symbols)
    assert (codec.decode(sequences) == values).all()
    for row, value in zip(sequences, values, strict=True):
        written = [tokens[i] for i in row if codec.symbols[i] != END]
        text = tokenizer.decode(written)
        assert text == "".join(codec.symbols[i] for i in row).split(END)[0]
        # Back from the text, character by character: there is no other way to read it.
        end = [codec.symbols.index(END)] if END in codec.symbols else []
        read = [codec.symbols.index(character) for character in text]
        read += end * (len(row) - len(read))
        assert read == row.tolist()
        assert [place[token] for token in written] == read[: len(written)]
        if isinstance(codec, DecimalCodec | GridCodec):
            assert float(text) == value


@pytest.mark.parametrize("style", STYLES)
def test_a_number_ends_as_a_text_does_or_else_as_a_line(style, tokenizer_zoo):
    tokenizer = tokenizer_zoo[style]
    digit, end = symbol_tokens(tokenizer, ("7", END))
    assert end == tokenizer.eos_token_id != digit
    tokenizer.eos_token = None
    digit, end = symbol_tokens(tokenizer, ("7", END))
    assert tokenizer.decode([digit, end, digit]) == "7\n7"


def test_without_an_end_or_a_line_break_there_is_no_end():
    tokenizer = _word_level(["<unk>", *DIGITS], decoders.Fuse())
    with pytest.raises(ValueError, match=r"no token of its own for the symbols \['<end>'\]") as e:
        symbol_tokens(tokenizer, (*DIGITS, END), DecimalCodec(1))
    assert "Use a model with another tokenizer" in str(e.value)


def test_a_fresh_tokenizer_gets_a_token_for_the_end_where_a_codec_has_one():
    plain, tokenizer = train_tokenizer(["a b"]), train_tokenizer(["a b"], symbols=("-", ".", END))
    assert len(tokenizer) == len(plain) + 1
    assert len(train_tokenizer(["a b"], symbols=DigitCodec(36).symbols)) == len(plain)
    tokens = tokenizer.convert_tokens_to_ids(["-", "+", ".", "7", END])
    assert len({*tokens, tokenizer.unk_token_id}) == 6
    assert tokens[-1] in special_ids(tokenizer)


@pytest.mark.parametrize("style", ["qwen", "llama2"])
def test_where_digits_are_single_they_are_those_that_the_tokenizer_writes(style, tokenizer_zoo):
    tokenizer = tokenizer_zoo[style]
    tokens = symbol_tokens(tokenizer, tuple(DIGITS))
    written = tokenizer("price: 9876543210", add_special_tokens=False)["input_ids"]
    assert written[-10:] == tokens[::-1]


def test_where_digits_stay_in_threes_it_is_the_fourth_alone(tokenizer_zoo):
    tokenizer = tokenizer_zoo["llama3"]
    tokens = symbol_tokens(tokenizer, tuple(DIGITS))
    # Only where the vocabulary knows the three as one, which a small one may not.
    whole = next(n for n in map(str, range(100, 1000)) if n in tokenizer.get_vocab())
    for digit, token in zip(DIGITS, tokens, strict=True):
        assert tokenizer(whole + digit, add_special_tokens=False)["input_ids"][-1] == token


def test_a_byte_is_the_token_of_what_has_no_other(tokenizer_zoo):
    tokenizer = tokenizer_zoo["llama2"]
    byte, plain = symbol_tokens(tokenizer, ("\x07", "7"))
    assert tokenizer.convert_ids_to_tokens([byte, plain]) == ["<0x07>", "7"]


def _word_level(words, decoder=None):
    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    if decoder is not None:
        core.decoder = decoder
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")


def test_symbols_without_a_token_are_named_with_the_codec_and_the_remedy():
    tokenizer = _word_level(["<unk>", *"01234567"], decoders.Fuse())
    with pytest.raises(ValueError, match=r"no token of its own for the symbols \['8', '9'\]") as e:
        symbol_tokens(tokenizer, tuple(DIGITS), DigitCodec(base=10, n_digits=4))
    assert "DigitCodec(n_digits=4)" in str(e.value)
    assert "smaller base (at most 8)" in str(e.value)
    assert symbol_tokens(tokenizer, tuple("01234567")) == list(range(1, 9))


def test_tokens_that_read_with_a_space_are_refused():
    tokenizer = _word_level(["<unk>", *DIGITS])  # joined by spaces
    with pytest.raises(ValueError, match="writes something else, such as a space") as error:
        symbol_tokens(tokenizer, tuple(DIGITS))
    assert "codec of 10 symbols" in str(error.value) and "another tokenizer" in str(error.value)


def test_a_special_token_is_no_symbol():
    tokenizer = _word_level(["<unk>", *DIGITS], decoders.Fuse())
    tokenizer.add_special_tokens({"eos_token": "9"})
    with pytest.raises(ValueError, match=r"symbols \['9'\]"):
        symbol_tokens(tokenizer, tuple(DIGITS))


@pytest.mark.parametrize("style", STYLES)
def test_words_are_tokens_of_the_vocabulary_perhaps_with_a_space(style, tokenizer_zoo):
    tokenizer = tokenizer_zoo[style]
    texts = {i: tokenizer.decode([i]).strip() for i in tokenizer.get_vocab().values()}
    texts = {i: text for i, text in texts.items() if len(text) > 2 and text.isalpha()}
    words = sorted(set(texts.values()) - {tokenizer.decode([i]) for i in special_ids(tokenizer)})
    words = words[:: len(words) // 5][:5]
    tokens = symbol_tokens(tokenizer, tuple(words))
    assert [texts[token] for token in tokens] == words and len(set(tokens)) == 5


def test_a_word_without_a_token_of_its_own_is_named_with_the_remedy(tokenizer_zoo):
    codec = GridCodec([1, 2], spellings=["supercalifragilistic", "5"], one_token=True).fit([1.0])
    with pytest.raises(ValueError, match=r"(?s)\['supercalifragilistic'\].*leave one_token=False"):
        symbol_tokens(tokenizer_zoo["qwen"], codec.symbols, codec)
