"""Simple regressors' estimates of a row as further cells, held out in training."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from scipy.spatial.distance import cdist
from scipy.stats import norm
from sklearn.base import clone
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from llmreg import LLMRegressor, RowSerializer
from llmreg.codecs.digits import DigitCodec
from llmreg.config.defaults import estimate_dropout
from llmreg.estimates.boosted_trees import FEW, BoostedTrees
from llmreg.estimates.row_estimates import KINDS, PENALTIES, RowEstimates
from llmreg.estimates.target_scale import axis_moments
from llmreg.numbers.decoding import tree_distribution
from llmreg.numbers.estimate import estimate_on, estimate_steps
from llmreg.numbers.tree import NumberTree
from llmreg.persistence import record

LINEAR = DigitCodec(scale="minmax").fit([0.0, 1.0])

WORDS = ("red", "green", "blue", "sturdy", "old")


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    """Two hundred trees in each of ten folds would take twice the time."""
    monkeypatch.setitem(FEW, "max_iter", 100)


UNITS = {"a": 1, "b": 50, "c": 0.1}


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
    """Of the last kind."""
    assert rows.fields[-1].name.endswith(" estimate")
    return rows.fields[-1].numbers[:, 0]


def _fitted(X, y, weight=None, kind="linear"):
    estimates = RowEstimates((kind,), LINEAR, y.mean(), y.std(), random_state=0)
    weight = np.ones(len(y)) if weight is None else weight
    return estimates, _estimates(estimates.fit_extend(_rows(X), y, weight))


@pytest.mark.parametrize("kind", KINDS)
def test_they_read_numbers_gaps_categories_and_words(kind):
    X, y = _table(300)
    new, y_new = _table(seed=1)
    estimates, _ = _fitted(X, y, kind=kind)
    score = r2_score(y_new, _estimates(estimates.extend(_rows(new, X))))
    assert score > {"linear": 0.99, "kernel": 0.95, "boosted": 0.9}[kind]
    for column in X:
        shuffled = new.assign(**{column: new[column].sample(frac=1, random_state=0).to_numpy()})
        worse = r2_score(y_new, _estimates(estimates.extend(_rows(shuffled, X))))
        assert worse < score - 0.02, column


def test_of_numbers_alone_the_linear_one_is_ridge_regression():
    rng = np.random.RandomState(0)
    bell = norm.ppf((np.arange(60) + 0.5) / 60)  # whose ranks say nothing else
    X = pd.DataFrame({name: unit * rng.permutation(bell) for name, unit in UNITS.items()})
    y = rng.randn(60)
    y = y + 2 * X["a"].to_numpy()
    estimates, _ = _fitted(X, y)
    z = (X - X.mean()) / X.std(ddof=0)
    expected = Ridge(estimates.regressors_["linear"].alpha).fit(z, y).predict(z)
    found = _estimates(estimates.extend(_rows(X)))
    inside = (expected > 2 * y.min() - y.max()) & (expected < 2 * y.max() - y.min())
    assert inside.all()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_steps_and_interactions_are_for_the_boosted_one():
    rng = np.random.RandomState(0)
    X = pd.DataFrame(rng.randn(300, 2), columns=list("ab"))
    y = np.sign(X["a"] * X["b"]).to_numpy()
    _, linear = _fitted(X, y, kind="linear")
    _, boosted = _fitted(X, y, kind="boosted")
    assert r2_score(y, linear) < 0.1 and r2_score(y, boosted) > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_rows_own_target_has_no_part_in_its_estimate(kind):
    X, y = _table()
    _, before = _fitted(X, y, kind=kind)
    for row in (0, 57):
        changed = y.copy()
        changed[row] += 1e-3  # too little to move the penalty
        estimates = RowEstimates((kind,), LINEAR, y.mean(), y.std(), random_state=0)
        after = _estimates(estimates.fit_extend(_rows(X), changed, np.ones(len(y))))
        assert after[row] == before[row]
        assert (after != before).sum() > len(y) / 2


@pytest.mark.parametrize("texts", [False, True])
@pytest.mark.parametrize("noise", [0.05, 20.0])
def test_the_penalty_is_that_of_the_least_leave_one_out_error(texts, noise):
    """Brute force: a fit without each row, for each penalty."""
    rng = np.random.RandomState(0)
    X = pd.DataFrame(rng.randn(24, 4), columns=list("abcd"))
    if texts:
        X["text"] = [" ".join(rng.choice(WORDS, 3)) for _ in range(24)]
    heavy = np.arange(24) < 14
    y = X["a"] + noise * rng.randn(24) * (1 if texts else ~heavy)
    weight = np.where(heavy, 3.0, 1e-4) * rng.uniform(0.5, 1, 24)
    estimates = RowEstimates(("linear",), LINEAR, y.mean(), y.std(), random_state=0)
    estimates.fit_extend(_rows(X), y.to_numpy(), weight)
    design = estimates.features_.transform(_rows(X))["linear"]
    z = ((y - y.mean()) / y.std()).to_numpy()

    def error(penalty):
        found = np.empty(24)
        for row in range(24):
            others = np.arange(24) != row
            model = Ridge(penalty).fit(design[others], z[others], weight[others])
            found[row] = model.predict(design[row : row + 1])[0]
        return np.average((found - z) ** 2, weights=weight)

    assert estimates.regressors_["linear"].alpha == min(PENALTIES, key=error)


@pytest.mark.parametrize("least", [1e-7, 1e-200, 5e-324])
def test_weights_of_next_to_nothing_are_no_division_by_zero(least):
    """Leave-one-out errors would be, and no penalty better than another."""
    rng = np.random.RandomState(0)
    X, y = pd.DataFrame(rng.randn(6, 8)), rng.randn(6)
    weight = np.r_[1.0, np.full(5, least)]
    estimates = RowEstimates(("linear",), LINEAR, y.mean(), y.std(), random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimates.fit_extend(_rows(X), y, weight)
    assert estimates.regressors_["linear"].alpha in PENALTIES


def test_one_row_has_an_estimate():
    estimates = RowEstimates(("linear",), LINEAR, 5.0, 1.0, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = estimates.fit_extend(_rows(pd.DataFrame({"a": [1.0]})), np.array([5.0]), np.ones(1))
    np.testing.assert_array_equal(_estimates(rows), [5.0])


@pytest.mark.parametrize("kind", ["linear", "boosted"])
@pytest.mark.parametrize(("n", "n_folds"), [(4, 4), (120, 5), (200, 3)])
def test_held_out_folds(kind, n, n_folds, monkeypatch):
    """Brute force: fit without each fold, predict it."""
    monkeypatch.setattr("llmreg.estimates.row_estimates.MANY_ROWS", 120)
    X = pd.DataFrame({"a": np.random.RandomState(0).randn(n)})
    y = np.abs(X["a"].to_numpy())
    estimates, found = _fitted(X, y, kind=kind)
    design = estimates.features_.transform(_rows(X))[kind]
    z, regressor = (y - y.mean()) / y.std(), estimates.regressors_[kind]
    folds = np.array_split(np.random.RandomState(0).permutation(n), n_folds)
    for fold in folds:
        others = np.setdiff1d(np.arange(n), fold)
        expected = clone(regressor).fit(design[others], z[others]).predict(design[fold])
        low, high = 2 * z.min() - z.max(), 2 * z.max() - z.min()
        expected = y.mean() + y.std() * np.clip(expected, low, high)
        np.testing.assert_allclose(found[fold], expected, atol=1e-5)


def test_kernel_ridge_leaves_out_a_tenth_of_the_rows_each():
    """Brute force: with the settings that were chosen, fit without a tenth, estimate it."""
    X, y = _table(40)
    estimates, found = _fitted(X, y, kind="kernel")
    design, model = (
        estimates.features_.transform(_rows(X))["kernel"],
        estimates.regressors_["kernel"],
    )
    rows, z = design @ sparse.diags(model.factors_), (y - y.mean()) / y.std()
    rows, n_plain = rows.toarray(), sum(map(sum, model.blocks[:2]))
    far = cdist(rows[:, :n_plain], rows[:, :n_plain]) ** 1.5
    kernel = np.exp(-model.gamma_ * (far + cdist(rows[:, n_plain:], rows[:, n_plain:]) ** 2))
    for fold in np.array_split(np.random.RandomState(model.random_state).permutation(40), 10):
        others = np.setdiff1d(np.arange(40), fold)
        plain = KernelRidge(alpha=model.penalty_, kernel="precomputed")
        plain.fit(kernel[np.ix_(others, others)], z[others])
        expected = plain.predict(kernel[np.ix_(fold, others)])
        np.testing.assert_allclose(found[fold], y.mean() + y.std() * expected, atol=1e-4)


@pytest.mark.parametrize("scale", ["log", "shifted_log", "symlog", "quantile"])
def test_on_a_bent_scale_no_estimate_lies_beyond_the_targets(scale):
    """There a step further is a factor: a slope that goes on has brought R² below 0."""
    X = pd.DataFrame({"a": np.linspace(0, 4, 60)})
    y = np.exp(X["a"].to_numpy())
    codec = DigitCodec(scale=scale).fit(y)
    mean, std = axis_moments(codec, y, np.ones(60))
    estimates = RowEstimates(("linear",), codec, mean, std, random_state=0)
    estimates.fit_extend(_rows(X), y, np.ones(60))
    found = _estimates(estimates.extend(_rows(pd.DataFrame({"a": [-50.0, 50.0]}), X)))
    np.testing.assert_allclose(found, codec.to_axis(y)[[0, -1]], atol=1e-4 * std)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_does_not_become_an_estimate(kind):
    """In-sample a ridge regression with a word per row fits anything; held out, nothing."""
    rng = np.random.RandomState(0)
    names = ["".join(letters) for letters in itertools.product("abcdefgh", "ijklm", "nopqr")]
    X = pd.DataFrame({"text": [f"word{name} of {name}" for name in names]})
    y = rng.randn(200)
    _, held_out = _fitted(X, y, kind=kind)
    assert abs(np.corrcoef(held_out, y)[0, 1]) < 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_further_training_rows_are_held_out_too_and_change_nothing_else(kind):
    X, y = _table()
    more, y_more = _table(60, seed=2)
    estimates, _ = _fitted(X, y, kind=kind)
    before = _estimates(estimates.extend(_rows(more, X)))
    found = _estimates(estimates.extend_training(_rows(more, X), y_more, np.ones(60)))
    assert (found != before).mean() > 0.9
    np.testing.assert_array_equal(_estimates(estimates.extend(_rows(more, X))), before)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_count(kind):
    X, y = _table(240)
    wrong = np.where(np.arange(240) < 80, -y, y)
    new, y_new = _table(seed=1)
    light = np.where(np.arange(240) < 80, 1e-9, 1.0)
    scores = [
        r2_score(y_new, _estimates(_fitted(X, wrong, weight, kind)[0].extend(_rows(new, X))))
        for weight in (light, np.ones(240))
    ]
    assert (
        scores[0] > {"linear": 0.98, "kernel": 0.9, "boosted": 0.7}[kind]
        and scores[1] < scores[0] - 0.15
    )


def test_estimates_end_where_targets_are_far_behind():
    X = pd.DataFrame({"a": np.arange(20.0)})
    y = 3 * X["a"].to_numpy()
    estimates, _ = _fitted(X, y)
    far = pd.DataFrame({"a": [1e300, -1e300, 25.0]})
    found = _estimates(estimates.extend(_rows(far, X)))
    np.testing.assert_allclose(found, [2 * 57, -57, 75], rtol=0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_targets_of_any_size(scale, kind):
    X, y = _table()
    _, expected = _fitted(X, y, kind=kind)
    estimates = RowEstimates((kind,), LINEAR, y.mean() * scale, y.std() * scale, random_state=0)
    found = _estimates(estimates.fit_extend(_rows(X), y * scale, np.ones(len(y))))
    np.testing.assert_allclose(found / scale, expected, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
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
def test_tables_with_next_to_nothing_in_them(X, kind):
    y = np.arange(float(len(X)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimates, found = _fitted(X, y, kind=kind)
        assert np.isfinite(found).all()
        assert np.isfinite(_estimates(estimates.extend(_rows(X[:1], X)))).all()


def test_they_stand_last_in_the_prompt():
    X, y = _table(30)
    estimates = RowEstimates(KINDS, LINEAR, y.mean(), y.std(), random_state=0)
    text = estimates.fit_extend(_rows(X), y, np.ones(30)).to_text()[0]
    assert text.endswith(". target:")
    assert text.index(", linear estimate: ") < text.index(", boosted estimate: ")
    alone = X[["text"]]
    text = estimates.fit_extend(_rows(alone), y, np.ones(30)).to_text()[0]
    assert text.startswith(alone["text"][0] + "\nlinear estimate: ")
    assert text.endswith("\ntarget:")


def test_they_are_saved_without_pickle():
    X, y = _table()
    estimates = RowEstimates(KINDS, LINEAR, y.mean(), y.std(), random_state=0)
    estimates.fit_extend(_rows(X), y, np.ones(len(y)))
    restored = record.load(*record.dump(estimates, "estimates"))
    rows = _rows(X)
    np.testing.assert_array_equal(restored.extend(rows).to_text(), estimates.extend(rows).to_text())


# -- targets that heap up ---------------------------------------------------------------------


def _claims(n, seed):
    """Four of five targets are 0, the more probably the smaller "risk" is; others about 100."""
    rng = np.random.RandomState(seed)
    risk = rng.randn(n)
    happens = rng.rand(n) < 1 / (1 + np.exp(2 - 1.5 * risk))
    return pd.DataFrame({"risk": risk}), np.where(happens, 100 * np.exp(0.5 * rng.randn(n)), 0.0)


@pytest.mark.parametrize("scale", ["minmax", "log"])
def test_zeros_are_as_probable_as_they_are_frequent(scale):
    X, y = _claims(400, 0)
    new, y_new = _claims(3000, 1)
    codec = DigitCodec(scale=scale).fit(y)
    weight = np.ones(len(y))
    estimates = RowEstimates(("linear", "boosted"), codec, *axis_moments(codec, y, weight), 0)
    estimates.fit_extend(_rows(X), y, weight)
    restored = record.load(*record.dump(estimates, "estimates"))
    chance, ends = restored.extend(_rows(new, X)).estimate.heaps
    assert ends[0] == pytest.approx(codec.to_axis([0.0])[0]) and np.isinf(ends[1])
    often = chance[:, 0] > np.median(chance[:, 0])
    for some in (often, ~often):
        assert chance[some, 0].mean() == pytest.approx((y_new[some] == 0).mean(), abs=0.05)
    estimate = estimate_on(restored.extend(_rows(new, X)).estimate, "cpu")
    tree = NumberTree.from_codec(codec)
    found = tree_distribution(tree, estimate_steps(estimate, tree, torch.arange(tree.n_open)))
    assert found.mean().sum() / y_new.sum() == pytest.approx(y.mean() / y_new.mean(), rel=0.1)


def test_targets_without_a_heap_have_none():
    X, y = _table()
    estimates, _ = _fitted(X, y)
    assert estimates.heaps_ is None and estimates.extend(_rows(X)).estimate.heaps is None


# -- in the estimator -------------------------------------------------------------------------


def test_the_estimator_reads_what_is_asked_for():
    X, y = _table(150)
    settings = dict(fit_method="ce", sft_epochs=1, random_state=0)
    kinds = {None: (), **{kind: (kind,) for kind in KINDS}, "both": ("kernel", "boosted")}
    models = {
        wanted: LLMRegressor(estimates=wanted, **settings).fit(X, y) for wanted in (*kinds, "auto")
    }
    alone = models[None].model_.cells.layout.category
    assert models[None].prompts_.estimates is None
    for wanted, expected in kinds.items():
        layout = models[wanted].model_.cells.layout
        assert layout.category == alone + len(expected)  # so many numbers more
        if expected:
            assert tuple(models[wanted].prompts_.estimates.regressors_) == expected
        # Told apart from the table's numbers, since they are hidden more often.
        cells = models[wanted].model_.cells
        assert cells.n_estimates == len(expected)
        assert cells.estimate_dropout == estimate_dropout(150)
    found = [models[wanted].predict(X) for wanted in kinds]
    assert not any(np.allclose(found[i], found[j]) for i in range(5) for j in range(i))
    np.testing.assert_array_equal(models["auto"].predict(X), found[-1])


def test_little_training_gets_far_on_a_linear_table():
    X, y = _table(300)
    settings = dict(fit_method="soft_ce", sft_epochs=8, random_state=0)
    new, y_new = _table(100, seed=5)
    scores = [
        LLMRegressor(estimates=wanted, **settings).fit(X, y).score(new, y_new)
        for wanted in ("linear", None)
    ]
    assert scores[0] > scores[1] and scores[0] > 0.8


def test_little_training_gets_far_on_a_table_of_steps():
    rng = np.random.RandomState(0)
    X, new = (pd.DataFrame(rng.randn(n, 2), columns=list("ab")) for n in (300, 100))
    y, y_new = (np.sign(t["a"] * t["b"]).to_numpy() for t in (X, new))
    settings = dict(fit_method="soft_ce", sft_epochs=8, random_state=0)
    both, linear = (
        LLMRegressor(estimates=wanted, **settings).fit(X, y).score(new, y_new)
        for wanted in ("both", "linear")
    )
    assert both > 0.5 > linear


def test_going_on_holds_rows_out_again(monkeypatch):
    X, y = _table(60)
    model = LLMRegressor(fit_method="ce", sft_epochs=1, random_state=0, warm_start=True).fit(X, y)
    before, trained_on = model.prompts_.estimates, []
    encode = type(model.prompts_)._encode

    def record(prompts, rows, cells):
        trained_on.append(_estimates(rows))
        return encode(prompts, rows, cells)

    monkeypatch.setattr(type(model.prompts_), "_encode", record)
    model.fit(X, y)
    assert model.prompts_.estimates is before
    rows = model.serializer_.serialize(X)
    held_out = _estimates(before.extend_training(rows, y, np.ones(60)))
    np.testing.assert_array_equal(trained_on[0], held_out)
    assert not np.array_equal(held_out, _estimates(before.extend(rows)))
    with pytest.warns(UserWarning, match="estimates"):
        model.set_params(estimates=None).fit(X, y)


def test_scales_are_compared_by_fewer_folds_and_trees_than_rows_are_extended(monkeypatch):
    """Of which the estimate is nearly the same."""
    X, y = _table(300)
    weight, grown = np.ones(len(y)), []
    estimates = RowEstimates(("boosted",), LINEAR, y.mean(), y.std(), random_state=0)
    estimates.fit_extend(_rows(X), y, weight)
    designs = estimates.features_.transform(_rows(X))
    keep = BoostedTrees._keep
    monkeypatch.setattr(
        BoostedTrees, "_keep", lambda self, trees: (grown.append(len(trees)), keep(self, trees))
    )
    found = estimates.held_out_estimate(designs, y, weight, np.arange(len(y)))
    coarse = found.centre
    assert np.ptp(found.width) == 0  # scales are compared by one width for all rows
    assert grown == [50] * 4  # few_trees: of 100
    fine = estimates.fit_extend(_rows(X), y, weight).estimate.centre
    assert grown[4:] == [100] * 6  # five folds, and all rows
    assert r2_score(y, coarse) == pytest.approx(r2_score(y, fine), abs=0.05)


def test_a_fit_learns_nothing_from_what_is_missing_without_a_row():
    """Yes or no by chance: estimates with one row left out told each row's own answer."""
    rng = np.random.RandomState(1)
    X = pd.DataFrame({
        "a": rng.normal(size=600), "b": rng.uniform(size=600), "c": rng.choice(list("xyz"), 600),
    })  # fmt: skip
    y = (rng.rand(600) < 0.3) * 1.0
    model = LLMRegressor(fit_method="soft_ce", random_state=0).fit(X[:300], y[:300])
    assert np.mean((model.predict(X[300:]) - y[300:]) ** 2) < 0.24  # 0.21 of the mean alone
