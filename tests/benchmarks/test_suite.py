"""The suite: what it holds back, what it repeats, and what it says."""

import argparse
import os

import numpy as np
import pandas as pd
import pytest

from benchmarks.suite import (
    columns,
    command,
    estimators,
    measure,
    peers,
    plots,
    report,
    tables,
    text_peers,
)
from benchmarks.suite.results import KEY, Results
from llmreg import LLMRegressor, NumericDistribution

CHEAP = ["mean", "Ridge", "TF-IDF + Ridge"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """LLMREG_DATA with two tables of 60 rows: flats, whose "note" is text, and plain."""
    rng = np.random.RandomState(0)
    size, city = rng.uniform(20, 120, 60), rng.choice(["Rome", "Bern"], 60)
    y = size + 40 * (city == "Rome")
    flats = pd.DataFrame({"size": size, "note": [f"near {c}, no {i}" for i, c in enumerate(city)]})
    plain = pd.DataFrame({"size": size, "city": city})
    flats.assign(price=y).to_csv(tmp_path / "flats.csv", index=False)
    plain.assign(price=y).to_csv(tmp_path / "plain.csv.gz", index=False)
    monkeypatch.setenv("LLMREG_DATA", str(tmp_path))
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "vectors"))
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))  # main sets it
    tables.load_table.cache_clear()
    yield tmp_path
    tables.load_table.cache_clear()


@pytest.fixture
def run(folder, monkeypatch):
    """``run(*arguments)``: the command without a fit of llmreg; ``run.fits`` names its fits."""
    original = measure.measure

    def counted(*arguments):
        run.fits.append(arguments[:3])
        return original(*arguments)

    def run(*arguments):
        run.fits = []
        common = ["--data", "flats", "plain", "--out", str(run.out), "--llmreg", "--splits", "1"]
        return command.main([*common, "--estimators", *CHEAP, *arguments])

    monkeypatch.setattr(measure, "measure", counted)
    run.out = folder / "out"
    return run


def test_a_fit_is_never_repeated_unless_it_failed_or_its_line_is_half(run, monkeypatch):
    found = run()
    assert len(run.fits) == len(found) == 2 + 2  # each peer only where it is meant for the table
    assert ("flats", 0, "TF-IDF + Ridge") in run.fits and ("flats", 0, "Ridge") not in run.fits
    for name in ("results.md", "ranks.png", "tables.png"):
        assert (run.out / name).stat().st_size > 500
    for name in ("draw_ranks", "draw_tables"):
        monkeypatch.setattr(plots, name, lambda *arguments: None)
    run()
    assert not run.fits
    path = run.out / "results.csv"
    path.write_bytes(path.read_bytes()[:-5])  # killed while it wrote the last line
    run("--splits", "2")
    assert run.fits[0] == ("plain", 0, "Ridge") and len(run.fits) == 5
    assert len(run("--report", "--splits", "3")) == 8 and not run.fits
    broken = {**estimators.ALL_PEERS, "mean": estimators.Peer(_broken)}
    with monkeypatch.context() as context:
        context.setattr(measure, "ALL_PEERS", broken)
        assert len(run("--max-rows", "40")) == 2 and len(run.fits) == 4  # other rows, new fits
    written = (run.out / "results.md").read_text(encoding="utf-8")
    assert "mean (flats, plain): RuntimeError: out of paper" in written
    assert len(run("--max-rows", "40")) == 4 and len(run.fits) == 2


def _broken(X, text, seed):
    raise RuntimeError("out of\npaper")


def test_llmregs_line_is_that_of_the_same_fit_made_by_hand(folder):
    found = command.main(["--data", "plain", "--estimators", "--llmreg", "ce", "--splits", "1",
                        "--set", "sft_epochs=1", "--tag", "a", "--out", str(folder)])  # fmt: skip
    (ce,) = (row for _, row in found.iterrows())
    assert ce["estimator"] == "llmreg ce [sft_epochs=1 a]"
    split = tables.split_table(tables.load_table("plain"), 0, 5000)
    model = LLMRegressor(fit_method="ce", sft_epochs=1, random_state=0).fit(split.X, split.y)
    distribution = model.predict_distribution(split.X_test)
    error = distribution.mean() - split.y_test
    assert ce["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert ce["crps"] == pytest.approx(distribution.crps(split.y_test).mean())
    low, high = distribution.interval(0.8).T
    inside = (low <= split.y_test) & (split.y_test <= high)
    assert ce["coverage_80"] == pytest.approx(inside.mean()) and ce["r2_greedy"] < 1


def test_a_number_has_no_crps_and_a_distribution_is_read_as_the_estimator_does():
    point = NumericDistribution([[1.0], [1.0]], [[1.0], [3.0]], [[1.0], [3.0]])
    assert "crps" not in measure.figures(np.array([1.0, 2.0]), point)
    spread = NumericDistribution([[0.5, 0.5], [0.1, 0.9]], [0, 1], [1, 3])
    y = np.array([0.5, 2.0])
    found = [measure.figures(y, spread, decoding)["mae"] for decoding in ("rail", "mode")]
    assert found == pytest.approx([(0.75 + 0.15) / 2, 0.0])


def test_unknown_names_end_the_command_and_missing_packages_are_said(run, monkeypatch, capsys):
    for arguments in (["--data", "nowhere"], ["--estimators", "guess"], ["--llmreg", "guess"]):
        with pytest.raises(SystemExit, match=arguments[1]):
            run(*arguments)
    with pytest.raises(SystemExit, match="NAME=VALUE"):
        run("--set", "sft_epochs")
    absent = estimators.Peer(_broken, ("no_such_package",))
    monkeypatch.setitem(estimators.ALL_PEERS, "CatBoost", absent)
    run("--estimators", "mean", "CatBoost", "--data", "plain")
    line = "CatBoost is left out: no_such_package not installed"
    assert line in capsys.readouterr().out and line in (run.out / "results.md").read_text()
    assert run.fits == [("plain", 0, "mean")]


# --- Splits ------------------------------------------------------------------


def test_test_rows_are_a_fifth_and_never_trained_on():
    X = pd.DataFrame({"row": np.arange(1000)})
    table = tables.Table(X, np.arange(1000.0), (), None, None)
    parts = [tables.split_table(table, seed, 500) for seed in (0, 0, 1)]
    for part in parts:
        assert len(part.y) == 400 and len(part.y_test) == 100
        assert not set(part.X["row"]) & set(part.X_test["row"])
        assert (part.X["row"] == part.y).all() and (part.X_test["row"] == part.y_test).all()
    assert parts[0].X_test.equals(parts[1].X_test) and not parts[0].X_test.equals(parts[2].X_test)


def test_groups_stay_together_and_the_authors_test_rows_are_kept(folder):
    frame = pd.DataFrame({"subject": np.repeat(np.arange(20), 10), "a": range(200), "y": 1.0})
    frame.to_csv(folder / "parkinsons_telemonitoring.csv", index=False)
    part = tables.split_table(tables.load_table("parkinsons_telemonitoring"), 0, 150)
    assert len(part.y) + len(part.y_test) == 150
    assert len(part.y_test) and not set(part.X["subject"]) & set(part.X_test["subject"])

    frame.assign(split=np.where(frame["a"] < 30, "test", "train"))[["split", "a", "y"]].to_csv(
        folder / "given.csv", index=False
    )
    part = tables.split_table(tables.load_table("given"), 0, 1000)
    assert list(part.X) == ["a"] and sorted(part.X_test["a"]) == list(range(30))


def test_rows_of_one_instance_are_a_group_and_unlabelled_rows_are_their_own(folder):
    X = pd.DataFrame({"algorithm": list("abab"), "x": [1, 1, 2, 2], "z": [5, 5, 5, np.nan]})
    labels = tables._groups("aslib_sat11_hand", X)
    assert labels[0] == labels[1] != labels[2] and labels[2] != labels[3]
    labels = tables._groups("alexa_reviews", pd.DataFrame({"verified_reviews": [None, None]}))
    assert labels[0] != labels[1]


def test_the_manifest_says_what_is_text(folder):
    assert tables.load_table("flats").text == ("note",)
    (folder / "manifest.json").write_text('[{"name": "plain", "text": ["city"]}]')
    tables._manifest.cache_clear()
    tables.load_table.cache_clear()
    assert tables.load_table("plain").text == ("city",)
    tables._manifest.cache_clear()


# --- Peers -------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in estimators.ALL_PEERS if name != "mean"])
def test_peers_read_any_table_with_gaps_dates_texts_and_unknown_values(name, monkeypatch):
    if estimators.missing_packages(name):
        pytest.skip(f"{name} needs {estimators.missing_packages(name)}")
    rng = np.random.RandomState(0)
    n = 120
    X = pd.DataFrame({
        "size": rng.uniform(20, 120, n), "flag": rng.rand(n) < 0.5, "empty": np.nan,
        "city": rng.choice(["Rome", "Bern"], n),
        "day": [f"{day}/09/2017" for day in rng.randint(1, 30, n)],
        "note": rng.choice(["a fine view", "no view at all"], n),
    })  # fmt: skip
    y = X["size"] + 50 * (X["city"] == "Rome") + 50 * (X["note"] == "a fine view")
    X.loc[[3, 100], ["size", "city", "day", "note"]] = None
    X.loc[101, ["city", "note"]] = ["Oslo", "words never seen"]
    model = estimators.ALL_PEERS[name].make(X[:90], ("note",), 0)
    if name == "RegressLM":
        model.set_params(max_epochs=1, n_samples=2)
    prediction = model.fit(X[:90], y[:90].to_numpy()).predict(X[90:])
    assert np.isfinite(prediction).all() and len(prediction) == 30
    if name != "RegressLM":
        assert np.corrcoef(prediction, y[90:])[0, 1] > 0.8


def test_dates_are_found_in_any_style_and_in_the_right_order():
    dates = pd.DataFrame({"d": ["13/09/2017", "02/10/2017", None]})
    assert columns.column_kinds(dates, ())["date"] == ["d"]
    parts = columns.Dates().fit(dates).transform(dates)
    assert parts[:2, 2].tolist() == [9, 10] and np.isnan(parts[2]).all()
    assert parts[1, 0] - parts[0, 0] == 19
    styles = ["2011-01-02 03:00:00", "1/4/15", "31-Jul-18", "January 7, 2018", "2021-02-01T00:00Z"]
    for style in styles:
        assert columns.day_first(pd.Series([style])) is not None, style
    for word in ("0.15Kg (0.33 lb)", "Ages_6+", "4.0.3 and up", "12-34", "Auto(AM-S9)", "21"):
        assert columns.day_first(pd.Series([word])) is None, word


def test_the_distribution_between_quantiles_has_those_quantiles_and_covers():
    quantiles = np.array([[7.0, 1, 2, 3, 4, 5, 6]])  # crossing: put in order
    found = peers.between_quantiles(quantiles)
    assert found.interval(0.5)[0] == pytest.approx([3, 5])
    assert found.interval(0.8)[0] == pytest.approx([2, 6])
    assert found.interval(0.95)[0] == pytest.approx([1, 7])
    rng = np.random.RandomState(0)
    X = pd.DataFrame({"x": rng.randint(0, 3, 1500)})
    y = rng.normal(0, 1 + 3 * X["x"])
    model = peers.QuantileBoosting().fit(X[:1000], y[:1000])
    figures = measure.figures(y[1000:], model.predict_distribution(X[1000:]))
    for coverage in measure.COVERAGES:
        assert figures[f"coverage_{coverage}"] == pytest.approx(coverage / 100, abs=0.08)
        # Quantiles that coincide are a number of some probability.
        assert coverage / 100 - 1e-9 <= figures[f"claimed_{coverage}"] < coverage / 100 + 0.05
    assert figures["crps"] < 0.9 * np.mean(np.abs(y[1000:] - np.median(y[:1000])))


def test_intervals_claim_the_whole_probability_of_a_number_at_their_bound():
    found = NumericDistribution([[0.3, 0.7]], lower=[0, 5], upper=[4, 5])
    figures = measure.figures(np.array([5.0, 5.0, 1.0]), found[[0, 0, 0]])
    low, high = found.interval(0.5)[0]
    assert 0 < low < 4 and high == 5
    assert figures["coverage_50"] == pytest.approx(2 / 3)
    assert figures["claimed_50"] == pytest.approx(0.75)  # all above the lower quartile


def test_sentence_vectors_are_computed_once_and_their_time_still_counts(tmp_path, monkeypatch):
    class Encoder:
        seen = ()

        def encode(self, texts, show_progress_bar):
            self.seen = (*self.seen, *texts)
            return np.array([[len(text), 1.0] for text in texts])

    encoder = Encoder()
    monkeypatch.setattr(text_peers, "_encoder", lambda: encoder)
    monkeypatch.setattr(text_peers, "_VECTORS", {})
    monkeypatch.setattr(text_peers, "_FILES", set())
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path))
    texts = np.array(["a", "abc", "a"], object)
    model = text_peers.Sentences()
    assert model.fit_transform(texts).tolist() == [[1, 1], [3, 1], [1, 1]]
    monkeypatch.setattr(text_peers, "_VECTORS", {})  # as in the next process
    monkeypatch.setattr(text_peers, "_FILES", set())
    monkeypatch.setattr(text_peers.Sentences, "seconds_saved", 0.0)
    assert model.transform(np.array(["abc", "abcd"], object)).tolist() == [[3, 1], [4, 1]]
    assert encoder.seen == ("a", "abc", "abcd")
    assert text_peers.Sentences.seconds_saved > 0


# --- The report --------------------------------------------------------------


def results(*rows):
    """Lines of (data, split, estimator, r2), of 100 rows for tables whose name begins with s."""
    table = pd.DataFrame(rows, columns=["data", "split", "estimator", "r2"])
    table["n_train"] = np.where(table["data"].str.startswith("s"), 80, 8000)
    table["group"] = np.where(table["data"].str.contains("text"), "text", "numeric")
    figures = [*report.SUMMARY, "spread", "n_test"]
    return table.assign(**{f: 1.0 for f in figures if f not in table and f != "r2"})


def test_comparisons_use_the_splits_that_both_have_and_the_better_peer_of_each_table():
    finished = results(
        ("big", 0, "llmreg ce", 0.9), ("big", 0, "HGB", 0.8), ("big", 1, "HGB", 0.1),
        ("s1", 0, "llmreg ce", 0.5), ("s1", 0, "HGB", 0.4), ("s1", 0, "Ridge", 0.6),
        ("s2", 0, "llmreg ce", 0.5), ("s2", 0, "HGB", 0.3), ("s2", 0, "Ridge", 0.2),
        ("s3", 0, "llmreg ce", 0.9), ("s3", 0, "HGB", 0.3),
        ("text", 0, "llmreg ce", 0.3), ("text", 0, "MiniLM + HGB", 0.7), ("text", 0, "HGB", 0.2),
    )  # fmt: skip
    found = {row["comparison"]: row for row in report.compare(finished, "llmreg ce")}
    large = found["n ≥ 1,000: HGB"]
    assert (large["ours"], large["peer"], large["wins"]) == (0.9, 0.8, 1) and large["bar"]
    small = found["n < 1,000: max(Ridge, HGB)"]
    assert small["tables"] == 2 and small["wins"] == 1
    assert small["peer"] == pytest.approx((0.6 + 0.3) / 2)
    assert found["text: HGB"]["bar"] and not found["text: MiniLM + HGB"]["bar"]
    assert "text: skrub + HGB" not in found


def test_ranks_and_means_are_over_the_splits_that_all_have():
    finished = results(
        ("a", 0, "x", 0.9), ("a", 0, "y", 0.5), ("a", 0, "z", 0.5), ("a", 1, "x", -99.0),
        ("b", 0, "x", 0.1), ("b", 0, "y", 0.2), ("b", 0, "z", 0.3), ("c", 0, "z", -9.0),
    )  # fmt: skip
    found = report.summary(finished)
    assert found.attrs["tables"] == 2
    assert found["rank"].to_dict() == {"z": 1.75, "x": 2.0, "y": 2.25}
    assert found["r2"].to_dict() == pytest.approx({"z": 0.4, "x": 0.5, "y": 0.35})


def test_genre2s_released_figures_are_named_beside_ours():
    finished = results(
        ("concrete", 0, "llmreg default", 0.9), ("yacht", 0, "llmreg default", 0.9),
        ("student_por", 0, "llmreg default", 0.8),
    )  # fmt: skip
    args = argparse.Namespace(splits=1, max_rows=5000)
    written = report.write_report(finished, finished[:0], [], args)
    assert "| concrete | concrete_compressive_strength | 0.867 | 0.900 |" in written
    assert "| **mean** of the 1 that are the same data |  | 0.867 | 0.900 |" in written
    assert "| student_por (has the two earlier grades) |" in written
    assert "| yacht |" not in written.split("Beside GenRe²")[1].split("##")[0]


def test_two_runs_add_to_one_file(tmp_path):
    files = [Results(tmp_path / "results.csv") for _ in range(2)]
    line = {"data": "a", "split": 0, "max_rows": 9, "r2": 0.5}
    files[0].add({**line, "estimator": "x"})
    files[1].add({**line, "estimator": "y"})
    files[0].add({**line, "estimator": "x", "r2": 0.7})
    assert files[1].finished(9)[[*KEY, "r2"]].to_numpy().tolist() == [
        ["a", 0, "y", 9, 0.5], ["a", 0, "x", 9, 0.7],
    ]  # fmt: skip


def test_peers_on_logs_predict_in_the_units_of_y(folder):
    X = pd.DataFrame({"size": np.arange(60.0)})
    y = np.expm1(X["size"].to_numpy() / 10)
    model = peers.on_logs(peers.ridge)(X, (), 0).fit(X, y)
    np.testing.assert_allclose(model.predict(X), y, rtol=0.05, atol=0.1)
