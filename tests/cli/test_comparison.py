"""Peers read any table; figures are those of their definitions."""

import sys

import numpy as np
import pandas as pd
import pytest

from llmreg import LLMRegressor
from llmreg.cli.comparison import PEERS, draw, figures, measure

QUICK = dict(sft_epochs=1, align_epochs=1, random_state=0, estimates=None)


def test_a_number_has_its_absolute_error_as_crps_and_no_interval():
    found = figures(np.array([1.0, 2, 4]), np.array([1.0, 3, 2]), None)
    assert found["crps"] == 1 and found["rmse"] == pytest.approx(np.sqrt(5 / 3))
    assert found["spearman"] == pytest.approx(0.5) and "coverage" not in found


@pytest.mark.parametrize("method", ["ce", "histogram"])
def test_methods_are_judged_by_what_they_predict(method, table):
    model = LLMRegressor(fit_method=method, **QUICK)
    found = measure(model, table.X[:30], table.y[:30], table.X[30:], table.y[30:])
    error = model.predict(table.X[30:]) - table.y[30:]
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)))
    low, high = model.predict_interval(table.X[30:], 0.9).T
    assert found["coverage"] == np.mean((low <= table.y[30:]) & (table.y[30:] <= high))
    assert found["seconds"] > 0


def test_heads_that_predict_a_number_have_no_coverage(table):
    model = LLMRegressor(fit_method="head_last", **QUICK)
    found = measure(model, table.X[:30], table.y[:30], table.X[30:], table.y[30:])
    assert "coverage" not in found and found["crps"] <= found["rmse"]


@pytest.mark.parametrize("name", PEERS)
def test_peers_read_any_table_with_unknown_and_missing_cells(name, table):
    X = table.X.assign(
        day=pd.date_range("2024-01-01", periods=40), words=table.X["words"] + table.X.index.map(str)
    )
    X.loc[3, ["size", "city", "words", "day"]] = None
    X.loc[39, "city"] = "Bern"
    rows = [*range(30)] * 4  # trees leave fewer rows than 40 whole
    model = PEERS[name]().fit(X.iloc[rows], table.y.iloc[rows])
    prediction = model.predict(X[30:])
    assert np.isfinite(prediction).all()
    error, spread = np.std(prediction - table.y[30:]), np.std(table.y[30:])
    assert error < (1.01 if name == "mean" else 0.9) * spread


def test_peers_are_measured_alike(table):
    found = measure(PEERS["Ridge"](), table.X[:30], table.y[:30], table.X[30:], table.y[30:])
    assert found["r2"] > 0.9 and "coverage" not in found


def test_a_picture_is_drawn_or_its_lack_names_the_remedy(monkeypatch, tmp_path):
    table = pd.DataFrame({"model": ["a", "b", "a"], "rmse": [1.0, 2, 1.5], "crps": [0.5, 1, 1]})
    draw(table, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        draw(table, tmp_path / "picture.png")
