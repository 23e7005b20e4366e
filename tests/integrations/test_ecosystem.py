"""llmreg inside what people put it into; docs/ecosystem.md names the tests."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import BaggingRegressor, StackingRegressor, VotingRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import PartialDependenceDisplay, permutation_importance
from sklearn.linear_model import Ridge
from sklearn.metrics import PredictionErrorDisplay
from sklearn.model_selection import (
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    cross_val_predict,
    learning_curve,
    validation_curve,
)
from sklearn.multioutput import MultiOutputRegressor, RegressorChain

from llmreg import LLMRegressor

ROOT = Path(__file__).parents[2]
QUICK = dict(fit_method="ce", sft_epochs=1, batch_size=20, estimates=None, random_state=0)


@pytest.fixture
def model():
    return LLMRegressor(**QUICK)


@pytest.mark.parametrize(
    "around",
    [
        lambda model: StackingRegressor(
            [("a", model), ("b", LLMRegressor(**QUICK))], Ridge(), cv=2
        ),
        lambda model: VotingRegressor([("a", model), ("b", LLMRegressor(**QUICK))]),
        lambda model: BaggingRegressor(model, n_estimators=2, random_state=0),
        lambda model: RandomizedSearchCV(model, {"sft_epochs": [1, 2]}, n_iter=2, cv=2),
        lambda model: HalvingRandomSearchCV(model, {"sft_epochs": [1, 2]}, cv=2, random_state=0),
    ],
    ids=["stacking", "voting", "bagging", "randomised search", "halving search"],
)
def test_meta_estimators_fit_and_predict(around, model, table):
    X = table.X[["size"]] if isinstance(around(model), BaggingRegressor) else table.X
    fitted = around(model).fit(X, table.y)
    found = fitted.predict(X)
    assert found.shape == (40,) and np.isfinite(found).all()


@pytest.mark.parametrize("around", [MultiOutputRegressor, RegressorChain])
def test_several_targets_go_through_a_wrapper(around, model, table):
    y = np.stack([table.y, -table.y], 1)
    X = table.X[["size"]].to_numpy()
    found = around(model).fit(X, y).predict(X)
    assert found.shape == (40, 2) and np.corrcoef(found.T)[0, 1] < 0
    with pytest.raises(ValueError, match="MultiOutputRegressor"):
        model.fit(X, y)


def test_it_is_explained_and_drawn(model, table):
    pytest.importorskip("matplotlib").use("agg")
    model.fit(table.X, table.y)
    found = permutation_importance(model, table.X, table.y, n_repeats=2, random_state=0)
    assert found.importances.shape == (table.X.shape[1], 2)
    drawn = PartialDependenceDisplay.from_estimator(model, table.X, ["size"], grid_resolution=3)
    assert np.isfinite(drawn.pd_results[0]["average"]).all()
    assert PredictionErrorDisplay.from_estimator(model, table.X, table.y).ax_ is not None


def test_curves_and_predictions_out_of_fold(model, table):
    sizes, train, _ = learning_curve(model, table.X, table.y, train_sizes=[0.5, 1.0], cv=2)
    assert sizes.tolist() == [10, 20] and np.isfinite(train).all()
    scores = validation_curve(
        model, table.X, table.y, param_name="sft_epochs", param_range=[1, 2], cv=2
    )
    assert np.isfinite(scores).all()
    assert np.isfinite(cross_val_predict(model, table.X, table.y, cv=2)).all()


def test_a_frozen_model_stays_as_it_is(model, table):
    model.fit(table.X, table.y)
    before = model.predict(table.X)
    frozen = FrozenEstimator(model).fit(table.X, -table.y)
    np.testing.assert_array_equal(frozen.predict(table.X), before)


def test_cloudpickle_and_joblib_carry_it(model, table, tmp_path):
    cloudpickle, joblib = map(pytest.importorskip, ("cloudpickle", "joblib"))
    model.fit(table.X, table.y)
    joblib.dump(model, tmp_path / "model.joblib")
    for copy in (
        cloudpickle.loads(cloudpickle.dumps(model)), joblib.load(tmp_path / "model.joblib"),
    ):  # fmt: skip
        np.testing.assert_array_equal(copy.predict(table.X), model.predict(table.X))


def test_shap_splits_predictions_of_texts(model, table):
    shap = pytest.importorskip("shap")
    texts = table.X["words"].str.split().str[:3].str.join(" ")
    model.fit(texts, table.y)

    def predict(texts):
        return model.predict(pd.Series(texts, name="words"))

    explain = shap.Explainer(predict, shap.maskers.Text(r"\W+", mask_token="..."))
    shares = explain(texts[:2].tolist(), silent=True)
    for row, predicted in enumerate(predict(texts[:2])):
        assert shares[row].values.sum() + shares.base_values[row] == pytest.approx(predicted)
        assert "".join(shares[row].data) == texts[row]


def test_shap_splits_predictions_of_mixed_tables(model, table):
    shap = pytest.importorskip("shap")
    X = table.X
    others = X[:5].to_numpy(dtype=object)

    def predict(cells):
        return model.predict(pd.DataFrame(cells, columns=X.columns).astype(X.dtypes))

    model.fit(X, table.y)
    explain = shap.Explainer(
        predict, lambda kept, row: (np.where(kept, row, others),), algorithm="exact"
    )
    shares = explain(X[5:7], silent=True)
    np.testing.assert_allclose(shares.base_values, predict(others).mean())
    found = shares.values.sum(axis=1) + shares.base_values
    np.testing.assert_allclose(found, model.predict(X[5:7]))


def test_crepes_scales_residuals_by_the_predicted_deviation(model, table):
    crepes, extras = map(pytest.importorskip, ("crepes", "crepes.extras"))
    model.fit(table.X, table.y)

    def deviation(X):
        return model.predict(X, return_std=True)[1]

    conformal = crepes.WrapRegressor(model)
    conformal.calibrate(table.X, table.y, de=extras.DifficultyEstimator().fit(f=deviation))
    low, high = conformal.predict_int(table.X, confidence=0.75).T
    width = (high - low) / deviation(table.X)
    np.testing.assert_allclose(width, width[0], rtol=0.02)  # crepes adds 0.01 to each
    np.testing.assert_allclose((low + high) / 2, model.predict(table.X))
    assert 0.75 <= np.mean((low <= table.y) & (table.y <= high)) < 0.85


# -- the page ----------------------------------------------------------------------------------


def _named():
    text = (ROOT / "docs" / "ecosystem.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    return [row for row in rows if "| Works with |" not in row], text


def test_every_row_of_the_page_names_tests_that_exist():
    rows, _ = _named()
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)`(?:, `(\w+)`)?", row)
        assert named, f"no test in {row}"
        for path, function in named:
            source = (ROOT / path).read_text(encoding="utf-8")
            assert f"def {function}" in source, (path, function)
