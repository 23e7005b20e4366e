"""What the default settings reach; slow, so not in the default run (``pytest -m slow``)."""

import time

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_score

from llmreg import LLMRegressor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_defaults_reach_093_on_friedman1_within_two_minutes():
    X, y = make_friedman1(4000, 10, noise=1.0, random_state=0)
    start = time.perf_counter()
    model = LLMRegressor(random_state=0).fit(X[:3200], y[:3200])
    seconds = time.perf_counter() - start
    assert r2_score(y[3200:], model.predict(X[3200:])) >= 0.93
    assert seconds < 120


def test_defaults_are_close_to_ridge_on_the_few_rows_of_diabetes():
    X, y = load_diabetes(return_X_y=True, scaled=False, as_frame=True)
    folds = KFold(5, shuffle=True, random_state=0)
    assert np.mean(cross_val_score(LLMRegressor(random_state=0), X, y, cv=folds)) >= 0.44
