"""The linear estimate: a ridge regression's guess as one more cell, held out in training."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from llmreg import LLMRegressor, RowSerializer
from llmreg.persistence import archive
from llmreg.tables.linear_estimate import NAME, LinearEstimate

WORDS = ("red", "green", "blue", "sturdy", "old")


def _table(n=120, seed=0):
    """Rows of a number with gaps, a category and a text, each with its own share of y."""
    rng = np.random.RandomState(seed)
    size, colour = rng.randn(n), rng.choice(list("abc"), n)
    text = [" ".join(rng.choice(WORDS, 3)) for _ in range(n)]
    gap = rng.rand(n) < 0.2
    worth = np.array([t.count("old") for t in text])
    y = 5.0 + 2 * np.where(gap, -1.0, size) + (colour == "a") - 3 * worth
    return pd.DataFrame({"size": np.where(gap, np.nan, size), "colour": colour, "text": text}), y


def _rows(X, fitted_on=None):
    kinds = {"colour": "category", "text": "text"}
    kinds = {name: kind for name, kind in kinds.items() if name in X}
    return RowSerializer(column_kinds=kinds).fit(X if fitted_on is None else fitted_on).serialize(X)


def _estimates(rows):
    assert rows.fields[-1].name == NAME
    return rows.fields[-1].numbers[:, 0]


def _fitted(X, y, weight=None):
    estimate = LinearEstimate(y.mean(), y.std(), random_state=0)
    weight = np.ones(len(y)) if weight is None else weight
    return estimate, _estimates(estimate.fit_extend(_rows(X), y, weight))


def test_it_reads_numbers_gaps_categories_and_words():
    X, y = _table()
    new, y_new = _table(seed=1)
    estimate, _ = _fitted(X, y)
    assert r2_score(y_new, _estimates(estimate.extend(_rows(new, X)))) > 0.99
    for column in X:
        shuffled = new.assign(**{column: new[column].sample(frac=1, random_state=0).to_numpy()})
        worse = r2_score(y_new, _estimates(estimate.extend(_rows(shuffled, X))))
        assert worse < 0.97, column


def test_with_numbers_alone_it_is_ridge_regression():
    rng = np.random.RandomState(0)
    X, y = pd.DataFrame(rng.randn(60, 3) * [1, 50, 0.1], columns=list("abc")), rng.randn(60)
    y = y + 2 * X["a"].to_numpy()
    estimate, _ = _fitted(X, y)
    z = (X - X.mean()) / X.std(ddof=0)
    expected = Ridge(estimate.ridge_.alpha).fit(z, y).predict(z)
    found = _estimates(estimate.extend(_rows(X)))
    inside = (expected > 2 * y.min() - y.max()) & (expected < 2 * y.max() - y.min())
    assert inside.all()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_training_rows_own_target_has_no_part_in_its_estimate():
    X, y = _table()
    _, before = _fitted(X, y)
    for row in (0, 57):
        changed = y.copy()
        changed[row] += 1e-3  # too little to move the penalty
        estimate = LinearEstimate(y.mean(), y.std(), random_state=0)
        after = _estimates(estimate.fit_extend(_rows(X), changed, np.ones(len(y))))
        assert after[row] == before[row]
        assert (after != before).sum() > len(y) / 2


def test_noise_does_not_become_an_estimate():
    """In-sample a ridge regression with a word per row fits anything; held out, nothing."""
    rng = np.random.RandomState(0)
    X = pd.DataFrame({"text": [f"word{i} of {i}" for i in range(200)]})
    y = rng.randn(200)
    _, held_out = _fitted(X, y)
    assert abs(np.corrcoef(held_out, y)[0, 1]) < 0.2


def test_further_training_rows_are_held_out_too_and_change_nothing_else():
    X, y = _table()
    more, y_more = _table(60, seed=2)
    estimate, _ = _fitted(X, y)
    before = _estimates(estimate.extend(_rows(more, X)))
    found = _estimates(estimate.extend_training(_rows(more, X), y_more, np.ones(60)))
    assert (found != before).all()
    np.testing.assert_array_equal(_estimates(estimate.extend(_rows(more, X))), before)


def test_weights_count():
    X, y = _table()
    wrong = np.where(np.arange(120) < 40, -y, y)
    new, y_new = _table(seed=1)
    light = np.where(np.arange(120) < 40, 1e-9, 1.0)
    scores = [
        r2_score(y_new, _estimates(_fitted(X, wrong, weight)[0].extend(_rows(new, X))))
        for weight in (light, np.ones(120))
    ]
    assert scores[0] > 0.98 and scores[1] < 0.8


def test_estimates_end_where_targets_are_far_behind():
    X = pd.DataFrame({"a": np.arange(20.0)})
    y = 3 * X["a"].to_numpy()
    estimate, _ = _fitted(X, y)
    far = pd.DataFrame({"a": [1e300, -1e300, 25.0]})
    found = _estimates(estimate.extend(_rows(far, X)))
    np.testing.assert_allclose(found, [2 * 57, -57, 75], rtol=0.02)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_targets_of_any_size(scale):
    X, y = _table()
    _, expected = _fitted(X, y)
    estimate = LinearEstimate(y.mean() * scale, y.std() * scale, random_state=0)
    found = _estimates(estimate.fit_extend(_rows(X), y * scale, np.ones(len(y))))
    np.testing.assert_allclose(found / scale, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "X",
    [
        pd.DataFrame({"a": [1.0, 2.0]}),
        pd.DataFrame({"a": [np.nan] * 4}),
        pd.DataFrame({"text": ["", "", "!", ""]}),
        pd.DataFrame({"colour": list("abcd")}),
        pd.DataFrame({"a": [3.0] * 5, "colour": [None] * 5}),
    ],
)
def test_tables_with_next_to_nothing_in_them(X):
    y = np.arange(float(len(X)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimate, found = _fitted(X, y)
        assert np.isfinite(found).all()
        assert np.isfinite(_estimates(estimate.extend(_rows(X[:1], X)))).all()


def test_wide_designs_are_sparse_and_narrow_ones_dense():
    X, y = _table()
    estimate, _ = _fitted(X[["size", "colour"]], y)
    assert isinstance(estimate._design(_rows(X[["size", "colour"]])), np.ndarray)
    words = X.assign(text=[f"{t} {i} {i * 7}" for i, t in enumerate(X["text"])])
    estimate, _ = _fitted(words, y)
    assert sparse.issparse(estimate._design(_rows(words)))


def test_long_texts_are_read_by_words_alone():
    X, y = _table()
    short, _ = _fitted(X, y)
    long, _ = _fitted(X.assign(text=X["text"] + " x" * 200), y)
    assert [len(short.words_[0]), len(long.words_[0])] == [2, 1]


def test_it_stands_last_in_the_prompt():
    X, y = _table(30)
    estimate = LinearEstimate(y.mean(), y.std(), random_state=0)
    text = estimate.fit_extend(_rows(X), y, np.ones(30)).to_text()[0]
    assert f", {NAME}: " in text and text.endswith(". target:")
    alone = X[["text"]]
    text = estimate.fit_extend(_rows(alone), y, np.ones(30)).to_text()[0]
    assert text.startswith(alone["text"][0] + f"\n{NAME}: ") and text.endswith("\ntarget:")


def test_it_is_archived_without_pickle():
    X, y = _table()
    estimate, _ = _fitted(X, y)
    restored = archive.load(*archive.dump(estimate))
    rows = _rows(X)
    np.testing.assert_array_equal(
        _estimates(restored.extend(rows)), _estimates(estimate.extend(rows))
    )


# -- in the estimator -------------------------------------------------------------------------


def test_the_estimator_reads_it_and_can_do_without():
    X, y = _table(150)
    settings = dict(fit_method="ce", sft_epochs=1, random_state=0)
    with_it = LLMRegressor(**settings).fit(X, y)
    without = LLMRegressor(linear_estimate=False, **settings).fit(X, y)
    assert without.prompts_.estimate is None and with_it.prompts_.estimate is not None
    layouts = [model.model_.cells.layout for model in (with_it, without)]
    assert layouts[0].category == layouts[1].category + 1  # one number more
    assert not np.allclose(with_it.predict(X), without.predict(X))


def test_little_training_gets_far_on_a_linear_table():
    X, y = _table(300)
    settings = dict(fit_method="soft_ce", sft_epochs=8, random_state=0)
    new, y_new = _table(100, seed=5)
    scores = [
        LLMRegressor(linear_estimate=wanted, **settings).fit(X, y).score(new, y_new)
        for wanted in (True, False)
    ]
    assert scores[0] > scores[1] and scores[0] > 0.8


def test_going_on_holds_rows_out_again(monkeypatch):
    X, y = _table(60)
    model = LLMRegressor(fit_method="ce", sft_epochs=1, random_state=0, warm_start=True).fit(X, y)
    before, trained_on = model.prompts_.estimate, []
    encode = type(model.prompts_)._encode

    def record(prompts, rows, cells):
        trained_on.append(_estimates(rows))
        return encode(prompts, rows, cells)

    monkeypatch.setattr(type(model.prompts_), "_encode", record)
    model.fit(X, y)
    assert model.prompts_.estimate is before
    rows = model.serializer_.serialize(X)
    held_out = _estimates(before.extend_training(rows, y, np.ones(60)))
    np.testing.assert_array_equal(trained_on[0], held_out)
    assert not np.array_equal(held_out, _estimates(before.extend(rows)))
    with pytest.warns(UserWarning, match="linear_estimate"):
        model.set_params(linear_estimate=False).fit(X, y)
