"""The expert's next symbol, by exhaustive search and by GenRe²'s published rule."""

import numpy as np
import pytest
import torch
from free_policies import tree_rows

from llmreg.codecs.base import END
from llmreg.codecs.decimals import DecimalCodec
from llmreg.codecs.digits import DigitCodec
from llmreg.methods.expert import expert_symbols, node_probabilities
from llmreg.numbers.tree import NumberTree

# Numbers below "1" are not neighbours: 1 and 10 to 12 have 2 to 9 between them.
SPELLED = DecimalCodec(0).fit(np.arange(1.0, 13.0))


def _everywhere(tree):
    """The expert's symbol at every node (columns) for every target (rows)."""
    n_leaves = len(tree.leaf_value)
    nodes = torch.arange(tree.n_nodes).expand(n_leaves, -1)
    return expert_symbols(tree, nodes, torch.arange(n_leaves)).numpy()


def _reachable(tree):
    """For each node and symbol, which numbers can still be written: (M, S, L)."""
    found = np.zeros((*tree.child.shape, len(tree.leaf_value)), dtype=bool)
    for level in range(tree.n_levels):
        nodes, symbols = tree.path_nodes[:, level], tree.path_symbols[:, level]
        found[nodes, symbols, np.arange(len(nodes))] = True
    return found


@pytest.mark.parametrize(("base", "n_digits"), [(2, 8), (4, 4), (10, 3)])
def test_for_digits_the_expert_follows_the_published_rule(base, n_digits):
    tree = NumberTree.from_codec(DigitCodec(base, n_digits).fit([0.0, 1.0]))
    found = _everywhere(tree)
    targets = tree.path_symbols.numpy()
    for node in range(tree.n_nodes):
        depth = int(tree.depth[node])
        leaf = int((tree.path_nodes[:, depth] == node).nonzero()[0])
        prefix = targets[leaf, :depth]
        differs = targets[:, :depth] != prefix
        first = differs.argmax(1) if depth else np.zeros(len(targets), dtype=int)
        greater = prefix[first] > targets[np.arange(len(targets)), first] if depth else False
        rule = np.where(greater, 0, base - 1)
        rule = np.where(differs.any(1), rule, targets[:, depth])
        assert np.array_equal(found[:, node], rule)


@pytest.mark.parametrize(
    "codec",
    [
        DigitCodec(2, 8).fit([0.0, 1.0]),
        DigitCodec(4, 4, scale="log").fit([-3.0, 0.1, 50.0]),
        DigitCodec(10, 3).fit([0.0, 1.0]),
        SPELLED,
        "ragged",
    ],
)
def test_the_expert_leads_to_the_closest_number_within_reach(codec, ragged_codec):
    tree = NumberTree.from_codec(ragged_codec if codec == "ragged" else codec)
    found, reachable, values = _everywhere(tree), _reachable(tree), tree.leaf_value.numpy()
    gaps = np.abs(values - values[:, None])  # (targets, numbers)
    for node in range(tree.n_nodes):
        closest = np.where(reachable[node].any(0), gaps, np.inf).min(1)
        led_to = np.where(reachable[node][found[:, node]], gaps, np.inf).min(1)
        assert np.array_equal(led_to, closest)
        assert np.isfinite(led_to).all()  # the symbol is legal


def test_below_a_prefix_whose_numbers_are_not_neighbours_the_closest_counts():
    tree = NumberTree.from_codec(SPELLED)
    targets = torch.searchsorted(tree.leaf_value, torch.tensor([2.0, 4.0, 9.0, 11.0]).double())
    one = tree.child[0, SPELLED.symbols.index("1")]
    found = expert_symbols(tree, one.expand(4, 1), targets).squeeze(1)
    written = [SPELLED.symbols[i] for i in found]
    assert written == [END, END, "0", "1"]  # 1, 1, 10 and 11


def test_the_probability_of_a_node_is_that_of_the_numbers_below_it():
    policy, _ = tree_rows(2)
    tree, probs = policy.tree, policy.leaf_log_probs().exp()
    found = node_probabilities(probs, tree)
    below = torch.tensor(_reachable(tree)).any(1).double()  # (M, L)
    assert torch.allclose(found, probs @ below.T)
    assert torch.allclose(found[:, 0], torch.ones(2).double())
