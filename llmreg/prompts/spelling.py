"""The tokens with which a model's own tokenizer writes the symbols of a number."""

import re

from llmreg.codecs.digits import END, SYMBOLS
from llmreg.prompts.chat import special_ids

__all__ = ["symbol_tokens"]

# Tokenizers that keep digits in threes, or that merge some pairs, still write the next one alone
# after the right number of them.
CONTEXTS = ("7", "77", "777")
BYTE = re.compile(r"<0x[0-9A-F]{2}>")  # sentencepiece's last resort for what has no piece


def symbol_tokens(tokenizer, symbols, codec=None):
    """The token of each symbol as a number goes on, without a space before it.

    It is the one that the tokenizer itself writes after other digits, wherever it writes digits
    one by one. Where it merges them, it is the vocabulary's token for the symbol alone. A number's
    end is written as a text's end, or as a line's where the tokenizer has no token for that. Of a
    word, or a number, that is one symbol it may be the token with a space before.

    Parameters
    ----------
    tokenizer : transformers tokenizer
    symbols : sequence of str
        Single characters, words or END, such as ``codec.symbols``.
    codec : codec or None
        Named in the error.

    Returns
    -------
    list of int
        Distinct ids, none of a special token but for END. Those of single characters decode to the
        symbols joined, in whatever order they are.

    Raises
    ------
    ValueError
        If symbols have no such token.
    """
    found = [_token(tokenizer, symbol) for symbol in symbols]
    absent = [symbol for symbol, token in zip(symbols, found, strict=True) if token is None]
    if absent:
        raise ValueError(_complaint(tokenizer, symbols, absent, codec, "has no token of its own"))
    written = [pair for pair in zip(symbols, found, strict=True) if pair[0] != END]
    spoilt = _spoilt(tokenizer, written)
    if spoilt or len(set(found)) < len(found):
        said = "writes something else, such as a space, with its tokens"
        raise ValueError(_complaint(tokenizer, symbols, spoilt or symbols, codec, said))
    return found


def _spoilt(tokenizer, written):
    """Symbols whose tokens write something else: alone if they are words, else joined."""
    if any(len(symbol) > 1 for symbol, _ in written):
        return [text for text, token in written if _decoded(tokenizer, [token]).strip() != text]
    return [
        symbol
        for symbol, token in written
        if any(_decoded(tokenizer, [before, token]) != other + symbol for other, before in written)
    ]


def _token(tokenizer, symbol):
    if symbol == END:
        end = tokenizer.eos_token_id
        return _token(tokenizer, "\n") if end is None else end
    candidates = [_continuation(tokenizer, before, symbol) for before in CONTEXTS]
    candidates.append(tokenizer.get_vocab().get(symbol))
    if len(symbol) > 1:
        candidates += [_alone(tokenizer, text) for text in (symbol, " " + symbol)]
    barred = special_ids(tokenizer) | {None, tokenizer.unk_token_id}
    legal = [token for token in candidates if token not in barred]
    # Only where the vocabulary has nothing better is a byte piece the symbol's token.
    return min(legal, key=lambda token: _is_byte(tokenizer, token), default=None)


def _continuation(tokenizer, before, symbol):
    """The one token that a symbol adds to a text, or None."""
    start, whole = (
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in (before, before + symbol)
    )
    return whole[-1] if whole[:-1] == start else None


def _alone(tokenizer, text):
    """The one token of a text, or None."""
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    return tokens[0] if len(tokens) == 1 else None


def _is_byte(tokenizer, token):
    return BYTE.fullmatch(tokenizer.convert_ids_to_tokens(token)) is not None


def _decoded(tokenizer, tokens):
    return tokenizer.decode(tokens, clean_up_tokenization_spaces=False)


def _complaint(tokenizer, symbols, wrong, codec, said):
    usable = next((i for i, symbol in enumerate(symbols) if symbol in wrong), len(symbols))
    name = getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__
    writer = f"a codec of {len(symbols)} symbols" if codec is None else repr(codec)
    remedy = "Use a model with another tokenizer."
    if usable >= 2 and tuple(symbols) == tuple(SYMBOLS[: len(symbols)]):
        remedy = f"Use a codec with a smaller base (at most {usable}), or another model."
    if any(len(symbol) > 1 and symbol != END for symbol in wrong):
        remedy = "Give other spellings, or leave one_token=False."
    return (
        f"The tokenizer of {name!r} {said} for the symbols {list(wrong)} that {writer} writes. "
        f"{remedy}"
    )
