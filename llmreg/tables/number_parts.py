"""One number in words, taken apart: sign, digits, unit, and the power of ten that multiplies."""

import re
from dataclasses import dataclass
from functools import lru_cache

__all__ = [
    "LONGEST", "MONEY", "ORDINALS", "POWER_WORD", "NumberParts", "decides", "goes_with_commas",
    "is_currency", "plain_characters", "plain_signs", "power_of", "signed", "singular", "split",
    "value_of",
]  # fmt: skip

LONGEST = 60  # characters of what may be a number

_PLAIN = str.maketrans("−–‐‑‒﹣’٫٬٪", "------'.,%")
_BLANKS = "\u00a0\u2002\u2003\u2007\u2008\u2009\u200a\u202f\u3000"
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}  # "！" to "～", as "!" to "~"
_WIDE |= str.maketrans("￡￥￦" + _BLANKS, "£¥₩" + " " * len(_BLANKS))
_ANY_WIDE = re.compile(rf"[{''.join(map(chr, _WIDE))}]+")
_OTHER_DIGIT = re.compile(r"[^\D0-9]")
_CODES = (
    "USD EUR GBP CHF JPY CNY RMB INR AUD CAD NZD SEK NOK DKK PLN CZK HUF RON BGN RUB UAH TRY ILS "
    "BRL MXN ARS CLP COP ZAR NGN EGP SAR AED KRW TWD HKD SGD THB IDR MYR PHP VND"
)
ORDINALS = frozenset(("st", "nd", "rd", "th"))
MONEY = "$€£¥₹₽₩₺₫₴₦₪₱฿₡₲₵"
_WORDS_OF_MONEY = r"US \$|Rs\.?|Rp\.?|Fr\.?|kr\.?|zł|Kč"
_CURRENCY = rf"(?:[A-Z]{{0,3}}[{MONEY}]|{'|'.join(_CODES.split())}|{_WORDS_OF_MONEY})"
_UNIT = rf"(?:[^\W\d_]|[%‰°{MONEY}\"″′])[^\s()]{{0,14}}(?:[ ](?:[^\W\d_]|[{MONEY}])\S{{0,9}})?"
# Behind the digits "12,-" and "12/-" end a price, and a minus behind two digits is bookkeepers'.
_NUMBER = re.compile(
    rf"(?P<bracket>\()?\s*(?P<sign>[+-])?\s*(?P<before>{_CURRENCY})?\s*(?P<sign2>[+-])?\s*"
    r"(?P<inner>\()?(?P<core>[.,]?\d(?:[\d.,' ]*\d)?\.?)(?P<power>[eE][+-]?\d+)?(?(inner)\))"
    r"(?:[.,/][-—]{1,2}|(?P<behind>(?<=[\d.,]\d)-(?=\s|$)))?"
    rf"\s*(?P<after>{_UNIT})?\s*(?(bracket)\))"
)
# "2015–" is since then, and no loss: bookkeepers' minus is that of a keyboard.
_OPEN_END = re.compile(r"\d[‐‑‒–](?=\s|$)")
# Powers of ten, by what stands behind the digits: "19M", "1.5 million", "2 Crores".
_POWERS = {
    "k": 3, "K": 3, "M": 6, "B": 9, "万": 4, "만": 4, "億": 8, "亿": 8, "억": 8,
    "thousand": 3, "tsd": 3, "lakh": 5, "lac": 5, "million": 6, "millionen": 6, "mio": 6, "mln": 6,
    "mn": 6, "crore": 7, "cr": 7, "billion": 9, "bn": 9, "milliarden": 9, "mrd": 9, "trillion": 12,
}  # fmt: skip
_POWERS_OF_MONEY = {**_POWERS, "m": 6, "b": 9, "T": 12}  # elsewhere metres, bits and tonnes
_LETTERS = [word for word in _POWERS_OF_MONEY if len(word) == 1]
_WORDS = "|".join(word for word in _POWERS_OF_MONEY if len(word) > 1)
# Letters behind a blank are units: "300 K".
POWER_WORD = rf"(?:[{''.join(_LETTERS)}](?![a-zA-Z\d])| ?(?i:{_WORDS})(?i:s?)(?!\w))"
_POWER = re.compile(rf"(?P<word>{POWER_WORD})\.?(?P<unit>.*)")
# Who writes these has points before fractions; "million" is also French, which has commas.
_POINT_MONEY = re.compile(r"(?!R\$)[A-Z]*[$£¥₹₩₱]|US \$|Rs|USD|GBP|INR|JPY|CNY|RMB|KRW|AUD|CAD|NZD")
_POINT_WORDS = re.compile("[万만億亿억]|(?:thousand|lakh|lac|crore|cr)s?", re.IGNORECASE)
_ENGLISH_WORDS = re.compile("(?:m|b|tr)illions?", re.IGNORECASE)
_COMMA_WORDS = re.compile("tsd|millionen|mio|mln|milliarden|mrd", re.IGNORECASE)


@dataclass(frozen=True)
class NumberParts:
    """A number as it is written.

    Parameters
    ----------
    negative : bool
    unit : str
        Currency and unit together.
    core : str
        Digits and the signs between them.
    power : str
        "", or such as "e6": written so, or as "M" or "million".
    word : str, default=""
        That "M" or "million".
    """

    negative: bool
    unit: str
    core: str
    power: str
    word: str = ""


def plain_characters(text):
    """The same with digits, letters, signs and blanks of ASCII for those of full width or of other
    scripts.

    Examples
    --------
    >>> from llmreg.tables.number_parts import plain_characters
    >>> plain_characters("￥１，２３４"), plain_characters("٢٠١٩-٠١-٠٥")
    ('¥1,234', '2019-01-05')
    """
    if text.isascii():
        return text
    text = _ANY_WIDE.sub(lambda match: match[0].translate(_WIDE), text)
    return _OTHER_DIGIT.sub(lambda match: str(int(match[0])), text)


def plain_signs(text):
    """The same with one kind of minus, blank, apostrophe, point and comma."""
    return text if text.isascii() else plain_characters(text).translate(_PLAIN)


def split(text):
    """:class:`NumberParts` of a text that is a number and nothing else, or None.

    Examples
    --------
    >>> from llmreg.tables.number_parts import split
    >>> split("-$1.5 million")
    NumberParts(negative=True, unit='$', core='1.5', power='e6', word='million')
    """
    if len(text) > LONGEST or _OPEN_END.search(text):
        return None
    text = plain_signs(text).strip()
    match = _NUMBER.fullmatch(text)
    if match is None or (match["sign"] and match["sign2"]):
        return None
    signs = (match["sign"], match["sign2"], match["behind"])
    negative = "-" in signs or bool(match["bracket"] or match["inner"])
    before, after, power = match["before"] or "", match["after"] or "", match["power"] or ""
    word = ""
    if after and not power:
        blank = " " * (text[match.start("after") - 1] == " ")
        power, word, after = _power(blank + after, bool(before))
    return NumberParts(negative, _unit(f"{before} {after}"), match["core"], power, word)


def _power(behind, money):
    """What "k", "M€" or " million USD" behind digits multiplies by, the word that says so, and what
    is left as a unit."""
    match = _POWER.match(behind)
    if match is None:
        return "", "", behind
    unit = match["unit"].strip()
    power = power_of(match["word"], money or is_currency(unit.rstrip(".")))
    return (power, match["word"].strip(), unit) if power else ("", "", behind)


def power_of(word, money):
    """The power of ten that a word behind digits stands for, such as "e6", or "".

    Parameters
    ----------
    word : str
        Such as "M" or " million".
    money : bool
        Whether it is a sum: "$5m" are millions, "5m" are metres.

    Returns
    -------
    str
    """
    word = word.strip()
    word = word.lower() if len(word) > 1 else word
    powers = _POWERS_OF_MONEY if money else _POWERS
    power = powers.get(word) or powers.get(word.removesuffix("s"))
    return f"e{power}" if power else ""


def _unit(unit):
    return unit.strip().rstrip(".")


def singular(unit):
    """ "years" and "year" are the same unit.

    Examples
    --------
    >>> from llmreg.tables.number_parts import singular
    >>> singular("years"), singular("ms")
    ('year', 'ms')
    """
    return unit[:-1] if len(unit) > 2 and unit.endswith("s") else unit


def is_currency(unit):
    """Whether a unit is money."""
    return re.fullmatch(_CURRENCY, unit) is not None


@lru_cache
def _pattern(decimal, thousands):
    # No group of thousands begins with a zero: "0.125" is a fraction wherever it stands.
    groups = rf"|[1-9]\d{{0,2}}(?:[{thousands}]\d{{3}})+" if thousands else ""
    groups += rf"|0(?:[{thousands}]000)+" if thousands else ""
    groups += r"|[1-9]\d?(?:,\d{2})+,\d{3}" if thousands == "," else ""  # 1,00,000: Indian
    return re.compile(rf"(?:\d+{groups})?(?:[{decimal}]\d*)?")


def value_of(parts, decimal, thousands):
    """The number, or None where its signs are others.

    Parameters
    ----------
    parts : NumberParts
    decimal : {".", ","}
        What stands before the fraction.
    thousands : {"", ",", ".", "'", " "}
        What stands between groups of three digits.

    Returns
    -------
    int, float or None

    Examples
    --------
    >>> from llmreg.tables.number_parts import split, value_of
    >>> value_of(split("1.234,5"), ",", "."), value_of(split("1.234,5"), ".", ",")
    (1234.5, None)
    """
    core = parts.core
    for sign in ("", thousands, "'", " ", ",."[decimal == ","]):
        if _pattern(decimal, sign).fullmatch(core):
            break
    else:
        return None
    # A cell that leaves no doubt may group its digits though no training cell did.
    if sign in (".", ",") and sign != thousands and decides(parts) != decimal:
        return None
    digits = core.replace(sign, "") if sign else core
    return signed(digits.replace(decimal, ".") + parts.power, parts.negative)


def signed(digits, negative):
    """Digits as Python writes them as a number: an int where they are whole."""
    try:
        number = int(digits)
    except ValueError:
        number = float(digits)
    return -number if negative and number else number


def decides(parts):
    """The decimal sign of which a single number leaves no doubt, or "".

    Examples
    --------
    >>> from llmreg.tables.number_parts import decides, split
    >>> decides(split("1.234,5")), decides(split("1,234")), decides(split("$1,234"))
    (',', '', '.')
    """
    core = parts.core
    signs = [sign for sign in core if sign in ".,"]
    if not signs:
        return ""
    if len(set(signs)) == 2:
        return signs[-1] if signs.count(signs[-1]) == 1 else ""
    if len(signs) > 1:
        return "," if signs[0] == "." else "."
    before, after = core.split(signs[0])
    exponent = parts.power and not parts.word
    grouped = len(after) == 3 and 1 <= len(before) <= 3 and before[0] != "0" and not exponent
    return _sign_of_writer(parts, signs[0]) if grouped else signs[0]


def _sign_of_writer(parts, sign):
    """The decimal sign of who writes so, where three digits behind one leave it open; or ""."""
    if not parts.word:  # no currency has thousandths behind a comma
        return "." if sign == "," and is_currency(parts.unit) else ""
    points = _POINT_MONEY.fullmatch(parts.unit) or _POINT_WORDS.fullmatch(parts.word)
    english = sign == "." and _ENGLISH_WORDS.fullmatch(parts.word)
    return "." if points or english else ""


def goes_with_commas(word):
    """Whether a word for a power of ten is of a language with commas before fractions.

    Examples
    --------
    >>> from llmreg.tables.number_parts import goes_with_commas
    >>> goes_with_commas("Mio"), goes_with_commas("M")
    (True, False)
    """
    return _COMMA_WORDS.fullmatch(word) is not None
