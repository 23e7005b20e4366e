"""Temperature scaling as mathematics: the search, and what a temperature does."""

import numpy as np
import pytest
import torch

from llmreg import DigitCodec
from llmreg.numbers.calibration import best_temperature, check_temperature, tempered
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
    return lambda t: tree_distribution(tree, steps, t).crps(y).mean()


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_logits_times_a_factor_are_brought_back_by_that_temperature(factor, honest):
    tree, steps, y = honest
    found = best_temperature(_score(tree, tempered(steps, 1 / factor), y))
    assert found == pytest.approx(factor, rel=0.1)


def test_the_search_finds_what_a_fine_grid_finds(honest):
    tree, steps, y = honest
    score = _score(tree, tempered(steps[:60], 0.6), y[:60])
    grid = np.geomspace(0.1, 10, 400)
    scores = [score(t) for t in grid]
    found = best_temperature(score)
    assert score(found) <= min(scores) * (1 + 1e-6)
    assert found == pytest.approx(grid[np.argmin(scores)], rel=0.02)


def test_the_deepest_of_several_valleys_is_found():
    def two_valleys(t):
        return min(1 + abs(np.log(t / 0.2)), 0.5 + abs(np.log(t / 4)))

    assert best_temperature(two_valleys) == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize("unit", [1e-300, 1.0, 1e300])
def test_units_of_the_score_do_not_matter(unit):
    assert best_temperature(lambda t: unit * (1 + np.log(t / 2) ** 2)) == pytest.approx(2, rel=0.01)


def test_without_a_gain_nothing_changes():
    assert best_temperature(lambda t: 0.0) == 1.0  # a constant target
    rounding = iter(1 - 1e-12 * np.arange(100))
    assert best_temperature(lambda t: next(rounding)) == 1.0


def test_the_ends_of_the_range_are_reached():
    assert best_temperature(lambda t: t) == pytest.approx(0.1, rel=0.01)
    assert best_temperature(lambda t: 1 / t) == pytest.approx(10, rel=0.01)


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
