"""What holds for every codec: sequences, numbers and the tree agree, and order is kept."""

import pickle

import numpy as np
import pytest
from codec_zoo import KINDS, fitted
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

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


def test_only_the_scientific_codec_has_no_bounds():
    kinds = (DigitCodec, GridCodec, DecimalCodec, ScientificCodec)
    assert [kind.bounded for kind in kinds] == [True, True, True, False]
