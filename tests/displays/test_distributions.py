"""Distributions of some rows in one picture."""

import numpy as np
import pytest

from llmreg import DistributionDisplay


def test_the_first_rows_are_drawn_with_their_labels(pipeline, table, distribution):
    X = table.X.set_index(np.array([f"house {i}" for i in range(40)]))
    display = DistributionDisplay.from_estimator(pipeline, X, table.y, n_rows=3)
    ax = display.ax_
    assert [text.get_text() for text in ax.get_yticklabels()] == ["house 0", "house 1", "house 2"]
    assert ax.get_xlabel() == "price"
    assert len(ax.patches) == 3
    intervals, medians = ax.collections
    ends = np.array([path.vertices[:, 0] for path in intervals.get_paths()])
    np.testing.assert_allclose(ends, distribution[:3].interval(0.9))
    middles = [path.vertices[0, 0] for path in medians.get_paths()]
    np.testing.assert_allclose(middles, distribution[:3].median())
    (true,) = ax.lines
    np.testing.assert_array_equal(true.get_xdata(), table.y[:3])
    low, high = ax.get_xlim()
    assert low < min(*table.y[:3], *distribution[:3].quantile(0.01))
    assert high > max(*table.y[:3], *distribution[:3].quantile(0.99))


def test_the_histogram_is_the_distribution(distribution):
    display = DistributionDisplay.from_predictions(distribution[:1])
    (stairs,) = display.ax_.patches
    values, edges, baseline = stairs.get_data()
    heights = values - baseline
    mass = heights / heights.sum()
    expected = np.diff(distribution[:1].cdf(edges[None])[0])
    np.testing.assert_allclose(mass, expected / expected.sum(), atol=1e-12)
    assert not display.ax_.lines  # no true value


def test_names_are_numbers_where_there_are_none_and_short(distribution):
    display = DistributionDisplay.from_predictions(
        distribution[:2], names=["x" * 50, 3], coverage=0.5
    )
    first, second = (text.get_text() for text in display.ax_.get_yticklabels())
    assert len(first) == 30 and first.endswith("…") and second == "3"
    assert display.ax_.get_legend().get_texts()[0].get_text() == "50% interval"
    plain = DistributionDisplay.from_predictions(distribution[:2])
    assert [text.get_text() for text in plain.ax_.get_yticklabels()] == ["0", "1"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(y_true=[1.0]), "1 y_true for 2"),
        (dict(names=list("abc")), "3 names for 2"),
        (dict(y_true=[1.0, np.nan]), "NaN"),
    ],
)
def test_what_does_not_go_together_is_refused(wrong, message, distribution):
    with pytest.raises(ValueError, match=message):
        DistributionDisplay.from_predictions(distribution[:2], **wrong)


def test_no_rows_are_refused(distribution):
    with pytest.raises(ValueError, match="no distributions to draw"):
        DistributionDisplay.from_predictions(distribution[:0])


def test_errors_call_the_targets_what_the_argument_is_called(distribution):
    with pytest.raises(ValueError, match=r"y_true contains NaN .*distribution\[known\]"):
        DistributionDisplay.from_predictions(distribution[:1], y_true=[np.nan])
    masked = np.ma.array([1.0], mask=[True])
    with pytest.raises(ValueError, match=r"^y is masked in 1 of 1 rows"):
        DistributionDisplay.from_estimator(None, [[1.0]], masked)
