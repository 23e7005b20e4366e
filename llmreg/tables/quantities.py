"""Numbers of several parts: times of day, durations, feet and inches."""

import re

import pandas as pd

__all__ = ["MEASURES", "QUANTITIES", "example_of", "is_short", "quantity_of"]

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
_LETTERS_OF = re.compile("[a-z]+", re.ASCII | re.IGNORECASE)
_ISO = re.compile(r"P(?:\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?", re.ASCII)
_STOPWATCH = re.compile(r"(?:(\d{1,4}):(?=[0-5]\d:))?(\d{1,4}):([0-5]\d(?:\.\d+)?)", re.ASCII)
_HALF = re.compile("[AaPp]")  # of the day
_SECONDS = (86400, 3600, 60, 1)
NO_TIME = "0 days 00:00:00"
A_FEW_HOURS = 3  # that films and races take, which are also told in minutes and seconds
LONGEST_SCORE = 59  # beyond, "75:30" has minutes in front
_FEET = re.compile(
    r"(\d{1,2}) ?(?:['’′]|ft\.?|feet)(?: ?(\d{1,2}(?:\.\d+)?) ?(?:[\"”″]|''|in\.?|inches)?)?"
)


def quantity_of(cells, *, clock=False):
    """The name of what all cells are.

    Cells of a single part are numbers with a unit ("5 m", "3 h") unless one among them has several,
    or the unit differs from that of others: "1h" and "30m" are durations.
    "4:13" is a time of day, and a duration beside "75:30" or "1:02:03". "28:31" is one beside
    "28:05", as scores are not written.

    Parameters
    ----------
    cells : list of str
        Distinct, without blanks and words for missing.
    clock : bool, default=False
        Whether some are known to be times of day.

    Returns
    -------
    {"time", "duration", "feet", ""} or None
        "" for anything else, None where it can't be told what is in front of "04:13" beside
        "01:02:03" or "2h 50m", hours or minutes, and whether "28:31" is a score.

    Examples
    --------
    >>> from llmreg.tables.quantities import QUANTITIES, quantity_of
    >>> quantity_of(["2h 50m", "19h"]), quantity_of(["19h", "5h"]), quantity_of(["5'11", "6'"])
    ('duration', '', 'feet')
    >>> QUANTITIES["duration"]("2h 50m"), QUANTITIES["feet"]("5'11"), QUANTITIES["time"]("2:30 PM")
    (10200.0, 71.0, 14.5)
    """
    for name, read in QUANTITIES.items():
        if all(read(cell.strip()) is not None for cell in cells) and _vary(name, cells):
            if clock:
                return name if name == "time" else ""
            if name == "time":
                return _clock_or_stopwatch(cells)
            doubt = name == "duration" and (_in_doubt(cells) or _may_be_scores(cells))
            return None if doubt else name
    return ""


def _vary(name, cells):
    """Whether some cell has several parts, or durations have parts that differ."""
    if any(len(re.findall(r"\d+", cell)) > 1 for cell in cells):
        return True
    units = {_LETTERS_OF.search(cell)[0] for cell in cells} if name == "duration" else set()
    if "PT" in units:  # of ISO 8601
        return True
    if units & {"D", "H", "M", "S"}:  # sizes, seats
        return False
    firsts = {unit[0].lower() for unit in units}
    # Beside days alone "3m" may be months.
    return len(firsts) > 1 and ("m" not in units or not firsts.isdisjoint("hs"))


def _clock_or_stopwatch(cells):
    """Whether "4:13" beside "1:02:03" has hours in front, or minutes; None if it can't be told.

    What is timed in minutes lasts a few hours at most: "16:45:30" is a time of day. Clocks rarely
    show "0:45", and stopwatches "04:13".
    """
    if len({*map(is_short, cells)}) == 1 or any(map(_HALF.search, cells)):
        return "time"
    matches = [_CLOCK.fullmatch(cell.strip()) for cell in cells]
    longest = max(int(match[1]) for match in matches if match[3])
    padded = any(match[1][0] == "0" and len(match[1]) == 2 for match in matches)
    if longest <= A_FEW_HOURS:
        unlike = padded or any(match[3] and match[1] == "0" for match in matches)
        return None if unlike else "duration"
    noughts = any(match[1] == "0" for match in matches)
    return "time" if padded or (longest >= 10 and not noughts) else None


def _in_doubt(cells):
    """Whether "4:13" stands beside "2h 50m" or "30:02:03", and no "75:30" says that it's short."""
    short = [cell for cell in cells if is_short(cell)]
    others = [cell for cell in cells if not is_short(cell)]
    if not short or not others:
        return False
    return not all(map(_STOPWATCH.fullmatch, others)) or None not in map(_clock, short)


def _may_be_scores(cells):
    """Whether all are like "28:31" and none is beyond an hour, nor has "05" or "5.5" seconds."""
    parts = [cell.strip().split(":") for cell in cells]
    return not any(
        len(part) != 2 or int(part[0]) > LONGEST_SCORE or part[1][0] == "0" or "." in part[1]
        for part in parts
    )


def example_of(quantity, cells):
    """One cell beside which :func:`quantity_of` says whether others are the same quantity.

    Parameters
    ----------
    quantity : {"time", "duration", "feet"}
    cells : list of str
        Cells of that quantity. None, if they came as other objects than strings.

    Returns
    -------
    str
        "" where no other cell is in doubt: some "4:13" are there that others have explained.

    Examples
    --------
    >>> from llmreg.tables.quantities import example_of
    >>> example_of("time", ["4:13", "12:05"]), example_of("time", ["4:13", "12:05:30"])
    ('12:05', '')
    """
    short = sum(map(is_short, cells))
    if quantity == "duration":
        return "" if short else NO_TIME
    sure = quantity == "feet" or 0 < short < len(cells) or any(map(_HALF.search, cells))
    return "" if sure else max(cells, key=lambda cell: int(cell.split(":")[0]), default="")


def is_short(cell):
    """Whether it is like "4:13": hours and minutes, or minutes and seconds.

    Examples
    --------
    >>> from llmreg.tables.quantities import is_short
    >>> is_short("4:13"), is_short("1:02:03"), is_short("4 min 13 s")
    (True, False, False)
    """
    return cell.count(":") == 1


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
    hours = hour + int(minute) / 60 + float(second or 0) / 3600
    return hours if hours <= 24 else None


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
