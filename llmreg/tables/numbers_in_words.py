"""Numbers that stand among words: "500 g, pack of 12"."""

import re

from llmreg.tables.number_parts import (
    LONGEST,
    MONEY,
    ORDINALS,
    POWER_WORD,
    NumberParts,
    decides,
    is_currency,
    plain_signs,
    power_of,
    split,
    value_of,
)

__all__ = ["numbers_within"]

# A hyphen is a minus, and a point begins a fraction, only where a number may begin.
_WITHIN = re.compile(
    rf"(?P<minus>(?<![^\s(\[{{<>=~:,;/|])-(?=[{MONEY}]?\.?\d))?(?:(?P<money>[{MONEY}])\s?)?"
    rf"(?P<core>(?:(?<![^\s(\[{{<>=~:+{MONEY}-])\.)?\d(?:[\d.,']*\d)?)"
    rf"(?:(?P<power>[eE][+-]\d{{1,3}})(?!\w)|(?P<word>{POWER_WORD})"
    rf"|(?= ?- ?[{MONEY}]?\d[\d.,]{{0,20}}(?P<later>{POWER_WORD})))?"  # "10-15k"
)
_SEVERAL = re.compile(r"(?:(?<![\d.])\.)?\d+(?:\.\d+)?")
_UNIT = re.compile(r"[^\s\d]*")
_SPACED = re.compile(r"(?<=\d)[\u00a0\u202f\u2009](?=\d{3})")
_CLAUSES = re.compile("(?<=[0-9])，(?=[0-9])")  # among digits of full width it parts thousands
_END = r"-?[\d.]+(?:[eE][+-]?\d+)?"
_INTERVAL = re.compile(
    rf"([\[{{(]{_END}),({_END}[\]}}])|([\[{{]{_END}),({_END}\))"
    rf"|(\({_END}),(?!\d{{3}}\))({_END}\))"  # "(1,234)" is one number
)


def numbers_within(text):
    """Numbers that stand among words.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of float
        In order. Points and commas part thousands or fractions, as each number by itself says, and
        "1,234" has thousands; where they do neither, "1.2.3" is 1.2 and 3, "1,2,3" three numbers,
        and so is "(1,2]" two. "k", "million" and their like multiply, and so do "M" and "B" behind
        money or fractions (elsewhere they are metres and bedrooms). A text that is one number with
        a unit may group thousands by blanks. Those of more than 60 characters are names, and left
        out.

    Examples
    --------
    >>> from llmreg.tables.numbers_in_words import numbers_within
    >>> numbers_within("2-pack of 0,75 l at -4.5 °C, 1,200 g")
    [2.0, 0.75, -4.5, 1200.0]
    >>> numbers_within("12 000 km"), numbers_within("$1.5M from 20k users")
    ([12000.0], [1500000.0, 20000.0])
    """
    plain = text if text.isascii() else _CLAUSES.sub(", ", _SPACED.sub("'", text))
    plain = plain_signs(plain)
    plain = _INTERVAL.sub(r"\1\3\5, \2\4\6", plain)
    number = _whole(plain)
    if number is not None:
        return [float(number)]
    found = _WITHIN.finditer(plain)
    return [n for match in found if len(match["core"]) <= LONGEST for n in _read(match)]


def _whole(text):
    """The number that a text is, with a unit at most; None where it is more."""
    parts = split(text)
    if parts is None or parts.unit in ORDINALS or not _UNIT.fullmatch(parts.unit):
        return None
    if parts.power and parts.unit and not is_currency(parts.unit):  # "3M tape"
        return None
    return value_of(parts, *_signs(parts))


def _read(match):
    core, money, word = match["core"], match["money"] or "", match["word"] or match["later"] or ""
    named = match.string[: match.start()][-1:].isalpha()  # the name "N77K"
    sure = word not in ("M", "B") or money or "." in core or "," in core
    power = match["power"] or ("" if named or not sure else power_of(word, bool(money)))
    parts = NumberParts(match["minus"] is not None, money, core, power, word.strip())
    number = value_of(parts, *_signs(parts))
    if number is None:
        first, *others = map(float, _SEVERAL.findall(core))
        return [-first if parts.negative else first, *others]
    return [float(number)]


def _signs(parts):
    """The decimal sign and that of thousands."""
    decimal = decides(parts) or "."
    return decimal, ",."[decimal == ","]
