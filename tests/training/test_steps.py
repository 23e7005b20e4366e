"""Gradients of a batch: the same in parts, after memory errors, and over several processes."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from llmreg import CE, GRPO, RAFT, ReMax, SoftCE
from llmreg.methods import Method
from llmreg.training.parallel import Processes
from llmreg.training.steps import BatchGradients, draw_noise, split_on_memory_error

ROWS = np.array([3, 17, 5, 11, 0, 8, 20])
OBJECTIVES = [
    CE(), SoftCE(), RAFT(), GRPO(4), GRPO(4, beta=0.1), GRPO("exact"),
    ReMax(4, scale_rewards="batch"),
]  # fmt: skip


def _computed(problem, objective, *, rows_at_once=None, processes=None, seed=0, prepare=None):
    """Means and gradients of one batch; ``prepare`` gets the model first."""
    model, data, scale = problem(n_digits=2)
    data = replace(data, weight=np.linspace(0.5, 2, len(data)))
    model.place("cpu", torch.float64)
    scale = replace(scale, leaf=scale.leaf.double(), edges=scale.edges.double())
    model.keep_reference(objective.needs_reference)
    with torch.no_grad():  # away from the reference
        for p in model.trainable().values():
            p.mul_(1.1)
    if prepare:
        prepare(model)
    noise = draw_noise(len(ROWS), objective.num_draws, 2, torch.Generator().manual_seed(seed))
    compute = BatchGradients(model, data, objective, scale, processes or Processes(), rows_at_once)
    means = compute(ROWS, noise)
    gradients = {n: p.grad.clone() for n, p in model.trainable().items() if p.grad is not None}
    return means, gradients, compute


def _assert_same(found, expected):
    assert found[0].keys() == expected[0].keys()
    for name, mean in expected[0].items():
        assert found[0][name] == pytest.approx(mean, rel=1e-9), name
    assert found[1].keys() == expected[1].keys()
    for name, gradient in expected[1].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_a_batch_in_parts_has_the_gradients_of_the_whole(objective, problem):
    whole = _computed(problem, objective)
    assert torch.cat([g.flatten() for g in whole[1].values()]).abs().max() > 1e-3
    for size in (1, 3):
        _assert_same(_computed(problem, objective, rows_at_once=size), whole)


class _TooMuch:
    """A model's memory: forward passes of more than so many rows fail."""

    def __init__(self, limit, message="CUDA out of memory."):
        self.limit, self.message, self.failures = limit, message, 0

    def __call__(self, model):
        for name in ("node_logits", "prefill"):
            setattr(model, name, self._limited(getattr(model, name)))

    def _limited(self, method):
        def limited(batch, *args):
            if len(batch) > self.limit:
                self.failures += 1
                raise torch.OutOfMemoryError(self.message)
            return method(batch, *args)

        return limited


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_where_memory_runs_out_parts_halve_and_gradients_stay(objective, problem):
    memory = _TooMuch(2)
    found = _computed(problem, objective, prepare=memory)
    assert memory.failures > 1
    assert found[2].rows_at_once == 2
    _assert_same(found, _computed(problem, objective))


def test_a_row_that_does_not_fit_is_an_error_with_sizes_and_knobs(problem):
    with pytest.raises(MemoryError) as error:
        _computed(
            problem, GRPO(4), prepare=_TooMuch(0, "CUDA out of memory. Tried to allocate 2 GiB")
        )
    message = str(error.value)
    for part in (
        "1 row(s) at a time", "cpu", "prompts of up to 2 tokens", "4 sampled numbers per row",
        "a number tree of 11 nodes", "gradient_checkpointing=True", "max_prompt_tokens",
        "estimate_memory", "Tried to allocate 2 GiB",
    ):  # fmt: skip
        assert part in message
    assert isinstance(error.value.__cause__, torch.OutOfMemoryError)


def test_other_errors_are_not_taken_for_lack_of_memory(problem):
    class Broken(Method):
        def loss(self, policy, targets, statistics=None):
            raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        _computed(problem, Broken())


def test_hidden_cells_are_the_same_after_a_memory_error(problem):
    """The failed attempt has drawn some: the global random state goes back."""

    def prepare(model, memory=None):
        model.cells.dropout = 0.5
        model.train_mode(dropout=True)
        torch.manual_seed(5)

    class Once(_TooMuch):
        def _limited(self, method):
            def limited(batch, *args):
                result = method(batch, *args)
                if not self.failures:
                    self.failures += 1
                    raise torch.OutOfMemoryError("CUDA out of memory.")
                return result

            return limited

    with torch.random.fork_rng(devices=[]):
        expected = _computed(problem, SoftCE(), prepare=prepare, rows_at_once=4)
        memory = Once(0)
        found = _computed(
            problem, SoftCE(), rows_at_once=7, prepare=lambda m: (prepare(m), memory(m))
        )
    assert memory.failures == 1 and found[2].rows_at_once == 4
    _assert_same(found, expected)


class _OneOf(Processes):
    """One of several processes, whose sums are taken by the test."""

    def __init__(self, index, count):
        self.index, self.count = index, count


@pytest.mark.parametrize("count", [2, 3, 9])
def test_processes_shares_add_up_to_the_batch(count, problem):
    # 9 processes for 7 rows: some compute a row of weight zero.
    objective = SoftCE()
    whole = _computed(problem, objective)
    shares = [_computed(problem, objective, processes=_OneOf(i, count)) for i in range(count)]
    means = {name: sum(share[0][name] for share in shares) for name in whole[0]}
    gradients = {name: sum(share[1][name] for share in shares) for name in whole[1]}
    _assert_same((means, gradients), whole)


def test_noise_is_drawn_for_the_rows_and_by_the_generator_given():
    first, again, other = (
        draw_noise(5, 3, 2, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert first.shape == (5, 3, 2) and first.min() >= 0 and first.max() < 1
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert draw_noise(5, 0, 2, None) is None


def test_rows_are_halved_until_they_fit():
    tried = []

    def compute(rows):
        tried.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return rows.tolist()

    found = split_on_memory_error(compute, np.arange(7))
    assert [row for part in found for row in part] == list(range(7))
    assert tried[0] == 7 and max(len(part) for part in found) == 2
    with pytest.raises(torch.OutOfMemoryError):
        split_on_memory_error(lambda rows: (_ for _ in ()).throw(
            torch.OutOfMemoryError("CUDA out of memory.")), np.arange(3))  # fmt: skip
    with pytest.raises(RuntimeError, match=re.escape("no")):
        split_on_memory_error(lambda rows: (_ for _ in ()).throw(RuntimeError("no")), np.arange(3))
