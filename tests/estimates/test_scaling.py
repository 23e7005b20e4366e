"""Numbers in standard deviations; what a fitted table does with them is in test_cells.py."""

import numpy as np
import pytest
from scipy.stats import norm, rankdata

from llmreg.estimates.scaling import NormalScores, NumberScaler, soften, weighted_quantiles


def test_columns_are_standardised_and_gaps_stay():
    raw = np.array([[1.0, 7.0], [3.0, 7.0], [np.nan, 7.0]])
    scaler = NumberScaler().fit(raw)
    np.testing.assert_array_equal(scaler.transform(raw), [[-1, 0], [1, 0], [np.nan, 0]])
    np.testing.assert_array_equal(scaler.transform(np.array([[5.0, 9.0]])), [[3, 0]])


def test_what_is_beyond_all_floats_away_is_far_and_not_a_gap():
    scaler = NumberScaler().fit(np.array([[1e-3, 7.0], [3e-3, 7.0]]))
    with np.errstate(all="raise"):
        found = scaler.transform(np.array([[1.7e308, -1.7e308], [-1.7e308, 0.0]]))
    np.testing.assert_array_equal(found, [[np.inf, 0.0], [-np.inf, 0.0]])
    assert np.isfinite(soften(found)).all()


def test_soften_keeps_the_order_and_the_middle():
    z = np.array([-200.0, -100.0, -5.0, -4.0, 0.3, 4.0, 5.0, 50.0, 1e300, np.nan])
    found = soften(z)
    assert found[2:7].tolist() == pytest.approx([-4 - np.log(2), -4, 0.3, 4, 4 + np.log(2)])
    assert (np.diff(found[1:9]) > 0).all() and found[0] == found[1] == -found[8]
    assert np.isnan(found[9])


# -- weights -----------------------------------------------------------------------------------

WEIGHT = np.array([3, 1, 2, 1, 1, 4])
COLUMNS = np.array([[1.0, np.nan], [5, 2], [2, 7], [9, np.nan], [4, 1], [-3, 8]])


@pytest.mark.parametrize("unit", [1.0, 1e-6, 1 / 7])
def test_rows_of_weight_k_are_scaled_as_k_rows(unit):
    weighted = NumberScaler().fit(COLUMNS, sample_weight=unit * WEIGHT)
    repeated = NumberScaler().fit(COLUMNS.repeat(WEIGHT, axis=0))
    np.testing.assert_allclose(weighted.mean_, repeated.mean_, rtol=1e-12)
    np.testing.assert_allclose(weighted.scale_, repeated.scale_, rtol=1e-12)
    alone = NumberScaler().fit(COLUMNS)
    assert (np.abs(weighted.mean_ - alone.mean_) > 0.1).all()


def test_weights_of_one_change_nothing():
    raw = np.random.RandomState(0).randn(50, 3)
    weighted, plain = NumberScaler().fit(raw, sample_weight=np.ones(50)), NumberScaler().fit(raw)
    assert np.array_equal(weighted.mean_, plain.mean_)
    assert np.array_equal(weighted.scale_, plain.scale_)
    levels = np.linspace(0, 1, 9)
    expected = np.nanquantile(raw[:, 0], levels)
    assert np.array_equal(weighted_quantiles(raw[:, 0], levels, np.ones(50)), expected)
    assert np.array_equal(weighted_quantiles(raw[:, 0], levels), expected)


def test_weighted_quantiles_are_those_of_rows_that_stand_for_many():
    rng = np.random.RandomState(0)
    column = rng.randn(400)
    weight = np.where(column > 0, rng.randint(3, 6, 400), 1)
    column[::7] = np.nan
    levels = np.linspace(0, 1, 11)
    repeated = np.nanquantile(column.repeat(weight), levels)
    found = weighted_quantiles(column, levels, weight / 3)
    np.testing.assert_allclose(found, repeated, atol=0.05)
    assert found[[0, -1]].tolist() == [np.nanmin(column), np.nanmax(column)]
    assert np.abs(found - np.nanquantile(column, levels)).max() > 0.3


# -- ranks -------------------------------------------------------------------------------------


def test_ranks_are_normal_scores_of_sizes_over_orders_of_magnitude():
    z = NumberScaler().fit_transform(np.exp(3 * np.random.RandomState(0).randn(2000, 1)))
    scores = NormalScores().fit(z)
    found = scores.transform(z)[:, 0]
    np.testing.assert_array_equal(np.argsort(found), np.argsort(z[:, 0]))
    expected = norm.ppf((rankdata(z[:, 0]) - 0.5) / len(z))
    middle = np.abs(expected) < 2
    np.testing.assert_allclose(found[middle], expected[middle], atol=0.05)
    # As far out as those that are farthest out, and no farther.
    ends = scores.transform(np.array([[-9.0], [1e9]]))[:, 0]
    assert ends.tolist() == [found.min(), found.max()] and -3 < ends[0] < -2.7 < 2.7 < ends[1] < 3


def test_ranks_are_kept_where_they_tell_more_than_sizes():
    rng = np.random.RandomState(0)
    bell, tail, few = rng.randn(500), rng.standard_cauchy(500), rng.choice([1.0, 2, 900], 500)
    z = np.column_stack([bell, tail, few, np.full(500, np.nan), np.zeros(500)])
    assert NormalScores().fit(z).columns_ == [1]
    assert NormalScores().fit(z[:, :1]).transform(z[:, :1]).shape == (500, 0)


def test_gaps_are_in_the_middle_and_equal_numbers_have_one_rank():
    z = np.r_[np.zeros(100), np.geomspace(1, 1e6, 100), [np.nan]][:, None]
    found = NormalScores().fit(z).transform(z)[:, 0]
    assert found[-1] == 0 and np.ptp(found[:100]) == 0
    assert found[0] == pytest.approx(norm.ppf(0.25), abs=0.01)
    assert found[150] == pytest.approx(norm.ppf(0.75), abs=0.02)


def test_ranks_count_rows_by_their_weight():
    rng = np.random.RandomState(0)
    z, weight = np.exp(2 * rng.randn(400, 1)), rng.choice([1, 3], 400)
    weighted = NormalScores().fit(z, sample_weight=weight / 5)
    repeated = NormalScores().fit(np.repeat(z, weight, axis=0))
    np.testing.assert_allclose(weighted.transform(z), repeated.transform(z), atol=0.15)


def test_whether_ranks_tell_more_is_decided_by_rows_that_count():
    z = np.r_[norm.ppf((np.arange(200) + 0.5) / 200), np.geomspace(3, 4000, 40)][:, None]
    assert NormalScores().fit(z).columns_ == [0]
    weight = np.repeat([1.0, 1e-9], [200, 40])
    assert NormalScores().fit(z, sample_weight=weight).columns_ == []
