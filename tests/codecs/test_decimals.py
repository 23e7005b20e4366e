"""DecimalCodec: numbers as people write them."""

import numpy as np
import pytest
from sklearn.utils._param_validation import InvalidParameterError

from llmreg.codecs.decimals import DecimalCodec
from llmreg.codecs.digits import END
from llmreg.numbers.tree import NumberTree


def _texts(codec):
    return ["".join(codec.symbols[i] for i in row).replace(END, "") for row in codec.sequences()]


@pytest.mark.parametrize(
    ("n_decimals", "low", "high"), [(0, -12, 123), (1, 0, 20), (2, -1.5, 0.03), (3, 0.002, 0.004)]
)
def test_numbers_are_spelled_as_python_formats_them(n_decimals, low, high):
    codec = DecimalCodec(n_decimals, low=low, high=high).fit([low])
    units = range(round(low * 10**n_decimals), round(high * 10**n_decimals) + 1)
    expected = [k / 10**n_decimals for k in units]
    assert codec.values_.tolist() == expected
    assert _texts(codec) == [f"{value + 0.0:.{n_decimals}f}" for value in expected]


def test_bins_are_half_a_unit_around_each_number():
    codec = DecimalCodec(1, low=0, high=0.3).fit([0.0])
    assert codec.edges_ == pytest.approx([-0.05, 0.05, 0.15, 0.25, 0.35])
    assert codec.leaf_of([-9.0, 0.04, 0.06, 0.3, 9.0]).tolist() == [0, 0, 1, 3, 3]
    assert codec.n_clipped([-9.0, 0.0, 0.34, 0.36]) == 2


def test_the_range_is_that_of_the_targets_with_a_margin():
    codec = DecimalCodec(0).fit([10.0, 30.0])
    assert codec.values_[[0, -1]].tolist() == [8, 32]
    assert DecimalCodec(0, margin=0).fit([10.0, 30.0]).values_[[0, -1]].tolist() == [10, 30]
    assert DecimalCodec(0, low=0).fit([10.0, 30.0]).values_[[0, -1]].tolist() == [0, 32]


def test_a_fixed_number_of_decimals_needs_no_node_for_the_end():
    codec = DecimalCodec(1, low=0, high=19.9).fit([0.0])
    tree, end = NumberTree.from_codec(codec), codec.symbols.index(END)
    # root, 0 to 9, 10 to 19, and each of these twenty with its point
    assert tree.n_open == 1 + 10 + 10 + 20
    assert (tree.child[:, end] == -1).all() and (tree.leaf[:, end] == -1).all()
    assert not tree.contiguous


@pytest.mark.parametrize(
    ("codec", "message"),
    [
        (DecimalCodec(6), r"n_decimals=6 from -1 to 11 makes 12,000,001 numbers.*Scientific"),
        (DecimalCodec(2, low=5, high=1), r"range is empty: low=5, high=1"),
        (DecimalCodec(2, low=20), r"range is empty: low=20, high=11"),
        (DecimalCodec(15, low=10, high=10), r"n_decimals=15 is finer than floats near 10"),
    ],
)
def test_what_cannot_be_written_is_an_error_that_names_the_knobs(codec, message):
    with pytest.raises(ValueError, match=message):
        codec.fit([0.0, 10.0])


def test_a_million_numbers_are_the_most():
    codec = DecimalCodec(2, low=0, high=9999.99).fit([1.0])
    assert len(codec.values_) == 10**6
    assert codec.values_[codec.leaf_of([1234.567])].tolist() == [1234.57]
    with pytest.raises(ValueError, match="1,000,001 numbers"):
        DecimalCodec(2, low=0, high=10000).fit([1.0])


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_decimals", 16), ("margin", -0.1), ("low", np.inf), ("high", "ten")],
)
def test_illegal_parameters_are_named(name, value):
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter of DecimalCodec"):
        DecimalCodec(**{name: value}).fit([1.0])
