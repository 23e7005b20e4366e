"""Numbers that came as words: with currencies, units, separators and accountants' brackets.

:func:`find_style` looks at the training cells of a column and says how they are written, or that
this cannot be told; :func:`read_number` then reads each cell by itself.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import time, timedelta
from decimal import Decimal
from numbers import Integral, Real

import numpy as np

from llmreg.tables.agreement import NEARLY_ALL, may_reach
from llmreg.tables.cell_values import is_missing_word
from llmreg.tables.codes import LETTERS, ZERO_FIRST, are_codes, are_versions
from llmreg.tables.number_parts import (
    ORDINALS,
    decides,
    goes_with_commas,
    is_currency,
    plain_characters,
    signed,
    singular,
    split,
    value_of,
)
from llmreg.tables.quantities import QUANTITIES, example_of, is_short, quantity_of

__all__ = ["Doubt", "NumberStyle", "find_style", "read_number"]

LOOK_ALIKE = 0.9  # the share from which a column that is not read deserves a word of advice
FEW_UNITS = 5  # more endings than this are words, not units
FEWEST_SMALL = 3  # whole numbers that make thousands of the points in others

_SIMPLE = re.compile(r"\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
_SMALL_UNITS = ("%", "‰", "°", "°C", "°F")  # of which there are no thousands
# Other letters than LETTERS are units beside units of the same.
_PREFIXES, _TIMES, _DEGREES = "kKmMGTuµμn", {*"dhwy"}, {"C", "F", "°C", "°F"}
_TIME = re.compile("[dhmswy]|ms|min|minute|sec|second|hr|hour|day|wk|week|mo|month|yr|year")


@dataclass(frozen=True)
class NumberStyle:
    """How the numbers of a column are written.

    Parameters
    ----------
    decimal : {".", ","}, default="."
        What stands before the fraction.
    thousands : {"", ",", ".", "'", " "}, default=""
        What stands between groups of three digits; "": nothing did.
    unit : str, default=""
        The currency or unit that goes with every number.
    quantity : {"", "time", "duration", "feet"}, default=""
        "time": times of day, in hours; "duration": durations, in seconds; "feet": feet and inches,
        in inches.
    fractions : {"", "none", "thousandths"}, default=""
        "none": no training cell had one, beside a unit or a sign of thousands; "thousandths": all
        had three digits behind a point, and no unit. A text that differs may be a thousand times
        too large or small, and is not read.
    example : str, default=""
        Of times and durations that all have as many parts: one, beside which it may be open what
        a text of other parts is, such as "4:13". It is not read then.
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""
    quantity: str = ""
    fractions: str = ""
    example: str = ""


@dataclass(frozen=True)
class Doubt:
    """Why cells that look like numbers or dates are not read as such.

    Parameters
    ----------
    seen : str
        What was seen, with examples, to follow the name of the column.
    remedy : str
        What to do about it.
    """

    seen: str
    remedy: str


def find_style(cells, counts, *, codes=True, others=()):
    """Find out how the numbers of a column are written.

    Parameters
    ----------
    cells : list of str
        The distinct cells, without blanks and words for missing.
    counts : ndarray of shape (len(cells),)
        How often each occurs.
    codes : bool, default=True
        Look out for digits that are no numbers, such as "01234" or a telephone number.
    others : collection of type, default=()
        What came as something else than a string: a float's point is that of a fraction, and a
        :class:`datetime.time` is a time of day.

    Returns
    -------
    style : NumberStyle or None
        None if they are no numbers, or if it can't be told which.
    doubt : Doubt or None
        Why not, where they nearly are.
    """
    plain = list(map(plain_characters, cells))
    quantity = quantity_of(plain, clock=time in others)
    if quantity is None:
        return None, _two_ways(plain)
    if quantity:
        example = example_of(quantity, [] if time in others else plain)
        return NumberStyle(quantity=quantity, example=example), None
    if not may_reach(LOOK_ALIKE, split, cells, counts):
        return None, None
    if codes and are_versions(cells):
        return None, _doubt_of_versions(cells)
    if _are_simple(cells):
        return NumberStyle(), None
    parts = [split(cell) for cell in cells]
    if codes and are_codes(cells, parts):
        return None, _few_codes(cells, parts, counts)
    floats = any(issubclass(kind, (float, np.floating, Decimal)) for kind in others)
    style, doubt = _agree(cells, parts, counts, floats)
    if style is None:
        return None, doubt
    read = np.array([part is not None and _read_parts(part, style) is not None for part in parts])
    share = counts[read].sum() / counts.sum()
    rest = [cell for cell, good in zip(cells, read, strict=True) if not good]
    if share >= NEARLY_ALL and not any(map(_has_digit, rest)):
        return style, None
    rest.sort(key=_has_digit, reverse=True)  # these forbid to take the rest for missing
    nearly = _nearly(counts[read].sum(), counts.sum(), rest[0])
    return None, nearly if share >= LOOK_ALIKE else None


def read_number(cell, style):
    """Read one cell.

    Parameters
    ----------
    cell : object
        A number, a string, a duration or a time of day.
    style : NumberStyle or ColumnPlan
        How the column is written. Numbers that are no strings need none, but have no unit: a
        bare number is no time of day, duration or height.

    Returns
    -------
    int or float or None
        NaN for a word for missing, None for what is no (finite) number. An int is exact.

    Examples
    --------
    >>> from llmreg.tables.number_texts import NumberStyle, read_number
    >>> read_number("($1,234.50)", NumberStyle(thousands=",", unit="$"))
    -1234.5
    >>> read_number("12 mi", NumberStyle(unit="km")) is None
    True
    """
    if isinstance(cell, str):
        plain = style.decimal == "." and not style.quantity and not style.fractions
        if plain and _SIMPLE.fullmatch(cell):
            return _finite(signed(cell, False))
        return math.nan if is_missing_word(cell) else _read_text(cell, style)
    try:
        return _finite(_plain_number(cell, style.quantity))
    except (TypeError, ValueError):  # a duration in months, a signalling NaN
        return None


def _plain_number(cell, quantity):
    if quantity:
        return _plain_quantity(cell, quantity)
    if isinstance(cell, np.timedelta64):  # an Integral, too
        return None
    if isinstance(cell, (bool, np.bool_, Integral)):
        return int(cell)
    if isinstance(cell, Decimal):
        value = float(cell)
        return int(cell) if math.isfinite(value) and cell == cell.to_integral_value() else value
    return float(cell) if isinstance(cell, Real) else None


def _plain_quantity(cell, quantity):
    """A bare number may be of any unit: minutes, or parts of a day."""
    if isinstance(cell, np.timedelta64) and quantity == "duration":
        return float(cell / np.timedelta64(1, "s"))
    if isinstance(cell, timedelta) and quantity == "duration":
        return cell.total_seconds()
    if isinstance(cell, time) and quantity == "time":
        seconds = cell.second + cell.microsecond / 1e6
        return cell.hour + cell.minute / 60 + seconds / 3600
    return None


def _finite(value):
    try:
        return value if value is not None and math.isfinite(float(value)) else None
    except OverflowError:  # an integer beyond the range of floats
        return None


def _read_text(text, style):
    if style.quantity:
        text = plain_characters(text)
        alike = not style.example or is_short(style.example) == is_short(text)
        if alike or quantity_of([style.example, text]) == style.quantity:
            return QUANTITIES[style.quantity](text.strip())
        return None
    parts = split(text)
    return None if parts is None or _differs(parts, style) else _read_parts(parts, style)


def _differs(parts, style):
    """Whether it may have thousands where training cells had fractions, or the other way round."""
    if style.fractions == "none":
        return style.decimal in parts.core and decides(parts) != style.decimal
    return style.fractions == "thousandths" and parts.core.isdecimal() and not _is_zero(parts)


def _read_parts(parts, style):
    if parts.word and not parts.unit and style.unit and not is_currency(style.unit):
        if parts.word != style.unit:  # "310M" among "372 MB"
            return None
        parts = replace(parts, power="")  # "310K" among "372 K"
    if not _same_unit(parts.unit, style.unit):
        return None
    return _finite(value_of(parts, style.decimal, style.thousands))


def _are_simple(cells):
    """Whether all are as Python writes them, some with a fraction that is not of three digits."""
    return (
        all(map(_SIMPLE.fullmatch, cells))
        and any(len(cell.strip().partition(".")[2]) not in (0, 3) for cell in cells)
        and not any(re.match(r"\s*[+-]?0\d", cell) for cell in cells)
    )


def _same_unit(unit, expected):
    """A bare number is in the column's unit; a column without one may gain a currency."""
    same = unit == "" or singular(unit) == singular(expected)
    return same or (not expected and is_currency(unit))


def _is_zero(part):
    return not part.core.strip("0.,' ")


def _agree(cells, parts, counts, floats):
    """The style of most cells; whether all follow it is seen by reading them."""
    known = [i for i, part in enumerate(parts) if part is not None]
    parts, counts, cells = [parts[i] for i in known], counts[known], [cells[i] for i in known]
    unit, doubt = _agreed_unit(cells, parts, counts)
    if doubt is not None:
        return None, doubt
    decimal = _agreed_decimal(parts, counts, unit, floats)
    if decimal is None:
        shown = next(cell for cell, part in zip(cells, parts, strict=True) if _may_group(part))
        return None, Doubt(
            f"holds numbers such as {shown!r}, of which nothing says whether they have thousands "
            "or fractions",
            "Convert them to floats",
        )
    thousands, fractions = _thousands(parts, counts, decimal), ""
    if not any(decimal in part.core for part in parts):
        fractions = "none" if thousands or unit not in ("", *_SMALL_UNITS) else ""
    elif not (floats or unit) and all(_may_group(part) or _is_zero(part) for part in parts):
        fractions = "thousandths"
    return NumberStyle(decimal, thousands, unit, fractions=fractions), None


def _thousands(parts, counts, decimal):
    """What most cells have between thousands, or ""."""
    signs = dict.fromkeys((",", ".", "'", " "), 0)  # others are read beside the first two
    for part, count in zip(parts, counts.tolist(), strict=True):
        for sign in signs.keys() & set(part.core) - {decimal}:
            signs[sign] += count
    return max(signs, key=signs.get) if any(signs.values()) else ""


def _agreed_unit(cells, parts, counts):
    """The unit of nearly all, as it is written (of "year" and "years", the shorter one)."""
    units = [singular(part.unit) for part in parts]
    weights, found = Counter(), set(units)
    for part, unit, count in zip(parts, units, counts.tolist(), strict=True):
        if unit or not _is_zero(part):  # a zero needs no unit
            weights[unit or (part.word if part.word in found else "")] += count
    if not weights:
        return "", None
    most, weight = weights.most_common(1)[0]
    if weight >= NEARLY_ALL * weights.total():
        written = {part.unit for part, unit in zip(parts, units, strict=True) if unit == most}
        return min(written, key=len, default=most), None
    examples = dict(zip(units, cells, strict=True))
    units = set(weights) - {""}
    if len(units) > FEW_UNITS or not _are_units(units, examples, all_have_one="" not in weights):
        return "", None
    shown = ", ".join(repr(examples[one]) for one, _ in weights.most_common(3))
    return None, Doubt(f"has mixed units, such as {shown}", "Convert them to numbers of one unit")


def _are_units(units, examples, *, all_have_one):
    """Not of house numbers such as "12A", nor "2nd"."""
    if any(unit in ORDINALS or _has_digit(unit) for unit in units):
        return False
    bare = {unit for unit in units if len(unit) == 1 and examples[unit].strip()[-2:-1] != " "}
    codes = {unit for unit in bare if unit.isalpha() and unit not in LETTERS}
    if all_have_one and len(units) > 1 and (codes == units <= _TIMES or units <= _DEGREES):
        return True
    return all(_goes_with(letter, units - codes) for letter in codes)


def _goes_with(letter, units):
    """Whether a letter that may be a code is a unit, as others say: "A" beside "mA"."""
    if any(unit[0] in _PREFIXES and unit[1:] == letter for unit in units):
        return True
    return letter in _TIMES and any(map(_TIME.fullmatch, units))


def _may_group(part):
    return decides(part) == "" and ("." in part.core or "," in part.core)


def _agreed_decimal(parts, counts, unit, floats):
    """The decimal sign, or None if it can't be told."""
    votes, open_signs = Counter(), Counter()
    for part, count in zip(parts, counts.tolist(), strict=True):
        votes[decides(part)] += count
        if _may_group(part):
            open_signs["." if "." in part.core else ","] += count
    if votes["."] or votes[","]:
        return "." if votes["."] >= votes[","] else ","
    if len(open_signs) == 2:  # "1.234" beside "1,234"
        return None
    if not open_signs:
        return "."
    [sign], bare = open_signs, _bare_numbers(parts, counts)
    words = {part.word for part in parts if _may_group(part)}
    commas = any(map(goes_with_commas, words))
    if sign == "." and not (commas or (words == {""} and is_currency(unit))):
        sure = floats or unit in _SMALL_UNITS
        return "." if sure else _sign_beside_points(parts, bare, unit)
    # Fractions of three digits, no more and no fewer, are hardly found beside small whole numbers.
    small = bare and max(bare) < 1000 and not (commas and sign == ",")
    return ",."[sign == ","] if small else None


def _bare_numbers(parts, counts):
    """How often whole numbers occur, in the thousands or millions of those that have a sign.

    Who writes "1.234M" beside "950k" goes on with millions where the thousands end: of the
    hundreds of millions, neither says anything.
    """
    powers = {part.power for part in parts if not _is_zero(part)}
    signed_powers = {part.power for part in parts if _may_group(part)}
    bare = Counter()
    for part, count in zip(parts, counts.tolist(), strict=True):
        if part.core.isdecimal() and part.power in signed_powers:
            bare[int(part.core)] += count
    return bare if len(powers) <= 1 or signed_powers == {""} else Counter()


def _sign_beside_points(parts, bare, unit):
    """The decimal sign where all points have three digits behind them.

    Programs write points before fractions, people also between thousands. Without a unit and
    without whole numbers a program is likely. Hundreds larger than all that have a point go on
    below the thousands: "900 km" beside "85.000 km" and "120.500 km".
    """
    bare = +Counter({number: count for number, count in bare.items() if number})
    if not bare:
        return None if unit else "."
    highest = max(int(part.core.partition(".")[0]) for part in parts if _may_group(part))
    hundreds = max(highest, 99) < max(bare) < 1000
    return "," if unit and hundreds and bare.total() >= FEWEST_SMALL else None


def _doubt_of_versions(cells):
    short, long = (
        min(cell for cell in cells if len(cell.strip().partition(".")[2]) == n) for n in (1, 2)
    )
    return Doubt(
        f"holds {short!r} and {long!r}, which look like versions",
        "Convert them to floats if they are numbers",
    )


def _few_codes(cells, parts, counts):
    """The doubt that numbers of varying length leave of the few that have a zero in front."""
    cores = ["" if part is None else part.core for part in parts]
    zeros = np.array([ZERO_FIRST.fullmatch(core) is not None for core in cores])
    others = [cell for cell, zero in zip(cells, zeros, strict=True) if not zero]
    n_read, n_all = counts[~zeros].sum(), counts.sum()
    if not zeros.any() or n_read < NEARLY_ALL * n_all or len({*map(len, others)}) == 1:
        return None
    if find_style(others, counts[~zeros])[0] is None:
        return None
    doubt = _nearly(n_read, n_all, cells[zeros.argmax()])
    return replace(doubt, remedy="Take the zeros in front away to read it as numbers")


def _has_digit(text):
    return any(map(str.isdigit, text)) and text.strip().upper() != "#DIV/0!"


def _two_ways(cells):
    remedy = "Write hours, minutes and seconds in all of them"
    if all(map(is_short, cells)):
        seen = f"holds {max(cells)!r} and its like, of which nothing says whether they are minutes"
        return Doubt(f"{seen} and seconds, or scores", remedy)
    short, other = (next(cell for cell in cells if is_short(cell) == way) for way in (True, False))
    return Doubt(
        f"holds times such as {short!r} beside {other!r}, of which nothing says whether "
        f"{short!r} has hours and minutes, or minutes and seconds",
        remedy,
    )


def _nearly(n_read, n_all, other):
    return Doubt(
        f"is nearly all numbers ({n_read} of {n_all} values), but it also holds {other!r}",
        "Replace such values by NaN to read it as numbers",
    )
