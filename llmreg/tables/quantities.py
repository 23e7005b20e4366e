"""Numbers of several parts: times of day, durations, feet and inches."""

import re

import pandas as pd

__all__ = ["MEASURES", "QUANTITIES", "quantity_of"]

MEASURES = {
    "time": "time of day, in hours", "duration": "duration, in seconds",
    "feet": "feet and inches, in inches",
}  # fmt: skip

_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?\s*([AaPp]\.?[Mm]\.?)?", re.ASCII)
_OF_PANDAS = re.compile(r"-?\d+ days?,? [+-]?\d{1,2}:\d\d:\d\d(?:\.\d+)?", re.ASCII)
# "2h 50m", "1 day 3 hours", "90 min", and ISO 8601's "PT4M13S".
_DURATION = re.compile(
    r"(?:(\d+) ?d(?:ays?)?)?,? ?(?:(\d+) ?h(?:(?:ou)?rs?)?\.?)?,? ?"
    r"(?:(\d+) ?m(?:ins?|inutes?)?\.?)?,? ?(?:(\d+(?:\.\d+)?) ?s(?:ecs?|econds?)?\.?)?",
    re.ASCII | re.IGNORECASE,
)
_ISO = re.compile(r"P(?:\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?", re.ASCII)
_STOPWATCH = re.compile(r"(?:(\d{1,4}):(?=[0-5]\d:))?(\d{1,4}):([0-5]\d(?:\.\d+)?)", re.ASCII)
_SECONDS = (86400, 3600, 60, 1)
_FEET = re.compile(
    r"(\d{1,2}) ?(?:['’′]|ft\.?|feet)(?: ?(\d{1,2}(?:\.\d+)?) ?(?:[\"”″]|''|in\.?|inches)?)?"
)


def quantity_of(cells):
    """The name of what all cells are, "time", "duration" or "feet"; "" for anything else.

    Cells of a single part are numbers with a unit ("5 m", "3 h") unless one among them has several.
    "4:13" is a time of day, and a duration beside "75:30" or "1:02:03".

    Parameters
    ----------
    cells : list of str
        Distinct, without blanks and words for missing.

    Examples
    --------
    >>> from llmreg.tables.quantities import QUANTITIES, quantity_of
    >>> quantity_of(["2h 50m", "19h"]), quantity_of(["19h", "5h"]), quantity_of(["5'11", "6'"])
    ('duration', '', 'feet')
    >>> QUANTITIES["duration"]("2h 50m"), QUANTITIES["feet"]("5'11"), QUANTITIES["time"]("2:30 PM")
    (10200.0, 71.0, 14.5)
    """
    for name, read in QUANTITIES.items():
        if all(read(cell.strip()) is not None for cell in cells) and any(map(_parted, cells)):
            return "duration" if name == "time" and _of_a_stopwatch(cells) else name
    return ""


def _parted(cell):
    return len(re.findall(r"\d+", cell)) > 1


def _of_a_stopwatch(cells):
    """Whether "4:13" beside "1:02:03" has minutes in front, and no hours."""
    parts = {cell.count(":") for cell in cells}
    return len(parts) > 1 and not any(re.search(r"^\s*0\d|[AaPp]", cell) for cell in cells)


def _clock(text):
    """Hours."""
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
    """Seconds."""
    if _OF_PANDAS.fullmatch(text):
        return pd.Timedelta(text.replace(",", "")).total_seconds()
    if match := _STOPWATCH.fullmatch(text):
        hours, minutes, seconds = match.groups()
        return 3600.0 * int(hours or 0) + 60 * int(minutes) + float(seconds)
    if _ISO.fullmatch(text):
        text = text[1:].replace("T", "")
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    return float(
        sum(n * float(part or 0) for n, part in zip(_SECONDS, match.groups(), strict=True))
    )


def _feet(text):
    """Inches."""
    match = _FEET.fullmatch(text)
    inches = float(match[2] or 0) if match else 12
    return 12.0 * int(match[1]) + inches if inches < 12 else None


# By name: what reads a cell, or returns None.
QUANTITIES = {"time": _clock, "duration": _duration, "feet": _feet}
