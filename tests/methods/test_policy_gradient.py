"""Policy gradients: sampled and exact, against the gradient of what the reward stands for."""

import numpy as np
import pytest
import torch
from free_policies import (
    LOGITS,
    TARGET,
    TARGETS,
    VALUES,
    FreePolicy,
    free_rows,
    pinball,
    row_gradients,
    tree_rows,
)
from scipy import stats

from llmreg.codecs.digits import DigitCodec
from llmreg.methods import GRPO, RLOO, ReMax
from llmreg.methods import functional as F
from llmreg.training.policy import NumberPolicy, Targets, ZScale

REWARDS = ["mse", "mae", "rail", "crps"]
ALIGNERS = [GRPO, ReMax, RLOO]


def _autograd(function, temperature=1.0):
    logits = LOGITS.clone().requires_grad_()
    log_probs = (logits / temperature).log_softmax(0).unsqueeze(0)
    function(log_probs).sum().backward()
    return logits.grad


def _goal_of(reward):
    """What a reward maximises, negated, as a function of the log-probabilities."""
    y = torch.tensor([TARGET], dtype=torch.float64)
    if reward == "rail":
        return lambda lp: F.expected_squared_error(lp, VALUES, y)
    if reward == "crps":
        return lambda lp: F.crps(lp, VALUES, y)
    if callable(reward):
        values = torch.as_tensor(reward(VALUES.numpy(), TARGET))
        return lambda lp: -(lp.exp() * values).sum(1)
    power = {"mse": 2, "mae": 1}[reward]
    return lambda lp: (lp.exp() * (VALUES - y).abs() ** power).sum(1)


@pytest.mark.parametrize("temperature", [1.0, 1.7])
@pytest.mark.parametrize("reward", [*REWARDS, pinball])
@pytest.mark.parametrize("method", ALIGNERS)
def test_the_exact_gradient_is_that_of_what_the_reward_stands_for(method, reward, temperature):
    built = method("exact", reward=reward, temperature=temperature, scale_rewards=False)
    found = row_gradients(built)[0]
    assert torch.allclose(found, _autograd(_goal_of(reward), temperature), atol=1e-12)
    assert found.abs().max() > 0.01


@pytest.mark.parametrize("num_generations", [3, 5])
@pytest.mark.parametrize("reward", [*REWARDS, pinball])
@pytest.mark.parametrize("method", ALIGNERS)
def test_the_sampled_gradient_is_the_exact_one_on_average(method, reward, num_generations):
    n_rows, temperature = 20_000, 1.3
    sampled = method(num_generations, reward=reward, temperature=temperature, scale_rewards=False)
    gradients = row_gradients(sampled, n_rows)
    expected = _autograd(_goal_of(reward), temperature)
    if method is GRPO and reward not in ("rail", "crps"):
        expected = expected * (1 - 1 / num_generations)  # the mean includes the sample itself
    error = gradients.mean(0) - expected
    standard_error = gradients.std(0) / n_rows**0.5
    assert (error.abs() <= 4.5 * standard_error).all()
    assert (standard_error < 0.2 * expected.abs().max()).all()  # the test could fail


@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("method", ALIGNERS)
def test_gradients_reach_the_weights_of_a_model(method, reward, build_model, random_batch):
    """The same identity with a language model below, whose leaves share weights."""
    codec = DigitCodec(4, 2).fit([0.0, 8.0])
    model = build_model("llama", codec)
    batch = random_batch((5, 2, 4))
    scale = ZScale.from_tree(model.tree, 4.0, 2.0, "cpu", torch.float32)
    y = torch.tensor([-1.0, 0.3, 1.5])

    def gradient(loss):
        model.zero_grad()
        loss.sum().backward()
        return model.lm.get_input_embeddings().weight.grad.clone()

    policy = NumberPolicy(model, batch, scale)
    built = method("exact", reward=reward, scale_rewards=False)
    found = gradient(built.loss(policy, Targets(z=y, leaf=y.long(), weight=torch.ones(3)))[0])
    log_probs = NumberPolicy(model, batch, scale).leaf_log_probs()
    if reward == "rail":
        loss = F.expected_squared_error(log_probs, scale.leaf, y)
    elif reward == "crps":
        loss = F.crps(log_probs, scale.leaf, y)
    else:
        gap = (scale.leaf - y.unsqueeze(1)).abs()
        loss = (log_probs.exp() * (gap**2 if reward == "mse" else gap)).sum(1)
    expected = gradient(loss)
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))


class AgreeingPolicy(FreePolicy):
    """All draws are leaf 2, though the policy is not certain of it."""

    def sample(self, num_generations, temperature=1.0):
        leaves = torch.full((len(self.logits), num_generations), 2)
        return leaves, self.leaf_log_probs(temperature).gather(1, leaves)


@pytest.mark.parametrize("scale_rewards", ["group", "batch"])
@pytest.mark.parametrize("num_generations", [3, 6, 7])
@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("method", ALIGNERS)
def test_draws_without_spread_give_no_gradient(method, reward, num_generations, scale_rewards):
    policy, targets = free_rows(4)
    policy = AgreeingPolicy(policy.logits)
    built = method(num_generations, reward=reward, scale_rewards=scale_rewards)
    loss, metrics = built.loss(policy, targets)
    loss.sum().backward()
    assert loss.tolist() == [0] * 4
    assert (policy.logits.grad == 0).all()
    assert metrics["sample_spread"].tolist() == pytest.approx([0] * 4, abs=1e-12)


@pytest.mark.parametrize("scale_rewards", ["group", "batch", False])
@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("method", ALIGNERS)
def test_a_certain_policy_has_no_gradient_instead_of_nan(method, reward, scale_rewards):
    certain = torch.full((6,), -1e4, dtype=torch.float64)
    certain[2] = 0.0
    policy, targets = free_rows(4, certain)
    built = method("exact", reward=reward, scale_rewards=scale_rewards)
    loss, _ = built.loss(policy, targets)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert (policy.logits.grad == 0).all()


def test_agreeing_samples_that_differ_from_the_greedy_number_do_not_explode():
    # With G = 3 draws, rows whose draws agree on another number than the greedy one are common.
    policy, targets = free_rows(500)
    built = ReMax(3, reward="mse", scale_rewards="group")
    loss, _ = built.loss(policy, targets)
    loss.sum().backward()
    assert policy.logits.grad.abs().max() < 1e3


def _normal_scores(z):
    """The normal quantile of a number's rank: linear between targets, cut off as far as 1e-7."""
    ranks = np.interp(z, TARGETS, np.linspace(0, 1, len(TARGETS)))
    return np.clip(stats.norm.ppf(ranks), -5.1993375821928165, 5.1993375821928165)


QUANTILE_REWARDS = {
    (method, compare_with): built(8, reward="quantile_mse", compare_with=compare_with)
    for method, built in {"grpo": GRPO, "remax": ReMax, "rloo": RLOO}.items()
    for compare_with in ("target", "written")
}


@pytest.mark.parametrize(("method", "compare_with"), QUANTILE_REWARDS)
def test_quantile_rewards_are_capped_errors_of_normal_scores(method, compare_with):
    built = QUANTILE_REWARDS[method, compare_with].set_params(scale_rewards=False)
    policy, targets = tree_rows(leaf=4, num_draws=8)  # "4", -0.875, is between -1.6 and -0.4
    leaves, log_probs = policy.sample(8)
    goal = float(targets.z[0] if compare_with == "target" else policy.leaf_z[4])
    goal = _normal_scores(goal)

    def pays(leaf):
        return -np.minimum((_normal_scores(policy.leaf_z[leaf].numpy()) - goal) ** 2, 50)

    rewards = pays(leaves[0])
    baseline = {
        "grpo": rewards.mean(), "remax": pays(policy.greedy())[0],
        "rloo": (rewards.sum() - rewards) / 7,
    }[method]  # fmt: skip
    expected = -np.mean((rewards - baseline) * log_probs[0].detach().numpy())
    assert built.loss(policy, targets)[0].item() == pytest.approx(expected)
    assert np.ptp(rewards) > 1


def test_the_expected_quantile_reward_chooses_weights():
    policy, targets = tree_rows(leaf=15)
    p = policy.leaf_log_probs()[0].exp().detach().numpy()
    scores, goal = (_normal_scores(z.numpy()) for z in (policy.leaf_z, targets.z))
    error = (scores - goal) ** 2
    assert (error > 50).any()
    found = ReMax(reward="quantile_mse").held_out_loss(policy, targets)
    assert found.item() == pytest.approx(p @ np.minimum(error, 50))


def test_metrics_are_the_error_and_the_spread_of_the_samples():
    policy, targets = free_rows(1)
    _, metrics = GRPO("exact").loss(policy, targets)
    probs = LOGITS.softmax(0)
    mean = probs @ VALUES
    assert metrics["sample_mse"] == pytest.approx(float(probs @ (VALUES - TARGET) ** 2))
    assert metrics["sample_spread"] == pytest.approx(float((probs @ (VALUES - mean) ** 2) ** 0.5))
    assert "kl" not in metrics


def test_beta_adds_the_kl_to_the_loss_and_to_the_metrics():
    policy, targets = free_rows(2)
    kl = policy.kl_to_reference().detach()
    plain, _ = GRPO("exact").loss(policy, targets)
    with_kl, metrics = GRPO("exact", beta=0.5).loss(policy, targets)
    assert torch.allclose(with_kl, plain + 0.5 * kl)
    assert torch.equal(metrics["kl"], kl)
    assert (kl > 0.1).all()


@pytest.mark.parametrize("num_generations", [4, "exact"])
@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("method", ALIGNERS)
def test_parts_of_a_batch_add_up_to_the_whole_one(method, reward, num_generations):
    built = method(num_generations, reward=reward, scale_rewards="batch")
    policy, targets = free_rows(5)
    policy.logits = torch.randn(5, 6, dtype=torch.float64)
    targets = Targets(
        z=torch.linspace(-2, 2, 5).double(),
        leaf=targets.leaf,
        weight=torch.tensor([1.0, 3, 0, 1, 2]),
    )
    leaves, _ = policy.sample(4)
    whole, _ = built.loss(policy, targets)

    def part(rows):
        """The rows of a part, with the draws that they had."""
        some = FreePolicy(policy.logits[rows])
        some.sample = lambda n, t=1.0: (
            leaves[rows], some.leaf_log_probs(t).gather(1, leaves[rows])
        )  # fmt: skip
        return some, Targets(targets.z[rows], targets.leaf[rows], targets.weight[rows])

    parts = [part(slice(0, 2)), part(slice(2, 5))]
    statistics = sum(built.statistics(*some) for some in parts)
    found = torch.cat([built.loss(*some, statistics)[0] for some in parts])
    assert torch.allclose(found, whole, rtol=1e-9)
    alone = torch.cat([built.loss(*some)[0] for some in parts])
    assert not torch.allclose(alone, whole, rtol=1e-3)


@pytest.mark.parametrize("reward", ["mse", "mae", pinball])
def test_leaving_one_out_undoes_the_factor_that_the_groups_mean_brings(reward):
    group, others = (
        row_gradients(method(5, reward=reward, scale_rewards=False), n_rows=8)
        for method in (GRPO, RLOO)
    )
    assert torch.allclose(group, others * (1 - 1 / 5))


@pytest.mark.parametrize("method", ALIGNERS)
def test_the_draws_decide_the_loss(method):
    first, again, other = (row_gradients(method(), n_rows=8, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_methods_differ_by_their_baseline_and_defaults():
    assert [method.baseline for method in ALIGNERS] == ["group", "greedy", "others"]
    assert GRPO().get_params() | dict(reward="mse", scale_rewards=False) == ReMax().get_params()
    assert RLOO().get_params() == ReMax().get_params()
