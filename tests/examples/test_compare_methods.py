"""examples/compare_methods.py: what it measures, what it repeats, and what it says."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from llmreg import LLMRegressor
from llmreg.numbers.distribution import DECODINGS

PATH = Path(__file__).resolve().parents[2] / "examples" / "compare_methods.py"
BASELINES = ["mean", "Ridge", "HistGradientBoosting"]


@pytest.fixture(scope="module")
def compare():
    spec = importlib.util.spec_from_file_location("compare_methods", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(compare, table, tmp_path):
    """``run(*arguments)``: the command on the 40 rows of ``table``, with the shortest of fits."""
    table.X.assign(price=table.y).to_csv(tmp_path / "flats.csv", index=False)
    common = ["--data", str(tmp_path / "flats.csv"), "--out", str(tmp_path / "out")]

    def run(*arguments):
        lengths = ["--sft-epochs", "1", "--align-epochs", "1", "--seeds", "0"]
        return compare.main([*common, *lengths, *arguments])

    run.out = tmp_path / "out"
    return run


@pytest.fixture
def fits(monkeypatch):
    """The methods fitted so far; those named in ``fits.broken`` fail."""

    class Fits(list):
        broken = ()

    fits, fit = Fits(), LLMRegressor.fit

    def counted(self, *args):
        fits.append(self.fit_method)
        if self.fit_method in fits.broken:
            raise RuntimeError("out of\npaper")
        return fit(self, *args)

    monkeypatch.setattr(LLMRegressor, "fit", counted)
    return fits


def test_methods_are_compared_without_estimates_unless_they_are_asked_for(run, monkeypatch):
    asked, fit = [], LLMRegressor.fit

    def noted(self, *args):
        asked.append(self.estimates)
        return fit(self, *args)

    monkeypatch.setattr(LLMRegressor, "fit", noted)
    run("--methods", "ce", "--no-baselines")
    run("--methods", "ce", "--no-baselines", "--estimates")  # other settings: measured again
    assert asked == [None, "auto"]


def test_one_fit_serves_all_decodings_and_is_never_repeated(run, fits, table, compare):
    found = run("--methods", "ce", "grpo")
    assert fits == ["ce", "grpo"]
    assert found.groupby("method", sort=False)["decoding"].apply(list).to_dict() == {
        **{name: ["point"] for name in BASELINES},
        **{name: list(DECODINGS) for name in ("ce", "grpo")},
    }
    assert found["method"].isin(["ce", "grpo"]).sum() == found["coverage"].notna().sum()
    for name in ("results.md", "ranks.png"):
        assert (run.out / name).stat().st_size > 100
    report = (run.out / "results.md").read_text(encoding="utf-8")
    assert report.count("\n| ce | ") == 2 + len(DECODINGS)

    # The figures are those of the same fit made by hand.
    split = compare.split_rows("flats", table.X, table.y.to_numpy(), None, 0, 1500)
    model = LLMRegressor(
        "tiny", "ce", sft_epochs=1, align_epochs=1, random_state=0, estimates=None
    )  # fmt: skip
    distribution = model.fit(split[0], split[2]).predict_distribution(split[1])
    row = found.query("method == 'ce' and decoding == 'median'").iloc[0]
    error = distribution.median() - split[3]
    assert row["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert row["crps"] == pytest.approx(distribution.crps(split[3]).mean())
    del fits[:]

    # A run that was killed in the middle of a line.
    path = run.out / "results.csv"
    path.write_bytes(path.read_bytes()[:-20])
    again = run("--methods", "ce", "grpo")
    assert fits == ["grpo"]
    assert again["decoding"].value_counts().loc[list(DECODINGS)].eq(2).all()
    again = run("--methods", "ce", "--seeds", "1", "--decodings", "rail")
    assert fits == ["grpo", "ce"] and sorted(again["seed"].unique()) == [0, 1]
    run("--methods", "ce", "--max-rows", "20", "--decodings", "rail")  # other settings, new fits
    assert fits == ["grpo", "ce", "ce"]


def test_a_method_that_fails_is_recorded_and_tried_again(run, fits):
    fits.broken = ("ce",)
    arguments = ("--methods", "ce", "soft_ce", "--no-baselines", "--decodings", "rail")
    assert run(*arguments)["method"].tolist() == ["soft_ce"]
    table = pd.read_csv(run.out / "results.csv").set_index("method")
    assert table.loc["ce", "error"] == "RuntimeError: out of paper"
    assert "- ce (flats; rail): RuntimeError: out of paper" in (run.out / "results.md").read_text()
    fits.broken = ()
    assert run(*arguments)["method"].tolist() == ["soft_ce", "ce"]
    assert fits == ["ce", "soft_ce", "ce"]
    assert "Failed" not in (run.out / "results.md").read_text()


def test_a_decoding_that_does_not_apply_is_not_tried_again(run, fits, monkeypatch):
    monkeypatch.setattr("llmreg.numbers.distribution.NumericDistribution.greedy", _no_greedy)
    arguments = ("--methods", "ce", "--no-baselines", "--decodings", "rail", "greedy")
    for _ in range(2):
        assert run(*arguments)["decoding"].tolist() == ["rail"]
    assert fits == ["ce"]
    assert "(flats; greedy): ValueError: none" in (run.out / "results.md").read_text()


def _no_greedy(self):
    raise ValueError("none")


def test_unknown_tables_and_methods_end_the_command_at_once(run, compare, monkeypatch):
    monkeypatch.delenv("LLMREG_DATA", raising=False)
    with pytest.raises(SystemExit, match="LLMREG_DATA is None"):
        run("--data", "nowhere")
    with pytest.raises(SystemExit):
        run("--methods", "guessing")


def test_tables_are_found_by_name_with_their_own_split(compare, tmp_path, monkeypatch):
    monkeypatch.setenv("LLMREG_DATA", str(tmp_path))
    frame = pd.DataFrame({"split": ["train", "dev", "test", "test"], "a": range(4), "y": 1.0})
    frame.loc[1, "y"] = None
    frame.to_csv(tmp_path / "given.csv.gz", index=False)
    X, y, given = compare.load("given")
    assert list(X) == ["a"] and len(y) == 3
    train, test, *_ = compare.split_rows("given", X, y, given, 0, 10)
    assert train["a"].tolist() == [0] and sorted(test["a"]) == [2, 3]


def test_groups_stay_together_and_missing_ones_are_groups_of_their_own(compare):
    X = pd.DataFrame({"verified_reviews": [*"abcdefghij" * 9, *[None] * 30]})
    train, test, *_ = compare.split_rows("alexa_reviews", X, np.arange(120.0), None, 0, 1000)
    sets = [set(part["verified_reviews"].dropna()) for part in (train, test)]
    assert sets[0] and sets[1] and not sets[0] & sets[1]
    assert train["verified_reviews"].isna().any() and test["verified_reviews"].isna().any()
    assert len(compare.split_rows("alexa_reviews", X, np.arange(120.0), None, 0, 7)[0]) == 7


def test_ranks_put_missing_results_last_and_average_ties(compare):
    rows = [("a", "t", 1), ("b", "t", 1), ("c", "t", 5), ("a", "u", 3), ("c", "u", 2)]
    table = pd.DataFrame(rows, columns=["method", "data", "rmse"])
    ranks = compare.mean_ranks(table, "rmse")
    assert ranks["mean"].to_dict() == {"a": 1.75, "b": 2.25, "c": 2.0}
    assert ranks.loc["c", "error"] == pytest.approx(1.0)


def test_the_critical_difference_is_that_of_demsars_table(compare):
    # Demšar (JMLR 2006), Table 5a: q at 5 % for 2, 5 and 10 methods.
    for n_methods, q in ((2, 1.960), (5, 2.728), (10, 3.164)):
        expected = q * np.sqrt(n_methods * (n_methods + 1) / (6 * 14))
        assert compare.critical_difference(n_methods, 14) == pytest.approx(expected, abs=1e-3)
