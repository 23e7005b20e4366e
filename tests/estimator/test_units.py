"""Units change nothing but units: of the targets, of the columns, and the order of rows."""

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmreg import DigitCodec, LLMRegressor

N = 48
CODECS = {
    "minmax": DigitCodec(), "log": DigitCodec(scale="log"),
    "quantile": DigitCodec(scale="quantile"), "three digits": DigitCodec(base=6, n_digits=3),
}  # fmt: skip
# (method, codec, estimates); boosted trees take ten times as long as the rest
BOOSTED = ("ce", "minmax", "both")
FITS = [
    ("ce", "minmax", None), ("ce", "log", "linear"), ("ce", "quantile", None),
    ("soft_ce", "minmax", "linear"), ("soft_ce", "log", None), ("soft_ce", "three digits", None),
    ("grpo", "minmax", None), ("raft", "log", None), ("crps", "quantile", "linear"),
    ("head_mean", "minmax", None), ("pointwise", "minmax", "linear"), ("histogram", "minmax", None),
]  # fmt: skip
POWERS = [2.0**k for k in (-40, -3, 10, 60)]
FACTORS = [*POWERS, 3.7, 1e-6, 1e6, 1 / 3]


def _name(fit):
    return "-".join(map(str, fit))


few = settings(max_examples=8, deadline=None, derandomize=True, database=None)


def _table():
    rng = np.random.RandomState(0)
    X = pd.DataFrame(
        {"a": rng.randn(N), "b": rng.exponential(size=N), "city": rng.choice(["x", "y"], N)}
    )
    X.loc[[3, 17], "a"] = np.nan
    y = X["b"] * 2 + (X["city"] == "x") + 0.3 * rng.randn(N)
    return X, y.to_numpy()


@lru_cache
def _fit(method, codec, estimates, factor=1.0, shift=0.0, columns=(1.0, 1.0), validate=False):
    """A fit on y · factor + shift and on the numeric columns times ``columns``."""
    from transformers import LlamaConfig

    smallest = LlamaConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    X, y = _table()
    model = LLMRegressor(
        model=smallest, fit_method=method, codec=CODECS[codec], estimates=estimates,
        sft_epochs=2, align_epochs=1, batch_size=16, random_state=0, tree_tolerance=0.0,
        validation_fraction=0.7 if validate else None,
    )  # fmt: skip
    return model.fit(X.assign(a=X["a"] * columns[0], b=X["b"] * columns[1]), y * factor + shift)


def _says(model, columns=(1.0, 1.0)):
    """Everything a model says of rows: {name: array}, in the units of its y."""
    X, _ = _table()
    X = X.assign(a=X["a"] * columns[0], b=X["b"] * columns[1])
    said = {"rail": model.predict(X, decoding="rail")}
    if model.fit_method in ("head_mean", "pointwise"):
        return said
    return said | {
        "std": model.predict(X, return_std=True)[1],
        "quantiles": model.predict_quantiles(X, [0.05, 0.5, 0.95]),
        "interval": model.predict_interval(X, 0.8),
        "samples": model.sample_y(X, 2),
    }


def _check(said, expected, exact):
    spread = _table()[1].std()
    for name, values in expected.items():
        if exact:
            np.testing.assert_array_equal(said[name], values, err_msg=name)
        else:
            difference = np.abs(said[name] - values).max() / spread
            assert difference < 5e-5, f"{name} differ by {difference:.2g} of the spread"


@few
@given(st.sampled_from(FITS), st.sampled_from(FACTORS))
def test_units_of_the_targets_change_nothing_but_units(fit, factor):
    said = {name: v / factor for name, v in _says(_fit(*fit, factor=factor)).items()}
    _check(said, _says(_fit(*fit)), exact=factor in POWERS)


@few
@given(st.sampled_from([f for f in FITS if f[1] != "log"]), st.sampled_from([-3.0, 100.0, -1e4]))
def test_the_origin_of_the_targets_changes_nothing_but_the_origin(fit, shift):
    said = _says(_fit(*fit, shift=shift))
    moved = {name: v if name == "std" else v - shift for name, v in said.items()}
    _check(moved, _says(_fit(*fit)), exact=False)


@few
@given(st.sampled_from(FITS), st.sampled_from(FACTORS), st.sampled_from(FACTORS))
def test_units_of_columns_change_nothing(fit, of_a, of_b):
    columns = (of_a, of_b)
    said = _says(_fit(*fit, columns=columns), columns)
    _check(said, _says(_fit(*fit)), exact=of_a in POWERS and of_b in POWERS)


def test_units_change_nothing_but_units_where_trees_estimate():
    expected = _says(_fit(*BOOSTED))
    said = {n: v / 1024 for n, v in _says(_fit(*BOOSTED, factor=1024.0)).items()}
    _check(said, expected, exact=True)
    _check(_says(_fit(*BOOSTED, columns=(3.7, 1e-6)), (3.7, 1e-6)), expected, exact=False)


@pytest.mark.parametrize("factor", [2.0**-900, 2.0**900])
@pytest.mark.parametrize("fit", [FITS[0], FITS[3], FITS[4], FITS[6], FITS[10]], ids=_name)
def test_targets_may_be_of_any_size(fit, factor):
    said = {name: v / factor for name, v in _says(_fit(*fit, factor=factor)).items()}
    _check(said, _says(_fit(*fit)), exact=False)


@pytest.mark.parametrize("factor", [2.0**-30, 1e6])
@pytest.mark.parametrize("fit", [FITS[1], FITS[4], FITS[6], FITS[9]], ids=_name)
def test_validation_errors_are_in_units_of_the_targets(fit, factor):
    history = _fit(*fit, factor=factor, validate=True).history_
    expected = _fit(*fit, validate=True).history_
    rmse = expected["validation_rmse"]
    np.testing.assert_allclose(history["validation_rmse"] / factor, rmse, rtol=1e-5)
    np.testing.assert_array_equal(history["kept"], expected["kept"])
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-4, atol=1e-7)


@few
@given(st.sampled_from(FITS), st.lists(st.integers(0, N - 1), min_size=1, max_size=90))
def test_predictions_do_not_depend_on_order_or_repetition_of_rows(fit, rows):
    X, y = _table()
    model = _fit(*fit)
    found = model.predict(X.iloc[rows], decoding="rail")
    np.testing.assert_allclose(found, model.predict(X, decoding="rail")[rows], atol=1e-9 * y.std())


@pytest.mark.parametrize("fit", [FITS[0], FITS[3]], ids=_name)
def test_columns_are_found_by_their_names(fit):
    X, _ = _table()
    model = _fit(*fit)
    records = [dict(reversed(row.items())) for row in X.to_dict("records")]
    np.testing.assert_array_equal(model.predict(records), model.predict(X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(X[X.columns[::-1]])
