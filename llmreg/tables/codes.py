"""Digits that are names and no quantities: nobody adds up telephone numbers, or versions."""

import re

import numpy as np

__all__ = ["LETTERS", "ZERO_FIRST", "are_codes", "are_versions"]

ZERO_FIRST = re.compile(r"0[\d ]+")
LETTERS = "LVWKJNMgmlst"  # that are units, also without a space before them
_PHONE = re.compile(r"1?[2-9]\d\d[2-9]\d{6}")  # of North America
# In blanks as no number is, or in threes alone: "1 250 000" is a sum, "732 829 320" a firm.
_GROUPED_NAME = re.compile(r"^\d{4,} |^\d{3} (?!.*000$)| \d{1,2}( |$)| \d{4,}")
_VERSION = re.compile(r"(\d{1,3})(?:\.(0|[1-9]\d?))?", re.ASCII)
MOST_MINORS = 40  # of versions, behind the point


def are_codes(cells, parts):
    """Whether digits are names and no quantities, as telephone numbers are.

    Parameters
    ----------
    cells : list of str
    parts : list of llmreg.tables.number_parts.NumberParts or None
        The same, taken apart; None for what is no number.

    Returns
    -------
    bool
    """
    cells = [cell for cell, part in zip(cells, parts, strict=True) if part is not None]
    parts = [part for part in parts if part is not None]
    cores = [part.core for part in parts if not part.unit and not part.power]
    if any(map(ZERO_FIRST.fullmatch, cores)):
        return True
    if all(re.fullmatch(rf"\d+[^\W\d_{LETTERS}]", cell) for cell in cells):
        letters = {cell[-1] for cell in cells}
        return letters != {"C", "F"} and all(map(str.isupper, letters))  # "12A": a seat, a flat
    if len(cores) < len(cells):
        return False
    digits = {len(re.sub(r"\D", "", core)) for core in cores}
    return (
        all(re.fullmatch(r"97[89]\d{10}", core) for core in cores)  # ISBN
        or (len(cores) >= 5 and all(map(_PHONE.fullmatch, cores)))
        or all(core.count(".") == 3 for core in cores)  # IP addresses
        or (len(digits) == 1 and min(digits) >= 7 and all(map(_GROUPED_NAME.search, cores)))
        or all(cell.strip()[0] == "+" and len(re.sub(r"\D", "", cell)) >= 9 for cell in cells)
    )


def are_versions(cells):
    """Whether cells such as "3.9" and "3.10" count on behind the point.

    Parameters
    ----------
    cells : list of str

    Returns
    -------
    bool

    Notes
    -----
    Prices have as many digits there in all cells, and a program ends no fraction on a zero.
    People may; but what they measure, and round, is not among the first 40 hundredths alone.
    """
    matches = [_VERSION.fullmatch(cell.strip()) for cell in cells]
    if not all(matches):
        return False
    matches = [match for match in matches if match[2]]  # "4" may be either
    minors = {match[2] for match in matches}
    tens = [minor for minor in minors if len(minor) == 2]
    if len(minors) == len(tens) or not any(minor[1] == "0" for minor in tens):
        return False
    both = any(f"{match[1]}.{match[2]}0" in cells for match in matches if len(match[2]) == 1)
    numbers = np.array([*map(int, minors)])
    return bool(numbers.max() <= MOST_MINORS and (both or 2 * len(numbers) > np.ptp(numbers)))
