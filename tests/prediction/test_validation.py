"""Errors on held-out rows, as predictions would make them."""

import numpy as np
import pytest

from llmreg.prediction.validation import validator
from llmreg.training.parallel import Processes
from llmreg.training.run import TrainingRows


@pytest.fixture(scope="module")
def fit(table, quick_fit):
    return lambda **params: quick_fit(
        table.X, table.y, fit_method="ce", estimates=None, temperature_scaling=False, **params
    )


def _rows(model, table, held_out):
    encoded = model.prompts_.encode(model.serializer_.serialize(table.X))
    weight = np.linspace(0.5, 1.5, 40)
    train = np.setdiff1d(np.arange(40), held_out)
    y = table.y.to_numpy()
    return TrainingRows(encoded, y, weight, train, held_out)


@pytest.mark.parametrize("decoding", ["rail", "median", "auto", "sample", "sampled_median"])
def test_they_are_those_of_predict(fit, table, decoding):
    model, held_out = fit(decoding=decoding), np.arange(3, 15)
    rows = _rows(model, table, held_out)
    # "auto" is the mean until it is settled, and draws are judged by what they estimate.
    plan = model.plan_.settled(decoding, 1.0, 0.0)
    model.plan_ = plan
    rmse, squares = validator(model.fitted_, rows, Processes())()
    judged = "median" if "median" in decoding else "rail"
    errors = model.predict(table.X[3:15], decoding=judged) - rows.y[held_out]
    weight = rows.weight[held_out]
    assert rmse == pytest.approx(np.sqrt(np.average(errors**2, weights=weight)), rel=1e-3)
    expected = (errors / model.y_std_) ** 2 * weight / weight.mean()
    assert squares == pytest.approx(expected, rel=1e-2, abs=1e-4)


def test_without_held_out_rows_nothing_is_validated(fit, table):
    model = fit()
    assert validator(model.fitted_, _rows(model, table, np.arange(0)), Processes()) is None
