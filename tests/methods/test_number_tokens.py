"""Token-level losses that know the distance between digits, on number trees."""

import numpy as np
import pytest
import torch
from codec_zoo import PlainCodec
from free_policies import tree_gradients, tree_rows
from scipy import stats

from llmreg.codecs.digits import DigitCodec
from llmreg.methods import CE, DIST2, NTLMSE, NTLWAS

METHODS = [NTLMSE, NTLWAS, DIST2]

# "-1", "-0", "0x", "1x": a sign or a digit first, then a digit or an end.
SIGNED = PlainCodec(
    symbols=("0", "1", "-", "x"), edges_=np.arange(5.0), values_=np.arange(4) + 0.5,
    sequences=lambda: np.array([[2, 1], [2, 0], [0, 3], [1, 3]]),
)  # fmt: skip


def _distance(method, p, target):
    """Of one step's probabilities of the digits 0, 1, 2, …, in plain numpy."""
    digits = np.arange(len(p))
    if method is NTLMSE:
        return (p @ digits - target) ** 2
    if method is NTLWAS:
        return p @ abs(digits - target)
    return stats.entropy(np.exp(-((digits - target) ** 2.0)), p)


@pytest.mark.parametrize("leaf", [0, 6, 15])
@pytest.mark.parametrize("method", METHODS)
def test_the_loss_is_cross_entropy_plus_the_distance_along_the_targets_path(method, leaf):
    policy, targets = tree_rows(2, leaf=leaf)
    loss, metrics = method(distance_weight=0.7).loss(policy, targets)
    first, second = divmod(leaf, 4)
    p = policy.model.logits[0].softmax(1).detach().numpy()
    steps = [(p[0], first), (p[1 + first], second)]
    ce = sum(-np.log(q[digit]) for q, digit in steps)
    distance = sum(_distance(method, q, digit) for q, digit in steps)
    assert loss.tolist() == pytest.approx([ce + 0.7 * distance] * 2)
    assert metrics["cross_entropy"].tolist() == pytest.approx([ce] * 2)
    assert metrics["distance"].tolist() == pytest.approx([distance] * 2)
    assert policy.model.calls == ["node_logits"]  # the target's path, once


@pytest.mark.parametrize("method", METHODS)
def test_signs_and_ends_have_no_distance(method):
    for leaf, node, digit in [(0, 1, 1), (3, 0, 1)]:
        policy, targets = tree_rows(leaf=leaf, codec=SIGNED)
        _, metrics = method().loss(policy, targets)
        # After the sign both digits may follow; at the root a sign may stand in their place.
        p = policy.model.logits[0, node, :2].softmax(0).detach().numpy()
        if node == 1:
            node = int(policy.tree.path_nodes[0, 1])
            p = policy.model.logits[0, node, :2].softmax(0).detach().numpy()
        assert metrics["distance"].item() == pytest.approx(_distance(method, p, digit))


@pytest.mark.parametrize("method", METHODS)
def test_without_weight_only_cross_entropy_is_left(method):
    assert torch.allclose(tree_gradients(method(distance_weight=0)), tree_gradients(CE()))
    assert not torch.allclose(tree_gradients(method()), tree_gradients(CE()), atol=1e-3)


@pytest.mark.parametrize("method", [NTLWAS, DIST2])
def test_a_far_digit_costs_more_than_a_near_one(method):
    costs = []
    for written in (1, 2, 3):  # for a target whose first digit is 0
        policy, targets = tree_rows(leaf=0)
        with torch.no_grad():
            policy.model.logits[:, 0] = 0.0
            policy.model.logits[:, 0, written] = 5.0
        costs.append(method().loss(policy, targets)[0].item())
    assert costs == sorted(costs) and len(set(costs)) == 3


@pytest.mark.parametrize("method", METHODS)
def test_a_codec_without_digits_is_refused(method, ragged_codec):
    method().check_codec(DigitCodec())
    with pytest.raises(ValueError, match=r"have 0: \['a', 'b', 'c'\]\. Use a codec that writes"):
        method().check_codec(ragged_codec)
