"""Labels of rows: nothing is paired by them, which is said where it may matter."""

import warnings

import numpy as np
import pandas as pd
import pytest

from llmreg.tables.row_labels import warn_other_order

X = pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=[7, 5, 6])
PAIRS = pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)])


@pytest.mark.parametrize(
    "index", [[7, 5, 6], list("pqr"), PAIRS, pd.date_range("2020-01-01", periods=3), [2, 0, 1],
              pd.interval_range(0, 3), pd.IntervalIndex.from_arrays([0, 1, 2], [3, 4, 5]),
              [1.5, "x", None], range(3)]
)  # fmt: skip
def test_the_same_labels_in_another_order_are_told(index):
    table, y = X.set_axis(index), pd.Series([1, 2, 3], index=index)
    for one in (y[::-1], y[::-1].to_frame()):
        with pytest.warns(UserWarning, match=r"^The index of y has .*y.loc\[X.index\] to pair"):
            warn_other_order(table, y=one, sample_weight=None)
        with pytest.warns(UserWarning, match="of y_val and sample_weight_val has .* X_val in anot"):
            warn_other_order(table["a"], "_val", y=one, sample_weight=one)


@pytest.mark.parametrize(
    ("table", "y"),
    [
        (X, pd.Series([1, 2, 3], index=X.index)), (X, pd.Series([1, 2, 3])),
        (X, pd.Series([1, 2], index=[5, 6])), (X[:0], pd.Series([], index=[])),
        (X, pd.Series([1, 2, 3], index=PAIRS)),
        (X, pd.Series([1, 2, 3], index=[5, 5, 7])), (X, np.arange(3)), (X, None),
        (X.set_axis([5, 5, 7]), pd.Series([1, 2, 3], index=[5, 7, 5])),
        (X.to_numpy(), pd.Series([1, 2, 3], index=[5, 6, 7])),
        (X.set_axis(pd.interval_range(0, 3)), pd.Series([1, 2, 3])),
    ],
)  # fmt: skip
def test_nothing_is_said_where_labels_are_others_or_say_nothing(table, y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_other_order(table, y=y)
        warn_other_order(table, y=y, sample_weight=y)
