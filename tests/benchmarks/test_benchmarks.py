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
        ["ablation.py", "--data", "auto-mpg", "--variants", "default", "no ramps"],
        ["after_ce.py", "--tables", "auto-mpg", "no-such-table", "--seeds", "1", "--methods",
         "first stage alone", "grpo (default: crps)"],
        ["calibration.py", "--tables", "auto-mpg", "--methods", "ce", "--seeds", "1"],
        ["defaults.py", "diabetes"],
        ["equal_time.py", "--data", "auto-mpg", "--splits", "1", "--epochs", "1"],
        ["large_models.py", "--prompt", "32", "--batch", "2", "--repeats", "1"],
        ["methods.py", "--quick", "--data", "auto-mpg", "--methods", "ce", "--out", "out"],
        ["pretraining.py", "--minutes", "0.01", "--data", "auto-mpg", "--max-rows", "100"],
        ["shapes.py", "--tables", "auto-mpg", "--shapes", "32x1", "64x2", "--epochs", "1"],
        ["suite.py", "--data", "diabetes", "--estimators", "mean", "Ridge", "--llmreg", "--splits",
         "1"],
    ],
    ids=lambda command: command[0],
)  # fmt: skip
def test_benchmark_prints_its_table(command, tmp_path):
    result = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / command[0]), *command[1:]],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=280,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert any(figure in result.stdout for figure in ("R²", "rail", "rows/s"))
