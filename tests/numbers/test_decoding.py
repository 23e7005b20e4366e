"""Exact and bounded distributions from the number tree."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from codec_zoo import PlainCodec

from llmreg.codecs.decimals import DecimalCodec
from llmreg.codecs.digits import DigitCodec
from llmreg.codecs.grids import GridCodec
from llmreg.estimates.stacking import Estimate, Spread
from llmreg.numbers import decoding
from llmreg.numbers.calibration import UNTOUCHED, Calibration, pooled
from llmreg.numbers.decoding import (
    bounded_distribution,
    calibrated_steps,
    open_steps,
    tree_distribution,
)
from llmreg.numbers.estimate import estimate_steps
from llmreg.numbers.tree import greedy_leaf, leaf_log_probs, step_log_probs

LENGTHS = (5, 1, 8)
Y = np.random.default_rng(0).normal(size=400)
CODECS = {
    "minmax": DigitCodec(10, 3).fit(Y),
    "log": DigitCodec(10, 3, scale="log").fit(np.sinh(4 * Y)),
    "binary": DigitCodec(2, 7).fit(Y),
    "one digit": DigitCodec(10, 1).fit(Y),
    # Censored at both ends: two numbers have no width.
    "heaped": DigitCodec(10, 3).fit([*Y.clip(-1, 1.2), *[-0.9999] * 9]),
    "constant": DigitCodec(10, 2).fit([3.0, 3.0]),
    # What begins with "1" is 1, 10 to 19 and 100 to 199; numbers end at different depths.
    "decimal": DecimalCodec(0, low=-30, high=250).fit([0.5]),
    "grid": GridCodec([0.5, 1, 1.5, 2, 10, 12.5, 100, -4]).fit([0.0]),
}


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(params=[*CODECS, "ragged"])
def codec(request, ragged_codec):
    return CODECS.get(request.param, ragged_codec)


def _sharpen(model, factor):
    """Make the model's distributions peaked (factor > 1) or flat (< 1)."""
    model.lm.get_output_embeddings().weight.mul_(factor)
    return model


def _steps(model, batch):
    nodes = torch.arange(model.tree.n_nodes)
    return step_log_probs(model.node_logits(batch, nodes[1:]), model.tree, nodes)


def exact_distribution(model, batch, calibration=UNTOUCHED):
    tree, steps = model.tree, open_steps(model, batch)
    nodes = torch.arange(tree.n_open)
    return tree_distribution(
        tree, calibrated_steps(steps, tree, nodes, batch.estimate, calibration)
    )


def _spans(codec):
    """The codec's cells in ascending order, each once, and the place of each among them."""
    return np.unique(codec.cells()[1], axis=0, return_inverse=True)


def _in_cells(probs, codec):
    """Probabilities of numbers (B, L) as those of the codec's cells, in ascending order."""
    leaf, _, _, share = codec.cells()
    spans, place = _spans(codec)
    return (probs[:, leaf] * share) @ (place.reshape(-1, 1) == np.arange(len(spans)))


def test_mean_mode_and_greedy_are_those_of_all_leaves(build_model, random_batch, codec):
    model, batch = build_model("llama", codec), random_batch(LENGTHS)
    found = exact_distribution(model, batch)
    steps = _steps(model, batch)
    probs = leaf_log_probs(steps, model.tree).exp().double().numpy()
    values = codec.values_
    assert found.probabilities == pytest.approx(_in_cells(probs, codec), abs=1e-6)
    assert found.mean() == pytest.approx(probs @ values, abs=1e-5 * np.abs(values).max())
    assert found.mode().tolist() == values[probs.argmax(1)].tolist()
    assert found.greedy().tolist() == values[greedy_leaf(steps, model.tree).numpy()].tolist()
    assert np.array_equal(np.stack([found.lower, found.upper], 1), _spans(codec)[0])


def test_leaves_stand_for_the_codecs_values_not_for_their_midpoints(
    build_model, random_batch, ragged_codec
):
    codec = PlainCodec(**vars(ragged_codec) | dict(values_=ragged_codec.values_ - 0.4))
    model, batch = build_model("llama", codec), random_batch(LENGTHS)
    found = exact_distribution(model, batch)
    assert found.mean() == pytest.approx(found.probabilities @ codec.values_)
    bounded = bounded_distribution(model, batch, 1e-9)
    assert bounded.mean() == pytest.approx(found.mean(), abs=1e-5)


@pytest.mark.parametrize("factor", [0.05, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("seed", range(2))
def test_the_bounded_mean_stays_within_the_tolerance(
    build_model, random_batch, codec, factor, seed
):
    model = _sharpen(build_model("llama", codec, seed=seed), factor)
    batch = random_batch(LENGTHS, seed=seed)
    exact = exact_distribution(model, batch)
    width = np.ptp(codec.edges_) or 1.0
    for tolerance in width * np.array([1e-4, 3e-3, 0.03, 0.3]):
        found = bounded_distribution(model, batch, tolerance)
        rounding = 1e-6 * width
        assert (np.abs(found.mean() - exact.mean()) <= tolerance + rounding).all()
        assert found.greedy().tolist() == exact.greedy().tolist()


def test_a_tiny_tolerance_gives_the_exact_distribution(build_model, random_batch, codec):
    model, batch = build_model("llama", codec), random_batch(LENGTHS)
    exact, found = exact_distribution(model, batch), bounded_distribution(model, batch, 1e-9)
    width = np.ptp(codec.edges_) or 1.0
    assert found.mean() == pytest.approx(exact.mean(), abs=1e-5 * width)
    assert found.std() == pytest.approx(exact.std(), abs=1e-5 * width)
    points = np.tile(np.linspace(codec.edges_[0] - 1, codec.edges_[-1] + 1, 57), (3, 1))
    assert found.cdf(points) == pytest.approx(exact.cdf(points), abs=1e-4)


def test_what_is_left_out_stays_as_whole_intervals(build_model, random_batch):
    model, batch = build_model("llama", CODECS["minmax"]), random_batch(LENGTHS)
    found = bounded_distribution(model, batch, 1.0)
    exact = exact_distribution(model, batch)
    # At the ends of all cells with mass the CDF agrees; only inside them mass is spread.
    for row in range(3):
        ends = found.upper[row][found.probabilities[row] > 0]
        assert len(ends) < 1000
        assert found[row].cdf(ends[None]) == pytest.approx(exact[row].cdf(ends[None]), abs=1e-4)


@pytest.mark.parametrize("factor", [0.05, 1.0, 20.0])
@pytest.mark.parametrize("tolerance", [1e-9, 0.01, 0.1, 100.0])
def test_the_bounded_mode_is_always_one_of_the_codecs_numbers(
    build_model, random_batch, codec, factor, tolerance
):
    model = _sharpen(build_model("llama", codec), factor)
    width = np.ptp(codec.edges_) or 1.0
    found = bounded_distribution(model, random_batch(LENGTHS), tolerance * width)
    assert np.isin(found.mode(), codec.values_).all()


@pytest.mark.parametrize("tolerance", [1e-4, 0.01, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_the_bounded_mode_of_a_peaked_distribution_is_the_exact_one(
    build_model, random_batch, codec, tolerance, seed
):
    model = _sharpen(build_model("llama", codec, seed=seed), 20.0)
    batch = random_batch(LENGTHS, seed=seed)
    exact = exact_distribution(model, batch)
    peaked = exact.probabilities.max(1) > 0.5
    assert peaked.any(), "no row is peaked: nothing is tested"
    width = np.ptp(codec.edges_) or 1.0
    found = bounded_distribution(model, batch, tolerance * width)
    assert found.mode()[peaked].tolist() == exact.mode()[peaked].tolist()


def test_an_interval_of_many_numbers_is_never_the_likeliest_number(build_model, random_batch):
    # Flat: with a tolerance this wide all but the greedy path is left as whole intervals, each
    # of which holds ten times the mass of any number.
    model = _sharpen(build_model("llama", CODECS["minmax"]), 0.01)
    found = bounded_distribution(model, random_batch(LENGTHS), 100.0)
    heaviest = found.probabilities.argmax(1)[:, None]
    width = np.take_along_axis(found.upper - found.lower, heaviest, 1)
    assert (width > 5 * np.ptp(Y) / 1000).all(), "no interval outweighs the numbers"
    assert np.isin(found.mode(), CODECS["minmax"].values_).all()
    assert found.mode().tolist() == found.greedy().tolist()  # of the expanded ones, the likeliest


# Several bins of one number

POINTS = {
    "grades": DigitCodec(10, 2).fit(np.repeat([1.0, 2, 3, 4, 5, 6], 9)),
    "grades in thousandths": DigitCodec(10, 3).fit(np.repeat([1.0, 2, 3, 4, 5, 6], 9)),
    "counts": DigitCodec(2, 7, scale="log").fit(np.repeat([0.0, 1, 2, 5, 90], 9)),
    "yes or no": DigitCodec(10, 3).fit(np.repeat([0.0, 1.0], 9)),
    "constant": CODECS["constant"],
    # Most bins have no width.
    "half of them alike": DigitCodec(10, 3, scale="quantile").fit([*[0.3] * 600, *Y]),
}


@pytest.fixture(params=POINTS)
def points(request):
    return POINTS[request.param]


def _shares(model, batch, codec):
    """All numbers that bins stand for, and the probability of each, from those of the leaves."""
    probs = leaf_log_probs(_steps(model, batch), model.tree).exp().double().numpy()
    numbers, place = np.unique(_likeliest_cells(codec), return_inverse=True)
    return numbers, probs @ (place[:, None] == np.arange(len(numbers)))


def _likeliest_cells(codec):
    leaf, _, value, share = codec.cells()
    return [value[leaf == k][share[leaf == k].argmax()] for k in range(len(codec.values_))]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bounded", [False, True])
def test_the_mode_is_the_likeliest_number_whatever_its_bins(
    build_model, random_batch, points, seed, bounded
):
    model, batch = build_model("llama", points, seed=seed), random_batch((5, 1, 8, 3), seed=seed)
    found = exact_distribution(model, batch)
    if bounded:
        found = bounded_distribution(model, batch, 1e-9)
    numbers, shares = _shares(model, batch, points)
    assert found.mode().tolist() == numbers[shares.argmax(1)].tolist()


def test_points_are_the_cells_of_exact_and_bounded_distributions(build_model, random_batch):
    for name, codec in list(POINTS.items())[:4]:
        model, batch = build_model("llama", codec), random_batch(LENGTHS)
        numbers, shares = _shares(model, batch, codec)
        for found in (exact_distribution(model, batch), bounded_distribution(model, batch, 1e-9)):
            assert found.probabilities == pytest.approx(shares, abs=1e-6), name
            assert (found.values == numbers).all() and (found.lower == found.upper).all()
            entropy = -(shares * np.log(shares)).sum(1)
            assert found.entropy() == pytest.approx(entropy, abs=1e-5)


def test_summing_bins_by_their_number_moves_nothing_else(
    build_model, random_batch, points, monkeypatch
):
    model, batch = build_model("llama", points), random_batch(LENGTHS)
    compute = (exact_distribution, lambda *of: bounded_distribution(*of, 0.1))
    found = [make(model, batch) for make in compute]
    monkeypatch.setattr("llmreg.numbers.distribution.merged", lambda *cells: cells)
    y, q = points.values_[[3, -1, 40]], np.linspace(0.01, 0.99, 30)
    for one, other in zip(found, [make(model, batch) for make in compute], strict=True):
        assert one.probabilities.shape[1] < other.probabilities.shape[1]
        for name, of in (("mean", ()), ("std", ()), ("crps", (y,)), ("cdf", (y,)),
                         ("quantile", (q,))):  # fmt: skip
            result, before = getattr(one, name)(*of), getattr(other, name)(*of)
            np.testing.assert_allclose(result, before, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", ["grades in thousandths", "yes or no"])
def test_what_is_left_out_and_can_be_one_number_alone_counts_for_it(
    name, build_model, random_batch
):
    # All but the greedy path is left out, most of it in intervals that are one number each.
    model = _sharpen(build_model("llama", POINTS[name]), 0.01)
    batch = random_batch(LENGTHS)
    found = bounded_distribution(model, batch, 100.0)
    numbers, shares = _shares(model, batch, POINTS[name])
    assert found.mode().tolist() == numbers[shares.argmax(1)].tolist()


# Large trees


def _widths(model, monkeypatch, name):
    """Numbers of nodes that a method is called with, as they come in."""
    widths, method = [], getattr(model, name)

    def spy(first, nodes):
        widths.append(nodes.shape[-1])
        return method(first, nodes)

    monkeypatch.setattr(model, name, spy)
    return widths


@pytest.mark.parametrize("name", ["minmax", "binary", "decimal", "grid"])
def test_a_tree_in_parts_gives_the_same_distribution(name, build_model, random_batch, monkeypatch):
    model, batch = build_model("llama", CODECS[name]), random_batch(LENGTHS)
    whole, few = exact_distribution(model, batch), bounded_distribution(model, batch, 1e-9)
    monkeypatch.setattr(decoding, "NODES_PER_PASS", 6)
    passes = _widths(model, monkeypatch, "node_logits")
    parts = exact_distribution(model, batch)
    assert parts.probabilities == pytest.approx(whole.probabilities, abs=1e-6)
    assert parts.greedy().tolist() == whole.greedy().tolist()
    assert len(passes) == -(-model.tree.n_open // 3)
    assert max(passes) <= 3 * model.tree.n_levels
    passes = _widths(model, monkeypatch, "extend")
    found = bounded_distribution(model, batch, 1e-9)
    assert found.mean() == pytest.approx(few.mean(), abs=1e-5 * np.ptp(CODECS[name].edges_))
    assert max(passes) <= 6


def test_thousands_of_nodes_are_never_in_one_pass(build_model, random_batch, monkeypatch):
    model = build_model("llama", DecimalCodec(2, low=0, high=209.99).fit([0.0]))
    batch, tree = random_batch((5,)), model.tree
    assert tree.n_open > 2048
    nodes = torch.arange(tree.n_open)
    steps = step_log_probs(model.node_logits(batch, nodes[1:]), tree, nodes)
    passes = _widths(model, monkeypatch, "node_logits")
    found = exact_distribution(model, batch)
    assert found.probabilities == pytest.approx(leaf_log_probs(steps, tree).exp().numpy(), abs=1e-6)
    assert max(passes) < 2048


def test_only_nodes_that_leave_a_choice_are_evaluated(build_model, random_batch, monkeypatch):
    model, batch = build_model("llama", CODECS["decimal"]), random_batch(LENGTHS)
    assert model.tree.n_nodes > 3 * model.tree.n_open
    passes = _widths(model, monkeypatch, "node_logits")
    exact_distribution(model, batch)
    assert passes == [model.tree.n_open - 1]
    assert _n_evaluated(model, batch, 1e-9, monkeypatch) <= 3 * (model.tree.n_open - 1)


def test_models_that_compute_one_path_at_a_time_decode_numbers_of_any_length(
    build_model, random_batch
):
    model, batch = build_model("mamba", CODECS["grid"]), random_batch(LENGTHS)
    assert not model.packs
    exact, found = exact_distribution(model, batch), bounded_distribution(model, batch, 1e-9)
    assert found.mean() == pytest.approx(exact.mean(), abs=1e-4)
    assert found.greedy().tolist() == exact.greedy().tolist()


def test_an_unexpanded_node_stands_for_the_runs_of_numbers_below_it(build_model, random_batch):
    model = _sharpen(build_model("llama", CODECS["decimal"]), 0.01)
    found = bounded_distribution(model, random_batch(LENGTHS), 1e6)
    exact = exact_distribution(model, random_batch(LENGTHS))
    for row in range(3):
        mass = found.probabilities[row] > 0
        width = (found.upper - found.lower)[row][mass]
        assert {10.0, 100.0} & set(width.round(6)), "nothing is left as an interval"
        # Cells are whole numbers' bins: together they hold every number once.
        assert width.sum() == pytest.approx(281)
    assert found.probabilities.shape[1] < exact.probabilities.shape[1]


def _n_evaluated(model, batch, tolerance, monkeypatch):
    counts, extend = [0], model.extend

    def spy(cache, nodes):
        counts[0] += int((nodes >= 0).sum())
        return extend(cache, nodes)

    with monkeypatch.context() as patch:
        patch.setattr(model, "extend", spy)
        bounded_distribution(model, batch, tolerance)
    return counts[0]


def test_a_larger_tolerance_and_a_sharper_model_need_fewer_nodes(
    build_model, random_batch, monkeypatch
):
    model, batch = build_model("llama", CODECS["minmax"]), random_batch(LENGTHS)
    counts = [_n_evaluated(model, batch, t, monkeypatch) for t in (1e-9, 0.03, 0.3, 100.0)]
    assert counts[0] == 3 * 110
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == 4
    assert counts[-1] == 3 * 2  # the greedy path alone
    assert _n_evaluated(_sharpen(model, 5.0), batch, 0.03, monkeypatch) < counts[1]


def test_batch_mates_do_not_change_a_bounded_distribution(build_model, random_prompts, as_batch):
    model = build_model("llama", CODECS["minmax"])
    prompts = random_prompts((5, 1, 8, 8))
    together = bounded_distribution(model, as_batch(prompts), 0.05)
    points = np.linspace(Y.min(), Y.max(), 101)[None]
    for row, prompt in enumerate(prompts):
        alone = bounded_distribution(model, as_batch([prompt], extra_padding=row), 0.05)
        assert alone.mean() == pytest.approx(together[row].mean(), abs=1e-5)
        assert alone.cdf(points) == pytest.approx(together[row].cdf(points), abs=1e-5)
        assert (alone.probabilities > 0).sum() == (together[row].probabilities > 0).sum()


@pytest.mark.parametrize("unit", [1e-300, 1e-44, 1e-3, 1e44, 1e300])
def test_the_bound_holds_in_every_unit_of_y(build_model, random_batch, unit):
    # Single precision holds neither 1e-300 nor 1e300.
    model = build_model("llama", DigitCodec(10, 3).fit([0.0, 10 * unit]))
    batch = random_batch(LENGTHS)
    exact = exact_distribution(model, batch).mean() / unit
    for tolerance in (1e-3, 0.1):
        found = bounded_distribution(model, batch, tolerance * unit).mean() / unit
        assert (np.abs(found - exact) <= tolerance + 1e-4).all()
    coarse = bounded_distribution(model, batch, 2 * unit)
    assert coarse.probabilities.shape[1] < 1000  # and something is left out at last


@pytest.mark.parametrize("tolerance", [None, 0.02])
def test_a_model_in_half_precision_predicts_too(build_model, random_batch, tolerance):
    model, batch = build_model("llama", CODECS["minmax"]), random_batch(LENGTHS)
    expected = exact_distribution(model, batch).mean()
    model.place("cpu", torch.bfloat16)
    if tolerance is None:
        found = exact_distribution(model, batch)
    else:
        found = bounded_distribution(model, batch, tolerance)
    assert found.mean() == pytest.approx(expected, abs=0.2)


def _with_estimate(batch, codec):
    """The batch with an estimate of each row, a tenth of the codec's range wide."""
    unit = float(np.ptp(codec.edges_)) or 1.0
    centre = codec.edges_[0] + unit * torch.tensor([0.13, 0.41, 0.97], dtype=torch.float64)
    width = torch.full_like(centre, unit)
    return replace(batch, estimate=Estimate(centre, width, Spread(0.03, 0.1, 0.1)))


@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_an_estimate_counts_by_its_weight_at_every_step_of_exact_and_bounded_trees(
    weight, build_model, random_batch, codec
):
    model, batch = build_model("llama", codec), _with_estimate(random_batch(LENGTHS), codec)
    tree, nodes = model.tree, torch.arange(model.tree.n_open)
    mine, theirs = open_steps(model, batch), estimate_steps(batch.estimate, tree, nodes)
    # In the model's precision, where neighbouring numbers may be equally likely.
    apart = tree.to_heaps if tree.to_heaps is None else tree.to_heaps[nodes]
    steps = step_log_probs(pooled(mine, theirs, weight, apart), tree, nodes)
    expected = leaf_log_probs(steps, tree).exp().double().numpy()
    calibration = Calibration(estimate_weight=weight)
    found = exact_distribution(model, batch, calibration)
    np.testing.assert_allclose(found.probabilities, _in_cells(expected, codec), atol=1e-5)
    assert found.greedy().tolist() == codec.values_[greedy_leaf(steps, tree).numpy()].tolist()
    tolerance = 0.01 * np.ptp(codec.values_)
    bounded = bounded_distribution(model, batch, tolerance, calibration)
    assert np.abs(bounded.mean() - found.mean()).max() <= tolerance + 1e-5
    assert bounded.greedy().tolist() == found.greedy().tolist()
    # Without a weight it has no say; without an estimate a weight has none.
    untouched = exact_distribution(model, batch)
    alone = exact_distribution(model, replace(batch, estimate=None), calibration)
    np.testing.assert_array_equal(untouched.probabilities, alone.probabilities)


@pytest.mark.parametrize("temperature", [0.4, 3.0])
def test_a_temperature_acts_on_every_step_of_exact_and_bounded_trees(
    temperature, build_model, random_batch, codec
):
    model, batch = build_model("llama", codec), random_batch(LENGTHS)
    tree, nodes = model.tree, torch.arange(model.tree.n_nodes)
    logits = model.node_logits(batch, nodes[1:])
    steps = step_log_probs(logits, tree, nodes, temperature)  # of the logits themselves
    expected = leaf_log_probs(steps, tree).exp().double().numpy()
    calibration = Calibration(temperature)
    found = exact_distribution(model, batch, calibration)
    np.testing.assert_allclose(found.probabilities, _in_cells(expected, codec), atol=1e-6)
    untouched = exact_distribution(model, batch)
    assert found.greedy().tolist() == untouched.greedy().tolist()
    if tree.n_levels > 1 and len(tree.leaf_value) > 5 and np.ptp(codec.values_):
        assert np.abs(found.mean() - untouched.mean()).max() > 1e-3
    tolerance = 0.01 * np.ptp(codec.values_)
    bounded = bounded_distribution(model, batch, tolerance, calibration)
    assert np.abs(bounded.mean() - found.mean()).max() <= tolerance + 1e-6
    assert bounded.greedy().tolist() == untouched.greedy().tolist()
