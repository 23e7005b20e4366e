"""An estimate on intervals and on the number tree, against scipy's distributions."""

from itertools import pairwise

import codec_zoo
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy.stats import logistic

from llmreg import DigitCodec
from llmreg.estimates.stacking import Estimate, OnEnds, Spread
from llmreg.numbers.decoding import tree_distribution
from llmreg.numbers.estimate import estimate_on, estimate_steps, interval_log_mass
from llmreg.numbers.tree import NumberTree, leaf_log_probs

SPREAD = Spread(0.4, 2.0, 0.15, 0.7)


def _mass(low, high, centre, spread=SPREAD, ends=(-np.inf, np.inf)):
    """Of a mixture whose parts lie between ends, each with its share."""

    def mass(low, high, at, scale):
        return logistic.cdf(high, centre + at, scale) - logistic.cdf(low, centre + at, scale)

    return sum(
        share * mass(low, high, at, scale) / mass(*ends, at, scale)
        for share, at, scale in spread.parts
    )


def _estimate(centres, spread=SPREAD):
    return estimate_on(Estimate(np.array(centres, float), np.ones(len(centres)), spread), "cpu")


@pytest.mark.parametrize("apart", [0.0, 4.0, -1.0])
def test_intervals_have_the_mass_of_a_mixture_of_logistics(apart):
    spread = SPREAD._replace(apart=apart)
    edges = np.array([-9.0, -1.0, 0.0, 0.5, 3.0, 8.0])
    spans = torch.tensor(np.stack([edges[:-1], edges[1:]], 1)).unsqueeze(0)
    centres = [-2.0, 0.3]
    found = interval_log_mass(_estimate(centres, spread), spans).exp().numpy()
    expected = [[_mass(*span, c, spread) for span in pairwise(edges)] for c in centres]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_a_row_is_as_many_times_as_wide_as_its_width_says():
    edges = np.array([-9.0, 0.5, 3.0, 8.0])
    spans = torch.tensor(np.stack([edges[:-1], edges[1:]], 1)).unsqueeze(0)
    rows = estimate_on(Estimate(np.array([0.3, 0.3]), np.array([0.5, 7.0]), SPREAD), "cpu")
    found = interval_log_mass(rows, spans).exp().numpy()
    for row, width in zip(found, (0.5, 7.0), strict=True):
        spread = SPREAD._replace(narrow=width * SPREAD.narrow, wide=width * SPREAD.wide)
        spread = spread._replace(apart=width * spread.apart)
        expected = [_mass(*span, 0.3, spread) for span in pairwise(edges)]
        np.testing.assert_allclose(row, expected, rtol=1e-10)


def test_far_away_and_in_no_width_it_stays_finite_and_in_order():
    spans = torch.tensor([[[0.0, 1.0], [1e3, 1e3 + 1], [1e9, 1e9 + 1], [5.0, 5.0]]]).double()
    found = interval_log_mass(_estimate([0.5]), spans)[0]
    assert torch.isfinite(found).all()
    assert found[0] > found[1] > found[2] == found[3] == -1e4
    # In the tail, where a difference of two CDFs would be zero.
    assert float(found[1]) == pytest.approx(logistic.logsf(1e3, 0.5, 2) + np.log(0.15), rel=1e-2)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(codec_zoo.fitted())
def test_steps_lead_to_numbers_as_often_as_their_bins_have_mass(drawn):
    codec, _ = drawn
    # What is beyond an end on which targets heap up counts for the end.
    tree, edges = NumberTree.from_codec(codec), codec.to_axis(codec.edges_)
    bins = np.where(np.isinf(codec.open_edges), codec.open_edges, edges)
    unit = float(edges[-1] / 2 - edges[0] / 2)
    if not unit > 1e-290:
        return
    spread = Spread(0.1 * unit, 0.5 * unit, 0.2)
    centres = [edges[0] + 0.3 * unit, edges[-1]]
    nodes = torch.arange(tree.n_open)
    steps = estimate_steps(_estimate(centres, spread), tree, nodes)
    expected = [_mass(bins[:-1], bins[1:], c, spread, bins[[0, -1]]) for c in centres]
    np.testing.assert_allclose(leaf_log_probs(steps, tree).exp(), expected, rtol=1e-6, atol=1e-9)
    # The same asked row by row, with padding.
    by_row = torch.stack([nodes, nodes.flip(0)])
    by_row[1, 0] = -1
    again = estimate_steps(_estimate(centres, spread), tree, by_row)
    torch.testing.assert_close(again[0], steps[0])
    torch.testing.assert_close(again[1, 1:], steps[1].flip(0)[1:])


def test_beyond_the_codec_the_nearest_number_has_the_mass():
    codec = DigitCodec(10, 2).fit([0.0, 10.0])
    tree = NumberTree.from_codec(codec)
    steps = estimate_steps(_estimate([-40.0, 1e6]), tree, torch.arange(tree.n_open))
    leaf = leaf_log_probs(steps, tree).exp()
    assert leaf.argmax(1).tolist()[0] == 0
    np.testing.assert_allclose(leaf.sum(1), 1.0)


def test_an_end_with_a_heap_has_all_that_lies_beyond_it():
    y = np.array([*range(11), 0, 0, 10, 10], float)
    tree = NumberTree.from_codec(DigitCodec(10, 2).fit(y))
    steps = estimate_steps(_estimate([-3.0, 4.0, 9.0]), tree, torch.arange(tree.n_open))
    leaf = leaf_log_probs(steps, tree).exp()
    for row, centre in enumerate([-3.0, 4.0, 9.0]):
        assert float(leaf[row, 0]) == pytest.approx(_mass(-np.inf, 0.1, centre), rel=1e-6)
        assert float(leaf[row, -1]) == pytest.approx(_mass(9.9, np.inf, centre), rel=1e-6)


def test_what_lies_far_from_most_is_as_likely_at_the_end_of_the_range():
    # Half of what the few are would be beyond the largest number that there is.
    codec = DigitCodec(10, 2).fit(np.linspace(0, 10, 101))
    tree, spread = NumberTree.from_codec(codec), Spread(0.05, 0.1, 0.3, apart=8.0)
    steps = estimate_steps(_estimate([2 + 0.3 * 8.0], spread), tree, torch.arange(tree.n_open))
    leaf = leaf_log_probs(steps, tree).exp()[0]
    assert float(leaf[codec.values_ > 6].sum()) == pytest.approx(0.3, abs=1e-6)
    beyond = interval_log_mass(_estimate([50.0]), torch.tensor([[[3.0, 3.0]]]).double(), (3.0, 3.0))
    assert float(beyond) == -1e4  # of a range without width, too, there is a number


def _heaped(centre, chance, ends):
    heaps = OnEnds(np.array([chance]), np.array(ends))
    return estimate_on(Estimate(np.array([centre]), np.ones(1), SPREAD, heaps), "cpu")


@pytest.mark.parametrize("ends", [(0.0, 4.0), (0.0, np.inf), (-np.inf, 4.0)])
def test_a_heap_has_its_chance_and_the_bell_what_lies_between(ends):
    edges = np.array([-np.inf, -1.0, 0.0, 0.5, 3.0, 4.0, 8.0, np.inf])
    spans = torch.tensor(np.stack([edges[:-1], edges[1:]], 1)).unsqueeze(0)
    chance = np.array([0.3, 0.2]) * np.isfinite(ends)
    found = interval_log_mass(_heaped(2.5, chance, ends), spans).exp()[0].numpy()
    inner = np.clip(edges, *ends)
    bell = _mass(inner[:-1], inner[1:], 2.5, ends=ends)
    expected = (1 - chance.sum()) * bell
    expected[2] += chance[0]  # [0, 0.5)
    expected[4] += chance[1]  # (3, 4]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-300)
    assert found.sum() == pytest.approx(1)


def test_no_chance_of_an_end_is_as_good_as_no_heap():
    spans = torch.tensor([[[-np.inf, 1.0], [1.0, 2.0], [2.0, np.inf]]]).double()
    plain = interval_log_mass(_estimate([1.3]), spans)
    found = interval_log_mass(_heaped(1.3, [0.0, 0.0], [-np.inf, np.inf]), spans)
    torch.testing.assert_close(found, plain)


def test_steps_lead_to_a_heap_by_its_chance():
    y = np.array([*[0.0] * 40, *np.linspace(1, 10, 20), *[10.0] * 30])
    codec = DigitCodec(10, 2).fit(y)
    tree = NumberTree.from_codec(codec)
    estimate = _heaped(6.0, [0.5, 0.2], [0.0, 10.0])
    leaf = leaf_log_probs(estimate_steps(estimate, tree, torch.arange(tree.n_open)), tree).exp()[0]
    assert float(leaf[0]) == pytest.approx(0.5, abs=0.01)
    assert float(leaf[-1]) == pytest.approx(0.2, abs=0.01)
    found = tree_distribution(tree, estimate_steps(estimate, tree, torch.arange(tree.n_open)))
    assert found.mean()[0] == pytest.approx(float(estimate.mean[0]), abs=0.15)


def test_no_estimate_stays_none():
    assert estimate_on(None, "cpu") is None
    found = estimate_on(Estimate(np.zeros(2), np.ones(2), SPREAD), "cpu")
    assert found.centre.dtype == found.width.dtype == torch.float64
