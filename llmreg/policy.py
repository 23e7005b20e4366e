"""The model's distribution over numbers for one batch of rows, as the objectives see it."""

from dataclasses import dataclass

import torch

from llmreg.objectives.functional import categorical_kl
from llmreg.tree import greedy_leaf, leaf_log_probs, step_log_probs

__all__ = ["NumberPolicy", "Targets", "ZScale", "distinct"]


@dataclass(frozen=True)
class ZScale:
    """The codec's leaves in z-units: standardised by the training targets."""

    leaf: torch.Tensor  # (L,)
    edges: torch.Tensor  # (L, 2)

    @classmethod
    def from_tree(cls, tree, mean, std, device, dtype):
        """Standardise a tree's values by the mean and standard deviation of y.

        They are at least float32, as the log-probabilities of numbers are.
        """
        dtype = torch.promote_types(dtype, torch.float32)
        leaf, edges = (tree.leaf_value - mean) / std, (tree.leaf_span - mean) / std
        return cls(leaf.to(device, dtype), edges.to(device, dtype))


@dataclass(frozen=True)
class Targets:
    """True numbers of a batch's rows."""

    z: torch.Tensor  # (B,) in z-units
    leaf: torch.Tensor  # (B,) the bin that holds y


class NumberPolicy:
    """Log-probabilities, samples and the greedy number of each row, with gradients.

    What is asked for decides what is computed, once per batch: the target's path alone, the whole
    tree, or the sampled paths. Samples come from the whole tree where that is the smaller work.

    Parameters
    ----------
    model : llmreg.backbone.NumberLM
    batch : llmreg.prompts.PromptBatch
    scale : ZScale
    """

    def __init__(self, model, batch, scale):
        self.model = model
        self.batch = batch
        self.tree = model.tree
        self.leaf_z = scale.leaf
        self.leaf_edges_z = scale.edges
        self._logits = None
        self._greedy = None

    def leaf_log_probs(self, temperature=1.0):
        """Log-probability of every number of the codec, (B, L)."""
        return leaf_log_probs(self._steps(temperature), self.tree)

    def log_prob_of(self, leaf):
        """Log-probability of one number per row, (B,); costs its path alone."""
        nodes = self.tree.path_nodes[leaf]  # (B, N)
        logits = self.model.node_logits(self.batch, nodes[:, 1:])
        steps = step_log_probs(logits, self.tree, nodes)
        return steps.gather(2, self.tree.path_symbols[leaf].unsqueeze(2)).sum((1, 2))

    def sample(self, num_generations, generator, temperature=1.0):
        """Draw numbers for each row.

        Returns
        -------
        leaves : LongTensor of shape (B, G)
        log_probs : Tensor of shape (B, G)
            Of the drawn numbers, at the temperature of the draw, with gradients.
        """
        width = num_generations * (self.tree.n_levels - 1)
        if self._logits is None and self.tree.n_nodes - 1 > width:
            return self._walk(num_generations, generator, temperature)
        log_probs = self.leaf_log_probs(temperature)
        probs = log_probs.detach().exp()
        leaves = torch.multinomial(probs, num_generations, replacement=True, generator=generator)
        return leaves, log_probs.gather(1, leaves)

    def greedy(self):
        """Number written by the likeliest symbol at each step, (B,)."""
        if self._greedy is None:
            self._greedy = greedy_leaf(self._steps(1.0).detach(), self.tree)
        return self._greedy

    def kl_to_reference(self):
        """KL divergence to the first stage's distribution, (B,); evaluates the whole tree."""
        log_probs = self.leaf_log_probs()
        with self.model.reference():
            reference = NumberPolicy(
                self.model, self.batch, ZScale(self.leaf_z, self.leaf_edges_z)
            ).leaf_log_probs()
        return categorical_kl(log_probs, reference)

    def _steps(self, temperature):
        nodes = torch.arange(self.tree.n_nodes, device=self.model.device)
        if self._logits is None:
            self._logits = self.model.node_logits(self.batch, nodes[1:])
        return step_log_probs(self._logits, self.tree, nodes, temperature)

    def _walk(self, num_generations, generator, temperature):
        """Sample level by level on the cached prompt; one extra track is greedy.

        Nodes that several samples share are evaluated once.
        """
        logits, cache = self.model.prefill(self.batch)
        nodes = torch.zeros(len(self.batch), 1, dtype=torch.long, device=self.model.device)
        slot = nodes.expand(-1, num_generations + 1)  # which of `nodes` each track is at
        logits, total = logits.unsqueeze(1), 0
        for level in range(self.tree.n_levels):
            steps = step_log_probs(logits, self.tree, nodes, temperature)  # (B, U, S)
            tracks = steps.gather(1, slot.unsqueeze(2).expand(-1, -1, steps.shape[2]))
            symbols = _draw(tracks.detach(), generator)
            total = total + tracks.gather(2, symbols.unsqueeze(2)).squeeze(2)
            at = nodes.gather(1, slot)
            if level < self.tree.n_levels - 1:
                nodes, slot = distinct(self.tree.child[at, symbols])
                logits = self.model.extend(cache, nodes)
        leaves = self.tree.leaf[at, symbols]
        self._greedy = leaves[:, -1]
        return leaves[:, :-1], total[:, :-1]


def _draw(log_probs, generator):
    """One symbol per track from (B, G + 1, S); the last track takes the likeliest."""
    probs = log_probs.exp()
    drawn = torch.multinomial(probs.flatten(0, 1), 1, generator=generator).view(probs.shape[:2])
    drawn[:, -1] = probs[:, -1].argmax(-1)
    return drawn


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
