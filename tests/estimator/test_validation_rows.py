"""Rows of one's own to validate on, when, and by what."""

import numpy as np
import pandas as pd
import pytest

from llmreg import LLMRegressor


@pytest.fixture(scope="module")
def parts(table):
    """30 training rows, and ten others with a category that these do not have."""
    other = table.X[30:].assign(words=lambda X: X["words"] + " unheard")
    return table.X[:30], table.y[:30], other, table.y[30:]


@pytest.fixture(scope="module")
def judged(parts, quick_fit):
    X, y, X_val, y_val = parts
    model = LLMRegressor(
        sft_epochs=8, align_epochs=2, batch_size=8, sft_learning_rate=0.02, random_state=0
    )
    return model.fit(X, y, X_val=X_val, y_val=y_val)


def test_they_judge_and_all_of_x_trains(judged, parts):
    _, _, X_val, y_val = parts
    assert (judged.plan_.n_train, judged.plan_.n_held_out) == (30, 10)
    assert judged.plan_.why["n_held_out"] == "rows of X_val"
    history = judged.history_
    assert history["step"].max() == 8 * 4  # batches of eight of thirty rows
    kept = history[history["kept"]].iloc[-1]
    judged.estimate_weight_, judged.temperature_ = 0.0, 1.0  # as training sees it
    rmse = np.sqrt(np.mean((judged.predict(X_val) - y_val) ** 2))
    assert rmse == pytest.approx(kept["validation_rmse"], rel=1e-4)


def test_nothing_else_is_learnt_from_them(parts, quick_fit):
    X, y, X_val, y_val = parts
    params = dict(selection="last", temperature_scaling=False, estimate_weight=0.3)
    alone = quick_fit(X, y, **params)
    beside = LLMRegressor(
        sft_epochs=1, align_epochs=1, batch_size=16, random_state=0, **params
    ).fit(X, y, X_val=X_val, y_val=y_val + 1e6)
    np.testing.assert_array_equal(alone.predict(X_val), beside.predict(X_val))
    assert beside.history_["validation_rmse"].min() > 1e5


def test_other_rows_choose_other_weights(judged, parts):
    X, y, X_val, y_val = parts
    other = LLMRegressor(**judged.get_params()).fit(X, y, X_val=X_val, y_val=-y_val)
    assert (other.predict(X) != judged.predict(X)).any()
    weighted = LLMRegressor(**judged.get_params()).fit(
        X, y, X_val=X_val, y_val=y_val, sample_weight_val=np.arange(1, 11)
    )
    found, expected = (
        model.history_["validation_rmse"].iloc[0] for model in (weighted, judged)
    )  # fmt: skip
    assert found != expected


def test_they_may_come_with_a_warm_start(parts):
    X, y, X_val, y_val = parts
    model = LLMRegressor(sft_epochs=1, align_epochs=0, random_state=0, warm_start=True)
    model.fit(X, y, X_val=X_val, y_val=y_val).fit(X, y, X_val=X_val, y_val=y_val)
    assert model.plan_.n_held_out == 10 and model.history_["validation_rmse"].notna().all()


def test_one_alone_is_refused(parts):
    X, y, X_val, y_val = parts
    for given, absent in ((dict(X_val=X_val), "y_val"), (dict(y_val=y_val), "X_val")):
        with pytest.raises(ValueError, match=f"without {absent}: rows to validate on need both"):
            LLMRegressor().fit(X, y, **given)
    with pytest.raises(ValueError, match="sample_weight_val without X_val and y_val"):
        LLMRegressor().fit(X, y, sample_weight_val=np.ones(10))


def test_their_columns_and_numbers_are_checked_like_the_others(parts):
    X, y, X_val, y_val = parts
    with pytest.raises(ValueError, match="feature names should match"):
        LLMRegressor().fit(X, y, X_val=X_val.rename(columns={"size": "length"}), y_val=y_val)
    with pytest.raises(ValueError, match="NaN"):
        LLMRegressor().fit(X, y, X_val=X_val, y_val=y_val.mask(y_val == y_val.iloc[0]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda y: y.mask(y == y.iloc[0]),
            r"Input y_val contains NaN .*X_val\[known\] and y_val\[",
        ),
        (lambda y: y.replace(y.iloc[0], np.inf), r"Input y_val contains infinity in "),
        (lambda y: pd.to_datetime(y, unit="D"), r"y_val holds dates, such as"),
        (lambda y: y.astype(str) + " km", r"y_val holds '.* km'"),
        (lambda y: np.ma.masked_less(y.to_numpy(), y.max()), r"y_val is masked in "),
        (lambda y: np.stack([y, y], axis=1), r"y_val should be a 1d array"),
        (lambda y: "price", r"y_val is 'price' \(str\)"),
        (lambda y: y * 1e306, r"y_val goes from "),
        (lambda y: y.to_numpy().astype("timedelta64[M]"), r"y_val holds durations in months"),
        (lambda y: [pd.Timedelta("1s"), *y[1:]], r"y_val mixes durations"),
    ],
)
def test_errors_of_their_targets_name_them(change, said, parts):
    X, y, X_val, y_val = parts
    with pytest.raises(ValueError, match=said):
        LLMRegressor().fit(X, y, X_val=X_val, y_val=change(y_val))


@pytest.mark.parametrize(
    ("weight", "said"),
    [(-np.ones(10), "goes from -1"), (["a"] * 10, "holds 'a'"),
     (np.ma.masked_less(np.arange(10), 3), "is masked in 3")],
)  # fmt: skip
def test_so_do_those_of_their_weights(weight, said, parts):
    X, y, X_val, y_val = parts
    with pytest.raises(ValueError, match=f"^sample_weight_val {said}"):
        LLMRegressor().fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weight)


def test_an_interval_in_steps_validates_within_epochs_and_across_them(table, quick_fit):
    params = dict(fit_method="ce", sft_epochs=3, batch_size=8, validation_fraction=0.2)
    history = quick_fit(table.X, table.y, validation_interval=3, **params).history_
    assert history["step"].tolist() == [3, 6, 9, 12]  # three epochs of four
    assert history["epoch"].tolist() == [1, 2, 3, 3]
    rare = quick_fit(table.X, table.y, validation_interval=100, **params).history_
    assert rare["step"].tolist() == [12] and rare["validation_rmse"].notna().all()
    per_epoch = quick_fit(table.X, table.y, **params).history_
    every_four = quick_fit(table.X, table.y, validation_interval=4, **params).history_
    pd.testing.assert_frame_equal(
        per_epoch.drop(columns="seconds"), every_four.drop(columns="seconds")
    )


@pytest.mark.parametrize("method", ["ce", "remax", "mbr", "crps", "head_last"])
def test_the_methods_own_objective_may_choose(method, table, quick_fit):
    params = dict(sft_epochs=3, align_epochs=3, sft_learning_rate=0.03, align_learning_rate=0.03)
    model = quick_fit(
        table.X, table.y, fit_method=method, selection="objective", validation_fraction=0.3,
        **params,
    )  # fmt: skip
    history = model.history_
    for _, stage in history.groupby("stage"):
        kept = stage["kept"].to_numpy()
        assert kept.sum() == 1 and kept.argmax() == stage["validation_objective"].argmin()


def test_the_last_weights_may_be_asked_for(table, quick_fit):
    params = dict(
        fit_method="ce", sft_epochs=6, sft_learning_rate=0.1, validation_fraction=0.3,
        n_iter_no_change=1, random_state=3,
    )  # fmt: skip
    history = quick_fit(table.X, table.y, selection="last", **params).history_
    assert len(history) == 6 and history["kept"].tolist() == [False] * 5 + [True]
    assert history["validation_rmse"].notna().all()


def test_epoch_zero_is_what_a_stage_starts_from(table, quick_fit):
    model = quick_fit(table.X, table.y, validation_fraction=0.3, sft_epochs=2)
    history = model.history_
    assert history[["stage", "epoch"]].values.tolist() == [
        ["sft", 1], ["sft", 2], ["align", 0], ["align", 1],
    ]  # fmt: skip
    first = history[(history["stage"] == "sft") & history["kept"]]
    start = history[history["epoch"] == 0]
    assert start["validation_rmse"].item() == pytest.approx(first["validation_rmse"].item())


def test_epoch_zero_of_pretrained_weights_is_what_they_say_untrained(
    table, quick_fit, pretrained_folder
):
    params = dict(model=pretrained_folder, validation_fraction=0.3, fit_method="ce", estimates=None)
    history = quick_fit(table.X, table.y, **params).history_
    assert history["epoch"].tolist() == [0, 1] and history["kept"].tolist() == [False, True]
    untrained = quick_fit(table.X, table.y, sft_epochs=0, **params)
    held_out = untrained.plan_.split()[1]
    untrained.temperature_ = 1.0
    error = untrained.predict(table.X.iloc[held_out]) - table.y.iloc[held_out]
    assert history["validation_rmse"][0] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-4)
