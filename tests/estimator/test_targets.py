"""Targets of every kind and size, and those that make no sense."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

from llmreg import DecimalCodec, DigitCodec, GridCodec

TARGETS = {
    "integers": lambda y: y.round().astype(int),
    "bool": lambda y: y > y.mean(),
    "float32": lambda y: y.astype(np.float32),
    "object": lambda y: y.astype(object),
    "list": lambda y: y.tolist(),
    "Float64": lambda y: pd.Series(y, dtype="Float64"),
    "Int64": lambda y: pd.Series(y.round(), dtype="Int64"),
    "polars": lambda y: pl.Series(y),
    "frame of one column": lambda y: pd.DataFrame({"name": y}),
}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_every_kind_of_target_is_the_same_as_its_floats(name, table, quick_fit):
    y = TARGETS[name](table.y.to_numpy())
    found = quick_fit(table.X, y, fit_method="ce").predict(table.X)
    floats = np.asarray(y).astype(np.float64).ravel()
    expected = quick_fit(table.X, floats, fit_method="ce").predict(table.X)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float64


def test_the_prompt_asks_for_the_target_by_its_name(fitted, table, quick_fit):
    assert fitted.serializer_.template_.endswith("price:")
    nullable = pd.Series(table.y.to_numpy(), dtype="Float64", name="rent")
    assert quick_fit(table.X, nullable).serializer_.template_.endswith("rent:")
    assert quick_fit(table.X, table.y.to_numpy()).serializer_.template_.endswith("target:")


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-20, 1e20, 1e200, 1e300])
def test_the_magnitude_of_the_target_does_not_matter(scale, table, quick_fit):
    params = dict(validation_fraction=0.1, align_learning_rate=1e-2)
    plain = quick_fit(table.X, table.y, **params)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # such as numpy's about overflow
        model = quick_fit(table.X, table.y * scale, **params)
    np.testing.assert_allclose(
        model.predict(table.X) / scale, plain.predict(table.X), rtol=0, atol=1e-3 * table.y.std()
    )
    # The errors in history_ are in the units of y.
    np.testing.assert_allclose(
        model.history_["validation_rmse"] / scale, plain.history_["validation_rmse"], rtol=1e-3
    )


@pytest.mark.parametrize("value", [0.0, 7.3, -1e-300, 1e300, 1e15])
@pytest.mark.parametrize("tree_tolerance", [0.0, 0.1])
def test_a_constant_target_is_predicted(value, tree_tolerance, table, quick_fit):
    model = quick_fit(table.X, np.full(len(table.X), value), tree_tolerance=tree_tolerance)
    np.testing.assert_allclose(model.predict(table.X), value, rtol=1e-12, atol=0)
    # Nothing is trained, and what a reader of history_ looks for is there all the same.
    assert model.history_[["stage", "epoch", "loss", "validation_rmse", "kept"]].shape == (0, 5)


def test_one_row_and_two_rows_are_enough(table, quick_fit):
    one = quick_fit(table.X[:1], table.y[:1])
    np.testing.assert_allclose(one.predict(table.X[:3]), table.y[0], rtol=1e-12)
    two = quick_fit(table.X[:2], table.y[:2])
    found = two.predict(table.X[:2])
    assert (found >= table.y[:2].min()).all() and (found <= table.y[:2].max()).all()


TARGET_ERRORS = {
    "NaN": (lambda y: np.r_[np.nan, y[1:]], "Input y contains NaN"),
    "infinity": (lambda y: np.r_[np.inf, y[1:]], "Input y contains infinity"),
    "missing in Float64": (
        lambda y: pd.Series([None, *y[1:]], dtype="Float64"), "Input y contains NaN"
    ),
    "strings": (lambda y: ["dear"] * len(y), "y holds 'dear'"),
    "two columns": (lambda y: np.c_[y, y], r"y should be a 1d array, got .* shape \(40, 2\)"),
    "none": (lambda y: None, "requires y to be passed, but the target y is None"),
    "too short": (lambda y: y[:-1], r"inconsistent numbers of samples: \[40, 39\]"),
    "empty": (lambda y: y[:0], r"0 sample\(s\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", TARGET_ERRORS)
def test_targets_that_make_no_sense_raise(name, table, quick_fit):
    make, message = TARGET_ERRORS[name]
    with pytest.raises(ValueError, match=message):
        quick_fit(table.X, make(table.y.to_numpy()))


def test_targets_beyond_the_codecs_range_warn(table, quick_fit):
    codec = DigitCodec(low=45, high=55)
    outside = int(((table.y < 45) | (table.y > 55)).sum())
    message = rf"{outside} of 40 targets lie outside the codec's range \[45, 55\].*Widen low"
    with pytest.warns(UserWarning, match=message):
        model = quick_fit(table.X, table.y, codec=codec)
    found = model.predict(table.X)
    assert found.min() > 45 and found.max() < 55


CODECS = {
    "digits": DigitCodec(low=30, high=60, scale="minmax"),
    "decimals": DecimalCodec(1, low=30, high=60),
    "grid": GridCodec([35, 45, 50, 55, 60]),
}


@pytest.mark.filterwarnings("ignore:.* targets lie outside the codec")
@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_a_target_beyond_the_range_counts_as_its_end_wherever_it_stands(
    codec, warm, table, quick_fit
):
    """Training rows, held-out rows, estimates, calibration: nothing tells it from the end."""
    y = table.y.to_numpy() * 1.0
    y[:20] = np.where(np.arange(20) % 2, 1e12, y[:20])  # whichever rows are held out
    found = []
    for targets in (y, np.minimum(y, 1e9)):
        model = quick_fit(
            table.X, table.y if warm else targets, codec=codec, fit_method="ce",
            validation_fraction=0.5, warm_start=warm, estimate_weight=0.5,
        )  # fmt: skip
        if warm:
            model.fit(table.X, targets)
        found.append((model.predict(table.X), model.temperature_, model.decoding_))
        numbers = model.history_.drop(columns="seconds").select_dtypes("number")
        found[-1] += (numbers.to_numpy(),)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
