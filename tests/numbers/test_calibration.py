"""Calibration as mathematics: the searches, and what a temperature and a weight do."""

import numpy as np
import pytest
import torch

from llmreg import DigitCodec
from llmreg.numbers.calibration import (
    Calibration,
    best_weight,
    calibrated,
    check_temperature,
    check_weight,
    clearly_less,
    likely_temperature,
    pooled,
    tempered,
)
from llmreg.numbers.decoding import tree_distribution
from llmreg.numbers.tree import NumberTree, leaf_log_probs

N_ROWS = 800


@pytest.fixture(scope="module")
def honest():
    """A tree, its steps in 800 rows, and a number drawn from each row's distribution."""
    codec = DigitCodec(4, 2, margin=0.0).fit([0.0, 16.0])
    tree, rng = NumberTree.from_codec(codec), np.random.RandomState(0)
    steps = torch.tensor(rng.randn(N_ROWS, tree.n_open, 4) * 1.5).log_softmax(-1)
    probs = leaf_log_probs(steps, tree).exp().numpy()
    leaf = (probs.cumsum(1) < rng.rand(N_ROWS, 1)).sum(1)
    return tree, steps, leaf + rng.rand(N_ROWS)


def _score(tree, steps, y):
    return lambda t: tree_distribution(tree, tempered(steps, t)).crps(y).mean()


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_logits_times_a_factor_are_brought_back_by_that_temperature(factor, honest):
    tree, steps, y = honest
    found = likely_temperature(_score(tree, tempered(steps, 1 / factor), y), N_ROWS)
    assert found == pytest.approx(factor, rel=0.1)


@pytest.mark.parametrize(("n_rows", "weight"), [(3, 0.0), (60, 0.0), (60, 0.5), (1500, 0.5)])
def test_a_temperature_is_the_posterior_mean(n_rows, weight, honest):
    tree, steps, y = honest
    score = _score(tree, tempered(steps[:60], 0.6), y[:60])
    at = np.linspace(np.log(0.1), np.log(10), 401)
    scores = np.array([score(np.exp(x)) for x in at])
    expected = -0.7 * weight * (1 - weight)
    belief = np.exp(-4 * n_rows * (scores / scores.min() - 1))
    belief /= 1 + ((at - expected) / 0.2) ** 2
    found = likely_temperature(score, n_rows, weight)
    assert found == pytest.approx(np.exp(np.average(at, weights=belief)), rel=0.01)


def test_many_rows_find_the_deepest_of_several_valleys():
    def two_valleys(t):
        return min(1 + abs(np.log(t / 0.2)), 0.5 + abs(np.log(t / 4)))

    assert likely_temperature(two_valleys, 10_000) == pytest.approx(4, rel=0.1)


def test_pools_are_expected_to_be_too_wide_and_nothing_else_is():
    found = [likely_temperature(lambda t: 5 + np.log(t), 1e-9, w) for w in (0, 0.2, 0.5, 0.8, 1)]
    assert found[0] == pytest.approx(1, rel=0.01) == found[4]
    assert found[2] < found[1] == pytest.approx(found[3]) and 0.8 < found[2] < 0.9


def test_crps_tells_of_a_width_what_the_likelihood_tells():
    found = 1 / np.sqrt(np.pi)  # the CRPS of a standard normal distribution, of its own draws
    for log_width in (-0.1, 0.05, 0.1):
        s = np.exp(log_width)  # of one of another width (Gneiting & Raftery 2007, section 4.2)
        crps = np.sqrt(2 / np.pi * (1 + s**2)) - s / np.sqrt(np.pi)
        lost = np.log(s) + 0.5 / s**2 - 0.5
        assert 4 * (crps / found - 1) == pytest.approx(lost, rel=0.25)


@pytest.mark.parametrize("unit", [1e-300, 1.0, 1e300])
def test_units_of_the_score_do_not_matter(unit):
    found = likely_temperature(lambda t: unit * (1 + np.log(t / 2) ** 2), 1000)
    assert found == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize("unit", [1e-300, 1.0, 1e300])
def test_a_gain_is_clear_where_the_t_ratio_says_so(unit):
    random = np.random.RandomState(0)
    for n, gain in ((20, 0.3), (80, 0.1), (80, 0.5), (400, 0.1)):
        before, after = random.randn(n) + gain, random.randn(n)
        ratio = (before - after).mean() / (before - after).std() * np.sqrt(n)
        share = np.full(n, 1 / n)
        assert clearly_less(unit * before, unit * after, share) == (ratio > 1)


@pytest.mark.parametrize("least", [-0.8, -1.0])
def test_a_row_of_weight_two_is_no_two_rows(least):
    gain, share = np.array([1.0, 1.0, least]), np.array([0.5, 0.25, 0.25])
    mean = gain @ share
    error = np.sqrt((gain - mean) ** 2 @ share * 0.375)  # what unequal weights make of three rows
    assert clearly_less(gain, 0 * gain, share) == (mean > error)
    assert not clearly_less(np.zeros(3), np.zeros(3), share)


def test_what_changes_nothing_is_one():
    assert likely_temperature(lambda t: 0.0, 100, 0.5) == 1.0  # a constant target
    rounding = iter(1 - 1e-12 * np.arange(100))
    assert likely_temperature(lambda t: next(rounding), 100, 0.5) == 1.0


def test_the_ends_of_the_range_are_reached():
    assert likely_temperature(lambda t: t, 1000) == pytest.approx(0.1, rel=0.05)
    assert likely_temperature(lambda t: 1 / t, 1000) == pytest.approx(10, rel=0.05)


def test_symbols_on_the_way_to_a_heap_stay_as_likely_as_the_estimates_have_them():
    log_probs = torch.tensor([[0.6, 0.1, 0.3], [0.2, 0.4, 0.4]], dtype=torch.float64).log()
    apart = torch.tensor([True, False, False])
    found = tempered(log_probs, 0.5, apart).exp().numpy()
    np.testing.assert_allclose(found, [[0.6, 0.04, 0.36], [0.2, 0.4, 0.4]])
    known = calibrated(log_probs, log_probs, Calibration(0.5, 1.0), apart).exp()
    np.testing.assert_allclose(known, found)
    # Of the language model alone nobody knows it, and all is tempered.
    alone = calibrated(log_probs, log_probs, Calibration(0.5, 0.0), apart)
    torch.testing.assert_close(alone, tempered(log_probs, 0.5))
    every = torch.tensor([True, True, True])
    torch.testing.assert_close(tempered(log_probs, 0.5, every), log_probs)


def test_a_temperature_is_a_power_of_the_probabilities_and_one_is_the_identity():
    log_probs = torch.tensor([[0.7, 0.2, 0.1]], dtype=torch.float64).log()
    power = np.array([0.7, 0.2, 0.1]) ** (1 / 2.5)
    np.testing.assert_allclose(tempered(log_probs, 2.5).exp()[0], power / power.sum())
    assert tempered(log_probs, 1.0) is log_probs
    impossible = torch.cat([log_probs, torch.full((1, 1), -1e30)], 1)
    assert tempered(impossible, 10.0).exp()[0, 3] == 0


@pytest.mark.parametrize("illegal", [0, -1.0, np.nan, np.inf, "hot", None, [1.0]])
def test_illegal_temperatures_are_named(illegal):
    with pytest.raises(ValueError, match="not a positive finite number") as error:
        check_temperature(illegal)
    assert repr(illegal) in str(error.value)


# -- pooling ---------------------------------------------------------------------------------


def test_a_pool_is_a_product_of_powers_and_leaves_impossible_what_is():
    p, q = torch.tensor([[0.7, 0.2, 0.1]]).double(), torch.tensor([[0.1, 0.3, 0.6]]).double()
    for weight in (0.25, 1.0):
        product = p ** (1 - weight) * q**weight
        found = pooled(p.log(), q.log(), weight).exp()
        np.testing.assert_allclose(found, product / product.sum())
        impossible = torch.cat([p.log(), torch.full((1, 1), -1e30)], 1).double()
        others = torch.cat([q.log(), torch.zeros(1, 1)], 1)
        assert pooled(impossible, others, weight).exp()[0, 3] == 0
    assert pooled(p.log(), q.log(), 0.0).equal(p.log())
    assert pooled(p.log(), None, 0.5).equal(p.log())


def test_bells_are_pooled_by_weight_and_precision():
    """Of two Gaussians (centres 0 and 3, deviations 1 and 2) the pool is a Gaussian again."""
    y = torch.linspace(-30, 30, 60_001).double()
    mine = (-(y**2) / 2).log_softmax(0)
    theirs = (-(((y - 3) / 2) ** 2) / 2).log_softmax(0)
    probs = pooled(mine, theirs, 0.25).exp()
    precision = 0.75 + 0.25 / 4
    assert float(probs @ y) == pytest.approx(0.25 / 4 * 3 / precision, abs=1e-6)
    variance = float(probs @ y**2 - (probs @ y) ** 2)
    assert variance == pytest.approx(1 / precision, rel=1e-6)


def _pooled_events(p, q, weight, apart):
    """Brute force: what is apart, each, and the rest together; then the rest among themselves."""
    rest = [i for i in range(len(p)) if i not in apart]
    mean = (1 - weight) * p + weight * q
    inner = p[rest] ** (1 - weight) * q[rest] ** weight
    mean[rest] = mean[rest].sum() * inner / inner.sum()
    return mean


@pytest.mark.parametrize("apart", [(0,), (3,), (0, 3), (1,)])
@pytest.mark.parametrize("weight", [0.25, 0.6, 1.0])
def test_heaps_are_pooled_apart_from_what_lies_between(apart, weight):
    rng = np.random.RandomState(0)
    p, q = rng.dirichlet(np.ones(4), 2)
    marked = torch.zeros(4, dtype=torch.bool).index_fill(0, torch.tensor(apart), True)
    found = pooled(torch.tensor(p).log(), torch.tensor(q).log(), weight, marked).exp()
    np.testing.assert_allclose(found, _pooled_events(p, q, weight, apart))


def test_bells_that_lie_apart_leave_a_heap_as_probable_as_both_say():
    """Both are sure of 80 % zeros, and of little else."""
    mine, theirs = torch.tensor([[0.8, 0.19, 0.01], [0.8, 0.01, 0.19]]).double().log()
    marked = torch.tensor([True, False, False])
    assert float(pooled(mine, theirs, 0.5, marked).exp()[0]) == pytest.approx(0.8)
    assert float(pooled(mine, theirs, 0.5).exp()[0]) > 0.9


def test_what_is_rare_is_not_lost_if_one_of_two_hardly_expects_it():
    mine, theirs = torch.tensor([[1 - 1e-6, 1e-6], [0.96, 0.04]]).double().log()
    found = pooled(mine, theirs, 0.5, torch.tensor([True, True])).exp()
    assert float(found[1]) == pytest.approx(0.02, rel=1e-3)
    assert float(pooled(mine, theirs, 0.5).exp()[1]) < 1e-3


def test_heaps_alone_and_symbols_that_are_impossible():
    p, q = torch.tensor([0.3, 0.7]).double().log(), torch.tensor([0.6, 0.4]).double().log()
    all_apart = torch.tensor([True, True])
    torch.testing.assert_close(pooled(p, q, 0.5, all_apart).exp(), (p.exp() + q.exp()) / 2)
    torch.testing.assert_close(pooled(p, q, 0.5, ~all_apart), pooled(p, q, 0.5))
    p = torch.cat([p, torch.full((1,), -1e30)])
    q = torch.cat([q, torch.full((1,), -1e30)])
    for marked in ([True, True, False], [True, False, False], [False, False, True]):
        found = pooled(p, q, 0.5, torch.tensor(marked)).exp()
        assert float(found[2]) == 0 and float(found.sum()) == pytest.approx(1)


def test_first_the_pool_then_the_temperature():
    p, q = torch.tensor([0.7, 0.3]).log(), torch.tensor([0.2, 0.8]).log()
    expected = tempered(pooled(p, q, 0.4), 3.0)
    torch.testing.assert_close(calibrated(p, q, Calibration(3.0, 0.4)), expected)
    assert not torch.allclose(expected, pooled(tempered(p, 3.0), q, 0.4))


def test_the_weight_is_a_posterior_mean():
    """Brute force over the same grid."""

    def score(weight, temperature):
        return 2 + (weight - 0.3) ** 2 + 0.5 * np.log(temperature / 1.2) ** 2

    for n_rows in (0, 50, 1000):
        top, bottom = 0.0, 0.0
        least = min(score(w, t) for w in np.linspace(0, 1, 11) for t in np.geomspace(0.5, 2, 5))
        for weight in np.linspace(0, 1, 11):
            for temperature in np.geomspace(0.5, 2, 5):
                belief = np.exp(-n_rows / 2 * (score(weight, temperature) / least - 1))
                belief *= np.exp(-((weight - 0.65) ** 2) / (2 * 0.3**2))
                top, bottom = top + belief * weight, bottom + belief
        assert best_weight(score, n_rows) == pytest.approx(top / bottom)
    assert best_weight(score, 0) == pytest.approx(0.6041, abs=1e-4)
    assert best_weight(score, 1e9) == pytest.approx(0.3)
    assert best_weight(lambda w, t: 1 + w * t, 1e9, temperatures=(1.0,)) == pytest.approx(0.0)


@pytest.mark.parametrize("unit", [1e-300, 1e300])
def test_units_of_the_score_do_not_matter_to_the_weight(unit):
    def score(weight, temperature):
        return 1 + (weight - 0.8) ** 2

    found = best_weight(lambda w, t: unit * score(w, t), 100)
    assert found == pytest.approx(best_weight(score, 100))


def test_where_several_are_perfect_no_other_counts():
    perfect = np.linspace(0.5, 1, 6)
    likely = np.exp(-((perfect - 0.65) ** 2) / (2 * 0.3**2))
    expected = pytest.approx(perfect @ likely / likely.sum())
    assert best_weight(lambda w, t: max(0.0, 0.45 - w), 100) == expected
    assert best_weight(lambda w, t: max(0.0, w - 0.15), 100) < 0.1
    assert best_weight(lambda w, t: 0.0, 100) == pytest.approx(best_weight(lambda w, t: 1.0, 0))


@pytest.mark.parametrize("illegal", [-0.1, 1.5, np.nan, "much", None, [0.5]])
def test_illegal_weights_are_named(illegal):
    with pytest.raises(ValueError, match="not a number from 0 to 1") as error:
        check_weight(illegal)
    assert repr(illegal) in str(error.value)
