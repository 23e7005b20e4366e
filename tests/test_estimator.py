"""LLMRegressor from the outside: what goes in, what comes out, and what each parameter does."""

import copy
import itertools
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.model_selection import GridSearchCV, cross_val_predict, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from llmreg import GRPO, DigitCodec, LLMRegressor, RowSerializer, SoftCE, fit_methods
from llmreg.config.checks import check_methods
from llmreg.numbers.distribution import DECODINGS
from llmreg.prompts.tiny_tokenizer import CELL_TOKENS

N = 24
METHODS = list(fit_methods().index)
TRAINED = [name for name in METHODS if name != "zero_shot"]  # which asks pretrained models


@pytest.fixture(scope="module")
def fitted(table, quick_fit):
    """Read-only: tests that change it must copy it."""
    return quick_fit(table.X, table.y)


@pytest.fixture(scope="module")
def predictions(fitted, table):
    return fitted.predict(table.X)


def _rng(seed=0):
    return np.random.RandomState(seed)


# -- inputs -----------------------------------------------------------------------------------


def _mixed_frame():
    rng = _rng(1)
    numbers = rng.randn(N).round(2)
    gaps = rng.rand(N) < 0.2
    return pd.DataFrame(
        {
            "object": rng.choice(["a", "b", None], N).astype(object),
            "string": pd.array(rng.choice(["u", "v"], N), dtype="string"),
            "category": pd.Categorical(rng.choice(["low", "high"], N)),
            "bool": rng.rand(N) < 0.5,
            "Int64": pd.array(np.where(gaps, None, rng.randint(9, size=N)), dtype="Int64"),
            "Float64": pd.array(np.where(gaps, None, numbers), dtype="Float64"),
            "boolean": pd.array(np.where(gaps, None, rng.rand(N) < 0.5), dtype="boolean"),
            "when": pd.date_range("2024-01-30", periods=N, freq="7h").where(~gaps),
            "mixed": pd.Series([1, "two", 3.5, None, True, "six"] * (N // 6), dtype=object),
            "float": np.where(gaps, np.nan, numbers),
        }
    )


TEXTS = [f"a {size} house with {rooms} rooms" for size in ("big", "small", "") for rooms in "12345"]
TABLES = {
    "pandas, every dtype": _mixed_frame,
    "polars": lambda: pl.DataFrame({"a": list(range(N)), "b": ["x", None] * (N // 2)}),
    "numpy numbers": lambda: _rng(2).randn(N, 3),
    "numpy integers": lambda: _rng(2).randint(9, size=(N, 3)),
    "numpy objects": lambda: np.array([[i / 7, "xy"[i % 2], None] for i in range(N)], dtype=object),
    "list of rows": lambda: [[i, "xy"[i % 2]] for i in range(N)],
    "Series of str": lambda: pd.Series([*TEXTS, *TEXTS][:N], name="advert"),
    "polars Series of str": lambda: pl.Series("advert", [*TEXTS, *TEXTS][:N]),
    "list of str": lambda: [*TEXTS, *TEXTS][:N],
    "columns that are not strings": lambda: pd.DataFrame(_rng(3).randn(N, 3), columns=[0, 1, 2]),
    "columns of a MultiIndex": lambda: pd.DataFrame(
        _rng(3).randn(N, 2), columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])
    ),
    "missing values alone": lambda: np.full((N, 2), np.nan),
}


def _equal(one, other):
    if isinstance(one, pd.DataFrame | pd.Series | pl.DataFrame | pl.Series):
        return one.equals(other)
    return pickle.dumps(one) == pickle.dumps(other)


@pytest.mark.parametrize("name", TABLES)
def test_every_kind_of_table_is_read_and_never_modified(name, quick_fit):
    X = TABLES[name]()
    if isinstance(X, np.ndarray):
        X.flags.writeable = False
    before = copy.deepcopy(X)
    y = np.linspace(10, 20, N)
    y.flags.writeable = False
    weight = np.ones(N)
    weight.flags.writeable = False
    model = quick_fit(X, y, weight)
    found = model.predict(X)
    assert found.shape == (N,) and found.dtype == np.float64
    assert np.isfinite(found).all()
    assert _equal(X, before)
    assert (y == np.linspace(10, 20, N)).all() and (weight == 1).all()


def test_the_same_table_as_pandas_and_as_polars_gives_the_same_predictions(
    table, predictions, quick_fit
):
    X = pl.DataFrame(table.X.to_dict("list"))
    y = pl.Series("price", table.y.to_list())
    np.testing.assert_array_equal(quick_fit(X, y).predict(X), predictions)


def test_predictions_come_in_the_order_of_the_rows_whatever_the_index(
    fitted, table, predictions, quick_fit
):
    shuffled = _rng().permutation(len(table.X))
    found = fitted.predict(table.X.iloc[shuffled])
    np.testing.assert_allclose(found, predictions[shuffled], rtol=0, atol=1e-9 * table.y.std())
    odd = table.X.set_index(np.arange(len(table.X))[::-1] * 3)
    np.testing.assert_array_equal(quick_fit(odd, table.y).predict(odd), predictions)


def test_thousands_of_columns_are_cut_with_a_warning_that_names_the_remedy(quick_fit):
    X = _rng().randn(6, 3000)
    remedy = r"cut to 1024 tokens in 6 of 6 rows.*RowSerializer\(columns=...\).*max_prompt_tokens"
    with pytest.warns(UserWarning, match=remedy):
        model = quick_fit(X, X[:, 0], fit_method="ce")
    beyond, within = X.copy(), X.copy()
    beyond[:, 1100:] = 0.0
    within[:, :500] = 0.0
    with pytest.warns(UserWarning, match=remedy.replace("6", "18")):
        found = model.predict(np.concatenate([X, beyond, within])).reshape(3, 6)
    np.testing.assert_array_equal(found[1], found[0])  # what is cut off is not read
    assert (found[2] != found[0]).all()


@pytest.mark.parametrize("X", [["abc"], ["", "", ""], ["same"] * 3, ["a b", "", ""]], ids=str)
def test_texts_without_any_features_are_read(X, quick_fit):
    y = np.arange(1.0, len(X) + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = quick_fit(X, y).predict(X)
    assert (found >= 1 - 1e-9).all() and (found <= len(X)).all()


STRANGE = [
    "emoji 🏠🔥 and a flag 🇦🇹", "שלום עולם", "مرحبا", "é is e\u0301 and Å is A\u030a", "\u200b", "",
    "tab\tand\nbreak", "nul \x00 byte", "<pad>", "<answer>", "<num> <cat> <soft> <unk>", "</s>",
]  # fmt: skip


@pytest.mark.parametrize("number_input", ["value", "text"])
def test_any_text_can_be_trained_on_and_predicted(number_input, quick_fit):
    X = pd.DataFrame({"text": [f"{cell} {i}" for i, cell in enumerate(STRANGE)], "n": range(12)})
    model = quick_fit(X[:6], np.arange(6.0), number_input=number_input)
    assert np.isfinite(model.predict(X)).all()
    assert np.isfinite(model.predict(X.assign(text=STRANGE))).all()


def test_text_that_looks_like_a_special_token_does_not_become_one(quick_fit):
    X = [f"{cell} number {i}" for i, cell in enumerate(STRANGE)]
    prompts = quick_fit(X, np.arange(12.0)).prompts_
    tokenizer = prompts.tokenizer
    cells = pd.DataFrame({"text": ["<pad>", "<answer>", "x<num>y", "<unk><cat> <soft>"]})
    rows = RowSerializer().fit(cells).serialize(cells)
    special = set(tokenizer.convert_tokens_to_ids(["<pad>", "<unk>", *CELL_TOKENS.values()]))
    encoded = prompts.encode(rows)
    for start, length, cell in zip(encoded.starts, encoded.lengths, cells["text"], strict=True):
        ids = encoded.ids[start : start + length].tolist()
        n_soft = prompts.layout.n_soft
        written = ids[: length - n_soft - 2]  # then features, the linear estimate and <answer>
        assert not special & set(written)
        assert "".join(tokenizer.convert_ids_to_tokens(written)).replace("Ġ", " ") == cell


def test_unseen_categories_and_new_missing_values_give_finite_predictions(fitted, table):
    new = pd.DataFrame(
        {
            "size": [np.nan, 1e9, -1e300, 0.0],
            "city": ["Paris", None, "Graz", "Graz"],
            "words": [None, "", "unheard of words", "red " * 500],
        }
    )
    with pytest.warns(UserWarning, match="Text cells were cut to 64 tokens in 1 of 4 rows"):
        found = fitted.predict(new)
    assert np.isfinite(found).all()
    assert (found >= table.y.min()).all() and (found <= table.y.max()).all()
    two = table.X[:1].assign(city="Paris"), table.X[:1].assign(city="Rome")
    assert fitted.predict(two[0]) == fitted.predict(two[1])  # unseen is unseen
    assert fitted.predict(two[0]) != fitted.predict(table.X[:1].assign(city=None))


def test_numbers_of_huge_and_tiny_magnitude_are_read(quick_fit):
    z = _rng().randn(N)
    plain = quick_fit(np.c_[z, -z], z)
    expected = plain.predict(np.c_[z, -z])
    assert np.ptp(expected) > 0
    X = np.c_[z * 1e200, -z * 1e-200]
    np.testing.assert_allclose(quick_fit(X, z).predict(X), expected, rtol=1e-3, atol=1e-4)


# -- targets ----------------------------------------------------------------------------------

TARGETS = {
    "integers": lambda y: y.round().astype(int),
    "bool": lambda y: y > y.mean(),
    "float32": lambda y: y.astype(np.float32),
    "object": lambda y: y.astype(object),
    "list": lambda y: y.tolist(),
    "Float64": lambda y: pd.Series(y, dtype="Float64"),
    "Int64": lambda y: pd.Series(y.round(), dtype="Int64"),
    "polars": lambda y: pl.Series(y),
    "frame of one column": lambda y: pd.DataFrame({"name": y}),
}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_every_kind_of_target_is_the_same_as_its_floats(name, table, quick_fit):
    y = TARGETS[name](table.y.to_numpy())
    found = quick_fit(table.X, y, fit_method="ce").predict(table.X)
    floats = np.asarray(y).astype(np.float64).ravel()
    expected = quick_fit(table.X, floats, fit_method="ce").predict(table.X)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float64


def test_the_prompt_asks_for_the_target_by_its_name(fitted, table, quick_fit):
    assert fitted.serializer_.template_.endswith("price:")
    nullable = pd.Series(table.y.to_numpy(), dtype="Float64", name="rent")
    assert quick_fit(table.X, nullable).serializer_.template_.endswith("rent:")
    assert quick_fit(table.X, table.y.to_numpy()).serializer_.template_.endswith("target:")


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-20, 1e20, 1e200, 1e300])
def test_the_magnitude_of_the_target_does_not_matter(scale, table, quick_fit):
    params = dict(validation_fraction=0.1, align_learning_rate=1e-2)
    plain = quick_fit(table.X, table.y, **params)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # such as numpy's about overflow
        model = quick_fit(table.X, table.y * scale, **params)
    np.testing.assert_allclose(
        model.predict(table.X) / scale, plain.predict(table.X), rtol=0, atol=1e-3 * table.y.std()
    )
    # The errors in history_ are in the units of y.
    np.testing.assert_allclose(
        model.history_["validation_rmse"] / scale, plain.history_["validation_rmse"], rtol=1e-3
    )


@pytest.mark.parametrize("value", [0.0, 7.3, -1e-300, 1e300, 1e15])
@pytest.mark.parametrize("tree_tolerance", [0.0, 0.1])
def test_a_constant_target_is_predicted(value, tree_tolerance, table, quick_fit):
    model = quick_fit(table.X, np.full(len(table.X), value), tree_tolerance=tree_tolerance)
    np.testing.assert_allclose(model.predict(table.X), value, rtol=1e-12, atol=0)
    # Nothing is trained, and what a reader of history_ looks for is there all the same.
    assert model.history_[["stage", "epoch", "loss", "validation_rmse", "kept"]].shape == (0, 5)


def test_one_row_and_two_rows_are_enough(table, quick_fit):
    one = quick_fit(table.X[:1], table.y[:1])
    np.testing.assert_allclose(one.predict(table.X[:3]), table.y[0], rtol=1e-12)
    two = quick_fit(table.X[:2], table.y[:2])
    found = two.predict(table.X[:2])
    assert (found >= table.y[:2].min()).all() and (found <= table.y[:2].max()).all()


# -- predict ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ragged(quick_fit):
    """A model and rows whose texts are of very different lengths."""
    rng = _rng(5)
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
    monkeypatch.setattr("llmreg.estimator.ROWS_PER_BLOCK", block)
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
    rows = _rng().permutation(len(X))[:11]
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
    going_on = copy.copy(fitted).set_params(random_state=_rng(0))
    np.testing.assert_array_equal(going_on.predict(table.X, decoding="sample"), first)
    assert (going_on.predict(table.X, decoding="sample") != first).any()


@pytest.mark.filterwarnings("ignore:.* did not improve the validation")
def test_epochs_are_validated_by_the_decoding_asked_for(table, quick_fit):
    errors = [
        quick_fit(table.X, table.y, decoding=how, validation_fraction=0.1)
        .history_["validation_rmse"]
        .tolist()
        for how in ("rail", "mode", "sample", "sampled_rail")
    ]
    assert errors[0] != errors[1]
    assert errors[0] == errors[2] == errors[3]  # samples are judged by the mean


# -- determinism ------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.* did not improve the validation")
@pytest.mark.parametrize("fit_method", TRAINED)
def test_the_same_random_state_gives_bit_identical_fits(fit_method, table, quick_fit):
    params = dict(fit_method=fit_method, validation_fraction=0.1)
    models = [quick_fit(table.X, table.y, **params) for _ in range(2)]
    one, other = (model.history_.drop(columns="seconds") for model in models)
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    one, other = (model.predict(table.X) for model in models)
    np.testing.assert_array_equal(one, other)


def test_different_random_states_give_different_fits(table, predictions, quick_fit):
    assert (quick_fit(table.X, table.y, random_state=1).predict(table.X) != predictions).all()
    states = [quick_fit(table.X, table.y, random_state=_rng(3)) for _ in range(2)]
    np.testing.assert_array_equal(*(model.predict(table.X) for model in states))


def test_random_state_none_differs_from_fit_to_fit(table, quick_fit):
    one, other = (quick_fit(table.X, table.y, random_state=None) for _ in range(2))
    assert (one.predict(table.X) != other.predict(table.X)).any()


def test_fit_and_predict_leave_global_states_alone(table, quick_fit):
    transformer = make_pipeline(HashingVectorizer(n_features=64), TruncatedSVD(4))  # no seed

    def states():
        return (
            torch.get_rng_state().numpy().tobytes(), pickle.dumps(np.random.get_state()),  # noqa: NPY002
            torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(),
            pickle.dumps(np.geterr()), len(warnings.filters),
        )  # fmt: skip

    torch.manual_seed(123)
    before = states()
    model = quick_fit(table.X, table.y, text_features=transformer)
    assert states() == before
    for decoding in ("rail", "sample"):
        model.predict(table.X, decoding=decoding)
    assert states() == before


def test_the_fit_does_not_depend_on_global_states(table, predictions, quick_fit):
    transformer = make_pipeline(HashingVectorizer(n_features=64), TruncatedSVD(4))
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  (the legacy global state is the point)
        np.testing.assert_array_equal(quick_fit(table.X, table.y).predict(table.X), predictions)
        model = quick_fit(table.X, table.y, text_features=transformer)
        found.append(model.predict(table.X))
    np.testing.assert_array_equal(*found)


# -- methods and nested parameters ------------------------------------------------------------


@pytest.mark.parametrize("fit_method", TRAINED)
def test_every_method_by_name_predicts_within_the_codecs_range(fit_method, table, quick_fit):
    model = quick_fit(table.X, table.y, fit_method=fit_method, codec=DigitCodec(margin=0.1))
    found = model.predict(table.X)
    assert np.isfinite(found).all()
    assert (found > model.codec_.edges_[0]).all() and (found < model.codec_.edges_[-1]).all()
    stages = {"sft"} if fit_methods()["stage"][fit_method] == "sft" else {"sft", "align"}
    assert set(model.history_["stage"]) == stages


def test_methods_differ_in_what_they_learn(table, quick_fit):
    found = [quick_fit(table.X, table.y, fit_method=name).predict(table.X) for name in TRAINED]
    for one, other in itertools.combinations(found, 2):
        assert (one != other).any()


def test_a_method_given_by_name_equals_its_object(table, predictions, quick_fit):
    method, first = GRPO(), SoftCE()
    model = quick_fit(table.X, table.y, fit_method=method, sft_method=first)
    np.testing.assert_array_equal(model.predict(table.X), predictions)
    assert vars(method) == vars(GRPO()) and vars(first) == vars(SoftCE())  # left alone
    other = quick_fit(table.X, table.y, fit_method=GRPO(num_generations=4))
    assert (other.predict(table.X) != predictions).any()


def test_set_params_reaches_into_parts_that_are_not_built_yet():
    model = LLMRegressor().set_params(
        codec__n_digits=3, fit_method__num_generations=8, sft_method__sigma=0.3,
        serializer__template="{a}",
    )  # fmt: skip
    assert model.codec.n_digits == 3
    assert isinstance(model.fit_method, GRPO) and model.fit_method.num_generations == 8
    assert model.sft_method.sigma == 0.3
    assert model.serializer.template == "{a}"
    assert LLMRegressor().codec is None  # the defaults of other instances are untouched


def test_set_params_takes_a_part_and_its_parameter_together():
    codec = DigitCodec(base=2)
    model = LLMRegressor().set_params(codec=codec, codec__n_digits=5)
    assert model.codec is codec and codec.n_digits == 5
    model = LLMRegressor().set_params(fit_method="remax", fit_method__reward="mae")
    assert type(model.fit_method).__name__ == "ReMax" and model.fit_method.reward == "mae"
    with pytest.raises(ValueError, match="Invalid parameter 'n_digts' for estimator DigitCodec"):
        LLMRegressor().set_params(codec__n_digts=3)
    with pytest.raises(ValueError, match="fit_method='dpo' is not a method"):
        LLMRegressor(fit_method="dpo").set_params(fit_method__beta=1)


def test_set_params_changes_what_it_was_asked_to_and_nothing_else():
    for reward in (None, "mse", len):
        model = LLMRegressor(reward=reward)
        before = model.get_params(deep=False)
        after = model.set_params(fit_method__num_generations=8).get_params(deep=False)
        assert [name for name in before if after[name] is not before[name]] == ["fit_method"]
        assert model.fit_method.reward == ("crps" if reward is None else reward)


class _Scaled:
    """A reward that is another object after it was cloned."""

    def __init__(self, by):
        self.by = by

    def __call__(self, samples, y):
        return -self.by * (samples - y) ** 2


def test_the_reward_of_a_method_that_set_params_built_is_not_given_twice():
    for reward in ("mse", _Scaled(2.0), lambda samples, y: -abs(samples - y)):
        model = LLMRegressor(reward=reward).set_params(fit_method__num_generations=8)
        for one in (model, clone(model), clone(clone(model))):
            assert check_methods(one)[1].num_generations == 8
    # In whichever order a search comes by them.
    for params in ({"reward": "mae", "fit_method__beta": 0.1},
                   {"fit_method__beta": 0.1, "reward": "mae"}):  # fmt: skip
        found = check_methods(LLMRegressor(reward="mse").set_params(**params))[1]
        assert (found.reward, found.beta) == ("mae", 0.1)


def test_rewards_that_differ_are_a_conflict_when_fitting_starts():
    built = LLMRegressor(reward="mse").set_params(fit_method__beta=0.1)
    for model in (
        built.set_params(reward="mae"),
        LLMRegressor(reward="mse").set_params(fit_method__reward="mae"),
        LLMRegressor(fit_method=GRPO(reward=_Scaled(1.0)), reward=_Scaled(2.0)),
        LLMRegressor(fit_method=GRPO(reward=lambda s, y: s), reward=lambda s, y: -s),
    ):
        with pytest.raises(ValueError, match="was given twice"):
            model.fit([[0.0], [1.0]], [0.0, 1.0])


def test_set_params_gives_the_reward_to_the_method_that_it_builds(table, quick_fit):
    model = LLMRegressor(reward="mse").set_params(fit_method__num_generations=8)
    assert (model.fit_method.reward, model.fit_method.num_generations) == ("mse", 8)
    # Fitting does what it does with both given by name, and says nothing about "given twice".
    few = dict(sft_epochs=1, align_epochs=1, batch_size=16, random_state=0)
    model = LLMRegressor(reward="mse", validation_fraction=None, **few)
    model.set_params(fit_method__temperature=1.0).fit(table.X, table.y)
    expected = quick_fit(table.X, table.y, reward="mse").predict(table.X)
    np.testing.assert_array_equal(model.predict(table.X), expected)
    with pytest.raises(ValueError, match="reward='mse' has no meaning with fit_method='raft'"):
        LLMRegressor("tiny", "raft", reward="mse").set_params(fit_method__x=1)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (dict(sft_method="typo"), "sft_method='typo' is not a method"),
        (dict(sft_method=SoftCE(sigma=-1)), "'sigma' parameter of SoftCE"),
        (dict(sft_method="grpo"), "sft_method='grpo' needs a first stage itself"),
        (dict(sft_method="zero_shot"), "sft_method='zero_shot' trains nothing"),
        (dict(reward="typo"), "reward='typo' has no meaning with fit_method='ce'"),
        (dict(decoding="typo", fit_method="head_last"), "'decoding' parameter"),
        (dict(target_modules=["q_proj", 3]), "target_modules=.*3.* must be names"),
        (dict(codec=DigitCodec(base="ten"), fit_method="head_last"), "'base' parameter"),
        (dict(serializer=RowSerializer(max_text_tokens="many")), "'max_text_tokens' parameter"),
        (dict(serializer=RowSerializer(max_categories=-1)), "'max_categories' parameter"),
    ],
    ids=str,
)  # fmt: skip
def test_what_a_fit_does_not_use_must_be_legal_too(params, said):
    model = LLMRegressor(**{"fit_method": "ce", "sft_epochs": 0} | params)
    with pytest.raises(ValueError, match=said):
        model.fit([[0.0], [1.0]], [0.0, 1.0])


@pytest.mark.parametrize("name", sorted(LLMRegressor._parameter_constraints))
def test_every_parameter_is_checked_with_every_kind_of_method(name):
    for method in ("ce", "head_last", "zero_shot"):
        model = LLMRegressor(**{"fit_method": method, "sft_epochs": 0} | {name: object()})
        with pytest.raises(ValueError, match=f"The '{name}' parameter of LLMRegressor must be"):
            model.fit([[0.0], [1.0]], [0.0, 1.0])


def test_a_clone_has_the_parameters_and_not_the_fit(fitted, table, predictions):
    twin = clone(fitted.set_params())
    assert not hasattr(twin, "model_")
    assert twin.get_params() == fitted.get_params()
    np.testing.assert_array_equal(twin.fit(table.X, table.y).predict(table.X), predictions)


def test_fit_leaves_the_parameters_alone(table, quick_fit):
    codec, serializer = DigitCodec(n_digits=1), RowSerializer(max_text_tokens=5)
    with pytest.warns(UserWarning, match="Text cells were cut to 5 tokens"):
        model = quick_fit(table.X, table.y, codec=codec, serializer=serializer)
    assert model.codec is codec and not hasattr(codec, "edges_")
    assert model.serializer is serializer and not hasattr(serializer, "plans_")
    assert hasattr(model.codec_, "edges_") and hasattr(model.serializer_, "plans_")


def test_get_params_goes_deep():
    params = LLMRegressor(codec=DigitCodec(base=3), fit_method=GRPO(beta=0.5)).get_params()
    assert params["codec__base"] == 3 and params["fit_method__beta"] == 0.5


def test_repr_shows_what_is_not_default(fitted):
    assert repr(LLMRegressor()) == "LLMRegressor()"
    assert repr(LLMRegressor(fit_method=GRPO(beta=0.5), sft_epochs=3)) == (
        "LLMRegressor(fit_method=GRPO(beta=0.5), sft_epochs=3)"
    )
    assert "LLMRegressor" in fitted._repr_html_()


# -- models -----------------------------------------------------------------------------------


def _llama():
    from transformers import LlamaConfig

    return LlamaConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )


def _gpt2():
    from transformers import GPT2Config

    return GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=64)


@pytest.mark.parametrize("config", [_llama, _gpt2])
@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
def test_a_configuration_gives_a_model_of_that_shape_from_fresh_weights(config, table, quick_fit):
    config = config()
    before = config.to_dict()
    model = quick_fit(table.X, table.y, model=config)
    found = model.predict(table.X)
    assert np.isfinite(found).all() and np.ptp(found) > 0
    assert type(model.model_.lm.config) is type(config)
    assert model.model_.lm.get_input_embeddings().embedding_dim == 32
    assert config.to_dict() == before
    assert model.model_.source is None and not model.model_.has_lora  # merged after stage "align"
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(table.X), found)
    np.testing.assert_array_equal(clone(model).fit(table.X, table.y).predict(table.X), found)


@pytest.mark.filterwarnings("ignore:Text cells were cut")
def test_prompts_are_cut_to_the_positions_that_a_model_has(table, quick_fit):
    X = table.X.assign(words=[f"{text} {i} " * 30 for i, text in enumerate(table.X["words"])])
    with pytest.warns(UserWarning, match="Prompts were cut to 61 tokens in 40 of 40 rows"):
        model = quick_fit(X, table.y, model=_gpt2(), fit_method="ce", codec=DigitCodec(n_digits=3))
    with pytest.warns(UserWarning, match="Prompts were cut to 61 tokens"):
        assert np.isfinite(model.predict(X)).all()


@pytest.fixture(scope="module")
def base_weights(pretrained_folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(pretrained_folder).state_dict()


@pytest.mark.parametrize("number_input", ["text", "text+value", "value"])
@pytest.mark.parametrize("text_features", [False, True])
def test_a_pretrained_model_is_tuned_by_adapters(
    number_input, text_features, table, quick_fit, pretrained_folder, base_weights
):
    model = quick_fit(
        table.X, table.y, model=pretrained_folder, number_input=number_input,
        text_features=text_features,
    )  # fmt: skip
    found = model.predict(table.X)
    assert np.isfinite(found).all() and np.ptp(found) > 0

    weights = model.model_.lm.state_dict()
    plain = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): weight
        for name, weight in weights.items()
        if "lora_" not in name
    }
    assert plain.keys() == base_weights.keys()
    for name, weight in plain.items():
        assert torch.equal(weight, base_weights[name]), name
    adapters = [weight for name, weight in weights.items() if "lora_B" in name]
    assert len(adapters) == 14  # q, k, v, o, gate, up, down of two layers
    assert all(weight.any() for weight in adapters)

    wants_cells = number_input != "text" or text_features
    assert (model.model_.cells is not None) == wants_cells
    if wants_cells:
        cells = model.model_.cells
        assert bool(cells.numbers.curve.weight.any()) == (number_input != "text")
        assert bool(cells.texts.weight.any()) == text_features

    packed = pickle.dumps(model)
    assert len(packed) < 0.3 * sum(weight.nbytes for weight in base_weights.values())
    again = pickle.loads(packed)
    np.testing.assert_array_equal(again.predict(table.X), found)
    assert again.model_.trainable().keys() == model.model_.trainable().keys()


def test_what_a_pretrained_model_reads_of_numbers_changes_its_predictions(
    table, quick_fit, pretrained_folder
):
    one_row = table.X.iloc[[0, 0]].assign(size=[-9.0, 9.0])
    models = [
        quick_fit(
            table.X, table.y, model=pretrained_folder, fit_method="ce", number_input=number_input,
            text_features=text_features,
        )
        for number_input, text_features in [
            ("text", False), ("text+value", False), ("value", False), ("value", True)
        ]
    ]  # fmt: skip
    for one, other in itertools.combinations(models, 2):
        assert (one.predict(table.X) != other.predict(table.X)).any()
    for model in models:
        assert np.ptp(model.predict(one_row)) > 0


def test_without_lora_all_weights_of_a_pretrained_model_are_trained(
    table, quick_fit, pretrained_folder, base_weights
):
    model = quick_fit(table.X, table.y, model=pretrained_folder, adapters=None)
    assert not model.model_.has_lora
    trained = model.model_.lm.state_dict()
    moved = [name for name in base_weights if not torch.equal(trained[name], base_weights[name])]
    assert len(moved) > 0.8 * len(base_weights)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(table.X), model.predict(table.X))


# -- threads ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pretrained", [False, True])
def test_eight_threads_predict_what_one_predicts(
    pretrained, fitted, table, quick_fit, pretrained_folder
):
    model = fitted
    if pretrained:
        model = quick_fit(table.X, table.y, model=pretrained_folder, fit_method="ce")
    model = pickle.loads(pickle.dumps(model))  # nothing is set up by an earlier call
    tables = [table.X.iloc[_rng(seed).permutation(40)[: 5 * seed + 3]] for seed in range(8)]
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


# -- every parameter does something -----------------------------------------------------------

CHANGES = {
    "sft_epochs": 2,
    "align_epochs": 2,
    "sft_learning_rate": 0.01,
    "align_learning_rate": 0.01,
    "dropout": 0.5,
    "batch_size": 5,
    "weight_decay": 5.0,
    "max_grad_norm": 0.1,
    "lora_alpha": 64,
    "target_modules": ["q_proj"],
    "validation_fraction": 0.4,
    "dtype": "bfloat16",
    "reward": "mse",
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


@pytest.mark.parametrize(
    ("name", "value"), [("adapters", 2), ("adapters", None), ("lora_alpha", 1)]
)
def test_lora_of_fresh_weights_acts_in_stage_align_alone(name, value, table, quick_fit):
    def history(**params):
        model = quick_fit(table.X, table.y, align_epochs=2, **params)
        return model.history_.groupby("stage")["loss"].apply(list), model.predict(table.X)

    (before, expected), (after, found) = history(), history(**{name: value})
    assert before["sft"] == after["sft"]
    assert before["align"] != after["align"]
    assert (found != expected).any()


def test_lora_dropout_changes_the_first_stage_of_a_pretrained_model(
    table, quick_fit, pretrained_folder
):
    found = [
        quick_fit(table.X, table.y, model=pretrained_folder, fit_method="ce", lora_dropout=dropout)
        for dropout in (0.0, 0.5)
    ]
    assert (found[0].predict(table.X) != found[1].predict(table.X)).any()


def test_lora_dropout_does_nothing_in_stage_align(table, quick_fit, pretrained_folder):
    for params in (dict(), dict(model=pretrained_folder, sft_epochs=0)):
        found = [
            quick_fit(table.X, table.y, lora_dropout=dropout, **params).predict(table.X)
            for dropout in (0.0, 0.5)
        ]
        np.testing.assert_array_equal(*found)


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
    assert model.history_["step"].tolist() == [17]
    assert model.history_["validation_rmse"].notna().all()


@pytest.mark.parametrize("patience", [1, 3])
def test_a_stage_stops_after_so_many_epochs_without_a_better_one(patience, table, quick_fit):
    noise = _rng(1).randn(len(table.y))
    params = dict(sft_epochs=40, fit_method="ce", sft_learning_rate=0.03, validation_fraction=0.1)
    model = quick_fit(table.X, noise, n_iter_no_change=patience, **params)
    errors = model.history_["validation_rmse"]
    assert len(errors) == errors.argmin() + 1 + patience < 40
    longer = quick_fit(table.X, noise, n_iter_no_change=None, **params)
    assert len(longer.history_) == 40


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
    model = quick_fit(table.X, table.y, dtype=dtype)
    assert model.model_.dtype == getattr(torch, dtype)
    found = model.predict(table.X)
    assert found.dtype == np.float64
    tolerance = 1.0 if dtype == "bfloat16" else 0.01
    np.testing.assert_allclose(found, predictions, rtol=0, atol=tolerance * table.y.std())


def test_prompts_are_cut_to_max_prompt_tokens(table, predictions, quick_fit):
    with pytest.warns(UserWarning, match="Prompts were cut to 8 tokens in 40 of 40 rows"):
        model = quick_fit(table.X, table.y, max_prompt_tokens=8)
    with pytest.warns(UserWarning, match="raise max_prompt_tokens"):
        assert (model.predict(table.X) != predictions).any()


def test_verbose_prints_what_was_chosen_and_a_line_per_epoch(table, quick_fit, capsys):
    quick_fit(table.X, table.y, sft_epochs=2)
    assert capsys.readouterr().out == ""
    model = quick_fit(table.X, table.y, sft_epochs=2, verbose=1, validation_fraction=0.1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "[sft] SoftCE, 2 epochs", "[align] GRPO, 1 epochs",
        "[sft] epoch 1/2", "[sft] epoch 2/2", "[align] epoch 1/1",
    ]  # fmt: skip
    assert "36 rows, validated on 4, batch_size 16, learning_rate 0.001" in lines[0]
    assert f"validation RMSE {model.history_['validation_rmse'].iloc[-1]:.5g}" in lines[-1]


def test_verbose_says_nothing_of_errors_that_nothing_was_validated_for(table, quick_fit, capsys):
    quick_fit(table.X, table.y, fit_method="ce", verbose=1, n_estimators=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"member {member}/2 [sft] {what}"
        for member in (1, 2) for what in ("CE, 1 epochs", "epoch 1/1")
    ]  # fmt: skip
    assert "no validation" in lines[0]
    assert "nan" not in "".join(lines) and "RMSE" not in lines[1]


def test_a_custom_reward_gets_samples_and_targets(table, predictions, quick_fit):
    seen = []

    def reward(samples, y):
        seen.append((samples.shape, y.shape))
        return -(np.abs(samples - y) ** 3)

    found = quick_fit(table.X, table.y, reward=reward, batch_size=12).predict(table.X)
    assert (found != predictions).any()
    samples, y = seen[0]
    assert samples[0] == y[0] == 10 and y[1] == 1 and samples[1] >= 16


# -- warm start -------------------------------------------------------------------------------


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
    model.set_params(reward=lambda samples, y: np.zeros(3))
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
    model.set_params(sft_epochs=2, sft_learning_rate=0.01, fit_method="remax", batch_size=8)
    model.set_params(decoding="median", reward="mae", adapters=4)
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


# -- sample weights ---------------------------------------------------------------------------


def test_rows_of_weight_zero_are_left_out(table, quick_fit):
    weight = np.where(np.arange(40) % 4, 1.5, 0.0)
    used = weight > 0
    y = table.y.where(used, 1e6)
    X = table.X.copy()
    X.loc[~used, "words"] = "words that nobody else uses"
    found = quick_fit(X, y, weight).predict(table.X)
    expected = quick_fit(X[used], y[used], weight[used]).predict(table.X)
    np.testing.assert_array_equal(found, expected)


def test_weights_change_the_fit(table, predictions, quick_fit):
    weight = np.where(table.y > table.y.median(), 10.0, 0.1)
    params = dict(sft_epochs=6, fit_method="raft", align_epochs=6, estimate_weight=0.0)
    even = quick_fit(table.X, table.y, **params).predict(table.X)
    high = quick_fit(table.X, table.y, weight, **params).predict(table.X)
    low = quick_fit(table.X, table.y, 1 / weight, **params).predict(table.X)
    assert low.mean() < even.mean() < high.mean()


def test_only_ratios_of_weights_matter(table, predictions, quick_fit):
    np.testing.assert_array_equal(
        quick_fit(table.X, table.y, np.full(40, 2.0)).predict(table.X), predictions
    )
    weight = _rng().rand(40)
    found = [quick_fit(table.X, table.y, factor * weight).predict(table.X) for factor in (1, 2)]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.r_[-2.0, np.ones(39)], "goes from -2 to 1; weights must be non-negative"),
        (np.zeros(40), "at least one (positive|non-zero)"),
        (np.ones(39), r"sample_weight.shape == \(39,\), expected \(40,\)"),
        (np.r_[np.nan, np.ones(39)], "Input sample_weight contains NaN"),
    ],
)
def test_weights_that_make_no_sense_raise(weight, message, table, quick_fit):
    with pytest.raises(ValueError, match=message):
        quick_fit(table.X, table.y, weight)


# -- history ----------------------------------------------------------------------------------


def test_history_is_a_tidy_frame_with_a_row_per_epoch(table, quick_fit):
    model = quick_fit(table.X, table.y, sft_epochs=3, align_epochs=2, validation_fraction=0.1)
    history = model.history_
    assert {"stage", "epoch", "step", "loss", "learning_rate", "validation_rmse", "seconds"} <= set(
        history.columns
    )
    assert history["stage"].tolist() == ["sft"] * 3 + ["align"] * 2
    assert history["epoch"].tolist() == [1, 2, 3, 1, 2]
    steps = -(-36 // 16)
    assert history["step"].tolist() == [steps, 2 * steps, 3 * steps, steps, 2 * steps]
    assert history.dtypes[["epoch", "step"]].eq(np.int64).all()
    numbers = ["loss", "learning_rate", "validation_rmse", "seconds", "sample_mse", "sample_spread"]
    assert history.dtypes[numbers].eq(np.float64).all()
    assert (history["seconds"] > 0).all() and np.isfinite(history["loss"]).all()
    # What the method reports is missing in the stage of another method.
    reported = history[["sample_mse", "sample_spread"]]
    assert reported[:3].isna().all(axis=None) and reported[3:].notna().all(axis=None)


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
    with pytest.warns(UserWarning, match="GRPO made the validation RMSE clearly worse"):
        model = quick_fit(table.X, table.y, align_epochs=3, align_learning_rate=3.0, **params)
    history = model.history_
    assert history.groupby("stage")["kept"].sum().to_dict() == {"sft": 1, "align": 0}
    alone = quick_fit(table.X, table.y, align_epochs=0, **params)
    np.testing.assert_allclose(
        model.predict(table.X), alone.predict(table.X), rtol=0, atol=1e-4 * table.y.std()
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_the_best_epochs_weights_are_kept(weighted, table, quick_fit):
    noise = table.y.to_numpy() + 10 * _rng(1).randn(40)
    weight = _rng(2).rand(40) + 0.1 if weighted else np.ones(40)
    model = quick_fit(
        table.X, noise, weight, sft_epochs=30, fit_method="ce", sft_learning_rate=0.03,
        validation_fraction=0.3, n_iter_no_change=None, estimates=None,
    )  # fmt: skip
    errors = model.history_["validation_rmse"]
    assert errors.argmin() < len(errors) - 1, "the last epoch is the best: nothing is tested"
    seed = _rng(0).randint(np.iinfo(np.int32).max)
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
    seed = _rng(0).randint(np.iinfo(np.int32).max)
    _, held_out = train_test_split(np.arange(40), test_size=0.1, random_state=seed)
    squares = (model.predict(table.X.iloc[held_out]) - table.y.iloc[held_out]) ** 2
    assert np.sqrt(squares.mean()) == pytest.approx(best["validation_rmse"], rel=1e-4)


# -- inside scikit-learn ----------------------------------------------------------------------


def test_it_works_behind_a_column_transformer(table):
    scaler = make_column_transformer(
        (StandardScaler(), ["size"]), remainder="passthrough", verbose_feature_names_out=False
    ).set_output(transform="pandas")
    model = LLMRegressor(sft_epochs=1, align_epochs=1, random_state=0)
    pipeline = make_pipeline(scaler, model).fit(table.X, table.y)
    assert np.isfinite(pipeline.predict(table.X)).all()
    assert model.serializer_.kinds_ == {"size": "number", "city": "category", "words": "text"}
    pipeline.set_params(llmregressor__codec__n_digits=1).fit(table.X, table.y)
    assert len(model.codec_.values_) == 10


@pytest.mark.filterwarnings("ignore:.* did not improve the validation")
def test_it_works_under_a_transformed_target(table):
    model = LLMRegressor(sft_epochs=1, align_epochs=1, random_state=0)
    outer = TransformedTargetRegressor(model, func=np.log, inverse_func=np.exp)
    found = outer.fit(table.X, table.y).predict(table.X)
    inner = np.exp(clone(model).fit(table.X, np.log(table.y.to_numpy())).predict(table.X))
    np.testing.assert_allclose(found, inner, rtol=1e-9)


def test_it_can_be_cross_validated(table):
    model = LLMRegressor(sft_epochs=1, align_epochs=0, random_state=0)
    found = cross_val_predict(model, table.X, table.y, cv=2)
    assert found.shape == (40,) and np.isfinite(found).all()
    texts = cross_val_predict(model, table.X["words"], table.y, cv=2)
    assert np.isfinite(texts).all() and (texts != found).any()


def test_a_grid_search_in_two_processes_finds_what_one_process_finds(table):
    grid = [
        {"fit_method": ["ce", "raft"]},
        {"codec__n_digits": [1]},
        {"serializer__template": ["{size}", "A flat in {city}, {words}, costs"]},
    ]
    model = LLMRegressor(sft_epochs=1, align_epochs=1, random_state=0)
    search = GridSearchCV(model, grid, cv=2, n_jobs=2, error_score="raise").fit(table.X, table.y)
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) == 5
    assert np.isfinite(search.predict(table.X)).all()
    alone = GridSearchCV(model, {"serializer__template": ["{size}"]}, cv=2).fit(table.X, table.y)
    # joblib gives its processes fewer threads, and sums in another order round differently.
    assert alone.cv_results_["mean_test_score"][0] == pytest.approx(scores[3], rel=1e-5)


# -- errors -----------------------------------------------------------------------------------

PARAMETER_ERRORS = [
    (dict(fit_method="dpo"), ["fit_method='dpo'", *METHODS]),
    (dict(sft_method="dpo"), ["sft_method='dpo'", *METHODS]),
    (dict(sft_method="grpo"), ["sft_method='grpo' needs a first stage", "'ce', 'soft_ce'"]),
    (dict(sft_method=GRPO()), ["sft_method=GRPO() needs a first stage", "'ce', 'soft_ce'"]),
    (dict(fit_method="ce", reward="mse"), ["reward='mse'", "'ce'", "reward=None", "'grpo'"]),
    (dict(fit_method=GRPO(), reward="mse"), ["given twice", "reward='crps'", "reward=None"]),
    (dict(reward="mape"), ["'reward'", "'mape'", "'crps'", "'mae'", "callable"]),
    (dict(fit_method=GRPO(num_generations=2)), ["num_generations", "[3, inf)", "exact", "Got 2"]),
    (dict(decoding="average"), ["'decoding'", "'rail'", "'median'", "'sample'", "Got 'average'"]),
    (dict(number_input="digits"), ["number_input", "'text+value'", "Got 'digits'"]),
    (dict(text_features="tfidf"), ["text_features", "'auto'", "fit_transform", "Got 'tfidf'"]),
    (dict(dtype="float16"), ["dtype", "'bfloat16'", "Got 'float16'"]),
    (dict(device="gpu"), ["device='gpu'", "'auto'", "'cpu'", "'cuda'", "'mps'"]),
    (dict(model=7), ["model", "str", "to_dict", "Got 7"]),
    (dict(codec="digits"), ["codec", "TargetCodec", "Got 'digits'"]),
    (dict(adapters=0), ["adapters", "[1, inf) or None", "Got 0"]),
    (dict(dropout=1.0), ["dropout", "'auto'", "[0.0, 1.0)", "Got 1.0"]),
    (dict(dropout=-0.1), ["dropout", "[0.0, 1.0)", "Got -0.1"]),
    (dict(dropout="none"), ["dropout", "'auto'", "Got 'none'"]),
    (dict(lora_dropout=1.0), ["lora_dropout", "[0.0, 1.0)", "Got 1.0"]),
    (dict(tree_tolerance=-1e-9), ["tree_tolerance", "[0.0, inf)", "Got -1e-09"]),
    (dict(validation_fraction="most"), ["validation_fraction", "'auto'", "Got 'most'"]),
    (dict(validation_fraction=0.0), ["validation_fraction", "(0.0, 1.0)", "Got 0.0"]),
    (dict(target_modules=["lm_head"]), ["lm_head", "output layer", "'all-linear'"]),
    (dict(validation_fraction=1.0), ["validation_fraction", "(0.0, 1.0)", "Got 1.0"]),
    (dict(sft_epochs=-1), ["sft_epochs", "'auto'", "[0, inf)", "Got -1"]),
    (dict(max_prompt_tokens=7), ["max_prompt_tokens", "[8, inf)", "Got 7"]),
    (dict(codec=DigitCodec(low=5, high=1)), ["range is empty", "low=5", "high=1", "None"]),
    (dict(codec=DigitCodec(n_digits=9)), ["n_digits=9", "1,000,000", "fewer digits"]),
    (dict(serializer=RowSerializer("{sise}")), ["'sise'", "Did you mean 'size'", "'words'"]),
]


@pytest.mark.parametrize(("params", "pieces"), PARAMETER_ERRORS, ids=lambda value: str(value)[:50])
def test_illegal_parameters_raise_with_value_and_remedy(params, pieces, table, quick_fit):
    with pytest.raises(ValueError) as error:
        quick_fit(table.X, table.y, **params)
    for piece in pieces:
        assert piece in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_where_there_is_none_raises_in_fit_and_warns_in_predict(
    table, fitted, predictions, quick_fit
):
    with pytest.raises(ValueError, match=r"device='cuda:0'.*no CUDA.*device='auto'"):
        quick_fit(table.X, table.y, device="cuda:0")
    with pytest.warns(UserWarning, match="device='cuda' was asked for.*no CUDA.*device='auto'"):
        found = copy.copy(fitted).set_params(device="cuda").predict(table.X)
    np.testing.assert_array_equal(found, predictions)


TARGET_ERRORS = {
    "NaN": (lambda y: np.r_[np.nan, y[1:]], "Input y contains NaN"),
    "infinity": (lambda y: np.r_[np.inf, y[1:]], "Input y contains infinity"),
    "missing in Float64": (
        lambda y: pd.Series([None, *y[1:]], dtype="Float64"), "Input y contains NaN"
    ),
    "strings": (lambda y: ["dear"] * len(y), "could not convert string to float: 'dear'"),
    "two columns": (lambda y: np.c_[y, y], r"y should be a 1d array, got .* shape \(40, 2\)"),
    "none": (lambda y: None, "requires y to be passed, but the target y is None"),
    "too short": (lambda y: y[:-1], r"inconsistent numbers of samples: \[40, 39\]"),
    "empty": (lambda y: y[:0], r"0 sample\(s\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", TARGET_ERRORS)
def test_targets_that_make_no_sense_raise(name, table, quick_fit):
    make, message = TARGET_ERRORS[name]
    with pytest.raises(ValueError, match=message):
        quick_fit(table.X, make(table.y.to_numpy()))


def test_tables_that_make_no_sense_raise(table, quick_fit):
    twice = pd.concat([table.X, table.X[["size"]]], axis=1)
    with pytest.raises(ValueError, match=r"must be unique.*\['size'\].*Rename these columns"):
        quick_fit(twice, table.y)
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        quick_fit(table.X[:0], table.y[:0])
    with pytest.raises(ValueError, match=r"0 feature\(s\)"):
        quick_fit(table.X[[]], table.y)
    with pytest.raises(ValueError, match=r"'size' holds inf at row 3 .*Replace infinite values"):
        quick_fit(table.X.assign(size=table.X["size"].where(table.X.index != 3, np.inf)), table.y)


def test_other_columns_than_in_fit_raise(fitted, table):
    with pytest.raises(ValueError, match=r"seen at fit time, yet now missing:\n- size"):
        fitted.predict(table.X.drop(columns="size"))
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- more"):
        fitted.predict(table.X.assign(more=1))
    with pytest.raises(ValueError, match="must be in the same order"):
        fitted.predict(table.X[["city", "size", "words"]])
    with (
        pytest.warns(UserWarning, match="does not have valid feature names"),
        pytest.raises(ValueError, match="X has 2 features, but LLMRegressor is expecting 3"),
    ):
        fitted.predict(table.X.to_numpy()[:, :2])
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        fitted.predict(table.X[:0])


def test_an_unknown_decoding_lists_the_legal_ones(fitted, table):
    with pytest.raises(ValueError, match="decoding='average'") as error:
        fitted.predict(table.X, decoding="average")
    for name in DECODINGS:
        assert repr(name) in str(error.value)


def test_targets_beyond_the_codecs_range_warn(table, quick_fit):
    codec = DigitCodec(low=45, high=55)
    outside = int(((table.y < 45) | (table.y > 55)).sum())
    message = rf"{outside} of 40 targets lie outside the codec's range \[45, 55\].*Widen low"
    with pytest.warns(UserWarning, match=message):
        model = quick_fit(table.X, table.y, codec=codec)
    found = model.predict(table.X)
    assert found.min() > 45 and found.max() < 55


def test_a_model_that_does_not_exist_says_what_was_looked_for(table, quick_fit, tmp_path):
    name = str(tmp_path / "nothing-here")
    with pytest.raises(OSError, match="nothing-here") as error:
        quick_fit(table.X, table.y, model=name)
    for piece in (f"model={name!r}", "neither a folder", "hub", "model='tiny'", "no download"):
        assert piece in str(error.value)


def test_a_codec_whose_symbols_the_tokenizer_lacks_is_named(
    table, quick_fit, pretrained_folder, tmp_path
):
    from tokenizers import Tokenizer, models
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    AutoModelForCausalLM.from_pretrained(pretrained_folder).save_pretrained(tmp_path)
    words = {word: i for i, word in enumerate(["<s>", "<unk>", *"01234567"])}
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<unk>")), unk_token="<unk>"
    ).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"no token of its own for the symbols \['8', '9'\]") as e:
        quick_fit(table.X, table.y, model=str(tmp_path))
    assert "DigitCodec(scale='minmax')" in str(e.value) and "smaller base" in str(e.value)


@pytest.mark.parametrize("method", ["predict", "predict_distribution"])
def test_predicting_before_fitting_raises(method, table):
    with pytest.raises(NotFittedError, match="Call 'fit'"):
        getattr(LLMRegressor(), method)(table.X)
