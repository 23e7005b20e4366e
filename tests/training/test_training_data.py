"""Rows of much weight are dealt as several entries."""

from dataclasses import replace

import numpy as np
import pytest

N = 24  # rows of the conftest's problem


def _weighing(problem, weight):
    _, data, _ = problem()
    return replace(data, weight=np.asarray(weight, float))


@pytest.mark.parametrize("weight", [1.0, 1e-45, 1e40])
def test_rows_of_equal_weight_are_dealt_as_they_are(weight, problem):
    data = _weighing(problem, np.full(N, weight))
    dealt = data.dealt()
    assert dealt.rows is data.rows
    np.testing.assert_allclose(dealt.weight, 1.0, rtol=1e-14)


def test_rows_are_dealt_by_their_weight_in_entries_of_like_weight(problem):
    weight = np.r_[10.0, 7.0, 0.1, np.ones(N - 3)]
    data = _weighing(problem, weight)
    dealt = data.dealt()
    relative = weight / weight.mean()
    # Targets tell the rows apart.
    entries = [np.flatnonzero(dealt.z == z) for z in data.z]
    assert [len(own) for own in entries] == [6, 4] + [1] * (N - 2)
    total = np.array([dealt.weight[own].sum() for own in entries])
    np.testing.assert_allclose(total / total.mean(), relative, rtol=1e-12)
    assert dealt.weight.mean() == pytest.approx(1.0)
    assert dealt.weight.max() < 1.5
    assert len(dealt) == len(dealt.rows) == len(dealt.leaf)
