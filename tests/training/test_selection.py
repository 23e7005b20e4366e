"""The running mean of the weights by itself; test_stage.py has the rest."""

import numpy as np
import pytest
import torch

from llmreg.training.selection import RunningMean


class _Walk:
    """Stands in for a model whose weights take the values that it is given."""

    def __init__(self, first):
        self.weight = torch.nn.Parameter(torch.tensor(first))

    def trainable(self):
        return {"w": self.weight}

    def snapshot(self):
        return {"w": self.weight.detach().clone()}

    @torch.no_grad()
    def restore(self, snapshot):
        self.weight.copy_(snapshot["w"])


def _averaged(values, first):
    model = _Walk(first)
    average = RunningMean(model)
    for value in values:
        model.restore({"w": torch.as_tensor(value)})
        average.update()
    return average.weights["w"]


@pytest.mark.parametrize("n_steps", [1, 2, 5, 40, 300])
def test_the_running_mean_weighs_steps_by_a_power_of_their_number(n_steps, brute_force_mean):
    values = np.random.RandomState(0).randn(n_steps, 3)
    found = _averaged(values, np.full(3, 1e6))  # the start is forgotten
    torch.testing.assert_close(found, brute_force_mean(torch.tensor(values)), rtol=1e-9, atol=0)


def test_the_running_means_weights_are_as_old_as_their_power_says():
    # The mean age of a power p over T steps is T / (p + 2).
    steps = np.arange(1.0, 1001.0)[:, None]
    age = 1000 - float(_averaged(steps, np.zeros(1)))
    assert age == pytest.approx(1000 / (RunningMean.POWER + 2), rel=0.02)
    assert 50 < age < 250  # the latest steps: neither the last alone nor the whole way
