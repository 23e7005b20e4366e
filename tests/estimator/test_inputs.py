"""Tables of every kind: what is read, what never changes, and what is refused."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

from llmreg import RowSerializer
from llmreg.prompts.tiny_tokenizer import CELL_TOKENS

N = 24


def _rng(seed):
    return np.random.RandomState(seed)


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
        _rng(3).randn(N, 2),
        columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]),
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
    shuffled = _rng(0).permutation(len(table.X))
    found = fitted.predict(table.X.iloc[shuffled])
    np.testing.assert_allclose(found, predictions[shuffled], rtol=0, atol=1e-9 * table.y.std())
    odd = table.X.set_index(np.arange(len(table.X))[::-1] * 3)
    np.testing.assert_array_equal(quick_fit(odd, table.y).predict(odd), predictions)


def test_thousands_of_columns_are_cut_with_a_warning_that_names_the_remedy(quick_fit):
    X = _rng(0).randn(6, 3000)
    remedy = r"cut to 1024 tokens in 6 of 6 rows.*RowSerializer, or raise its max_prompt_tokens"
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
    z = _rng(0).randn(N)
    plain = quick_fit(np.c_[z, -z], z)
    expected = plain.predict(np.c_[z, -z])
    assert np.ptp(expected) > 0
    X = np.c_[z * 1e200, -z * 1e-200]
    np.testing.assert_allclose(quick_fit(X, z).predict(X), expected, rtol=1e-3, atol=1e-4)


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


@pytest.mark.filterwarnings("ignore:Most cells")
def test_targets_and_weights_in_another_order_are_told_in_fit_and_in_score(table, quick_fit):
    X, y = table.X.sample(frac=1, random_state=0), table.y.sort_index()
    weight = pd.Series(1.0, index=y.index)
    for fit in (
        lambda: quick_fit(X, y), lambda: quick_fit(X, y.loc[X.index], weight),
        lambda: quick_fit(table.X, table.y).score(X, y),
        lambda: quick_fit(X.to_numpy(), y).fit(X[:9], y[:9].to_numpy(), X_val=X, y_val=y),
    ):  # fmt: skip
        with pytest.warns(UserWarning, match=r"in another order, .* paired by position") as caught:
            fit()
        (told,) = [one for one in caught if "by position" in str(one.message)]
        assert "X_val" in str(told.message) or told.filename.endswith(("conftest.py", __file__))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick_fit(X, y.loc[X.index], weight.loc[X.index]).score(X, y.to_numpy())
