"""Policies whose parameters are their own logits: methods without a language model below."""

from contextlib import contextmanager

import numpy as np
import torch

from llmreg.codecs.digits import DigitCodec
from llmreg.methods import functional as F
from llmreg.numbers.tree import NumberTree
from llmreg.training.policy import NumberPolicy, Targets, ZScale

# Six uneven bins; the leaves stand for their midpoints.
EDGES = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.25, 1.0, 3.0], dtype=torch.float64)
BINS = torch.stack([EDGES[:-1], EDGES[1:]], 1)
VALUES = BINS.mean(1)
LOGITS = torch.tensor([0.3, -0.5, 1.0, 0.0, -1.2, 0.4], dtype=torch.float64)
TARGET = 0.6


class FreePolicy:
    """A policy whose parameters are the logits of the leaves, one row of them per row."""

    def __init__(self, logits, seed=0):
        self.logits = logits
        self.seed = seed
        self.leaf_z, self.leaf_edges_z = VALUES.to(logits), BINS.to(logits)

    def leaf_log_probs(self, temperature=1.0):
        return (self.logits / temperature).log_softmax(1)

    def log_prob_of(self, leaf):
        return self.leaf_log_probs().gather(1, leaf.unsqueeze(1)).squeeze(1)

    def sample(self, num_generations, temperature=1.0):
        log_probs = self.leaf_log_probs(temperature)
        generator = torch.Generator().manual_seed(self.seed)
        leaves = torch.multinomial(
            log_probs.detach().exp(), num_generations, replacement=True, generator=generator
        )
        return leaves, log_probs.gather(1, leaves)

    def greedy(self):
        return self.logits.argmax(1)

    def kl_to_reference(self):
        return F.categorical_kl(self.leaf_log_probs(), torch.full_like(self.logits, -np.log(6)))


def free_rows(n_rows, logits=LOGITS, y=TARGET, seed=0):
    """n equal rows with parameters of their own: every row is one independent draw."""
    logits = logits.repeat(n_rows, 1).requires_grad_()
    z = torch.full((n_rows,), y, dtype=torch.float64)
    leaf = (BINS[:, 0] <= y).sum().sub(1).repeat(n_rows)
    return FreePolicy(logits, seed), Targets(z=z, leaf=leaf, weight=torch.ones_like(z))


def row_gradients(objective, n_rows=1, seed=0):
    policy, targets = free_rows(n_rows, seed=seed)
    loss, _ = objective.loss(policy, targets)
    assert loss.shape == (n_rows,)
    loss.sum().backward()
    return policy.logits.grad


def pinball(v, y):
    return -np.maximum(0.8 * (y - v), 0.2 * (v - y))


class FreeModel:
    """A model whose parameters are the logits (B, n_open, S) of its tree's nodes; lists its calls.

    Nodes where the next symbol is certain have none: to ask about them is an error.
    """

    caches_gradients = True

    def __init__(self, codec, logits):
        self.codec, self.logits = codec, logits
        self.tree = NumberTree.from_codec(codec)
        self.device = torch.device("cpu")
        self.calls = []

    def fix_hidden_cells(self, batch):
        return batch

    def _at(self, nodes):
        nodes = nodes.expand(len(self.logits), -1).clamp(min=0)
        return self.logits[torch.arange(len(nodes)).unsqueeze(1), nodes]

    def node_logits(self, batch, nodes):
        self.calls.append("node_logits")
        nodes = nodes.expand(len(self.logits), -1)
        return self._at(torch.cat([nodes.new_zeros(len(nodes), 1), nodes], 1))

    def prefill(self, batch):
        self.calls.append("prefill")
        return self.logits[:, 0], None

    def extend(self, cache, nodes):
        return self._at(nodes)

    @contextmanager
    def reference(self):
        now, self.logits = self.logits, torch.zeros_like(self.logits)
        yield
        self.logits = now


TARGETS = np.array([-1.8, -1.7, -1.65, -1.6, -0.4, 0.3, 1.9])
QUATERNARY = DigitCodec(4, 2).fit([0.0, 16.0])  # 5 nodes, 16 leaves: 0.5 to 15.5


def tree_rows(n_rows=1, leaf=6, num_draws=0, codec=QUATERNARY, seed=0):
    """n equal rows over a number tree, in double precision; z is the number less 8, by 4."""
    tree = NumberTree.from_codec(codec)
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(tree.n_open, tree.child.shape[1], generator=generator).double()
    model = FreeModel(codec, logits.repeat(n_rows, 1, 1).requires_grad_())
    # Targets whose ranks are far from their sizes.
    scale = ZScale.from_tree(tree, 8.0, 4.0, "cpu", torch.float64, targets=TARGETS)
    noise = None
    if num_draws:
        generator = torch.Generator().manual_seed(seed)
        shape = n_rows, num_draws, tree.n_levels
        noise = torch.rand(shape, generator=generator, dtype=torch.float64)
    leaf = torch.full((n_rows,), leaf)
    targets = Targets(scale.leaf[leaf] + 0.03, leaf, torch.ones(n_rows, dtype=torch.float64))
    return NumberPolicy(model, range(n_rows), scale, noise), targets


def tree_gradients(objective, n_rows=1, seed=0, **kwargs):
    policy, targets = tree_rows(n_rows, num_draws=objective.num_draws, seed=seed, **kwargs)
    loss, _ = objective.loss(policy, targets)
    assert loss.shape == (n_rows,)
    loss.sum().backward()
    return policy.model.logits.grad
