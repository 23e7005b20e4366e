"""Other tools that save and log scikit-learn's models, where they are installed."""

import sys

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from llmreg import LLMRegressor, PretrainedModel
from llmreg.integrations.autologging import unlogged

QUICK = dict(fit_method="ce", sft_epochs=1, random_state=0, validation_fraction=None)


@pytest.fixture(scope="module")
def fitted(table, quick_fit, pretrained_folder):
    ways = {
        "tiny": dict(estimates="both"),
        "LoRA": dict(model=PretrainedModel(pretrained_folder, token="hf_secret")),
        "tuned": dict(model=pretrained_folder, adapters=None),
    }
    return {way: quick_fit(table.X, table.y, fit_method="ce", **ways[way]) for way in ways}


@pytest.mark.parametrize("way", ["tiny", "LoRA", "tuned"])
def test_skops_saves_models(way, fitted, table):
    skops = pytest.importorskip("skops.io")
    model = fitted[way]
    data = skops.dumps(model)
    trusted = skops.get_untrusted_types(data=data)
    ours = ("llmreg.", "transformers.", "peft.")
    assert all(name.startswith(ours) for name in trusted)
    again = skops.loads(data, trusted=trusted)
    np.testing.assert_array_equal(again.predict(table.X), model.predict(table.X))
    assert list(again.history_) == list(model.history_) and b"hf_secret" not in data


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("mlflow.sklearn")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    monkeypatch.chdir(tmp_path)
    return mlflow


def test_mlflow_saves_models(mlflow, fitted, table, tmp_path):
    skops = pytest.importorskip("skops.io")
    model = fitted["tiny"]
    trusted = skops.get_untrusted_types(data=skops.dumps(model))
    mlflow.sklearn.save_model(model, tmp_path / "skops", skops_trusted_types=trusted)
    mlflow.sklearn.save_model(model, tmp_path / "pickle", serialization_format="cloudpickle")
    for name in ("skops", "pickle"):
        again = mlflow.sklearn.load_model(str(tmp_path / name))
        np.testing.assert_array_equal(again.predict(table.X), model.predict(table.X))


def test_mlflow_logs_no_part_of_a_model_for_the_model(mlflow, table):
    mlflow.sklearn.autolog(log_models=False)
    try:
        model = LLMRegressor(**QUICK, estimates="both")
        model.fit(table.X, table.y)
        assert len(mlflow.search_runs(search_all_experiments=True)) == 0
        make_pipeline(model).fit(table.X, table.y)
        GridSearchCV(model, {"adapters": [8, 16]}, cv=2).fit(table.X, table.y)
    finally:
        mlflow.sklearn.autolog(disable=True)
    runs = mlflow.search_runs(search_all_experiments=True)
    names = sorted(runs["tags.estimator_name"])
    assert names == ["GridSearchCV", "LLMRegressor", "LLMRegressor", "Pipeline"]
    assert "hf_secret" not in runs.to_csv()


def test_without_mlflow_nothing_is_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "mlflow.utils.autologging_utils", raising=False)
    with unlogged():
        assert "mlflow.utils.autologging_utils" not in sys.modules
