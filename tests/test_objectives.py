"""The objectives' mathematics against enumeration, integration and each other."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError
from torch.autograd import gradcheck

from llmreg import NumericDistribution
from llmreg.numbers.codecs import DigitCodec
from llmreg.numbers.policy import NumberPolicy, Targets, ZScale
from llmreg.objectives import (
    CE,
    GRPO,
    METHODS,
    RAFT,
    Objective,
    ReMax,
    SoftCE,
    fit_methods,
    resolve_method,
)
from llmreg.objectives import functional as F

# Six uneven bins; the leaves stand for their midpoints.
EDGES = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.25, 1.0, 3.0], dtype=torch.float64)
BINS = torch.stack([EDGES[:-1], EDGES[1:]], 1)
VALUES = BINS.mean(1)
REWARDS = ["mse", "mae", "rail", "crps"]
ALIGNERS = [GRPO, ReMax]


def _random_log_probs(n_rows=3, seed=0, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(n_rows, 6, generator=generator, dtype=torch.float64)
    return logits.log_softmax(1), torch.randn(n_rows, generator=generator, dtype=torch.float64)


# Pure functions


@pytest.mark.parametrize("sigma", [0.05, 0.15, 1.0, 20.0])
def test_bin_mass_is_the_integral_of_the_gaussian_over_each_bin(sigma):
    y = torch.tensor([-1.7, -0.5, 0.1, 0.7, 2.0], dtype=torch.float64)
    found = F.bin_mass(y, BINS, sigma)
    for row, centre in enumerate(y.tolist()):
        mass = []
        for low, high in BINS.tolist():
            grid = np.linspace(low, high, 20_001)
            middle = (grid[1:] + grid[:-1]) / 2
            mass.append(stats.norm.pdf(middle, centre, sigma).mean() * (high - low))
        assert found[row].numpy() == pytest.approx(np.array(mass) / sum(mass), abs=1e-6)


def test_bin_mass_sums_to_one_however_far_the_target_is():
    y = torch.tensor([-1e6, -50.0, -2.0, 0.3, 3.0, 7.0, 1e6])
    for sigma in (1e-3, 0.15, 5.0):
        found = F.bin_mass(y, BINS.float(), sigma)
        assert torch.allclose(found.sum(1), torch.ones(7))
        assert (found >= 0).all()


def test_a_target_far_outside_goes_to_the_nearest_bin():
    found = F.bin_mass(torch.tensor([-50.0, 50.0]), BINS.float(), 0.15)
    assert found.tolist() == [[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]]


def test_bin_mass_keeps_its_tails_in_single_precision():
    edges = torch.linspace(-1, 1, 101, dtype=torch.float64)
    bins = torch.stack([edges[:-1], edges[1:]], 1)
    y = torch.tensor([-0.9, 0.0, 0.9], dtype=torch.float64)
    exact = F.bin_mass(y, bins, 0.15)
    single = F.bin_mass(y.float(), bins.float(), 0.15).double()
    assert exact.min() < 1e-30
    seen = exact > 1e-30
    assert torch.allclose(single[seen], exact[seen], rtol=1e-3, atol=0)


def test_bins_without_width_take_no_mass_and_make_no_nan():
    edges = torch.tensor([0.0, 1.0, 1.0, 2.0])
    found = F.bin_mass(torch.tensor([1.0]), torch.stack([edges[:-1], edges[1:]], 1), 0.1)
    assert found[0].tolist() == pytest.approx([0.5, 0, 0.5])
    constant = F.bin_mass(torch.tensor([4.0]), torch.full((3, 2), 4.0), 0.1)
    assert float(constant.sum()) == 1.0


def test_soft_cross_entropy_is_the_mean_log_loss():
    log_probs, _ = _random_log_probs()
    weights = torch.rand(3, 6, dtype=torch.float64).softmax(1)
    expected = [
        -sum(w * lp for w, lp in zip(row, other, strict=True))
        for row, other in zip(weights.tolist(), log_probs.tolist(), strict=True)
    ]
    assert F.soft_cross_entropy(log_probs, weights).tolist() == pytest.approx(expected)
    # Smallest where the distribution equals the weights.
    assert (F.soft_cross_entropy(log_probs, log_probs.exp())
            < F.soft_cross_entropy(log_probs.roll(1, 1), log_probs.exp())).all()  # fmt: skip


def test_expected_squared_error_is_that_of_the_enumerated_mean():
    log_probs, y = _random_log_probs()
    for row, found in enumerate(F.expected_squared_error(log_probs, VALUES, y).tolist()):
        mean = sum(np.exp(lp) * v for lp, v in zip(log_probs[row].tolist(), VALUES, strict=True))
        assert found == pytest.approx(float(mean - y[row]) ** 2)


def test_crps_equals_its_enumeration_and_that_of_the_distribution_of_atoms():
    log_probs, _ = _random_log_probs()
    probs = log_probs.exp().numpy()
    values = VALUES.numpy()
    for y in (-9.0, -0.6, float(values[3]), 2.5):
        found = F.crps(log_probs, VALUES, torch.full((3,), y, dtype=torch.float64))
        atoms = NumericDistribution(probs, values, values)
        assert found.numpy() == pytest.approx(atoms.crps(np.full(3, y)))
        for row in range(3):
            pairs = itertools.product(zip(probs[row], values, strict=True), repeat=2)
            spread = sum(p * q * abs(v - w) for (p, v), (q, w) in pairs)
            assert found[row].item() == pytest.approx(probs[row] @ abs(values - y) - spread / 2)


def test_categorical_kl_is_zero_for_equal_and_positive_for_other_distributions():
    p, q = _random_log_probs()[0], _random_log_probs(seed=1)[0]
    expected = [stats.entropy(a, b) for a, b in zip(p.exp().numpy(), q.exp().numpy(), strict=True)]
    assert F.categorical_kl(p, q).tolist() == pytest.approx(expected)
    assert (F.categorical_kl(p, q) > 0.01).all()
    assert F.categorical_kl(p, p).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "function",
    [
        lambda lp, y: F.soft_cross_entropy(lp, F.bin_mass(y, BINS, 0.4)),
        lambda lp, y: F.expected_squared_error(lp, VALUES, y),
        lambda lp, y: F.crps(lp, VALUES, y),
        lambda lp, y: F.categorical_kl(lp, _random_log_probs(seed=1)[0]),
        lambda lp, y: F.bin_mass(y, BINS, 0.4),
    ],
)
def test_gradients_are_those_of_finite_differences(function):
    logits, y = _random_log_probs()
    logits.requires_grad_(), y.requires_grad_()
    assert gradcheck(lambda a, b: function(a.log_softmax(1), b), (logits, y))


# Policy gradients


class FreePolicy:
    """A policy whose parameters are the logits of the leaves, one row of them per row."""

    def __init__(self, logits, seed=0):
        self.logits = logits
        self.seed = seed
        self.leaf_z, self.leaf_edges_z = VALUES.to(logits), BINS.to(logits)

    def leaf_log_probs(self, temperature=1.0):
        return (self.logits / temperature).log_softmax(1)

    def log_prob_of(self, leaf):
        return self.leaf_log_probs().gather(1, leaf.unsqueeze(1)).squeeze(1)

    def sample(self, num_generations, temperature=1.0):
        log_probs = self.leaf_log_probs(temperature)
        generator = torch.Generator().manual_seed(self.seed)
        leaves = torch.multinomial(
            log_probs.detach().exp(), num_generations, replacement=True, generator=generator
        )
        return leaves, log_probs.gather(1, leaves)

    def greedy(self):
        return self.logits.argmax(1)

    def kl_to_reference(self):
        return F.categorical_kl(self.leaf_log_probs(), torch.full_like(self.logits, -np.log(6)))


LOGITS = torch.tensor([0.3, -0.5, 1.0, 0.0, -1.2, 0.4], dtype=torch.float64)
TARGET = 0.6


def _free(n_rows, logits=LOGITS, y=TARGET, seed=0):
    """n equal rows with parameters of their own: every row is one independent draw."""
    logits = logits.repeat(n_rows, 1).requires_grad_()
    z = torch.full((n_rows,), y, dtype=torch.float64)
    leaf = (BINS[:, 0] <= y).sum().sub(1).repeat(n_rows)
    return FreePolicy(logits, seed), Targets(z=z, leaf=leaf, weight=torch.ones_like(z))


def _row_gradients(objective, n_rows=1, seed=0):
    policy, targets = _free(n_rows, seed=seed)
    loss, _ = objective.loss(policy, targets)
    assert loss.shape == (n_rows,)
    loss.sum().backward()
    return policy.logits.grad


def _autograd(function, temperature=1.0):
    logits = LOGITS.clone().requires_grad_()
    log_probs = (logits / temperature).log_softmax(0).unsqueeze(0)
    function(log_probs).sum().backward()
    return logits.grad


def _pinball(v, y):
    return -np.maximum(0.8 * (y - v), 0.2 * (v - y))


def _objective_of(reward):
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
@pytest.mark.parametrize("reward", [*REWARDS, _pinball])
@pytest.mark.parametrize("method", ALIGNERS)
def test_the_exact_gradient_is_that_of_what_the_reward_stands_for(method, reward, temperature):
    objective = method("exact", reward=reward, temperature=temperature, scale_rewards=False)
    found = _row_gradients(objective)[0]
    assert torch.allclose(found, _autograd(_objective_of(reward), temperature), atol=1e-12)
    assert found.abs().max() > 0.01


@pytest.mark.parametrize("num_generations", [3, 5])
@pytest.mark.parametrize("reward", [*REWARDS, _pinball])
@pytest.mark.parametrize("method", ALIGNERS)
def test_the_sampled_gradient_is_the_exact_one_on_average(method, reward, num_generations):
    n_rows, temperature = 20_000, 1.3
    sampled = method(num_generations, reward=reward, temperature=temperature, scale_rewards=False)
    gradients = _row_gradients(sampled, n_rows)
    expected = _autograd(_objective_of(reward), temperature)
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
    objective = method("exact", reward=reward, scale_rewards=False)
    found = gradient(objective.loss(policy, Targets(z=y, leaf=y.long(), weight=torch.ones(3)))[0])
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
    policy, targets = _free(4)
    policy = AgreeingPolicy(policy.logits)
    objective = method(num_generations, reward=reward, scale_rewards=scale_rewards)
    loss, metrics = objective.loss(policy, targets)
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
    policy, targets = _free(4, certain)
    objective = method("exact", reward=reward, scale_rewards=scale_rewards)
    loss, _ = objective.loss(policy, targets)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert (policy.logits.grad == 0).all()


def test_agreeing_samples_that_differ_from_the_greedy_number_do_not_explode():
    # With G = 3 draws, rows whose draws agree on another number than the greedy one are common.
    policy, targets = _free(500)
    objective = ReMax(3, reward="mse", scale_rewards="group")
    loss, _ = objective.loss(policy, targets)
    loss.sum().backward()
    assert policy.logits.grad.abs().max() < 1e3


def test_metrics_are_the_error_and_the_spread_of_the_samples():
    policy, targets = _free(1)
    _, metrics = GRPO("exact").loss(policy, targets)
    probs = LOGITS.softmax(0)
    mean = probs @ VALUES
    assert metrics["sample_mse"] == pytest.approx(float(probs @ (VALUES - TARGET) ** 2))
    assert metrics["sample_spread"] == pytest.approx(float((probs @ (VALUES - mean) ** 2) ** 0.5))
    assert "kl" not in metrics


def test_beta_adds_the_kl_to_the_loss_and_to_the_metrics():
    policy, targets = _free(2)
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
    objective = method(num_generations, reward=reward, scale_rewards="batch")
    policy, targets = _free(5)
    policy.logits = torch.randn(5, 6, dtype=torch.float64)
    targets = Targets(
        z=torch.linspace(-2, 2, 5).double(),
        leaf=targets.leaf,
        weight=torch.tensor([1.0, 3, 0, 1, 2]),
    )
    leaves, _ = policy.sample(4)
    whole, _ = objective.loss(policy, targets)

    def part(rows):
        """The rows of a part, with the draws that they had."""
        some = FreePolicy(policy.logits[rows])
        some.sample = lambda n, t=1.0: (
            leaves[rows], some.leaf_log_probs(t).gather(1, leaves[rows])
        )  # fmt: skip
        return some, Targets(targets.z[rows], targets.leaf[rows], targets.weight[rows])

    parts = [part(slice(0, 2)), part(slice(2, 5))]
    statistics = sum(objective.statistics(*some) for some in parts)
    found = torch.cat([objective.loss(*some, statistics)[0] for some in parts])
    assert torch.allclose(found, whole, rtol=1e-9)
    alone = torch.cat([objective.loss(*some)[0] for some in parts])
    assert not torch.allclose(alone, whole, rtol=1e-3)


@pytest.mark.parametrize("method", [CE(), SoftCE(), RAFT(), GRPO(scale_rewards=False)])
def test_where_rows_do_not_see_one_another_there_are_no_statistics(method):
    assert method.statistics(None, None) is None


def test_numbers_drawn_per_row_are_known_beforehand():
    assert [m.num_draws for m in (CE(), RAFT(), GRPO(7), ReMax("exact"))] == [0, 0, 7, 0]


# First-stage losses


def test_cross_entropy_is_the_targets_log_loss():
    policy, targets = _free(2)
    loss, metrics = CE().loss(policy, targets)
    assert loss.tolist() == pytest.approx([-float(LOGITS.log_softmax(0)[4])] * 2)
    assert metrics == {}


def test_raft_is_the_squared_error_of_the_mean():
    policy, targets = _free(1)
    loss, _ = RAFT().loss(policy, targets)
    assert loss.item() == pytest.approx(float(LOGITS.softmax(0) @ VALUES - TARGET) ** 2)


def test_soft_cross_entropy_is_smoothed_log_loss_plus_the_weighted_error_of_the_mean():
    policy, targets = _free(1)
    weights = np.diff(stats.norm.cdf(EDGES.numpy(), TARGET, 0.3))
    smooth = -(weights / weights.sum()) @ LOGITS.log_softmax(0).numpy()
    error = float(LOGITS.softmax(0) @ VALUES - TARGET) ** 2
    for weight in (0.0, 0.7):
        loss, _ = SoftCE(0.3, mean_weight=weight).loss(policy, targets)
        assert loss.item() == pytest.approx(smooth + weight * error)


# Parameters


def _other_values():
    yield SoftCE, dict(sigma=0.4)
    yield SoftCE, dict(mean_weight=0.2)
    for method in ALIGNERS:
        defaults = method().get_params()
        for name, values in {
            "num_generations": [5, "exact"], "reward": [*REWARDS, _pinball],
            "temperature": [0.5, 2.0], "beta": [0.3], "scale_rewards": ["group", "batch", False],
        }.items():  # fmt: skip
            for value in values:
                if value != defaults[name]:
                    yield method, {name: value}


@pytest.mark.parametrize(("method", "changed"), list(_other_values()))
def test_every_parameter_changes_the_gradient(method, changed):
    before, after = (_row_gradients(m, n_rows=8) for m in (method(), method(**changed)))
    assert (before - after).abs().max() > 1e-3


@pytest.mark.parametrize("method", ALIGNERS)
def test_the_draws_decide_the_loss(method):
    first, again, other = (_row_gradients(method(), n_rows=8, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("method", "name", "values"),
    [
        (SoftCE, "sigma", [0, -1, "wide", None]),
        (SoftCE, "mean_weight", [-0.1, "much"]),
        *[
            (method, name, values)
            for method in ALIGNERS
            for name, values in [
                ("num_generations", [2, 0, 4.0, "all", None]),
                ("reward", ["rmse", None, 1]),
                ("temperature", [0, -1, "hot"]),
                ("beta", [-0.1, None]),
                ("scale_rewards", [True, "row", None]),
            ]
        ],
    ],
)
def test_illegal_values_are_refused_by_name(method, name, values):
    for value in values:
        with pytest.raises(InvalidParameterError, match=f"'{name}' parameter of {method.__name__}"):
            method(**{name: value}).validate()


@pytest.mark.parametrize("method", METHODS.values())
def test_defaults_are_legal_and_survive_clone(method):
    objective = method()
    objective.validate()
    assert clone(objective).get_params() == objective.get_params()


def test_the_group_and_the_greedy_number_are_the_two_baselines():
    assert (GRPO.baseline, ReMax.baseline) == ("group", "greedy")
    assert GRPO().get_params() | dict(reward="mse", scale_rewards=False) == ReMax().get_params()


# Names


def test_a_name_makes_the_method_with_its_defaults():
    for name, method in METHODS.items():
        found = resolve_method(name, "fit_method")
        assert type(found) is method
        assert found.get_params() == method().get_params()


def test_a_reward_replaces_that_of_a_named_method():
    assert resolve_method("grpo", "align_method", reward="mae").reward == "mae"
    assert resolve_method("remax", "align_method", reward=_pinball).reward is _pinball
    assert resolve_method("grpo", "align_method").reward == "crps"


def test_an_objective_is_copied_not_kept():
    given = GRPO(5, beta=0.1)
    found = resolve_method(given, "align_method")
    assert found is not given
    assert found.get_params() == given.get_params()


def test_an_unknown_name_is_answered_with_all_methods():
    with pytest.raises(ValueError, match="fit_method='ppo' is not a method") as error:
        resolve_method("ppo", "fit_method")
    for name in METHODS:
        assert f"{name!r}: " in str(error.value)


@pytest.mark.parametrize("value", ["ce", "soft_ce", "raft", CE(), RAFT()])
def test_a_reward_for_a_method_without_one_is_an_error(value):
    with pytest.raises(ValueError, match=r"reward='mse' has no meaning with fit_method="):
        resolve_method(value, "fit_method", reward="mse")


def test_a_reward_given_twice_is_an_error():
    with pytest.raises(ValueError, match=r"reward='mse' was given twice.*reward='mae'"):
        resolve_method(GRPO(reward="mae"), "align_method", reward="mse")


@pytest.mark.parametrize("value", [None, 3, GRPO, ["ce"]])
def test_anything_else_is_a_type_error(value):
    with pytest.raises(
        TypeError, match=r"fit_method must be a name \(ce, .*grpo\) or an objective"
    ):
        resolve_method(value, "fit_method")


def test_illegal_parameters_are_found_when_a_method_is_resolved():
    with pytest.raises(InvalidParameterError, match="'sigma' parameter of SoftCE"):
        resolve_method(SoftCE(sigma=-1), "fit_method")
    with pytest.raises(InvalidParameterError, match="'reward' parameter of GRPO"):
        resolve_method("grpo", "align_method", reward="rmse")


def test_fit_methods_lists_every_name_with_what_it_does():
    table = fit_methods()
    assert list(table.index) == list(METHODS) == ["ce", "soft_ce", "raft", "remax", "grpo"]
    assert table.index.name == "name"
    assert table["class"].tolist() == ["CE", "SoftCE", "RAFT", "ReMax", "GRPO"]
    assert table["stage"].tolist() == ["sft", "sft", "align", "align", "align"]
    assert table.loc["soft_ce", "parameters"] == {"sigma": 0.2, "mean_weight": 1.0}
    assert all(len(summary) > 20 and "\n" not in summary for summary in table["summary"])


def test_a_method_of_ones_own_is_accepted():
    class Own(Objective):
        def __init__(self, power=2):
            self.power = power

        def loss(self, policy, targets, statistics=None):
            return (policy.leaf_log_probs().exp() @ policy.leaf_z - targets.z) ** self.power, {}

    assert resolve_method(Own(4), "fit_method").power == 4
    assert _row_gradients(resolve_method(Own(), "fit_method")).abs().max() > 0
    policy, targets = _free(1)
    with pytest.raises(NotImplementedError):
        Objective().loss(policy, targets)
