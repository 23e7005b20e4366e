"""Logarithms that bend an axis: there and back, in order, and to the ends of the floats."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmreg.codecs.scales import (
    LARGEST,
    SMALLEST,
    bend,
    log_scale,
    needs_shift,
    shifted_log_scale,
    symlog_scale,
    unbend,
)

SCALES = {"log": log_scale, "shifted_log": shifted_log_scale, "symlog": symlog_scale}
numbers = st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=30).map(np.array)


@pytest.fixture(autouse=True)
def no_warning_leaks():
    with np.errstate(all="raise", under="ignore"):
        yield


@pytest.mark.parametrize("scale", SCALES)
@given(y=numbers)
@settings(max_examples=100, deadline=None)
def test_there_and_back_is_the_same_number(scale, y):
    centre, unit = SCALES[scale](y)
    # What rounding does to a logarithm is a share of the distance from the centre.
    slack = 1e-11 * np.abs(y - centre) + 1e-15 * abs(centre) + 4e-16 * unit + SMALLEST
    assert (np.abs(unbend(bend(y, centre, unit), centre, unit) - y) <= slack).all()


@pytest.mark.parametrize("scale", SCALES)
@given(y=numbers)
@settings(max_examples=100, deadline=None)
def test_the_order_is_kept_and_the_centre_is_zero(scale, y):
    centre, unit = SCALES[scale](y)
    place = bend(np.sort(y), centre, unit)
    assert np.isfinite(place).all()
    assert (np.diff(place) >= 0).all()
    assert bend(centre, centre, unit) == 0
    assert (np.diff(unbend(place, centre, unit)) >= 0).all()


def test_it_is_linear_near_the_centre_and_logarithmic_far_from_it():
    assert bend(3 + 1e-9, 3.0, 1.0) == pytest.approx(1e-9, rel=1e-6)
    assert bend(-1e10, 0.0, 1e-10) == pytest.approx(-20 * np.log(10))
    assert unbend(-20 * np.log(10), 0.0, 1e-10) == pytest.approx(-1e10)


@pytest.mark.parametrize("y", [1e9, 1e307, LARGEST])
@pytest.mark.parametrize("unit", [SMALLEST, 1e-300])
def test_quotients_beyond_the_floats_have_logarithms_all_the_same(y, unit):
    ends = np.array([-y, -1.0, 0.0, 1.0, y])
    place = bend(ends, 0.0, unit)
    assert np.isfinite(place).all()
    assert (np.diff(place) > 0).all()
    assert place[-1] == pytest.approx(np.log(y) - np.log(unit))
    assert unbend(place, 0.0, unit) == pytest.approx(ends, rel=1e-12)


def test_infinite_ends_stay_so_on_the_axis_and_come_back_as_the_largest_float():
    place = bend(np.array([-np.inf, np.inf]), 1.0, 2.0)
    assert place.tolist() == [-np.inf, np.inf]
    assert unbend(place, 1.0, 2.0).tolist() == [-LARGEST, LARGEST]
    assert unbend(1e4, 0.0, 1.0) == LARGEST


@pytest.mark.parametrize(
    ("y", "centre", "unit"),
    [
        ([0.0, 0.0], 0.0, 1.0),  # nothing to go by
        ([1.0] * 20, 0.0, 0.01),  # of one sign, without zeros: a hundredth of the smallest
        ([0.0] + [1.0] * 20, 0.0, 1.0),  # with zeros: the smallest
        ([-4.0, -2.0, 2.0, 6.0], 0.0, 3.0),  # of both signs: the median size
        ([5e-324, 1e-323], 0.0, SMALLEST),
    ],
)
def test_the_unit_of_a_logarithm_about_zero(y, centre, unit):
    assert log_scale(np.array(y)) == (centre, pytest.approx(unit))


def test_the_unit_of_a_logarithm_about_the_median():
    assert symlog_scale(np.array([10.0, 10.0, 10.0, 13.0, 5.0])) == (10.0, 4.0)
    assert symlog_scale(np.full(3, 7.0)) == (7.0, 1.0)
    # A unit so small that the largest target is no multiple of it is widened.
    assert symlog_scale(np.array([0.0] * 4 + [1e-320] * 3 + [1e300]))[1] == 1.0


def test_a_shifted_logarithm_is_about_where_targets_begin_and_a_few_may_be_beyond():
    y = 100 + np.arange(101.0) ** 2
    assert shifted_log_scale(y) == (125.0, pytest.approx(93.9))
    assert shifted_log_scale(-y) == (-125.0, pytest.approx(93.9))
    assert shifted_log_scale(np.append(y, -1e9)) == pytest.approx((116.45, 85.65))
    # Ties with the centre say nothing about the unit.
    assert shifted_log_scale(np.repeat([7.0, 9.0, 99.0], [90, 9, 1])) == (7.0, 2.0)
    assert shifted_log_scale(np.full(3, 7.0)) == (7.0, 1.0)


SKEWED = np.exp(np.linspace(-3, 3, 101))  # median 1


@pytest.mark.parametrize(
    ("y", "needed"),
    [
        (SKEWED, False),  # they begin at zero
        (-SKEWED, False),
        (np.append(0.0, SKEWED), False),
        (SKEWED + 1, True),
        (SKEWED - 1, True),
        (1 - SKEWED, True),
        (1e12 - SKEWED, True),
        (SKEWED * 1e-300 + 1e-290, True),
        (np.append(SKEWED + 1000, 0.0), True),  # but for one
        (np.append(np.full(99, 1000.0), SKEWED + 1000), True),
        (np.sinh(np.linspace(-4, 4, 101)) + 1000, False),  # tails on both sides
        (np.append(np.linspace(40, 60, 100), 1e9), False),  # an outlier makes no skew
        (np.full(5, 3.0), False),
        (np.array([-1e307, 0.0, 1e307]), False),
    ],
)
def test_skewed_targets_that_begin_far_from_zero_need_a_shift(y, needed):
    assert needs_shift(y) == needed


@pytest.mark.parametrize("scale", SCALES)
@given(y=numbers, power=st.integers(-60, 60))
@settings(max_examples=50, deadline=None)
def test_another_unit_of_y_is_another_unit_of_the_scale(scale, y, power):
    y, factor = np.where(np.abs(y) < 1e-200, 0.0, np.clip(y, -1e200, 1e200)), 2.0**power
    if not y.any() or not np.ptp(y):
        return  # the unit is then 1
    centre, unit = SCALES[scale](y)
    assert SCALES[scale](y * factor) == (centre * factor, pytest.approx(unit * factor, rel=1e-9))
