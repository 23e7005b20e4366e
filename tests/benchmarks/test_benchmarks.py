"""The benchmarks' commands still run (``pytest -m benchmark``)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.benchmark
@pytest.mark.parametrize(
    "command",
    [
        ["studies.ablation", "--data", "auto-mpg", "--variants", "default", "no ramps"],
        ["studies.after_ce", "--tables", "auto-mpg", "no-such-table", "--seeds", "1", "--methods",
         "first stage alone", "grpo (default: crps)"],
        ["studies.calibration", "--tables", "auto-mpg", "--methods", "ce", "--seeds", "1"],
        ["studies.costs", "--tables", "auto-mpg", "--rows", "100"],
        ["studies.defaults", "diabetes"],
        ["studies.equal_time", "--data", "auto-mpg", "--splits", "1", "--epochs", "1"],
        ["studies.gradients", "--repeats", "2", "--epochs", "1"],
        ["speed.large_models", "--prompt", "32", "--batch", "2", "--repeats", "1"],
        ["studies.methods", "--quick", "--data", "auto-mpg", "--methods", "ce", "--out", "out"],
        ["studies.pretraining", "--minutes", "0.01", "--data", "auto-mpg", "--max-rows", "100"],
        ["studies.real_models", "--data", "auto-mpg", "--try", "fresh+epochs=1+epochs 2=1",
         "--rows", "60", "--test-rows", "20"],
        ["studies.recipes", "--tables", "auto-mpg", "--recipes", "genre2-ce", "ours",
         "--rows", "100", "--seeds", "1", "--set", "sft_epochs=1", "align_epochs=1"],
        ["studies.shapes", "--tables", "auto-mpg", "--shapes", "32x1", "64x2", "--epochs", "1"],
        ["suite", "--data", "diabetes", "--estimators", "mean", "Ridge", "--llmreg", "--splits",
         "1"],
    ],
    ids=lambda command: command[0],
)  # fmt: skip
def test_benchmark_prints_its_table(command, tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{command[0]}", *command[1:]],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=280,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert any(figure in result.stdout for figure in ("R²", "rail", "rows/s", "saved", "variance"))
