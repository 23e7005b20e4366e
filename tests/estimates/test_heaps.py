"""Which rows are on an end of the range that many targets are, and where the others are."""

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize

from llmreg import DigitCodec
from llmreg.estimates.heaps import C, Heaps, _line, fit_heaps, on_ends
from llmreg.estimates.row_estimates import RowEstimates


def _hurdle(n, seed=0):
    """Targets that are -4 with odds exp(-1 - estimate), 5 with exp(estimate - 2), else about
    1 + estimate / 2."""
    rng = np.random.RandomState(seed)
    estimate = rng.randn(n)
    odds = np.exp(np.stack([-1 - estimate, estimate - 2], axis=1))
    chance = odds / (1 + odds.sum(1, keepdims=True))
    draw = rng.rand(n)
    z = 1 + estimate / 2 + 0.1 * rng.randn(n)
    z = np.where(draw < chance[:, 0], -4.0, np.where(draw > 1 - chance[:, 1], 5.0, z))
    return estimate, z, chance


def _fitted(estimate, z, weight=None):
    weight = np.ones(len(z)) if weight is None else weight
    return fit_heaps(on_ends(z, weight), z, estimate, estimate[:, None], weight)


def test_chances_of_both_ends_and_what_lies_between_are_found_again():
    estimate, z, chance = _hurdle(20_000)
    heaps = _fitted(estimate, z)
    near = np.abs(estimate) < 2.5
    np.testing.assert_allclose(heaps.chance(estimate[:, None])[near], chance[near], atol=0.02)
    np.testing.assert_allclose(heaps.between(np.array([0.0, 2.0])), [1, 2], atol=0.02)
    assert heaps.ends.tolist() == [-4, 5]


def test_a_sign_that_hardly_differed_carries_no_new_row_to_an_end():
    # By words that tell all, two regressors agree to a hair, and refitted ones to another.
    grade = np.repeat(np.linspace(-1.5, 1.5, 10), 25)
    rng = np.random.RandomState(0)
    apart = np.log(0.025) + 0.002 * rng.randn(250) + 0.003 * (np.abs(grade) > 1.4)
    signs = np.stack([grade, grade**2, apart], axis=1)
    heaps = fit_heaps(on_ends(grade, np.ones(250)), grade, grade, signs, np.ones(250))
    refitted = np.add(signs, [0, 0, 0.006])
    np.testing.assert_allclose(heaps.chance(refitted), heaps.chance(signs), atol=0.03)
    np.testing.assert_allclose(heaps.chance(refitted).mean(0), [0.1, 0.1], atol=0.02)


def test_without_a_heap_an_end_has_no_chance():
    estimate, z, chance = _hurdle(2000)
    heaps = _fitted(estimate, z + 1e-3 * estimate * (z == 5))
    found = heaps.chance(estimate[:, None])
    assert heaps.ends.tolist() == [-4, np.inf] and not found[:, 1].any()
    alone = chance[:, 0] / (1 - chance[:, 1])  # the upper end's rows lie between now
    assert np.abs(found[:, 0] - chance[:, 0]).mean() < np.abs(found[:, 0] - alone).mean() < 0.1


def test_no_slope_nearby_is_likelier():
    estimate, z, _ = _hurdle(300)
    z, weight = np.minimum(z, 4 + 0.1 * estimate), np.random.RandomState(1).rand(300)
    heaps = _fitted(estimate, z, weight)
    x, low = (estimate - heaps.mean) / heaps.deviation, z == -4

    def loss(free):
        logit = free[0] * np.clip(x, -3, 3) + free[1]
        likelihood = weight @ np.where(low, -np.logaddexp(0, -logit), -np.logaddexp(0, logit))
        return free[0] ** 2 / 2 - C * likelihood

    best = minimize(loss, np.zeros(2)).x
    found = heaps.chance(estimate[:, None])[:, 0]
    expected = 1 / (1 + np.exp(-best[0] * np.clip(x, -3, 3) - best[1]))
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_what_lies_between_stays_between_and_never_descends():
    estimate, z, _ = _hurdle(2000)
    heaps = _fitted(estimate, z)
    assert heaps.between(np.array([-1e9, 1e9])).tolist() == [-4, 5]
    falling = _fitted(estimate, np.where(np.abs(z) < 4, -z, z))
    assert falling.line[0] == 0 and falling.line[1] == pytest.approx(-1, abs=0.1)


def test_lines_are_of_weighted_least_squares():
    rng = np.random.RandomState(0)
    x, y, weight = rng.randn(30), rng.randn(30), rng.rand(30)
    y = 0.1 * y + 0.5 * x
    expected = np.polyfit(x, y, 1, w=np.sqrt(weight))
    np.testing.assert_allclose(_line(x, y, weight), expected)
    steep = _line(x, 30 * x + 1, weight)
    mean = np.average(x, weights=weight)
    np.testing.assert_allclose(steep, [1, 29 * mean + 1])  # and right in the mean
    np.testing.assert_allclose(_line(np.ones(3), np.arange(3.0), np.array([1, 1, 2])), [0, 1.25])


def test_chances_are_never_certain_and_leave_something_between():
    heaps = Heaps(
        np.array([0.0, 1.0]), np.zeros(1), np.ones(1), np.array([-99.0, 0, 99]),
        np.array([50.0, 0, 50]), np.array([1.0, 0.0]),
    )  # fmt: skip
    chance = heaps.chance(np.array([[-1e9], [0.0], [1e9]]))
    assert (chance >= 0).all() and (chance.sum(1) < 1).all()
    assert chance[0, 0] > 0.999 and chance[2, 1] > 0.999


def test_one_end_is_never_taken_for_the_other():
    """Of each end against what lies between alone, the square may say that both are near."""
    z = np.repeat(np.arange(10.0), 12)
    estimate = z + 1e-3 * np.random.RandomState(0).randn(120)
    signs = np.stack([estimate, (estimate - 6) ** 2], axis=1)
    ones = np.ones(120)
    chance = fit_heaps(on_ends(z, ones), z, estimate, signs, ones).chance(signs)
    assert (chance[z == 0] > [0.8, -1]).all() and (chance[z == 0] < [2, 0.01]).all()
    assert (chance[z == 9] > [-1, 0.8]).all() and (chance[z == 9] < [0.01, 2]).all()


@pytest.mark.parametrize(
    ("counts", "heaped"),
    [
        ((30, 20, 20, 1), (True, False)),
        ((1, 20, 20, 30), (False, True)),
        ((30, 20, 20, 30), (True, True)),
        ((9, 20, 20, 9), (False, False)),  # too few
        ((10, 500, 1, 10), (False, False)),  # too small a share
        ((50, 5, 4, 50), (True, True)),  # little between
        ((50, 0, 0, 50), (True, True)),  # nothing
        ((50, 0, 0, 0), (False, False)),  # nothing else
    ],
)
def test_which_ends_are_heaps(counts, heaped):
    y = np.repeat([0.0, 1.0, 2.0, 3.0], counts)
    found = on_ends(y, np.ones(len(y)))
    assert tuple(found.any(0)) == heaped
    for k, value in enumerate((0.0, 3.0)):
        assert found[:, k].tolist() == (heaped[k] & (y == value)).tolist()


def test_shares_are_of_the_weight():
    y = np.repeat([0.0, 1.0, 2.0], [20, 40, 40])
    assert on_ends(y, np.ones(100))[:, 0].sum() == 20
    assert not on_ends(y, np.where(y == 0, 0.01, 1.0))[:, 0].any()


@pytest.mark.parametrize("n_between", [0, 1, 9])
def test_ends_with_little_between_are_told(n_between):
    rng = np.random.RandomState(0)
    y = np.r_[np.zeros(60), np.full(40, 1.0), np.full(n_between, 0.5)]
    designs = {"linear": (y + rng.randn(len(y)))[:, None]}
    estimates = RowEstimates(("linear",), DigitCodec().fit(y), y.mean(), y.std(), 0)
    found = estimates.held_out_estimate(designs, y, np.ones(len(y)), np.arange(len(y)))
    share = found.heaps.chance.mean(0)
    np.testing.assert_allclose(share, [60 / len(y), 40 / len(y)], atol=0.03)
    assert np.isfinite(found.mean).all() and found.mean.mean() == pytest.approx(y.mean(), abs=0.05)


@pytest.mark.parametrize("turned", [1, -1])
@pytest.mark.parametrize(
    "others", [[1.0], [1.0] * 4, [1.0] * 9, [1.0] * 14, [1, 1, 2, 1, 3], [1.2, 3.1, 0.7, 2.2]]
)
def test_however_rare_it_is_what_is_on_no_heap_keeps_its_share(others, turned):
    rng = np.random.RandomState(0)
    y = turned * np.r_[np.zeros(290), others]
    designs = {"linear": rng.randn(len(y), 3)}
    estimates = RowEstimates(("linear",), DigitCodec().fit(y), y.mean(), y.std(), 0)
    found = estimates.held_out_estimate(designs, y, np.ones(len(y)), np.arange(len(y)))
    heap = found.heaps.chance[:, 0 if turned > 0 else 1]
    assert 1 - heap.mean() == pytest.approx(len(others) / len(y), rel=0.15)
    assert found.mean.mean() == pytest.approx(y.mean(), rel=0.15)


def test_a_line_through_few_rows_is_flat():
    x, y = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 5.0])
    np.testing.assert_allclose(_line(x, y, np.array([1.0, 1.0, 2.0])), [0, 2.75])
    np.testing.assert_allclose(_line(np.tile(x, 4), np.tile(x / 2, 4), np.ones(12)), [0.5, 0])


def test_equal_estimates_tell_the_share():
    z = np.repeat([0.0, 1.0, 2.0, 3.0], [30, 20, 20, 30])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        heaps = _fitted(np.zeros(100), z)
    np.testing.assert_allclose(heaps.chance(np.zeros((1, 1)))[0], 0.3, atol=0.01)
    assert heaps.between(np.zeros(1)) == pytest.approx(1.5)
