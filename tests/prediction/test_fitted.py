"""The fitted parts, and their public names on the estimator."""

import copy

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from llmreg import LLMRegressor

NAMES = {
    "serializer_": "serializer", "codec_": "codec", "prompts_": "prompts", "model_": "model",
    "y_mean_": "mean", "y_std_": "std", "plan_": "plan", "target_scale_scores_": "scale_scores",
    "decoding_": "decoding", "temperature_": "temperature", "estimate_weight_": "estimate_weight",
}  # fmt: skip


@pytest.fixture(scope="module")
def fitted(table, quick_fit):
    return quick_fit(table.X, table.y, fit_method="ce", estimates=None)


@pytest.mark.parametrize("name", NAMES)
def test_parts_have_public_names_once_there_is_a_fit(name, fitted):
    assert getattr(fitted, name) is getattr(fitted.fitted_, NAMES[name])
    new = LLMRegressor()
    assert not hasattr(new, name)
    with pytest.raises(AttributeError, match=f"no '{name}' before it is fitted"):
        getattr(new, name)
    with pytest.raises(NotFittedError):
        check_is_fitted(new, name)


def test_what_is_set_acts_and_leaves_alone_what_others_hold(fitted, table):
    other = copy.copy(fitted)
    held = other.fitted_
    other.temperature_ = 3.0
    assert held.temperature == 1.0
    assert fitted.temperature_ == 1.0 and other.fitted_.temperature == 3.0
    wide, narrow = (one.predict(table.X, return_std=True)[1] for one in (other, fitted))
    assert (wide > narrow).mean() > 0.9


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, "warm"])
def test_illegal_temperatures_are_refused_when_predicting(wrong, fitted, table):
    other = copy.copy(fitted)
    other.temperature_ = wrong
    with pytest.raises((ValueError, TypeError), match="temperature_"):
        other.predict(table.X)
