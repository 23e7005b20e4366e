"""Bandwidths of kernels about targets: brute force, and limiting cases."""

import numpy as np
import pytest
from scipy.stats import norm

from llmreg.training.bandwidths import neighbour_bandwidths

RANDOM = np.random.RandomState(0)
NORMAL, UNIFORM = RANDOM.randn(2000), np.sqrt(12) * (RANDOM.rand(2000) - 0.5)


def _about(z, others=None, weight=None):
    others = z if others is None else others
    return neighbour_bandwidths(z, others, np.ones(len(others)) if weight is None else weight)


@pytest.mark.parametrize("z", [NORMAL, UNIFORM, np.linspace(-1.7, 1.7, 25)])
def test_targets_of_one_bulk_have_their_standard_deviation(z):
    assert (_about(z) == 1).all()


def test_it_is_the_distance_that_a_fifth_of_the_weight_is_within():
    z = np.concatenate([0.05 * RANDOM.randn(60), 3 + 0.02 * RANDOM.randn(40)])
    weight = RANDOM.randint(1, 4, len(z)).astype(float)
    found = _about(z, weight=weight)
    for at, width in zip(z, found, strict=True):
        distance = np.abs(z - at)
        order = distance.argsort()[1:]  # without itself
        enough = weight[order].cumsum() >= 0.2 * weight[order].sum()
        reach = distance[order][enough][0]
        expected = np.clip(2 * reach / norm.ppf(0.6), 0.05, 1)
        assert width == pytest.approx(expected, abs=1e-4)
    assert found.max() < 1


def test_weights_are_repeats_and_their_unit_does_not_matter():
    z = np.concatenate([0.1 * RANDOM.randn(30), [3.0, 3.1]])
    weight = np.where(z > 2, 8.0, 1.0)
    often = np.repeat(z, weight.astype(int))
    np.testing.assert_array_equal(_about(z, often), _about(z, weight=weight))
    np.testing.assert_allclose(_about(z, weight=1e-9 * weight), _about(z, weight=weight))


def test_each_of_two_sizes_has_its_own_and_what_lies_between_them_none():
    z = np.concatenate([np.linspace(-0.7, -0.6, 70), np.linspace(1.5, 1.6, 30)])
    small, large, between = _about(np.array([-0.65, 1.55, 0.5]), z)
    assert small < large < 0.3
    assert between == 1


def test_equal_targets_are_no_crowd():
    grades = np.repeat([-2.0, -1.0, 0.0, 1.0, 2.0], [5, 20, 50, 20, 5])
    assert (_about(grades) == 1).all()
    assert (_about(np.zeros(9)) == 1).all()
    assert _about(np.zeros(1), np.linspace(-1e-9, 1e-9, 9)) == pytest.approx(0.05)
