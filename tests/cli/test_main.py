"""The command line, on the example's cars: what it writes, shows and refuses."""

import importlib
import re
import subprocess
import sys
import tomllib
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import llmreg
from llmreg import LLMRegressor, RowSerializer
from llmreg.cli import files
from llmreg.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
CARS = str(ROOT / "examples" / "data" / "auto-mpg.csv")
QUICK = ["--set", "sft_epochs=1", "--set", "estimates=None", "--set", "text_features=False"]


@pytest.fixture(scope="module")
def cars():
    return pd.read_csv(CARS).sample(80, random_state=0).reset_index(drop=True)


@pytest.fixture(scope="module")
def folder(cars, tmp_path_factory):
    """A folder with 80 cars, and the model that the command has fitted on them."""
    folder = tmp_path_factory.mktemp("cli")
    cars.to_csv(folder / "cars.csv", index=False)
    arguments = ["--target", "mpg", "--drop", "name", "--method", "ce", "-q", *QUICK]
    out = ["-o", str(folder / "model"), "--set", "validation_fraction=0.2"]
    assert main(["fit", str(folder / "cars.csv"), *arguments, *out]) == 0
    return folder


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_fit_saves_what_the_estimator_fits(folder, cars):
    model = LLMRegressor.load(folder / "model")
    X = cars.drop(columns=["mpg", "name"])
    by_hand = LLMRegressor(
        fit_method="ce", sft_epochs=1, estimates=None, text_features=False, random_state=0,
        validation_fraction=0.2,
    ).fit(X, cars["mpg"])  # fmt: skip
    assert np.array_equal(model.predict(X), by_hand.predict(X))


def test_fit_shows_progress_and_leaves_out_rows_without_a_target(cars, tmp_path, capsys, caplog):
    cars.assign(mpg=cars["mpg"].where(cars.index > 4)).to_csv(tmp_path / "cars.csv", index=False)
    arguments = ["--target", "mpg", "--method", "ce", "-o", tmp_path / "model", *QUICK]
    assert run("fit", tmp_path / "cars.csv", *arguments) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == f"fitted on 75 rows; saved in {tmp_path / 'model'}"
    assert err == "llmreg: left out 5 rows without 'mpg'\n"
    assert any(message.startswith("[sft] epoch 1/1") for message in caplog.messages)


def test_predict_replaces_no_column(folder, cars, tmp_path, capsys):
    data = tmp_path / "cars.csv"
    cars.assign(**{"prediction": 1, "q0.1": 2, "upper": 3}).to_csv(data, index=False)
    for arguments, names in (
        ([], "prediction"), (["--quantiles", 0.5, 0.1], "prediction, q0.1"),
        (["--interval", 0.9], "prediction, upper"),
    ):  # fmt: skip
        assert run("predict", folder / "model", data, "-o", tmp_path / "out.csv", *arguments) == 1
        assert f"has columns {names} already" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def test_every_quantile_has_a_column_of_its_own(folder, capsys):
    def columns(*quantiles):
        status = run("predict", folder / "model", folder / "cars.csv", "--quantiles", *quantiles)
        out, err = capsys.readouterr()
        return err if status else out.splitlines()[0].split(",")[-len(quantiles) :]

    assert columns(0, "0.10", 0.5, 1) == ["q0", "q0.1", "q0.5", "q1"]
    assert columns(0.123456789, 0.1234567) == ["q0.123456789", "q0.1234567"]
    assert "names q0.1 more than once; give each once" in columns(0.1, 0.5, ".10")


def test_predict_adds_columns_to_the_rows(folder, cars, capsys):
    model, X = LLMRegressor.load(folder / "model"), cars.drop(columns=["mpg", "name"])
    out, data = folder / "out.csv", folder / "cars.csv"
    assert run("predict", folder / "model", data, "-o", out, "--quantiles", 0.1, 0.9) == 0
    found = pd.read_csv(out)
    assert list(found) == [*cars, "prediction", "q0.1", "q0.9"]
    pd.testing.assert_frame_equal(found[list(cars)], cars)
    before, after = data.read_text().splitlines(), out.read_text().splitlines()
    assert all(new.startswith(old) for old, new in zip(before, after, strict=True))
    np.testing.assert_allclose(found["prediction"], model.predict(X))
    np.testing.assert_allclose(found[["q0.1", "q0.9"]], model.predict_quantiles(X, [0.1, 0.9]))
    capsys.readouterr()
    arguments = ["--interval", 0.8, "--decoding", "median", "--device", "cpu"]
    assert run("predict", folder / "model", data, *arguments) == 0
    (folder / "printed.csv").write_text(capsys.readouterr().out, encoding="utf-8")
    found = pd.read_csv(folder / "printed.csv")
    np.testing.assert_allclose(found["prediction"], model.predict(X, decoding="median"))
    np.testing.assert_allclose(found[["lower", "upper"]], model.predict_interval(X, 0.8))


def test_predict_matches_columns_by_name(folder, cars, capsys):
    cars[cars.columns[::-1]].to_csv(folder / "turned.csv", index=False)
    cars.drop(columns=["weight", "origin"]).to_csv(folder / "less.csv", index=False)
    printed = []
    for name in ("cars.csv", "turned.csv"):
        assert run("predict", folder / "model", folder / name) == 0
        (folder / "printed.csv").write_text(capsys.readouterr().out, encoding="utf-8")
        printed.append(pd.read_csv(folder / "printed.csv")["prediction"])
    assert printed[0].equals(printed[1])
    assert run("predict", folder / "model", folder / "less.csv") == 1
    error = (
        r"llmreg: The model reads columns that are not there: weight, origin\. Columns of .*less"
    )
    assert re.match(error + r".csv: cylinders, .*mpg. Rename .*\n$", capsys.readouterr().err)
    cars.rename(columns={"weight": "Weight"}).to_csv(folder / "other.csv", index=False)
    assert run("predict", folder / "model", folder / "other.csv") == 1
    assert "not there: weight. Is 'weight' 'Weight'? Columns" in capsys.readouterr().err


def test_blanks_around_names_are_no_part_of_them(folder, cars, tmp_path, capsys):
    X = cars[["weight", "origin"]]
    texts = X.assign(mpg=cars["mpg"]).to_csv(index=False)
    (tmp_path / "blanks.csv").write_text(texts.replace("weight,origin,mpg", "weight, origin, mpg"))
    (tmp_path / "plain.csv").write_text(texts)
    arguments = ["--target", "mpg", "--method", "ce", "-q", *QUICK]
    assert run("inspect", tmp_path / "blanks.csv", "--target", "mpg", "--drop", "origin") == 0
    by_hand = LLMRegressor(fit_method="ce", sft_epochs=1, estimates=None, random_state=0)
    by_hand.fit(X.rename(columns={"origin": " origin"}), cars["mpg"]).save(tmp_path / "by_hand")
    for name in ("plain", "blanks"):
        assert run("fit", tmp_path / f"{name}.csv", *arguments, "-o", tmp_path / name) == 0
    capsys.readouterr()
    for model in ("plain", "blanks", "by_hand"):
        found = []
        for name in ("plain", "blanks"):
            assert run("predict", tmp_path / model, tmp_path / f"{name}.csv") == 0
            found.append(capsys.readouterr().out.splitlines())
        assert found[0][1:] == found[1][1:] and len(found[0]) == 81
        assert found[1][0] == "weight, origin, mpg,prediction"
    (tmp_path / "taken.jsonl").write_text('{"weight":1,"origin":"usa"," prediction":2}\n')
    assert run("predict", tmp_path / "plain", tmp_path / "taken.jsonl") == 1
    assert "has columns prediction already" in capsys.readouterr().err


def test_keys_that_no_row_of_json_has_are_missing(folder, cars, tmp_path, capsys):
    model, path = LLMRegressor.load(folder / "model"), tmp_path / "t.jsonl"
    X = cars.drop(columns=["mpg", "name", "weight", "origin"])
    for rows in (X.to_dict("records"), [{"weight": 3000.0}], [{}, {}]):
        files.write_file(pd.DataFrame(rows), path)
        if not any(rows):
            path.write_text("{}\n{}\n")
        assert run("predict", folder / "model", path) == 0
        found = pd.read_csv(StringIO(capsys.readouterr().out))
        np.testing.assert_allclose(found["prediction"], model.predict(rows))
        assert list(found) == [*rows[0], "prediction"]
    path.write_text('{"wieght": 3000}\n')
    assert run("predict", folder / "model", path) == 1
    error = capsys.readouterr().err
    assert "Is 'weight' 'wieght'?" in error and "t.jsonl: wieght. Rename" in error


KEYS = ["01234", "12139", "K1A 0B1", "NA"]


@pytest.fixture(scope="module")
def keys():
    """A table whose target hangs on keys that look like numbers or gaps."""
    rng = np.random.default_rng(0)
    key = rng.choice(KEYS, 120, p=[0.3, 0.3, 0.1, 0.3])
    y = pd.Series(key).map(dict(zip(KEYS, [9.0, 1, 4, 14], strict=True)))
    day = pd.to_datetime("2024-01-01") + pd.to_timedelta(rng.integers(0, 10**6, 120), unit="s")
    return pd.DataFrame({
        "key": key, "x": rng.normal(size=120), "whole": np.arange(120.0), "n": np.arange(120),
        "flag": np.arange(120) % 2 == 0, "level": pd.Categorical(rng.integers(1, 4, 120)),
        "gaps": pd.Series(rng.normal(size=120)).where(y > 1), "day": day,
        "took": pd.to_timedelta(rng.integers(0, 10**6, 120), unit="s"), "y": y,
    })  # fmt: skip


def test_keys_are_the_same_in_fit_and_in_predict(keys, tmp_path):
    arguments = ["--target", "y", "-o", tmp_path / "model", "-q", *QUICK]
    keys[["key", "x", "y"]].to_csv(tmp_path / "train.csv", index=False)
    assert run("fit", tmp_path / "train.csv", *arguments) == 0
    model = LLMRegressor.load(tmp_path / "model")
    assert model.serializer_.plans_["key"].levels == tuple(sorted(KEYS))
    for known in (KEYS, ["01234", "12139"], ["NA"]):
        new = keys.loc[keys["key"].isin(known), ["key", "x"]].reset_index(drop=True)
        new.to_csv(tmp_path / "new.csv", index=False)
        out = tmp_path / "out.csv"
        assert run("predict", tmp_path / "model", tmp_path / "new.csv", "-o", out) == 0
        found = pd.read_csv(out, dtype={"key": str}, keep_default_na=False)
        assert found["key"].tolist() == new["key"].tolist()
        assert np.array_equal(found["prediction"], model.predict(new))


@pytest.mark.parametrize("end", ["csv", "tsv", "jsonl", "parquet"])
def test_a_table_means_in_a_file_what_it_means_in_python(end, keys, tmp_path, capsys):
    X, y = keys.drop(columns="y"), keys["y"]
    model = LLMRegressor(sft_epochs=1, align_epochs=1, random_state=0, estimates=None).fit(X, y)
    model.save(tmp_path / "model")
    files.write_file(X, tmp_path / f"in.{end}")
    for out in ("out.csv", "out.jsonl", "out.parquet"):
        place = tmp_path / out
        assert run("predict", tmp_path / "model", tmp_path / f"in.{end}", "-o", place) == 0
        found = files.read_file(place)
        assert np.array_equal(found["prediction"].astype(float), model.predict(X))
        files.write_file(found.drop(columns="prediction"), place)
        assert run("predict", tmp_path / "model", place) == 0  # what it wrote, fed back
        shown, err = capsys.readouterr()
        again = pd.read_csv(StringIO(shown))["prediction"]
        assert np.array_equal(again, model.predict(X)) and err == ""


def test_predict_gives_each_line_of_texts_a_prediction(tmp_path):
    texts = [f"{word} flat {i}" for i in range(20) for word in ("red", "blue")]
    data = pd.DataFrame({"t": texts, "y": range(40)})
    data.to_csv(tmp_path / "train.csv", index=False, sep=";")
    arguments = ["--target", "y", "-o", tmp_path / "model", "-q", "--method", "ce", *QUICK]
    assert run("fit", tmp_path / "train.csv", *arguments) == 0
    (tmp_path / "new.csv").write_text("t\nred flat\n\nblue flat\n\n")
    out = tmp_path / "out.csv"
    assert run("predict", tmp_path / "model", tmp_path / "new.csv", "-o", out) == 0
    lines = [line.rpartition(",")[0] for line in out.read_text().splitlines()]
    assert lines == ["t", "red flat", "", "blue flat"]


def test_predict_replaces_no_index(folder, cars, tmp_path, capsys):
    cars.rename_axis("prediction").to_parquet(tmp_path / "cars.parquet")
    assert run("predict", folder / "model", tmp_path / "cars.parquet") == 1
    assert "has columns prediction already" in capsys.readouterr().err


def test_predict_takes_models_that_were_fitted_on_arrays(folder, cars, capsys):
    X = cars[["weight", "acceleration"]]
    model = LLMRegressor(fit_method="ce", sft_epochs=1, estimates=None, random_state=0)
    model.fit(X.to_numpy(), cars["mpg"]).save(folder / "nameless")
    X.to_csv(folder / "two.csv", index=False)
    with pytest.warns(UserWarning, match="X has feature names"):
        LLMRegressor.load(folder / "nameless").predict(X)
    assert run("predict", folder / "nameless", folder / "two.csv") == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 81
    assert err.startswith("llmreg: warning: X has feature names, but") and err.count("\n") == 1


def test_compare_measures_methods_and_peers(folder, capsys):
    arguments = ["--target", "mpg", "--drop", "name", "--methods", "ce", "--splits", 2, *QUICK]
    out = ["--plot", folder / "picture.png", "-o", folder / "table.csv"]
    assert run("compare", folder / "cars.csv", *arguments, *out) == 0
    shown, err = capsys.readouterr()
    assert err == ""
    head, *rows = shown.splitlines()
    assert head.split()[:3] == ["model", "R²", "RMSE"]
    assert sorted(row.split()[0] for row in rows) == ["HistGradientBoosting", "Ridge", "ce", "mean"]
    table = pd.read_csv(folder / "table.csv").set_index("model")
    assert table["rmse"].is_monotonic_increasing and table["coverage"].notna().sum() == 1
    assert (folder / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_compare_goes_on_without_what_fails(folder, capsys):
    arguments = ["--target", "mpg", "--no-peers", "--methods", "ce", *QUICK, "--model", "no/where"]
    arguments += ["--set", "model=tiny", "--set", "codec__n_digits=0"]
    assert run("compare", folder / "cars.csv", *arguments) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[0].startswith("llmreg: ce: The 'n_digits' parameter")
    assert lines[1] == "llmreg: None of the regressors could be fitted."


def test_inspect_shows_what_is_read(cars, folder, capsys):
    cars.assign(id=range(80), price="12 km").to_csv(folder / "odd.csv", index=False)
    assert run("inspect", folder / "odd.csv", "--target", "mpg", "--drop", "name") == 0
    out = capsys.readouterr().out
    X = cars.drop(columns=["mpg", "name"]).assign(id=range(80), price="12 km")
    serializer = RowSerializer().fit(X, cars["mpg"])
    for name, row in serializer.report_.iterrows():
        assert any(line.split()[:2] == [name, row["kind"]] for line in out.splitlines())
        assert not row["advice"] or f"\n{name}: {row['advice']}\n" in out
    assert out.endswith(f"the first row:\n{serializer.transform(X[:1])[0, 0]}\n")
    assert "horsepower" in out and "mpg " not in out.splitlines()[1]
    assert run("inspect", folder / "odd.csv") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inspect", "nowhere.csv"], r"\[Errno 2\] No such file or directory: 'nowhere.csv'"),
        (["inspect", "table.xls"], "'table.xls' is of no known kind. Legal ends of names: .csv"),
        (["inspect", CARS, "--target", "price"], "There is no column 'price'. Columns: cylinders"),
        (["inspect", CARS, "--drop", "MPG"], "There is no column 'MPG'. Did you mean 'mpg'"),
        (["fit", CARS, "--target", "mpg", "-o", "."], ".* is not a saved llmreg model"),
        (["predict", "nowhere", CARS], "nowhere does not exist"),
        (["predict", "nowhere", CARS, "-o", "out.xls"], "'out.xls' is of no known kind"),
        (["predict", "nowhere", CARS, "-o", "a/out.csv"], "There is no folder 'a' to write in"),
        (["compare", CARS, "--target", "mpg", "-o", "a/out.csv"], "There is no folder 'a'"),
        (
            ["fit", CARS, "--target", "mpg", "-o", "model", "--set", "rate=1"],
            "Invalid parameter 'rate' for estimator LLMRegressor",
        ),
        (["fit", CARS, "--target", "name", "-o", "model", *QUICK], "The target 'name' holds '"),
    ],
    ids=lambda value: " ".join(value)[-30:] if isinstance(value, list) else "",
)
def test_errors_are_one_line_and_status_1(arguments, message, tmp_path, monkeypatch, capsys):
    (tmp_path / "else.txt").touch()
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert re.match(f"llmreg: {message}", err), err
    with pytest.raises(Exception, match=r"\w"):  # as it is, with where it came from
        main([*arguments, "--debug"])


@pytest.mark.parametrize(
    "arguments",
    [[], ["fit", CARS], ["guess", CARS], ["fit", CARS, "--target", "mpg", "-o", "m", "--set", "x"],
     ["fit", CARS, "--target", "mpg", "-o", "m", "--method", "guessing"],
     ["predict", "m", CARS, "--quantiles", "0.1", "--interval", "0.9"]],
    ids=["nothing", "no target", "no command", "no value", "no method", "two spreads"],
)  # fmt: skip
def test_wrong_usage_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2 and "usage: llmreg" in capsys.readouterr().err


def test_an_interrupted_command_is_status_130(folder, monkeypatch, capsys):
    def interrupt(self, *args):
        raise KeyboardInterrupt

    monkeypatch.setattr(LLMRegressor, "fit", interrupt)
    arguments = ["--target", "mpg", "-o", folder / "other"]
    assert run("fit", folder / "cars.csv", *arguments) == 130
    assert capsys.readouterr().err == "llmreg: interrupted\n"
    assert not (folder / "other").exists()


HELP = """
import sys
from llmreg.cli.main import main
try:
    main(["fit", "--help"])
except SystemExit as ended:
    print(ended.code, {"torch", "transformers", "peft", "matplotlib"} & set(sys.modules))
"""


def test_help_is_quick():
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.startswith("usage: llmreg fit") and done.stdout.endswith("\n0 set()\n")


def test_the_script_is_the_command(capsys):
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["llmreg"].partition(":")
    assert getattr(importlib.import_module(module), name) is main
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"llmreg {llmreg.__version__}\n"


def test_a_reader_that_has_seen_enough_ends_the_module(folder):
    command = f'"{sys.executable}" -m llmreg inspect "{folder / "cars.csv"}" | true'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stderr == ""
