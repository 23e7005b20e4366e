"""GenRe²: the policy gradient and the expert, sampled and exact."""

import numpy as np
import pytest
import torch
from free_policies import tree_gradients, tree_rows

from llmreg import ScientificCodec
from llmreg.methods import GenRe2, ReMax

# The target of tree_rows() is leaf 6: the digits 1, 2.
ROOT, RIGHT = 1, 2


def _expert_cross_entropy(policy, leaf):
    """−log p of the expert's two symbols after the prefix of a number; by hand."""
    logits, first = policy.model.logits[0].detach(), leaf // 4
    second = RIGHT if first == ROOT else 0 if first > ROOT else 3
    steps = logits[0].log_softmax(0)[ROOT], logits[1 + first].log_softmax(0)[second]
    return -(steps[0] + steps[1]) / 2  # averaged over the steps


def test_the_experts_loss_is_its_cross_entropy_on_the_models_own_prefixes():
    method = GenRe2(4, expert_weight=0.3)
    policy, targets = tree_rows(num_draws=4)
    leaves, _ = policy.sample(4)
    assert len({leaf // 4 for leaf in leaves[0].tolist()}) > 1
    expected = torch.stack([_expert_cross_entropy(policy, leaf) for leaf in leaves[0].tolist()])
    loss, metrics = method.loss(policy, targets)
    assert metrics["expert_cross_entropy"].item() == pytest.approx(expected.mean().item())
    plain, _ = ReMax(4).loss(*tree_rows(num_draws=4))
    assert loss.item() == pytest.approx(plain.item() + 0.3 * expected.mean().item())


@pytest.mark.parametrize("temperature", [1.0, 1.6])
def test_the_exact_experts_loss_weighs_prefixes_by_their_probability(temperature):
    policy, targets = tree_rows()
    probs = policy.leaf_log_probs(temperature)[0].exp().detach()
    expected = sum(float(p) * _expert_cross_entropy(policy, k) for k, p in enumerate(probs))
    _, metrics = GenRe2("exact", temperature=temperature).loss(policy, targets)
    assert metrics["expert_cross_entropy"].item() == pytest.approx(float(expected))


@pytest.mark.parametrize("reward", ["mse", "mae", "rail", "crps"])
def test_the_sampled_gradient_is_the_exact_one_on_average(reward):
    n_rows = 10_000
    options = dict(reward=reward, temperature=1.3, expert_weight=1.0)
    gradients = tree_gradients(GenRe2(3, **options), n_rows=n_rows).flatten(1)
    expected = tree_gradients(GenRe2("exact", **options))[0].flatten()
    standard_error = gradients.std(0) / n_rows**0.5
    assert ((gradients.mean(0) - expected).abs() <= 5 * standard_error + 1e-12).all()
    assert (standard_error < 0.2 * expected.abs().max()).all()


@pytest.mark.parametrize("num_generations", [4, "exact"])
def test_without_the_expert_it_is_remax(num_generations):
    found = [
        tree_gradients(method, n_rows=3)
        for method in (GenRe2(num_generations, expert_weight=0), ReMax(num_generations))
    ]
    assert torch.equal(*found)
    assert GenRe2().get_params() == ReMax().get_params() | dict(expert_weight=0.05)


@pytest.mark.parametrize("num_generations", [3, 40, "exact"])
def test_the_expert_costs_no_further_pass(num_generations):
    calls = []
    for method in (GenRe2(num_generations), ReMax(num_generations)):
        policy, targets = tree_rows(num_draws=method.num_draws)
        method.loss(policy, targets)
        calls.append(policy.model.calls)
    assert calls[0] == calls[1] and len(calls[0]) == 1


@pytest.mark.parametrize("order", ["exponent_first", "mantissa_first"])
def test_scientific_tokens_are_trained_by_reward_and_expert(order, table, quick_fit):
    y = np.exp(table.y / 10)
    codec = ScientificCodec(2, order=order)
    model = quick_fit(table.X, y, fit_method=GenRe2(reward="quantile_mse"), sft_method="ce",
                      codec=codec, estimates=None, decoding="median")  # fmt: skip
    assert np.isfinite(model.predict(table.X)).all()
    second = model.history_[model.history_["stage"] == "align"]
    assert (second[["expert_cross_entropy", "advantage"]] > 0).all(axis=None)
