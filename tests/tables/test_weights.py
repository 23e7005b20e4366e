"""Sample weights: ratios alone matter, and much weight is many entries."""

import numpy as np
import pytest

from llmreg.tables.weights import (
    checked_weights,
    entry_counts,
    relative_weights,
    row_counts,
    whole_counts,
)


@pytest.mark.parametrize("unit", [1e-300, 1.0, 7.3, 1e300])
def test_weights_have_no_unit(unit):
    weight = np.array([1.0, 2.0, 5.0])
    np.testing.assert_allclose(relative_weights(unit * weight), weight / weight.mean())


def test_vanishing_weights_stay_positive():
    found = relative_weights(np.array([1e300, 1e-300]))
    assert found.mean() == pytest.approx(1.0) and found.min() > 0


def test_a_row_of_three_times_the_mean_has_three_entries_and_none_has_less_than_one():
    assert entry_counts(np.array([6.0, 0.5, 0.5, 1.0])).tolist() == [3, 1, 1, 1]
    assert entry_counts(np.full(4, 0.1)).tolist() == [1, 1, 1, 1]


def test_weights_are_one_legal_number_per_row():
    assert checked_weights(None, [0, 0]).tolist() == [1, 1]
    assert checked_weights([0, 2], [0, 0]).tolist() == [0, 2]
    for wrong in ([1], [1, -1], [0, 0], [1, np.nan], np.ma.array([1, 1], mask=[0, 1]), iter("ab")):
        with pytest.raises(ValueError):
            checked_weights(wrong, [0, 0])


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        ("balanced", r"sample_weight is 'balanced' \(str\), and a fit needs an array or a list"),
        (["a", "b"], r"sample_weight holds 'a' \(str\)"),
        ({"a": 1}, r"sample_weight is {'a': 1} \(dict\)"),
        ([[1], [1, 2]], r"sample_weight is \[\[1\], \[1, 2\]\]"),
        (np.array(["2020-01-01"] * 2, "M8[D]"), "sample_weight holds datetime.date"),
        ([1.0, None], "Input sample_weight contains NaN"),
    ],
)
def test_what_is_no_weight_is_named(weight, said):
    with pytest.raises(ValueError, match=said):
        checked_weights(weight, [0, 0])


@pytest.mark.parametrize(
    ("weight", "counts"),
    [
        ([1, 1, 1], [1, 1, 1]),
        ([0.5, 1, 2.5], [1, 2, 5]),
        ([1, 20, 20], [1, 20, 20]),
        ([1, 1.4, 1.4], [5, 7, 7]),
        ([2, 3], [2, 3]),
        ([0.1, 0.3, 0.7], [1, 3, 7]),
        ([*np.float32([0.1, 0.3, 0.4])], [1, 3, 4]),
        ([1, np.sqrt(2)], [17, 23]),  # 40 in all
        ([1e300, 1.5e300], [2, 3]),
        ([1e-30, 1, 1], [1, 30, 30]),  # no more than 20 each in the mean
        ([1e-30, 2, 1], [1, 40, 20]),
    ],
)
def test_weights_are_numbers_of_rows(weight, counts):
    assert whole_counts(np.array(weight, float)).tolist() == counts


@pytest.mark.parametrize("low", [0.1, 0.5, 1.0])
def test_ratios_of_weights_are_kept_whatever_they_are(low):
    weight = np.random.default_rng(0).uniform(low, 1.5, 400)
    counts = whole_counts(weight)
    assert counts.sum() <= 20.5 * len(weight)
    np.testing.assert_allclose(counts / counts.sum(), weight / weight.sum(), atol=0.03 / 400)
    np.testing.assert_allclose(row_counts(weight) / row_counts(weight).sum(), weight / weight.sum())


@pytest.mark.parametrize("repeats", [[1, 1, 1], [1, 2, 5], [3, 4, 7]])
@pytest.mark.parametrize("unit", [1.0, 0.1, 1 / 3])
def test_whole_ratios_stay_whole(repeats, unit):
    weight = unit * np.array(repeats, float)
    assert row_counts(weight).tolist() == whole_counts(weight).tolist() == repeats


def test_so_many_rows_stay_as_they_are_in_all(monkeypatch):
    monkeypatch.setattr("llmreg.tables.weights.MOST_IN_ALL", 6)
    assert whole_counts(np.array([1.0, 9, 9, 1])).tolist() == [1, 3, 3, 1]
    monkeypatch.setattr("llmreg.tables.weights.MOST_IN_ALL", 2)
    assert whole_counts(np.array([1.0, 9, 9, 1])).tolist() == [1, 2, 2, 1]
