"""The transformer that reads texts with a pretrained model."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from llmreg import LLMRegressor, TextEncoder
from llmreg.lm.reading import TextReader

TEXTS = np.array(["the red old house", "Graz", "the red old house", "30 40 50"], dtype=object)


@pytest.fixture
def encoder(pretrained_folder):
    return TextEncoder(pretrained_folder, device="cpu")


def test_equal_texts_are_read_once_and_have_equal_vectors(encoder, monkeypatch):
    read, plain = [], TextReader.read

    def counting(self, texts, *args):
        read.extend(texts)
        return plain(self, texts, *args)

    monkeypatch.setattr(TextReader, "read", counting)
    found = encoder.fit_transform(TEXTS)
    assert read == ["the red old house", "Graz", "30 40 50"]
    assert found.shape == (4, encoder.n_features_out_) == (4, 128) and found.dtype == np.float32
    np.testing.assert_array_equal(found[0], found[2])
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_what_it_is_given_may_be_any_column_of_strings(encoder):
    expected = encoder.fit_transform(TEXTS)
    for X in (TEXTS.tolist(), pd.Series(TEXTS), pd.Series(TEXTS, dtype="string")):
        np.testing.assert_array_equal(encoder.transform(X), expected)


@pytest.mark.parametrize(
    ("X", "said"),
    [
        (np.array([["a", "b"]]), r"shape \(1, 2\) with str"),
        (["a", None], r"shape \(2,\) with str, NoneType"),
        ([1.5], r"shape \(1,\) with float"),
    ],
)
def test_anything_else_is_refused(X, said, encoder):
    with pytest.raises(ValueError, match=f"reads an array of strings.*{said}.*Pass one column"):
        encoder.fit(X)


@pytest.mark.parametrize(
    "params",
    [dict(depth=0.0), dict(depth=1.5), dict(depth="all"), dict(max_tokens=0), dict(batch_size=0),
     dict(model=None), dict(revision=3)],
    ids=str,
)  # fmt: skip
def test_illegal_parameters_are_refused(params, encoder):
    with pytest.raises(ValueError, match=f"The '{next(iter(params))}' parameter of TextEncoder"):
        encoder.set_params(**params).fit(TEXTS)


def test_a_model_that_is_not_there_is_told():
    with pytest.raises(OSError, match="model='no/such-model-zq' could not be loaded") as raised:
        TextEncoder("no/such-model-zq").fit(TEXTS)
    assert "for a TextEncoder, which has no token" in raised.value.__notes__[0]


def test_clones_and_pickles_hold_no_weights_and_read_the_same(encoder):
    expected = encoder.fit_transform(TEXTS)
    assert len(pickle.dumps(encoder)) < 1000
    for other in (clone(encoder), pickle.loads(pickle.dumps(encoder))):
        np.testing.assert_array_equal(other.fit(TEXTS).transform(TEXTS), expected)


def test_a_device_that_is_not_there_is_refused_by_fit_and_replaced_in_transform(encoder):
    expected = encoder.fit_transform(TEXTS)
    away = clone(encoder).set_params(device="hpu")
    with pytest.raises(ValueError, match=r"device='hpu' was asked for.* no HPU") as raised:
        away.fit(TEXTS)
    assert not hasattr(raised.value, "__notes__")  # they are of the model's name
    with pytest.warns(UserWarning, match="device='hpu'.* predicting on the CPU"):
        np.testing.assert_array_equal(away.transform(TEXTS), expected)


def test_batches_change_rounding_alone(encoder):
    expected = encoder.fit_transform(TEXTS)
    found = clone(encoder).set_params(batch_size=1).fit_transform(TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.fixture(scope="module")
def reviews():
    """What a text says is not in its words as such: no word comes twice."""
    words = [f"{a}{b}{c}" for a in "abc" for b in "defgh" for c in "ijkl"]
    text = [f"{word} {word[::-1]} and so on" for word in words]
    return pd.DataFrame({"text": text, "size": np.arange(60.0)}), np.arange(60.0) % 7


@pytest.fixture(scope="module")
def model(reviews, pretrained_folder, quick_fit):
    encoder = TextEncoder(pretrained_folder, device="cpu")
    return quick_fit(*reviews, text_features=encoder, estimates="both")


def test_a_regressor_with_it_is_saved_by_its_name(model, reviews, tmp_path):
    X, _ = reviews
    expected = model.predict(X)
    model.save(tmp_path / "saved")
    size = sum(path.stat().st_size for path in (tmp_path / "saved").rglob("*"))
    assert size < 8e6
    for again in (LLMRegressor.load(tmp_path / "saved"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.predict(X), expected)
    alone = [model.predict(X[i : i + 1])[0] for i in (3, 17)]
    np.testing.assert_allclose(alone, expected[[3, 17]], rtol=1e-5)


def test_both_the_estimates_and_the_model_read_its_vectors(model, reviews):
    X, _ = reviews
    rows = model.serializer_.serialize(X[:3])
    extended = model.prompts_.extend(rows)
    vectors = extended.fields[0].vectors
    assert vectors.shape == (3, 128)
    assert model.prompts_.estimates.features_.blocks_[-1] == [128]
    assert model.prompts_.encode(rows).cells.texts.shape == (3, 1, 128)


def test_training_that_goes_on_reads_them_too(model, reviews):
    X, y = reviews
    rows = model.serializer_.serialize(X[:9])
    found = model.prompts_.extend_training(rows, y[:9], np.ones(9)).fields[0].vectors
    np.testing.assert_array_equal(found, model.prompts_.extend(rows).fields[0].vectors)


def test_it_is_fitted_once_for_all_who_read_it(reviews, pretrained_folder, quick_fit, monkeypatch):
    calls, plain = [], TextEncoder.transform

    def counting(self, X):
        calls.append(len(X))
        return plain(self, X)

    monkeypatch.setattr(TextEncoder, "transform", counting)
    X, y = reviews
    fitted = quick_fit(X, y, text_features=TextEncoder(pretrained_folder), estimates="both")
    assert calls == [60]
    fitted.predict(X[:5])
    assert calls == [60, 5]
