"""history_: a row per epoch, and which weights were kept."""

import numpy as np
import pytest
from sklearn.model_selection import train_test_split


def test_history_is_a_tidy_frame_with_a_row_per_epoch(table, quick_fit):
    epochs = dict(sft_epochs=3, align_epochs=2, n_iter_no_change=None)
    history = quick_fit(table.X, table.y, validation_fraction=0.1, **epochs).history_
    assert {"stage", "epoch", "step", "loss", "learning_rate", "validation_rmse", "seconds"} <= set(
        history.columns
    )
    assert history["stage"].tolist() == ["sft"] * 3 + ["align"] * 3
    assert history["epoch"].tolist() == [1, 2, 3, 0, 1, 2]  # 0: what the second stage starts from
    np.testing.assert_array_equal(history["step"], history["epoch"] * -(-36 // 16))
    assert history.dtypes[["epoch", "step"]].eq(np.int64).all()
    numbers = ["loss", "learning_rate", "validation_rmse", "seconds", "sample_mse", "sample_spread"]
    assert history.dtypes[numbers].eq(np.float64).all()
    assert (history["seconds"] > 0).all()
    np.testing.assert_array_equal(history["loss"].notna(), history["epoch"] > 0)
    # What the method reports is missing in the stage of another method.
    reported = history[["sample_mse", "sample_spread"]]
    assert reported[:4].isna().all(axis=None) and reported[4:].notna().all(axis=None)


def test_history_says_which_epochs_weights_each_stage_kept(table, quick_fit):
    columns = ["stage", "epoch", "step", "loss", "learning_rate", "validation_rmse", "seconds"]
    model = quick_fit(table.X, table.y, sft_epochs=3, align_epochs=2)
    assert model.history_["kept"].dtype == bool
    assert model.history_["kept"].tolist() == [False, False, True, False, True]
    assert set(columns) < set(model.history_.columns)
    params = dict(sft_epochs=6, align_epochs=3, validation_fraction=0.3)
    model = quick_fit(table.X, table.y, align_learning_rate=1e-3, **params)
    kept = model.history_[model.history_["kept"]]
    assert kept["stage"].tolist() in (["sft", "align"], ["sft"])
    first = model.history_[model.history_["stage"] == "sft"]
    assert kept.index[0] == first["validation_rmse"].idxmin()


def test_a_second_stage_that_harms_is_undone_with_a_warning(table, quick_fit):
    params = dict(sft_epochs=30, sft_learning_rate=0.01, validation_fraction=0.3)
    with pytest.warns(UserWarning, match="GRPO made held-out rows clearly worse"):
        model = quick_fit(table.X, table.y, align_epochs=3, align_learning_rate=3.0, **params)
    history = model.history_
    assert history.groupby("stage")["kept"].sum().to_dict() == {"sft": 1, "align": 1}
    assert history.loc[history["kept"] & (history["stage"] == "align"), "epoch"].item() == 0
    alone = quick_fit(table.X, table.y, align_epochs=0, **params)
    np.testing.assert_allclose(
        model.predict(table.X), alone.predict(table.X), rtol=0, atol=1e-4 * table.y.std()
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_the_best_epochs_weights_are_kept(weighted, table, quick_fit):
    noise = table.y.to_numpy() + 10 * np.random.RandomState(1).randn(40)
    weight = np.random.RandomState(2).rand(40) + 0.1 if weighted else np.ones(40)
    model = quick_fit(
        table.X, noise, weight, sft_epochs=30, fit_method="ce", sft_learning_rate=0.03,
        validation_fraction=0.3, n_iter_no_change=None, estimates=None,
    )  # fmt: skip
    errors = model.history_["validation_rmse"]
    assert errors.argmin() < len(errors) - 1, "the last epoch is the best: nothing is tested"
    seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max)
    _, held_out = train_test_split(np.arange(40), test_size=0.3, random_state=seed)
    squares = (model.predict(table.X.iloc[held_out]) - noise[held_out]) ** 2
    found = np.sqrt(np.average(squares, weights=weight[held_out]))
    assert found == pytest.approx(errors.min(), rel=1e-4)
    assert found != pytest.approx(errors.iloc[-1], rel=1e-4)


def test_the_last_stages_best_weights_survive_the_merging_of_adapters(table, quick_fit):
    model = quick_fit(
        table.X, table.y, align_epochs=4, align_learning_rate=0.02, validation_fraction=0.1,
        estimate_weight=0.0,
    )  # fmt: skip
    best = model.history_[model.history_["kept"]].iloc[-1]
    assert best["stage"] == "align", "stage align improves nothing: nothing is tested"
    seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max)
    _, held_out = train_test_split(np.arange(40), test_size=0.1, random_state=seed)
    squares = (model.predict(table.X.iloc[held_out]) - table.y.iloc[held_out]) ** 2
    assert np.sqrt(squares.mean()) == pytest.approx(best["validation_rmse"], rel=1e-4)
