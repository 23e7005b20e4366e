"""Numbers of several parts."""

import datetime
import time

import numpy as np
import pandas as pd
import pytest

from llmreg import RowSerializer
from llmreg.tables.quantities import MEASURES, QUANTITIES, example_of, quantity_of

READ = {
    "clocks": ("time", ["14:30", "07:15:36", "2:30 PM", "12:00 am"], [14.5, 7.26, 14.5, 0]),
    "as pandas writes": ("duration", ["0 days 00:01:00", "-1 days +23:59:59"], [60, -1]),
    "units that differ": ("duration", ["90 min", "2h", "1 day"], [5400, 7200, 86400]),
    "seconds and minutes": ("duration", ["30s", "5m", "2.5s"], [30, 300, 2.5]),
    "minutes of ISO 8601": ("duration", ["PT4M", "PT90M"], [240, 5400]),
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
    "clocks, some with seconds": ("time", ["12:30", "14:15", "16:45:30"], [12.5, 14.25, 16.7583]),
    "mornings": ("time", ["07:45:36", "08:15", "09:30"], [7.76, 8.25, 9.5]),
    "American clocks": ("time", ["1:00:36 PM", "8:15 AM"], [13.01, 8.25]),
    "long runs and longer ones": ("duration", ["75:30", "16:45:30", "4:13"], [4530, 60330, 253]),
    "splits, some with few seconds": ("duration", ["45:30", "52:10", "48:05"], [2730, 3130, 2885]),
    "splits with fractions": ("duration", ["45:30.5", "52:10.2"], [2730.5, 3130.2]),
    "feet": ("feet", ["5'11", "6'", "6' 2\"", "5 ft 7 in", "5’7.5”"], [71, 72, 74, 67, 67.5]),
}  # fmt: skip


@pytest.mark.parametrize(("name", "cells", "values"), READ.values(), ids=READ)
def test_what_is_read(name, cells, values):
    assert quantity_of(cells) == name and name in MEASURES
    assert [QUANTITIES[name](cell) for cell in cells] == pytest.approx(values, abs=1e-4)


@pytest.mark.parametrize(
    "cells",
    [
        ["03:45", "12:10", "01:02:03"], ["8:15", "9:30", "7:45:30"], ["0:45", "4:13", "10:02:03"],
        ["12:30", "14:15", "0:45:10"], ["4:13", "30:02:03"], ["23:10", "24:30:00"],
        ["2h 50m", "4:13"], ["0 days 00:04:00", "4:13"],
    ],
)  # fmt: skip
def test_hours_and_minutes_may_be_minutes_and_seconds(cells):
    assert quantity_of(cells) is None


@pytest.mark.parametrize("cells", [["28:31", "25:30", "22:27"], ["45:30", "52:10"], ["25:25"]])
def test_two_numbers_below_sixty_may_be_a_score(cells):
    assert quantity_of(cells) is None
    assert quantity_of([f"0:{cell}" for cell in cells]) == "time"


def test_times_of_day_are_no_durations():
    assert quantity_of(["4:13", "1:02:03"], clock=True) == "time"
    assert quantity_of(["75:30", "1:02:03"], clock=True) == ""


def test_examples_are_of_one_length():
    assert example_of("time", ["9:30", "14:15"]) == "14:15"
    assert example_of("time", ["9:30", "14:15 "]) == "14:15 "
    assert example_of("time", ["9:30", "14:15:00"]) == example_of("time", ["9:30 am"]) == ""
    assert example_of("duration", ["2h 50m"]) == example_of("duration", []) != ""
    assert example_of("duration", ["75:30"]) == example_of("feet", ["6'1"]) == ""
    assert example_of("time", []) == ""


@pytest.mark.parametrize(
    "cells",
    [
        [], ["5 m", "10 m"], ["3h", "5h"], ["6'", "5'"], ["6 ft", "5 ft"], ["25:70"], ["13:00 pm"],
        ["5'13", "5'2"], ["2h 50m", "soon"], ["1'299", "1'350"], ["10-20"], ["P", "PT"],
        ["5 m", "7 m"], ["3m", "2d"], ["3D", "2S"], ["P1D", "P2D"], ["12", "7"], ["2h 50m", "12"],
    ],
)  # fmt: skip
def test_what_is_left(cells):
    assert quantity_of(cells) == ""


@pytest.mark.parametrize("cell", ["1" * 10**5, "1h" + " " * 10**5, "1 " * 10**5, "P" + "1" * 10**5])
def test_a_long_cell_takes_no_longer_than_it_is(cell):
    started = time.process_time()
    assert quantity_of([cell]) == ""
    assert time.process_time() - started < 1


@pytest.mark.parametrize("dtype", ["Int64", float, object])
def test_bare_numbers_in_columns_of_durations_are_missing_with_a_warning(dtype):
    for cells in (["2h 50m", "19h"], pd.to_timedelta(["2h", "19h"])):
        serializer = RowSerializer().fit(pd.DataFrame({"c": cells, "a": [1, 2]}))
        new = pd.DataFrame({"c": pd.Series([75, None], dtype=dtype), "a": [1, 2]})
        with pytest.warns(UserWarning, match="1 of the 2 values here cannot be read as one.*75"):
            field = serializer.serialize(new).fields[0]
        assert np.isnan(field.numbers).all()


def test_strings_beside_times_are_times_of_day():
    cells = [datetime.time(1, 2, 3), "15:30", "4:13"]
    serializer = RowSerializer().fit(pd.DataFrame({"c": cells, "a": [1, 2, 3]}))
    new = pd.DataFrame({"c": ["1:30:00", "1:30"], "a": [1, 2]})
    assert serializer.serialize(new).fields[0].numbers[:, 0].tolist() == [1.5, 1.5]


def test_a_column_of_durations_is_told_and_new_ones_are_read():
    X = pd.DataFrame({"duration": ["2h 50m", "19h", None, "45m"] * 5, "a": range(20)})
    serializer = RowSerializer().fit(X)
    read_as = serializer.report_.loc["duration", "read_as"]
    assert read_as == "duration, in seconds, written as '2h 50m'"
    new = pd.DataFrame({"duration": ["1h 1m", None], "a": [1, 2]})
    assert serializer.serialize(new).fields[0].numbers[0, 0] == 3660
