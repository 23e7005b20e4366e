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

from llmreg.training.parallel import Processes, launched

SCRIPT = Path(__file__).parents[1] / "helpers" / "parallel_fit.py"


def _alone(folder, kind):
    """The result of a single process: this one."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    try:
        return fit(folder, kind)
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _launched(folder, kinds, tmp_path, count=2):
    """The results of each of several processes, by kind."""
    environment = os.environ | {
        "PYTHONPATH": str(SCRIPT.parents[2]), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}",
        str(SCRIPT), folder, str(tmp_path / "result"), *kinds,
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads((tmp_path / f"result.{rank}.json").read_text()) for rank in range(count)]


def _assert_same(found, expected):
    gap = np.abs(np.array(found["predictions"]) / expected["predictions"] - 1).max()
    print(f"largest relative difference of a prediction: {gap:.1e}")
    np.testing.assert_allclose(found["predictions"], expected["predictions"], rtol=1e-5)
    assert found["history"]["kept"] == expected["history"]["kept"]
    for column, values in expected["history"].items():
        if isinstance(values[0], float):
            np.testing.assert_allclose(found["history"][column], values, rtol=1e-5, atol=1e-9)


def test_two_processes_train_the_model_that_one_would(pretrained_folder, tmp_path):
    """Also where they hold parts of the weights, which are whole again after the fit."""
    expected = _alone(pretrained_folder, "pretrained")
    for found in _launched(pretrained_folder, ["pretrained", "pretrained:fsdp"], tmp_path):
        for result in found.values():
            _assert_same(result, expected)
            assert result["types"] == ["Parameter"]


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_more_processes_and_methods(count, pretrained_folder, tmp_path):
    kinds = ["ce", "grpo", "whole", "whole:fsdp", "grpo, whole:fsdp"]
    found = _launched(pretrained_folder, kinds, tmp_path, count)
    for kind in kinds:
        expected = _alone(pretrained_folder, kind.partition(":")[0])
        for results in found:
            _assert_same(results[kind], expected)


def test_one_process_has_all_rows_and_sums_nothing():
    alone, place = launched(torch.device("cpu"))
    assert type(alone) is Processes and place == torch.device("cpu")
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
