"""ScientificCodec: any magnitude, to so many digits."""

import math
from decimal import ROUND_HALF_EVEN, Context, Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils._param_validation import InvalidParameterError

from llmreg.codecs.scientific import ScientificCodec
from llmreg.numbers.tree import NumberTree

normal = st.builds(
    lambda sign, m, e: sign * float(f"{m}e{e}"),
    st.sampled_from([-1, 1]), st.floats(1, 9.9), st.integers(-300, 299),
)  # fmt: skip


def _text(codec, y):
    return " ".join("".join(codec.symbols[i] for i in row) for row in codec.encode(y))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(normal, st.integers(1, 4))
def test_numbers_of_any_size_are_rounded_to_the_nearest_mantissa(y, n_mantissa):
    codec = ScientificCodec(n_mantissa).fit([y])
    found = codec.decode(codec.encode([y]))[0]
    # Half a unit of the mantissa's last digit, relative to the number's power of ten.
    unit = 10.0 ** (math.floor(math.log10(abs(y)) + 1e-12) - n_mantissa + 1)
    assert abs(found - y) <= unit / 2 * (1 + 1e-9)
    context = Context(prec=n_mantissa, rounding=ROUND_HALF_EVEN)
    exact = Decimal(y)
    tie = abs(exact - Decimal(found)) >= Decimal(unit) * Decimal("0.4999999")
    assert tie or found == float(context.create_decimal(exact))
    assert codec.decode(codec.encode([found]))[0] == found


def test_the_spelling_is_sign_exponent_mantissa():
    codec = ScientificCodec(3).fit([-0.0123, 4.5e11])
    y = [-0.0123, 4.5e11, 1.0, 0.0, 9.996]
    assert _text(codec, y) == "--02123 ++11450 ++00100 0000000 ++01100"
    assert codec.max_length == 7
    assert codec.encode(y).shape == (5, 7)


def test_the_exponent_of_a_whole_number_may_come_last():
    codec = ScientificCodec(4, order="mantissa_first").fit([-0.00314159, 4.5e5])
    # As P10 writes them (GenRe², RegressLM): 123.5 is 1235E-1, 1 is 1000E-3.
    y = [123.456, 1.0, -0.00314159, 4.5e5, 0.0]
    assert _text(codec, y) == "+1235-1 +1000-3 -3142-6 +4500+2 0000000"
    first = ScientificCodec(4).fit([-0.00314159, 4.5e5])
    assert np.array_equal(codec.values_, first.values_)
    assert codec.max_length == codec.sequences().shape[1] == 7
    assert np.array_equal(codec.decode(codec.encode(codec.values_)), codec.values_)


def test_values_are_the_floats_that_python_reads():
    for n_mantissa, ends in [(1, (-307, 307)), (3, (-307, -300)), (3, (300, 307)), (4, (-9, 9))]:
        low, high = ends
        codec = ScientificCodec(n_mantissa, min_exponent=low, max_exponent=high).fit([1.0])
        size = codec.values_[1:]
        expected = [
            float(f"{m}e{e - n_mantissa + 1}")
            for e in range(low, high + 1)
            for m in range(10 ** (n_mantissa - 1), 10**n_mantissa)
        ]
        assert size.tolist() == expected


def test_it_writes_ten_times_more_and_less_than_was_seen():
    codec = ScientificCodec(2).fit([3.0, 250.0])
    assert codec.exponents_.tolist() == [-1, 3]
    assert codec.decode(codec.encode([9900.0, 0.1, 2499.0])).tolist() == [9900.0, 0.1, 2500.0]
    assert codec.n_clipped([9949.0, 0.0]) == 0
    assert codec.n_clipped([9951.0, -1.0]) == 2
    wider = ScientificCodec(2, exponent_margin=3).fit([3.0, 250.0])
    assert wider.exponents_.tolist() == [-3, 5]


def test_without_a_margin_the_largest_target_may_be_rounded_up():
    codec = ScientificCodec(2, exponent_margin=0).fit([99.9, 1.0])
    assert codec.decode(codec.encode([99.9])).tolist() == [100.0]


@pytest.mark.parametrize(
    ("signs", "y", "negative", "positive"),
    [
        ("auto", [1.0, 2.0], False, True), ("auto", [-1.0, 0.0], True, False),
        ("auto", [-1.0, 1.0], True, True), ("auto", [0.0], False, True),
        ("both", [1.0, 2.0], True, True), ("both", [0.0], True, True),
    ],
)  # fmt: skip
def test_signs_are_those_of_the_targets_or_both(signs, y, negative, positive):
    values = ScientificCodec(signs=signs).fit(y).values_
    assert ((values < 0).any(), (values > 0).any()) == (negative, positive)
    assert (values == 0).sum() == 1


def test_subnormal_and_huge_targets_go_to_the_nearest_number():
    y = [5e-324, 2.2e-308, 1.797e308, -1.797e308, 1e300]
    codec = ScientificCodec(1).fit([*y[:2], 1e307, -1e307])
    with np.errstate(all="raise", under="ignore"):
        assert codec.decode(codec.encode(y)).tolist() == [0.0, 0.0, 9e307, -9e307, 1e300]
    assert codec.n_clipped(y) == 2
    assert np.isfinite(codec.edges_).all()


def test_fixed_exponents_go_before_the_targets_and_round_what_is_smaller_to_zero():
    codec = ScientificCodec(2, min_exponent=-2, max_exponent=4).fit([1e-17, 300.0])
    assert codec.exponents_.tolist() == [-2, 4]
    assert codec.decode(codec.encode([1e-17, 0.004, 0.006, 99000.0])).tolist() == [
        0.0, 0.0, 0.01, 99000.0,
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"range is empty.*min_exponent=5.*use None"):
        ScientificCodec(min_exponent=5).fit([1.0])


def test_every_prefix_is_an_interval_and_zero_costs_no_nodes():
    tree = NumberTree.from_codec(ScientificCodec(2).fit([-3.0, 20.0]))
    assert tree.contiguous
    # root, two signs, four signs of exponents, 2 x 4 exponents, 9 first digits of each
    assert tree.n_open == 1 + 2 + 4 + 8 + 72
    assert tree.n_nodes == tree.n_open + 1


def test_too_many_numbers_are_an_error_that_names_the_knobs():
    with pytest.raises(ValueError, match=r"n_mantissa=6 with exponents from -1 to 1 makes 2,700,"):
        ScientificCodec(6).fit([1.0])
    with pytest.raises(ValueError, match=r"exponent_margin, or set min_exponent and max_exponent"):
        ScientificCodec(5, signs="both").fit([1e-9, 1e9])


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_mantissa", 0), ("n_mantissa", 7), ("exponent_margin", -1), ("signs", "positive"),
     ("min_exponent", -308), ("max_exponent", 2.5), ("order", "exponent_last")],
)  # fmt: skip
def test_illegal_parameters_are_named(name, value):
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter of ScientificCodec"):
        ScientificCodec(**{name: value}).fit([1.0])
