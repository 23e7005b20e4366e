"""Codecs for tests: any kind with targets that suit it, and numbers written as a test likes."""

from types import SimpleNamespace

import numpy as np
from hypothesis import strategies as st

from llmreg.codecs.decimals import DecimalCodec
from llmreg.codecs.digits import DigitCodec, TargetCodec
from llmreg.codecs.grids import GridCodec
from llmreg.codecs.scientific import ScientificCodec

KINDS = ("digit", "scientific", "grid", "decimal")
MODERATE = st.floats(-100, 100, allow_subnormal=False).map(lambda y: round(y, 3))
# Of like magnitude, which may be any: all at once would make trees of 100,000 numbers.
LIKE = st.lists(st.tuples(st.floats(-10, 10), st.integers(0, 4)), min_size=1, max_size=8)


class PlainCodec(SimpleNamespace):
    """``symbols``, ``sequences()``, ``edges_`` and ``values_`` as they are given."""

    linear = True
    fit, __sklearn_tags__ = TargetCodec.fit, TargetCodec.__sklearn_tags__
    open_edges, cells = TargetCodec.open_edges, TargetCodec.cells
    to_axis, from_axis = TargetCodec.to_axis, TargetCodec.from_axis


@st.composite
def _magnitudes(draw):
    largest = draw(st.integers(-307, 302))
    return np.array([m * 10.0 ** max(-307, largest + e) for m, e in draw(LIKE)])


@st.composite
def fitted(draw, kinds=KINDS):
    """(codec, targets): a fitted codec of one of the kinds, and what it was fitted on."""
    kind = draw(st.sampled_from(kinds))
    if kind == "scientific":
        y = draw(_magnitudes())
        codec = ScientificCodec(
            draw(st.sampled_from([1, 2])), exponent_margin=draw(st.integers(0, 2)),
            signs=draw(st.sampled_from(["auto", "both"])),
            order=draw(st.sampled_from(["exponent_first", "mantissa_first"])),
        )  # fmt: skip
        return codec.fit(y), y
    y = np.array(draw(st.lists(MODERATE, min_size=1, max_size=8)))
    if kind == "digit":
        base, n_digits = draw(st.sampled_from([(2, 5), (10, 2), (36, 1)]))
        scale = draw(st.sampled_from(["minmax", "log", "shifted_log", "symlog"]))
        codec = DigitCodec(base, n_digits, scale=scale)
    elif kind == "grid":
        codec = GridCodec(
            values=draw(st.none() | st.lists(MODERATE, min_size=1, max_size=30)),
            max_values=draw(st.sampled_from([2, 5, 256])),
            n_decimals=draw(st.sampled_from([None, 0, 2])),
        )
    else:
        codec = DecimalCodec(draw(st.sampled_from([0, 1])), margin=draw(st.sampled_from([0, 0.1])))
    return codec.fit(y), y
