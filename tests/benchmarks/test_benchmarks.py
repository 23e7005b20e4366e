"""The benchmarks' commands still run (``pytest -m benchmark``)."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from plans import plan_of
from sklearn.datasets import make_friedman1

from benchmarks.studies import ablation, equal_time
from llmreg import GRPO, DigitCodec, LLMRegressor, RowSerializer, SoftCE
from llmreg.config.defaults import stage_settings
from llmreg.config.resolve import flat
from llmreg.estimates.boosted_trees import tree_settings

ROOT = Path(__file__).parents[2]


@pytest.mark.benchmark
@pytest.mark.parametrize(
    "command",
    [
        ["studies.ablation", "--data", "auto-mpg", "--variants", "default", "no ramps"],
        ["studies.ablation", "--data", "auto-mpg", "--variants", "default", "--estimates-alone"],
        ["studies.after_ce", "--tables", "auto-mpg", "no-such-table", "--seeds", "1", "--methods",
         "first stage alone", "grpo (default: crps)"],
        ["studies.calibration", "--tables", "auto-mpg", "--methods", "ce", "--seeds", "1"],
        ["studies.costs", "--tables", "auto-mpg", "--rows", "100"],
        ["studies.defaults", "diabetes"],
        ["studies.equal_time", "--data", "auto-mpg", "--splits", "1", "--epochs", "1",
         "--max-rows", "100"],
        ["studies.hard_targets", "--try", "90 % zeros", "twice", "--seeds", "1"],
        ["studies.sampling", "--tables", "auto-mpg", "--rows", "100", "--seeds", "1", "--epochs",
         "1"],
        ["studies.gradients", "--repeats", "2", "--epochs", "1"],
        ["studies.gradients", "--figure", "gradients.svg", "--tables", "diabetes", "--rows", "60",
         "--epochs", "1", "--second-epochs", "1", "--seeds", "1"],
        ["speed.large_models", "--prompt", "32", "--batch", "2", "--repeats", "1"],
        ["studies.methods", "--quick", "--data", "auto-mpg", "--methods", "ce", "--out", "out"],
        ["studies.pretraining", "--minutes", "0.01", "--data", "auto-mpg", "--max-rows", "100"],
        ["studies.real_models", "--data", "auto-mpg", "--try", "fresh+epochs=1+epochs 2=1",
         "fresh+ce+passes=2", "--rows", "60", "--test-rows", "20", "--figure", "curves.png"],
        ["studies.recipes", "--tables", "auto-mpg", "--recipes", "genre2-ce", "ours",
         "--rows", "100", "--seeds", "1", "--set", "sft_epochs=1", "align_epochs=1"],
        ["studies.text_encoders", "--data", "auto-mpg", "--try", "Ridge + TF-IDF",
         "llmreg + TF-IDF", "--max-rows", "60"],
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
    assert any(figure in result.stdout for figure in ("R²", "rail", "rows/s", "saved", "variance",
                                                     "entropy", "CRPS"))  # fmt: skip


def test_equal_time_compares_with_the_first_stage_alone_table_by_table():
    lines = [
        {"model": "tiny", "table": table, "split": split, "method": method, "max_rows": 9,
         "epochs": 1, "R²": 0.5 + better + 0.01 * split, "in 80": held}
        for table, gain, held in [("a", 0.1, 0.7), ("b", 0.3, 0.85), ("c", 0.2, 0.8)]
        for split in range(2)
        for method, better in [("grpo", gain), ("remax after ce", 0.0), ("soft_ce", 0.0),
                               ("ce", gain / 2)]
    ]  # fmt: skip
    table = pd.DataFrame(lines)
    for name in equal_time.SHOWN.values():
        for column in (name, f"{name} alone"):
            table[column] = table.get(column, 0.0)
    table.loc[table["method"] == "soft_ce", "in 80"] = 0.8
    found = equal_time.differences(table).set_index("method")
    assert found["tables"].tolist() == [3, 3]
    assert found.loc["grpo", "R²"].startswith("+0.200 [+0.1")
    assert found.loc["grpo", "off 80"].startswith("+5.000 [")  # 10, 5 and 0 points off
    assert found.loc["remax after ce", "R²"].startswith("-0.100 [-0.1")
    one = equal_time.differences(table[table["table"] == "b"])
    assert one.loc[0, "R²"] == "+0.300"


def test_the_interval_of_a_mean_is_that_of_resampled_tables():
    gaps = np.random.RandomState(0).normal(0.1, 1.0, 40)
    means = np.random.RandomState(1).choice(gaps, (20_000, 40)).mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    mean, *ends = equal_time.interval(gaps).replace("[", "").replace("]", "").split()
    assert float(mean) == pytest.approx(gaps.mean(), abs=1e-3)
    assert [float(end.rstrip(",")) for end in ends] == pytest.approx([low, high], abs=0.02)


def test_equal_time_goes_on_where_it_was_stopped(monkeypatch):
    fits = []

    def fit(model, method, epochs, seed, part):
        fits.append((method, epochs))
        history = pd.DataFrame({"stage": ["sft", "align"], "seconds": [8.0, 2.0]})
        return SimpleNamespace(history_=history), 1.0 + epochs if method == "ce" else 21.0

    monkeypatch.setattr(equal_time, "_fit", fit)
    monkeypatch.setattr(equal_time, "_figures", lambda *_: {"R²": 0, "R² greedy": 0, "CRPS": 0})
    args = SimpleNamespace(
        model="tiny", depth=None, max_rows=100, epochs=5, methods=["ce", "grpo", "remax after ce"]
    )
    every = equal_time.compare("auto-mpg", 0, args, [])
    first = [next(every), next(every)]
    assert fits == [("grpo", 5), ("remax after ce", 5)] and first[0]["stage 2 / 1"] == 0.25
    (last,) = equal_time.compare("auto-mpg", 0, args, first)
    # An epoch takes a second, and what surrounds them another: twenty fill 21 seconds.
    assert last["method"] == "ce" and fits[2:] == [("ce", 2), ("ce", 8), ("ce", 20)]
    assert not list(equal_time.compare("auto-mpg", 0, args, [*first, last]))


@pytest.mark.parametrize(("seconds", "epochs"), [((3.0, 9.0), 19), ((9.0, 8.0), 56)])
def test_equal_time_fills_the_time_however_noisy_short_fits_are(seconds, epochs):
    taken = iter(seconds)
    assert equal_time._filling(20.0, (2, 8), lambda epochs: (None, next(taken))) == epochs


@pytest.mark.parametrize("texts", [False, True])
@pytest.mark.parametrize(("name", "pretrained"), [("tiny", False), ("pretrained_folder", True)])
def test_equal_time_knows_how_long_a_first_stage_is(name, pretrained, texts, table, request):
    model = name if name == "tiny" else request.getfixturevalue(name)
    fitted = LLMRegressor(model, align_epochs=0, validation_fraction=None)
    epochs = equal_time.default_epochs(len(table.y), pretrained, texts)
    X = table.X if texts else table.X.drop(columns="words")
    rows = RowSerializer().fit(X).serialize(X)
    plan = plan_of(fitted, rows, DigitCodec().fit(table.y), (SoftCE(), GRPO()))
    assert plan.stages[0][1].epochs == epochs


@pytest.mark.benchmark
def test_equal_time_fits_pretrained_weights_too(monkeypatch, pretrained_folder):
    monkeypatch.setattr(equal_time, "real_model", lambda name: pretrained_folder)
    args = SimpleNamespace(model="smollm2", depth=1, max_rows=40, epochs=1, methods=["grpo", "ce"])
    lines = list(equal_time.compare("auto-mpg", 0, args, []))
    assert [line["method"] for line in lines] == ["grpo", "ce"]
    assert lines[0]["stage 2 / 1"] > 0 == lines[1]["stage 2 / 1"]
    assert all(np.isfinite(line["CRPS alone"]) for line in lines)


@pytest.mark.parametrize(
    ("variant", "kinds", "alike"),
    [
        ("default", ("kernel", "boosted"), False),
        ("columns alike", ("kernel", "boosted"), True),
        ("ridge and trees", ("linear", "boosted"), None),
    ],
)
def test_variants_of_the_estimates_are_what_their_names_say(variant, kinds, alike):
    X, y = make_friedman1(220, 6, random_state=0)
    estimates = _estimates_of(variant, pd.DataFrame(X).add_prefix("x"), y)
    assert estimates.kinds == kinds
    kernel = estimates.regressors_.get("kernel")
    factors = None if kernel is None else set(kernel.factors_[1:].round(6))
    assert (None if factors is None else len(factors) == 1) is alike


def _estimates_of(variant, X, y):
    with ablation.in_place(variant) as settings:
        model = LLMRegressor(**settings, sft_epochs=1, align_epochs=1, random_state=0)
        return model.fit(X, y).fitted_.prompts.estimates


@pytest.mark.parametrize(
    ("variant", "unscaled", "alike"),
    [
        ("default", True, False),
        ("texts alike", True, True),
        ("words of length 1 alone", False, False),
    ],
)
def test_variants_of_texts_are_what_their_names_say(variant, unscaled, alike):
    """Sizes are told by how many atoms there are, and the second text tells nothing."""
    rng = np.random.RandomState(0)
    atoms = [rng.choice(["C", "N", "O"], rng.randint(1, 9)) for _ in range(120)]
    noise = [" ".join(rng.choice(list("abcdefgh"), 3)) for _ in range(120)]
    X = pd.DataFrame({"molecule": [" ".join(some) for some in atoms], "noise": noise})
    y = np.array([(some == "C").sum() + 0.5 * len(some) for some in atoms])
    estimates = _estimates_of(variant, X, y)
    kernel = estimates.regressors_["kernel"]
    *_, scaled, counts, _ = np.split(kernel.factors_, np.cumsum(list(map(sum, kernel.blocks))[:-1]))
    assert counts.any() == unscaled
    for block, sizes in ((scaled, kernel.blocks[2]), (counts, kernel.blocks[3])):
        molecule, other = np.split(block, sizes[:1])
        if block.any():
            assert bool(molecule.max() == other.max()) is alike


@pytest.mark.parametrize(
    ("variant", "epochs", "batch"), [("default", 20, 16), ("long cycle", 40, 32)]
)
def test_variants_of_training_are_what_their_names_say(variant, epochs, batch):
    params = flat(LLMRegressor().get_params(deep=False), RowSerializer(), None)
    with ablation.in_place(variant):
        sft, _ = stage_settings(params, 300, False, texts=True)
    assert (sft["epochs"], sft["batch_size"]) == (epochs, batch)


@pytest.mark.parametrize(("variant", "bins"), [("default", 63), ("255 bins", 255)])
def test_variants_of_trees_are_what_their_names_say(variant, bins):
    X, y = make_friedman1(600, 5, random_state=0)
    trees = _estimates_of(variant, pd.DataFrame(X), y).regressors_["boosted"]
    edges = np.unique(trees.threshold_[trees.feature_ == 1])
    assert bins // 4 < len(edges) < bins


@pytest.mark.parametrize(("variant", "told"), [("default", True), ("heaps within the bell", False)])
def test_variants_of_heaps_are_what_their_names_say(variant, told):
    X, y = make_friedman1(100, 5, random_state=0)
    estimates = _estimates_of(variant, pd.DataFrame(X), np.maximum(y, np.median(y)))
    assert (estimates.heaps_ is not None) == told


def test_a_codec_without_heaps_has_none():
    codec = ablation.NoHeaps().fit(np.repeat([1.0, 2, 3], 30))
    assert not codec.heaps_.any() and not codec.points_
    assert codec.values_.tolist() == ((codec.edges_[1:] + codec.edges_[:-1]) / 2).tolist()


@pytest.mark.parametrize(("variant", "n_trees"), [("default", 130), ("small steps", 200)])
def test_variants_of_the_trees_number_are_what_their_names_say(variant, n_trees):
    with ablation.in_place(variant):
        assert tree_settings(600)["max_iter"] == n_trees


@pytest.mark.parametrize(("variant", "n_layers"), [("default", 1), ("two layers", 2)])
def test_variants_of_the_shape_are_what_their_names_say(variant, n_layers):
    X = pd.DataFrame({"name": [f"house {i} of a row" for i in range(40)]})
    with ablation.in_place(variant) as settings:
        model = LLMRegressor(**settings, sft_epochs=1, align_epochs=0, random_state=0)
        assert model.fit(X, np.arange(40.0)).plan_.n_layers == n_layers
