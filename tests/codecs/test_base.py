"""What holds for every codec: sequences, numbers and the tree agree, and order is kept."""

import pickle

import numpy as np
import pandas as pd
import pytest
from codec_zoo import KINDS, fitted
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from llmreg.codecs.decimals import DecimalCodec
from llmreg.codecs.digits import END, DigitCodec, TargetCodec
from llmreg.codecs.grids import GridCodec
from llmreg.codecs.scientific import ScientificCodec
from llmreg.numbers.tree import NumberTree

quickly = settings(max_examples=40, deadline=None, derandomize=True)


@quickly
@given(fitted())
def test_numbers_and_edges_ascend_and_are_finite(found):
    codec, _ = found
    assert codec.edges_.shape == (len(codec.values_) + 1,)
    assert np.isfinite(codec.edges_).all()
    assert (np.diff(codec.edges_) >= 0).all()
    assert ((codec.edges_[:-1] <= codec.values_) & (codec.values_ <= codec.edges_[1:])).all()
    assert isinstance(codec, TargetCodec)


@quickly
@given(fitted(KINDS[1:]))
def test_numbers_are_distinct_and_each_stands_in_the_middle_of_its_neighbours(found):
    codec, _ = found
    assert (np.diff(codec.values_) > 0).all()
    middle = codec.values_[1:] / 2 + codec.values_[:-1] / 2
    assert codec.edges_[1:-1] == pytest.approx(middle, rel=1e-12, abs=1e-12)


@quickly
@given(fitted())
def test_every_sequence_is_of_one_length_and_filled_up_with_end(found):
    codec, _ = found
    sequences = codec.sequences()
    assert sequences.dtype == np.int64
    assert sequences.shape == (len(codec.values_), codec.max_length)
    assert (sequences >= 0).all() and (sequences < len(codec.symbols)).all()
    assert len(set(codec.symbols)) == len(codec.symbols)
    assert len(np.unique(sequences, axis=0)) == len(sequences)
    for row in sequences:
        text = "".join(codec.symbols[i] for i in row)
        spelled = text.split(END)[0]
        assert spelled
        assert text == spelled + END * text.count(END)


@quickly
@given(fitted(KINDS[1:]))
def test_the_numbers_themselves_survive_a_round_trip(found):
    codec, _ = found
    leaves = np.arange(len(codec.values_))
    assert np.array_equal(codec.leaf_of(codec.values_), leaves)
    assert np.array_equal(codec.encode(codec.values_), codec.sequences())
    assert np.array_equal(codec.decode(codec.sequences()), codec.values_)
    assert codec.n_clipped(codec.values_) == 0


@quickly
@given(fitted(), st.data())
def test_round_trips_stay_within_the_bin_and_keep_the_order(found, data):
    codec, targets = found
    low, high = codec.edges_[[0, -1]]
    inside = data.draw(st.lists(st.floats(low, high), max_size=10))
    y = np.sort(np.clip(np.concatenate([targets, inside]), low, high))
    leaf, decoded = codec.leaf_of(y), codec.decode(codec.encode(y))
    width = codec.edges_[leaf + 1] - codec.edges_[leaf]
    assert (np.abs(decoded - y) <= width).all()
    if not isinstance(codec, DigitCodec):  # what is decoded is the nearest number there is
        nearest = np.abs(codec.values_ / 2 - y[:, None] / 2).min(1) * 2
        assert (np.abs(decoded / 2 - y / 2) * 2 <= nearest * (1 + 1e-9) + 1e-300).all()
    assert (np.diff(decoded) >= 0).all()
    assert codec.n_clipped(y) == 0


@quickly
@given(fitted(), st.integers(0, 2**32 - 1))
def test_whatever_the_tree_lets_a_model_write_is_a_number_of_the_codec(found, seed):
    codec, _ = found
    tree = NumberTree.from_codec(codec)
    rng = np.random.default_rng(seed)
    node = 0
    for level in range(tree.n_levels):
        legal = ((tree.child[node] >= 0) | (tree.leaf[node] >= 0)).nonzero().flatten().numpy()
        assert legal.size
        symbol = rng.choice(legal)
        if level < tree.n_levels - 1:
            node = tree.child[node, symbol]
    leaf = int(tree.leaf[node, symbol])
    assert 0 <= leaf < len(codec.values_)
    assert (
        float(tree.leaf_value[leaf])
        == codec.values_[leaf]
        == codec.decode(codec.sequences()[[leaf]])
    )
    assert np.isfinite(codec.values_[leaf])


@pytest.mark.parametrize(
    "codec",
    [
        ScientificCodec(3, signs="both", exponent_margin=0), GridCodec([3, 1.5], n_decimals=1),
        GridCodec(max_values=7), DecimalCodec(1, low=-3, margin=0.2),
    ],
)  # fmt: skip
def test_codecs_survive_clone_pickle_and_rows_of_weight_zero(codec):
    y = np.array([1.0, 2.5, 4.0, -77.0])
    fresh = clone(codec)
    assert fresh.get_params() == codec.get_params()
    expected = fresh.fit(y[:3])
    weighted = clone(codec).fit(y, sample_weight=[1, 2, 0.5, 0])
    assert np.array_equal(weighted.edges_, expected.edges_)
    restored = pickle.loads(pickle.dumps(expected))
    assert np.array_equal(restored.sequences(), expected.sequences())
    assert not hasattr(clone(expected), "edges_")


@pytest.mark.parametrize("y", [[0.0, 0.0], [-3.25], [7.0] * 3])
@pytest.mark.parametrize("codec", [ScientificCodec(3), GridCodec(), DecimalCodec(2)])
def test_constant_targets_decode_to_themselves(codec, y):
    codec = clone(codec).fit(y)
    assert codec.decode(codec.encode(y)).tolist() == y
    assert NumberTree.from_codec(codec).n_open >= 1


def test_a_sequence_that_is_none_of_the_codecs_is_refused():
    codec = GridCodec([1, 12]).fit([1.0])
    with pytest.raises(ValueError, match=r"\['2', '2'\] is no number that GridCodec") as error:
        codec.decode([[1, 1]])
    assert "Decode what encode()" in str(error.value)


ANY = [DigitCodec(), DigitCodec(16, 3), GridCodec([1, 2, 3]), GridCodec([1, 12]), DecimalCodec(0),
       ScientificCodec(), GridCodec([1, 2], spellings=["bad", "good"], one_token=True)]  # fmt: skip


@pytest.mark.parametrize("codec", ANY, ids=repr)
def test_what_are_no_sequences_is_refused_by_every_codec(codec):
    codec = clone(codec).fit([1.0, 2.0])
    legal = codec.sequences()[:1]
    wrong = [
        legal + len(codec.symbols), legal - len(codec.symbols), [*legal[0], 0], legal[:, 1:],
        np.c_[legal, legal], legal + 0.5, [["1"] * legal.shape[1]], [[0], [0, 0]], 3,
    ]  # fmt: skip
    for sequences in wrong:
        with pytest.raises(ValueError, match=r"Decode what encode\(\) or sequences\(\) gave"):
            codec.decode(sequences)
    assert codec.decode(legal[:0]).shape == (0,)
    assert codec.decode(legal.astype(np.uint8)) == codec.values_[0]


@pytest.mark.parametrize("y", [["a", "b"], "ab", {"a": 1}, [np.datetime64("2020-01-01")] * 2])
@pytest.mark.parametrize("codec", ANY, ids=repr)
def test_targets_that_are_no_numbers_are_named(codec, y):
    with pytest.raises(ValueError, match=rf"y (holds|is) .*{type(codec).__name__} needs"):
        clone(codec).fit(y)


OF_ROWS = ["leaf_of", "n_clipped", "encode", "spell", "crowding"]


@pytest.mark.parametrize("codec", ANY, ids=repr)
def test_nothing_is_told_before_the_fit(codec):
    codec = clone(codec)
    uses = {name: [1.0] for name in (*OF_ROWS, "to_axis", "from_axis", "clip")}
    for name, value in (uses | {"decode": [[0]]}).items():
        with pytest.raises(NotFittedError, match=f"{type(codec).__name__} instance is not fitted"):
            getattr(codec, name)(value)
    with pytest.raises(NotFittedError):
        codec.cells()
    with pytest.raises(NotFittedError):
        codec.open_edges  # noqa: B018


@pytest.mark.parametrize("use", ["fit", *OF_ROWS])
@pytest.mark.parametrize("codec", ANY, ids=repr)
@pytest.mark.parametrize(
    ("y", "said"),
    [
        ([1.0, np.nan], r"y contains NaN in 1 of 2 rows, and {0} .* then y\[known\]"),
        ([1.0, None], "y contains NaN in 1 of 2 rows, and {0}"),
        ([-np.inf, 1.0], r"y contains infinity in 1 of 2 rows.* then y\[known\]"),
        (pd.Series([1, None], dtype="Int64"), "y contains NaN"),
        (["a", "b"], r"y holds 'a' \(str\), and {0} needs"),
        ("ab", r"y is 'ab' \(str\), and {0} needs"),
        (3.0, r"y is 3.0 \(float\), and {0} needs an array or a list"),
        (None, "y is None"),
        ([[1.0, 2.0]], r"array of shape \(1, 2\) instead: {0} needs one number per row"),
        ([[1.0], [1.0, 2.0]], "y is .*, and {0} needs"),
        ([1 + 2j], r"y holds \(1\+2j\)"),
        (np.array(["2020-01-01"], "M8[D]"), "y holds dates, .*, and {0} needs numbers"),
        (np.ma.array([1.0, 2.0], mask=[True, False]), "y is masked in 1 of 2 rows"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value)[:20],
)  # fmt: skip
def test_what_are_no_finite_numbers_is_refused_everywhere(codec, use, y, said):
    codec = clone(codec).fit([1.0, 2.0])
    with pytest.raises(ValueError, match=said.format(type(codec).__name__)):
        getattr(codec, use)(y)


@pytest.mark.parametrize("codec", ANY, ids=repr)
def test_no_rows_are_no_sequences_but_nothing_to_fit(codec):
    codec = clone(codec).fit([1.0, 2.0])
    assert codec.encode([]).shape == (0, codec.max_length)
    assert codec.decode(codec.encode([])).shape == codec.leaf_of([]).shape == (0,)
    assert codec.spell([]) == [] and codec.n_clipped([]) == 0
    for use in (codec.fit, codec.crowding):
        with pytest.raises(ValueError, match=f"0 sample.* required by {type(codec).__name__}"):
            use([])


@pytest.mark.parametrize("codec", ANY, ids=repr)
def test_whatever_holds_the_numbers_they_are_written_alike(codec):
    plain = np.array([1.0, 0.0, 1.0, 1.0, 0.0])
    expected = clone(codec).fit(plain)
    holders = [
        plain.astype(kind) for kind in (bool, np.int8, np.uint64, np.float16, np.float32, object)
    ]  # fmt: skip
    series = [pd.Series(plain, index=[5, 3, 3, 1, 0], dtype=kind)
              for kind in ("int64", "Int64", "Float32", "boolean", "category")]  # fmt: skip
    for held in (*holders, *series, plain.tolist(), tuple(plain), list(map(str, plain))):
        before = held.copy() if hasattr(held, "copy") else held
        found = clone(codec).fit(held)
        assert np.array_equal(found.values_, expected.values_)
        assert np.array_equal(found.encode(held), expected.encode(plain))
        assert found.n_clipped(held) == expected.n_clipped(plain)
        for same in (found.clip, found.to_axis, found.crowding):
            assert np.array_equal(same(held), getattr(expected, same.__name__)(plain))
        assert before == held if isinstance(held, (list, tuple)) else (before == held).all()


@pytest.mark.parametrize("codec", ANY, ids=repr)
def test_durations_are_seconds(codec):
    found = clone(codec).fit(np.array([1000, 2000], "m8[ms]"))
    assert np.array_equal(found.edges_, clone(codec).fit([1.0, 2.0]).edges_)
    assert found.encode(pd.to_timedelta([2], unit="s")).tolist() == found.encode([2.0]).tolist()


@pytest.mark.parametrize("codec", ANY, ids=repr)
@pytest.mark.parametrize(
    ("weight", "said"),
    [([1, -1], "from -1 to 1; weights must be non-negative"), ([1], "shape"),
     ([0, 0], "positive|zero"), ([1, np.nan], "sample_weight contains NaN"),
     ([1, np.inf], "sample_weight contains infinity"),
     ([[1, 2]], "shape|1D"), (["a", "b"], "sample_weight holds 'a' .*Codec needs")],
)  # fmt: skip
def test_illegal_weights_are_refused(codec, weight, said):
    with pytest.raises(ValueError, match=said):
        clone(codec).fit([1.0, 2.0], weight)


@pytest.mark.parametrize("weight", [[1e-300, 1e300], [5e-324, 1.0], [True, True], 2.5])
@pytest.mark.parametrize("codec", ANY, ids=repr)
def test_weights_of_any_size_and_kind_are_legal(codec, weight):
    found = clone(codec).fit([1.0, 2.0], weight)
    assert np.isfinite(found.edges_).all() and np.isfinite(found.values_).all()


@pytest.mark.parametrize("codec", ANY, ids=repr)
def test_targets_whose_sums_are_no_floats_are_refused(codec):
    with pytest.raises(ValueError, match=r"y goes from -1e\+308 to 1, .*Divide it by"):
        clone(codec).fit([1.0, -1e308])
    assert np.isfinite(clone(codec).fit([1.0]).decode(codec.fit([1.0]).encode([-1e308]))).all()


def test_axes_and_clips_take_numbers_of_any_shape():
    codec = DigitCodec(scale="log").fit([1.0, 100.0])
    places = codec.to_axis([[1, 10], [100, np.nan]])
    assert places.shape == (2, 2) and np.isnan(places[1, 1])
    assert codec.from_axis(places)[0] == pytest.approx([1, 10])
    assert codec.to_axis(10) == codec.to_axis([10])[0]
    assert codec.clip([[-np.inf, 7], [np.inf, 100]]).tolist() == [[1, 7], [100, 100]]
    with pytest.raises(ValueError, match=r"y holds 'a' \(str\), and DigitCodec needs"):
        codec.clip(["a"])


def test_only_the_scientific_codec_has_no_bounds():
    kinds = (DigitCodec, GridCodec, DecimalCodec, ScientificCodec)
    assert [kind.bounded for kind in kinds] == [True, True, True, False]
