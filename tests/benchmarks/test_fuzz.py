"""The fuzz command: what it takes for a failure, and a short run that must find none."""

import datetime as dt
import warnings

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("polars")
pytest.importorskip("pyarrow")

from benchmarks.fuzz import command
from benchmarks.fuzz.cases import run_case
from benchmarks.fuzz.oracle import Findings, attempt, differ, fingerprint
from benchmarks.fuzz.tables import contain, held
from benchmarks.fuzz.trials import _renderings
from llmreg.tables.reading import read_table


def test_hostile_tables_are_predicted_or_refused():
    found = command.main(["--fit", "25", "--predict", "200"])
    assert not any(findings.failures for findings in found), command.report(found)


def test_a_case_is_the_same_each_time():
    first, second = run_case(0, 3, 6), run_case(0, 3, 6)
    assert first.story == second.story
    assert first.outcomes == second.outcomes
    assert first.story != run_case(1, 3, 6).story


def test_errors_for_the_user_are_refusals_and_others_failures():
    findings = Findings(0)
    assert not findings.judge("fit", attempt(lambda: read_table(None, [], reset=True)))
    assert findings.outcomes == {"fit: refused": 1} and not findings.failures
    for call in (lambda: {}["a"], lambda: float("a"), lambda: pd.Series([1]).loc["a"]):
        findings = Findings(0)
        assert not findings.judge("fit", attempt(call))
        assert findings.failures[0][0] == "foreign error"


def test_warnings_of_numpy_are_failures_and_those_for_the_user_are_not():
    findings = Findings(0)
    assert findings.judge("fit", attempt(lambda: np.float64(1e308) * 10))
    assert findings.failures[0][0] == "warning leaks"
    found = attempt(lambda: warnings.warn("column 'a\\nb' is empty", UserWarning, stacklevel=1))
    assert found.warns_of("a\nb") and not found.warns_of("size")
    findings = Findings(0)
    assert findings.judge("fit", found) and not findings.failures


@pytest.mark.parametrize("spread", [1.0, 1e300, 1e-300])
def test_differences_are_measured_in_the_spread_of_the_targets(spread):
    values = np.array([1.0, -1.0]) * spread
    assert differ(values * (1 + 1e-9), values, spread) == 0
    assert differ(values * 1.01, values, spread) == pytest.approx(0.01)
    assert differ(values[:1], values, spread) == np.inf
    assert differ(values * [1, np.nan], values, spread)


def test_changed_inputs_have_another_fingerprint():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [[1], None]})
    before = fingerprint(frame)
    assert fingerprint(frame.copy()) == before
    frame["b"][0].append(2)
    assert fingerprint(frame) != before
    assert fingerprint(np.ones(2)) != fingerprint(np.ones(2, dtype=int))


def test_renderings_of_a_column_hold_the_same_values():
    floats = pd.Series([0.5, np.nan], dtype="Sparse[float64]")
    assert _renderings(floats, "number")["strings"].tolist()[0] == "0.5"  # no "np.float64(0.5)"
    large = pd.Series([2**63, 2**63 + 1], dtype="uint64")
    assert "np.float64" not in _renderings(large, "number")  # which cannot tell them apart
    assert "np.float64" in _renderings(large // 2**60, "number")


def test_what_a_typed_container_holds_is_known_and_others_hold_cells_as_they_are():
    mixed = pd.DataFrame({"a": [dt.datetime(2020, 1, 2, 3), dt.date(2020, 1, 2)]}, dtype=object)
    assert held(contain("polars", mixed)) is None  # it stays with pandas
    assert held(contain("polars", mixed.iloc[1:])) == ["(datetime.date(2020, 1, 2),)"]
    assert held(contain("arrow", mixed.iloc[1:])) == ["{'a': datetime.date(2020, 1, 2)}"]
    assert held(contain("columns", mixed)) is None
