"""Several models as one: averaged distributions, and all members through every door."""

import copy
import pickle

import numpy as np
import pytest

from llmreg import LLMRegressor


@pytest.fixture(scope="module")
def fitted(table, quick_fit):
    return quick_fit(table.X, table.y, n_estimators=3, sft_epochs=3, estimate_weight=0.0)


def _alone(model, member):
    """The estimator with one of its members alone."""
    single = copy.copy(model)
    single.model_ = copy.deepcopy(model.model_)
    if member:
        single.model_.restore(model.model_.further_members[member - 1])
    single.model_.keep_further_members(())
    return single


def test_the_distribution_is_the_mean_of_the_members(fitted, table):
    parts = [_alone(fitted, member).predict_distribution(table.X) for member in range(3)]
    found = fitted.predict_distribution(table.X)
    expected = np.mean([part.probabilities for part in parts], 0)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-12)
    np.testing.assert_allclose(fitted.predict(table.X), np.mean([p.mean() for p in parts], 0))
    means = [part.mean() for part in parts]
    assert all(np.abs(means[i] - means[j]).max() > 0.1 for i, j in ((0, 1), (0, 2), (1, 2)))


def test_the_first_member_is_the_model_that_would_be_fitted_alone(fitted, table, quick_fit):
    single = quick_fit(table.X, table.y, sft_epochs=3, estimate_weight=0.0).predict(table.X)
    np.testing.assert_allclose(_alone(fitted, 0).predict(table.X), single, rtol=1e-12)
    again = quick_fit(table.X, table.y, n_estimators=3, sft_epochs=3, estimate_weight=0.0)
    assert np.array_equal(again.predict(table.X), fitted.predict(table.X))
    assert fitted.history_["member"].tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_members_go_wherever_the_estimator_goes(fitted, table, tmp_path):
    expected = fitted.predict(table.X)
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).predict(table.X), expected)
    fitted.save(tmp_path / "model")
    assert np.array_equal(LLMRegressor.load(tmp_path / "model").predict(table.X), expected)
    assert np.array_equal(fitted.predict(table.X), expected)  # no member's weights were left behind


def test_members_of_a_pretrained_model_share_its_base(
    table, quick_fit, pretrained_folder, tmp_path
):
    model = quick_fit(table.X, table.y, model=pretrained_folder, n_estimators=2)
    (other,) = model.model_.further_members
    assert all("lora" in name for name in other)
    expected = model.predict(table.X)
    assert np.abs(expected - _alone(model, 0).predict(table.X)).max() > 1e-4
    model.save(tmp_path / "model")
    assert np.array_equal(LLMRegressor.load(tmp_path / "model").predict(table.X), expected)
    with pytest.raises(ValueError, match=r"merge=True .* an ensemble of 2"):
        model.save(tmp_path / "merged", merge=True)


def test_a_warm_start_goes_on_with_every_member(fitted, table):
    longer = copy.deepcopy(fitted).set_params(warm_start=True, align_epochs=0, sft_epochs=1)
    longer.fit(table.X, table.y)
    assert len(longer.model_.further_members) == 2
    for member in range(3):
        before, after = (_alone(model, member).predict(table.X) for model in (fitted, longer))
        assert 1e-3 < np.abs(after - before).max() < 0.5 * np.ptp(table.y)


def test_a_warm_start_keeps_the_number_of_members(table, quick_fit):
    single = quick_fit(table.X, table.y, warm_start=True).set_params(n_estimators=2)
    with pytest.warns(UserWarning, match=r"n_estimators \(1 → 2\)"):
        single.fit(table.X, table.y)
    assert not single.model_.further_members


def test_a_failed_warm_start_leaves_all_members_as_they_were(
    table, quick_fit, pretrained_folder, monkeypatch
):
    model = quick_fit(table.X, table.y, model=pretrained_folder, n_estimators=2, warm_start=True)
    expected = model.predict(table.X)
    monkeypatch.setattr("llmreg.training.stage.Stage._close", lambda stage: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.fit(table.X, table.y)
    assert np.array_equal(model.predict(table.X), expected)


@pytest.mark.parametrize("method", ["pointwise", "histogram", "new_tokens"])
def test_heads_and_new_tokens_are_averaged_too(method, table, quick_fit):
    params = dict(fit_method=method, n_estimators=2, estimate_weight=0.0)
    model = quick_fit(table.X, table.y, **params)
    parts = [_alone(model, member).predict(table.X) for member in range(2)]
    np.testing.assert_allclose(model.predict(table.X), np.mean(parts, 0), rtol=1e-6)
    assert np.abs(parts[0] - parts[1]).max() > 1e-3


def test_what_cannot_be_averaged_or_need_not_is_said_or_done_once(table, quick_fit):
    with pytest.raises(ValueError, match=r"n_estimators=2 .*learnable_raft"):
        quick_fit(table.X, table.y, fit_method="learnable_raft", n_estimators=2)
    constant = quick_fit(table.X, np.full(len(table.X), 3.0), n_estimators=2)
    assert not constant.model_.further_members
    np.testing.assert_allclose(constant.predict(table.X), 3.0, rtol=1e-12)


def test_every_member_has_fresh_weights_of_its_own(table, quick_fit):
    model = quick_fit(table.X, table.y, n_estimators=4, sft_epochs=0, align_epochs=0).model_
    own = model.snapshot()
    starts = [own, *model.further_members]
    for name, weight in own.items():
        if weight.std() > 0:  # drawn, not a constant
            drawn = {float(start[name].double().abs().sum()) for start in starts}
            assert len(drawn) == 4, name
