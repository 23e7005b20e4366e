"""Numbers in texts and in names of categories."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from llmreg import LLMRegressor, RowSerializer
from llmreg.estimates.row_features import RowFeatures
from llmreg.estimates.written_numbers import WrittenNumbers, first_and_largest

NONE = (np.nan, np.nan)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2021 Toyota Camry", (2021, 2021)), ("Ages_6+", (6, 6)), ("500g, pack of 12", (500, 500)),
        ("pack of 12, 500g", (12, 500)), ("1,234,567 sold", (1234567, 1234567)),
        ("12,5 kg", (12.5, 12.5)),
        ("0.75 l", (0.75, 0.75)), ("v1.2.3", (1.2, 3)), ("at -4.5 °C", (-4.5, -4.5)),
        ("−7", (-7, -7)), ("10-20", (10, 20)), ("B-52", (52, 52)), ("(-3) 2", (-3, 2)),
        ("1e3", (1000, 1000)), ("1e-05", (1e-5, 1e-5)), ("3/4 inch", (3, 4)),
        (".5", (0.5, 0.5)), ("", NONE), ("ten", NONE),
        ("x²", NONE), ("9" * 400, NONE), ("call 4915123456789 or 12", (12, 12)),
        ("٣ pieces", (3, 3)), ("1,23", (1.23, 1.23)), ("0007", (7, 7)),
        ("0,125 l", (0.125, 0.125)), ("1,234.5", (1234.5, 1234.5)), ("1,2345", (1.2345, 1.2345)),
        ("5, 1,000 and 3", (5, 1000)), ("1.234.567", (1234567, 1234567)),
        ("1.234,5 kg", (1234.5, 1234.5)), ("1'234", (1234, 1234)), ("so ...5, 7.", (5, 7)),
        ("1\u202f234 or 2\u00a0000", (1234, 2000)), ("12–15", (12, 15)), ("3,4,5", (3, 5)),
        ("9" * 9000, NONE),
    ],
)  # fmt: skip
def test_what_is_read(text, found):
    assert_array_equal(first_and_largest(text), found)


def _rows(X, fitted_on=None, **kinds):
    return RowSerializer(column_kinds=kinds).fit(X if fitted_on is None else fitted_on).serialize(X)


def test_columns_of_numbers_that_tell_rows_apart_are_kept():
    X = pd.DataFrame({
        "name": [f"{year} model of {year + 1} words" for year in range(2000, 2020)],
        "age": ["from 3 years", "from 6 years", "from 12 years", "all ages"] * 5,
        "pair": ["1 of 2", "2 of 2"] * 10,  # its first takes two values only
        "seldom": ["nothing to see"] * 19 + ["but 1"],
        "plain": range(20),
    })  # fmt: skip
    rows = _rows(X, name="text", age="category", pair="category", seldom="text")
    written = WrittenNumbers().fit(rows)
    assert written.kept_ == [(0, 0), (0, 1), (1, 0)]
    found = written.transform(rows)
    assert_array_equal(found[:, 0], range(2000, 2020))
    assert_array_equal(found[:, 1], range(2001, 2021))
    assert_array_equal(found[:4, 2], [3, 6, 12, np.nan])


def test_missing_cells_and_new_ones():
    X = pd.DataFrame(
        {"name": ["box of 1", "box of 2", None, "box of 4", "box of 8"], "n": range(5)}
    )
    written = WrittenNumbers().fit(_rows(X, name="text"))
    assert_array_equal(written.transform(_rows(X, name="text"))[:, 0], [1, 2, np.nan, 4, 8])
    new = pd.DataFrame({"name": ["16 in a box", None, "open box"], "n": [0, 1, 2]})
    assert_array_equal(written.transform(_rows(new, X, name="text"))[:, 0], [16, np.nan, np.nan])


def test_without_texts_there_is_nothing():
    rows = _rows(pd.DataFrame({"n": [1.0, 2.0]}))
    assert WrittenNumbers().fit(rows).transform(rows).shape == (2, 0)


def test_slopes_and_trees_read_them():
    X = pd.DataFrame({"name": [f"box of {n} screws" for n in range(3, 23)]})
    features = RowFeatures(("linear", "boosted"), 0)
    found = features.fit_transform(_rows(X, name="text"))
    assert_array_equal(found["boosted"][:, 1], range(3, 23))
    z = np.arange(20) - 9.5
    np.testing.assert_allclose(found["linear"][:, 1], z / z.std())


def test_targets_that_follow_numbers_never_seen_are_found():
    rng = np.random.RandomState(0)
    size = np.r_[rng.permutation(np.arange(1, 401, 2)), rng.permutation(np.arange(2, 400, 2))[:60]]
    X = pd.DataFrame({"item": [f"{rng.choice(['steel', 'brass'])} bolt {n} mm" for n in size]})
    y = size / 10 + 0.1 * rng.randn(len(size))
    model = LLMRegressor(sft_epochs=2, fit_method="soft_ce", random_state=0).fit(X[:200], y[:200])
    model.estimate_weight_ = 1.0
    assert model.score(X[200:], y[200:]) > 0.95
