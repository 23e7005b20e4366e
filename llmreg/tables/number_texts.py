"""Numbers that came as words: with currencies, units, separators and accountants' brackets.

:func:`find_style` looks at the training cells of a column and says how they are written, or that
this cannot be told; :func:`read_number` then reads each cell by itself.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass
from datetime import time, timedelta
from decimal import Decimal
from functools import lru_cache
from numbers import Integral, Real

import numpy as np
import pandas as pd

from llmreg.tables.cell_values import is_missing_word

__all__ = ["NEARLY_ALL", "Doubt", "NumberStyle", "find_style", "numbers_within", "read_number"]

NEARLY_ALL = 0.95  # the share of a column's cells that must agree on how they are written
LOOK_ALIKE = 0.9  # the share from which a column that is not read deserves a word of advice
LONGEST = 60  # characters of what may be a number
FIRST_LOOK = 500  # distinct cells that rule out most columns of words
FEW_UNITS = 5  # more endings than this are words, not units

_PLAIN = str.maketrans(
    {"−": "-", "–": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "’": "'", "٫": ".", "٬": ","}
)
_CODES = (
    "USD EUR GBP CHF JPY CNY RMB INR AUD CAD NZD SEK NOK DKK PLN CZK HUF RON BGN RUB UAH TRY ILS "
    "BRL MXN ARS CLP COP ZAR NGN EGP SAR AED KRW TWD HKD SGD THB IDR MYR PHP VND"
)
_CURRENCY = (
    r"(?:[A-Z]{0,3}[$€£¥₹₽₩₺₫₴₦₪₱฿₡₲₵]|" + "|".join(_CODES.split()) + r"|Rs\.?|Fr\.?|kr\.?|zł|Kč)"
)
_UNIT = r"(?:[^\W\d_]|[%‰°$€£¥₹₽₩₺₫₴₦₪₱฿₡₲₵\"″′])[^\s()]{0,14}(?:[ ][^\W\d_]\S{0,9})?"
_NUMBER = re.compile(
    rf"(?P<bracket>\()?\s*(?P<sign>[+-])?\s*(?P<before>{_CURRENCY})?\s*(?P<sign2>[+-])?\s*"
    r"(?P<inner>\()?(?P<core>[.,]?\d(?:[\d.,' ]*\d)?\.?)(?P<power>[eE][+-]?\d+)?(?(inner)\))"
    rf"\s*(?P<after>{_UNIT})?\s*(?(bracket)\))"
)
# Not a hyphen, and no full stop.
_WITHIN = re.compile(r"(?:(?<!\w)-)?(?:(?<![\w.,])[.,])?\d(?:[\d.,']*\d)?")
_SPACED = re.compile(r"(?<=\d)[\u00a0\u202f\u2009](?=\d{3})")
_SIMPLE = re.compile(r"\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?\s*([AaPp]\.?[Mm]\.?)?", re.ASCII)
_DURATION = re.compile(r"-?\d+ days?,? [+-]?\d{1,2}:\d\d:\d\d(?:\.\d+)?", re.ASCII)
_PHONE = re.compile(r"1?[2-9]\d\d[2-9]\d{6}")  # of North America
_LETTERS = "LVWKJN"  # that are units, also without a space before them
_ORDINALS = frozenset(("st", "nd", "rd", "th"))


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
    quantity : {"", "time", "duration"}, default=""
        "time": times of day, in hours; "duration": durations, in seconds.
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""
    quantity: str = ""


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


@dataclass(frozen=True)
class _Parts:
    negative: bool
    unit: str
    core: str
    power: str


def find_style(cells, counts, *, codes=True):
    """Find out how the numbers of a column are written.

    Parameters
    ----------
    cells : list of str
        The distinct cells, without blanks and words for missing.
    counts : ndarray of shape (len(cells),)
        How often each occurs.
    codes : bool, default=True
        Look out for digits that are no numbers, such as "01234" or a telephone number.

    Returns
    -------
    style : NumberStyle or None
        None if they are no numbers, or if it can't be told which.
    doubt : Doubt or None
        Why not, where they nearly are.
    """
    first = cells[:FIRST_LOOK]
    for pattern, quantity in ((_CLOCK, "time"), (_DURATION, "duration")):
        if first and pattern.fullmatch(first[0].strip()):
            style = NumberStyle(quantity=quantity)
            if all(read_number(cell, style) is not None for cell in cells):
                return style, None
    if sum(_split(cell) is not None for cell in first) < len(first) / 2 or not first:
        return None, None
    if _are_simple(cells):
        return NumberStyle(), None
    parts = [_split(cell) for cell in cells]
    if codes and _are_codes([part for part in parts if part], cells):
        return None, None
    style, doubt = _agree(cells, parts, counts)
    if style is None:
        return None, doubt
    read = np.array([part is not None and _read_parts(part, style) is not None for part in parts])
    share = counts[read].sum() / counts.sum()
    others = [cell for cell, good in zip(cells, read, strict=True) if not good]
    if share >= NEARLY_ALL and not any(map(_has_digit, others)):
        return style, None
    others.sort(key=_has_digit, reverse=True)  # these forbid to take the others for missing
    nearly = _nearly(counts[read].sum(), counts.sum(), others[0])
    return None, nearly if share >= LOOK_ALIKE else None


def read_number(cell, style):
    """Read one cell.

    Parameters
    ----------
    cell : object
        A number, a string, a duration or a time of day.
    style : NumberStyle or ColumnPlan
        How the column is written. Numbers that are no strings need none.

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
        if style.decimal == "." and _SIMPLE.fullmatch(cell):
            return _finite(_signed(cell, False))
        return math.nan if is_missing_word(cell) else _read_text(cell, style)
    try:
        return _finite(_plain_number(cell, style.quantity))
    except (TypeError, ValueError):  # a duration in months, a signalling NaN
        return None


def _plain_number(cell, quantity):
    if isinstance(cell, np.timedelta64):  # an Integral, too
        return float(cell / np.timedelta64(1, "s")) if quantity == "duration" else None
    if isinstance(cell, (bool, np.bool_, Integral)):
        return int(cell)
    if isinstance(cell, Decimal):
        value = float(cell)
        return int(cell) if math.isfinite(value) and cell == cell.to_integral_value() else value
    if isinstance(cell, Real):
        return float(cell)
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
    special = {"time": _clock, "duration": _duration}.get(style.quantity)
    value = special(text.strip()) if special else None
    if value is not None:
        return value
    parts = _split(text)
    return None if parts is None else _read_parts(parts, style)


def _read_parts(parts, style):
    if not _same_unit(parts.unit, style.unit):
        return None
    return _finite(_value(parts, style.decimal, style.thousands))


def _are_simple(cells):
    """Whether all are as Python writes them, some with a fraction that is not of three digits."""
    return (
        all(map(_SIMPLE.fullmatch, cells))
        and any(len(cell.strip().partition(".")[2]) not in (0, 3) for cell in cells)
        and not any(re.match(r"\s*[+-]?0\d", cell) for cell in cells)
    )


def numbers_within(text):
    """Numbers that stand among words: "500 g, pack of 12".

    Parameters
    ----------
    text : str

    Returns
    -------
    list of float
        In order. Points and commas part thousands or fractions, as each number by itself says, and
        "1,234" has thousands; where they do neither, "1.2.3" is 1.2 and 3, "1,2,3" three numbers.
        Those of more than 60 characters are names, and left out.

    Examples
    --------
    >>> from llmreg.tables.number_texts import numbers_within
    >>> numbers_within("2-pack of 0,75 l at -4.5 °C, 1,200 g")
    [2.0, 0.75, -4.5, 1200.0]
    """
    plain = text if text.isascii() else _SPACED.sub("'", text).translate(_PLAIN)
    numbers = []
    for written in _WITHIN.findall(plain):
        if len(written) > LONGEST:
            continue
        parts = _Parts(written[0] == "-", "", written.removeprefix("-"), "")
        decimal = _decides(parts) or "."
        value = _value(parts, decimal, ",."[decimal == ","])
        numbers += re.findall(r"\d+(?:\.\d+)?", parts.core) if value is None else [value]
    return list(map(float, numbers))


def _same_unit(unit, expected):
    """A bare number is in the column's unit; a column without one may gain a currency."""
    return unit in ("", expected) or (not expected and _is_currency(unit))


def _clock(text):
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    hour, minute, second, half = match.groups()
    hour = int(hour)
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half[0] in "pP" else 0)
    return None if hour > 24 else hour + int(minute) / 60 + float(second or 0) / 3600


def _duration(text):
    if not _DURATION.fullmatch(text):
        return None
    return pd.Timedelta(text.replace(",", "")).total_seconds()


def _split(text):
    """Sign, unit and digits of a string, or None if it is no number."""
    if len(text) > LONGEST:
        return None
    text = text.strip() if text.isascii() else text.translate(_PLAIN).strip()
    match = _NUMBER.fullmatch(text)
    if match is None or (match["sign"] and match["sign2"]):
        return None
    negative = "-" in (match["sign"], match["sign2"]) or bool(match["bracket"] or match["inner"])
    unit = _unit(" ".join(filter(None, (match["before"], match["after"]))))
    return _Parts(negative, unit, match["core"], match["power"] or "")


def _unit(unit):
    """ "years." and "year" are the same unit."""
    unit = unit.strip().rstrip(".")
    return unit[:-1] if len(unit) > 2 and unit.endswith("s") else unit


def _is_currency(unit):
    return re.fullmatch(_CURRENCY, unit) is not None


@lru_cache
def _pattern(decimal, thousands):
    groups = rf"|\d{{1,3}}(?:[{thousands}]\d{{3}})+" if thousands else ""
    groups += r"|\d{1,2}(?:,\d{2})+,\d{3}" if thousands == "," else ""  # 1,00,000: Indian
    return re.compile(rf"(?:\d+{groups})?(?:[{decimal}]\d*)?")


def _value(parts, decimal, thousands):
    core = parts.core
    for sign in ("", thousands, "'", " ", ",."[decimal == ","]):
        if _pattern(decimal, sign).fullmatch(core):
            break
    else:
        return None
    # A cell that leaves no doubt may group its digits though no training cell did.
    if sign in (".", ",") and sign != thousands and _decides(parts) != decimal:
        return None
    digits = core.replace(sign, "") if sign else core
    return _signed(digits.replace(decimal, ".") + parts.power, parts.negative)


def _signed(digits, negative):
    try:
        value = int(digits)
    except ValueError:
        value = float(digits)
    return -value if negative and value else value


def _decides(parts):
    """The decimal sign of which a single cell leaves no doubt, or ""."""
    core = parts.core
    signs = [sign for sign in core if sign in ".,"]
    if not signs:
        return ""
    if len(set(signs)) == 2:
        return signs[-1] if signs.count(signs[-1]) == 1 else ""
    if len(signs) > 1:
        return "," if signs[0] == "." else "."
    before, after = core.split(signs[0])
    grouped = len(after) == 3 and 1 <= len(before) <= 3 and before[0] != "0" and not parts.power
    if grouped and signs[0] == "," and _is_currency(parts.unit):
        return "."  # no currency has thousandths behind a comma
    return "" if grouped else signs[0]


def _agree(cells, parts, counts):
    """The style of most cells; whether all follow it is seen by reading them."""
    known = [i for i, part in enumerate(parts) if part is not None]
    parts, counts, cells = [parts[i] for i in known], counts[known], [cells[i] for i in known]
    unit, doubt = _agreed_unit(cells, parts, counts)
    if doubt is not None:
        return None, doubt
    decimal = _agreed_decimal(parts, counts, unit)
    if decimal is None:
        shown = next(cell for cell, part in zip(cells, parts, strict=True) if _may_group(part))
        return None, Doubt(
            f"holds numbers such as {shown!r}, of which nothing says whether they have thousands "
            "or fractions",
            "Convert them to floats",
        )
    signs = Counter(sign for part in parts for sign in set(part.core) - {decimal} if sign in ".,' ")
    return NumberStyle(decimal, max(signs, key=signs.get, default=""), unit), None


def _agreed_unit(cells, parts, counts):
    weights = Counter()
    for part, count in zip(parts, counts.tolist(), strict=True):
        if part.unit or part.core.strip("0.,' "):  # a zero needs no unit
            weights[part.unit] += count
    if not weights:
        return "", None
    unit, weight = weights.most_common(1)[0]
    if weight >= NEARLY_ALL * weights.total():
        return unit, None
    units = set(weights) - {""}
    examples = {part.unit: cell for cell, part in zip(cells, parts, strict=True)}
    if len(units) > FEW_UNITS or not all(_is_unit(one, examples[one]) for one in units):
        return "", None
    shown = ", ".join(repr(examples[one]) for one, _ in weights.most_common(3))
    return None, Doubt(f"has mixed units, such as {shown}", "Convert them to numbers of one unit")


def _is_unit(unit, example):
    """Not a house number such as "12A", nor "2nd"."""
    spaced = not unit[0].isalpha() or len(unit) > 1 or example.strip()[-2:-1] == " "
    return spaced and unit not in _ORDINALS and not _has_digit(unit)


def _may_group(part):
    return _decides(part) == "" and ("." in part.core or "," in part.core)


def _agreed_decimal(parts, counts, unit):
    """The decimal sign, or None if it can't be told."""
    votes, open_signs = Counter(), Counter()
    bare = large = 0
    for part, count in zip(parts, counts.tolist(), strict=True):
        votes[_decides(part)] += count
        if _may_group(part):
            open_signs["." if "." in part.core else ","] += count
        elif part.core.isdecimal():
            bare += count
            large += len(part.core) > 3
    if votes["."] or votes[","]:
        return "." if votes["."] >= votes[","] else ","
    if len(open_signs) == 2:  # "1.234" beside "1,234"
        return None
    if not open_signs:
        return "."
    [(sign, count)] = open_signs.items()
    other = "," if sign == "." else "."
    # Fractions of three digits, no more and no fewer, are hardly found beside small whole numbers.
    if bare and not large and (sign == "," or _is_currency(unit)):
        return other
    if sign == ".":
        grouped = bare >= 3 and count >= 3 and not large
        return None if grouped or _is_currency(unit) else "."
    return None


def _are_codes(parts, cells):
    """Whether digits are names and no quantities: nobody adds up telephone numbers."""
    cores = [part.core for part in parts if not part.unit]
    if any(re.fullmatch(r"0[\d ]+", core) for core in cores):
        return True
    if not cores and all(re.search(rf"\d[^\W\d_{_LETTERS}]$", cell) for cell in cells):
        return all(cell[-1].isupper() for cell in cells)  # "12A": a seat, a flat
    if len(cores) < len(cells):
        return False
    digits = {len(re.sub(r"\D", "", core)) for core in cores}
    return (
        all(re.fullmatch(r"97[89]\d{10}", core) for core in cores)  # ISBN
        or (len(cores) >= 5 and all(map(_PHONE.fullmatch, cores)))
        or all(core.count(".") == 3 for core in cores)  # IP addresses
        or (len(digits) == 1 and min(digits) >= 7 and all(" " in core for core in cores))
        or all(cell.strip()[0] == "+" and len(re.sub(r"\D", "", cell)) >= 9 for cell in cells)
    )


def _has_digit(text):
    return any(map(str.isdigit, text))


def _nearly(n_read, n_all, other):
    return Doubt(
        f"is nearly all numbers ({n_read} of {n_all} values), but it also holds {other!r}",
        "Replace such values by NaN to read it as numbers",
    )
