"""Numbers of several parts."""

import time

import pandas as pd
import pytest

from llmreg import RowSerializer
from llmreg.tables.quantities import MEASURES, QUANTITIES, quantity_of

READ = {
    "clocks": ("time", ["14:30", "07:15:36", "2:30 PM", "12:00 am"], [14.5, 7.26, 14.5, 0]),
    "as pandas writes": ("duration", ["0 days 00:01:00", "-1 days +23:59:59"], [60, -1]),
    "flights": ("duration", ["2h 50m", "19h", "45m"], [10200, 68400, 2700]),
    "spelt out": (
        "duration", ["1 hour 5 minutes", "2 hours", "1 day, 3 hrs", "1 hr 1 min 1 sec"],
        [3900, 7200, 97200, 3661],
    ),
    "together": ("duration", ["1h30min", "2H5M", "1m2.5s"], [5400, 7500, 62.5]),
    "ISO 8601": ("duration", ["PT4M13S", "PT1H", "P1DT2H", "PT0S"], [253, 3600, 93600, 0]),
    "songs": ("duration", ["1:02:03", "4:13", "0:45"], [3723, 253, 45]),
    "laps": ("duration", ["3:05.5", "2:59.25"], [185.5, 179.25]),
    "long runs": ("duration", ["75:30", "4:13"], [4530, 253]),
    "clocks alone": ("time", ["4:13", "3:05"], [4 + 13 / 60, 3 + 5 / 60]),
    "clocks with seconds": ("time", ["04:30", "14:15:36"], [4.5, 14.26]),
    "feet": ("feet", ["5'11", "6'", "6' 2\"", "5 ft 7 in", "5’7.5”"], [71, 72, 74, 67, 67.5]),
}  # fmt: skip


@pytest.mark.parametrize(("name", "cells", "values"), READ.values(), ids=READ)
def test_what_is_read(name, cells, values):
    assert quantity_of(cells) == name and name in MEASURES
    assert [QUANTITIES[name](cell) for cell in cells] == values


@pytest.mark.parametrize(
    "cells",
    [
        [], ["5 m", "10 m"], ["3h", "5h"], ["6'", "5'"], ["6 ft", "5 ft"], ["25:70"], ["13:00 pm"],
        ["5'13", "5'2"], ["2h 50m", "soon"], ["1'299", "1'350"], ["10-20"], ["P", "PT"],
        ["12", "7"], ["2h 50m", "12"],
    ],
)  # fmt: skip
def test_what_is_left(cells):
    assert quantity_of(cells) == ""


@pytest.mark.parametrize("cell", ["1" * 10**5, "1h" + " " * 10**5, "1 " * 10**5, "P" + "1" * 10**5])
def test_a_long_cell_takes_no_longer_than_it_is(cell):
    started = time.process_time()
    assert quantity_of([cell]) == ""
    assert time.process_time() - started < 1


def test_a_column_of_durations_is_told_and_new_ones_are_read():
    X = pd.DataFrame({"duration": ["2h 50m", "19h", None, "45m"] * 5, "a": range(20)})
    serializer = RowSerializer().fit(X)
    read_as = serializer.report_.loc["duration", "read_as"]
    assert read_as == "duration, in seconds, written as '2h 50m'"
    new = pd.DataFrame({"duration": ["1h 1m", None], "a": [1, 2]})
    assert serializer.serialize(new).fields[0].numbers[0, 0] == 3660
