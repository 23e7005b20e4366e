"""The least expected cost, against loops over all pairs of numbers."""

import numpy as np
import pytest

from llmreg import NumericDistribution
from llmreg.numbers import decisions
from llmreg.numbers.decisions import least_cost


def _random(n=6, k=9, shared=True, seed=0):
    rng = np.random.RandomState(seed)
    edges = np.sort(rng.randn(k + 1) if shared else rng.randn(n, k + 1), axis=-1)
    p = rng.dirichlet(np.full(k, 0.5), n)
    p[:, 2] = 0
    return NumericDistribution(p / p.sum(1, keepdims=True), edges[..., :-1], edges[..., 1:])


def _brute(found, cost):
    values = np.broadcast_to(found.values, found.probabilities.shape)
    best = []
    for own, p in zip(values, found.probabilities, strict=True):
        expected = [sum(q * cost(a, y) for q, y in zip(p, own, strict=True)) for a in own]
        best.append(own[int(np.argmin(expected))])
    return np.array(best)


COSTS = {
    "squared": lambda a, y: (a - y) ** 2,
    "short is dear": lambda a, y: np.where(y > a, 3.0, 1.0) * np.abs(y - a),
    "beyond a threshold": lambda a, y: np.where(np.abs(a - y) > 0.3, 1.0, 0.0),
    "of one's own": lambda a, y: np.exp(a - y) - (a - y),
}


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("name", COSTS)
def test_it_is_the_least_over_all_pairs(name, shared):
    found = _random(shared=shared)
    np.testing.assert_allclose(least_cost(found, COSTS[name]), _brute(found, COSTS[name]))


def test_parts_of_the_pairs_make_no_difference(monkeypatch):
    found = _random(k=40)
    whole = least_cost(found, COSTS["short is dear"])
    monkeypatch.setattr(decisions, "_CELLS", 100)  # two or three candidates at once
    np.testing.assert_array_equal(least_cost(found, COSTS["short is dear"]), whole)


def test_a_squared_error_asks_for_the_mean_and_a_pinball_loss_for_the_quantile():
    k = 2000
    edges = np.linspace(-4, 4, k + 1)
    p = np.exp(-((edges[:-1] + 0.002) ** 2))
    found = NumericDistribution([p / p.sum()], edges[:-1], edges[1:])
    width = edges[1] - edges[0]
    assert least_cost(found, COSTS["squared"]) == pytest.approx(found.mean(), abs=width)
    assert least_cost(found, COSTS["short is dear"]) == pytest.approx(
        found.quantile(0.75), abs=width
    )


def test_of_equal_costs_the_smallest_number_is_taken():
    found = NumericDistribution([[0.5, 0.5]], [1, 2], [1, 2])
    assert least_cost(found, lambda a, y: np.abs(a - y)).tolist() == [1.0]


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (lambda a, y: 1.0, r"returned shape \(\) for predictions of shape \(9, 1\)"),
        (lambda a, y: np.abs(a), r"returned shape \(9, 1\)"),
        (lambda a, y: np.log(a - y), "returned values that are not finite"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_no_cost_is_refused(cost, said):
    with pytest.raises(ValueError, match=said + r".*one finite number for each pair, \(9, 9\)"):
        least_cost(_random(), cost)


def test_of_equal_costs_the_smallest_is_taken_in_whatever_part_it_is(monkeypatch):
    monkeypatch.setattr(decisions, "_CELLS", 1)  # one candidate at once
    found = NumericDistribution([[0.5, 0.0, 0.5]], [1, 2, 3], [1, 2, 3])
    assert least_cost(found, lambda a, y: np.abs(a - y)).tolist() == [1.0]


@pytest.mark.parametrize("cost", ["mse", 3, lambda a: a])
def test_what_is_no_function_of_two_arguments_is_refused(cost):
    with pytest.raises(TypeError, match=r"^cost=.* is called as cost\(prediction, y\), such as"):
        least_cost(_random(), cost)
