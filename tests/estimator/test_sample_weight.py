"""Sample weights."""

import numpy as np
import pytest


def test_rows_of_weight_zero_are_left_out(table, quick_fit):
    weight = np.where(np.arange(40) % 4, 1.5, 0.0)
    used = weight > 0
    y = table.y.where(used, 1e6)
    X = table.X.copy()
    X.loc[~used, "words"] = "words that nobody else uses"
    found = quick_fit(X, y, weight).predict(table.X)
    expected = quick_fit(X[used], y[used], weight[used]).predict(table.X)
    np.testing.assert_array_equal(found, expected)


def test_weights_change_the_fit(table, predictions, quick_fit):
    weight = np.where(table.y > table.y.median(), 10.0, 0.1)
    params = dict(sft_epochs=6, fit_method="raft", align_epochs=6, estimate_weight=0.0)
    even = quick_fit(table.X, table.y, **params).predict(table.X)
    high = quick_fit(table.X, table.y, weight, **params).predict(table.X)
    low = quick_fit(table.X, table.y, 1 / weight, **params).predict(table.X)
    assert low.mean() < even.mean() < high.mean()


def test_only_ratios_of_weights_matter(table, predictions, quick_fit):
    np.testing.assert_array_equal(
        quick_fit(table.X, table.y, np.full(40, 2.0)).predict(table.X), predictions
    )
    weight = np.random.RandomState(0).rand(40)
    found = [quick_fit(table.X, table.y, factor * weight).predict(table.X) for factor in (1, 2)]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.r_[-2.0, np.ones(39)], "goes from -2 to 1; weights must be non-negative"),
        (np.zeros(40), "at least one (positive|non-zero)"),
        (np.ones(39), r"sample_weight.shape == \(39,\), expected \(40,\)"),
        (np.r_[np.nan, np.ones(39)], "Input sample_weight contains NaN"),
    ],
)
def test_weights_that_make_no_sense_raise(weight, message, table, quick_fit):
    with pytest.raises(ValueError, match=message):
        quick_fit(table.X, table.y, weight)
