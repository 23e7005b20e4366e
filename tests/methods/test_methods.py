"""What holds for every method: parameters, copies, draws, statistics, first-stage losses."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from free_policies import (
    EDGES,
    LOGITS,
    TARGET,
    VALUES,
    free_rows,
    pinball,
    tree_gradients,
    tree_rows,
)
from scipy import stats
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError

from llmreg.codecs.decimals import DecimalCodec
from llmreg.codecs.scientific import ScientificCodec
from llmreg.methods import (
    CE,
    CRPS,
    DIST2,
    GRPO,
    MBR,
    METHODS,
    NTLMSE,
    NTLWAS,
    RAFT,
    RLOO,
    GenRe2,
    Method,
    ReMax,
    SoftCE,
)
from llmreg.training.policy import NumberPolicy, ZScale

POLICY_GRADIENTS = [ReMax, GRPO, RLOO, GenRe2]
LOSSES = [CE, SoftCE, NTLMSE, NTLWAS, DIST2, RAFT, MBR, CRPS, *POLICY_GRADIENTS]
# For each parameter: values other than the default, and illegal ones.
DISTANCE = {"distance_weight": ([0.9], [-0.1, "much", None])}
STAGE = {"stage": ([], ["first", None, 1])}
DRAWN = {
    "num_generations": ([5, "exact"], [2, 0, 4.0, "all", None]),
    "reward": (["mse", "quantile_mse", "mae", "rail", "crps", pinball], ["rmse", None, 1]),
    "temperature": ([0.5, 2.0], [0, -1, "hot"]),
    "beta": ([0.3], [-0.1, None]),
    "scale_rewards": (["group", "batch", False], [True, "row", None]),
    "compare_with": (["written"], ["bin", None]),
}
PARAMETERS = {
    CE: {"normalisation": ([], ["grid", True])},  # None is the model's business
    SoftCE: {
        "sigma": ([0.4], [0, -1, "wide", None]),
        "mean_weight": ([0.2], [-0.1, "much"]),
    },
    NTLMSE: {**DISTANCE, **STAGE},
    NTLWAS: {**DISTANCE, **STAGE},
    DIST2: {**DISTANCE, **STAGE, "temperature": ([0.3], [0, -1.0, "hot"])},
    RAFT: {
        "criterion": (["log"], ["absolute", None]),
        "bidirectional": ([], [None, 1]),  # the model's business: test_head_methods.py
        # The others are the model's business: test_regression_aware.py.
        "normalisation": ([], [True, "sum"]),
        **STAGE,
    },
    MBR: {"num_generations": ([2, 6], [1, 2.0, "all", None]), **STAGE},
    CRPS: STAGE,
    **{method: DRAWN for method in POLICY_GRADIENTS},
    GenRe2: {**DRAWN, "expert_weight": ([0.0, 0.5], [-0.1, None])},
}


def _cases(which):
    for method, parameters in PARAMETERS.items():
        defaults = method().get_params()
        for name, values in parameters.items():
            for value in values[which]:
                if which == 1 or value != defaults[name]:
                    yield method, name, value


@pytest.mark.parametrize(("method", "name", "value"), list(_cases(0)))
def test_every_parameter_changes_the_gradient(method, name, value):
    before, after = (tree_gradients(m, n_rows=8) for m in (method(), method(**{name: value})))
    assert (before - after).abs().max() > 1e-3


@pytest.mark.parametrize(("method", "name", "value"), list(_cases(1)))
def test_illegal_values_are_refused_by_name(method, name, value):
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter of {method.__name__}"):
        method(**{name: value}).validate()


@pytest.mark.parametrize("method", LOSSES)
def test_all_parameters_are_tested_and_constrained(method):
    assert set(method().get_params()) == set(PARAMETERS[method])
    assert set(method._parameter_constraints) == set(PARAMETERS[method])


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_defaults_are_legal_and_survive_clone(method):
    method.validate()
    assert clone(method).get_params() == method.get_params()


@pytest.mark.parametrize("method", [RAFT, MBR, CRPS, NTLMSE, NTLWAS, DIST2])
def test_methods_that_can_train_in_either_stage_say_so(method):
    for stage in ("sft", "align"):
        given = method(stage=stage)
        given.validate()
        assert clone(given).stage == stage


def test_every_loss_has_a_gradient_of_its_own():
    found = {method: tree_gradients(method(), n_rows=8) for method in LOSSES}
    for one, other in itertools.combinations(LOSSES, 2):
        assert (found[one] - found[other]).abs().max() > 1e-4, (one, other)
    assert all(gradient.abs().max() > 1e-3 for gradient in found.values())


# Lengths that differ; GenRe²'s IEEE and P10 tokens, whose numbers have no common size.
WRITTEN = {
    "decimals": DecimalCodec(0).fit(np.arange(1.0, 13.0)),
    "ieee": ScientificCodec(1, exponent_margin=0).fit([1.0, 30.0]),
    "p10": ScientificCodec(2, exponent_margin=0, order="mantissa_first").fit([1.0, 30.0]),
}


@pytest.mark.parametrize("codec", WRITTEN.values(), ids=WRITTEN)
@pytest.mark.parametrize("method", LOSSES)
def test_every_method_learns_numbers_however_they_are_written(method, codec):
    if not codec.bounded and method in (RAFT, MBR):
        with pytest.raises(ValueError, match="numbers of any size"):
            method().check_codec(codec)
        return
    method().check_codec(codec)
    assert tree_gradients(method(), n_rows=3, leaf=8, codec=codec).isfinite().all()
    exact = method("exact") if "num_generations" in method().get_params() else method()
    pays = {GRPO: CRPS(), **dict.fromkeys([ReMax, RLOO, GenRe2], MBR())}.get(method, exact)
    policy, targets = tree_rows(leaf=8, codec=codec)
    scale = ZScale(policy.leaf_z, policy.leaf_edges_z)
    exact.loss(policy, targets)[0].backward()
    before, _ = pays.loss(policy, targets)
    with torch.no_grad():
        policy.model.logits -= 0.01 * policy.model.logits.grad
    after, _ = pays.loss(NumberPolicy(policy.model, range(1), scale), targets)
    assert after.item() < before.item() - 1e-6


@pytest.mark.parametrize(
    "method", [CE(), SoftCE(), NTLMSE(), RAFT(), MBR(4), CRPS(), GRPO(scale_rewards=False)]
)
def test_where_rows_do_not_see_one_another_there_are_no_statistics(method):
    assert method.statistics(None, None) is None


def test_numbers_drawn_per_row_are_known_beforehand():
    methods = (CE(), RAFT(), MBR(), MBR(5), GRPO(7), ReMax("exact"), GenRe2(4))
    assert [method.num_draws for method in methods] == [0, 0, 0, 5, 7, 0, 4]


@pytest.mark.parametrize("method", [CE, SoftCE, *POLICY_GRADIENTS])
def test_methods_without_a_reason_refuse_no_codec(method):
    assert method().check_codec(object()) is None


def test_a_method_without_a_loss_says_so():
    with pytest.raises(NotImplementedError):
        Method().loss(*free_rows(1))


# First-stage losses


def test_cross_entropy_is_the_targets_log_loss():
    policy, targets = free_rows(2)
    loss, metrics = CE().loss(policy, targets)
    assert loss.tolist() == pytest.approx([-float(LOGITS.log_softmax(0)[4])] * 2)
    assert metrics == {}


def test_soft_cross_entropy_is_smoothed_log_loss_plus_the_weighted_error_of_the_mean():
    policy, targets = free_rows(1)
    weights = np.diff(stats.norm.cdf(EDGES.numpy(), TARGET, 0.3))
    smooth = -(weights / weights.sum()) @ LOGITS.log_softmax(0).numpy()
    error = float(LOGITS.softmax(0) @ VALUES - TARGET) ** 2
    for weight in (0.0, 0.7):
        loss, _ = SoftCE(0.3, mean_weight=weight).loss(policy, targets)
        assert loss.item() == pytest.approx(smooth + weight * error)


def test_a_target_is_smoothed_by_as_little_as_others_lie_about_it():
    policy, targets = free_rows(2)
    crowded = replace(targets, bandwidth=torch.tensor([1.0, 0.25], dtype=torch.float64))
    loss, _ = SoftCE(0.4).loss(policy, crowded)
    expected = [SoftCE(sigma).loss(policy, targets)[0][0].item() for sigma in (0.4, 0.1)]
    assert loss.tolist() == pytest.approx(expected)


def test_a_target_on_which_others_heap_up_is_not_smoothed():
    policy, targets = free_rows(1)
    before, _ = SoftCE(0.3, mean_weight=0.0).loss(policy, targets)
    leaf = int(targets.leaf)
    policy.leaf_edges_z = policy.leaf_edges_z.clone()
    policy.leaf_edges_z[-1, 1] = np.inf
    targets.leaf[:] = len(LOGITS) - 1
    loss, _ = SoftCE(0.3, mean_weight=0.0).loss(policy, targets)
    assert loss.item() == pytest.approx(-float(LOGITS.log_softmax(0)[-1]))
    assert abs(loss.item() - before.item()) > 0.1 and leaf != len(LOGITS) - 1


def test_the_kl_of_every_policy_gradient_is_weighted_by_beta():
    for method in POLICY_GRADIENTS:
        policy, targets = tree_rows(2)
        kl = policy.kl_to_reference().detach()
        plain, _ = method("exact").loss(policy, targets)
        with_kl, metrics = method("exact", beta=0.5).loss(policy, targets)
        assert (with_kl - plain).tolist() == pytest.approx((0.5 * kl).tolist())
        assert metrics["kl"].tolist() == pytest.approx(kl.tolist()) and (kl > 0.1).all()
