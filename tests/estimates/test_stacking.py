"""One estimate from several, and the spread of its errors."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import logistic

from llmreg.estimates.stacking import (
    LEAST_SCALE,
    STEEPEST,
    Estimate,
    OnEnds,
    Spread,
    Widths,
    fit_spread,
    stacking_weights,
    width_signs,
)

NO_SIGNS = np.zeros((1, 0))


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


def _errors(spread, n, seed=0):
    rng = np.random.RandomState(seed)
    shares, centres, scales = np.array(spread.parts).T
    part = rng.choice(2, n, p=shares)
    return centres[part] + scales[part] * rng.logistic(size=n)


@pytest.mark.parametrize(
    "spread",
    [
        Spread(0.1, 0.5, 0.2), Spread(0.5, 2.0, 0.05), Spread(0.1, 0.3, 0.3, 1.5),
        Spread(0.05, 0.2, 0.4, -0.6),
    ],
)  # fmt: skip
def test_the_spread_of_errors_is_found_again(spread):
    found, _ = fit_spread(_errors(spread, 20_000), np.ones(20_000), NO_SIGNS)
    np.testing.assert_allclose(found, spread, rtol=0.15)
    assert abs(found.share * found.apart) < 1 and (found.apart == 0) == (spread.apart == 0)


def test_a_spread_of_two_parts_has_a_mean_of_zero():
    for spread in (Spread(0.1, 0.3, 0.3, 1.5), Spread(0.1, 0.3, 0.3, -1.5), Spread(1.0, 2.0, 0.1)):
        shares, centres, _ = np.array(spread.parts).T
        assert shares.sum() == pytest.approx(1) and shares @ centres == pytest.approx(0)
        assert centres[1] - centres[0] == pytest.approx(spread.apart)


@pytest.mark.parametrize("seed", range(4))
def test_few_errors_of_one_centre_are_given_one(seed):
    errors = _errors(Spread(0.1, 0.3, 0.3), 60, seed)
    assert fit_spread(errors, np.ones(60), NO_SIGNS)[0].apart == 0


def test_rows_of_little_weight_do_not_move_parts_apart():
    errors = np.append(_errors(Spread(0.1, 0.3, 0.3), 100), np.full(40, 3.0))
    weight = np.repeat([1.0, 1e-9, 1.0], [100, 40, 0])
    assert fit_spread(errors, weight, NO_SIGNS)[0].apart == 0
    assert fit_spread(errors, np.ones(140), NO_SIGNS)[0].apart > 2


def test_errors_that_are_turned_round_are_told_turned_round():
    errors = _errors(Spread(0.05, 0.2, 0.4, 0.8), 500)
    found, _ = fit_spread(errors, np.ones(500), NO_SIGNS)
    turned, _ = fit_spread(-errors, np.ones(500), NO_SIGNS)
    np.testing.assert_allclose(turned, [*found[:3], -found.apart], rtol=1e-3)


def test_no_spread_nearby_is_likelier():
    rng = np.random.RandomState(1)
    errors, weight = rng.standard_t(3, 300), rng.rand(300)

    def loss(spread):
        narrow, wide, share, _ = spread
        density = (1 - share) * logistic.pdf(errors, scale=narrow)
        density += share * logistic.pdf(errors, scale=wide)
        return -np.average(np.log(density), weights=weight)

    found, _ = fit_spread(errors, weight, NO_SIGNS)
    for i in range(3):
        for factor in (0.97, 1.03):
            other = np.array(found)
            other[i] *= factor
            assert loss(other) > loss(found) - 1e-6


def test_errors_of_nothing_have_a_least_spread():
    for errors in (np.zeros(10), np.zeros(1)):
        found, _ = fit_spread(errors, np.ones(len(errors)), NO_SIGNS)
        assert found.narrow == pytest.approx(LEAST_SCALE)
        assert found.narrow <= found.wide < np.inf


@pytest.mark.parametrize("slope", [-0.8, 0.0, 0.5])
def test_signs_that_tell_of_larger_errors_are_found(slope):
    rng = np.random.RandomState(0)
    signs = 10 + 4 * rng.randn(20_000, 2)
    told = slope * np.clip((signs[:, 0] - 10) / 4, -3, 3)
    errors = 0.3 * np.exp(told) * rng.logistic(size=len(signs))
    spread, widths = fit_spread(errors, np.ones(len(signs)), signs)
    np.testing.assert_allclose(widths.slope, [slope, 0], atol=0.03)
    assert spread.narrow == pytest.approx(0.3, rel=0.05)
    np.testing.assert_allclose(widths.of(signs), np.exp(told), rtol=0.15)


def test_few_rows_hardly_move_the_slopes():
    rng = np.random.RandomState(0)
    signs = rng.randn(4000, 1)
    errors = np.exp(signs[:, 0]) * rng.logistic(size=len(signs))
    slopes = [fit_spread(errors[:n], np.ones(n), signs[:n])[1].slope[0] for n in (3, 30, 4000)]
    assert 0 < slopes[0] < 0.5 and slopes[0] < slopes[1] < 1.1
    assert slopes[2] == pytest.approx(1, abs=0.05)


def test_rows_count_for_slopes_by_their_weight():
    rng = np.random.RandomState(0)
    signs, size = rng.randn(2000, 1), np.repeat([1.0, -1.0], 1000)
    errors = np.exp(0.5 * size * signs[:, 0]) * rng.logistic(size=2000)
    slopes = [
        fit_spread(errors, np.where(size > 0, w, 2 - w), signs)[1].slope[0]
        for w in (1.99, 1.0, 0.01)
    ]
    np.testing.assert_allclose(slopes, [0.5, 0, -0.5], atol=0.06)


def test_widths_are_bounded_and_constant_signs_tell_nothing():
    rng = np.random.RandomState(0)
    signs = np.column_stack([np.full(500, 7.0), rng.randn(500)])
    errors = np.exp(9 * signs[:, 1]) * rng.logistic(size=500)
    _, widths = fit_spread(errors, np.ones(500), signs)
    assert widths.slope[0] == 0 and widths.slope[1] == STEEPEST
    assert widths.of(np.array([[1e9, 1e9], [-1e9, -1e9]])).tolist() == pytest.approx(
        [np.exp(3), np.exp(-3)]
    )


def test_signs_are_size_and_difference():
    found = width_signs(np.array([[1.0, -1.0], [0.5, 0.5]]), np.array([1.0, 0.5]))
    np.testing.assert_allclose(found, [[0.5, 0.25, np.log(1.025)], [0.75, 0.5625, np.log(0.025)]])
    assert width_signs(np.ones((4, 1)), np.ones(1)).shape == (4, 2)


def test_rows_of_an_estimate():
    estimate = Estimate(np.arange(4.0), np.arange(4.0) + 1, Spread(1.0, 2.0, 0.1))
    some = estimate.take(np.array([2, 0])).followed_by(estimate.take(np.array([3])))
    assert some.centre.tolist() == [2.0, 0.0, 3.0] and some.width.tolist() == [3.0, 1.0, 4.0]
    assert some.spread is estimate.spread


def test_rows_of_an_estimate_with_heaps():
    chance = np.arange(8.0).reshape(4, 2) / 20
    heaps = OnEnds(chance, np.array([-2.0, np.inf]))
    estimate = Estimate(np.arange(4.0), np.ones(4), Spread(1.0, 2.0, 0.1), heaps)
    some = estimate.take(np.array([2, 0])).followed_by(estimate.take(np.array([3])))
    assert some.heaps.chance.tolist() == chance[[2, 0, 3]].tolist()
    assert some.heaps.ends is heaps.ends
    assert [part.tolist() for part in some.columns] == [
        some.centre.tolist(), some.width.tolist(), some.heaps.chance.tolist()
    ]  # fmt: skip


def test_the_mean_is_of_ends_and_what_lies_between():
    plain = Estimate(np.array([1.0, 2.0]), np.ones(2), Spread(1.0, 2.0, 0.1))
    assert plain.mean.tolist() == [1, 2]
    chance = np.array([[0.5, 0.25], [0.0, 0.1]])
    both = replace(plain, heaps=OnEnds(chance, np.array([-4.0, 8.0])))
    assert both.mean == pytest.approx([0.25 - 2 + 2, 1.8 + 0.8])
    low = replace(plain, heaps=OnEnds(chance * [1, 0], np.array([-4.0, np.inf])))
    assert low.mean == pytest.approx([0.5 - 2, 2])


def test_widths_of_no_slope_are_one():
    widths = Widths(np.ones(2), np.ones(2), np.zeros(2))
    assert widths.of(np.random.RandomState(0).randn(3, 2)).tolist() == [1.0] * 3


@pytest.mark.parametrize("spread", [Spread(0.3, 2.0, 0.2), Spread(0.3, 1.0, 0.4, 3.0)])
def test_the_density_is_one_and_its_mean_zero(spread):
    from llmreg.estimates.stacking import _log_density

    for power, expected in ((0, 1), (1, 0)):
        total, _ = quad(
            lambda x, p=power: x**p * np.exp(_log_density(x, spread)), -80, 80, limit=200
        )
        assert total == pytest.approx(expected, abs=1e-6)
