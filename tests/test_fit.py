"""A fit that fails or is interrupted leaves the estimator as it was."""

import ast
import contextlib
import inspect
import pickle

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

import llmreg.fit
from llmreg import Device, DigitCodec, LLMRegressor


def test_the_recipe_is_one_visible_body():
    tree = ast.parse(inspect.getsource(llmreg.fit))
    (recipe,) = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    assert recipe.end_lineno - recipe.body[1].lineno < 79  # the docstring comes first


class Unfittable(DigitCodec):
    def fit(self, y, sample_weight=None):
        raise RuntimeError("no")


# Where a fit fails, and with what: parameters and arguments, or what raises in its midst.
FAILURES = {
    "the table": (dict(X=[[np.inf, "a", "b"]] * 40), ValueError),
    "the target": (dict(y=["x"] * 40), ValueError),
    "the weights": (dict(sample_weight=-np.ones(40)), ValueError),
    "lengths": (dict(y=np.ones(3)), ValueError),
    "the codec": (dict(codec=Unfittable()), RuntimeError),
    "the device": (dict(device="nowhere"), ValueError),
    "building": ("llmreg.lm.building.build_model", MemoryError),
    "estimates": ("llmreg.estimates.row_estimates.RowEstimates.fit_extend", KeyboardInterrupt),
    "placing": ("llmreg.lm.backbone.NumberLM.place", RuntimeError),
    "training": ("llmreg.training.stage.Stage.run", KeyboardInterrupt),
    "an update": ("llmreg.training.selection.RunningMean.update", MemoryError),
    "validation": ("llmreg.training.selection.BestWeights.restore", FloatingPointError),
    "calibration": ("llmreg.prediction.held_out.fitted_calibration", KeyboardInterrupt),
}
AFTER_WARM_START = ("training", "an update", "validation", "calibration", "the weights", "lengths")


def _fail(model, table, monkeypatch, name):
    where, error = FAILURES[name]
    given = dict(X=table.X[["words", "size", "city"]], y=2 * table.y, sample_weight=None)
    if isinstance(where, str):

        def fail(*args, **kwargs):
            raise error

        monkeypatch.setattr(where, fail)
    else:
        before = {key: getattr(model, key) for key in where.keys() - given.keys()}
        given |= {key: where[key] for key in where.keys() & given.keys()}
        model.set_params(**{key: where[key] for key in before})
    with pytest.raises(error):
        model.fit(given["X"], given["y"], sample_weight=given["sample_weight"])
    monkeypatch.undo()
    if not isinstance(where, str):
        model.set_params(**before)


@pytest.fixture(scope="module")
def fitted(table, quick_fit):
    return quick_fit(table.X, table.y, fit_method="ce")


@pytest.mark.parametrize("name", FAILURES)
def test_a_fit_that_fails_leaves_the_estimator_as_it_was(name, fitted, table, monkeypatch):
    before, predictions = dict(vars(fitted)), fitted.predict(table.X)
    _fail(fitted, table, monkeypatch, name)
    assert vars(fitted) == before
    np.testing.assert_array_equal(fitted.predict(table.X), predictions)


@pytest.mark.parametrize("name", FAILURES)
def test_a_first_fit_that_fails_leaves_an_unfitted_estimator(name, table, monkeypatch):
    model = LLMRegressor(fit_method="ce", sft_epochs=1)
    before = dict(vars(model))
    _fail(model, table, monkeypatch, name)
    assert vars(model) == before
    with pytest.raises(NotFittedError):
        check_is_fitted(model)


def _weights(model):
    network = model.model_
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.filterwarnings("ignore:.* targets lie outside the codec")
@pytest.mark.parametrize("name", AFTER_WARM_START)
@pytest.mark.parametrize("pretrained", [False, True])
def test_a_warm_start_that_fails_leaves_model_and_weights(
    name, pretrained, table, quick_fit, pretrained_folder, monkeypatch, warm
):
    model, X = warm[pretrained], table.X
    weights, predictions = _weights(model), model.predict(X)
    attributes, mode = dict(vars(model)), model.model_.training
    if name in ("training", "an update", "validation", "calibration"):
        attributes["device"] = Device(gradient_checkpointing=True)
        model.set_params(device=attributes["device"])
    where, error = FAILURES[name]
    with contextlib.ExitStack() as stack:
        if isinstance(where, str):
            fail = stack.enter_context(pytest.MonkeyPatch.context())
            fail.setattr(where, _raising(error))
            stack.enter_context(pytest.raises(error))
            model.fit(X, 2 * table.y)
        else:
            stack.enter_context(pytest.raises(error))
            model.fit(X, where.get("y", table.y), sample_weight=where.get("sample_weight"))
    assert vars(model) == attributes and model.model_.training == mode
    assert not model.model_._checkpointing
    after = model.model_.state_dict()
    assert after.keys() == weights.keys()  # no second set of adapters is left
    assert all(torch.equal(after[key], weight) for key, weight in weights.items())
    np.testing.assert_array_equal(model.predict(X), predictions)


def _raising(error):
    def fail(*args, **kwargs):
        raise error

    return fail


@pytest.fixture(scope="module")
def warm(table, quick_fit, pretrained_folder):
    """Models to go on with, from fresh weights and from pretrained ones."""
    common = dict(fit_method="ce", warm_start=True, validation_fraction=0.2)
    return {
        False: quick_fit(table.X, table.y, estimates=None, **common),
        True: quick_fit(table.X, table.y, model=pretrained_folder, **common),
    }


def test_a_fit_after_one_that_failed_is_like_any_other(fitted, table, quick_fit, monkeypatch):
    model = pickle.loads(pickle.dumps(fitted))
    _fail(model, table, monkeypatch, "training")
    X = table.X[["size", "city"]].to_numpy()  # without names, and one less
    model.fit(X, table.y)
    expected = quick_fit(X, table.y, fit_method="ce")
    assert vars(model).keys() == vars(expected).keys()
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))
