"""Targets as users hold them: durations in seconds, dates refused, everything else a number."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest

from llmreg import DigitCodec, LLMRegressor, NumericDistribution
from llmreg.tables.targets import numeric_targets, warn_of_other_units

SECONDS = [90.0, 3600.0, 0.5]
DURATIONS = [timedelta(seconds=s) for s in SECONDS]


def carry_out(steps, y, **others):
    """What names stand for after steps of a remedy."""
    names = {"numpy": np, "pandas": pd, "y": y, **others}
    for step in steps:
        exec(step, names)
    return names


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_durations_are_seconds_whatever_unit_stores_them(unit):
    stored = np.array([90_000, 3_600_000, 500], dtype="timedelta64[ms]").astype(f"m8[{unit}]")
    expected = SECONDS if unit != "s" else [90.0, 3600.0, 0.0]
    assert numeric_targets(stored).tolist() == expected
    assert numeric_targets(pd.Series(stored)).tolist() == expected


@pytest.mark.parametrize(
    "y",
    [
        DURATIONS,
        np.array(DURATIONS, dtype=object),
        pd.to_timedelta(SECONDS, unit="s"),
        pd.Series(DURATIONS, dtype=object),
        pd.Series(pd.to_timedelta(SECONDS, unit="s")).astype("duration[ns][pyarrow]"),
        pl.Series(DURATIONS),
        [np.timedelta64(90, "s"), np.timedelta64(60, "m"), np.timedelta64(500, "ms")],
    ],
)
def test_durations_are_read_from_any_container(y):
    assert numeric_targets(y).tolist() == SECONDS


@pytest.mark.parametrize(
    "y",
    [
        pd.date_range("2024-01-01", periods=3),
        pd.date_range("2024-01-01", periods=3, tz="Asia/Tokyo"),
        [date(2024, 1, 1), date(2024, 1, 2)],
        [datetime(2024, 1, 1), None],
        pl.Series([date(2024, 1, 1)]),
        pd.period_range("2024-01", periods=3, freq="M"),
        [pd.Period("2024-01"), pd.Period("2024-02")],
        pd.Series(pd.date_range("2024-01-01", periods=3)).astype("timestamp[us][pyarrow]"),
        np.array(["2024-01-01", "2024-01-02"], "M8[D]"),
        np.array([["2024-01-01"], ["2024-01-02"]], "M8[D]"),
    ],
)
def test_dates_are_refused_with_a_remedy_that_works(y):
    with pytest.raises(ValueError, match=r"needs numbers.*since a fixed moment") as raised:
        numeric_targets(y)
    steps = str(raised.value).split("such as ")[-1].split(" for days")[0].split(", then ")
    days = carry_out([*steps[:-1], f"y = {steps[-1]}"], y)["y"]
    known = numeric_targets(np.asarray(days)[pd.notna(days)])
    assert known[0] == 0 and len(known) <= len(y)


@pytest.mark.parametrize("container", [list, pd.Series, pl.Series, lambda y: np.array([y]).T])
def test_times_of_day_are_refused_with_a_remedy_that_works(container):
    y = container([None, time(12), time(13, 30)])
    with pytest.raises(ValueError, match=r"y holds times of day, such as datetime.time") as raised:
        numeric_targets(y)
    remedy = str(raised.value).split("Give hours, such as ")[1].rstrip(".")
    assert numeric_targets(carry_out([f"y = {remedy}"], y)["y"][1:]).tolist() == [12, 13.5]


def test_durations_beside_numbers_and_gaps_among_durations_are_refused():
    with pytest.raises(ValueError, match="mixes durations with other values, such as 5"):
        numeric_targets([timedelta(1), 5])
    for gap in (None, pd.NaT, np.timedelta64("NaT")):
        with pytest.raises(ValueError, match="NaN"):
            numeric_targets([timedelta(1), gap])


@pytest.mark.parametrize(
    "y", [[1.0, "many"], [10**400, 1], [[1], [1, 2]], [None, object()], [1.7e308, -1.7e308]]
)
def test_what_is_no_float_is_named(y):
    cells = np.empty(2, dtype=object)
    cells[:] = y
    with pytest.raises(ValueError, match=r"needs finite numbers|no floats|NaN"):
        numeric_targets(cells)


@pytest.mark.parametrize(
    "cells", [["1", "133,5"], [1.5, "133,5"], ["1", "1_133"], ["1_133", "2_0"], [b"1", b"1_133"]]
)
@pytest.mark.parametrize("container", [list, np.array, pd.Series, lambda y: np.array(y, object)])
def test_texts_that_are_no_numbers_are_named_in_any_container(cells, container):
    with pytest.raises(ValueError, match=r"^y holds b?'(133,5|1_133)' \(.*needs finite numbers"):
        numeric_targets(container(cells))
    with pytest.raises(ValueError, match=r"y holds .*, and LLMRegressor needs"):
        numeric_targets(pd.Series(list(map(str, cells)), dtype="string"))


@pytest.mark.parametrize("container", [list, np.array, pd.Series])
def test_numbers_as_texts_are_numbers(container):
    assert numeric_targets(container(["1.5", " -2e3 "])).tolist() == [1.5, -2000.0]


@pytest.mark.parametrize("unit", ["Y", "M"])
def test_months_and_years_are_no_durations_of_one_length(unit):
    stored = np.array([1, 2], dtype=f"timedelta64[{unit}]")
    for y in (stored, list(stored), np.array([*stored, None], dtype=object)):
        with pytest.raises(ValueError, match=r"in months or years, such as .*timedelta64\[D\]"):
            numeric_targets(y)
    assert numeric_targets(stored.astype("timedelta64[D]")).shape == (2,)


@pytest.mark.parametrize("y", [[1.0, 9999.0, 3.0], [1, 9999, 3], np.array([1, 9999, 3], "m8[s]")])
def test_masked_targets_are_refused_like_missing_ones(y):
    masked = np.ma.array(y, mask=[False, True, False])
    for shape in (-1, (-1, 1)):
        with pytest.raises(ValueError, match=r"y is masked in 1 of 3 rows, .* leave these"):
            numeric_targets(masked.reshape(shape))
    assert numeric_targets(np.ma.array(y, mask=False)).tolist() == numeric_targets(y).tolist()
    assert numeric_targets(masked.compressed()).shape == (2,)


def test_nothing_learns_or_scores_what_is_masked(table, quick_fit):
    X, y = table.X, np.ma.array(table.y, mask=table.y > table.y.median())
    weight = np.ma.array(np.ones(40), mask=y.mask)
    model = quick_fit(X, table.y, fit_method="ce")
    distribution = NumericDistribution([[1.0]], lower=[0], upper=[1])
    for call in (
        lambda: quick_fit(X, y), lambda: quick_fit(X, table.y, weight), lambda: model.score(X, y),
        lambda: model.score(X, table.y, weight), lambda: DigitCodec().fit(y),
        lambda: model.fit(X, table.y, X_val=X, y_val=y), lambda: distribution.crps(y[y.mask][:1]),
        lambda: model.fit(X, table.y, X_val=X, y_val=table.y, sample_weight_val=weight),
        lambda: model.predict_distribution(X).cdf(y),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="is masked in"):
            call()


def test_several_columns_name_the_estimator_that_serves():
    with pytest.raises(ValueError, match="MultiOutputRegressor"):
        numeric_targets(np.zeros((3, 2)))


def test_an_estimator_predicts_and_scores_seconds(table):
    X, y = table.X, table.y
    fits = [
        LLMRegressor(fit_method="ce", sft_epochs=1, estimates=None, random_state=0).fit(X, targets)
        for targets in (y, pd.to_timedelta(y, unit="s").astype("timedelta64[ns]"))
    ]
    plain, timed = (fit.predict(X) for fit in fits)
    assert timed == pytest.approx(plain, rel=1e-6)
    assert fits[1].score(X, pd.to_timedelta(y, unit="s")) == pytest.approx(fits[0].score(X, y))


@pytest.mark.parametrize(
    ("y", "said"),
    [
        ("mpg", r"y is 'mpg' \(str\), .*give the column itself, such as X\['mpg'\]"),
        ((n for n in [1.0, 2.0]), r"y is <generator .* \(generator\), .* Give list\(y\)"),
        ({"mpg": [1.0, 2.0]}, r"y is {'mpg': .* \(dict\), and LLMRegressor needs an array"),
        ({1.0, 2.0}, r"y is {1.0, 2.0} \(set\)"),
        (3.0, r"y is 3.0 \(float\)"),
        (np.array(3.0), r"y is array\(3\.\)"),
        (None, r"y is None \(NoneType\)"),
        ([[1.0], [1.0, 2.0]], r"y is \[\[1.0\], \[1.0, 2.0\]\] \(list\)"),
        (pd.concat([pd.Series([1.0, 2.0], name="mpg")] * 2, axis=1), r"1d array.*\(2, 2\)"),
        (np.array([["a", "b"]] * 2), r"1d array.*\(2, 2\)"),
        (np.array([1 + 2j, 3]), r"y holds \(1\+2j\) \(complex\)"),
    ],
)  # fmt: skip
def test_what_is_no_list_of_numbers_is_named_as_a_whole(y, said):
    with pytest.raises(ValueError, match=said):
        numeric_targets(y)


@pytest.mark.parametrize("gap", [np.nan, None, pd.NA])
@pytest.mark.parametrize("container", [list, pd.Series, lambda y: pd.Series(y, dtype="Float64")])
def test_gaps_are_counted_and_the_remedy_works(gap, container):
    y = container([1.0, gap, 3.0, gap])
    with pytest.raises(ValueError, match=r"y contains NaN in 2 of 4 rows.*known = pandas.notna"):
        numeric_targets(y)
    assert numeric_targets(np.asarray(y)[pd.notna(y)]).tolist() == [1.0, 3.0]


def test_infinities_are_counted():
    with pytest.raises(ValueError, match=r"infinity in 1 of 2 rows.*known = numpy.isfinite"):
        numeric_targets([1.0, -np.inf])


GAPS = [
    ["nan", "1"], ["inf", " -1 "], [" NaN ", "1e3"], ["-Infinity", "2"], [1.0, "nan", None],
    ["nan", None, "1"], ["nan", pd.NA, 1], [pd.NaT, "nan", 2.0], [b"nan", b"1"], [b"inf", b"1"],
    [Decimal("NaN"), Decimal(1)], [Decimal("Infinity"), Decimal(1)], [None, 1, 10**30],
    [np.inf, 1], [1.0, pd.NA], [np.nan, 1.0], [np.float32("inf"), 2], [None, timedelta(1)],
    [np.timedelta64("NaT"), np.timedelta64(1, "D")],
]  # fmt: skip


def kept_by_the_remedy(y, X):
    """Rows and targets that are left after the remedy of an error."""
    with pytest.raises(ValueError, match=r"Leave these rows out: ") as raised:
        numeric_targets(y)
    first, _, last = str(raised.value).split("rows out: ")[1].partition(", then ")
    *before, known = first.split(", known = ")
    names = carry_out([*before, f"known = {known}"], y, X=X)
    return [eval(part, names) for part in last.rstrip(".").split(" and ")]


NONE, NUMBERS = (type(None), type(pd.NA)), (float, int)


@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
@pytest.mark.parametrize(
    ("container", "holds"),
    [
        (list, object), (tuple, object), (np.array, object), (pd.Series, object),
        (pd.Index, object), (pd.DataFrame, object), (lambda y: np.array(y, object), object),
        (lambda y: [[cell] for cell in y], object),
        (lambda y: pd.Series(y).astype("category"), object),
        (lambda y: pd.Series(y, dtype="string"), (str, *NONE)),
        (lambda y: pd.Series(y, dtype="Float64"), (*NUMBERS, *NONE)),
        (lambda y: pl.Series(y, strict=False), (str, float, timedelta, type(None))),
    ],
)  # fmt: skip
def test_the_remedy_for_gaps_and_infinities_works(container, holds):
    for cells in GAPS:
        if not all(isinstance(cell, holds) for cell in cells):
            continue
        y, index = container(cells), np.arange(len(cells)) + 10
        if isinstance(y, (pd.Series, pd.DataFrame)):
            y.index = index
        for X in (pd.DataFrame({"a": index}, index), index[:, None]):
            rows, left = kept_by_the_remedy(y, X)
            assert len(rows) == len(left) == len(numeric_targets(left)) >= 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda y: y, False), (lambda y: 1.02 * y, False), (lambda y: 100 * y, True),
        (lambda y: y / 1000, True), (np.log, True), (lambda y: 1e300 * y, True),
        (lambda y: 100 * y[:4], False),  # too few to tell
    ],
)  # fmt: skip
def test_validation_targets_in_other_units_are_told(change, told, recwarn):
    y, other = np.random.RandomState(0).lognormal(3, 0.5, (2, 200))
    warn_of_other_units(change(other), y)
    assert ["targets in y_val lie beyond" in str(one.message) for one in recwarn] == [True] * told
