"""What of a column of texts is counted as words or pieces of words."""

import re
import unicodedata

import numpy as np

__all__ = ["LONGEST", "LONG_WORD", "MANY", "WORD", "beginnings", "longest_piece", "n_words",
           "typical", "unparted"]  # fmt: skip

LONGEST = 50_000  # characters of a cell that are counted; each costs a few hundred bytes
MANY = 10_000  # cells that tell what is typical
SHORT = 200  # characters; longer texts have words enough, and pieces of words take long
LENGTHY = 1000  # characters, from which on there are many pieces of three
FEW = 15  # characters to a word, blank and all, beyond which no language has its words parted


def _marks():
    """Accents and vowel signs behind their letter, as ranges of a class: `\\w` has none of them.

    Those that only choose how the sign before them is drawn are no part of words.
    """
    codes = [
        code for code in range(0x300, 0x1F000)
        if unicodedata.category(chr(code)) in ("Mn", "Mc") and not 0xFE00 <= code <= 0xFE0F
    ]  # fmt: skip
    runs = np.split(codes, np.flatnonzero(np.diff(codes) > 1) + 1)
    return "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in runs)


# Joiners are part of a word between its letters. Saved models allow a pattern one repetition.
_WITHIN = rf"[\w{_marks()}\u200c\u200d]"
WORD = rf"\w{_WITHIN}*(?<![\u200c\u200d])"
LONG_WORD = rf"\w{_WITHIN}+(?<![\u200c\u200d])"  # of two characters at least
# Commas and bars part words of letters and digits; in Chinese they part sentences.
_BETWEEN_WORDS = re.compile(r"\s+|[,;|](?=[!-~])")
# Letters of scripts in which blanks part sentences, if anything; words have few of them.
_SOLID = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]"
)


def beginnings(texts):
    """list of str: texts up to their ``LONGEST`` first characters."""
    return [text[:LONGEST] for text in texts]


def n_words(text):
    """int: words of a text, as they are counted."""
    return len(re.findall(WORD, text))


def typical(sizes, threshold):
    """The mean of sizes to compare with a threshold, which no single large one decides.

    Parameters
    ----------
    sizes : iterable of float
    threshold : float
        Sizes count as ten times this at most.

    Returns
    -------
    float
    """
    return np.mean([min(size, 10 * threshold) for size in sizes])


def unparted(texts):
    """Whether blanks part no words: cells are single words, or have few words for their length.

    Parameters
    ----------
    texts : sequence of str

    Returns
    -------
    bool

    Examples
    --------
    >>> from llmreg.tables.words import unparted
    >>> unparted(["A-12", "B-7"]), unparted(["菜很好吃,服务员也很热情。 下次还来!"])
    (True, True)
    >>> unparted(["a fine meal"])
    False
    """
    if typical((len(text.split()) for text in texts[:MANY]), 2) < 2:
        return True
    return bool(typical(map(_characters_to_a_word, texts[:MANY]), FEW) >= FEW)


def _characters_to_a_word(text):
    """Where they are letters of such scripts, one counts as three."""
    solid = 0 if text.isascii() else len(_SOLID.findall(text))
    return (len(text) + 2 * solid) / len(_BETWEEN_WORDS.split(text))


def longest_piece(texts):
    """Characters of the longest pieces that are counted in texts; 0 if words tell enough.

    Parameters
    ----------
    texts : sequence of str

    Returns
    -------
    int
        4 in short texts; in longer ones without blanks between words fewer, which cost less.

    Examples
    --------
    >>> from llmreg.tables.words import longest_piece
    >>> [longest_piece([text]) for text in ("GATTACA", "GATTACA" * 50, "GATTACA" * 500)]
    [4, 3, 2]
    >>> longest_piece(["many words " * 50])
    0
    """
    if typical(map(len, texts[:MANY]), SHORT) <= SHORT:
        return 4
    if not unparted(texts):
        return 0
    return 3 if typical(map(len, texts[:MANY]), LENGTHY) <= LENGTHY else 2
