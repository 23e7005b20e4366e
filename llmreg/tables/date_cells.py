"""Dates as people write them: one cell at a time."""

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd

from llmreg.tables.cell_values import is_missing_word
from llmreg.tables.number_parts import plain_characters

__all__ = [
    "FIRST_YEAR",
    "LONGEST",
    "MONTH_NAMES",
    "bare_date",
    "is_near",
    "is_nothing",
    "looks_like_date",
    "read_moment",
]

FIRST_YEAR = 1969  # "69" is 1969 and "68" is 2068, unless the column says otherwise
LAST_YEAR = 100_000  # beyond, microseconds may not hold
LONGEST = 100  # characters of a date with its time

# A line for each month, without accents: English, German, French, Spanish, Italian, Portuguese
# and Dutch.
_LINES = """
january januar januari janner janvier enero gennaio janeiro jan janv ene gen
february februar februari fevrier febrero febbraio fevereiro feb febr fevr fev
march marz maerz maart mars marzo marco mar mrz mrt
april avril abril aprile apr avr abr
may mai mei mayo maggio maio mag
june juni juin junio giugno junho jun giu
july juli juillet julio luglio julho jul juil lug
august augustus aout agosto aug ago
september septembre septiembre setiembre settembre setembro sept sep set
october oktober octobre octubre ottobre outubro oct okt ott out
november novembre noviembre novembro nov
december dezember decembre diciembre dicembre dezembro dec dez dic
"""
_MONTHS = {
    name: number for number, line in enumerate(_LINES.split("\n")[1:-1], 1) for name in line.split()
}
_WORDS = {"set", "out", "ago", "gen", "mag", "mars"}  # "set 2000" is no month
_HOURS = {
    "Z": 0, "UTC": 0, "GMT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6,
    "PST": -8, "PDT": -7, "CET": 1, "CEST": 2,
}  # fmt: skip


def _any_of(names):
    return "|".join(sorted(names, key=len, reverse=True))


MONTH_NAMES = _any_of(_MONTHS)
_NAME = rf"(?P<month>{MONTH_NAMES})\.?"
_LONE_NAME = rf"(?P<month>{_any_of(_MONTHS.keys() - _WORDS)})\.?"
# Monday to Sunday, in the same languages.
_WEEKDAYS = """
monday tuesday wednesday thursday friday saturday sunday
montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag mo di mi do fr sa so
lundi mardi mercredi jeudi vendredi samedi dimanche lun mar mer jeu ven sam dim
lunes martes miercoles jueves viernes sabado domingo mie jue vie sab dom
lunedi martedi mercoledi giovedi venerdi sabato domenica gio
segunda terca quarta quinta sexta seg ter qua qui sex
segunda-feira terca-feira quarta-feira quinta-feira sexta-feira
maandag dinsdag woensdag donderdag vrijdag zaterdag zondag ma wo vr za zo
mon tue tues wed weds thu thur thurs fri sat sun
"""
_WEEKDAY = rf"(?:{_any_of(_WEEKDAYS.split())})\.?"
# What may stand around a date: "Samstag, den", "le mardi", "(Sa.)", and the brackets of log files.
_AROUND = re.compile(
    rf"^(?:(?:le|el)\s)?{_WEEKDAY},?\s+(?:(?:den|the|le)\s)?|[\s,]+(?=[a-z-]+\.?$){_WEEKDAY}$"
    rf"|\s?\((?:{_WEEKDAY}|[月火水木金土日월화수목금토일](?:曜日|요일)?)\)"
    r"|\s?[月火水木金土日]曜日$|\s?[월화수목금토일]요일$|^\[|\]$",
    re.IGNORECASE | re.ASCII,
)
_CLOCK = (
    r"(?P<hour>\d{1,2})(?:(?P<between>[:.]|\s?h\s?|)(?P<minute>\d{2})"
    r"(?:(?P=between)(?P<second>\d{2})(?:[.,:](?P<fraction>\d+))?)?)?\s*(?P<half>[ap]\.?m\.?)?"
)
# "+0100", and "+0000 UTC" as Go has it, "GMT+0100 (CET)" as JavaScript, "+01:00[Europe/Paris]".
_ZONE = (
    rf"(?P<zone>{_any_of(_HOURS)}|(?:UTC|GMT)?[+-]\d{{2}}(?::?\d{{2}})?)"
    r"(?:\s\(?[A-Z][A-Z ]{2,40}\)?|\[[A-Z_/]+\])?"
)
_TIME = (
    r"(?:(?:\s*[T,]\s*|\s+|:|_(?=\d\d:)|-(?=\d\d\.\d\d\.))(?:(?:um|at|om|a|a las)\s)?"
    rf"{_CLOCK}(?:\s?(?:uhr|uur|hrs?|h))?\s*(?:{_ZONE})?)?"
)
_DAY_OF = r"(?P<day>\d{1,2})(?:st|nd|rd|th|er|[.º])?"
_DIGITS_OF_DAY = r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})"
_PATTERNS = [
    re.compile(pattern, re.IGNORECASE | re.ASCII)
    for pattern in (
        r"(?P<year>\d{4})\s?(?P<sign>[-/.])\s?(?P<month>\d{1,2})\s?(?P=sign)\s?(?P<day>\d{1,2})\.?"
        + _TIME,
        r"(?P<first>\d{1,2})\s?(?P<sign>[-/.])\s?(?P<other>\d{1,2})\s?(?P=sign)\s?(?P<year>\d{4})"
        r"\.?" + _TIME,
        r"(?P<first>\d{1,2})(?P<sign>[-/.])(?P<other>\d{1,2})(?P=sign)(?P<year>\d{2})" + _TIME,
        rf"{_DAY_OF}(?:\s(?:of|de)\s|[\s/-]*){_NAME},?(?:\sdel?\s|[\s/-]*)"
        r"'?(?P<year>\d{4}|(?<!\s)\d{2}|\d{2}(?!:))" + _TIME,  # "5 June 23:03" has no year
        rf"{_NAME}[\s/-]+{_DAY_OF}(?:,\s*|[\s/-]+)(?P<year>\d{{4}})" + _TIME,
        # As C, Unix and Twitter write it: "Wed Oct 10 20:19:24 +0000 2018".
        rf"{_NAME}\s+(?P<day>\d{{1,2}})\s+{_CLOCK}\s+(?:{_ZONE}\s+)?(?P<year>\d{{4}})",
        rf"{_LONE_NAME}(?:,\s*|[\s/-]+)(?P<year>\d{{4}})" + _TIME,
        rf"(?P<year>\d{{4}})[\s/-]?{_LONE_NAME}[\s/-]?(?P<day>\d{{1,2}})" + _TIME,
        rf"(?P<year>(?:19|20)\d{{2}})[\s/-]?{_LONE_NAME}",
        r"(?P<year>(?:19|20)\d{2})_(?P<month>\d{2})_(?P<day>\d{2})" + _TIME,
        r"(?P<year>(?:19|20)\d{2})-(?P<month>\d{2})" + _TIME,
        r"(?P<year>(?:19|20)\d{2})/(?P<month>\d{2})",
        r"(?P<month>\d{1,2})/(?P<year>(?:19|20)\d{2})",
        r"(?P<month>\d{2})[-.](?P<year>(?:19|20)\d{2})",
        r"(?P<year>\d{4})[-/ ]?Q(?P<quarter>[1-4])" + _TIME,
        r"Q(?P<quarter>[1-4])[-/ ](?P<year>\d{4})" + _TIME,
        r"(?P<quarter>[1-4])Q[-/ ]?(?P<year>(?:19|20)\d{2})",
        r"(?P<year>(?:19|20)\d{2})[-/ ]?H(?P<half_year>[12])",
        r"H(?P<half_year>[12])[-/ ](?P<year>(?:19|20)\d{2})",
        r"(?P<half_year>[12])H[-/ ]?(?P<year>(?:19|20)\d{2})",
        r"(?P<year>(?:19|20)\d{2})-?W(?P<week>\d{2})(?:-?(?P<day>[1-7]))?",
        rf"(?P<compact>{_DIGITS_OF_DAY})" + _TIME,
        rf"(?P<compact>{_DIGITS_OF_DAY}(?P<hour>\d{{2}})(?P<minute>\d{{2}})(?P<second>\d{{2}})?)",
        r"(?P<year>\d{4})[年년]\s?(?P<month>\d{1,2})[月월](?:\s?(?P<day>\d{1,2})[日일])?" + _TIME,
    )
]
_TIME_FIRST = re.compile(
    r"^(\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?:\s?[ap]\.?m\.?)?),?\s+(\S.*)$", re.IGNORECASE | re.ASCII
)
_ACCENT = re.compile("[\u0300-\u036f]")
_DIGIT = re.compile(r"\d")
_NOTHING = re.compile(r"0[-/.0]{5,}(?:[T ]0[0:.]*)?Z?")  # "0000-00-00 00:00:00"


def looks_like_date(cell):
    """Whether a string is written as some date is, or is no date at all, such as "n/a"."""
    return is_nothing(cell) or _parts(cell) is not None


def _parts(text):
    """The parts of a date by name, or None."""
    text = text.strip()
    return _bare(text)[1] if len(text) <= LONGEST and _DIGIT.search(text) else None


def bare_date(text):
    """The text of a date in ASCII as far as it goes, without a weekday, and the time behind.

    Examples
    --------
    >>> from llmreg.tables.date_cells import bare_date
    >>> bare_date("Samstag, 05.01.2019"), bare_date("mar 5, 2021"), bare_date("٢٠١٩-٠١-٠٥")
    ('05.01.2019', 'mar 5, 2021', '2019-01-05')
    """
    text = text.strip()
    plain = text.isascii() and text[:1].isdigit() and text[-1:].isdigit() and ":" not in text[:3]
    return text if plain or len(text) > LONGEST else _bare(text)[0]


def _bare(text):
    """A date without what may stand around it, and its parts."""
    text = text if text.isascii() else _without_accents(plain_characters(text))
    parts = _match(text)
    if parts is not None:
        return text, parts
    in_front = _TIME_FIRST.sub(r"\2 \1", text)
    for bare in (in_front, _AROUND.sub(" ", in_front).strip()):
        parts = _match(bare) if bare != text else None
        if parts is not None and (parts.get("day") or parts.get("first")):
            return bare, parts
    return text, None


def _match(text):
    for pattern in _PATTERNS:
        match = pattern.fullmatch(text)
        if match:
            return match.groupdict()
    return None


def _without_accents(text):
    return unicodedata.normalize("NFC", _ACCENT.sub("", unicodedata.normalize("NFD", text)))


def is_nothing(cell):
    """Whether a string stands for no date: "n/a", "0000-00-00"."""
    return is_missing_word(cell) or _NOTHING.fullmatch(cell.strip()) is not None


def read_moment(cell, order, first_year=FIRST_YEAR):
    """Read one cell.

    Parameters
    ----------
    cell : object
    order : {"", "dmy", "mdy", "mdy.", "ymd", "compact"}
        See :func:`llmreg.tables.date_orders.find_order`.
    first_year : int, default=1969
        The first of the hundred years that two digits may mean.

    Returns
    -------
    datetime.datetime, numpy.datetime64 or None
        None for what is no date; NaT for a word for missing.

    Examples
    --------
    >>> from llmreg.tables.date_cells import read_moment
    >>> str(read_moment("Mar 5, 2021 2:30 pm", ""))
    '2021-03-05 14:30:00'
    >>> read_moment("3/5/2021", "") is None
    True
    >>> str(read_moment("28/03/45", "dmy", first_year=1930))
    '1945-03-28 00:00:00'
    """
    if isinstance(cell, str):
        return np.datetime64("NaT") if is_nothing(cell) else _of_text(cell, order, first_year)
    if cell is pd.NaT:
        return np.datetime64("NaT")
    if isinstance(cell, pd.Period):
        return cell.to_timestamp()
    if isinstance(cell, datetime):
        return cell
    if isinstance(cell, np.datetime64):
        return cell if is_near(cell) else None
    if isinstance(cell, date):
        return datetime(cell.year, cell.month, cell.day)
    # Any other number would be taken for a date, but who chose "20210305" means it.
    if order == "compact" and isinstance(cell, (int, float, np.number)) and cell % 1 == 0:
        return _of_text(str(int(cell)), order, first_year)
    return None


def is_near(values):
    """Whether dates fit into microseconds; NaT does."""
    if np.datetime_data(values.dtype)[0] in ("ps", "fs", "as"):
        values = values.astype("datetime64[us]")
    years = values.astype("datetime64[Y]").astype(np.int64)
    return np.isnat(values) | (np.abs(years) < LAST_YEAR)


def _of_text(text, order, first_year):
    parts = _parts(text)
    if parts is None or (order != "compact" and _are_digits(parts)):
        return None
    if parts.get("first") and not _name_numbers(parts, order):
        return None
    try:
        return _at_time(_day(parts, first_year), parts)
    except (ValueError, OverflowError):  # the 30th of February
        return None


def _are_digits(parts):
    """Whether it may be another number: "20210305", or "20210305143000"."""
    compact = parts.get("compact")
    return bool(compact) and (parts["hour"] is None or len(compact) > 8)


def _day(parts, first_year):
    """Year, month and day."""
    year = int(parts["year"])
    if len(parts["year"]) == 2:
        year = first_year + (year - first_year) % 100
    if parts.get("week"):
        day = date.fromisocalendar(year, int(parts["week"]), int(parts["day"] or 1))
        return day.year, day.month, day.day
    if parts.get("quarter"):
        return year, 3 * int(parts["quarter"]) - 2, 1
    if parts.get("half_year"):
        return year, 6 * int(parts["half_year"]) - 5, 1
    month = _MONTHS.get(parts["month"].lower()) or int(parts["month"])
    return year, month, int(parts.get("day") or 1)


def _name_numbers(parts, order):
    """Name the three numbers of "3/5/21"; whether the order says which is which."""
    names = _names(parts, order)
    if names:
        parts.update(zip(names, (parts["first"], parts["other"], parts["year"]), strict=True))
    return names is not None


def _names(parts, order):
    """What the three numbers of "3/5/21" are, or None."""
    dots = parts["sign"] == "."
    if order == "ymd":
        short = len(parts["year"]) == len(parts["first"]) == 2
        return ("year", "month", "day") if short else None
    if order == ("mdy." if dots else "mdy"):
        return "month", "day", "year"
    # With dots the day is first, unless no cell makes sense so.
    return ("day", "month", "year") if dots or order == "dmy" else None


def _at_time(day, parts):
    hour = int(parts.get("hour") or 0)
    if parts.get("half"):
        if not 1 <= hour <= 12:
            raise ValueError(hour)
        hour = hour % 12 + (12 if parts["half"][0] in "pP" else 0)
    micros = int((parts.get("fraction") or "0")[:6].ljust(6, "0"))
    minute = int(parts.get("minute") or 0)
    second, zone = int(parts.get("second") or 0), _zone(parts.get("zone"))
    if hour == 24 and not (minute or second or micros):  # the end of the day
        return datetime(*day, tzinfo=zone) + timedelta(days=1)
    return datetime(*day, hour, minute, second, micros, tzinfo=zone)


def _zone(text):
    if text is None:
        return None
    hours = _HOURS.get(text.upper())
    if hours is not None:
        return timezone(timedelta(hours=hours)) if hours else UTC
    sign, digits = re.search(r"([+-])(.*)", text).groups()
    digits = digits.replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if sign == "-" else offset)
