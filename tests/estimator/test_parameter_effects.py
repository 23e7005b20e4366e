"""Every parameter does what it says."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from peft import LoraConfig
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.pipeline import make_pipeline

from llmreg import GRPO, Device, DigitCodec, LLMRegressor, RowSerializer

CHANGES = {
    "sft_epochs": 2,
    "align_epochs": 2,
    "sft_learning_rate": 0.01,
    "align_learning_rate": 0.01,
    "dropout": 0.5,
    "batch_size": 5,
    "adapters": LoraConfig(target_modules=["q_proj"]),
    "validation_fraction": 0.4,
    "device": Device("cpu", dtype="bfloat16"),
    "fit_method": GRPO(reward="mse"),
    "optimizer": "adafactor",
    "estimates": None,
    "estimate_weight": 1.0,
    "decoding": "mode",
    "n_estimators": 2,
    "random_state": 1,
    "sft_method": "ce",
    "number_input": "text",
    "text_features": False,
    "serializer": RowSerializer("{size} {words}"),
    "codec": DigitCodec(n_digits=1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_parameter_changes_the_fit(name, table, predictions, quick_fit):
    found = quick_fit(table.X, table.y, **{name: CHANGES[name]}).predict(table.X)
    assert (found != predictions).any()
    assert np.isfinite(found).all()


def test_dropout_is_chosen_from_the_rows_and_hides_nothing_in_prediction(
    table, fitted, quick_fit, pretrained_folder
):
    assert fitted.model_.cells.dropout == 0.2  # the most, for 40 rows
    many = pd.concat([table.X] * 10, ignore_index=True)
    y = pd.concat([table.y] * 10, ignore_index=True)
    params = dict(fit_method="ce", batch_size=400)
    assert quick_fit(many, y, **params).model_.cells.dropout == 0.2  # texts
    numbers = many[["size"]].join(pd.Series(np.arange(400.0), name="more"))
    assert quick_fit(numbers, y, **params).model_.cells.dropout == 0.1
    params = dict(fit_method="ce", model=pretrained_folder, number_input="text+value")
    assert quick_fit(table.X, table.y, **params).model_.cells.dropout == 0
    assert quick_fit(table.X, table.y, dropout=0.3, **params).model_.cells.dropout == 0.3
    hidden = quick_fit(table.X, table.y, dropout=0.9, fit_method="ce")
    assert hidden.model_.cells.dropout == 0.9
    np.testing.assert_array_equal(hidden.predict(table.X), hidden.predict(table.X))


def test_text_features_may_be_the_users_own_transformer(table, predictions, quick_fit):
    transformer = make_pipeline(HashingVectorizer(n_features=64), TruncatedSVD(4, random_state=0))
    model = quick_fit(table.X, table.y, text_features=transformer)
    found = model.predict(table.X)
    assert (found != predictions).all()
    assert not hasattr(transformer[-1], "components_")  # a clone was fitted
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(table.X), found)


def test_texts_may_be_read_without_tokens_and_then_to_their_end(table, quick_fit):
    long = " ".join(f"word{i % 7}" for i in range(200))
    X = table.X.assign(words=[f"{long} {'red' if i % 2 else 'old'}" for i in range(len(table.X))])
    serializer = RowSerializer(column_kinds={"words": "text"}, max_text_tokens=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Text cells were cut")
        model = quick_fit(X, table.y, serializer=serializer, estimates=None)
    changed = X.assign(words=X["words"].str.replace("old", "red"))
    ends = X["words"].str.endswith("old").to_numpy()
    found, other = model.predict(X), model.predict(changed)
    assert (found != other)[ends].all() and (found == other)[~ends].all()


def test_sentences_are_read_to_their_end_by_default(table, quick_fit):
    long = " ".join(f"word{i % 7}" for i in range(200))
    X = table.X.assign(words=[f"{long} {'red' if i % 2 else 'old'}" for i in range(len(table.X))])
    settings = dict(estimates=None, sft_epochs=1, align_epochs=0)
    serializer = RowSerializer(column_kinds={"words": "text"})
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Text cells were cut")
        model = quick_fit(X, table.y, serializer=serializer, **settings)
    assert model.plan_.reading.vector_texts == ("words",)
    assert not any("wor" in token for token in model.prompts_.tokenizer.get_vocab())
    changed = X.assign(words=X["words"].str.replace("old", "red"))
    assert (model.predict(X) != model.predict(changed))[X["words"].str.endswith("old")].all()
    asked = clone(serializer).set_params(max_text_tokens=4)
    with pytest.warns(UserWarning, match="Text cells were cut to 4 tokens"):
        model = quick_fit(X, table.y, serializer=asked, **settings)
    assert model.plan_.reading.vector_texts == ()


def test_texts_in_which_features_find_nothing_are_told_of(table, quick_fit):
    n_rows = 60  # from fifty rows on, words count that two rows have
    X = pd.DataFrame({"words": [f"first{i} second{i} third{i}" for i in range(n_rows)]})
    serializer = RowSerializer(column_kinds={"words": "text"}, max_text_tokens=0)
    y = np.arange(n_rows, dtype=float)
    with pytest.warns(UserWarning, match="nothing to count in column 'words'.*Raise max_text_tok"):
        quick_fit(X, y, serializer=serializer, estimates=None)


def test_zero_epochs_leave_a_stage_out(table, quick_fit):
    alone = quick_fit(table.X, table.y, align_epochs=0)
    assert set(alone.history_["stage"]) == {"sft"}
    first = quick_fit(table.X, table.y, fit_method="soft_ce")
    np.testing.assert_array_equal(alone.predict(table.X), first.predict(table.X))
    assert set(quick_fit(table.X, table.y, sft_epochs=0).history_["stage"]) == {"align"}
    nothing = quick_fit(table.X, table.y, sft_epochs=0, align_epochs=0)
    assert len(nothing.history_) == 0 and np.isfinite(nothing.predict(table.X)).all()


def test_auto_chooses_the_epochs(table, quick_fit):
    settings = dict(sft_epochs="auto", align_epochs="auto", batch_size=40, n_iter_no_change=2)
    settings |= dict(validation_fraction=0.1, codec=DigitCodec(n_digits=1))
    model = quick_fit(table.X, table.y, **settings)
    assert set(model.history_["stage"]) == {"sft", "align"}
    assert np.corrcoef(model.predict(table.X), table.y)[0, 1] > 0


def test_without_validation_all_rows_are_trained_on(table, quick_fit):
    model = quick_fit(table.X, table.y, validation_fraction=None, batch_size=1, fit_method="ce")
    assert model.history_["validation_rmse"].isna().all()
    assert model.history_["step"].tolist() == [40]
    model = quick_fit(table.X, table.y, validation_fraction=0.25, batch_size=1, fit_method="ce")
    assert model.history_["validation_rmse"].notna().all()
    assert model.history_["step"].tolist() == [30]
    few = quick_fit(
        table.X[:19], table.y[:19], validation_fraction=0.1, batch_size=1, fit_method="ce"
    )
    assert few.history_["step"].tolist() == [19]  # too few to spare any


def test_auto_validation_sets_fifteen_per_cent_aside_where_rows_allow_it(table, quick_fit):
    params = dict(validation_fraction="auto", batch_size=1, fit_method="ce")
    few = quick_fit(table.X, table.y, **params)  # 40 rows: fresh weights take them all
    assert few.history_["step"].tolist() == [40]
    assert few.history_["validation_rmse"].isna().all()
    X, y = pd.concat([table.X] * 5, ignore_index=True), np.tile(table.y, 5)
    model = quick_fit(X, y, **params)
    assert model.history_["step"].tolist() == [170]
    assert model.history_["validation_rmse"].notna().all()
    assert LLMRegressor().validation_fraction == "auto"


def test_a_pretrained_model_validates_from_twenty_rows_on(table, quick_fit, pretrained_folder):
    params = dict(validation_fraction="auto", batch_size=1, fit_method="ce")
    model = quick_fit(table.X[:20], table.y[:20], model=pretrained_folder, **params)
    assert model.history_["step"].tolist() == [0, 17]
    assert model.history_["validation_rmse"].notna().all()


@pytest.mark.parametrize("patience", [1, 3])
def test_a_stage_stops_after_so_many_epochs_without_a_better_one(patience, table, quick_fit):
    noise = np.random.RandomState(1).randn(len(table.y))
    params = dict(sft_epochs=40, fit_method="ce", sft_learning_rate=0.03, validation_fraction=0.1)
    model = quick_fit(table.X, noise, n_iter_no_change=patience, **params)
    errors = model.history_["validation_rmse"]
    assert len(errors) == errors.argmin() + 1 + patience < 40
    longer = quick_fit(table.X, noise, n_iter_no_change=None, **params)
    assert len(longer.history_) == 40


def test_prompts_are_cut_to_max_prompt_tokens(table, predictions, quick_fit):
    with pytest.warns(UserWarning, match="Prompts were cut to 8 tokens in 40 of 40 rows"):
        model = quick_fit(table.X, table.y, serializer=RowSerializer(max_prompt_tokens=8))
    with pytest.warns(UserWarning, match="raise its max_prompt_tokens"):
        assert (model.predict(table.X) != predictions).any()


def test_a_custom_reward_gets_samples_and_targets(table, predictions, quick_fit):
    seen = []

    def reward(samples, y):
        seen.append((samples.shape, y.shape))
        return -(np.abs(samples - y) ** 3)

    found = quick_fit(table.X, table.y, fit_method=GRPO(reward=reward), batch_size=12).predict(
        table.X
    )
    assert (found != predictions).any()
    samples, y = seen[0]
    assert samples[0] == y[0] == 10 and y[1] == 1 and samples[1] >= 16
