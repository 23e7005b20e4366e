"""How the dates of a column are written: what comes first, and in which hundred years."""

import math
import re
from collections import Counter

import numpy as np

from llmreg.tables.agreement import NEARLY_ALL, may_reach
from llmreg.tables.cell_values import distinct_texts
from llmreg.tables.date_cells import (
    FIRST_YEAR,
    LONGEST,
    MONTH_NAMES,
    bare_date,
    is_nothing,
    looks_like_date,
    read_moment,
)
from llmreg.tables.dates import read_cells
from llmreg.tables.number_texts import Doubt

__all__ = ["find_first_year", "find_order", "hundred_years_about", "resemble_dates"]

MIN_COMPACT = 3  # distinct cells like "20210305" that are hardly all dates by chance
MIN_DAYS = 10  # of the month, that versions hardly have
HALF_A_YEAR, FEWEST_YEARS = 6, 3
TO_COME = 28  # two digits from here on are days, or years that are to come or long gone
# Constants, so that a fit is the same in any year: from ALIEN on, dates are to come.
PRESENT, ALIEN = 2000, 2030
FAR, NEAR = 20, 5  # years between dates that do not belong together, and that may not
CERTAIN = 4  # log odds
LIKELY = 1  # the same, for what most people write

_COMPACT = re.compile(r"\s*(?:19|20)\d{6}(?:\d{4}(?:\d\d)?)?\s*", re.ASCII)
_VERSION = re.compile(r"\s*[1-9]\d\.[1-9]\d\.[1-9]\d\s*")  # no day or month below ten: no date
_SHORT = re.compile(r"\s*\d{1,2}([-/.])\d{1,2}\1\d{2}(?!\d)", re.ASCII)
# What versions, codes and seasons look like, too.
_SHARED = re.compile(
    r"\d{1,2}-\d{1,2}-\d{2}|(?!\d{2}\.\d{2}\.)\d{1,2}\.\d{1,2}\.\d{2}"
    r"|\d{1,2}[-/.]\d{4}|\d{4}/\d{2}|\d{1,2}[a-z]{3}\d{2}",
    re.ASCII | re.IGNORECASE,
)
_SEASON = re.compile(r"(?:19|20)(\d{2})[-/](\d{2})", re.ASCII)
FEW_YEARS = 9  # that a span such as "2004-08" may last
_POINTS = re.compile(r"\d+\.\d+\.\d\d?(?!\d)", re.ASCII)
_LONG_YEAR = re.compile(r"\d{4}", re.ASCII)
_TIME_OF_DAY = re.compile(r"(?<=\d)(?:,? |T|:)\d{1,2}[:.]\d\d.*", re.ASCII | re.DOTALL)
_RESEMBLING = re.compile(
    rf"(?:{MONTH_NAMES})\.?[- ]?'?\d\d|\d{{1,2}}[- ](?:{MONTH_NAMES})\.?", re.IGNORECASE
)
_WORD_BETWEEN = r"[\W_]*[^\W\d_]*[\W_]*"
_THREE_NUMBERS = re.compile(rf"(?<!\d)(?=(\d+){_WORD_BETWEEN}(\d+){_WORD_BETWEEN}(\d+))")


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
    order : {"", "dmy", "mdy", "mdy.", "ymd", "compact"} or None
        What comes first where it is a matter of choice, "": nowhere; None if they are no dates,
        or if it can't be told which.
    doubt : Doubt or None
        Why not, where they look like dates.
    """
    if not may_reach(NEARLY_ALL, looks_like_date, cells, counts):
        return None, None
    cells = list(map(bare_date, cells))
    compact = np.array([_COMPACT.fullmatch(cell) is not None for cell in cells])
    enough = counts[compact].sum() >= NEARLY_ALL * counts.sum()
    if enough and compact.sum() >= (1 if asked else MIN_COMPACT):
        return ("compact" if _share(cells, counts, "compact")[0] >= NEARLY_ALL else None), None
    order, doubt = _order_of(cells, counts)
    if (order is None and doubt is None) or asked:
        return order, doubt
    if not _are_surely_dates(cells, counts, order):
        return None, None
    return (None, _doubt_of_seasons(cells)) if _are_seasons(cells, counts) else (order, doubt)


def _order_of(cells, counts):
    share, _ = _share(cells, counts, "")
    versions = (_VERSION.fullmatch(cell) or not looks_like_date(cell) for cell in cells)
    if share >= NEARLY_ALL and all(versions):
        return None, None
    short = _short_days(cells, counts)
    order, doubt = _order_of_short([*short], [*short.values()]) if short else (None, None)
    if order is not None or doubt is not None:
        return order, doubt
    if share >= NEARLY_ALL:
        return "", None
    (days, by_day), (months, by_month) = (_share(cells, counts, way) for way in ("dmy", "mdy"))
    if max(days, months) < NEARLY_ALL:
        return ("mdy." if _share(cells, counts, "mdy.")[0] >= NEARLY_ALL else None), None
    if days != months:
        return ("dmy" if days > months else "mdy"), None
    year = "y" if short else "Y"
    return None, _doubt(cells, by_day, by_month, "day or month", "dm" + year, "md" + year)


def _short_days(cells, counts):
    """Days of a column of dates with years of two digits, without times: how often each occurs."""
    matches = [_SHORT.match(cell) for cell in cells]
    others = [i for i, match in enumerate(matches) if match is None]
    strange = sum(counts[i] for i in others if not is_nothing(cells[i]))
    if strange > (1 - NEARLY_ALL) * counts.sum():
        return Counter()
    days = Counter()
    for match, count in zip(matches, counts, strict=True):
        if match:
            days[match[0].strip()] += count
    return days


def _order_of_short(days, counts):
    """ "ymd" where the year is first, a doubt where it can't be told."""
    counts = np.array(counts)
    share, by_year = _share(days, counts, "ymd")
    if share < NEARLY_ALL:
        return None, None
    by_day, by_month = (_share(days, counts, way)[1] for way in ("dmy", "mdy"))
    # With dots the month is first only if no cell makes sense otherwise.
    dots = all("." in day for day in days)
    year_first = _year_first(by_day, None if dots else by_month, by_year, counts)
    if year_first is None:
        return None, _doubt(days, by_day, by_year, "day or year", "dmy", "ymd")
    return ("ymd" if year_first else None), None


def _doubt(cells, one, other, parts, order, other_order):
    differ = (one != other) & ~(np.isnat(one) & np.isnat(other))
    return Doubt(
        f"holds dates such as {cells[differ.argmax()]!r}, of which nothing says whether {parts} "
        "comes first",
        "Convert them with pandas.to_datetime(..., "
        f"format='%{'/%'.join(order)}') (or '%{'/%'.join(other_order)}')",
    )


def _share(cells, counts, order):
    """The share of cells that are dates in some order, and these dates."""
    there = np.array([not is_nothing(cell) for cell in cells])
    moments, unread = read_cells(cells, order)
    return counts[there & ~unread].sum() / max(counts[there].sum(), 1), moments.wall


def _year_first(by_day, by_month, by_year, counts):
    """Whether "19/04/05" has the year in front; None if it can't be told.

    Days fill the month, while years keep together: where both make sense of a cell, the odds are
    those of the spans of the first and the last number, once for every cell.
    """
    walls = (by_day, by_month, by_year)
    n_day, n_month, n_year = (0 if w is None else counts[~np.isnat(w)].sum() for w in walls)
    excess = n_year - max(n_day, n_month)
    if excess < 0 or excess > (1 - NEARLY_ALL) * n_year:  # fewer are slips, as is 30 February
        return bool(excess > 0)
    both = ~np.isnat(by_day) & ~np.isnat(by_year) & (by_day != by_year)
    if not both.any():
        return False
    first, last, months = _days(by_day[both]), _days(by_year[both]), _months(by_year[both])
    if first.max() >= TO_COME > last.max():
        return False
    if last.min() >= TO_COME > first.max() and len(last) >= MIN_COMPACT:
        return True
    odds = len(first) * math.log(_span(last) / _span(first))
    sure = bool(odds >= CERTAIN and last.max() >= TO_COME)
    if n_month == n_year:  # the first number may be the month, too
        return sure and _span(first) <= HALF_A_YEAR and _span(months) > 1
    if odds > -LIKELY:
        regular = odds >= CERTAIN and _span(first) * _span(months) > 1 and not _may_be_days(last)
        return sure or (False if regular else None)  # such as the 15th of every month
    if _span(last) > 1 or _may_be_days(first):
        return False
    return None if last.max() == 1 or _may_be_reports(first, months) else False


def _may_be_reports(years, months):
    """Whether one day may go through the same months of several years, as in quarterly reports."""
    years, in_year = np.unique(years), np.unique(months)
    # But for the one that is the day's number, too, which says nothing.
    in_a_row = len(years) >= FEWEST_YEARS and _span(years) <= len(years) + 1
    if not in_a_row or _span(in_year) < HALF_A_YEAR:
        return False
    return 2 * len(months) >= len(years) * len(in_year)


def _days(wall):
    return (wall.astype("datetime64[D]") - wall.astype("datetime64[M]")).astype(int) + 1


def _months(wall):
    return wall.astype("datetime64[M]").astype(int) % 12


def _span(numbers):
    return np.ptp(numbers) + 1


def _may_be_days(numbers):
    """Whether days drawn by chance might span no more of a month."""
    return len(numbers) * math.log(31 / _span(numbers)) < CERTAIN


def _are_surely_dates(cells, counts, order):
    """Whether there is more to be seen than a spelling that versions and codes share."""
    shared = np.array([_SHARED.fullmatch(cell.strip()) is not None for cell in cells])
    if counts[shared].sum() <= (1 - NEARLY_ALL) * counts.sum():
        return True
    cells = [cell.strip() for cell, one in zip(cells, shared, strict=True) if one]
    if len(cells) < MIN_COMPACT or _are_seasons(cells, counts[shared]):
        return False
    short = [cell for cell in cells if _SHORT.match(cell)]
    wall = read_cells(short, "dmy" if order in (None, "") else order)[0].wall
    days = np.unique(_days(wall[~np.isnat(wall)]))
    enough = max(MIN_COMPACT, min(len(short) / 2, MIN_DAYS))
    return not short or (len(days) >= enough and days.max() > 12)


def _are_seasons(cells, counts):
    """Whether cells are such as "2010/11", or other spans of so many years: months run through
    the year, and years through all months."""
    rows, distinct = Counter(), Counter()
    for match, count in zip(map(_SEASON.fullmatch, cells), counts.tolist(), strict=True):
        if match:
            years = (int(match[2]) - int(match[1])) % 100
            rows[years] += count
            distinct[years] += 1
    return any(
        distinct[years] >= MIN_COMPACT and rows[years] >= NEARLY_ALL * counts.sum()
        for years in range(1, FEW_YEARS + 1)
    )


def _doubt_of_seasons(cells):
    example = next(filter(_SEASON.fullmatch, cells))
    return Doubt(
        f"holds {example!r} and its like, of which nothing says whether they are months or run "
        "from year to year",
        "Convert months with pandas.to_datetime(..., format='%Y-%m')",
    )


def find_first_year(column, order):
    """Find out which hundred years a column's years of two digits are in.

    "69" to "99" are 1969 to 1999, and "00" to "68" are 2000 to 2068, unless this leaves a gap
    before dates that are to come, which the hundred years before do not: dates of birth.

    Parameters
    ----------
    column : pandas.Series of shape (n_rows,)
        The training rows.
    order : {"", "dmy", "mdy", "mdy.", "ymd", "compact"}
        See :func:`find_order`.

    Returns
    -------
    int or None
        The first of the hundred years; None if all years have four digits
        (:func:`hundred_years_about`).

    Examples
    --------
    >>> import pandas as pd
    >>> from llmreg.tables.date_orders import find_first_year
    >>> find_first_year(pd.Series(["28/03/45", "13/01/87"]), "dmy")
    1917
    >>> find_first_year(pd.Series(["28/03/24", "13/01/99"]), "dmy")
    1969
    """
    days = {_TIME_OF_DAY.sub("", bare_date(cell)) for cell in distinct_texts(column)[0]}
    cells = [day for day in days if not _LONG_YEAR.search(day)]
    if not cells:
        return None
    walls = [read_cells(cells, order, year)[0].wall for year in (FIRST_YEAR, FIRST_YEAR - 100)]
    short = ~np.isnat(walls[0]) & (walls[0] != walls[1])
    years = np.unique(walls[0][short].astype("datetime64[Y]").astype(int) + 1970)
    return _first_year(years) if len(years) else None


def hundred_years_about(wall):
    """The first of the hundred years in which dates with two digits belong beside others.

    Parameters
    ----------
    wall : ndarray of shape (n,), dtype datetime64
        The others, without NaT.

    Returns
    -------
    int
        1969, unless the others are not in its hundred years, but in those about their middle.

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg.tables.date_orders import hundred_years_about
    >>> hundred_years_about(np.array(["1940-01-01", "1982-05-04"], "datetime64[us]"))
    1912
    """
    if not len(wall):
        return FIRST_YEAR
    first, last = np.sort(wall)[[0, -1]].astype("datetime64[Y]").astype(int) + 1970
    if (first >= FIRST_YEAR and last < FIRST_YEAR + 100) or last - first >= 100:
        return FIRST_YEAR
    return int(first + last) // 2 - 49


def _first_year(years):
    if years[-1] < ALIEN:
        return FIRST_YEAR
    around = years[0] + 100 - years[-1]
    years = years if years[0] < ALIEN else np.array([PRESENT, *years])
    gaps = np.where(years[1:] >= ALIEN, np.diff(years), 0)
    at = gaps.argmax()
    if gaps[at] > FAR or gaps[at] > max(NEAR, 2 * around):
        return int((years[at] + years[at + 1]) // 2 - 99)
    return FIRST_YEAR


def resemble_dates(cells, counts):
    """Whether nearly all words of a column look like dates that are not read as such.

    Parameters
    ----------
    cells : list of str
        The distinct words.
    counts : ndarray of shape (len(cells),)
        How often each occurs.

    Returns
    -------
    bool
    """
    there = [i for i, cell in enumerate(cells) if not is_nothing(cell)]
    cells, counts = [cells[i] for i in there], counts[there]
    if not may_reach(NEARLY_ALL, _resembles_date, cells, counts):
        return False
    alike = np.array(list(map(_resembles_date, cells)))
    nearly_all = counts[alike].sum() / counts.sum() >= NEARLY_ALL
    return bool(nearly_all) and find_order(cells, counts) == (None, None)


def _resembles_date(cell):
    cell = bare_date(cell)
    if _RESEMBLING.fullmatch(cell):
        return True
    if _POINTS.match(cell) or _SHARED.fullmatch(cell) or len(cell) > LONGEST:
        return False
    if any(read_moment(cell, order) is not None for order in ("dmy", "mdy", "ymd")):
        return True
    return any(map(_are_day_month_year, _THREE_NUMBERS.findall(cell)))


def _are_day_month_year(numbers):
    """Whether three numbers are a year of four digits, a month and a day, in whatever order."""
    small = sorted(int(number) for number in numbers if len(number) <= 2)
    years = [number for number in numbers if len(number) == 4 and number[:2] in ("19", "20")]
    return len(years) == 1 and len(small) == 2 and 0 < small[0] <= 12 and small[1] <= 31
