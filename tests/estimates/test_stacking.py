"""One estimate from several, and the spread of its errors."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import logistic

from llmreg.estimates.stacking import LEAST_SCALE, Estimate, Spread, fit_spread, stacking_weights


def _two(n=4000, noise=(0.3, 0.6), seed=0):
    """y, and two estimates whose errors are independent."""
    rng = np.random.RandomState(seed)
    y = rng.randn(n)
    return y, np.stack([y + size * rng.randn(n) for size in noise], 1)


def test_estimates_count_by_their_precision():
    y, estimates = _two()
    precision = np.array([1 / 0.3**2, 1 / 0.6**2])
    expected = precision / (1 + precision.sum())  # with y's own variance of 1: shrunk
    np.testing.assert_allclose(stacking_weights(estimates, y, np.ones(len(y))), expected, atol=0.02)


def test_weights_are_the_best_non_negative_ones():
    y, estimates = _two(200)
    estimates = np.column_stack([estimates, -y + np.random.RandomState(1).randn(200)])
    rows = np.random.RandomState(2).rand(200)

    def loss(weights):
        return np.average((y - estimates @ weights) ** 2, weights=rows)

    found = stacking_weights(estimates, y, rows)
    best = minimize(loss, [0.3] * 3, bounds=[(0, None)] * 3)
    assert loss(found) <= best.fun + 1e-9 and found[2] == 0 and (found >= 0).all()


def test_what_knows_nothing_does_not_count():
    y, _ = _two(500)
    noise = np.random.RandomState(3).randn(500, 1)
    assert stacking_weights(noise, y, np.ones(500))[0] < 0.1
    assert stacking_weights(np.zeros((500, 1)), y, np.ones(500)) == [0.0]


@pytest.mark.parametrize("spread", [Spread(0.1, 0.5, 0.2), Spread(0.5, 2.0, 0.05)])
def test_the_spread_of_errors_is_found_again(spread):
    rng = np.random.RandomState(0)
    scale = np.where(rng.rand(50_000) < spread.share, spread.wide, spread.narrow)
    found = fit_spread(scale * rng.logistic(size=50_000), np.ones(50_000))
    np.testing.assert_allclose(found, spread, rtol=0.1)


def test_no_spread_nearby_is_likelier():
    rng = np.random.RandomState(1)
    errors, weight = rng.standard_t(3, 300), rng.rand(300)

    def loss(spread):
        narrow, wide, share = spread
        density = (1 - share) * logistic.pdf(errors, scale=narrow)
        density += share * logistic.pdf(errors, scale=wide)
        return -np.average(np.log(density), weights=weight)

    found = fit_spread(errors, weight)
    for i in range(3):
        for factor in (0.97, 1.03):
            other = np.array(found)
            other[i] *= factor
            assert loss(other) > loss(found) - 1e-6


def test_errors_of_nothing_have_a_least_spread():
    for errors in (np.zeros(10), np.zeros(1)):
        found = fit_spread(errors, np.ones(len(errors)))
        assert found.narrow == LEAST_SCALE and found.narrow <= found.wide < np.inf


def test_units_and_rows():
    estimate = Estimate(np.arange(4.0), Spread(1.0, 2.0, 0.1).times(10))
    assert estimate.spread == (10.0, 20.0, 0.1)
    assert estimate.take(np.array([2, 0])).centre.tolist() == [2.0, 0.0]


def test_the_density_is_one():
    from llmreg.estimates.stacking import _log_density

    total, _ = quad(lambda x: np.exp(_log_density(x, Spread(0.3, 2.0, 0.2))), -80, 80, limit=200)
    assert total == pytest.approx(1, abs=1e-6)
