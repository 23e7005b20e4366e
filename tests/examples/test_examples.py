"""The examples run from any folder, and their data are what they say."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_auto_mpg_has_the_documented_shape():
    cars = pd.read_csv(EXAMPLES / "data" / "auto-mpg.csv")
    assert cars.shape == (398, 9)
    assert list(cars) == [
        *["cylinders", "displacement", "horsepower", "weight", "acceleration"],
        *["model_year", "origin", "name", "mpg"],
    ]
    missing = cars.isna().sum()
    assert missing["horsepower"] == 6 == missing.sum()
    assert set(cars["origin"]) == {"usa", "europe", "japan"}
    assert cars["mpg"].between(9, 46.6).all()


@pytest.mark.parametrize("name", ["flats", "reviews"])
def test_made_up_tables_are_what_their_script_makes(name):
    make = runpy.run_path(str(EXAMPLES / "data" / "make_tables.py"))[name]
    made = make(np.random.default_rng(0)).to_csv(index=False)
    assert made == (EXAMPLES / "data" / f"{name}.csv").read_text(encoding="utf-8")


def test_the_data_name_their_source_and_licence():
    text = (EXAMPLES / "data" / "README.md").read_text(encoding="utf-8")
    assert "10.24432/C5859H" in text
    assert "CC BY 4.0" in text


@pytest.mark.slow  # README's quickstart command runs the same program
@pytest.mark.timeout(900)  # minutes where other programs compete for the cores
def test_quickstart_runs_from_another_folder(tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / "quickstart.py", "--out", "picture.png"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=850,
    )
    assert done.returncode == 0, done.stderr
    for model in ("mean", "HistGradientBoosting"):
        assert f"\n{model} " in done.stdout
    for method in ("ce", "soft_ce", "grpo"):
        assert done.stdout.count(f"\nLLMRegressor {method} ") == 2  # rail and greedy
    assert "90 % interval" in done.stdout
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
