"""What an expert would write next, whatever was written so far.

Given a prefix that the model wrote itself, the expert takes the symbol that leads to the number
closest to the target among those that can still be reached. For digits that is GenRe²'s completion
rule (arXiv 2512.06533): the target's digit while the prefix equals the target's, 0 once the prefix
is greater, the highest digit once it is less. Pure functions of tensors.
"""

import torch

__all__ = ["expert_symbols", "node_probabilities"]


def expert_symbols(tree, nodes, leaf):
    """Symbol towards the closest number that is still within reach.

    Parameters
    ----------
    tree : llmreg.numbers.tree.NumberTree
        The numbers below a node need not be neighbours (as with "1", "10" and "2").
    nodes : LongTensor of shape (B, K)
    leaf : LongTensor of shape (B,)
        Each row's target, as one of the tree's L numbers.

    Returns
    -------
    LongTensor of shape (B, K)
        Of two numbers equally close, the greater one counts.
    """
    n_leaves = len(tree.leaf_value)
    number = torch.arange(n_leaves, device=nodes.device)
    # All pairs of a node and a number below it, in order: a row's closest numbers below a node are
    # the neighbours of the pair that node and target would make.
    pairs = (tree.path_nodes.long() * n_leaves + number.unsqueeze(1)).flatten().sort().values
    after = torch.searchsorted(pairs, nodes * n_leaves + leaf.unsqueeze(1))
    sides = [pairs[(after - step).clamp(0, len(pairs) - 1)] for step in (0, 1)]
    target = tree.leaf_value[leaf].unsqueeze(1)
    above, below = (
        (tree.leaf_value[pair % n_leaves] - target).abs().masked_fill(pair // n_leaves != nodes,
                                                                      torch.inf)
        for pair in sides
    )  # fmt: skip
    closest = torch.where(above <= below, *sides) % n_leaves
    return tree.path_symbols[closest, tree.depth[nodes]]


def node_probabilities(probs, tree):
    """Probability that a number drawn from the distribution passes each node.

    Parameters
    ----------
    probs : Tensor of shape (B, L)
    tree : llmreg.numbers.tree.NumberTree of M nodes

    Returns
    -------
    Tensor of shape (B, M)
    """
    total = probs.new_zeros(len(probs), tree.n_nodes)
    for nodes in tree.path_nodes.long().unbind(1):
        total = total.index_add(1, nodes, probs)
    return total
