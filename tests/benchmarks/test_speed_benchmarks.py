"""Speed benchmarks: what they share; and their commands still run (``pytest -m benchmark``)."""

import os
import subprocess
import sys
import time
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed import forward, generate, long_tables, plot, scaling, shared, step

ROOT = Path(__file__).parents[2]
SMALL = ["--shape", "test", "--prompt", "24", "--batch", "2", "--repeats", "1"]


@pytest.fixture
def small():
    """A model with adapters, its arguments, prompts and training data."""
    args = Namespace(shape="test", device="cpu", dtype="float32", prompt=24, digits=3, samples=6)
    model = shared.number_model(args)
    ids, y = shared.random_prompts(args, 3)
    return args, model, ids, shared.training_data(model, ids, y)


def test_a_ratio_is_the_median_of_its_rounds_and_not_of_two_medians():
    # A slow second round slows both sides; medians taken apart would say 2.
    assert shared.median_ratio([4.0, 40.0, 6.0], [2.0, 10.0, 3.0])[0] == 2.0
    assert shared.median_ratio([4.0, 40.0, 9.0], [1.0, 10.0, 9.0]) == (4.0, 1.0, 4.0)


def test_long_tables_can_be_learnt_and_are_the_same_each_time():
    X, _ = long_tables.long_table(300)
    again, _ = long_tables.long_table(300)
    assert X.equals(again) and X.shape == (300, 12)
    words = X["description"].str.split().map(len)
    assert words.min() >= 10 and words.max() <= 30
    line = long_tables.measure(200, 100, dict(fit_method="ce", sft_epochs=2))
    assert "200 rows: fit" in line and "{'sft': 2}" in line


@pytest.mark.parametrize(
    ("ratio", "at_least", "met"),
    [(24.9, True, False), (25, True, True), (1.6, False, True), (26, False, False)],
)
def test_a_verdict_says_whether_the_bar_is_met(ratio, at_least, met):
    line = shared.verdict("x", (ratio, ratio, ratio), 25, at_least)
    assert ("NOT met" in line) != met


def test_the_plot_reads_what_the_benchmarks_print(tmp_path):
    lines = [
        shared.verdict("rows/s, a / b, G = 16", (54.59, 27.91, 61.75), 25, at_least=True),
        "small, 4 prompts",
        shared.verdict("predict / bare pass", (1.25, 1.2, 1.3), 1.5, at_least=False),
    ]
    found = plot.ratios(lines)
    assert found[0] == ("rows/s, a / b, G = 16", 54.59, 27.91, 61.75, 25, "least")
    assert [sense for *_, sense in found] == ["least", "most"]
    plot.draw(found, tmp_path / "speed.svg")
    assert "predict / bare pass" in (tmp_path / "speed.svg").read_text()


def test_what_is_compared_takes_turns():
    calls = []
    work = [lambda: calls.append("a"), lambda: calls.append("b")]
    args = Namespace(repeats=2, device="cpu", clock="wall")
    assert shared.in_turns(work, args).shape == (2, 2)
    assert calls == ["a", "b"] * 3  # the first round warms up


def test_the_cpu_clock_leaves_out_what_other_processes_take():
    seconds = {
        clock: shared.timed(lambda: time.sleep(0.1), Namespace(device="cpu", clock=clock))
        for clock in ("wall", "cpu")
    }
    assert seconds["cpu"] < 0.05 < 0.1 <= seconds["wall"]


def test_slope_tells_quadratic_from_linear_time():
    rows = np.array([10, 100, 1000])
    assert scaling.slope(rows, 3.0 * rows) == pytest.approx(1)
    assert scaling.slope(rows, rows**2.0) == pytest.approx(2)


def test_the_bare_step_computes_the_loss_that_training_computes(small, monkeypatch):
    """Otherwise the ratio would compare different work."""
    _, model, ids, data = small
    model.train_mode(dropout=False)
    losses = []
    cross_entropy = step.torch.nn.functional.cross_entropy

    def recording(*args):
        loss = cross_entropy(*args)
        losses.append(loss.item())
        return loss

    bare = step.bare_step(model, data, ids)
    with monkeypatch.context() as patch:
        patch.setattr(step.torch.nn.functional, "cross_entropy", recording)
        bare()
    scale = step.ZScale.from_tree(model.tree, 0.5, 0.29, model.device, model.dtype)
    gradients = step.BatchGradients(model, data, step.CE(), scale, step.Processes(), None)
    means = gradients(np.arange(3), None)
    # A row's loss is the sum over its three digits, the bare step's their mean.
    assert 3 * losses[0] == pytest.approx(means["loss"], rel=1e-5)


def test_generate_draws_digits_with_and_without_a_cache_of_its_own(small):
    args, model, ids, _ = small
    sampler = generate.Sampler(model.eval(), args)
    prompts = step.torch.as_tensor(ids)
    for way in (sampler.plain, sampler.cached):
        drawn = way(prompts)
        assert drawn.shape == (3 * args.samples, args.digits)
        assert np.isin(drawn.numpy(), model.symbol_ids.numpy()).all()


def test_nodes_are_counted_as_the_tolerance_leaves_them(small):
    _, model, _, data = small
    model.eval()
    counts = [forward.nodes_evaluated(model, data.rows, t) for t in (0.0, 0.001, 10.0)]
    assert counts[0] == 110  # all but the root of a tree of three digits
    assert counts[0] > counts[1] > counts[2] == 2  # at last the greedy number's path alone


def test_a_missing_peer_is_named_with_the_remedy():
    with pytest.raises(SystemExit, match=r"no_such_peer.*pip install it"):
        shared.need("no_such_peer", "pip install it")


def needs(package):
    return pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed")


@pytest.mark.benchmark
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["grpo", *SMALL, "--generations", "4"], marks=needs("trl")),
        ["generate", *SMALL, "--samples", "4"],
        ["forward", *SMALL, "--trained", "2"],
        ["step", *SMALL],
        pytest.param(["regresslm", "--rows", "350", "--epochs", "1", "--samples", "4",
                      "--sft-epochs", "1"], marks=needs("regress_lm")),
        ["scaling", "--rows", "200", "400"],
        ["startup", "1"],
    ],
    ids=lambda command: command[0],
)  # fmt: skip
def test_speed_benchmark_prints_its_ratio(command):
    result = subprocess.run(
        [sys.executable, "-m", f"benchmarks.speed.{command[0]}", *command[1:]],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=280,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "RATIO" in result.stdout or "slope" in result.stdout


@pytest.mark.benchmark
@pytest.mark.skipif(find_spec("trl") is not None, reason="trl is installed")
def test_without_the_peer_the_command_says_what_to_install():
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed.grpo", *SMALL],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=280,
    )  # fmt: skip
    assert result.returncode == 1
    assert "pip install trl" in result.stderr
