"""The target's numbers are read as those of other columns, and are all there."""

import numpy as np
import pandas as pd
import pytest

from llmreg.cli.targets import split_target

TABLE = pd.DataFrame({
    "size": [1.5, None, 1e-9], "date": ["2024-05-17", "2024-05-18", None], "count": [1, 2, 3],
})  # fmt: skip


def test_rows_without_a_target_are_left_out():
    X, y, n_left_out = split_target(TABLE, "size", ["date"])
    assert list(X) == ["count"] and list(X["count"]) == [1, 3]
    assert list(y) == [1.5, 1e-9] and n_left_out == 1 and y.name == "size"
    for wrong in (("price", []), ("size", ["price"])):
        with pytest.raises(ValueError, match=r"no column 'price'. Columns: size, date"):
            split_target(TABLE, *wrong)
    found = split_target(TABLE.set_axis([" size", "date\u00a0", "count"], axis=1), "size", ["date"])
    pd.testing.assert_frame_equal(found[0], X)


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1.5", "", None, "NA", " ", "#N/A", "-", "2"], [1.5, 2]),
        (["0.1", "1e-3", "-.5", "+7", " 3 "], [0.1, 1e-3, -0.5, 7, 3]),
        (["007", "2", "849446064442"], [7, 2, 849446064442]),
        (["2.1", "1.4"], [2.1, 1.4]),
        (["12,5", "0,75", "1.234,5"], [12.5, 0.75, 1234.5]),
        (["$1,234.50", "$2", "n/a"], [1234.5, 2]),
        (["$1,234 million", "$456 million"], [1.234e9, 4.56e8]),
        (["True", "False", ""], [1, 0]),
        (["1 days 00:00:01", "0 days 00:01:00"], [86401, 60]),
    ],
)
@pytest.mark.parametrize("dtype", [object, "category", "string"])
def test_texts_are_read_as_numbers(cells, numbers, dtype):
    frame = pd.DataFrame({"y": pd.Series(cells, dtype=dtype), "x": np.arange(len(cells))})
    before = frame.copy()
    X, y, n_left_out = split_target(frame, "y")
    assert y.astype(float).tolist() == numbers and n_left_out == len(cells) - len(numbers)
    assert len(X) == len(y) and list(X.index) == list(y.index) == [*range(len(y))]
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("cells", "numbers"), [([1, 2.5, "3", None, "n/a"], [1, 2.5, 3]), ([True, None], [True])]
)
def test_cells_that_are_no_texts_stay(cells, numbers):
    _, y, n_left_out = split_target(pd.DataFrame({"y": pd.Series(cells, dtype=object)}), "y")
    assert y.tolist() == numbers and n_left_out == len(cells) - len(numbers)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["ford", "opel"], r"The target 'y' holds 'ford', and LLMRegressor needs finite numbers"),
        (["1.5"] * 99 + ["abc"], "The target 'y' holds 'abc', and .*leave them blank"),
        (["1.5"] * 99 + ["inf"], "The target 'y' holds 'inf'"),
        (["1.5", "2.5", "1e400"], "The target 'y' holds '1e400'"),
        (["2024-05-17", "2024-05-18"], "The target 'y' holds '2024-05-17'"),
        (["12 km", "7 mi"], "The target 'y' has mixed units, such as .*of one unit"),
        (["1,234", "2,345", "12,000"], "The target 'y' holds numbers such as .* to floats"),
        (["14:30", "9:15"], "The target 'y' holds times of day, such as '14:30'. Convert"),
    ],
)
def test_a_target_of_other_texts_is_refused(cells, message):
    with pytest.raises(ValueError, match=message):
        split_target(pd.DataFrame({"y": cells, "x": 1}), "y")
