"""Numbers in standard deviations; what a fitted table does with them is in test_cells.py."""

import numpy as np
import pytest

from llmreg.tables.scaling import NumberScaler, soften


def test_columns_are_standardised_and_gaps_stay():
    raw = np.array([[1.0, 7.0], [3.0, 7.0], [np.nan, 7.0]])
    scaler = NumberScaler().fit(raw)
    np.testing.assert_array_equal(scaler.transform(raw), [[-1, 0], [1, 0], [np.nan, 0]])
    np.testing.assert_array_equal(scaler.transform(np.array([[5.0, 9.0]])), [[3, 0]])


def test_soften_keeps_the_order_and_the_middle():
    z = np.array([-200.0, -100.0, -5.0, -4.0, 0.3, 4.0, 5.0, 50.0, 1e300, np.nan])
    found = soften(z)
    assert found[2:7].tolist() == pytest.approx([-4 - np.log(2), -4, 0.3, 4, 4 + np.log(2)])
    assert (np.diff(found[1:9]) > 0).all() and found[0] == found[1] == -found[8]
    assert np.isnan(found[9])
