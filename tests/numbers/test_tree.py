"""The number tree against brute force over prefixes."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from codec_zoo import PlainCodec

from llmreg.codecs.decimals import DecimalCodec
from llmreg.codecs.digits import END, DigitCodec
from llmreg.codecs.grids import GridCodec
from llmreg.codecs.scientific import ScientificCodec
from llmreg.numbers.tree import (
    NumberTree,
    greedy_leaf,
    keep_nodes,
    leaf_log_probs,
    mixed_steps,
    step_log_probs,
)

CODECS = {
    "10x3": DigitCodec(10, 3).fit([0.0, 5.0]),
    "2x8": DigitCodec(2, 8, scale="log").fit([-3.0, 0.1, 50.0]),
    "32x2": DigitCodec(32, 2, scale="quantile").fit(np.random.default_rng(0).normal(size=99)),
    "10x1": DigitCodec(10, 1).fit([-1.0, 1.0]),
    "heaped": DigitCodec(10, 2).fit([0.0, 0.0, 0.0, 0.01, 1.0, 2.0, 5.0, 5.0, 5.0]),
    "constant": DigitCodec(3, 2).fit([4.0, 4.0]),
    "scientific": ScientificCodec(1, signs="both").fit([20.0]),
    "whole": DecimalCodec(0, low=-12, high=123).fit([0.0]),
    "decimal": DecimalCodec(1, low=-1, high=11).fit([0.03]),
    "grid": GridCodec([1, 1.5, 10, 15.25, 100, 2, 0.5]).fit([0.0]),
    "one number": GridCodec([12]).fit([0.0]),
}


@pytest.fixture(params=[*CODECS, "ragged"])
def codec(request, ragged_codec):
    return CODECS.get(request.param, ragged_codec)


@pytest.fixture
def tree(codec):
    return NumberTree.from_codec(codec)


def _prefixes(tree):
    """The prefix that each node stands for, read off the leaves' paths."""
    found = {0: ()}
    for nodes, symbols in zip(tree.path_nodes.tolist(), tree.path_symbols.tolist(), strict=True):
        for level, node in enumerate(nodes):
            if level and node == nodes[level - 1]:  # it waits
                assert node >= tree.n_open
                assert symbols[level] == symbols[level - 1] == tree.symbol[node]
            else:
                prefix = tuple(symbols[:level])
                assert found.setdefault(node, prefix) == prefix
    return found


def _decided(sequences):
    """For each sequence its shortest prefix that no other has, and the prefixes that several have,
    by brute force."""
    shared = Counter(tuple(s[:k]) for s in sequences for k in range(len(s) + 1))
    shortest = [
        next(tuple(s[:k]) for k in range(1, len(s) + 1) if shared[tuple(s[:k])] == 1)
        for s in sequences
    ]
    return shortest, {(), *(prefix for prefix, count in shared.items() if count > 1)}


def _random_steps(tree, n_rows, seed=0, temperature=1.0):
    """Random logits and their step log-probabilities at all nodes, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    shape = (n_rows, *tree.child.shape)
    logits = 3 * torch.randn(shape, dtype=torch.float64, generator=generator)
    return logits, step_log_probs(logits, tree, torch.arange(tree.n_nodes), temperature)


# Structure


def test_three_decimal_digits_make_111_nodes_and_1000_leaves():
    tree = NumberTree.from_codec(CODECS["10x3"])
    assert (tree.n_nodes, tree.n_levels, len(tree.leaf_value)) == (111, 3, 1000)


@pytest.mark.parametrize(
    ("name", "n_nodes", "n_leaves"),
    [("2x8", 255, 256), ("32x2", 33, 1024), ("10x1", 1, 10), ("constant", 4, 9)],
)
def test_nodes_are_the_proper_prefixes(name, n_nodes, n_leaves):
    tree = NumberTree.from_codec(CODECS[name])
    assert (tree.n_nodes, len(tree.leaf_value)) == (n_nodes, n_leaves)


def test_nodes_are_the_prefixes_of_several_numbers_and_those_that_wait(codec, tree):
    prefixes = _prefixes(tree)
    decided, shared = _decided(codec.sequences().tolist())
    assert tree.n_levels == max(map(len, decided))
    waiting = {prefix for prefix in decided if len(prefix) < tree.n_levels}
    assert sorted(prefixes) == list(range(tree.n_nodes))
    assert {prefixes[node] for node in range(tree.n_open)} == shared
    assert {prefixes[node] for node in range(tree.n_open, tree.n_nodes)} == waiting
    assert tree.n_nodes == len(shared) + len(waiting)
    for symbols, prefix in zip(tree.path_symbols.tolist(), decided, strict=True):
        assert tuple(symbols[: len(prefix)]) == prefix


def test_node_tables_agree_with_the_prefixes(tree):
    prefixes = _prefixes(tree)
    node_of = {prefix: node for node, prefix in prefixes.items()}
    assert prefixes[0] == ()
    for node, prefix in prefixes.items():
        assert tree.depth[node] == len(prefix)
        assert tree.symbol[node] == (prefix[-1] if prefix else 0)
        above = [node_of[prefix[:k]] for k in range(len(prefix) + 1)]
        assert above == sorted(above)  # parents come before children
        padding = [-1] * (tree.n_levels - len(above))
        assert tree.ancestors[node].tolist() == above + padding


def test_a_symbol_leads_to_a_child_or_decides_or_is_illegal(codec, tree):
    prefixes = _prefixes(tree)
    node_of = {prefix: node for node, prefix in prefixes.items()}
    decided, _ = _decided(codec.sequences().tolist())
    leaf_of = {prefix: leaf for leaf, prefix in enumerate(decided)}
    for node, prefix in prefixes.items():
        for symbol in range(tree.child.shape[1]):
            child, leaf = int(tree.child[node, symbol]), int(tree.leaf[node, symbol])
            if node < tree.n_open:
                written = (*prefix, symbol)
                assert child == node_of.get(written, -1)
                assert leaf == leaf_of.get(written, -1)
            elif symbol == tree.symbol[node]:
                assert (child, leaf) == (node, leaf_of[prefix])
            else:
                assert (child, leaf) == (-1, -1)


def test_spans_and_runs_cover_exactly_the_leaves_below(codec, tree):
    for node in range(tree.n_nodes):
        below = (tree.path_nodes == node).any(1).nonzero().squeeze(1)
        assert tree.span[node].tolist() == [
            codec.edges_[below.min()],
            codec.edges_[below.max() + 1],
        ]
        if node >= tree.n_open:
            assert len(below) == 1
            continue
        share, runs = tree.run_share[node], tree.runs[node]
        inside = (runs[:, :1] <= tree.leaf_place) & (tree.leaf_place <= runs[:, 1:])  # (R, L)
        real = share > 0
        if len(set(codec.edges_.tolist())) > 1:
            assert inside[real].any(0).nonzero().squeeze(1).tolist() == below.tolist()
            assert (share[real] * len(below)).tolist() == pytest.approx(
                inside[real].sum(1).tolist()
            )
        assert float(share.sum()) == pytest.approx(1)
        assert (runs[real][1:, 0] > runs[real][:-1, 1]).all()  # apart, or they would be one
        assert float(runs[real][:, 0].max()) <= float(codec.to_axis(codec.edges_[-1]))
        # In the units of y, an endless run counts as far as the codec's numbers go.
        spans = tree.run_spans[node][real]
        if (spans[:, 0] == spans[:, 1]).all():  # all mass on the number in the middle
            assert set(spans.flatten().tolist()) <= set(codec.values_.tolist())
        else:
            assert spans.min() >= codec.edges_[0] and spans.max() <= codec.edges_[-1]
            ends = codec.to_axis(spans.numpy())
            assert ends == pytest.approx(runs[real].clamp(ends.min(), ends.max()).numpy())
        centre = float((share * tree.run_spans[node].mean(1)).sum())
        ends = codec.edges_[[int(below.min()), int(below.max()) + 1]]
        assert float(tree.radius[node]) == pytest.approx(np.abs(ends - centre).max(), abs=1e-12)
    bins = np.where(np.isinf(codec.open_edges), codec.open_edges, codec.to_axis(codec.edges_))
    assert tree.leaf_span.tolist() == list(map(list, itertools.pairwise(bins.tolist())))
    assert tree.leaf_place.tolist() == codec.to_axis(codec.values_).tolist()
    assert tree.leaf_value.tolist() == codec.values_.tolist()
    assert tree.span.dtype == tree.leaf_value.dtype == torch.float64


def test_what_people_write_is_not_contiguous_and_what_codecs_write_in_order_is():
    kinds = {name: NumberTree.from_codec(codec).contiguous for name, codec in CODECS.items()}
    assert [name for name, contiguous in kinds.items() if not contiguous] == [
        "whole", "decimal", "grid"
    ]  # fmt: skip


def test_cells_share_out_what_a_leaf_has_and_keep_its_number(codec, tree):
    for leaf, cells in enumerate(tree.leaf_cells):
        cells = cells[cells >= 0]
        assert tree.cell_leaf[cells].tolist() == [leaf] * len(cells)
        share, value = tree.cell_share[cells], tree.cell_value[cells]
        assert float(share.sum()) == pytest.approx(1)
        assert float(share @ value) == pytest.approx(codec.values_[leaf], abs=1e-12)
        ends = tree.cell_span[cells]
        assert (codec.edges_[leaf] <= ends.numpy()).all()
        assert (ends.numpy() <= codec.edges_[leaf + 1]).all()
    assert sorted(tree.leaf_cells[tree.leaf_cells >= 0].tolist()) == [*range(len(tree.cell_leaf))]


def _broken(**changes):
    good = dict(symbols=("a", "b", END), edges_=np.arange(3.0), values_=np.array([0.5, 1.5]),
                sequences=lambda: np.array([[0, 2], [0, 1]]))  # fmt: skip
    return PlainCodec(**good | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(sequences=lambda: np.array([[0, 1], [0, 1]])), r"0 and 1 .* same sequence.*\[0, 1\]"),
        (dict(sequences=lambda: np.array([[0, 1], [2, 1]])), r"\['<end>', 'b'\] goes on after"),
        (dict(values_=np.array([0.5, 2.5])), r"Number 1 .*2.5 in \[1, 2\], lies outside its bin"),
        (dict(edges_=np.array([0.0, 2.0, 1.0])), r"Number 1 .*ascend"),
        (dict(edges_=np.zeros(3), values_=np.array([0.0, -1.0])), r"not above the one before"),
    ],
)
def test_a_codec_that_breaks_a_rule_is_refused(changes, message):
    assert NumberTree.from_codec(_broken()).n_open == 2
    with pytest.raises(ValueError, match=message):
        NumberTree.from_codec(_broken(**changes))


def test_a_moved_tree_has_equal_tensors(tree):
    moved = tree.to("cpu")
    assert torch.equal(moved.child, tree.child)
    assert torch.equal(moved.span, tree.span)


# Visibility


def test_a_node_sees_itself_and_its_ancestors_only(tree):
    prefixes = _prefixes(tree)
    rng = np.random.default_rng(0)
    query = torch.as_tensor(rng.integers(tree.n_nodes, size=(3, 40)))
    key = torch.as_tensor(rng.integers(-1, tree.n_nodes, size=(3, 50)))
    seen = tree.visible(query, key)
    assert seen.shape == (3, 40, 50)
    for row, i, j in itertools.product(range(3), range(40), range(50)):
        node, other = int(query[row, i]), int(key[row, j])
        above = other >= 0 and prefixes[node][: len(prefixes[other])] == prefixes[other]
        assert seen[row, i, j] == above


def test_padding_is_seen_by_no_one(tree):
    query = torch.tensor([-1, 0, tree.n_nodes - 1])
    assert not tree.visible(query, torch.tensor([-1, -1])).any()


# Probabilities


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_leaf_probabilities_are_the_products_of_their_steps_and_sum_to_one(tree, temperature):
    logits, steps = _random_steps(tree, 2, temperature=temperature)
    result = leaf_log_probs(steps, tree)
    expected = torch.ones_like(result)
    legal = (tree.child >= 0) | (tree.leaf >= 0)
    for leaf, level in itertools.product(range(result.shape[1]), range(tree.n_levels)):
        node, symbol = tree.path_nodes[leaf, level], tree.path_symbols[leaf, level]
        weights = (logits[:, node] / temperature).exp() * legal[node]
        expected[:, leaf] *= weights[:, symbol] / weights.sum(1)
    assert torch.allclose(result.exp(), expected, rtol=1e-10, atol=0)
    assert torch.allclose(result.exp().sum(1), torch.ones(2, dtype=torch.float64))


def test_the_greedy_leaf_follows_the_likeliest_symbol_at_each_step(tree):
    _, steps = _random_steps(tree, 20)
    for row, found in enumerate(greedy_leaf(steps, tree).tolist()):
        node = 0
        for _ in range(tree.n_levels - 1):
            node = int(tree.child[node, int(steps[row, node].argmax())])
        assert found == tree.leaf[node, int(steps[row, node].argmax())]


def test_steps_at_the_open_nodes_are_enough(tree):
    _, steps = _random_steps(tree, 3)
    some = steps[:, : tree.n_open]
    assert torch.allclose(leaf_log_probs(some, tree), leaf_log_probs(steps, tree))
    assert torch.equal(greedy_leaf(some, tree), greedy_leaf(steps, tree))


def test_illegal_symbols_get_no_probability_however_large_their_logits(ragged_codec):
    tree = NumberTree.from_codec(ragged_codec)
    legal = (tree.child >= 0) | (tree.leaf >= 0)
    logits = torch.zeros(1, *legal.shape).masked_fill(~legal, 1e4)
    steps = step_log_probs(logits, tree, torch.arange(tree.n_nodes))
    assert (steps.exp()[0][~legal] == 0).all()
    assert torch.allclose(steps.exp()[0][legal], (1 / legal.sum(1, keepdim=True) * legal)[legal])
    assert int(greedy_leaf(steps, tree)) in range(5)


def test_gradients_are_finite_and_zero_at_illegal_symbols(ragged_codec):
    tree = NumberTree.from_codec(ragged_codec)
    logits = torch.randn(2, *tree.child.shape, requires_grad=True)
    steps = step_log_probs(logits, tree, torch.arange(tree.n_nodes))
    log_probs = leaf_log_probs(steps, tree)
    (log_probs * log_probs.exp()).sum().backward()
    legal = (tree.child >= 0) | (tree.leaf >= 0)
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[:, ~legal] == 0).all()
    assert (logits.grad[:, 0].abs() > 0).all()


def test_step_log_probs_take_nodes_of_each_row_and_tolerate_padding(ragged_codec):
    tree = NumberTree.from_codec(ragged_codec)
    logits, everywhere = _random_steps(tree, 2)
    nodes = torch.tensor([[3, 0, -1], [1, 5, 2]])
    rows = torch.arange(2).unsqueeze(1)
    steps = step_log_probs(logits[rows, nodes.clamp(min=0)], tree, nodes)
    real = nodes >= 0
    assert torch.allclose(steps[real], everywhere[rows, nodes.clamp(min=0)][real])
    assert torch.isfinite(steps).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_make_probabilities_that_sum_to_one(dtype):
    tree = NumberTree.from_codec(CODECS["10x3"])
    logits = torch.randn(4, 111, 10, generator=torch.Generator().manual_seed(0)).to(dtype)
    total = leaf_log_probs(step_log_probs(logits, tree, torch.arange(111)), tree).exp().sum(1)
    assert torch.allclose(total, torch.ones(4), atol=1e-5)


# Which nodes to expand


def _random_level(seed, n_rows=20, n_nodes=8):
    rng = np.random.default_rng(seed)
    mass = rng.dirichlet(np.full(n_nodes, 10 ** rng.uniform(-1.5, 1)), n_rows)
    return torch.as_tensor(mass), torch.as_tensor(rng.uniform(0, 2, (n_rows, n_nodes)))


@pytest.mark.parametrize("seed", range(10))
def test_nodes_left_out_never_move_the_mean_by_more_than_the_tolerance(seed):
    rng = np.random.default_rng(seed)
    mass, width = _random_level(seed)
    for tolerance in (0.0, 1e-3, 0.05, 0.3, 10.0):
        left_out = ~keep_nodes(mass, width, tolerance)
        # The worst case: all of a node's mass sits at one end of its interval.
        for offset in (np.ones(width.shape), rng.uniform(-1, 1, width.shape)):
            moved = (mass * left_out * width / 2 * torch.as_tensor(offset)).sum(1)
            assert (moved.abs() <= tolerance + 1e-12).all()


@pytest.mark.parametrize("seed", range(5))
def test_no_further_node_could_have_been_left_out(seed):
    mass, width = _random_level(seed)
    for tolerance in (1e-3, 0.05, 0.3):
        keep = keep_nodes(mass, width, tolerance)
        error = mass * width / 2
        spent = error.masked_fill(keep, 0).sum(1)
        cheapest = error.masked_fill(~keep, torch.inf).min(1).values
        assert (spent + cheapest > tolerance).all()
        assert keep.any()
        assert not keep.all()


def test_all_nodes_are_left_out_when_the_tolerance_covers_them():
    mass, width = _random_level(0)
    assert not keep_nodes(mass, width, 10.0).any()
    assert keep_nodes(mass, width + 0.1, 0.0).all()


def test_rows_do_not_influence_which_nodes_are_kept():
    mass, width = _random_level(1)
    together = keep_nodes(mass, width, 0.05)
    for row in range(len(mass)):
        assert torch.equal(keep_nodes(mass[[row]], width[[row]], 0.05)[0], together[row])


def test_a_mixture_gives_every_leaf_the_mean_of_its_probabilities(tree):
    torch.manual_seed(0)
    nodes = torch.arange(tree.n_open)
    logits = 3 * torch.randn(4, 2, tree.n_open, tree.child.shape[1], dtype=torch.float64)
    steps = torch.stack([step_log_probs(own, tree, nodes) for own in logits])
    mixed = mixed_steps(steps, tree)
    expected = torch.stack([leaf_log_probs(own, tree).exp() for own in steps]).mean(0)
    torch.testing.assert_close(leaf_log_probs(mixed, tree).exp(), expected)
    torch.testing.assert_close(mixed.exp().sum(-1), torch.ones_like(mixed[..., 0]))
    torch.testing.assert_close(mixed_steps(steps[:1], tree).exp(), steps[0].exp())


def test_symbols_on_the_way_to_heaps():
    tree = NumberTree.from_codec(CODECS["heaped"])
    places = [tuple(place) for place in tree.to_heaps.nonzero().tolist()]
    paths = [[(0, 0), (int(tree.child[0, 0]), 0)], [(0, 9), (int(tree.child[0, 9]), 9)]]
    assert sorted(places) == sorted(paths[0] + paths[1])
    below = NumberTree.from_codec(DigitCodec(10, 2).fit([0.0, 0.0, 0.0, 1.0, 2.0, 5.0]))
    assert below.to_heaps.sum() == 2 and below.to_heaps[:, 0].sum() == 2
    for name, codec in CODECS.items():
        if name not in ("heaped", "constant"):
            assert NumberTree.from_codec(codec).to_heaps is None, name


def test_the_likeliest_number_of_a_bin_is_its_heap_if_most_of_it_is_there():
    inside = np.linspace(1, 9, 50)
    few = [*[0.0] * 3, *np.linspace(0.02, 0.08, 9)]  # a quarter of the first bin
    most = [*[10.0] * 9, *np.linspace(9.92, 9.98, 3)]
    tree = NumberTree.from_codec(DigitCodec(scale="minmax").fit([*few, *inside, *most]))
    assert tree.leaf_likeliest[[0, -1]].tolist() == pytest.approx([0.05, 10.0])
    assert tree.leaf_value[[0, -1]].tolist() == pytest.approx([0.0375, 9.9875])
    assert torch.equal(tree.leaf_likeliest[30:60], tree.leaf_value[30:60])


@pytest.mark.parametrize("y", [[1.0, 2, 3, 4, 5, 6], [0.0, 1.0], [3.0]])
def test_the_only_number_below_a_node_is_that_of_all_its_leaves(y):
    tree = NumberTree.from_codec(DigitCodec(10, 3).fit(np.repeat(y, 5)))
    below = [set() for _ in range(tree.n_open)]
    for path, number in zip(tree.path_nodes.tolist(), tree.leaf_likeliest.tolist(), strict=True):
        for node in path:
            below[node].add(number)
    expected = [number.pop() if len(number) == 1 else np.nan for number in below]
    np.testing.assert_array_equal(tree.only_number, expected)


def test_no_node_is_asked_for_its_only_number_where_numbers_differ():
    assert all(
        NumberTree.from_codec(codec).only_number is None
        for name, codec in CODECS.items()
        if name != "constant"
    )
