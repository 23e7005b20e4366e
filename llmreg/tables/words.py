"""What of a column of texts is counted as words or pieces of words."""

import re

import numpy as np

__all__ = ["LONGEST", "MANY", "WORD", "beginnings", "n_words", "typical"]

LONGEST = 50_000  # characters of a cell that are counted; each costs a few hundred bytes
MANY = 10_000  # cells that tell what is typical
WORD = r"\b\w+\b"


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
    sizes : iterable of int
    threshold : float
        Sizes count as ten times this at most.

    Returns
    -------
    float
    """
    return np.mean([min(size, 10 * threshold) for size in sizes])
