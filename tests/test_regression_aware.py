"""RAFT, MBR and CRPS as objectives, against enumeration."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from free_policies import (
    LOGITS,
    TARGET,
    VALUES,
    free_rows,
    row_gradients,
    tree_gradients,
    tree_rows,
)

from llmreg.numbers.codecs import DigitCodec
from llmreg.objectives import CRPS, MBR, RAFT, RLOO
from llmreg.objectives import functional as F

METHODS = [RAFT, MBR, CRPS]


def test_raft_is_its_equation_10_enumerated_over_all_strings_of_digits():
    policy, targets = tree_rows(3)
    logits = policy.model.logits.detach()
    mean = 0.0
    for first, second in itertools.product(range(4), repeat=2):
        p = logits[0, 0].softmax(0)[first] * logits[0, 1 + first].softmax(0)[second]
        number = 4 * first + second + 0.5
        mean += float(p) * (number - 8) / 4
    loss, metrics = RAFT().loss(policy, targets)
    assert loss.tolist() == pytest.approx([(float(targets.z[0]) - mean) ** 2] * 3)
    assert metrics == {}


def test_raft_of_a_single_digit_is_the_error_of_the_sum_of_digits_by_probability():
    codec = DigitCodec(5, 1).fit([0.5, 5.5])  # the stars 1 to 5
    policy, targets = tree_rows(codec=codec, leaf=3)
    p = policy.model.logits[0, 0].softmax(0).detach()
    mean = (p @ torch.arange(1.0, 6.0, dtype=torch.float64) - 8) / 4
    assert RAFT().loss(policy, targets)[0].item() == pytest.approx(float(targets.z[0] - mean) ** 2)


def test_mbr_is_its_equation_14_enumerated():
    policy, targets = free_rows(2)
    expected = sum(float(p) * (float(v) - TARGET) ** 2
                   for p, v in zip(LOGITS.softmax(0), VALUES, strict=True))  # fmt: skip
    assert MBR().loss(policy, targets)[0].tolist() == pytest.approx([expected] * 2)


@pytest.mark.parametrize("num_generations", [2, 5])
def test_sampled_mbr_has_the_exact_loss_and_gradient_on_average(num_generations):
    n_rows = 20_000
    policy, targets = free_rows(n_rows)
    loss, metrics = MBR(num_generations).loss(policy, targets)
    loss.sum().backward()
    exact = MBR().loss(*free_rows(1))[0].item()
    assert abs(loss.mean().item() - exact) < 4.5 * loss.std().item() / n_rows**0.5
    assert torch.allclose(loss, metrics["sample_mse"])
    error = policy.logits.grad.mean(0) - row_gradients(MBR())[0]
    standard_error = policy.logits.grad.std(0) / n_rows**0.5
    assert (error.abs() <= 4.5 * standard_error).all()
    assert (standard_error < 0.2 * row_gradients(MBR()).abs().max()).all()


def test_sampled_mbr_has_the_gradient_of_rloo_with_the_squared_error_as_reward():
    mbr, rloo = (row_gradients(method, n_rows=8) for method in (MBR(5), RLOO(5, reward="mse")))
    assert torch.allclose(mbr, rloo)


def test_crps_is_that_of_the_leaves_as_atoms():
    policy, targets = free_rows(2)
    expected = F.crps(LOGITS.log_softmax(0).unsqueeze(0), VALUES, targets.z[:1]).item()
    assert CRPS().loss(policy, targets)[0].tolist() == pytest.approx([expected] * 2)


@pytest.mark.parametrize("method", [*METHODS, lambda: RAFT("log")])
def test_gradients_reach_every_node_of_the_tree(method):
    assert (tree_gradients(method()).abs().sum(2) > 1e-6).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_codec_without_bounds_is_refused(method):
    method().check_codec(DigitCodec())
    with pytest.raises(ValueError, match=f"{method.__name__} averages over all numbers"):
        method().check_codec(SimpleNamespace(bounded=False))


def test_methods_train_at_once_or_after_a_first_stage(table, quick_fit):
    at_once = quick_fit(table.X, table.y, fit_method=CRPS(stage="sft"))
    assert set(at_once.history_["stage"]) == {"sft"}
    both = quick_fit(table.X, table.y, fit_method=CRPS(), sft_method=RAFT(stage="sft"))
    assert both.history_["stage"].tolist() == ["sft", "align"]
    assert np.isfinite(both.predict(table.X)).all()
