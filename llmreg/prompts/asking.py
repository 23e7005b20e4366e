"""How a model is asked: in which directions it reads, what it is told to do if it is pretrained,
and the texts that its number may follow."""

import math

__all__ = ["both_ways", "instruction_for", "prefills_for"]


def both_ways(methods):
    """Whether tokens of prompts see those after them, too: one of the methods, or None, asks it."""
    return any(method.bidirectional for method in methods if method is not None)


def instruction_for(target, codec):
    """An instruction that names the target, and what its numbers look like.

    Parameters
    ----------
    target : str
        The target's name.
    codec : fitted codec

    Returns
    -------
    str
        Two sentences at most, and an empty line.

    Examples
    --------
    >>> from llmreg import DecimalCodec, DigitCodec
    >>> print(instruction_for("rent", DecimalCodec(1, margin=0).fit([410.0, 980])).strip())
    Predict rent from the columns of a table's row. It is a number from 410.0 to 980.0.
    >>> print(instruction_for("rent", DigitCodec(margin=0).fit([410.0, 980])).strip())
    Predict rent from the columns of a table's row. Write 00 for 413, 50 for 698, 99 for 977.
    """
    values = codec.values_
    some = values[[0, len(values) // 2, -1]]
    spelled = codec.spell(some)
    if all(map(_reads_as, spelled, some)):
        said = f"It is a number from {spelled[0]} to {spelled[-1]}."
    else:
        pairs = zip(spelled, some, strict=True)
        said = "Write " + ", ".join(f"{text} for {value:.3g}" for text, value in pairs) + "."
    return f"Predict {target} from the columns of a table's row. {said}\n\n"


def _reads_as(text, value):
    """Whether a spelling is the number as people write it."""
    try:
        return math.isclose(float(text), value, rel_tol=1e-3, abs_tol=1e-12)
    except ValueError:
        return False


def prefills_for(as_chat, target):
    """Texts that the number may follow: behind the row, or behind the answer's header of a chat.

    Tokenizers differ in what stands before a first digit: nothing, a space of its own, a new line.
    In a chat, models like to say what the number is before they write it.

    Parameters
    ----------
    as_chat : bool
    target : str
        The target's name.

    Returns
    -------
    tuple of str
        The simplest first.
    """
    return ("", " ", f"{target}: ", f"{target}:\n") if as_chat else ("", " ", "\n")
