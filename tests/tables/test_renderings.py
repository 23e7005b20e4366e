"""One table has many renderings: read from whichever, it reads the same."""

import datetime as dt
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmreg import LLMRegressor, RowSerializer

MISSING = [None, np.nan, pd.NaT, pd.NA, "", "  "]

# Each renders a list of values, of which None is a gap.


def _objects(values, write=lambda value: value):
    return pd.Series([None if value is None else write(value) for value in values], dtype=object)


def _strings(write):
    return lambda values: _objects(values, write)


FLOATS = {
    "floats": lambda values: pd.Series(values, dtype=float),
    "nullable": lambda values: pd.Series(values, dtype="Float64"),
    "objects": _objects,
    "Decimals": _strings(lambda value: Decimal(f"{value:.2f}")),
    "strings": _strings(str),
    "padded": _strings(lambda value: f" {value:+.2f} "),
    "dollars": _strings(lambda value: f"${value:,.2f}".replace("$-", "-$")),
}
INTEGERS = {
    "floats": FLOATS["floats"],
    "nullable": lambda values: pd.Series(values, dtype="Int64"),
    "objects": _objects,
    "Decimals": _strings(Decimal),
    "strings": _strings(str),
    "dollars": _strings(lambda value: f"${value:,}"),
    "accounts": _strings(lambda value: f"${value:,}" if value >= 0 else f"($ {-value:,})"),
}
DATES = {
    "datetimes": lambda values: pd.Series(values, dtype="datetime64[s]"),
    "nanoseconds": lambda values: pd.Series(values, dtype="datetime64[ns]"),
    "dates": _objects,
    "numpy": _strings(lambda value: np.datetime64(value, "D")),
    "ISO": _strings(str),
    "ISO with times": _strings(lambda value: f"{value}T00:00:00"),
    "German": _strings(lambda value: value.strftime("%d.%m.%Y")),
    "names": _strings(lambda value: value.strftime("%B %d, %Y")),
}
WORDS = {
    "strings": lambda values: pd.Series(values, dtype="str"),
    "objects": _objects,
    "categories": lambda values: pd.Series(values, dtype="category"),
    "padded": _strings(lambda value: f" {value}\t"),
}
TRUTHS = {
    "bools": _objects,
    "nullable": lambda values: pd.Series(values, dtype="boolean"),
    "words": _strings(lambda value: "TRUE" if value else "false"),
    "letters": _strings(lambda value: "y" if value else "N"),
    "yes": _strings(lambda value: "Yes" if value else "no"),
}
DIGITS = {
    "floats": lambda values: pd.Series(values, dtype=float),
    "digits": _strings(lambda value: "01"[value]),
    "integers": lambda values: pd.Series(values, dtype="Int64"),
}
cents = st.integers(-(10**8), 10**8).map(lambda value: value / 100)
days = st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1))
CASES = {
    "floats": (cents, FLOATS, FLOATS),
    "integers": (st.integers(-(10**6), 10**6), INTEGERS, INTEGERS),
    "dates": (days, DATES, DATES),
    "words": (st.sampled_from(["Graz", "Linz", "St. Pölten"]), WORDS, WORDS),
    "truths": (st.booleans(), TRUTHS, TRUTHS | DIGITS),
    "digits": (st.booleans(), DIGITS, TRUTHS | DIGITS),
}


def _column(values):
    """Columns with a gap or two, and both truth values, as a column of booleans has."""
    few = st.lists(st.none() | values, min_size=1, max_size=6)
    first = st.tuples(values, values, values).filter(lambda cells: len(set(cells)) > 1)
    return st.tuples(first, few).map(lambda parts: [*parts[0], *parts[1]])


def _assert_same(rows, expected):
    for field, other in zip(rows.fields, expected.fields, strict=True):
        assert field.text.tolist() == other.text.tolist()
        np.testing.assert_array_equal(field.missing, other.missing)
        if other.numbers is not None:
            np.testing.assert_array_equal(field.numbers, other.numbers)


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_a_column_reads_the_same_from_every_rendering(case, data):
    values, fitted, others = CASES[case]
    values = data.draw(_column(values))
    tables = {name: pd.DataFrame({"c": write(values), "n": 1.5}) for name, write in others.items()}
    expected = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in fitted:
            serializer = RowSerializer(column_kinds={"c": "category"} if case == "words" else None)
            serializer.fit(tables[name])
            expected = expected or serializer.serialize(tables[name])
            for table in tables.values():
                _assert_same(serializer.serialize(table), expected)


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_a_gap_is_a_gap_and_a_row_reads_alone_as_among_others(data):
    columns = {}
    for case, (values, renderings, _) in CASES.items():
        cells = data.draw(st.lists(values, min_size=4, max_size=4, unique=case in ("dates",)))
        write = data.draw(st.sampled_from(list(renderings.values())))
        column = write([*cells, *cells]).astype(object)
        column[4] = data.draw(st.sampled_from(MISSING))
        columns[case] = column
    table = pd.DataFrame(columns)
    kinds = {"words": "category", "truths": "category", "integers": "number", "floats": "number",
             "dates": "datetime"}  # fmt: skip
    serializer = RowSerializer(column_kinds=kinds).fit(table)
    rows = serializer.serialize(table)
    assert all(field.missing.tolist() == [row == 4 for row in range(8)] for field in rows.fields)
    assert all(field.text[4] == "missing" for field in rows.fields)
    for row in range(8):
        _assert_same(serializer.serialize(table.iloc[[row]]), rows.take(np.array([row])))


def test_predictions_do_not_depend_on_how_true_and_false_or_money_are_written():
    rng = np.random.default_rng(0)
    price, smoker = rng.integers(10, 5000, 40), rng.integers(0, 2, 40).astype(bool)
    X = pd.DataFrame({"price": price, "smoker": smoker})
    model = LLMRegressor(fit_method="ce", sft_epochs=2, estimates=None, random_state=0)
    model.fit(X, price / 100 + 20 * smoker)
    expected = model.predict(X)
    assert len(np.unique(expected)) > 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = X.assign(price=[f"${value:,}" for value in price])
        for truths in (["no", "yes"], ["false", "true"], [0, 1], [0.0, 1.0]):
            table = written.assign(smoker=[truths[value] for value in smoker.astype(int)])
            np.testing.assert_array_equal(model.predict(table), expected)
