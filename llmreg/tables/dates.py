"""Dates and times of day: wall time in the column's own zone, and how dates are written."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
from pandas.api import types

from llmreg.tables.cell_values import distinct_cells, is_missing_word, spread
from llmreg.tables.number_texts import FIRST_LOOK, NEARLY_ALL, Doubt

__all__ = ["DATE_PARTS", "Moments", "clock_of", "date_numbers", "date_texts", "find_order",
           "read_moments", "zone_of"]  # fmt: skip

DATE_PARTS = ("timestamp", "month", "day", "weekday", "hour")
_DTYPE = "datetime64[us]"
LAST_YEAR = 100_000  # beyond, microseconds may not hold
LONGEST = 100  # characters of a date with its time
MIN_COMPACT = 3  # distinct cells like "20210305" that are hardly all dates by chance

_NAMES = "jan feb mar apr may jun jul aug sep oct nov dec".split()  # noqa: SIM905
_MONTHS = {name: number for number, name in enumerate(_NAMES, start=1)}
_NAME = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_TIME = (
    r"(?:(?:\s*[T,]\s*|\s+|:)(?P<hour>\d{1,2})(?::?(?P<minute>\d{2})"
    r"(?::?(?P<second>\d{2})(?:[.,](?P<fraction>\d+))?)?)?\s*(?P<half>[ap]\.?m\.?)?"
    r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?)?"
)
_PATTERNS = [
    re.compile(pattern + _TIME, re.IGNORECASE | re.ASCII)
    for pattern in (
        r"(?P<year>\d{4})(?P<sign>[-/.])(?P<month>\d{1,2})(?P=sign)(?P<day>\d{1,2})",
        r"(?P<first>\d{1,2})(?P<sign>[-/.])\s?(?P<other>\d{1,2})(?P=sign)\s?(?P<year>\d{4})",
        r"(?P<first>\d{1,2})(?P<sign>/)(?P<other>\d{1,2})/(?P<year>\d{2})",
        r"(?P<first>\d{2})(?P<sign>\.)(?P<other>\d{2})\.(?P<year>\d{2})",
        rf"{_WEEKDAY}(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)?[\s-]*{_NAME},?[\s-]+"
        r"(?P<year>\d{4}|\d{2})",
        rf"{_WEEKDAY}{_NAME}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}})",
        rf"{_NAME}[\s-]+(?P<year>\d{{4}})",
        r"(?P<year>(?:19|20)\d{2})-(?P<month>\d{2})",
        r"(?P<year>\d{4})[- ]?Q(?P<quarter>[1-4])",
        r"Q(?P<quarter>[1-4])[- ](?P<year>\d{4})",
        r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})",
    )
]
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?", re.ASCII)
_COMPACT = re.compile(r"\s*(?:19|20)\d{6}\s*", re.ASCII)
_VERSION = re.compile(r"\s*[1-9]\d\.[1-9]\d\.[1-9]\d\s*")  # no day or month below ten: no date
_NOTHING = re.compile(r"0[-/.0]{5,}(?:[T ]0[0:.]*)?Z?")  # "0000-00-00 00:00:00"


@dataclass(frozen=True)
class Moments:
    """The cells of a column as dates.

    Parameters
    ----------
    wall : ndarray of shape (n_rows,), dtype datetime64[us]
        What a clock on the wall says, in the cell's own zone; NaT where there is no date.
    utc : ndarray of shape (n_rows,), dtype datetime64[us]
        The same in UTC; NaT where the cell has no zone.
    zones : frozenset of str
        The zones of the cells that have one.
    """

    wall: np.ndarray
    utc: np.ndarray
    zones: frozenset

    def within(self, zone):
        """Wall time in a zone; cells that have none are taken to be in it. None: as they are."""
        if zone is None or np.isnat(self.utc).all():
            return self.wall
        utc = pd.Series(self.utc).dt.tz_localize("UTC")
        local = utc.dt.tz_convert(zone).dt.tz_localize(None).to_numpy("datetime64[us]")
        return np.where(np.isnat(self.utc), self.wall, local)


def find_order(cells, counts, *, asked=False):
    """Find out how the dates of a column of strings are written.

    Parameters
    ----------
    cells : list of str
        The distinct cells, without blanks and words for missing.
    counts : ndarray of shape (len(cells),)
        How often each occurs.
    asked : bool, default=False
        Whether dates are expected: a few cells like "20210305" are then no chance.

    Returns
    -------
    order : {"", "dmy", "mdy", "mdy.", "compact"} or None
        What comes first where it is a matter of choice, "": nowhere; None if they are no dates,
        or if it can't be told which.
    doubt : Doubt or None
        Why not, where they look like dates.
    """
    first = cells[:FIRST_LOOK]
    if not first or sum(map(_looks_like_date, first)) < len(first) / 2:
        return None, None
    if len(cells) >= (1 if asked else MIN_COMPACT) and all(map(_COMPACT.fullmatch, cells)):
        return ("compact" if _share(cells, counts, "compact")[0] >= NEARLY_ALL else None), None
    share, _ = _share(cells, counts, "")
    if share >= NEARLY_ALL:
        versions = all(map(_VERSION.fullmatch, cells))
        return (None if versions else ""), None
    (days, by_day), (months, by_month) = (_share(cells, counts, way) for way in ("dmy", "mdy"))
    if max(days, months) < NEARLY_ALL:
        return ("mdy." if _share(cells, counts, "mdy.")[0] >= NEARLY_ALL else None), None
    differ = (by_day != by_month) & ~(np.isnat(by_day) & np.isnat(by_month))
    if days != months:
        return ("dmy" if days > months else "mdy"), None
    return None, Doubt(
        f"holds dates such as {cells[differ.argmax()]!r}, of which nothing says whether day or "
        "month comes first",
        "Convert them with pandas.to_datetime(..., format='%d/%m/%Y') (or '%m/%d/%Y')",
    )


def _looks_like_date(cell):
    cell = cell.strip()
    return _is_nothing(cell) or any(pattern.fullmatch(cell) for pattern in _patterns_for(cell))


def _patterns_for(text):
    return _PATTERNS if len(text) <= LONGEST else ()


def _share(cells, counts, order):
    """The share of cells that are dates in some order, and these dates."""
    there = np.array([not _is_nothing(cell) for cell in cells])
    moments, unread = _read_cells(cells, order)
    return counts[there & ~unread].sum() / max(counts[there].sum(), 1), moments.wall


def _is_nothing(cell):
    return is_missing_word(cell) or _NOTHING.fullmatch(cell.strip()) is not None


def read_moment(cell, order):
    """Read one cell.

    Parameters
    ----------
    cell : object
    order : {"", "dmy", "mdy", "mdy.", "compact"}
        See :func:`find_order`.

    Returns
    -------
    datetime.datetime, numpy.datetime64 or None
        None for what is no date; NaT for a word for missing.

    Examples
    --------
    >>> from llmreg.tables.dates import read_moment
    >>> str(read_moment("Mar 5, 2021 2:30 pm", ""))
    '2021-03-05 14:30:00'
    >>> read_moment("3/5/2021", "") is None
    True
    """
    if isinstance(cell, str):
        return np.datetime64("NaT") if _is_nothing(cell) else _moment_of_text(cell.strip(), order)
    if cell is pd.NaT:
        return np.datetime64("NaT")
    if isinstance(cell, pd.Period):
        return cell.to_timestamp()
    if isinstance(cell, datetime):
        return cell
    if isinstance(cell, np.datetime64):
        return cell if _is_near(cell) else None
    if isinstance(cell, date):
        return datetime(cell.year, cell.month, cell.day)
    # Any other number would be taken for a date, but who chose "20210305" means it.
    if order == "compact" and isinstance(cell, (int, float, np.number)) and cell % 1 == 0:
        return _moment_of_text(str(int(cell)), order)
    return None


def _moment_of_text(text, order):
    for pattern in _patterns_for(text):
        match = pattern.fullmatch(text)
        if match:
            try:
                return _moment_of_parts(match.groupdict(), order)
            except ValueError:  # the 30th of February
                return None
    return None


def _moment_of_parts(parts, order):
    if parts.get("first"):
        dots = parts["sign"] == "."
        if not dots and order not in ("dmy", "mdy"):
            return None
        month_first = order == ("mdy." if dots else "mdy")  # dots: unless no cell makes sense so
        first = ("month", "day") if month_first else ("day", "month")
        parts |= dict(zip(first, (parts["first"], parts["other"]), strict=True))
    elif parts.get("quarter"):
        parts["month"] = str(3 * int(parts["quarter"]) - 2)
    elif "sign" not in parts and parts["month"].isdecimal() and "day" in parts:
        if order != "compact" and parts["hour"] is None:
            return None
    year = int(parts["year"])
    if len(parts["year"]) == 2:
        year += 2000 if year < 69 else 1900
    month = _MONTHS.get(parts["month"][:3].lower()) or int(parts["month"])
    day = int(parts.get("day") or 1)
    return datetime(year, month, day, *_time_of_day(parts), tzinfo=_zone(parts["zone"]))


def _time_of_day(parts):
    hour = int(parts["hour"] or 0)
    if parts["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(hour)
        hour = hour % 12 + (12 if parts["half"][0] in "pP" else 0)
    micros = int((parts["fraction"] or "0")[:6].ljust(6, "0"))
    return hour, int(parts["minute"] or 0), int(parts["second"] or 0), micros


def _zone(text):
    if text is None:
        return None
    if text.upper() in ("Z", "UTC", "GMT"):
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)


def read_moments(column, order=""):
    """Read a column of dates.

    Parameters
    ----------
    column : pandas.Series of shape (n_rows,)
    order : {"", "dmy", "mdy", "mdy.", "compact"}, default=""
        See :func:`find_order`.

    Returns
    -------
    moments : Moments
    unread : ndarray of shape (n_rows,), dtype bool
        Where a cell holds something else.
    """
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if column.dtype == object and types.infer_dtype(column, skipna=True) == "datetime":
        column = column.infer_objects()  # ten times as fast, unless zones are mixed
    if types.is_datetime64_any_dtype(column.dtype):
        return _read_dtype(column)
    codes, cells = distinct_cells(column)
    moments, unread = _read_cells(cells, order)
    wall, utc = (np.append(part, np.datetime64("NaT")) for part in (moments.wall, moments.utc))
    return Moments(wall[codes], utc[codes], moments.zones), np.append(unread, False)[codes]


def _read_cells(cells, order):
    """The same of distinct cells."""
    if all(isinstance(cell, str) and _ISO.fullmatch(cell) for cell in cells):
        # What the other way does, 20 times as fast.
        series = pd.Series(cells, dtype=object)
        wall = pd.to_datetime(series, format="ISO8601", errors="coerce").to_numpy(_DTYPE)
        if not np.isnat(wall).any():
            utc = np.full(len(wall), "NaT", _DTYPE)
            return Moments(wall, utc, frozenset()), np.zeros(len(wall), bool)
    read = [read_moment(cell, order) for cell in cells]
    wall = np.array([*map(_wall, read), "NaT"], _DTYPE)[:-1]
    utc = np.array([*map(_utc, read), "NaT"], _DTYPE)[:-1]
    zones = {_zone_name(one.tzinfo) for one in read if getattr(one, "tzinfo", None) is not None}
    return Moments(wall, utc, frozenset(zones)), np.array([one is None for one in read], bool)


def _wall(moment):
    if isinstance(moment, datetime):
        moment = moment.replace(tzinfo=None)
    return np.datetime64("NaT" if moment is None else moment).astype(_DTYPE)


def _utc(moment):
    if getattr(moment, "tzinfo", None) is None:
        return np.datetime64("NaT")
    return _wall(moment) - np.timedelta64(moment.utcoffset())


def _zone_name(zone):
    """The name by which pandas finds a zone."""
    path = getattr(zone, "_filename", None)  # of dateutil
    return f"dateutil/{path}" if path else str(zone)


def _read_dtype(column):
    zone = column.dt.tz
    wall, near = _micros(column if zone is None else column.dt.tz_localize(None))
    utc = np.full(len(wall), "NaT", _DTYPE)
    if zone is not None:
        utc, _ = _micros(column.dt.tz_convert("UTC").dt.tz_localize(None))
    return Moments(wall, utc, frozenset([_zone_name(zone)] if zone is not None else [])), ~near


def _micros(column):
    values = column.to_numpy()
    near = _is_near(values)
    return np.where(near, values, np.datetime64("NaT")).astype(_DTYPE), near


def _is_near(values):
    """Whether dates fit into microseconds; NaT does."""
    if np.datetime_data(values.dtype)[0] in ("ps", "fs", "as"):
        values = values.astype(_DTYPE)
    years = values.astype("datetime64[Y]").astype(np.int64)
    return np.isnat(values) | (np.abs(years) < LAST_YEAR)


def zone_of(zones):
    """The zone in whose wall time a column is read: its own, or UTC where there are several.

    Parameters
    ----------
    zones : frozenset of str
        Of the training cells.

    Returns
    -------
    str or None
        None: no cell has a zone that can be found again by its name.
    """
    if len(zones) != 1:
        return "UTC" if zones else None
    [zone] = zones
    try:
        pd.Timestamp(0, tz="UTC").tz_convert(zone)
    except (ValueError, KeyError, OSError):  # the computer's own zone, or one made by hand
        return None
    return zone


def date_numbers(wall):
    """Dates as numbers, NaN where there is none.

    Parameters
    ----------
    wall : ndarray of shape (n_rows,), dtype datetime64[us]

    Returns
    -------
    dict of str to ndarray of shape (n_rows,)
        "timestamp", in days since 1970, "month", "day", "weekday" (Monday is 0) and "hour", which
        has minutes and seconds as a fraction.
    """
    dates = pd.Series(wall).dt
    days = (wall - np.datetime64(0, "us")) / np.timedelta64(1, "D")
    hours = (wall - wall.astype("datetime64[D]")) / np.timedelta64(1, "h")
    parts = (days, dates.month, dates.day, dates.day_of_week, hours)
    return {
        name: np.asarray(part, dtype=np.float64)
        for name, part in zip(DATE_PARTS, parts, strict=True)
    }


def clock_of(wall):
    """How finely dates have to be written: "D", "m", "s", "ms" or "us".

    Parameters
    ----------
    wall : ndarray of dtype datetime64[us], without NaT

    Returns
    -------
    str
        A unit of numpy's datetimes.
    """
    return next(
        unit for unit in ("D", "m", "s", "ms", "us")
        if (wall == wall.astype(f"datetime64[{unit}]")).all()
    )  # fmt: skip


def date_texts(wall, unit, missing):
    """Write dates such as "2021-03-05 14:30", down to a unit of :func:`clock_of`."""
    codes, distinct = pd.factorize(wall)
    texts = np.datetime_as_string(distinct.astype(f"datetime64[{unit}]")).tolist()
    return spread([text.replace("T", " ") for text in texts], codes, missing)
