"""A warm start goes on from the fit before it."""

import copy
import warnings

import numpy as np
import pytest

from llmreg import DigitCodec, ReMax, RowSerializer


def test_a_warm_start_goes_on_from_the_weights_scales_and_vocabulary(table, quick_fit):
    model = quick_fit(table.X, table.y, warm_start=True, sft_epochs=6, fit_method="soft_ce")
    first, kept = model.history_, {
        name: getattr(model, name) for name in ("serializer_", "codec_", "prompts_")
    }  # fmt: skip
    before = model.predict(table.X)
    model.fit(table.X, table.y)
    for name, part in kept.items():
        assert getattr(model, name) is part
    assert (model.predict(table.X) != before).any()
    cold = quick_fit(table.X, table.y, sft_epochs=6, fit_method="soft_ce")
    np.testing.assert_allclose(cold.history_["loss"], first["loss"], rtol=1e-9)
    assert model.history_["loss"].iloc[0] < first["loss"].iloc[0]
    assert model.history_["epoch"].tolist() == [1, 2, 3, 4, 5, 6]


def test_a_warm_start_that_fails_leaves_the_earlier_fit_as_it_was(table, quick_fit):
    model = quick_fit(table.X, table.y, warm_start=True)
    before = model.predict(table.X)
    model.set_params(fit_method__reward=lambda samples, y: np.zeros(3))
    with pytest.raises(ValueError, match="one finite number per"):
        model.fit(table.X, table.y)
    np.testing.assert_array_equal(model.predict(table.X), before)


def test_a_warm_start_takes_rows_with_new_words_and_values(table, quick_fit):
    model = quick_fit(table.X, table.y, warm_start=True)
    scale = model.y_mean_, model.y_std_
    new = table.X.assign(city="Paris", words="altogether new words and more of them")
    new["words"] += [str(i) for i in range(len(new))]
    with pytest.warns(UserWarning, match="targets lie outside the codec's range"):
        model.fit(new, table.y + 1000)
    assert np.isfinite(model.predict(new)).all()
    assert (model.y_mean_, model.y_std_) == scale
    with pytest.raises(ValueError, match="feature names should match"):
        model.fit(new.drop(columns="size"), table.y)


LASTING = {
    "serializer": RowSerializer("{size}"),
    "codec": DigitCodec(n_digits=1),
    "number_input": "text",
    "text_features": False,
    "dropout": 0.5,
    "model": "TINY",
}


@pytest.mark.parametrize("name", LASTING)
def test_a_warm_start_warns_of_changes_that_come_too_late(name, table, quick_fit):
    model = quick_fit(table.X, table.y, warm_start=True, fit_method="ce")
    same = copy.deepcopy(model)
    before = repr(getattr(model, name))
    model.set_params(**{name: LASTING[name]})
    with pytest.warns(UserWarning, match="warm_start=True goes on with what the first fit") as w:
        model.fit(table.X, table.y)
    (warning,) = [one for one in w if "warm_start" in str(one.message)]
    message = str(warning.message)
    assert warning.filename == __file__  # it points at the call of fit
    assert f"{name} ({before} → {LASTING[name]!r})" in message
    assert message.count("→") == 1 and "warm_start=False" in message
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same.fit(table.X, table.y)
    if name != "model":  # where the dtypes of prediction differ
        np.testing.assert_array_equal(model.predict(table.X), same.predict(table.X))


def test_a_warm_start_takes_new_training_parameters_without_a_word(table, quick_fit):
    model = quick_fit(table.X, table.y, warm_start=True)
    model.set_params(sft_epochs=2, sft_learning_rate=0.01, fit_method=ReMax(reward="mae"))
    model.set_params(batch_size=8, decoding="median", adapters=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(table.X, table.y)
    assert len(model.history_) == 3


def test_without_warm_start_the_second_fit_starts_anew(table, predictions, quick_fit):
    model = quick_fit(table.X[["size"]], -table.y)
    model.fit(table.X, table.y)
    np.testing.assert_array_equal(model.predict(table.X), predictions)


def test_a_warm_start_trains_a_pretrained_models_adapters_further(
    table, quick_fit, pretrained_folder
):
    model = quick_fit(table.X, table.y, model=pretrained_folder, fit_method="ce", warm_start=True)
    before = model.predict(table.X)
    n_weights = len(model.model_.state_dict())
    model.fit(table.X, table.y)
    assert (model.predict(table.X) != before).any()
    assert len(model.model_.state_dict()) == n_weights  # no second set of adapters
