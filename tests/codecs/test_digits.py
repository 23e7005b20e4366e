"""DigitCodec: numbers to digits and back."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError

from llmreg.codecs.digits import MAX_LEAVES, DigitCodec

EPS = np.finfo(float).eps
SIZES = [(2, 1), (2, 8), (3, 5), (7, 2), (10, 1), (10, 2), (10, 3), (36, 2)]
SCALES = ["minmax", "quantile", "log", "shifted_log", "symlog"]


def _random_targets(seed):
    """Targets of many kinds, by name."""
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=300)
    return {
        "normal": normal,
        "negative": -5 - np.abs(normal),
        "heavy tail": np.exp(4 * normal),
        "both tails": np.sinh(5 * normal),
        "ties": rng.choice([-2.0, 0.0, 1.0, 1.5], 300),
        "integers": rng.integers(-50, 1000, 300),
        "mostly zero": np.where(rng.random(300) < 0.9, 0.0, normal),
        "two": np.array([3.0, 4.0]),
        "tiny": normal * 1e-300,
        "huge": normal * 1e300,
        "all magnitudes": 10.0 ** rng.uniform(-300, 300, 300),
        "far from zero": 1e9 + normal,
    }


CASES = [
    pytest.param(scale, kind, y, id=f"{scale}-{kind}-{seed}")
    for seed in range(2)
    for kind, y in _random_targets(seed).items()
    for scale in SCALES
]


def _rounding(y):
    return 8 * np.spacing(np.abs(y).max())


def _heaped(codec):
    return np.flatnonzero(codec.heaps_)


@pytest.mark.parametrize(("scale", "kind", "y"), CASES)
def test_a_round_trip_stays_within_half_a_bin(scale, kind, y):
    for base, n_digits in SIZES:
        codec = DigitCodec(base, n_digits, scale=scale).fit(y)
        width = np.diff(codec.edges_)[codec.leaf_of(y)]
        error = np.abs(codec.decode(codec.encode(y)) - y)
        # A bin with a heap decodes to a number nearer to it than the centre.
        most = np.where(np.isin(codec.leaf_of(y), _heaped(codec)), 1.0, 0.5)
        assert (error <= width * most + _rounding(y)).all()


@pytest.mark.parametrize(("scale", "kind", "y"), CASES)
def test_bins_are_finite_ascending_and_end_at_the_targets_ends(scale, kind, y):
    for base, n_digits in SIZES:
        codec = DigitCodec(base, n_digits, scale=scale).fit(y)
        assert codec.edges_.shape == (base**n_digits + 1,)
        assert codec.values_.shape == (base**n_digits,)
        assert np.isfinite(codec.edges_).all()
        assert (np.diff(codec.edges_) >= 0).all()
        assert (codec.edges_[0], codec.edges_[-1]) == (y.min(), y.max())
        assert (codec.values_ >= codec.edges_[:-1]).all()
        assert (codec.values_ <= codec.edges_[1:]).all()


@pytest.mark.parametrize(("scale", "kind", "y"), CASES)
def test_order_is_preserved(scale, kind, y):
    ascending = np.sort(y)
    codec = DigitCodec(10, 3, scale=scale).fit(y)
    digits = codec.encode(ascending)
    assert (np.diff(digits @ [100, 10, 1]) >= 0).all()
    assert (np.diff(codec.decode(digits)) >= 0).all()


@pytest.mark.parametrize(("base", "n_digits"), SIZES)
def test_minmax_writes_the_digits_of_the_rescaled_target(base, n_digits):
    rng = np.random.default_rng(0)
    n_bins = base**n_digits
    k = rng.integers(n_bins, size=500)
    z = (k + rng.uniform(0.01, 0.99, 500)) / n_bins
    low, high = -3.0, 7.5
    codec = DigitCodec(base, n_digits).fit([low, high])
    digits = codec.encode(low + z * (high - low))
    expected = [[int(symbol, 36) for symbol in np.base_repr(i, base).zfill(n_digits)] for i in k]
    assert digits.tolist() == expected
    assert digits.dtype == np.int64


@pytest.mark.parametrize("width", [1, 3, 7, 30])
@pytest.mark.parametrize(("base", "n_digits"), SIZES)
def test_an_integer_on_an_edge_is_written_as_the_bin_that_it_begins(base, n_digits, width):
    n_bins = base**n_digits
    codec = DigitCodec(base, n_digits).fit([-5.0, n_bins * width - 5.0])
    assert codec.leaf_of(np.arange(n_bins) * width - 5.0).tolist() == list(range(n_bins))


def test_both_ends_of_the_range_are_written_as_the_first_and_the_last_number():
    for scale in SCALES:
        codec = DigitCodec(10, 2, scale=scale).fit(np.random.default_rng(0).normal(size=500))
        ends = codec.encode(codec.edges_[[0, -1]])
        assert ends.tolist() == [[0, 0], [9, 9]]
        assert codec.n_clipped(codec.edges_[[0, -1]]) == 0


def test_targets_outside_the_range_are_counted_and_take_the_nearest_end():
    codec = DigitCodec(10, 2).fit([0.0, 10.0])
    y = [-1e300, -0.001, 0.0, 10.0, 10.001, 99.0]
    assert codec.n_clipped(y) == 4
    assert codec.leaf_of(y).tolist() == [0, 0, 0, 99, 99, 99]


@pytest.mark.parametrize("scale", ["minmax", "log"])
def test_ends_on_which_targets_heap_up_have_a_share_of_their_own(scale):
    inside = np.random.default_rng(0).uniform(0.3, 5.0, 300)
    beside = [0.001] * 5  # in the first bin, whatever the scale
    codec = DigitCodec(10, 2, scale=scale).fit([*inside, *beside, *[0.0] * 15, *[5.0] * 900])
    in_last = codec.leaf_of(inside).tolist().count(99)
    assert codec.heaps_ == pytest.approx([0.75, *[0] * 98, 900 / (900 + in_last)])
    assert codec.heap_values_[[0, -1]].tolist() == [0.0, 5.0]
    middle = (codec.edges_[1:] + codec.edges_[:-1]) / 2
    assert codec.values_[1:-1].tolist() == middle[1:-1].tolist()
    assert codec.values_[0] == pytest.approx(0.25 * middle[0])
    # The bins are as they would be without; but what is beyond the ends counts for them.
    assert codec.edges_[[0, -1]].tolist() == [0.0, 5.0]
    assert codec.open_edges.tolist() == [-np.inf, *codec.edges_[1:-1], np.inf]
    leaf, span, value, share = codec.cells()
    assert leaf.tolist() == [*range(100), 0, 99]
    assert span[:100].ravel().tolist() == codec.edges_.repeat(2)[1:-1].tolist()
    assert span[100:].tolist() == [[0.0, 0.0], [5.0, 5.0]]
    assert value.tolist() == [*middle, 0.0, 5.0]
    ends = codec.heaps_[[0, -1]]
    assert share == pytest.approx([0.25, *[1.0] * 98, 1 - ends[1], *ends])


def test_without_heaps_a_cell_is_a_bin():
    codec = DigitCodec(10, 1).fit(np.linspace(0, 1, 30))
    leaf, span, value, share = codec.cells()
    assert not codec.heaps_.any() and codec.open_edges.tolist() == codec.edges_.tolist()
    assert leaf.tolist() == list(range(10)) and share.tolist() == [1.0] * 10
    assert span[:, 0].tolist() == codec.edges_[:-1].tolist()
    assert value.tolist() == codec.values_.tolist()


@pytest.mark.parametrize(
    ("at_end", "beside", "heap"), [(1, 0, 0), (2, 0, 0), (3, 0, 1), (3, 12, 0.2), (3, 13, 0)]
)
def test_a_heap_is_three_targets_and_one_in_five_of_the_bin(at_end, beside, heap):
    inside = np.linspace(1, 5, 50)
    lower = DigitCodec().fit([*inside, *[0.0] * at_end, *np.linspace(0.03, 0.04, beside)])
    upper = DigitCodec().fit([*-inside, *[0.0] * at_end, *np.linspace(-0.03, -0.04, beside)])
    assert lower.heaps_[[0, -1]] == pytest.approx([heap, 0])
    assert upper.heaps_[[0, -1]] == pytest.approx([0, heap])
    assert np.isinf(lower.open_edges[0]) == np.isinf(upper.open_edges[-1]) == (heap > 0)


@pytest.mark.parametrize("scale", SCALES)
def test_whole_numbers_are_points(scale):
    y = np.random.RandomState(0).poisson(3, 400).astype(float)
    codec = DigitCodec(scale=scale).fit(y)
    common, count = np.unique(y, return_counts=True)
    # By quantiles the last bin holds several.
    common = common[(count >= 3) & (codec.heaps_[codec.leaf_of(common)] == 1)]
    assert len(common) >= 8
    assert codec.decode(codec.encode(common)).tolist() == common.tolist()
    leaf, span, _, share = codec.cells()
    at = np.isin(leaf, codec.leaf_of(common)) & (share > 0)
    assert np.sort(span[at], axis=0).tolist() == np.repeat(common, 2).reshape(-1, 2).tolist()


def test_few_numbers_have_all_probability_and_bins_between_them_the_nearest():
    grades = np.repeat([1.0, 2.0, 3.5, 5.0], [5, 9, 1, 3])
    codec = DigitCodec().fit(grades)
    assert codec.points_
    leaf, span, value, share = codec.cells()
    assert leaf.tolist() == list(range(100)) and (share == 1).all()
    assert (span == value[:, None]).all() and set(value) == {1.0, 2.0, 3.5, 5.0}
    centre = (codec.edges_[:-1] + codec.edges_[1:]) / 2
    empty = np.setdiff1d(leaf, codec.leaf_of(grades))
    nearest = np.abs(centre[empty, None] - np.unique(grades)).min(1)
    np.testing.assert_allclose(np.abs(value - centre)[empty], nearest)
    assert codec.decode(codec.encode(grades)).tolist() == grades.tolist()
    for other in (np.append(grades, 4.999), np.r_[grades, 6:20]):  # two in a bin; often once
        assert not DigitCodec(scale="minmax").fit(other).points_


@pytest.mark.parametrize(
    ("n_equal", "beside", "heap"), [(2, 0, 0), (3, 0, 1), (3, 3, 0.5), (30, 30, 0.5), (3, 4, 0)]
)
def test_within_the_range_a_heap_is_three_targets_and_half_of_the_bin(n_equal, beside, heap):
    y = np.r_[0.0, 10.0, [5.03] * n_equal, np.linspace(5.04, 5.09, beside)]
    codec = DigitCodec(scale="minmax").fit(y)
    expected = np.zeros(100)
    expected[50] = heap
    assert codec.heaps_ == pytest.approx(expected)
    assert codec.values_[50] == pytest.approx(heap * 5.03 + (1 - heap) * 5.05)
    leaf, span, value, share = codec.cells()
    assert np.isfinite(codec.open_edges).all() and np.bincount(leaf, share) == pytest.approx(1)
    assert np.bincount(leaf, share * value) == pytest.approx(codec.values_)
    assert ([5.03, 5.03] in span.tolist()) == (heap > 0)


def test_the_end_of_the_range_goes_before_a_larger_heap_beside_it():
    codec = DigitCodec(scale="minmax").fit([*[0.0] * 3, *[0.05] * 9, *np.linspace(1, 10, 50)])
    assert codec.heap_values_[0] == 0 and codec.heaps_[0] == pytest.approx(0.25)


def test_targets_beyond_fixed_ends_make_a_heap_there():
    codec = DigitCodec(low=0.0, high=1.0).fit([-1.0, -2.0, -3.0, *np.linspace(0.2, 0.8, 30)])
    assert codec.heaps_[[0, -1]].tolist() == [1, 0]
    assert codec.decode(codec.encode([-7.0])).tolist() == [0.0]


def test_quantile_bins_hold_equally_many_rows():
    y = np.exp(np.random.default_rng(0).normal(size=5000))
    counts = np.bincount(DigitCodec(10, 2, scale="quantile").fit(y).leaf_of(y), minlength=100)
    assert counts.min() >= 49
    assert counts.max() <= 51


def test_quantile_bins_reach_to_fixed_ends_and_ignore_targets_beyond_them():
    y = np.arange(101.0)
    codec = DigitCodec(10, 1, scale="quantile", low=20, high=1000).fit(y)
    assert (codec.edges_[0], codec.edges_[-1]) == (20, 1000)
    inside = np.array([20.0, *np.arange(21.0, 101.0), 1000.0])
    assert np.allclose(codec.edges_, np.quantile(inside, np.linspace(0, 1, 11)))


def test_log_bins_have_equal_width_in_the_symmetric_logarithm():
    y = np.sinh(np.random.default_rng(0).normal(size=400) * 4)
    edges = DigitCodec(10, 2, scale="log").fit(y).edges_
    position = np.sign(edges) * np.log1p(np.abs(edges) / np.median(np.abs(y)))
    assert np.allclose(np.diff(position), np.diff(position).mean(), rtol=1e-6)


def test_zeros_say_nothing_about_the_unit_of_a_logarithm():
    codec = DigitCodec(2, 1, scale="log").fit([0.0, 0.0, 0.0, 3.0])
    assert codec.edges_ == pytest.approx([0.0, 3 * (2**0.5 - 1), 3.0])  # log1p(y / 3): half log 2
    assert DigitCodec(scale="log").fit([0.0, 0.0]).unit_ == 1.0


def test_positive_targets_are_told_apart_by_their_ratios():
    y = np.exp(np.random.default_rng(0).normal(3, 2, 500))
    edges = DigitCodec(10, 2, scale="log").fit(y).edges_
    ratios = np.diff(np.log(edges))
    assert np.allclose(ratios[edges[1:] > np.quantile(y, 0.05)], ratios[-1], rtol=0.02)


def test_a_logarithm_about_the_median_resolves_tails_on_both_sides_and_far_from_zero():
    y = np.sinh(np.random.default_rng(0).normal(size=400) * 4)
    codec, moved = (DigitCodec(10, 2, scale="symlog").fit(targets) for targets in (y, y + 1e6))
    assert codec.crowding(y) < DigitCodec(10, 2, scale="minmax").fit(y).crowding(y) / 4
    assert np.allclose(moved.edges_ - 1e6, codec.edges_, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("move", [lambda y: y + 1e6, lambda y: y - 3.0, lambda y: 1e6 - y])
def test_a_logarithm_about_where_targets_begin_moves_with_them(move):
    y = np.exp(np.random.default_rng(0).normal(size=400) * 2)
    codec, moved = (DigitCodec(scale="shifted_log").fit(targets) for targets in (y, move(y)))
    assert np.allclose(np.sort(move(codec.edges_)), moved.edges_, rtol=1e-9, atol=1e-6)
    assert moved.crowding(move(y)) < 0.06


def test_steps_of_the_floats_far_from_zero_are_told_apart():
    y = 1e12 + np.exp(np.random.default_rng(0).normal(size=400) * 2 - 5)  # in steps of 0.0001
    codec = DigitCodec(10, 3).fit(y)
    assert codec.scale_ == "shifted_log" and (np.diff(codec.edges_) >= 0).all()
    assert codec.crowding(y) < 0.05 and np.ptp(y) == np.ptp(codec.edges_)


@pytest.mark.parametrize("scale", SCALES)
def test_the_axis_is_where_bins_have_equal_width(scale):
    y = np.random.default_rng(0).lognormal(size=300)
    codec = DigitCodec(10, 2, scale=scale).fit(y)
    widths = np.diff(codec.to_axis(codec.edges_))
    assert np.allclose(widths, widths[0], rtol=1e-5)
    assert np.allclose(codec.from_axis(codec.to_axis(y)), y, rtol=1e-9)
    assert codec.linear == (scale == "minmax")


@pytest.mark.parametrize(
    ("y", "scale"),
    [
        (np.arange(100.0), "minmax"),
        (np.exp(np.linspace(-6, 6, 200)), "log"),
        (np.sinh(np.linspace(-9, 9, 200)), "log"),
        (np.linspace(0.01, 1, 200) ** -2.0, "log"),  # more are told apart about their least
        (1e6 + np.exp(np.linspace(-1, 6, 200)), "shifted_log"),
        (1e6 - np.exp(np.linspace(-1, 6, 200)), "shifted_log"),
        (1e6 + np.sinh(np.linspace(-9, 9, 200)), "symlog"),
        (np.append(np.linspace(40, 60, 199), 1e9), "symlog"),
        ([7.0] * 5, "minmax"),
        ([0.0] * 300 + [1.0, 50.0], "minmax"),  # ties are not the codec's fault
    ],
)
def test_auto_bends_the_scale_where_one_bin_would_hold_most_targets(y, scale):
    codec = DigitCodec().fit(y)
    assert codec.scale_ == scale
    assert codec.crowding(y) <= 0.26


@pytest.mark.parametrize("targets", [[], [1.0, np.nan], [np.inf, 0.0]])
def test_targets_that_are_none_or_not_finite_are_refused(targets):
    with pytest.raises(ValueError, match=r"finite number|0 sample.*is required by DigitCodec"):
        DigitCodec().fit(targets)


def test_log_survives_a_median_that_is_far_below_the_ends():
    with np.errstate(all="raise"):
        codec = DigitCodec(10, 2, scale="log").fit([1e-300, 1e-300, 1e300])
    assert np.isfinite(codec.edges_).all()


@pytest.mark.parametrize("scale", ["auto", "log", "shifted_log", "symlog"])
def test_fixed_ends_may_be_beyond_all_floats_in_the_unit_of_a_logarithm(scale):
    y = np.array([1, -2, 3, 5, -7]) * 1e-300
    with np.errstate(all="raise", under="ignore"):
        codec = DigitCodec(scale=scale, low=-1e9, high=1e9).fit(y)
    assert np.isfinite(codec.edges_).all() and np.isfinite(codec.to_axis(codec.edges_)).all()
    assert codec.crowding(y) < 0.9


@pytest.mark.parametrize("scale", ["minmax", "log", "shifted_log", "symlog"])
def test_margin_widens_the_range_on_both_sides_of_the_scale(scale):
    codec = DigitCodec(10, 2, scale=scale, margin=0.25).fit([2.0, 10.0])
    low, first, last, high = codec.to_axis([codec.edges_[0], 2.0, 10.0, codec.edges_[-1]])
    assert [first - low, high - last] == pytest.approx([(last - first) / 4] * 2)
    assert codec.n_clipped(codec.edges_[[0, -1]]) == 0


@pytest.mark.parametrize("rounding", ["bin", "nearest"])
@pytest.mark.parametrize("scale", ["auto", "minmax", "log", "shifted_log", "symlog"])
@pytest.mark.parametrize("margin", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("y", [[5.0] * 4, [1.0, 1 + EPS, 1 + 2 * EPS], [2.0**53, 2.0**53 + 2]])
def test_rounding_on_the_scale_leaves_no_target_outside(rounding, scale, margin, y):
    codec = DigitCodec(scale=scale, margin=margin, rounding=rounding).fit(y)
    assert codec.n_clipped(y) == 0
    assert (np.diff(codec.edges_) >= 0).all()
    assert ((codec.edges_[:-1] <= codec.values_) & (codec.values_ <= codec.edges_[1:])).all()
    if margin == 0:
        assert codec.decode(codec.encode(y)) == pytest.approx(y, abs=np.ptp(y) / 50, rel=1e-15)


@pytest.mark.parametrize(
    "codec", [DigitCodec(margin=1e308), DigitCodec(low=-1e308, high=1e308, scale="log")]
)
def test_a_range_without_a_width_is_refused(codec):
    with pytest.raises(ValueError, match=r"from -.* to .*wider than floats.* smaller margin"):
        codec.fit([-1.0, 1e3])


def test_low_and_high_fix_one_end_each_and_go_before_the_margin():
    low = DigitCodec(low=-4, margin=0.5).fit([0.0, 8.0])
    high = DigitCodec(high=20.0, margin=0.5).fit([0.0, 8.0])
    assert (low.edges_[0], low.edges_[-1]) == (-4.0, 12.0)
    assert (high.edges_[0], high.edges_[-1]) == (-4.0, 20.0)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("value", [0.0, -2.5, 1e300, 1e-300, 7])
def test_a_constant_target_decodes_to_itself(scale, value):
    codec = DigitCodec(10, 2, scale=scale).fit([value] * 3)
    assert codec.decode(codec.encode([value])).tolist() == [value]
    assert np.unique(codec.values_).tolist() == [value]


@pytest.mark.parametrize("scale", SCALES)
def test_rows_of_weight_zero_do_not_count(scale):
    y = np.random.default_rng(0).normal(size=200)
    weight = np.ones(203)
    weight[200:] = 0
    outliers = np.concatenate([y, [-1e6, 1e6, 0.3]])
    weighted = DigitCodec(scale=scale).fit(outliers, sample_weight=weight)
    assert np.array_equal(weighted.edges_, DigitCodec(scale=scale).fit(y).edges_)


def test_sequences_are_all_numbers_in_order():
    codec = DigitCodec(3, 4).fit([0.0, 1.0])
    sequences = codec.sequences()
    assert (sequences @ [27, 9, 3, 1]).tolist() == list(range(81))
    assert np.array_equal(codec.decode(sequences), codec.values_)
    assert np.array_equal(codec.encode(codec.values_), sequences)


def test_symbols_are_digits_then_letters():
    assert DigitCodec(2).symbols == ("0", "1")
    assert "".join(DigitCodec(36).symbols) == "0123456789abcdefghijklmnopqrstuvwxyz"
    assert DigitCodec(16).symbols[-1] == "f"


def test_parameters_survive_clone_and_set_params():
    codec = DigitCodec(7, 3, scale="log", margin=0.1, low=-1, high=9.5)
    assert clone(codec).get_params() == codec.get_params()
    assert codec.set_params(base=4).base == 4
    assert not hasattr(clone(codec.fit([0.0, 1.0])), "edges_")


def test_a_million_bins_are_the_most():
    assert DigitCodec(10, 6).fit([0.0, 1.0]).values_.shape == (MAX_LEAVES,)
    with pytest.raises(ValueError, match=r"base=2 with n_digits=20 makes 1,048,576 bins.*fewer"):
        DigitCodec(2, 20).fit([0.0, 1.0])


def test_margin_has_no_meaning_with_quantile_bins():
    with pytest.raises(ValueError, match=r"margin=0\.1 has no meaning with scale='quantile'"):
        DigitCodec(scale="quantile", margin=0.1).fit([0.0, 1.0])


@pytest.mark.parametrize("ends", [dict(low=1, high=1), dict(low=3, high=2), dict(low=5.0),
                                  dict(high=0.0), dict(high=-1.0)])  # fmt: skip
def test_an_empty_range_is_an_error_that_names_its_ends(ends):
    with pytest.raises(ValueError, match=r"range is empty: low=.*, high=.*use None"):
        DigitCodec(**ends).fit([0.0, 5.0])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base", 1), ("base", 37), ("base", 2.5), ("n_digits", 0), ("n_digits", 21),
        ("scale", "linear"), ("margin", -0.1), ("low", "zero"), ("low", float("nan")),
        ("low", float("-inf")), ("high", float("inf")), ("high", [1.0]),
    ],
)  # fmt: skip
def test_illegal_parameters_are_named(name, value):
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter of DigitCodec"):
        DigitCodec(**{name: value}).fit([0.0, 1.0])


# -- rounding to the nearest number, as GenRe² writes targets ----------------------------------


def _normalised_tokenizer(f, base, length):
    """What GenRe²'s release does to a number in [0, 1]: digits and the number that they mean."""
    k = min(round(f * base**length), base**length - 1)
    return k, k / base**length


@pytest.mark.parametrize(("base", "n_digits"), [(2, 8), (10, 2), (6, 4)])
def test_nearest_writes_what_the_released_tokenizer_writes(base, n_digits):
    y = np.random.RandomState(0).rand(500)
    y[:2] = 0, 1
    codec = DigitCodec(base, n_digits, scale="minmax", rounding="nearest").fit(y)
    k, values = np.array([_normalised_tokenizer(f, base, n_digits) for f in y]).T
    np.testing.assert_array_equal(codec.leaf_of(y), k)
    np.testing.assert_allclose(codec.decode(codec.encode(y)), values, atol=1e-12)
    assert codec.values_[0] == 0 and codec.values_[-1] == 1 - base**-n_digits


@pytest.mark.parametrize("scale", ["minmax", "log", "shifted_log", "symlog"])
def test_nearest_numbers_are_the_lower_ends_of_bins_and_nearest_on_the_scale(scale):
    y = np.exp(np.linspace(-3, 4, 60))
    bins = DigitCodec(scale=scale).fit(y)
    codec = DigitCodec(scale=scale, rounding="nearest").fit(y)
    np.testing.assert_allclose(codec.values_, bins.edges_[:-1])
    assert codec.edges_[0] == y.min() and codec.edges_[-1] == y.max()
    place = codec.to_axis(codec.values_)
    expected = np.abs(codec.to_axis(y)[:, None] - place).argmin(1)
    assert np.mean(codec.leaf_of(y) == expected) > 0.98  # ties may go either way
    _, span, value, share = codec.cells()
    np.testing.assert_array_equal(value, codec.values_)
    assert (share == 1).all() and (span[:, 0] <= value).all() and (value <= span[:, 1]).all()
    assert not codec.heaps_.any()


def test_a_row_that_counts_much_is_no_heap():
    rng = np.random.RandomState(0)
    y, weight = rng.randn(40), rng.uniform(0.1, 1, 40)
    codec = DigitCodec().fit(y, sample_weight=weight)
    assert not codec.heaps_.any() and not codec.points_
    assert not DigitCodec().fit(y[:5], sample_weight=[1, 9, 9, 9, 9]).points_
    grades = DigitCodec().fit(np.repeat([1.0, 2, 3], 3), sample_weight=np.arange(1, 10))
    assert grades.points_


HEAPS = np.r_[np.full(10, 0.2), np.full(11, 0.7), [5.0, 6, 7, 8, 9, 10]]
SURVEY = np.r_[np.full(10, 1.4), np.ones(17)]


@pytest.mark.parametrize("unit", [1.0, 0.37, 1e-9])
@pytest.mark.parametrize("rows", [1, 40])
@pytest.mark.parametrize("least", [None, 1e-6, 1e-12])
def test_weights_count_by_their_ratios_whatever_the_least_is(unit, rows, least):
    y, weight = np.repeat(HEAPS, rows), unit * np.repeat(SURVEY, rows)
    if least is not None:
        y, weight = np.r_[y, 5.0], np.r_[weight, least * unit]
    codec = DigitCodec(scale="minmax", n_digits=1, low=0.0, high=10.0).fit(y, weight)
    assert codec.heap_values_[0] == 0.2
    assert codec.heaps_[0] == pytest.approx(0.56)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("times", [1.0, 0.2, 0.37])
def test_weights_in_the_ratio_of_whole_numbers_are_rows_so_often(scale, times):
    rng = np.random.default_rng(3)
    y = np.r_[np.full(9, 0.2), np.full(12, 3.0), rng.lognormal(size=60)]
    often = rng.integers(2, 8, len(y))
    rows, weighted = DigitCodec(scale=scale), DigitCodec(scale=scale)
    rows.fit(np.repeat(y, often)), weighted.fit(y, times * often)
    assert weighted.scale_ == rows.scale_
    np.testing.assert_allclose(weighted.edges_, rows.edges_, rtol=1e-12)
    heaps = np.isin(weighted.heap_values_, [0.2, 3.0])
    np.testing.assert_array_equal(weighted.heaps_[heaps], rows.heaps_[heaps])


@pytest.mark.parametrize("scale", ["auto", "quantile", "log", "symlog"])
def test_weights_that_vanish_move_no_bin(scale):
    rng = np.random.default_rng(4)
    y, weight = rng.lognormal(size=200), rng.choice([1.0, 1.4, 2.5], 200)
    without = DigitCodec(scale=scale).fit(y, weight).edges_
    given = DigitCodec(scale=scale).fit(np.r_[y, 1.0], np.r_[weight, 1e-6]).edges_
    np.testing.assert_allclose(given, without, rtol=0.05, atol=0.02)
