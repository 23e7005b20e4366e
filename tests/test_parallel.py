"""Several processes train the model that one would have trained."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from parallel_fit import fit

from llmreg.training.parallel import Processes, launched_processes

SCRIPT = Path(__file__).with_name("parallel_fit.py")


def _alone(folder, kind):
    """The result of a single process: this one."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    try:
        return fit(folder, kind)
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _launched(folder, kind, tmp_path, count=2, fsdp=False):
    """The results of each of several processes."""
    environment = os.environ | {
        "PYTHONPATH": str(SCRIPT.parent.parent), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    if fsdp:
        environment["ACCELERATE_USE_FSDP"] = "true"
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}",
        str(SCRIPT), folder, kind, str(tmp_path / "result"),
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads((tmp_path / f"result.{rank}.json").read_text()) for rank in range(count)]


def _assert_same(found, expected):
    np.testing.assert_allclose(found["predictions"], expected["predictions"], rtol=1e-5)
    assert found["history"]["kept"] == expected["history"]["kept"]
    for column, values in expected["history"].items():
        if isinstance(values[0], float):
            np.testing.assert_allclose(found["history"][column], values, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("kind", ["pretrained", pytest.param("ce", marks=pytest.mark.slow)])
def test_two_processes_train_the_model_that_one_would(kind, pretrained_folder, tmp_path):
    expected = _alone(pretrained_folder, kind)
    for found in _launched(pretrained_folder, kind, tmp_path):
        _assert_same(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["grpo", "whole"])
@pytest.mark.parametrize("count", [2, 3])
def test_more_processes_and_methods(kind, count, pretrained_folder, tmp_path):
    expected = _alone(pretrained_folder, kind)
    for found in _launched(pretrained_folder, kind, tmp_path, count):
        _assert_same(found, expected)


@pytest.mark.parametrize(
    "kind",
    ["pretrained", *(pytest.param(k, marks=pytest.mark.slow) for k in ("whole", "grpo, whole"))],
)
def test_sharded_weights_train_to_the_same_model(kind, pretrained_folder, tmp_path):
    expected = _alone(pretrained_folder, kind)
    for found in _launched(pretrained_folder, kind, tmp_path, fsdp=True):
        _assert_same(found, expected)
        assert found["types"] == ["Parameter"]  # whole again after fit


def test_one_process_has_all_rows_and_sums_nothing():
    alone = launched_processes(torch.device("cpu"))
    assert type(alone) is Processes
    assert alone.share(np.arange(5)).tolist() == list(range(5))
    assert alone.sum(torch.ones(2)).tolist() == [1, 1]
    assert alone.agree(7) == 7
    assert alone.device(torch.device("cuda:3")) == torch.device("cuda:3")


def test_shares_are_a_partition():
    class OneOf(Processes):
        def __init__(self, index, count):
            self.index, self.count = index, count

    rows = np.random.RandomState(0).permutation(11)
    for count in (2, 3, 20):
        shares = [OneOf(i, count).share(rows) for i in range(count)]
        assert np.concatenate(shares).tolist() == rows.tolist()
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
