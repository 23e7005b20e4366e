"""The model's distribution over numbers for one batch of rows, as the methods see it."""

from dataclasses import dataclass

import torch
from sklearn.preprocessing import QuantileTransformer

from llmreg.codecs.symbol_values import symbol_values
from llmreg.integrations.outputs import as_arrays
from llmreg.methods.functional import categorical_kl
from llmreg.numbers.tree import greedy_leaf, leaf_log_probs, step_log_probs

__all__ = ["NumberPolicy", "Targets", "ZScale", "distinct"]


@dataclass(frozen=True)
class ZScale:
    """The codec's leaves in z-units: standardised by the training targets, on the codec's axis."""

    leaf: torch.Tensor  # (L,)
    edges: torch.Tensor  # (L, 2)
    ranks: QuantileTransformer | None = None  # of the training targets, for rewards that need them

    @classmethod
    def from_tree(cls, tree, mean, std, device, dtype, targets=None):
        """Standardise a tree's values by the targets' mean and standard deviation on the axis.

        They are at least float32, as the log-probabilities of numbers are. ``targets`` (n,) are
        those that train, in z-units.
        """
        dtype = torch.promote_types(dtype, torch.float32)
        leaf, edges = (tree.leaf_place - mean) / std, (tree.leaf_span - mean) / std
        ranks = None if targets is None else _ranks(targets)
        return cls(leaf.to(device, dtype), edges.to(device, dtype), ranks)


def _ranks(targets):
    """What maps targets to normal scores."""
    count = min(1000, len(targets))
    ranks = QuantileTransformer(
        n_quantiles=count, output_distribution="normal", subsample=None, random_state=0
    )
    return ranks.fit(targets.reshape(-1, 1))


@dataclass(frozen=True)
class Targets:
    """True numbers of a batch's rows."""

    z: torch.Tensor  # (B,) in z-units
    leaf: torch.Tensor  # (B,) the bin that holds y
    weight: torch.Tensor  # (B,) sample weights
    # (B,) of a kernel about each, in z-units: 1, or less where training targets lie closely.
    bandwidth: torch.Tensor | float = 1.0


class NumberPolicy:
    """Log-probabilities, samples and the greedy number of each row, with gradients.

    What is asked for decides what is computed, once per batch: the target's path alone, the whole
    tree, or the sampled paths. Samples come from the whole tree where that is the smaller work.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    batch : llmreg.prompts.cell_prompts.PromptBatch
    scale : ZScale
    noise : Tensor of shape (B, G, N) or None
        Uniform numbers in [0, 1), one per symbol of each number to draw. The same noise draws the
        same numbers, however rows are batched and whichever way the tree is evaluated.
    """

    def __init__(self, model, batch, scale, noise=None):
        self.model = model
        self.batch = model.fix_hidden_cells(batch)
        self.tree = model.tree
        self.leaf_z = scale.leaf
        self.leaf_edges_z = scale.edges
        self.ranks = scale.ranks
        self.noise = noise
        self._logits = None
        self._greedy = None
        self._drawn = {}
        self._scored = None, None, None  # numbers whose paths were evaluated last, and how

    @property
    def symbol_values(self):
        """Tensor of shape (S,): value of each symbol as a digit; NaN for signs, point and end."""
        return self.leaf_z.new_tensor(symbol_values(self.model.codec.symbols))

    @as_arrays
    def normal_scores(self, z):
        """Numbers in z-units as normal scores: the normal quantiles of their ranks among the
        training targets, from -5.2 to 5.2."""
        scores = self.ranks.transform(z.detach().cpu().double().numpy().reshape(-1, 1))
        return torch.as_tensor(scores).view(z.shape).to(z)

    def leaf_log_probs(self, temperature=1.0):
        """Log-probability of every number of the codec, (B, L)."""
        return leaf_log_probs(self.tree_steps(temperature), self.tree)

    def tree_steps(self, temperature=1.0):
        """Log-probabilities of the next symbol at every open node of the tree, (B, n_open, S)."""
        nodes = torch.arange(self.tree.n_open, device=self.model.device)
        if self._logits is None:
            self._logits = self.model.node_logits(self.batch, nodes[1:])
        return step_log_probs(self._logits, self.tree, nodes, temperature)

    def steps_of(self, leaves, temperature=1.0):
        """Log-probabilities of the next symbol at each step on the way to some numbers.

        What :meth:`sample` evaluated is not evaluated again for the numbers that it gave (the very
        tensor).

        Parameters
        ----------
        leaves : LongTensor of shape (B, G)
        temperature : float, default=1.0

        Returns
        -------
        Tensor of shape (B, G, N, S)
            Where a number is decided before step N, its steps from there on are certain.
        """
        nodes = self.tree.path_nodes[leaves].long()  # (B, G, N)
        logits, slot = self._evaluated(leaves, nodes)
        rows = torch.arange(len(leaves), device=leaves.device).unsqueeze(1)
        steps = step_log_probs(logits[rows, slot], self.tree, nodes.flatten(1), temperature)
        return steps.view(*nodes.shape, -1)

    def log_prob_of(self, leaf):
        """Log-probability of one number per row, (B,); costs its path alone."""
        return self._score(leaf.unsqueeze(1), 1.0).squeeze(1)

    def log_share_of(self, leaf):
        """Log-probability of one number's spelling among all that the vocabulary can write, (B,).

        Of the symbols that the tree holds: to the end of the spelling where the method asks for
        that (``spells_out``).
        """
        nodes = self._open(self.tree.path_nodes[leaf].long())  # (B, N), the root first
        shares = self.model.node_logits(self.batch, nodes[:, 1:], shares=True)
        symbols = self.tree.path_symbols[leaf].unsqueeze(2)
        return shares.gather(2, symbols).squeeze(2).masked_fill(nodes < 0, 0.0).sum(1)

    def sample(self, num_generations, temperature=1.0):
        """Draw numbers for each row; asked again, the same numbers.

        Returns
        -------
        leaves : LongTensor of shape (B, G)
        log_probs : Tensor of shape (B, G)
            Of the drawn numbers, at the temperature of the draw, with gradients.
        """
        key = num_generations, temperature
        if key not in self._drawn:
            self._drawn[key] = self._sample(self.noise[:, :num_generations], temperature)
        return self._drawn[key]

    def _sample(self, noise, temperature):
        width = noise.shape[1] * (self.tree.n_levels - 1)
        if self._logits is not None or self.tree.n_open - 1 <= width:
            leaves = _descend(self.tree_steps(temperature).detach(), self.tree, noise)
            return leaves, self.leaf_log_probs(temperature).gather(1, leaves)
        if self.model.caches_gradients or not torch.is_grad_enabled():
            leaves, log_probs = self._walk(noise, temperature)
            self._scored = leaves, *self._walked
            return leaves, log_probs
        with torch.no_grad():
            leaves, _ = self._walk(noise, temperature)
        return leaves, self._score(leaves, temperature)

    def greedy(self):
        """Number written by the likeliest symbol at each step, (B,)."""
        if self._greedy is None:
            self._greedy = greedy_leaf(self.tree_steps(1.0).detach(), self.tree)
        return self._greedy

    def kl_to_reference(self):
        """KL divergence to the first stage's distribution, (B,); evaluates the whole tree."""
        log_probs = self.leaf_log_probs()
        with self.model.reference():
            reference = NumberPolicy(
                self.model, self.batch, ZScale(self.leaf_z, self.leaf_edges_z)
            ).leaf_log_probs()
        return categorical_kl(log_probs, reference)

    def _score(self, leaves, temperature):
        """Log-probabilities (B, G) of numbers, from their paths packed behind the prompt."""
        symbols = self.tree.path_symbols[leaves].unsqueeze(3)
        return self.steps_of(leaves, temperature).gather(3, symbols).squeeze(3).sum(2)

    def _evaluated(self, leaves, nodes):
        """Logits (B, U, S), and which of them belong to the nodes (B, G, N) on numbers' paths,
        (B, G * N); any do where the next symbol is certain."""
        known, logits, slot = self._scored
        if known is leaves:
            return logits, slot
        if self._logits is not None:
            return self._logits, nodes.flatten(1).clamp(max=self.tree.n_open - 1)
        # The root comes first in what node_logits gives, so it is the first of the nodes here.
        unique, slot = self._distinct(nodes.flatten(1))
        logits = self.model.node_logits(self.batch, self._open(unique[:, 1:]))
        self._scored = leaves, logits, slot
        return logits, slot

    def _open(self, nodes):
        """Nodes to evaluate: where the next symbol is certain, there is nothing to ask."""
        return nodes.masked_fill(nodes >= self.tree.n_open, -1)

    @staticmethod
    def _distinct(nodes):
        return distinct(nodes)

    def _walk(self, noise, temperature):
        """Sample level by level on the cached prompt; one extra track is greedy.

        Nodes that several samples share are evaluated once.
        """
        logits, cache = self.model.prefill(self.batch)
        nodes = torch.zeros(len(self.batch), 1, dtype=torch.long, device=self.model.device)
        slot = nodes.expand(-1, noise.shape[1] + 1)  # which of `nodes` each track is at
        logits, total, seen, slots = logits.unsqueeze(1), 0, [], []
        for level in range(self.tree.n_levels):
            slots.append(slot[:, :-1] + sum(some.shape[1] for some in seen))
            seen.append(logits)
            steps = step_log_probs(logits, self.tree, nodes, temperature)  # (B, U, S)
            tracks = steps.gather(1, slot.unsqueeze(2).expand(-1, -1, steps.shape[2]))
            likeliest = tracks[:, -1:].argmax(-1)
            drawn = _draw(tracks[:, :-1].detach(), noise[:, :, level])
            symbols = torch.cat([drawn, likeliest], 1)
            total = total + tracks.gather(2, symbols.unsqueeze(2)).squeeze(2)
            at = nodes.gather(1, slot)
            if level < self.tree.n_levels - 1:
                nodes, slot = self._distinct(self.tree.child[at, symbols])
                logits = self.model.extend(cache, self._open(nodes))
        leaves = self.tree.leaf[at, symbols]
        self._greedy = leaves[:, -1]
        self._walked = torch.cat(seen, 1), torch.stack(slots, 2).flatten(1)
        return leaves[:, :-1], total[:, :-1]


def _draw(log_probs, noise):
    """Symbols (B, G) by inversion of the distributions (B, G, S) at uniform numbers (B, G)."""
    cumulative = log_probs.to(noise.dtype).exp().cumsum(-1)
    total = cumulative[..., -1:]
    symbols = (cumulative <= noise.unsqueeze(-1) * total).sum(-1)
    # Rounding must not go past the last symbol that has a probability.
    return torch.minimum(symbols, (cumulative < total).sum(-1))


def _descend(steps, tree, noise):
    """Leaves (B, G) drawn digit by digit from the log-probabilities (B, n_open, S) of all steps."""
    rows = torch.arange(len(steps), device=steps.device).unsqueeze(1)
    node = torch.zeros(noise.shape[:2], dtype=torch.long, device=steps.device)
    for level in range(tree.n_levels):
        open_node = node.clamp(max=tree.n_open - 1)
        symbol = _draw(steps[rows, open_node], noise[:, :, level])
        symbol = torch.where(node < tree.n_open, symbol, tree.symbol[node])
        if level < tree.n_levels - 1:
            node = tree.child[node, symbol]
    return tree.leaf[node, symbol]


def distinct(nodes):
    """Distinct nodes of each row, and where each entry went.

    Parameters
    ----------
    nodes : LongTensor of shape (B, G), non-negative

    Returns
    -------
    unique : LongTensor of shape (B, U)
        Ascending; rows with fewer than U distinct nodes are padded with -1.
    slot : LongTensor of shape (B, G)
        ``unique.gather(1, slot) == nodes``.
    """
    ascending, order = nodes.sort(1)
    fresh = torch.ones_like(ascending, dtype=torch.bool)
    fresh[:, 1:] = ascending[:, 1:] != ascending[:, :-1]
    place = fresh.long().cumsum(1) - 1
    slot = torch.empty_like(place).scatter(1, order, place)
    unique = torch.full_like(nodes, -1).scatter(1, place, ascending)
    return unique[:, : int(place.max()) + 1], slot
