"""Rewards and advantages against hand-computed cases and loops."""

import itertools

import numpy as np
import pytest
import torch

from llmreg.methods.rewards import (
    exact_advantages,
    expected_reward,
    moments,
    sample_metrics,
    sampled_advantages,
    scale_advantages,
)

REWARDS = ["mse", "mae", "rail", "crps"]
BASELINES = ["group", "others", "greedy"]

# One row: samples 0, 1 and 5, target 2, greedy number 3.
HAND = {
    # rewards −4, −1, −9: mean −14/3; greedy −1
    ("mse", "group"): [2 / 3, 11 / 3, -13 / 3],
    ("mse", "others"): [-4 + 5, -1 + 6.5, -9 + 2.5],
    ("mse", "greedy"): [-3, 0, -8],
    # rewards −2, −1, −3: mean −2; greedy −1
    ("mae", "group"): [0, 1, -1],
    ("mae", "others"): [-2 + 2, -1 + 2.5, -3 + 1.5],
    ("mae", "greedy"): [-1, 0, -2],
    # means of the others 3, 2.5, 0.5
    ("rail", "group"): [-2 * 1 * (0 - 3), -2 * 0.5 * (1 - 2.5), -2 * -1.5 * (5 - 0.5)],
    ("rail", "others"): [-2 * 1 * (0 - 3), -2 * 0.5 * (1 - 2.5), -2 * -1.5 * (5 - 0.5)],
    ("rail", "greedy"): [-2 * 1 * (0 - 3), -2 * 0.5 * (1 - 3), -2 * -1.5 * (5 - 3)],
    # scores: −2 + (1 + 5)/2 = 1, −1 + (1 + 4)/2 = 1.5, −3 + (5 + 4)/2 = 1.5
    # the others' own: −(1 + 3)/2 + 4 = 2, −(2 + 3)/2 + 5 = 2.5, −(2 + 1)/2 + 1 = −0.5
    ("crps", "group"): [1 - 2, 1.5 - 2.5, 1.5 + 0.5],
    ("crps", "others"): [1 - 2, 1.5 - 2.5, 1.5 + 0.5],
    # greedy among the others: −1 + (2 + 2)/2 = 1, −1 + (3 + 2)/2 = 1.5, −1 + (3 + 2)/2 = 1.5
    ("crps", "greedy"): [1 - 1, 1.5 - 1.5, 1.5 - 1.5],
}


@pytest.mark.parametrize(("reward", "baseline"), HAND)
def test_advantages_of_a_case_computed_by_hand(reward, baseline):
    samples, greedy, y = torch.tensor([[0.0, 1.0, 5.0]]), torch.tensor([3.0]), torch.tensor([2.0])
    found = sampled_advantages(samples, greedy, y, reward, baseline)
    assert found[0].tolist() == pytest.approx(HAND[reward, baseline], abs=1e-6)


def _random_group(seed, n_rows=4, n_samples=5):
    rng = np.random.default_rng(seed)
    samples = rng.normal(size=(n_rows, n_samples)).round(1)  # some ties
    return samples, rng.normal(size=n_rows), rng.normal(size=n_rows)


def _sampled(samples, greedy, y, reward, baseline):
    tensors = map(torch.as_tensor, (samples, greedy, y))
    return sampled_advantages(*tensors, reward, baseline).numpy()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("baseline", BASELINES)
def test_rail_judges_a_sample_by_the_mean_of_the_others(seed, baseline):
    samples, greedy, y = _random_group(seed)
    found = _sampled(samples, greedy, y, "rail", baseline)
    for row, s in np.ndindex(samples.shape):
        others = np.delete(samples[row], s).mean()
        start = greedy[row] if baseline == "greedy" else others
        assert found[row, s] == pytest.approx(-2 * (others - y[row]) * (samples[row, s] - start))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("baseline", BASELINES)
def test_crps_judges_a_sample_by_its_distance_from_the_target_and_from_the_others(seed, baseline):
    samples, greedy, y = _random_group(seed)
    found = _sampled(samples, greedy, y, "crps", baseline)

    def score(value, others, target):
        return -abs(value - target) + np.mean([abs(value - other) for other in others])

    for row, s in np.ndindex(samples.shape):
        others = np.delete(samples[row], s)
        if baseline == "greedy":
            start = score(greedy[row], others, y[row])
        else:  # the mean score of the others among themselves
            start = np.mean([score(v, np.delete(others, i), y[row]) for i, v in enumerate(others)])
        assert found[row, s] == pytest.approx(score(samples[row, s], others, y[row]) - start)


@pytest.mark.parametrize(("reward", "baseline"), [*itertools.product(["rail", "crps"], BASELINES)])
def test_the_baseline_of_a_sample_does_not_depend_on_the_sample(reward, baseline):
    # What keeps the gradient unbiased: A(v_s) − A(v_s') is the difference of scores alone.
    samples, greedy, y = _random_group(0)
    moved = samples.copy()
    moved[:, 2] += 0.7
    change = (_sampled(moved, greedy, y, reward, baseline)
              - _sampled(samples, greedy, y, reward, baseline))[:, 2]  # fmt: skip
    others = np.delete(samples, 2, axis=1)
    if reward == "rail":
        expected = -2 * (others.mean(1) - y) * 0.7
    else:

        def score(v):
            return -np.abs(v - y) + np.abs(v[:, None] - others).mean(1)

        expected = score(moved[:, 2]) - score(samples[:, 2])
    assert change == pytest.approx(expected)


@pytest.mark.parametrize(("reward", "baseline"), [*itertools.product(REWARDS, BASELINES)])
def test_rows_do_not_influence_each_other(reward, baseline):
    samples, greedy, y = _random_group(0)
    together = _sampled(samples, greedy, y, reward, baseline)
    for row in range(len(y)):
        alone = _sampled(samples[[row]], greedy[[row]], y[[row]], reward, baseline)
        assert alone[0] == pytest.approx(together[row])


# Callables


@pytest.mark.parametrize("baseline", BASELINES)
def test_a_callable_equal_to_a_named_reward_gives_its_advantages(baseline):
    samples, greedy, y = _random_group(0)
    found = _sampled(samples, greedy, y, lambda v, y: -((v - y) ** 2), baseline)
    assert found == pytest.approx(_sampled(samples, greedy, y, "mse", baseline))
    values, probs = torch.linspace(-2, 2, 6).double(), torch.full((4, 6), 1 / 6).double()
    exact = [
        exact_advantages(values, probs, torch.tensor(greedy), torch.tensor(y), reward, baseline)
        for reward in (lambda v, y: -((v - y) ** 2), "mse")
    ]
    assert torch.allclose(*exact)


def test_a_callable_gets_numpy_arrays_of_samples_and_targets():
    seen = []

    def reward(samples, y):
        seen.append((samples, y))
        return np.zeros(samples.shape)

    samples, greedy, y = torch.randn(3, 4, requires_grad=True), torch.randn(3), torch.randn(3)
    advantages = sampled_advantages(samples, greedy, y, reward, "greedy")
    exact_advantages(torch.arange(7.0), torch.full((3, 7), 1 / 7), greedy, y, reward, "group")
    assert [(a.shape, b.shape) for a, b in seen] == [
        ((3, 4), (3, 1)), ((3, 1), (3, 1)), ((3, 7), (3, 1))
    ]  # fmt: skip
    for pair in seen:
        assert all(type(a) is np.ndarray and a.dtype == np.float64 for a in pair)
    assert np.array_equal(seen[0][0], samples.detach().double().numpy())
    assert np.array_equal(seen[0][1][:, 0], y.double().numpy())
    assert np.array_equal(seen[1][0][:, 0], greedy.double().numpy())
    assert advantages.dtype == torch.float32


def test_a_callable_may_return_integers_or_lists():
    samples, greedy, y = _random_group(0, n_rows=2, n_samples=3)
    found = _sampled(samples, greedy, y, lambda v, y: [[1, 2, 3], [0, 0, 0]], "group")
    assert found.tolist() == [[-1, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("returned", "what"),
    [
        (lambda v, y: -np.abs(v - y).mean(1), r"returned shape \(4,\) for samples of shape \(4, 5"),
        (lambda v, y: -np.abs(v - y).mean(1, keepdims=True), r"returned shape \(4, 1\)"),
        (lambda v, y: 0.0, r"returned shape \(\)"),
        (lambda v, y: np.where(v > 0, np.nan, 1.0), "returned values that are not finite"),
        (lambda v, y: np.full(v.shape, -np.inf), "returned values that are not finite"),
    ],
)
def test_a_callable_must_return_one_finite_number_per_sample(returned, what):
    samples, greedy, y = _random_group(0)
    with pytest.raises(ValueError, match=what + r".*It must return one finite number per sample"):
        _sampled(samples, greedy, y, returned, "group")


# All leaves


@pytest.mark.parametrize(("reward", "baseline"), [*itertools.product(REWARDS, BASELINES)])
def test_exact_advantages_are_those_of_infinitely_many_samples(reward, baseline):
    rng = np.random.default_rng(0)
    values, probs = np.array([-1.0, 0.0, 0.5, 3.0]), rng.dirichlet(np.ones(4), 3)
    greedy, y = values[[0, 2, 3]], rng.normal(size=3)
    found = exact_advantages(
        *map(torch.as_tensor, (values, probs, greedy, y)), reward, baseline
    ).numpy()

    def score(v, row):
        p = probs[row]
        if reward == "rail":
            return -2 * (p @ values - y[row]) * v
        if reward == "crps":
            return -abs(v - y[row]) + p @ np.abs(v - values)
        return -(abs(v - y[row]) ** {"mse": 2, "mae": 1}[reward])

    for row, leaf in np.ndindex(probs.shape):
        start = score(greedy[row], row)
        if baseline != "greedy":
            start = sum(p * score(v, row) for p, v in zip(probs[row], values, strict=True))
        assert found[row, leaf] == pytest.approx(score(values[leaf], row) - start)


@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("baseline", ["group", "others"])
def test_the_exact_group_baseline_centres_the_advantages(reward, baseline):
    values, probs = torch.linspace(-2, 2, 9).double(), torch.rand(3, 9).double().softmax(1)
    found = exact_advantages(values, probs, values[:3], torch.randn(3).double(), reward, baseline)
    assert torch.allclose((probs * found).sum(1), torch.zeros(3).double(), atol=1e-12)


def test_metrics_are_the_weighted_error_and_the_spread_of_each_row():
    samples = torch.tensor([[0.0, 1.0, 5.0], [2.0, 2.0, 2.0]])
    weights = torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.3, 0.5]])
    found = sample_metrics(samples, torch.tensor([1.0, 0.0]), weights)
    assert found["sample_mse"].tolist() == pytest.approx([0.5 + 4, 4])
    assert found["sample_spread"].tolist() == pytest.approx([(6.5 - 1.5**2) ** 0.5, 0], abs=1e-6)


# Scaling


def _weighted(seed=0):
    rng = np.random.default_rng(seed)
    advantages = rng.normal(size=(3, 4)) * [[0.01], [1.0], [50.0]] + [[0.0], [2.0], [-3.0]]
    return advantages, rng.dirichlet(np.ones(4), 3)


def _scaled(advantages, weights, how):
    return scale_advantages(torch.as_tensor(advantages), torch.as_tensor(weights), how).numpy()


def test_false_leaves_advantages_as_they_are():
    advantages, weights = _weighted()
    assert np.array_equal(_scaled(advantages, weights, False), advantages)


def test_group_divides_each_row_by_its_own_weighted_deviation():
    advantages, weights = _weighted()
    centre = (weights * advantages).sum(1, keepdims=True)
    deviation = np.sqrt((weights * (advantages - centre) ** 2).sum(1, keepdims=True))
    assert np.allclose(_scaled(advantages, weights, "group"), advantages / deviation, rtol=1e-3)


def test_batch_divides_all_rows_by_one_deviation_over_the_batch():
    advantages, weights = _weighted()
    pooled = weights / 3
    centre = (pooled * advantages).sum()
    deviation = np.sqrt((pooled * (advantages - centre) ** 2).sum())
    assert np.allclose(_scaled(advantages, weights, "batch"), advantages / deviation, rtol=1e-5)


def test_group_and_batch_agree_on_a_single_row():
    advantages, weights = _weighted()
    group, batch = (_scaled(advantages[[1]], weights[[1]], how) for how in ("group", "batch"))
    assert group == pytest.approx(batch)


@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("n_samples", [3, 6, 7, 16])
def test_a_row_whose_samples_agree_gets_no_scaled_advantage(reward, baseline, n_samples):
    # Also where the agreed advantage is not zero (they differ from the greedy number), and where
    # the mean of equal float32 numbers is off by a rounding.
    generator = torch.Generator().manual_seed(0)
    agreed = torch.randn(200, 1, generator=generator)
    y, greedy = torch.randn(2, 200, generator=generator)
    samples = agreed.expand(-1, n_samples).contiguous()
    advantages = sampled_advantages(samples, greedy, y, reward, baseline)
    weights = torch.full_like(advantages, 1 / n_samples)
    assert (scale_advantages(advantages, weights, "group") == 0).all()
    one_row = scale_advantages(advantages[:1], weights[:1], "batch")
    assert (one_row == 0).all()


def test_a_row_without_spread_does_not_disturb_the_batch():
    advantages = torch.tensor([[0.0, 0.0, 0.0], [-1.0, 0.0, 1.0]])
    scaled = scale_advantages(advantages, torch.full((2, 3), 1 / 3), "batch")
    assert scaled[0].tolist() == [0, 0, 0]
    assert scaled[1].tolist() == pytest.approx([-(3**0.5), 0, 3**0.5], rel=1e-4)


def test_moments_of_parts_add_up_and_weights_count_rows():
    advantages, weights = map(torch.as_tensor, _weighted())
    counts = torch.tensor([2.0, 0.0, 1.0])
    whole = moments(advantages, weights, counts)
    parts = [moments(advantages[i], weights[i], counts[i]) for i in (slice(0, 1), slice(1, 3))]
    assert torch.allclose(sum(parts), whole)
    copies = torch.tensor([0, 0, 2])
    expected = moments(advantages[copies], weights[copies], torch.ones(3))
    assert torch.allclose(whole, expected)
    found = scale_advantages(advantages, weights, "batch", whole)[copies]
    assert torch.allclose(found, scale_advantages(advantages[copies], weights[copies], "batch"))


@pytest.mark.parametrize("baseline", ["group", "others", "greedy"])
def test_large_rewards_of_ones_own_keep_their_differences(baseline):
    # In float32 these would all be equal, or infinite.
    samples, y = torch.tensor([[0.0, 1.0, 2.0, 1.0]]), torch.tensor([0.0])
    shifted, plain = (
        sampled_advantages(samples, samples[:, 1], y, reward, baseline)
        for reward in (lambda v, y: 1e12 - np.abs(v - y), lambda v, y: -np.abs(v - y))
    )
    assert shifted.dtype == torch.float32
    torch.testing.assert_close(shifted, plain, rtol=1e-3, atol=0)


@pytest.mark.parametrize("baseline", ["group", "greedy"])
def test_rewards_beyond_the_precision_are_refused(baseline):
    def huge(samples, y):
        return -1e300 * np.abs(samples - y)

    y, values = torch.tensor([0.0]), torch.tensor([0.0, 1.0, 2.0])
    with pytest.raises(
        ValueError, match=r"huge.*differ by up to .*e\+300, more than torch\.float32"
    ):
        sampled_advantages(values[None], values[:1], y, huge, baseline)
    with pytest.raises(ValueError, match=r"more than torch\.float32 holds"):
        exact_advantages(values, torch.tensor([[0.2, 0.3, 0.5]]), values[:1], y, huge, baseline)


# -- what held-out rows are judged by ----------------------------------------------------------


@pytest.mark.parametrize("reward", [*REWARDS, "clipped_mse", lambda v, y: -(np.abs(v - y) ** 3)])
def test_the_expected_reward_is_the_sum_over_all_numbers(reward):
    rng = np.random.default_rng(1)
    values, y = np.sort(10 * rng.normal(size=7)), rng.normal(size=3)
    p = rng.dirichlet(np.ones(7), 3)
    found = expected_reward(torch.tensor(p).log(), torch.tensor(values), torch.tensor(y), reward)
    error = values - y[:, None]
    single = {
        "mse": -(error**2), "mae": -np.abs(error), "clipped_mse": -np.minimum(error**2, 50),
    }  # fmt: skip
    if reward == "rail":
        expected = -((p @ values - y) ** 2)
    elif reward == "crps":
        pairs = np.abs(values[:, None] - values)
        expected = -(p * np.abs(error)).sum(1) + (p @ pairs * p).sum(1) / 2
    elif callable(reward):
        expected = (p * reward(values, y[:, None])).sum(1)
    else:
        expected = (p * single[reward]).sum(1)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("reward", ["clipped_mse", "quantile_mse"])
def test_a_clipped_reward_is_the_squared_error_up_to_fifty(reward):
    samples = torch.tensor([[0.0, 3.0, 100.0]])
    greedy = torch.tensor([0.0])
    found = sampled_advantages(samples, greedy, torch.tensor([0.0]), reward, "greedy")
    assert found.tolist() == [[0.0, -9.0, -50.0]]
