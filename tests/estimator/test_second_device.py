"""Fits on a device beside the CPU leave nothing behind, and end as they do on the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from second_device import AVAILABLE

CHECKS = Path(__file__).parents[1] / "helpers" / "second_device_checks.py"


@pytest.mark.skipif(not AVAILABLE, reason="this torch can't simulate a device in Python")
@pytest.mark.parametrize("which", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_a_second_device_computes_what_the_cpu_does(which):
    """In a process of its own: once torch knows of the device it never forgets it."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "--tb=short",
        "-m",
        which,
        str(CHECKS),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=CHECKS.parents[2], env=environment, capture_output=True, text=True,
        timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
