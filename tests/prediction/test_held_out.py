"""Temperature and estimates' weight of a fitted estimator: whence, and what they change."""

import pickle
import warnings
from types import SimpleNamespace

import noisy_toy
import numpy as np
import pytest
from sklearn.base import clone

from llmreg import DigitCodec, GridCodec, LLMRegressor, NumericDistribution
from llmreg.numbers.calibration import tempered
from llmreg.prediction import held_out
from llmreg.prediction.distributions import outputs

ONE_STEP_GRIDS = ("new_tokens", "learnable_raft")


@pytest.fixture(scope="module")
def validation():
    """The fitted toy's encoded validation rows, and their targets."""
    model, (X, y, _) = noisy_toy.fitted(), noisy_toy.rows(300, seed=1)
    _, held_out = model.plan_.split()
    return model.prompts_.encode(model.serializer_.serialize(X.iloc[held_out])), y[held_out]


def _fitted(model, encoded, y, weight=None, **settings):
    weight = np.ones(len(y)) if weight is None else weight
    settings = dict(scales=True, asked=True, estimate_weight=0.0) | settings
    return held_out.fitted_calibration(model, encoded, y, weight, **settings)


def _sharpened(model, rows):
    found, others = outputs(model, rows)
    return tempered(found, 1 / 3), others


def _copy(model, **attributes):
    model = pickle.loads(pickle.dumps(model))
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def test_the_temperature_lessens_the_crps_of_the_validation_rows(validation):
    model, (X, y, _) = noisy_toy.fitted(), noisy_toy.rows(300, seed=1)
    assert abs(np.log(model.temperature_)) > 0.05  # the toy has something to calibrate
    held_out = np.isin(y, validation[1])
    changed = _copy(model)

    def crps(temperature):
        changed.temperature_ = temperature
        return changed.predict_distribution(X[held_out]).crps(y[held_out]).mean()

    best = min(crps(t) for t in np.geomspace(0.2, 5, 25))
    assert crps(model.temperature_) < crps(1.0) and crps(model.temperature_) < 1.005 * best


@pytest.mark.parametrize(
    ("linear", "of_y", "found"),
    [(True, 0, 0.5), (True, -1.5, 0.5), (False, 0, 0.5), (False, -0.5, 0.5), (False, -1.5, 1.0)],
)
def test_a_temperature_may_not_lose_in_y_itself(linear, of_y, found, monkeypatch):
    """``of_y`` is the gain in the units of y, in standard errors."""
    rows = np.random.RandomState(0).randn(100)
    rows = (rows - rows.mean()) / rows.std() / 10  # whose mean has a standard error of 0.01

    def scores(weight, temperature, axis=True):
        gain = 50 if axis else of_y
        return 1 - (gain / 100 + rows) * np.exp(-2 * np.log(temperature / 0.5) ** 2)

    monkeypatch.setattr(held_out, "_obstacle", lambda *_: None)
    monkeypatch.setattr(held_out, "_scores", lambda *_: (scores, np.full(100, 0.01)))
    model = SimpleNamespace(codec=SimpleNamespace(linear=linear))
    calibration = held_out.fitted_calibration(
        model, SimpleNamespace(estimate=None), np.arange(100.0), np.ones(100), scales=True,
        asked=False, estimate_weight=0.0,
    )  # fmt: skip
    assert calibration.temperature == pytest.approx(found, rel=0.1)


def test_rows_of_one_number_tell_nothing(validation):
    encoded, _ = validation
    model, y = noisy_toy.fitted().model_, np.full(len(encoded), 40.0)
    assert _fitted(model, encoded, y, estimate_weight="auto") == held_out.Calibration(1.0, 0.5)
    with pytest.warns(UserWarning, match=r"targets of all \d+ validation rows are 40"):
        _fitted(model, encoded, y, asked=True)


def test_sharper_outputs_get_a_higher_temperature(validation, monkeypatch):
    encoded, y = validation
    model = noisy_toy.fitted()
    monkeypatch.setattr(held_out, "outputs", _sharpened)
    found = _fitted(model.model_, encoded, y).temperature
    assert 2 * model.temperature_ < found < 3.2 * model.temperature_


def test_weights_count(validation, monkeypatch):
    encoded, y = validation
    monkeypatch.setattr(held_out, "MIN_ROWS_TO_CALIBRATE", 5)
    model, some = noisy_toy.fitted().model_, np.arange(len(y)) % 3 == 1
    few = encoded.take(np.flatnonzero(some))
    for name, rel in (("temperature", 0.01), ("estimate_weight", 1e-6)):
        expected, found, unweighted = (
            getattr(_fitted(model, *given, estimate_weight="auto"), name)
            for given in ((few, y[some]), (encoded, y, 1e-300 * some), (encoded, y))
        )
        assert found == pytest.approx(expected, rel=rel), name
        assert found != pytest.approx(unweighted, rel=1e-3), name


def test_scaling_changes_predictions_alone_and_can_be_undone(table, quick_fit, monkeypatch):
    monkeypatch.setattr(held_out, "MIN_ROWS_TO_CALIBRATE", 5)
    X, params = table.X, dict(fit_method="ce", validation_fraction=0.3, estimate_weight=0.3)
    scaled = quick_fit(X, table.y, **params)
    plain = quick_fit(X, table.y, temperature_scaling=False, **params)
    assert plain.temperature_ == 1.0
    columns = ["loss", "validation_rmse"]
    assert scaled.history_[columns].equals(plain.history_[columns])
    undone = _copy(scaled, temperature_=1.0)
    np.testing.assert_array_equal(undone.predict(X), plain.predict(X))
    assert (scaled.predict(X) != plain.predict(X)).any()
    greedy = (model.predict(X, decoding="greedy") for model in (scaled, plain))
    np.testing.assert_array_equal(*greedy)
    with pytest.raises(ValueError, match="temperature_=0 is not a positive"):
        _copy(scaled, temperature_=0).predict(X)


def test_the_weight_counts_in_predictions_and_can_be_undone(table, quick_fit, monkeypatch):
    monkeypatch.setattr(held_out, "MIN_ROWS_TO_CALIBRATE", 5)
    X, params = table.X, dict(fit_method="ce", validation_fraction=0.3, temperature_scaling=False)
    pooled = quick_fit(X, table.y, estimate_weight=0.6, **params)
    alone = quick_fit(X, table.y, estimate_weight=0.0, **params)
    found = quick_fit(X, table.y, **params).estimate_weight_
    assert (pooled.estimate_weight_, alone.estimate_weight_) == (0.6, 0.0) and 0 < found < 1
    columns = ["loss", "validation_rmse"]
    assert pooled.history_[columns].equals(alone.history_[columns])
    undone = _copy(pooled, estimate_weight_=0.0)
    np.testing.assert_array_equal(undone.predict(X), alone.predict(X))
    assert (pooled.predict(X) != alone.predict(X)).any()
    rows = pooled.prompts_.extend(pooled.serializer_.serialize(X))
    # After one epoch the model knows little more than the mean.
    error = [np.abs(m.predict(X) - rows.estimate.centre).mean() for m in (pooled, alone)]
    assert error[0] < 0.6 * error[1]
    with pytest.raises(ValueError, match="estimate_weight_=2 is not a number from 0 to 1"):
        _copy(pooled, estimate_weight_=2).predict(X)


def test_the_model_alone_decides_where_estimates_know_nothing_and_the_other_way_round():
    rng = np.random.RandomState(0)
    X, y, _ = noisy_toy.rows(300, seed=1)
    settings = noisy_toy.SETTINGS | dict(estimate_weight="auto")
    product = np.sign(X["x"] - 0.3) * y  # nothing that a line could follow
    learnt = LLMRegressor(**settings).fit(X, product)
    untrained = LLMRegressor(**settings | dict(sft_learning_rate=1e-9)).fit(X, y)
    # A model that finds all numbers alike takes nothing from the estimates at any weight.
    assert learnt.estimate_weight_ < 0.2 and untrained.estimate_weight_ > 0.6
    shuffled = LLMRegressor(**settings).fit(X, rng.permutation(y))
    assert 0.1 < shuffled.estimate_weight_ < 0.9  # both know nothing, and equally much


def test_without_enough_rows_both_have_equal_say(table, quick_fit):
    for share in (None, 0.5):  # 0 and 20 rows
        fitted = quick_fit(table.X, table.y, fit_method="ce", validation_fraction=share)
        assert (fitted.estimate_weight_, fitted.temperature_) == (0.5, 1.0)


def test_a_weight_without_estimates_is_zero_and_warned_of(table, quick_fit):
    params = dict(fit_method="ce", estimates=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert quick_fit(table.X, table.y, **params).estimate_weight_ == 0.0
    with pytest.warns(UserWarning, match=r"estimate_weight=0\.4 has no effect"):
        assert quick_fit(table.X, table.y, estimate_weight=0.4, **params).estimate_weight_ == 0.0


@pytest.mark.parametrize("method", ["pointwise", "histogram", "new_tokens", "learnable_raft"])
def test_heads_and_other_numbers_are_pooled_too(method, table, quick_fit):
    y = table.y / 10
    codec = dict(codec=GridCodec([2, 4, 5, 6, 8])) if method in ONE_STEP_GRIDS else {}
    model = quick_fit(table.X, y, fit_method=method, estimate_weight=0.0, **codec)
    alone = model.predict(table.X)
    model.estimate_weight_ = 0.25
    moved = model.predict(table.X)
    centre = model.prompts_.extend(model.serializer_.serialize(table.X)).estimate.centre
    if method == "pointwise":
        np.testing.assert_allclose(moved, 0.75 * alone + 0.25 * centre)
    model.estimate_weight_ = 1.0
    towards = model.predict(table.X)
    assert np.corrcoef(towards, centre)[0, 1] > 0.9
    nearer = [np.abs(p - towards).mean() for p in (alone, moved, towards)]
    assert nearer[0] > nearer[1] > nearer[2]


def test_a_head_without_a_width_has_a_weight_of_least_absolute_error(table, quick_fit, monkeypatch):
    monkeypatch.setattr(held_out, "MIN_ROWS_TO_CALIBRATE", 5)
    model = quick_fit(table.X, table.y, fit_method="pointwise", validation_fraction=0.3)
    assert 0.6 < model.estimate_weight_ < 1  # after one epoch the head knows nothing
    assert model.temperature_ == 1.0


def test_members_are_mixed_first_and_pooled_then(table, quick_fit):
    model = quick_fit(table.X, table.y, fit_method="ce", n_estimators=2, estimate_weight=0.0)
    members = [_copy(model), _copy(model)]
    members[1].model_.restore(members[1].model_.further_members[0])
    for member in members:
        member.model_.keep_further_members(())
    mean = np.mean([m.predict(table.X) for m in members], axis=0)
    np.testing.assert_allclose(model.predict(table.X), mean)
    model.estimate_weight_ = 1.0
    members[0].estimate_weight_ = 1.0
    np.testing.assert_allclose(model.predict(table.X), members[0].predict(table.X))


def test_what_was_found_is_kept_by_pickles_and_folders_but_not_by_clones(tmp_path):
    model, (X, _, _) = _copy(noisy_toy.fitted(), estimate_weight_=0.3), noisy_toy.rows(20, seed=2)
    model.save(tmp_path / "model")
    for restored in (_copy(model), LLMRegressor.load(tmp_path / "model")):
        assert restored.temperature_ == model.temperature_
        assert restored.estimate_weight_ == 0.3
        np.testing.assert_array_equal(restored.predict(X), model.predict(X))
    assert not hasattr(clone(model), "temperature_")
    assert not hasattr(clone(model), "estimate_weight_")


ONE_STEP = {
    "histogram": {},
    "new_tokens": dict(codec=GridCodec([20, 40, 50, 60, 80])),
    "learnable_raft": dict(codec=GridCodec([2, 4, 5, 6, 8])),
}


@pytest.mark.parametrize("method", ONE_STEP)
def test_histograms_grids_and_learnt_values_have_a_temperature(method, table, quick_fit):
    y = table.y / 10 if method == "learnable_raft" else table.y
    model = quick_fit(table.X, y, fit_method=method, estimate_weight=0.0, **ONE_STEP[method])
    before = model.predict_distribution(table.X)
    model.temperature_ = 0.5
    after, power = model.predict_distribution(table.X), before.probabilities**2
    power /= power.sum(1, keepdims=True)
    np.testing.assert_allclose(after.probabilities, power, atol=1e-6)
    np.testing.assert_array_equal(after.values, before.values)
    assert (after.greedy() == before.greedy()).all() and (after.mean() != before.mean()).all()


def test_the_tolerance_holds_at_the_temperature(monkeypatch):
    monkeypatch.setattr("llmreg.prediction.distributions.SMALL_TREE", 0)
    model, (X, _, _) = _copy(noisy_toy.fitted(), temperature_=3.0), noisy_toy.rows(20, seed=2)
    exact = model.predict(X)
    found = model.set_params(tree_tolerance=0.05).predict(X)
    assert 0 < np.abs(found - exact).max() <= 0.05 * model.y_std_


def test_without_enough_rows_or_a_distribution_the_temperature_is_one(table, quick_fit):
    few = dict(fit_method="ce", validation_fraction=0.5)  # 20 rows
    for method, obstacle in (("ce", "at least 30 validation rows"), ("pointwise", "no width")):
        params = few | dict(fit_method=method)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert quick_fit(table.X, table.y, **params).temperature_ == 1.0
        with pytest.warns(UserWarning, match=f"temperature_scaling=True has no .*{obstacle}"):
            asked = quick_fit(table.X, table.y, temperature_scaling=True, **params)
        assert asked.temperature_ == 1.0
    assert quick_fit(table.X, np.ones(40), **few).temperature_ == 1.0


def test_models_that_are_not_trained_are_calibrated_if_asked(
    table, quick_fit, pretrained_folder, monkeypatch
):
    monkeypatch.setattr(held_out, "MIN_ROWS_TO_CALIBRATE", 5)
    params = dict(model=pretrained_folder, fit_method="zero_shot", validation_fraction=0.25)
    assert quick_fit(table.X, table.y, **params).temperature_ == 1.0
    assert quick_fit(table.X, table.y, temperature_scaling=True, **params).temperature_ != 1.0


def test_a_warm_start_calibrates_anew(table, quick_fit, monkeypatch):
    monkeypatch.setattr(held_out, "MIN_ROWS_TO_CALIBRATE", 5)
    model = quick_fit(table.X, table.y, fit_method="ce", validation_fraction=0.3, warm_start=True)
    first = model.temperature_
    assert model.fit(table.X, table.y).temperature_ != first
    assert model.set_params(temperature_scaling=False).fit(table.X, table.y).temperature_ == 1.0


def test_only_so_many_rows_are_computed(validation, monkeypatch):
    encoded, y = validation
    model, seen = noisy_toy.fitted().model_, []
    monkeypatch.setattr(held_out, "MAX_ROWS", 31)

    def spy(model, rows):
        seen.append(len(rows))
        return outputs(model, rows)

    monkeypatch.setattr(held_out, "outputs", spy)
    _fitted(model, encoded, y)
    assert seen == [31]


def test_rows_are_spread_over_all_of_them_and_fewer_for_large_trees():
    rows = held_out.calibration_rows(10_001, 110)
    assert rows[0] == 0 and rows[-1] == 10_000 and len(rows) == 2000
    assert set(np.diff(rows)) == {5, 6} or set(np.diff(rows)) == {5}
    assert len(held_out.calibration_rows(10_001, 10**7)) == 100
    assert held_out.calibration_rows(40, 110).tolist() == list(range(40))


@pytest.mark.parametrize(
    ("mean", "events", "told"),
    [(0.05, 30, True), (0.25, 30, False), (0.9, 30, True), (0.05, 3, False), (0.0, 0, False)],
)
def test_means_that_do_not_add_up_are_told(mean, events, told, recwarn):
    y = np.where(np.arange(100) < events, 1.0, 0.0)
    held_out._said_off("held-out", np.full(100, mean), y, np.ones(100), DigitCodec().fit(y))
    found = ["not to be trusted" in str(warning.message) for warning in recwarn]
    assert found == ([True] if told else [])


@pytest.mark.parametrize(("share", "told"), [(0.0, True), (0.003, True), (4 / 240, False)])
def test_what_is_too_rare_to_be_held_out_is_missed_in_all_rows(share, told, monkeypatch, recwarn):
    y = np.where(np.arange(300) % 75 == 1, 1e5, 50.0)  # 4 of 300, none of them held out
    some = np.flatnonzero(y == 50)[:60]
    large = np.where(np.isin(np.arange(300), some), 0.0, share)
    said = NumericDistribution(np.stack([1 - large, large], 1), [50.0, 1e5], [50.0, 1e5])
    monkeypatch.setattr(held_out, "_distributions", lambda model, rows, _: said[rows])
    monkeypatch.setattr(held_out, "has_spread", lambda _: True)
    monkeypatch.setattr(held_out, "_cells_per_row", lambda _: 1)
    model, encoded = SimpleNamespace(codec=DigitCodec().fit(y)), SimpleNamespace(take=lambda r: r)
    arguments = model, encoded, y, np.ones(300), some, held_out.Calibration(), "rail"
    assert held_out.fitted_decoding(*arguments) == "rail"
    assert ["of 300 training rows" in str(warning.message) for warning in recwarn] == [True] * told


def test_where_most_targets_are_one_number_predictions_stay_means(monkeypatch):
    y = np.r_[np.zeros(40), np.geomspace(1, 100, 20)]
    wide = NumericDistribution(np.tile([0.99, 0.01], (60, 1)), [0, 1e6], [0, 1e7])
    monkeypatch.setattr(held_out, "outputs", lambda *_: (None, None))
    monkeypatch.setattr(held_out, "calibrated_distribution", lambda *_: wide)
    monkeypatch.setattr(held_out, "has_spread", lambda _: True)
    monkeypatch.setattr(held_out, "_cells_per_row", lambda _: 1)
    model = SimpleNamespace(codec=SimpleNamespace(linear=False))
    rows = SimpleNamespace(take=lambda rows: rows)
    monkeypatch.setattr(held_out, "_said_off", lambda *_: True)

    def decoding(weight):
        return held_out.fitted_decoding(
            model, rows, y, weight, np.arange(60), held_out.Calibration(), "auto"
        )

    assert decoding(np.ones(60)) == "rail"
    with pytest.warns(UserWarning, match="hardly possible"):
        assert decoding(np.where(y > 0, 1.0, 0.1)) == "median"  # 4 of 24
