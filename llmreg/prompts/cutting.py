"""Long texts cut before they are tokenised, so that what is not read costs next to nothing."""

import numpy as np

from llmreg.prompts.chat import encode_plain

__all__ = ["beginnings", "distinct", "most_characters"]

CHARACTERS = 64  # for a token: hardly any is longer
REACH = 1024  # characters that a tokenizer looks ahead, at most


def most_characters(budget):
    """int: how much of a text is looked at first, for so many tokens."""
    return CHARACTERS * budget + REACH


def beginnings(tokenizer, texts, budget):
    """Texts without what lies far beyond their first ``budget`` tokens.

    These tokens stay what they are in the whole text, unless a single word, which some tokenizers
    look at as a whole, is longer than ``REACH``.

    Parameters
    ----------
    tokenizer : transformers fast tokenizer
    texts : list of str
    budget : int

    Returns
    -------
    list of str
        Of a text that is cut there are always more than ``budget`` tokens left.
    """
    size = most_characters(budget)
    return [t if len(t) <= size else _beginning(tokenizer, t, budget, size) for t in texts]


def _beginning(tokenizer, text, budget, size):
    while size < len(text):
        _, _, (offsets,) = encode_plain(tokenizer, [text[:size]])
        if len(offsets) > budget and offsets[budget][0] + REACH <= size:
            return text[:size]
        size *= 2
    return text


def distinct(texts):
    """Distinct strings, and for each string, which of them it is.

    An array of fixed width, as numpy would sort them in, takes rows times the longest.
    """
    place = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return list(place), np.fromiter((place[text] for text in texts), np.int64, len(texts))
