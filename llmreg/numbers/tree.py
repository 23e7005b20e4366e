"""The number tree: every sequence of number symbols, and the mathematics on its probabilities.

Nodes are prefixes; node 0 is the root (nothing written yet). The model's next-symbol
distribution at a node is one row of logits; the last symbol of a sequence needs no node of its
own, so a tree of N symbols over base B has 1 + B + … + B**(N-1) nodes and B**N leaves. All
functions here are pure functions of tensors; which nodes are evaluated, and how, is the business
of :mod:`llmreg.numbers.policy`.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch

__all__ = ["NumberTree", "greedy_leaf", "keep_nodes", "leaf_log_probs", "step_log_probs"]


@dataclass(frozen=True)
class NumberTree:
    """A trie over the codec's sequences, as tensors.

    M nodes with the root first and parents before children, S symbols, L leaves in ascending
    order of value, N levels.
    """

    symbol: torch.Tensor  # (M,) symbol that leads to the node; 0 for the root
    depth: torch.Tensor  # (M,) number of symbols written at the node
    ancestors: torch.Tensor  # (M, N) ancestor-or-self of the node at each depth; -1 below it
    child: torch.Tensor  # (M, S) node that a symbol leads to, or -1
    leaf: torch.Tensor  # (M, S) leaf that a symbol completes, or -1
    path_nodes: torch.Tensor  # (L, N) nodes passed on the way to a leaf, root first
    path_symbols: torch.Tensor  # (L, N) symbols written on the way
    span: torch.Tensor  # (M, 2) interval of y that a node pins down, float64
    leaf_span: torch.Tensor  # (L, 2)
    leaf_value: torch.Tensor  # (L,) number a leaf stands for, in the units of y, float64

    @classmethod
    def from_codec(cls, codec):
        """Build the trie of a fitted codec's fixed-length sequences."""
        sequences = codec.sequences()  # (L, N)
        n_leaves, n_levels = sequences.shape
        nodes = np.zeros((n_leaves, n_levels), dtype=np.int64)
        parent, symbol, depth, first, last = [[0]], [[0]], [[0]], [[0]], [[n_leaves - 1]]
        n_nodes = 1
        for level in range(1, n_levels):
            prefixes, start, which, count = np.unique(
                sequences[:, :level], axis=0, return_index=True, return_inverse=True,
                return_counts=True,
            )  # fmt: skip
            nodes[:, level] = n_nodes + which.reshape(-1)
            parent.append(nodes[start, level - 1])
            symbol.append(prefixes[:, -1])
            depth.append(np.full(len(prefixes), level))
            first.append(start)
            last.append(start + count - 1)
            n_nodes += len(prefixes)
        parent, symbol, depth, first, last = map(
            np.concatenate, (parent, symbol, depth, first, last)
        )
        child = np.full((n_nodes, len(codec.symbols)), -1)
        child[parent[1:], symbol[1:]] = np.arange(1, n_nodes)
        leaf = np.full_like(child, -1)
        leaf[nodes[:, -1], sequences[:, -1]] = np.arange(n_leaves)
        levels = np.arange(n_levels)
        ancestors = np.where(levels <= depth[:, None], nodes[first], -1)
        lower, upper = codec.edges_[:-1], codec.edges_[1:]
        tensors = dict(
            symbol=symbol, depth=depth, ancestors=ancestors, child=child, leaf=leaf,
            path_nodes=nodes, path_symbols=sequences,
            span=np.stack([lower[first], upper[last]], 1), leaf_span=np.stack([lower, upper], 1),
            leaf_value=codec.values_,
        )  # fmt: skip
        return cls(**{name: torch.as_tensor(np.array(value)) for name, value in tensors.items()})

    def to(self, device):
        """The same tree with its tensors on another device."""
        kwargs = {}
        for field in fields(self):
            value = getattr(self, field.name)
            # Not every device has float64; intervals are used for bounds, not for predictions.
            if value.is_floating_point() and torch.device(device).type == "mps":
                value = value.float()
            kwargs[field.name] = value.to(device)
        return NumberTree(**kwargs)

    @property
    def n_nodes(self):
        """int: prefixes whose next-symbol distribution matters, the root included."""
        return len(self.symbol)

    @property
    def n_levels(self):
        """int: symbols in a sequence."""
        return self.path_nodes.shape[1]

    def visible(self, query, key):
        """Which key nodes each query node may attend to: its ancestors and itself.

        Parameters
        ----------
        query, key : LongTensor of shape (..., Q) and (..., K); -1 marks padding

        Returns
        -------
        BoolTensor of shape (..., Q, K)
        """
        above = self.ancestors[query.clamp(min=0)]  # (..., Q, N)
        depth = self.depth[key.clamp(min=0)]  # (..., K)
        index = depth.unsqueeze(-2).expand(*above.shape[:-1], depth.shape[-1])
        return (above.gather(-1, index) == key.unsqueeze(-2)) & (key >= 0).unsqueeze(-2)


def step_log_probs(logits, tree, nodes, temperature=1.0):
    """Log-probability of each next symbol at each node, illegal symbols excluded.

    Parameters
    ----------
    logits : Tensor of shape (B, K, S)
    nodes : LongTensor of shape (K,) or (B, K)
    temperature : float, default=1.0
        Divides the logits: below 1 sharpens, above 1 flattens.

    Returns
    -------
    Tensor of shape (B, K, S), at least float32
        Each row sums to one in probability; an illegal symbol has a log-probability near -1e30.
    """
    # A product of steps in half precision is a per cent off: leaves would not sum to one.
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    nodes = nodes.clamp(min=0)
    legal = (tree.child[nodes] >= 0) | (tree.leaf[nodes] >= 0)
    # A finite stand-in for -inf keeps gradients free of NaN (0 * inf).
    return (logits / temperature).masked_fill(~legal, -1e30).log_softmax(-1)


def leaf_log_probs(steps, tree):
    """Log-probability of every leaf from the log-probabilities of every step.

    Parameters
    ----------
    steps : Tensor of shape (B, M, S)
        :func:`step_log_probs` at all nodes of the tree, in order.

    Returns
    -------
    Tensor of shape (B, L)
    """
    n_symbols = steps.shape[-1]
    flat = steps.flatten(1)  # (B, M * S)
    total = 0
    for level in range(tree.n_levels):
        total = total + flat[:, tree.path_nodes[:, level] * n_symbols + tree.path_symbols[:, level]]
    return total


def greedy_leaf(steps, tree):
    """Leaf reached by writing the likeliest symbol at each step.

    Parameters
    ----------
    steps : Tensor of shape (B, M, S), at all nodes of the tree

    Returns
    -------
    LongTensor of shape (B,)
    """
    rows = torch.arange(len(steps), device=steps.device)
    node = torch.zeros_like(rows)
    for _ in range(tree.n_levels - 1):
        node = tree.child[node, steps[rows, node].argmax(-1)]
    return tree.leaf[node, steps[rows, node].argmax(-1)]


def keep_nodes(mass, width, tolerance):
    """Which nodes must be expanded so that the mean's error stays within the tolerance.

    A node left out stands for its interval's midpoint, so it moves the mean by at most
    mass · width / 2. Nodes are left out from the cheapest up while their sum stays within the
    tolerance. The rule looks at one row at a time: rows do not influence each other.

    Parameters
    ----------
    mass, width : Tensor of shape (B, K)
        Probability of each node, and the length of its interval of y.
    tolerance : float
        Largest error of the mean, in the unit of ``width``.

    Returns
    -------
    BoolTensor of shape (B, K)
    """
    error = mass * width / 2
    ascending, order = error.sort(dim=-1)
    keep = ascending.cumsum(-1) > tolerance
    return torch.zeros_like(keep).scatter(-1, order, keep)
