"""Distributions as tables and as HTML."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from llmreg import NumericDistribution
from llmreg.numbers.presentation import masses_between, shown_range


@pytest.fixture
def distribution():
    p = np.random.RandomState(0).dirichlet(np.ones(12), 7)
    return NumericDistribution(p, np.arange(12.0), np.arange(12.0) + 1)


def test_the_table_holds_what_the_distribution_says(distribution):
    frame = distribution.to_frame([0.1, 0.5], index=list("abcdefg"))
    assert list(frame.columns) == ["mean", "std", "median", "10%", "50%"]
    assert list(frame.index) == list("abcdefg")
    expected = [distribution.mean(), distribution.std(), distribution.median(),
                *distribution.quantile([0.1, 0.5]).T]  # fmt: skip
    np.testing.assert_array_equal(frame.to_numpy(), np.column_stack(expected))


def test_quantiles_are_named_as_percentages(distribution):
    assert list(distribution.to_frame(0.145).columns)[3:] == ["14.5%"]
    assert list(distribution.to_frame().columns)[3:] == ["5%", "25%", "75%", "95%"]
    assert list(distribution.to_frame([]).columns) == ["mean", "std", "median"]


@pytest.mark.parametrize("wrong", [dict(quantiles=[5, 95]), dict(index=[1, 2])])
def test_what_is_no_table_is_refused(wrong, distribution):
    with pytest.raises(ValueError):
        distribution.to_frame(**wrong)


def test_the_axis_shows_nearly_all_and_what_else_is_asked(distribution):
    low, high = shown_range(distribution)
    assert (distribution.cdf(high) - distribution.cdf(low)).min() >= 0.99
    assert shown_range(distribution, [40.0])[1] > 40
    low, high = shown_range(NumericDistribution([[1.0]], [3.0], [3.0]))
    assert low < 3 < high


def test_masses_are_those_of_the_cells_and_atoms_count_once(distribution):
    np.testing.assert_allclose(
        masses_between(distribution, np.arange(13.0)), distribution.probabilities
    )
    atoms = NumericDistribution([[0.25, 0.75]], [1.0, 2.0], [1.0, 2.0])
    np.testing.assert_array_equal(masses_between(atoms, [0.5, 1.5, 2.5]), [[0.25, 0.75]])


def test_the_page_shows_the_first_rows_with_a_histogram_each(distribution):
    page = distribution._repr_html_()
    root = ElementTree.fromstring(f"<div>{page}</div>")
    assert len(root.findall(".//svg")) == 5 and "first 5 shown" in page
    cells = [cell.text for cell in root.findall(".//tr")[1]]
    assert cells[1] == f"{distribution.mean()[0]:.4g}"


def test_the_tallest_bar_fills_the_height(distribution):
    heights = [float(h) for h in re.findall(r'height="([\d.]+)"/>', distribution._repr_html_())]
    assert max(heights) == 22.0


def test_no_rows_have_a_page_too(distribution):
    assert "n_rows=0" in distribution[:0]._repr_html_()
    assert len(distribution[:0].to_frame()) == 0
