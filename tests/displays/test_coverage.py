"""Calibration in pictures, against distributions whose calibration is known."""

import numpy as np
import pytest

from llmreg import CoverageDisplay, NumericDistribution
from llmreg.displays.coverage import LEVELS
from llmreg.metrics import interval_coverage


def uniform(n, low=0.0, high=1.0):
    return NumericDistribution(np.ones((n, 1)), [low], [high])


@pytest.fixture
def grid():
    """1,000 targets spread evenly over [0, 1]."""
    return (np.arange(1000) + 0.5) / 1000


def density(display):
    (stairs,) = [patch for patch in display.ax_.patches if hasattr(patch, "get_data")]
    return stairs.get_data().values


def test_calibrated_distributions_are_on_the_diagonal_and_flat(grid):
    display = CoverageDisplay.from_predictions(grid, uniform(1000))
    np.testing.assert_allclose(display.coverage, LEVELS, atol=2e-3)
    left, right = display.ax_
    observed = next(line for line in left.lines if line.get_label() == "observed")
    np.testing.assert_allclose(observed.get_ydata(), 100 * LEVELS, atol=0.2)
    np.testing.assert_allclose(density(display.plot(kind="pit")), 1)
    assert right.get_ylim() == (0, 2)


def test_narrow_ones_are_below_and_hollow_wide_ones_above_and_humped(grid):
    narrow = CoverageDisplay.from_predictions(grid, uniform(1000, 0.25, 0.75), kind="pit")
    assert (narrow.coverage < LEVELS).all()
    assert density(narrow)[[0, -1]].min() > 2 and density(narrow)[1:-1].max() < 0.6
    wide = CoverageDisplay.from_predictions(grid, uniform(1000, -0.5, 1.5), kind="pit")
    assert (wide.coverage > LEVELS).sum() == len(LEVELS)
    assert density(wide)[[0, -1]].max() == 0 and density(wide)[4:6].min() > 1.5


def test_atoms_are_spread_over_the_levels_that_they_take():
    p = np.tile([0.2, 0.3, 0.5], (1000, 1))
    atoms = NumericDistribution(p, [1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    y = np.repeat([1.0, 2.0, 3.0], [200, 300, 500])
    np.testing.assert_allclose(density(CoverageDisplay.from_predictions(y, atoms, kind="pit")), 1)


@pytest.mark.parametrize("n_bins", [1, 7, 20])
def test_the_histogram_has_an_area_of_one(n_bins, grid):
    display = CoverageDisplay.from_predictions(grid**2, uniform(1000), kind="pit", n_bins=n_bins)
    assert len(density(display)) == n_bins
    assert density(display).mean() == pytest.approx(1)


def test_an_estimator_is_asked_for_its_distributions(pipeline, table, distribution):
    display = CoverageDisplay.from_estimator(pipeline, table.X, table.y, kind="coverage")
    assert display.coverage[-2] == interval_coverage(table.y, distribution)
    assert display.ax_.get_ylabel() == "targets inside (%)"
    assert display.figure_.axes == [display.ax_]


def test_another_kind_is_refused(grid):
    with pytest.raises(ValueError, match=r"kind='hist'.*'pit'"):
        CoverageDisplay.from_predictions(grid, uniform(1000), kind="hist")


def test_errors_call_the_targets_what_the_argument_is_called(grid):
    with pytest.raises(ValueError, match=r"y_true contains NaN .*distribution\[known\]"):
        CoverageDisplay.from_predictions(np.r_[np.nan, grid[1:]], uniform(1000))
    with pytest.raises(ValueError, match=r"y contains NaN .*CoverageDisplay .*X\[known\] and y\["):
        CoverageDisplay.from_estimator(None, [[1.0]], [np.nan])
