"""On which scale targets are learnt: chosen by held-out rows, crowded codecs said aloud."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.metrics import r2_score

from llmreg import (
    DecimalCodec,
    DigitCodec,
    GridCodec,
    LLMRegressor,
    RowSerializer,
    ScientificCodec,
)
from llmreg.estimates.boosted_trees import FEW
from llmreg.estimates.target_scale import (
    axis_moments,
    choose_scale,
    fit_codec,
    root_mean_square,
    within_reach,
)
from llmreg.numbers.distribution import NumericDistribution
from llmreg.numbers.tree import NumberTree
from llmreg.prediction.distributions import on_axis
from llmreg.training.policy import ZScale

QUICK = dict(fit_method="ce", sft_epochs=2, estimates=None, random_state=0)


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    """They are grown in each fold, on each scale: all 200 take twice the time."""
    monkeypatch.setitem(FEW, "max_iter", 100)


def _features(n, seed=0):
    rng = np.random.RandomState(seed)
    return pd.DataFrame({"a": rng.randn(n), "b": rng.randn(n)}), rng


def _lognormal(n):
    X, rng = _features(n)
    return X, np.exp(3 + 1.5 * X.a + X.b + rng.normal(0, 0.3, n)).to_numpy()


def _gamma(n):
    X, rng = _features(n)
    return X, (np.exp(2 + 0.8 * X.a - 0.5 * X.b) * rng.gamma(2, 1, n)).to_numpy()


def _pareto(n):
    X, rng = _features(n)
    return X, (np.exp(1 + 0.5 * X.a) * (rng.pareto(1.5, n) + 1)).to_numpy()


def _prices(n):
    """A base price times what it has, with steps."""
    X, rng = _features(n)
    return X, 1000 * np.exp(np.round(2 * X.a) / 2 + 0.4 * X.b + rng.normal(0, 0.2, n)).to_numpy()


def _outlier(n):
    X, rng = _features(n)
    y = (50 + 10 * X.a + 5 * X.b + rng.normal(0, 2, n)).to_numpy().copy()
    y[3] = 1e9
    return X, y


GENERATORS = [_lognormal, _gamma, _pareto, _prices, _outlier]


def _choice(X, y, codec=None):
    rows = RowSerializer().fit(X).serialize(X)
    return choose_scale(codec or DigitCodec(), rows, np.asarray(y), np.ones(len(y)), 0)


@pytest.mark.parametrize("generator", [_lognormal, _prices, _pareto])
def test_products_are_learnt_on_a_logarithmic_scale(generator):
    scale, scores = _choice(*generator(200))
    assert scale == "log"
    assert scores["log"] < 0.98 * scores.get("minmax", np.inf)


def test_sums_keep_equal_bins_also_with_a_tail():
    X, rng = _features(200)
    y = (X.a + X.b + rng.standard_t(3, 200) * 0.1).to_numpy()
    assert _choice(X, y)[0] == "minmax"
    X["a"] = np.exp(1.5 * X.a)  # the target has a long tail, since a column does
    scale, scores = _choice(X, X.a + 0.1 * rng.randn(200))
    assert scale == "minmax" and set(scores) == {"minmax", "log", "shifted_log", "symlog"}


MOVES = {
    "+1000": lambda y: y + 1000,
    "-1000": lambda y: y - 1000,
    "1000-": lambda y: 1000 - y,
    "tiny": lambda y: 1e-200 * (y + 1000),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_a_tail_is_the_same_wherever_it_begins_and_to_whichever_side(move):
    X, y = _lognormal(200)
    _, expected = _choice(X, y + 300)
    scale, scores = _choice(X, move(y))
    assert scale == "shifted_log"
    unit = abs(np.ptp(move(y)) / np.ptp(y))
    assert scores[scale] / unit == pytest.approx(expected[scale], rel=1e-3)
    # A logarithm about zero, by hand: as good.
    assert scores[scale] / unit < 1.02 * _choice(X, y)[1]["log"]


def test_short_tails_and_few_rows_are_not_tried():
    X, y = _lognormal(200)
    assert _choice(X, np.log(y)) == ("minmax", {})
    assert _choice(X[:40], y[:40]) == (DigitCodec().fit(y[:40]).scale_, {})


def test_the_choice_does_not_depend_on_the_units():
    X, y = _lognormal(80)
    scale, scores = _choice(X, y)
    again, scaled = _choice(X, 3.7e-9 * y)
    assert again == scale
    assert [s / 3.7e-9 for s in scaled.values()] == pytest.approx(list(scores.values()), rel=1e-4)


def test_predictions_move_with_the_targets():
    X, y = _lognormal(120)
    quick = QUICK | {"decoding": "rail"}
    near, far, mirrored = (LLMRegressor(**quick).fit(X, z) for z in (y + 1e3, y + 1e6, 1e3 - y))
    for model in (near, far, mirrored):
        assert model.codec_.scale_ == "shifted_log"
    found = near.predict_interval(X, 0.8) - 1e3
    np.testing.assert_allclose(far.predict_interval(X, 0.8) - 1e6, found, atol=1e-3 * y.std())
    # Digits count from the other end, so that weights are learnt otherwise.
    other = 1e3 - mirrored.predict_interval(X, 0.8)[:, ::-1]
    assert np.corrcoef(other.ravel(), found.ravel())[0, 1] > 0.9
    assert other.mean() == pytest.approx(found.mean(), rel=0.2)


def test_a_fit_records_what_was_chosen():
    X, y = _lognormal(120)
    model = LLMRegressor(**QUICK).fit(X, y)
    assert model.codec_.scale_ == model.codec_.scale == "log"
    assert set(model.target_scale_scores_) >= {"log", "symlog"}
    assert model.codec is None
    fixed = LLMRegressor(codec=DigitCodec(scale="minmax"), **QUICK)
    with pytest.warns(UserWarning, match="cannot tell them apart"):
        fixed.fit(X, y)
    assert fixed.codec_.scale_ == "minmax" and fixed.target_scale_scores_ == {}


CROWDED = [
    (DecimalCodec(), 0.002 + 0.004 * np.linspace(0, 1, 60)),
    (DigitCodec(scale="minmax"), np.append(np.linspace(40, 60, 59), 1e9)),
    (DigitCodec(scale="minmax", low=-1e9, high=1e9), np.linspace(20, 30, 60)),
    (ScientificCodec(), 1e9 + np.linspace(0, 1, 60)),
    (GridCodec([0, 1000, 2000]), np.linspace(1, 40, 60)),
    (DigitCodec(10, 1, scale="log", low=0, high=1e12), np.linspace(20, 30, 60)),
]


@pytest.mark.parametrize(("codec", "y"), CROWDED)
def test_a_codec_that_cannot_tell_targets_apart_says_so(codec, y):
    X = pd.DataFrame({"a": y.argsort() / 60.0})
    with pytest.warns(UserWarning, match=r"writes the same number for \d+% of the training"):
        LLMRegressor(codec=codec, **QUICK).fit(X, y)


@pytest.mark.parametrize(
    ("codec", "y"),
    [
        (DigitCodec(), np.repeat([0.0, 1.0, 7.0], [50, 5, 5])),  # ties
        (DigitCodec(2, 1), np.linspace(0, 1, 60)),  # two bins, equally full
        (GridCodec([1, 2, 3, 4, 5]), np.repeat([4.0, 5.0], 30)),
        (GridCodec([5]), np.linspace(1, 9, 60)),  # one number is the user's wish
        (ScientificCodec(), np.exp(np.linspace(0, 9, 60))),
        (DigitCodec(), np.append(np.linspace(40, 60, 59), 1e9)),
        (DigitCodec(), np.full(60, 3.0)),
    ],
)
def test_ties_and_coarse_grids_are_no_reason_to_warn(codec, y):
    rows = RowSerializer().fit(pd.DataFrame({"a": y})).serialize(pd.DataFrame({"a": y}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_codec(codec, rows, y, np.ones(len(y)), 0)


def test_moments_are_those_on_the_axis_and_weights_count():
    codec = DigitCodec(scale="log").fit(np.exp(np.linspace(0, 9, 50)))
    y, weight = np.array([1.0, 10.0, 100.0]), np.array([1.0, 2.0, 1.0])
    place = codec.to_axis(y)
    mean, std = axis_moments(codec, y, weight)
    repeated = place[[0, 1, 1, 2]]
    assert (mean, std) == pytest.approx((repeated.mean(), repeated.std()))
    assert axis_moments(codec, y[:1], weight[:1])[1] == 1.0
    assert root_mean_square(np.array([1e300, 1e300]), np.ones(2)) == pytest.approx(1e300)


@pytest.mark.parametrize(
    "codec", [DigitCodec(scale="log"), DigitCodec(scale="quantile"), ScientificCodec()]
)
def test_losses_see_the_codecs_numbers_where_they_lie_on_its_axis(codec):
    y = np.exp(np.linspace(0, 9, 400))
    tree = NumberTree.from_codec(codec.fit(y))
    scale = ZScale.from_tree(tree, *axis_moments(codec, y, np.ones(400)), "cpu", tree.span.dtype)
    widths = scale.edges.diff(dim=1)
    assert float(widths.max() / widths.median()) < 1.01  # in raw units, more than a thousand
    assert bool(((scale.edges[:, 0] <= scale.leaf) & (scale.leaf <= scale.edges[:, 1])).all())


def test_distributions_move_to_the_axis_and_back():
    codec = DigitCodec(scale="log").fit(np.exp(np.linspace(0, 9, 50)))
    dist = NumericDistribution([[0.5, 0.5]], [1, 10], [10, 100], greedy=[5.0], mode=[3.0])
    there = on_axis(dist, codec)
    back = there.transformed(codec.from_axis)
    for name in ("lower", "upper", "values"):
        assert getattr(back, name) == pytest.approx(getattr(dist, name))
    assert (back.greedy(), back.mode()) == (pytest.approx(5.0), pytest.approx(3.0))
    assert there.quantile(0.5) == pytest.approx(codec.to_axis(dist.quantile(0.5)))
    assert on_axis(dist, DigitCodec(scale="minmax").fit([0, 1])) is dist


def _median_error(model, X, y):
    return np.median(np.abs(np.ravel(model) - y))


@pytest.mark.slow
@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("method", ["grpo", "soft_ce", "ce"])
def test_a_logarithmic_scale_is_as_good_as_logarithms_by_hand(generator, method):
    X, y = generator(700)
    common = dict(fit_method=method, decoding="median", random_state=0)
    linear = LLMRegressor(codec=DigitCodec(scale="minmax"), **common)  # bins of the same width
    by_hand = TransformedTargetRegressor(linear, func=np.log, inverse_func=np.exp)
    models = [LLMRegressor(codec=DigitCodec(scale="log"), **common), by_hand]
    errors = [
        _median_error(model.fit(X[:200], y[:200]).predict(X[200:]), X[200:], y[200:])
        for model in models
    ]
    assert errors[0] <= 1.2 * errors[1]


def test_an_outlier_does_not_decide_predictions():
    X, y = _outlier(260)
    model = LLMRegressor(fit_method="ce", sft_epochs=8, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the mean may be in doubt, which is said
        found = model.fit(X[:200], y[:200]).predict(X[200:])
    assert np.median(np.abs(found - y[200:])) < 4.0
    assert r2_score(y[200:], found) > 0.5


def test_heads_predict_on_the_axis_too():
    X, y = _lognormal(260)
    model = LLMRegressor(fit_method="pointwise", sft_epochs=10, random_state=0)
    found = model.fit(X[:200], y[:200]).predict(X[200:])
    assert model.codec_.scale_ == "log"
    assert (found > 0).all()
    assert np.median(np.abs(found - y[200:])) < 0.25 * np.median(y)


@pytest.mark.parametrize(
    ("codec", "y"),
    [
        (GridCodec(), np.repeat([0.0, 1.0, 2.0, 5.0], 15)),
        (GridCodec([1, 2, 3, 4, 5]), np.linspace(1, 5, 60)),
        (GridCodec(range(0, 200, 5)), np.linspace(0, 195, 60)),  # bounded decoding
        (DecimalCodec(0), np.arange(60.0)),
    ],
)
def test_no_interval_and_no_sample_leaves_a_grid(codec, y):
    X = pd.DataFrame({"a": y.argsort() / 60.0})
    model = LLMRegressor(codec=codec, **QUICK).fit(X, y)
    grid = set(model.codec_.values_.tolist())
    assert set(model.predict_interval(X, 0.9).ravel().tolist()) <= grid
    assert set(model.sample_y(X, 20).ravel().tolist()) <= grid
    dist = model.predict_distribution(X)
    assert (dist.cdf(min(grid) - 1e-9) == 0).all() and dist.cdf(max(grid)) == pytest.approx(1.0)
    y_hat = model.predict(X)
    assert y_hat.min() >= min(grid) and y_hat.max() <= max(grid)


def test_decimals_that_round_the_targets_have_bins():
    codec = DecimalCodec(0).fit(np.linspace(0, 10, 7))
    assert not codec.exact_ and (np.diff(codec.cells()[1]) == 1.0).all()


def test_a_spread_of_huge_numbers_is_finite():
    X, y = pd.DataFrame({"a": np.arange(60.0)}), np.linspace(-1e300, 1e300, 60)
    model = LLMRegressor(**QUICK).fit(X, y)
    _, std = model.predict(X, return_std=True)
    assert np.isfinite(std).all() and (std > 1e298).all()


def test_training_sees_targets_where_they_lie_on_the_axis(monkeypatch):
    from llmreg.training import run

    seen, train = [], run.train_stages

    def spy(model, data, *args, **kwargs):
        seen.append(data.z)
        return train(model, data, *args, **kwargs)

    monkeypatch.setattr(run, "train_stages", spy)
    X, y = _lognormal(60)
    model = LLMRegressor(codec=DigitCodec(scale="log"), **QUICK).fit(X, y)
    place = model.codec_.to_axis(y)
    assert seen[0] == pytest.approx((place - place.mean()) / place.std())


@pytest.mark.parametrize("method", ["ce", "soft_ce", "pointwise", "raft"])
def test_targets_outside_the_range_are_learnt_as_its_nearest_end(method, table, quick_fit):
    """However far they are: they must not decide the scale of the others."""
    found = []
    for far in (60.0, 1e300):
        y = table.y.where(table.y < 60, far)
        with pytest.warns(UserWarning, match="learnt as its nearest end"):
            model = quick_fit(table.X, y, fit_method=method, codec=DigitCodec(low=40, high=55))
        found.append(model.predict(table.X, decoding="rail"))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("method", ["raft", "grpo", "head_last", "ntl_mse"])
@pytest.mark.parametrize("size", [1e-323, 1e-9, 1.0])
def test_targets_that_are_tiny_in_the_codecs_range_train_without_overflow(method, size, quick_fit):
    X, y = np.arange(20.0).reshape(-1, 1), size * np.arange(1, 21)
    codec = DigitCodec(low=-1e9, high=1e9, scale="minmax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of targets that the codec cannot tell apart
        model = quick_fit(X, y, fit_method=method, codec=codec)
    assert np.isfinite(model.predict(X)).all()
    assert model.y_std_ == pytest.approx(2e3, rel=0.02)


@pytest.mark.parametrize(
    ("codec", "remedy"),
    [
        (DigitCodec(low=1, high=2), "Widen low and high of the codec"),
        (DecimalCodec(1, low=1, high=2), "Widen low and high of the codec"),
        (GridCodec([1, 2]), "Add such numbers to the codec's values"),
        (ScientificCodec(max_exponent=0), "Raise max_exponent of the codec"),
    ],
)
def test_targets_out_of_range_are_told_with_what_the_codec_has(codec, remedy):
    y = np.array([1.0, 2.0, 77.0])
    with pytest.warns(UserWarning, match=f"1 of 3 targets lie outside .*{remedy}, or leave"):
        assert within_reach(codec.fit(y), y).max() < 11
    found = codec.fit(y[:2])
    with pytest.warns(UserWarning, match="as its nearest end. Set warm_start=False"):
        within_reach(found, y, new=False)


def test_weights_count_in_the_codec_as_so_many_rows():
    y = np.r_[np.zeros(30), np.linspace(0.001, 0.009, 10), np.linspace(0.02, 1, 60)]
    weight = np.r_[np.ones(30), np.full(70, 20.0)]
    rows = RowSerializer().fit(y[:, None]).serialize(y[:, None])
    weighted, repeated = DigitCodec(), DigitCodec()
    fit_codec(weighted, rows, y, weight / weight.mean(), seed=0)
    often = np.repeat(np.arange(100), weight.astype(int))
    fit_codec(repeated, rows.take(often), y[often], np.ones(len(often)), seed=0)
    assert weighted.scale_ == repeated.scale_
    np.testing.assert_allclose(weighted.edges_, repeated.edges_)
    first = weighted.leaf_of([0.0])[0]
    assert weighted.heaps_[first] == pytest.approx(repeated.heaps_[first])
    # But a row that counts much is no heap.
    assert np.delete(weighted.heaps_, first).max() == 0
