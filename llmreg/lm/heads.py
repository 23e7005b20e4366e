"""Predictive heads: small networks that read a number off the language model at the prompt.

No number is written: a head turns hidden states, logits or probabilities into a number in z-units
(standardised by the training targets, on the codec's axis), or into a histogram over them.
"""

import math

import numpy as np
import torch
from torch import nn

from llmreg.lm.readout import answer_logits, last_states, prompt_states
from llmreg.numbers.decoding import tree_distribution
from llmreg.numbers.distribution import NumericDistribution
from llmreg.numbers.opinion import interval_log_mass
from llmreg.numbers.tree import leaf_log_probs

__all__ = ["HEADS", "Head", "Histogram", "LeafShift", "build_head", "histogram_targets", "pool"]

# Beyond its last bin a histogram stands for half a normal distribution of this standard deviation
# (GenRe²'s released code).
TAIL_SPREAD = 0.5


class Head(nn.Module):
    """What all heads share: they predict one number per row.

    Parameters
    ----------
    sizes : dict of str to int
        ``size`` of the hidden states and ``vocabulary``.
    mean, std : float
        Of the training targets on the codec's axis: z-units to places there.

    Attributes
    ----------
    spreads : bool
        Whether the output is log-probabilities, not one number.
    whole : bool
        Whether it reads the codec's numbers to the end of their spelling.
    on_axis : bool
        Whether :meth:`distribution` lies on the codec's axis, and not in the units of y.
    """

    spreads = whole = False
    on_axis = True

    def __init__(self, sizes, mean, std):
        super().__init__()
        self.sizes, self.mean, self.std = sizes, mean, std

    def read(self, model, batch):
        """Tensors of B rows that :meth:`forward` gets: by default the last hidden states."""
        return (last_states(model, batch),)

    @property
    def n_logits(self):
        """int: logits that the head computes for each row beside the language model's states."""
        return 0

    def opinion(self, opinion, tree):
        """What an opinion says, in the terms of :meth:`forward`'s output: its centres (B,)."""
        return (opinion.centre - self.mean) / self.std

    def distribution(self, output, tree):
        """The :class:`NumericDistribution` on the axis of a :meth:`forward`'s output: all mass on
        the number. ``tree`` is the model's number tree."""
        number = _numpy(output) * self.std + self.mean
        atom = number[:, None]
        return NumericDistribution(np.ones_like(atom), atom, atom, greedy=number)


def _numpy(tensor):
    return tensor.detach().double().cpu().numpy()


def _mlp(n_inputs, hidden_size, n_outputs, activation):
    return nn.Sequential(
        nn.Linear(n_inputs, hidden_size), activation, nn.Linear(hidden_size, n_outputs)
    )


class SpecialTokenLogit(Head):
    """b + f(x)_v: the last position's logit of one token v (RAFT, table 2)."""

    def __init__(self, sizes, mean, std, token):
        super().__init__(sizes, mean, std)
        self.token = token
        self.bias = nn.Parameter(torch.zeros(()))

    def read(self, model, batch):
        token = torch.tensor([self.token], device=batch.ids.device)
        return (answer_logits(model, batch, token),)

    def forward(self, logits):
        """(B, 1) logits to (B,) numbers."""
        return self.bias + logits.squeeze(1)


class LogitsMLP(Head):
    """b + MLP(f(x)): two layers with a sigmoid on all logits (RAFT, eq. 11)."""

    def __init__(self, sizes, mean, std, hidden_size):
        super().__init__(sizes, mean, std)
        self.mlp = _mlp(sizes["vocabulary"], hidden_size, 1, nn.Sigmoid())

    @property
    def n_logits(self):
        return self.sizes["vocabulary"]

    def read(self, model, batch):
        return (answer_logits(model, batch),)

    def forward(self, logits):
        """(B, vocabulary) logits to (B,) numbers."""
        return self.mlp(logits).squeeze(1)


def pool(states, mask, pooling):
    """One vector per row of its tokens' hidden states.

    Parameters
    ----------
    states : Tensor of shape (B, P, d)
    mask : BoolTensor of shape (B, P)
        True for real tokens, of which each row has some.
    pooling : {"last", "mean", "min", "max"}

    Returns
    -------
    Tensor of shape (B, d)

    Examples
    --------
    >>> import torch
    >>> from llmreg.lm.heads import pool
    >>> states = torch.tensor([[[9.0], [1.0], [3.0]]])
    >>> pool(states, torch.tensor([[False, True, True]]), "mean").tolist()
    [[2.0]]
    """
    real = mask.unsqueeze(2)
    if pooling == "last":
        place = torch.arange(mask.shape[1], device=mask.device)
        last = (mask * place).argmax(1)
        return states[torch.arange(len(states), device=mask.device), last]
    if pooling == "mean":
        return states.masked_fill(~real, 0.0).sum(1) / real.sum(1)
    if pooling == "min":
        return states.masked_fill(~real, torch.inf).amin(1)
    return states.masked_fill(~real, -torch.inf).amax(1)


class Pooled(Head):
    """b + w·pool(h(x)): a linear layer on the prompt's pooled hidden states (RAFT, table 2)."""

    def __init__(self, sizes, mean, std, pooling):
        super().__init__(sizes, mean, std)
        self.pooling = pooling
        self.linear = nn.Linear(sizes["size"], 1)

    def read(self, model, batch):
        return prompt_states(model, batch)

    def forward(self, states, mask):
        """(B, P, d) hidden states to (B,) numbers."""
        return self.linear(pool(states, mask, self.pooling)).squeeze(1)


class Probabilities(Head):
    """b + w·p(x): a linear map of the first symbol's probabilities (RAFT, table 2).

    Parameters
    ----------
    tokens : list of int or None
        The tokens among which probabilities are normalised; None: the whole vocabulary.
    weight : list of float or None
        Weights to start from, for the tokens; None: drawn from a normal distribution.
    bias : bool
        False without b: learnable RAFT, eq. 12.
    """

    def __init__(self, sizes, mean, std, tokens, weight=None, bias=True):
        super().__init__(sizes, mean, std)
        self.tokens = tokens
        count = sizes["vocabulary"] if tokens is None else len(tokens)
        weight = torch.randn(count) if weight is None else torch.as_tensor(weight)
        self.weight = nn.Parameter(weight.to(torch.float32))
        self.bias = nn.Parameter(torch.zeros(())) if bias else None

    @property
    def n_logits(self):
        return len(self.weight)

    def read(self, model, batch):
        tokens = self.tokens
        if tokens is not None:
            tokens = torch.tensor(tokens, device=batch.ids.device)
        return (answer_logits(model, batch, tokens),)

    def forward(self, logits):
        """(B, S) logits to (B,) numbers."""
        number = logits.softmax(-1) @ self.weight
        return number if self.bias is None else number + self.bias


class GridSum(Head):
    """Σ p(v) v over the codec's numbers, p among all that the vocabulary can write (RAFT, eq. 10).

    Nothing is learnt but the language model. What is no number counts as a zero of y. The
    probability of a number is that of its whole spelling, of its END where the codec writes one.
    """

    whole = True

    @property
    def n_logits(self):
        """Of each node; how many nodes there are is the tree's business."""
        return self.sizes["vocabulary"] * self.sizes["nodes"]

    def read(self, model, batch):
        tree = model.tree
        return _log_shares(model, batch), ((tree.leaf_value - self.mean) / self.std).unsqueeze(0)

    def forward(self, log_shares, z):
        """(B, L) log-probabilities and (1, L) values in z-units to (B,) numbers."""
        shares = log_shares.exp()
        rest = 1 - shares.sum(1)
        return shares @ z.squeeze(0) - rest * (self.mean / self.std)


def _log_shares(model, batch):
    """Log-probabilities (B, L) of the codec's spellings among all that the vocabulary can write."""
    nodes = torch.arange(1, model.tree.n_open, device=model.device)
    return leaf_log_probs(model.node_logits(batch, nodes, shares=True), model.tree)


class GridShares(GridSum):
    """p(v) / Σ p over the codec's numbers, p among all that the vocabulary can write (RAFT,
    appendix E.6): a distribution over them."""

    spreads = True
    on_axis = False

    def read(self, model, batch):
        return (_log_shares(model, batch),)

    def forward(self, log_shares):
        """(B, L) log-probabilities that sum to less than one to (B, L) that sum to one."""
        return log_shares.log_softmax(-1)

    def opinion(self, opinion, tree):
        """Its log-probabilities (B, L) of the numbers' bins."""
        return interval_log_mass(opinion, tree.leaf_span.unsqueeze(0)).log_softmax(-1)

    def distribution(self, output, tree):
        """Mass in the codec's cells; greedy writes the symbol that the most mass is behind."""
        tree = tree.to("cpu")
        return tree_distribution(tree, _steps_to(output.detach().cpu().double().exp(), tree))


def _steps_to(probs, tree):
    """Log-probabilities (B, n_open, S) of the steps to numbers with probabilities (B, L)."""
    shape = len(probs), tree.n_open, tree.child.shape[1]
    mass = probs.new_zeros(shape).flatten(1)
    for nodes, symbols in zip(tree.path_nodes.long().T, tree.path_symbols.T, strict=True):
        passed = nodes < tree.n_open
        mass.index_add_(1, (nodes * shape[2] + symbols)[passed], probs[:, passed])
    mass = mass.view(shape)
    return (mass / mass.sum(-1, keepdim=True).clamp(min=torch.finfo(mass.dtype).tiny)).log()


class Pointwise(Head):
    """An MLP on the last hidden state (GenRe²'s pointwise head, on a language model)."""

    def __init__(self, sizes, mean, std, hidden_size):
        super().__init__(sizes, mean, std)
        self.mlp = _mlp(sizes["size"], hidden_size, 1, nn.ReLU())

    def forward(self, states):
        """(B, d) hidden states to (B,) numbers."""
        return self.mlp(states).squeeze(1)


class Histogram(Head):
    """Probabilities of equal bins on [-limit, limit] and of two tails (GenRe²'s Riemann head).

    Bins come in ascending order, the lower tail first.
    """

    spreads = True

    def __init__(self, sizes, mean, std, hidden_size, n_bins, limit):
        super().__init__(sizes, mean, std)
        self.n_bins, self.limit = n_bins, limit
        self.mlp = _mlp(sizes["size"], hidden_size, n_bins + 2, nn.ReLU())

    def forward(self, states):
        """(B, d) hidden states to (B, n_bins + 2) log-probabilities."""
        return self.mlp(states).log_softmax(-1)

    def opinion(self, opinion, tree):
        """Its log-probabilities (B, n_bins + 2) of bins and tails."""
        edges = torch.from_numpy(self._edges()).to(opinion.centre)
        spans = torch.stack([edges[:-1], edges[1:]], -1).unsqueeze(0)
        return interval_log_mass(opinion, spans).log_softmax(-1)

    def _edges(self):
        return histogram_edges(self.n_bins, self.limit).numpy() * self.std + self.mean

    def distribution(self, output, tree):
        """Bins and tails on the axis; its mean is the expectation over their centres."""
        edges = self._edges()
        probs = _numpy(output.double().exp())
        centres = (edges[1:] + edges[:-1]) / 2
        return NumericDistribution(
            probs, edges[:-1], edges[1:], values=centres, greedy=centres[probs.argmax(1)]
        )


def histogram_edges(n_bins, limit):
    """Ends of a histogram's cells in z-units, ascending: a tail, the bins, a tail.

    A tail is an interval with the mean of half a normal distribution of standard deviation 0.5
    beyond the limit: ±(limit + 0.5 √(2/π)) (GenRe²'s released code).

    Parameters
    ----------
    n_bins : int
    limit : float

    Returns
    -------
    Tensor of shape (n_bins + 3,), float64

    Examples
    --------
    >>> from llmreg.lm.heads import histogram_edges
    >>> edges = histogram_edges(256, 3.0)
    >>> round(float(edges[-2:].mean()), 3)
    3.399
    """
    bins = torch.linspace(-limit, limit, n_bins + 1, dtype=torch.float64)
    tail = bins.new_tensor([limit + 2 * TAIL_SPREAD * math.sqrt(2 / math.pi)])
    return torch.cat([-tail, bins, tail])


def histogram_targets(y, n_bins, limit, sigma):
    """Soft targets of a histogram: a discretised Gaussian around y, or a tail.

    Parameters
    ----------
    y : Tensor of shape (B,)
        In z-units.
    n_bins : int
    limit : float
    sigma : float
        Standard deviation, in widths of a bin.

    Returns
    -------
    Tensor of shape (B, n_bins + 2)
        Rows sum to one: ∝ exp(-½ ((y - c) / σ)²) over the bins' centres c; one-hot in a tail where
        y is beyond the limit.

    Examples
    --------
    >>> import torch
    >>> from llmreg.lm.heads import histogram_targets
    >>> histogram_targets(torch.tensor([-3.5, 0.0]), 2, 3.0, 0.75).tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0]]
    """
    edges = histogram_edges(n_bins, limit)[1:-1].to(y)
    centres, width = (edges[1:] + edges[:-1]) / 2, 2 * limit / n_bins
    inside = y.clamp(-limit, limit).unsqueeze(1)
    bins = (-(((inside - centres) / (sigma * width)) ** 2) / 2).softmax(-1)
    below, above = (y < -limit).unsqueeze(1), (y > limit).unsqueeze(1)
    return torch.cat([below.to(y), bins.masked_fill(below | above, 0.0), above.to(y)], 1)


HEADS = {
    "special_token_logit": SpecialTokenLogit,
    "logits_mlp": LogitsMLP,
    "pooling": Pooled,
    "probabilities": Probabilities,
    "grid_sum": GridSum,
    "grid_shares": GridShares,
    "pointwise": Pointwise,
    "histogram": Histogram,
}


def build_head(recipe):
    """A head with fresh weights.

    Parameters
    ----------
    recipe : dict
        ``kind``, one of ``HEADS``, and the arguments of that class. Kept as ``recipe``, without
        a ``weight`` to start from.

    Returns
    -------
    Head
    """
    recipe = dict(recipe)
    arguments = {name: value for name, value in recipe.items() if name != "kind"}
    head = HEADS[recipe["kind"]](**arguments)
    recipe.pop("weight", None)  # where weights start is no part of their shape
    head.recipe = recipe
    return head


class LeafShift(nn.Module):
    """What training adds to the values of the number tree's leaves (learnable RAFT, eq. 12).

    A shift, not the values: weight decay then pulls them to where they started.

    Parameters
    ----------
    n_leaves : int
    std : float
        Of the training targets on the codec's axis: z-units to places there.
    """

    def __init__(self, n_leaves, std):
        super().__init__()
        self.recipe = {"n_leaves": n_leaves, "std": std}
        self.std = std
        self.z = nn.Parameter(torch.zeros(n_leaves))

    def values(self, places):
        """The learnt places (L,) on the axis, as float64 on the CPU."""
        return places.double().cpu() + self.z.detach().double().cpu() * self.std
