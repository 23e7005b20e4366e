"""The running mean of the weights by itself; test_stage.py has the rest."""

import numpy as np
import pytest
import torch

from llmreg.config.plan import StageSettings
from llmreg.training.selection import BestWeights, RunningMean


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


@pytest.mark.parametrize(("selection", "kept"), [("error", 1), ("objective", 2), ("last", None)])
def test_what_chooses_is_the_error_the_objective_or_nothing(selection, kept):
    model = _Walk(np.zeros(1))
    model.eval = lambda: None
    errors, objectives = iter([3.0, 1.0, 2.0]), iter([3.0, 2.0, 1.0])
    settings = StageSettings("sft", 3, 0.1, 8, 0.0, None, selection=selection)
    best = BestWeights(
        model, lambda: (0.0, np.full(4, next(errors))), settings,
        (lambda: np.full(4, next(objectives))) if selection == "objective" else None,
    )  # fmt: skip
    records = [{} for _ in range(3)]
    for place, record in enumerate(records):
        model.restore({"w": torch.full((1,), float(place), dtype=torch.float64)})
        assert not best.update(record, place)
    assert best.place == kept
    last = {"w": torch.tensor([9.0])}
    assert float(best.kept(last)["w"]) == (9.0 if kept is None else kept)
    if selection == "objective":
        assert [record["validation_objective"] for record in records] == [3.0, 2.0, 1.0]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # infinite differences
@pytest.mark.parametrize(
    ("least_gain", "errors", "stops"),
    [
        (0.01, [1.0, 0.995, 0.992, 0.991], [False, False, True, True]),  # hardly better
        (0.0, [1.0, 0.995, 0.992, 0.991], [False, False, False, False]),
        (0.01, [1.0, 0.995, 0.98, 0.979], [False, False, False, False]),  # 0.98 clearly
        (0.01, [1.0, 1.2, 0.98, 0.98], [False, False, False, False]),
        (0.01, [-1.0, -1.005, -1.008, -1.02], [False, False, True, False]),  # rewards have a sign
        (0.01, [0.0, 0.0, 0.0], [False, False, True]),  # nothing is left to gain
        (0.01, [np.inf, 9.0, 8.0, 7.0], [False, False, False, False]),  # too large at first
        (0.0, [np.inf, 9.0, 8.0, 7.0], [False, False, False, False]),
    ],
)
def test_small_gains_end_a_stage_and_are_kept_all_the_same(least_gain, errors, stops):
    model = _Walk(np.zeros(1))
    model.eval = lambda: None
    given = iter(errors)
    settings = StageSettings("sft", 9, 0.1, 8, 0.0, n_iter_no_change=2, least_gain=least_gain)
    best = BestWeights(model, lambda: (0.0, np.full(4, next(given))), settings)
    assert [best.update({}, place) for place in range(len(errors))] == stops
    assert best.place == int(np.argmin(errors))
    again = BestWeights(model, None, settings)
    again.load(best.state())
    assert (again.mark, again.marked) == (best.mark, best.marked)


@pytest.mark.parametrize(("takes_part", "stops"), [(True, True), (False, False)])
def test_a_second_stage_must_gain_on_what_it_starts_from(takes_part, stops):
    model = _Walk(np.zeros(1))
    model.eval = lambda: None
    errors = iter([1.0, 0.995])
    settings = StageSettings("align", 9, 0.1, 8, 0.0, n_iter_no_change=1, least_gain=0.01)
    best = BestWeights(model, lambda: (0.0, np.full(4, next(errors))), settings)
    best.begin({}, takes_part)
    assert best.update({}, 1) is stops
    assert best.place == 1
