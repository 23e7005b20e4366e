"""What a prediction depends on, how it is read off, and that threads share a model."""

import copy
import itertools
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError

from llmreg import Device, DigitCodec, LLMRegressor, RowSerializer
from llmreg.numbers.decisions import least_cost
from llmreg.numbers.distribution import DECODINGS


@pytest.fixture(scope="module")
def ragged(quick_fit):
    """A model and rows whose texts are of very different lengths."""
    rng = np.random.RandomState(5)
    words = ["alpha", "beta", "gamma", "delta", "<pad>", "12"]
    X = pd.DataFrame(
        {
            "n": rng.randn(30),
            "t": [" ".join(rng.choice(words, i)) for i in rng.permutation(30) * 3],
            "u": rng.choice(["", "x", "yy yy " * 9], 30),
        }
    )
    y = pd.Series(rng.randn(30) * 1000)
    return quick_fit(X, y), X, 1e-9 * y.std()


@pytest.mark.parametrize(("tokens", "block"), [(1, 1000), (300, 7), (10**7, 1), (10**7, 1000)])
def test_predictions_do_not_depend_on_how_rows_are_batched(tokens, block, ragged, monkeypatch):
    model, X, tolerance = ragged
    expected = {how: model.predict(X, decoding=how) for how in ("rail", "median", "sample")}
    monkeypatch.setattr("llmreg.prediction.distributions.TOKENS_PER_BATCH", tokens)
    monkeypatch.setattr("llmreg.prediction.predictions.ROWS_PER_BLOCK", block)
    for how, values in expected.items():
        np.testing.assert_allclose(
            model.predict(X, decoding=how), values, rtol=0, atol=100 * tolerance
        )
    np.testing.assert_allclose(model.predict(X), expected["rail"], rtol=0, atol=tolerance)


def test_predictions_do_not_depend_on_the_other_rows(ragged):
    model, X, tolerance = ragged
    expected = model.predict(X)
    np.testing.assert_array_equal(model.predict(X), expected)  # nor on earlier calls
    alone = np.concatenate([model.predict(X[i : i + 1]) for i in range(len(X))])
    np.testing.assert_allclose(alone, expected, rtol=0, atol=tolerance)
    rows = np.random.RandomState(0).permutation(len(X))[:11]
    np.testing.assert_allclose(model.predict(X.iloc[rows]), expected[rows], rtol=0, atol=tolerance)


def test_a_pretrained_models_predictions_do_not_depend_on_the_other_rows(
    pretrained_folder, table, quick_fit
):
    X = pd.DataFrame({"words": table.X["words"]})
    model = quick_fit(
        X, table.y, model=pretrained_folder, fit_method="ce", serializer=RowSerializer("{words}")
    )
    new = pd.DataFrame({"words": ["", "red", "red " * 40, "blue old", ""]})
    together = model.predict(new)
    alone = np.concatenate([model.predict(new[i : i + 1]) for i in range(len(new))])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-5 * table.y.std())


@pytest.mark.parametrize("decoding", DECODINGS)
def test_decoding_by_parameter_and_by_call_agree(decoding, fitted, table):
    by_call = fitted.predict(table.X, decoding=decoding)
    by_parameter = copy.copy(fitted).set_params(decoding=decoding).predict(table.X)
    np.testing.assert_array_equal(by_call, by_parameter)
    distribution = fitted.predict_distribution(table.X)
    if decoding == "rail":
        np.testing.assert_allclose(by_call, distribution.mean())
    if decoding == "median":
        np.testing.assert_allclose(by_call, distribution.median())
    if decoding in ("mode", "greedy", "sample"):
        assert np.isin(by_call, fitted.codec_.values_).all()


def test_decodings_differ(fitted, table):
    found = [fitted.predict(table.X, decoding=how) for how in ("rail", "median", "mode", "sample")]
    for one, other in itertools.combinations(found, 2):
        assert (one != other).any()


def test_samples_repeat_for_an_int_and_go_on_for_a_random_state(fitted, table):
    first, again = (fitted.predict(table.X, decoding="sample") for _ in range(2))
    np.testing.assert_array_equal(first, again)
    going_on = copy.copy(fitted).set_params(random_state=np.random.RandomState(0))
    np.testing.assert_array_equal(going_on.predict(table.X, decoding="sample"), first)
    assert (going_on.predict(table.X, decoding="sample") != first).any()


@pytest.mark.filterwarnings("ignore:.* did not improve the validation")
def test_epochs_are_validated_by_the_decoding_asked_for(table, quick_fit):
    errors = [
        quick_fit(table.X, table.y, decoding=how, validation_fraction=0.1)
        .history_["validation_rmse"]
        .tolist()
        for how in ("rail", "mode", "sample", "sampled_mean")
    ]
    assert errors[0] != errors[1]
    assert errors[0] == errors[2] == errors[3]  # samples are judged by the mean


@pytest.mark.parametrize("pretrained", [False, True])
def test_eight_threads_predict_what_one_predicts(
    pretrained, fitted, table, quick_fit, pretrained_folder
):
    model = fitted
    if pretrained:
        model = quick_fit(table.X, table.y, model=pretrained_folder, fit_method="ce")
    model = pickle.loads(pickle.dumps(model))  # nothing is set up by an earlier call
    tables = [
        table.X.iloc[np.random.RandomState(seed).permutation(40)[: 5 * seed + 3]]
        for seed in range(8)
    ]
    started = threading.Barrier(8)

    def work(X):
        started.wait()
        return [model.predict(X) for _ in range(3)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, tables))
    for X, results in zip(tables, found, strict=True):
        expected = model.predict(X)
        for result in results:
            np.testing.assert_array_equal(result, expected)


def test_the_tolerance_bounds_the_error_of_the_mean(table, predictions, fitted, monkeypatch):
    tolerance = 0.3
    unchanged = copy.copy(fitted).set_params(tree_tolerance=tolerance).predict(table.X)
    assert np.array_equal(unchanged, predictions)  # a small tree is computed whole
    monkeypatch.setattr("llmreg.prediction.distributions.SMALL_TREE", 0)
    coarse = copy.copy(fitted).set_params(tree_tolerance=tolerance)
    error = np.abs(coarse.predict(table.X) - predictions)
    assert 0 < error.max() <= tolerance * table.y.std()
    whole, part = (model.predict_distribution(table.X[:1]) for model in (fitted, coarse))
    assert (part.probabilities > 0).sum() < (whole.probabilities > 0).sum()
    # The greedy path is always followed to its end.
    np.testing.assert_allclose(
        coarse.predict(table.X, "greedy"), fitted.predict(table.X, "greedy"), rtol=1e-12
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_dtype_is_that_of_the_weights(dtype, table, predictions, fitted, quick_fit):
    assert fitted.model_.dtype == torch.float64
    model = quick_fit(table.X, table.y, device=Device("cpu", dtype=dtype))
    assert model.model_.dtype == getattr(torch, dtype)
    found = model.predict(table.X)
    assert found.dtype == np.float64
    tolerance = 1.0 if dtype == "bfloat16" else 0.01
    np.testing.assert_allclose(found, predictions, rtol=0, atol=tolerance * table.y.std())


def test_an_unknown_decoding_lists_the_legal_ones(fitted, table):
    with pytest.raises(ValueError, match="decoding='average'") as error:
        fitted.predict(table.X, decoding="average")
    for name in DECODINGS:
        assert repr(name) in str(error.value)


@pytest.mark.parametrize("method", ["predict", "predict_distribution"])
def test_predicting_before_fitting_raises(method, table):
    with pytest.raises(NotFittedError, match="Call 'fit'"):
        getattr(LLMRegressor(), method)(table.X)


def _short_is_dear(ordered, sold):
    return np.where(sold > ordered, 3.0, 1.0) * np.abs(sold - ordered)


def test_a_cost_is_weighed_over_the_whole_tree(table, quick_fit):
    params = dict(fit_method="ce", codec=DigitCodec(n_digits=3), estimates=None)
    model = quick_fit(table.X, table.y, tree_tolerance=0.5, **params)
    found = model.predict(table.X, cost=_short_is_dear)
    exact = model.set_params(tree_tolerance=0).predict_distribution(table.X)
    assert exact.probabilities.shape[1] >= 1000
    np.testing.assert_array_equal(found, least_cost(exact, _short_is_dear))


def test_a_cost_needs_a_distribution(table, quick_fit):
    model = quick_fit(table.X, table.y, fit_method="head_last")
    with pytest.raises(ValueError, match="so it has no expected cost"):
        model.predict(table.X, cost=_short_is_dear)


def test_the_count_of_draws_is_a_parameter_and_may_be_given_for_a_call(table, quick_fit):
    model = quick_fit(table.X, table.y, fit_method="ce", decoding="sampled_mean", n_samples=3)
    draws = model.predict_distribution(table.X).draws(3, np.random.RandomState(0))
    np.testing.assert_allclose(model.predict(table.X), draws.mean(axis=1))
    more = model.predict(table.X, "sampled_median", n_samples=200)
    draws = model.predict_distribution(table.X).draws(200, np.random.RandomState(0))
    np.testing.assert_array_equal(more, np.median(draws, axis=1))


@pytest.mark.parametrize("wrong", ["x", -1, None, float("nan")])
def test_the_tolerance_is_checked_when_it_is_used(wrong, fitted, table):
    model = copy.copy(fitted).set_params(tree_tolerance=wrong)
    for predict in (model.predict, model.predict_interval, model.predict_distribution):
        with pytest.raises(ValueError, match="'tree_tolerance' parameter of LLMRegressor"):
            predict(table.X)
