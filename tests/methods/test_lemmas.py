"""The lemmas of the RAFT paper (Lukasik et al. 2025), reproduced in numbers.

The constructions of Lemmas 1 and 2 are those of its appendix A: two numbers, 0 and N; P(0) =
(1 + α/2) / 2, and the model has the two probabilities the other way round.
"""

import numpy as np
import pytest
import torch

from llmreg import NumericDistribution
from llmreg.methods import functional as F

N = 7.0
ENDS = torch.tensor([0.0, N], dtype=torch.float64)
EPSILONS = [0.001, 0.05, 0.2, 0.5]


def _construction(epsilon):
    alpha = np.sqrt(np.expm1(epsilon)) / 2
    truth = torch.tensor([1 + alpha / 2, 1 - alpha / 2], dtype=torch.float64) / 2
    return truth, truth.flip(0)


def _decoded(probs, decoding):
    return NumericDistribution(probs[None].numpy(), ENDS.numpy(), ENDS.numpy()).decode(decoding)[0]


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_lemma_1_close_in_cross_entropy_and_far_off_by_mode(epsilon):
    truth, model = _construction(epsilon)
    assert 0 < F.categorical_kl(truth.log()[None], model.log()[None]).item() <= epsilon
    assert (float(truth @ ENDS) - _decoded(model, "mode")) ** 2 >= (N / 2) ** 2


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_lemma_2_close_in_cross_entropy_and_off_by_rail(epsilon):
    truth, model = _construction(epsilon)
    assert F.categorical_kl(truth.log()[None], model.log()[None]).item() <= epsilon
    error = (float(truth @ ENDS) - _decoded(model, "rail")) ** 2
    assert error >= (N / 4) ** 2 * epsilon
    assert error == pytest.approx((N / 4) ** 2 * np.expm1(epsilon))
    # The mistake is one that RAFT's loss sees in full.
    mean = truth[None] @ ENDS
    assert F.expected_squared_error(model.log()[None], ENDS, mean).item() == pytest.approx(error)


# Targets 0, 2, 3 and 7, the last the likeliest: their mean is none of the numbers below.
TARGETS = torch.tensor([0.0, 2.0, 3.0, 7.0], dtype=torch.float64)
TRUTH = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
MEAN = float(TRUTH @ TARGETS)  # 4.1


def _optimised(loss, values, n_steps=400, seed=0):
    """The distribution over the values, free to be any, that minimises an expected loss."""
    values = torch.as_tensor(values, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(values), generator=generator, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(n_steps):
        optimizer.zero_grad()
        log_probs = logits.log_softmax(0).expand(len(TARGETS), -1)
        (TRUTH @ loss(log_probs, values, TARGETS)).backward()
        optimizer.step()
    return logits.softmax(0).detach()


@pytest.mark.parametrize("loss", [F.expected_squared_error, F.mean_log_loss])
@pytest.mark.parametrize("grid", [[0, 7], [0, 1, 2, 7]])
def test_lemma_3_raft_reaches_the_conditional_mean_on_a_grid_that_holds_the_extremes(loss, grid):
    probs = _optimised(loss, grid)
    assert float(probs @ torch.tensor(grid).double()) == pytest.approx(MEAN, abs=1e-3)
    assert probs.max() < 0.95


def test_lemma_3_needs_the_extremes():
    grid = [0, 2, 3]
    probs = _optimised(F.expected_squared_error, grid)
    assert float(probs @ torch.tensor(grid).double()) <= 3 < MEAN


@pytest.mark.parametrize(("grid", "nearest"), [([0, 7], 1), ([0, 2, 3, 7], 2), ([0, 3, 5, 7], 2)])
@pytest.mark.parametrize("seed", [0, 1])
def test_lemma_4_mbr_ends_certain_of_the_number_next_to_the_conditional_mean(grid, nearest, seed):
    probs = _optimised(F.mean_sample_error, grid, seed=seed)
    assert int(probs.argmax()) == nearest == int(np.abs(np.array(grid) - MEAN).argmin())
    assert probs.max() > 0.99


def test_crps_ends_with_the_distribution_of_the_targets():
    probs = _optimised(F.crps, TARGETS, n_steps=1500)
    assert probs.tolist() == pytest.approx(TRUTH.tolist(), abs=5e-3)
