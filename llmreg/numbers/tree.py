"""The number tree: every sequence of number symbols, and the mathematics on its probabilities.

Nodes are prefixes; node 0 is the root (nothing written yet). The model's next-symbol
distribution at a node is one row of logits; the symbol after which only one number is left needs no
node of its own, so a tree of N symbols over base B has 1 + B + … + B**(N-1) nodes and B**N leaves.
All functions here are pure functions of tensors; which nodes are evaluated, and how, is the
business of :mod:`llmreg.training.policy` and :mod:`llmreg.numbers.decoding`.

Numbers may be decided at different depths. One that is decided early waits at a node of its own,
from which a symbol leads back to the node: every number has a path of N nodes and symbols. The
waiting nodes come last; they need no evaluation, since one legal symbol has probability 1 whatever
its logit.
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import torch

from llmreg.numbers.trie import Trie, check_numbers

__all__ = [
    "NumberTree",
    "greedy_leaf",
    "keep_nodes",
    "leaf_log_probs",
    "mixed_steps",
    "one_level",
    "step_log_probs",
]


@dataclass(frozen=True)
class NumberTree:
    """A trie over the codec's sequences, as tensors.

    M nodes with the root first and parents before children, S symbols, L leaves in ascending
    order of value, N levels. The first ``n_open`` nodes leave the model a choice; at the others,
    which wait (see the module), the legal symbol is the one that led to them.

    What lies below a node need not be one interval of y: it is at most R runs of neighbouring
    leaves, and its span is the interval from the first to the last. What is learnt, and what
    others say of y, counts for a leaf by its bin on the codec's axis (``leaf_span``; y itself if
    the codec is linear); what is predicted lies in its cells in the units of y, of which a bin with
    a heap of targets may have one more (:meth:`llmreg.codecs.digits.TargetCodec.cells`).
    """

    symbol: torch.Tensor  # (M,) symbol that leads to the node; 0 for the root
    depth: torch.Tensor  # (M,) number of symbols written at the node
    ancestors: torch.Tensor  # (M, N) ancestor-or-self of the node at each depth; -1 below it
    child: torch.Tensor  # (M, S) node that a symbol leads to, or -1
    leaf: torch.Tensor  # (M, S) leaf that a symbol decides on, or -1
    path_nodes: torch.Tensor  # (L, N) nodes passed on the way to a leaf, root first, int32
    path_symbols: torch.Tensor  # (L, N) symbols written on the way
    span: torch.Tensor  # (M, 2) interval of y that holds all below a node, float64
    runs: torch.Tensor  # (n_open, R, 2) bins below an open node, on the axis; empty ones fill up
    run_spans: torch.Tensor  # (n_open, R, 2) where their mass lies if they are left whole, in y
    run_share: torch.Tensor  # (n_open, R) share of the leaves below that are in a run
    leaf_span: torch.Tensor  # (L, 2) bin of a leaf, on the axis; the outermost may be endless
    leaf_place: torch.Tensor  # (L,) place of its number on the axis, float64
    leaf_value: torch.Tensor  # (L,) number a leaf stands for, in the units of y, float64
    cell_leaf: torch.Tensor  # (C,) leaf of each cell that mass lies in: one per leaf, then others
    cell_span: torch.Tensor  # (C, 2) interval of y, float64
    cell_value: torch.Tensor  # (C,) its number in the mean, float64
    cell_share: torch.Tensor  # (C,) of the leaf's probability, float64
    linear: bool = True  # whether the axis is y itself

    @classmethod
    def from_codec(cls, codec, whole=False):
        """Build the trie of a fitted codec's sequences.

        Parameters
        ----------
        codec : fitted codec
        whole : bool, default=False
            Whether numbers are spelled to their end, also after they are decided: the probability
            of a spelling among all that the vocabulary can write takes every symbol of it.

        Raises
        ------
        ValueError
            If the codec breaks a rule of :class:`llmreg.codecs.digits.TargetCodec`: its numbers
            don't ascend, two share a sequence, or something follows an END.
        """
        check_numbers(codec)
        trie = Trie.from_sequences(codec.sequences(), codec.symbols, whole)
        edges, ends = np.asarray(codec.edges_), np.asarray(codec.open_edges)
        bins = np.where(np.isinf(ends), ends, codec.to_axis(edges))
        first, stop, share = trie.runs()
        run_spans = np.stack([edges[first], edges[stop]], 2)
        cells = zip(("leaf", "span", "value", "share"), codec.cells(), strict=True)
        tensors = dict(
            symbol=trie.symbol, depth=trie.depth, ancestors=trie.ancestors, child=trie.child,
            leaf=trie.leaf, path_nodes=trie.path_nodes, path_symbols=trie.path_symbols,
            span=np.stack([edges[trie.first], edges[trie.stop]], 1),
            runs=np.stack([bins[first], bins[stop]], 2), run_share=share,
            run_spans=_atoms(run_spans, codec) if _is_atomic(codec) else run_spans,
            leaf_span=np.stack([bins[:-1], bins[1:]], 1),
            leaf_place=codec.to_axis(codec.values_), leaf_value=codec.values_,
            **{f"cell_{name}": value for name, value in cells},
        )  # fmt: skip
        tensors = {name: torch.as_tensor(np.array(value)) for name, value in tensors.items()}
        return cls(**tensors, linear=codec.linear)

    def to(self, device):
        """The same tree with its tensors on another device."""
        kwargs = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool):
                kwargs[field.name] = value
                continue
            # Not every device has float64; intervals are used for bounds, not for predictions.
            if value.is_floating_point() and torch.device(device).type == "mps":
                value = value.float()
            kwargs[field.name] = value.to(device)
        return NumberTree(**kwargs)

    @property
    def n_nodes(self):
        """int: all nodes, the root and the waiting ones included."""
        return len(self.symbol)

    @property
    def n_open(self):
        """int: nodes whose next-symbol distribution matters, the root included. They come first."""
        return min(self.n_nodes, len(self.run_share))

    @property
    def n_levels(self):
        """int: symbols of which the last decides on a number, at most."""
        return self.path_nodes.shape[1]

    @property
    def contiguous(self):
        """bool: whether all below each node is one run of neighbouring numbers."""
        return self.run_share.shape[1] == 1

    @cached_property
    def radius(self):
        """Tensor of shape (n_open,): how far numbers below a node can be from its centre.

        The centre is the mean over its runs' midpoints, weighted by their shares.
        """
        lower, upper = self.span[: self.n_open].unbind(1)
        if self.contiguous and (self.run_spans[:, 0] == self.span[: self.n_open]).all():
            return upper / 2 - lower / 2  # rounding must not move the midpoint
        centre = (self.run_share * self.run_spans.mean(2)).sum(1)[: self.n_open]
        return torch.maximum(centre - lower, upper - centre)

    @cached_property
    def to_heaps(self):
        """BoolTensor of shape (M, S), or None: symbols on the way to an end of the range on which
        targets heap up, if there is one."""
        heaped = self.leaf_span.isinf().any(1)
        if not heaped.any():
            return None
        found = torch.zeros_like(self.leaf, dtype=torch.bool)
        found[self.path_nodes[heaped].long(), self.path_symbols[heaped].long()] = True
        return found

    @cached_property
    def leaf_cells(self):
        """LongTensor of shape (L, 1) to (L, 3): the cells of each leaf; -1 is none."""
        leaf, order = self.cell_leaf.sort(stable=True)
        start = torch.searchsorted(leaf, leaf)  # of the same leaf's cells
        slot = torch.arange(len(leaf), device=leaf.device) - start
        cells = torch.full((len(self.leaf_value), int(slot.max()) + 1), -1, device=leaf.device)
        cells[leaf, slot] = order
        return cells

    @cached_property
    def leaf_likeliest(self):
        """Tensor of shape (L,): the number of each leaf's likeliest cell."""
        cells = self.leaf_cells
        share = self.cell_share[cells].masked_fill(cells < 0, -1.0)
        return self.cell_value[cells.gather(1, share.argmax(1, keepdim=True)).squeeze(1)]

    @cached_property
    def only_number(self):
        """Tensor of shape (n_open,), or None: the number of all leaves below a node, NaN where
        there are several; None if no two leaves have the same."""
        number = self.leaf_likeliest
        if len(number.unique()) == len(number):
            return None
        nodes, number = self.path_nodes.T.flatten().long(), number.repeat(self.n_levels)
        least, most = (
            number.new_full((self.n_nodes,), torch.nan).scatter_reduce(
                0, nodes, number, end, include_self=False
            )[: self.n_open]
            for end in ("amin", "amax")
        )
        return least.masked_fill(least != most, torch.nan)

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


def _is_atomic(codec):
    """Whether all probability is on the numbers themselves."""
    span = codec.cells()[1]
    return bool((span[:, 0] == span[:, 1]).all())


def _atoms(spans, codec):
    """Intervals (..., 2) as the number next to their middle, twice."""
    middle, values = spans.mean(-1), np.unique(codec.cells()[2])
    above = np.searchsorted(values, middle).clip(max=len(values) - 1)
    below = (above - 1).clip(min=0)
    nearest = np.where(middle - values[below] < values[above] - middle, below, above)
    return np.repeat(values[nearest][..., None], 2, axis=-1)


def one_level(tree):
    """The tree over the same numbers of which each is a single symbol.

    Parameters
    ----------
    tree : NumberTree of L leaves

    Returns
    -------
    NumberTree
        With the root as its only node, and L symbols.
    """
    root = torch.zeros_like(tree.symbol[:1])
    leaves = torch.arange(len(tree.leaf_value), device=root.device)
    span = tree.span[:1]
    return replace(
        tree, symbol=root, depth=root, ancestors=tree.ancestors[:1, :1],
        child=torch.full_like(leaves, -1).unsqueeze(0), leaf=leaves.unsqueeze(0),
        path_nodes=tree.path_nodes[:, :1], path_symbols=leaves.unsqueeze(1),
        span=span, runs=span.unsqueeze(1), run_share=torch.ones_like(span[:, :1]),
    )  # fmt: skip


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
        :func:`step_log_probs` at all nodes of the tree, in order, or at the open ones.

    Returns
    -------
    Tensor of shape (B, L)
    """
    n_open, n_symbols = tree.n_open, steps.shape[-1]
    # Waiting costs nothing: it reads a zero behind the open nodes' steps.
    flat = steps[:, :n_open].flatten(1)  # (B, M * S)
    if n_open < tree.n_nodes:
        flat = torch.cat([flat, flat.new_zeros(len(flat), 1)], 1)
    total = 0
    for level in range(tree.n_levels):
        nodes, symbols = tree.path_nodes[:, level], tree.path_symbols[:, level]
        total = total + flat[:, torch.where(nodes < n_open, nodes * n_symbols + symbols, -1)]
    return total


def mixed_steps(steps, tree):
    """Steps of the mixture of several distributions: every leaf has the mean of its probabilities.

    A distribution counts at a node by how likely it is to come there.

    Parameters
    ----------
    steps : Tensor of shape (K, B, n_open, S)
        Log-probabilities of the next symbol at all open nodes, of K distributions.

    Returns
    -------
    Tensor of shape (B, n_open, S)
    """
    reach = torch.zeros_like(steps[..., 0])  # (K, B, n_open) log-probability to come to the node
    for depth in range(1, tree.n_levels):
        nodes = torch.nonzero(tree.depth[: tree.n_open] == depth).squeeze(1)
        above = tree.ancestors[nodes, depth - 1].long()
        reach[..., nodes] = reach[..., above] + steps[..., above, tree.symbol[nodes]]
    mixed = (reach.unsqueeze(-1) + steps).logsumexp(0) - reach.logsumexp(0).unsqueeze(-1)
    return mixed.log_softmax(-1)  # of rounding, where a node is all but out of reach


def greedy_leaf(steps, tree):
    """Leaf reached by writing the likeliest symbol at each step.

    Parameters
    ----------
    steps : Tensor of shape (B, M, S), at all nodes of the tree or at the open ones

    Returns
    -------
    LongTensor of shape (B,)
    """
    rows = torch.arange(len(steps), device=steps.device)
    node = torch.zeros_like(rows)
    for level in range(tree.n_levels):
        likeliest = steps[rows, node.clamp(max=tree.n_open - 1)].argmax(-1)
        symbol = torch.where(node < tree.n_open, likeliest, tree.symbol[node])
        if level < tree.n_levels - 1:
            node = tree.child[node, symbol]
    return tree.leaf[node, symbol]


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
