"""A fit that may take so many seconds: what it does with them, and what it leaves out."""

import itertools
import math
import time

import numpy as np
import pytest
from sklearn.datasets import make_friedman1

from llmreg import LLMRegressor
from llmreg.training.time_limit import TimeLimit

X, Y = make_friedman1(300, 6, random_state=0)
ENDLESS = dict(sft_epochs=100_000, align_epochs=30_000, n_iter_no_change=None, random_state=0)


def test_parts_share_what_is_left_by_their_lengths(monkeypatch):
    limit = TimeLimit(100.0, began=0.0)
    monkeypatch.setattr(time, "perf_counter", lambda: 30.0)
    assert limit.left() == 60.0
    assert limit.share([40, 10, 10], 0) == 40.0
    assert limit.share([40, 10, 10], 1) == 30.0
    assert limit.share([40, 10, 10], 2) == 60.0
    monkeypatch.setattr(time, "perf_counter", lambda: 91.0)
    assert limit.left() == limit.share([40, 10], 1) == 0.0
    assert TimeLimit(None).share([40, 10], 1) == math.inf


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by a hundredth of a second each time that it is looked at."""
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks) / 100)


def test_an_endless_fit_ends_in_time_with_low_rates_and_a_good_model(clock):
    model = LLMRegressor(time_limit=4.0, estimates=None, **ENDLESS).fit(X, Y)
    history = model.history_
    assert {"sft", "align"} == set(history["stage"])
    seconds = history.groupby("stage")["seconds"].max()
    assert 2.0 < seconds["sft"] < 3.5 and seconds.sum() < 4.5
    # Up and down again, as in a stage of its full length.
    rates = history.loc[history["stage"] == "sft", "learning_rate"]
    assert rates.iloc[-1] < 0.1 * rates.max() and rates.max() > 0.9e-3
    assert model.score(X, Y) > 0.5


def test_without_time_there_is_one_step_and_a_warning():
    model = LLMRegressor(time_limit=1e-3, **ENDLESS)
    with pytest.warns(UserWarning, match=r"enough for 1 of \d+ steps.*Raise time_limit"):
        model.fit(X, Y)
    assert model.history_["step"].tolist() == [1]
    assert np.isfinite(model.predict(X)).all()


def test_members_share_the_time(clock):
    model = LLMRegressor(fit_method="ce", n_estimators=2, time_limit=2.0, **ENDLESS).fit(X, Y)
    seconds = model.history_.groupby("member")["seconds"].max()
    assert len(seconds) == 2 and seconds.max() < 1.3 * seconds.min()


def test_members_for_which_no_time_is_left_are_left_out():
    model = LLMRegressor(fit_method="ce", n_estimators=3, time_limit=1e-3, **ENDLESS)
    with pytest.warns(UserWarning, match="left no time for 2 of 3 members.*Raise time_limit"):
        model.fit(X, Y)
    assert model.history_["member"].tolist() == [0]
    alone = LLMRegressor(fit_method="ce", time_limit=1e-3, **ENDLESS)
    with pytest.warns(UserWarning, match="Raise time_limit"):
        alone.fit(X, Y)
    np.testing.assert_array_equal(model.predict(X), alone.predict(X))


def test_members_that_go_on_without_time_stay_as_many():
    model = LLMRegressor(
        fit_method="ce", n_estimators=2, sft_epochs=1, warm_start=True, random_state=0
    ).fit(X, Y)
    with pytest.warns(UserWarning, match="Raise time_limit"):
        model.set_params(time_limit=1e-3).fit(X, Y)
    assert model.history_["member"].unique().tolist() == [0, 1]


def test_time_to_spare_changes_nothing():
    plain, limited = (
        LLMRegressor(fit_method="ce", sft_epochs=2, time_limit=limit, random_state=0).fit(X, Y)
        for limit in (None, 1e6)
    )
    np.testing.assert_array_equal(plain.predict(X), limited.predict(X))


def test_a_fit_cut_short_is_not_taken_for_a_whole_one(tmp_path):
    settings = dict(sft_epochs=3, checkpoint_dir=tmp_path, random_state=0)
    with pytest.warns(UserWarning, match="Raise time_limit"):
        LLMRegressor(fit_method="ce", time_limit=1e-3, **settings).fit(X, Y)
    whole = LLMRegressor(fit_method="ce", **settings).fit(X, Y)
    assert whole.history_["epoch"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("wrong", [0, -1.0, "1 min", math.nan])
def test_what_is_no_time_is_refused(wrong):
    with pytest.raises(ValueError, match="time_limit"):
        LLMRegressor(time_limit=wrong).fit(X, Y)
