"""The number tree against brute force over prefixes."""

import itertools

import numpy as np
import pytest
import torch

from llmreg.numbers.codecs import DigitCodec
from llmreg.numbers.tree import NumberTree, greedy_leaf, keep_nodes, leaf_log_probs, step_log_probs

CODECS = {
    "10x3": DigitCodec(10, 3).fit([0.0, 5.0]),
    "2x8": DigitCodec(2, 8, scale="log").fit([-3.0, 0.1, 50.0]),
    "32x2": DigitCodec(32, 2, scale="quantile").fit(np.random.default_rng(0).normal(size=99)),
    "10x1": DigitCodec(10, 1).fit([-1.0, 1.0]),
    "constant": DigitCodec(3, 2).fit([4.0, 4.0]),
}


@pytest.fixture(params=[*CODECS, "ragged"])
def codec(request, ragged_codec):
    return CODECS.get(request.param, ragged_codec)


@pytest.fixture
def tree(codec):
    return NumberTree.from_codec(codec)


def _prefixes(tree):
    """The prefix that each node stands for, read off the leaves' paths."""
    found = {}
    for nodes, symbols in zip(tree.path_nodes.tolist(), tree.path_symbols.tolist(), strict=True):
        for level, node in enumerate(nodes):
            assert found.setdefault(node, tuple(symbols[:level])) == tuple(symbols[:level])
    return found


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


def test_nodes_are_exactly_the_distinct_prefixes_of_the_sequences(codec, tree):
    prefixes = _prefixes(tree)
    sequences = codec.sequences().tolist()
    expected = {tuple(s[:level]) for s in sequences for level in range(len(s))}
    assert tree.path_symbols.tolist() == sequences
    assert sorted(prefixes) == list(range(tree.n_nodes))
    assert set(prefixes.values()) == expected
    assert len(expected) == tree.n_nodes


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


def test_a_symbol_leads_to_a_child_or_a_leaf_or_is_illegal(tree):
    prefixes = _prefixes(tree)
    node_of = {prefix: node for node, prefix in prefixes.items()}
    leaf_of = {tuple(symbols): leaf for leaf, symbols in enumerate(tree.path_symbols.tolist())}
    for node, prefix in prefixes.items():
        for symbol in range(tree.child.shape[1]):
            written = (*prefix, symbol)
            assert tree.child[node, symbol] == node_of.get(written, -1)
            assert tree.leaf[node, symbol] == leaf_of.get(written, -1)


def test_spans_cover_exactly_the_leaves_below(codec, tree):
    for node in range(tree.n_nodes):
        below = (tree.path_nodes == node).any(1).nonzero().squeeze(1)
        expected = [codec.edges_[below.min()], codec.edges_[below.max() + 1]]
        assert tree.span[node].tolist() == expected
        children = [c for c in tree.child[node].tolist() if c >= 0]
        if children:  # spans nest: the children's spans tile their parent's
            spans = tree.span[children]
            assert spans[0, 0] == tree.span[node, 0]
            assert spans[-1, 1] == tree.span[node, 1]
            assert torch.equal(spans[:-1, 1], spans[1:, 0])
    assert tree.leaf_span.tolist() == list(map(list, itertools.pairwise(codec.edges_.tolist())))
    assert tree.leaf_value.tolist() == codec.values_.tolist()
    assert tree.span.dtype == tree.leaf_value.dtype == torch.float64


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
