"""Frozen lower layers: what they make of training rows is computed once and kept.

Adapters on the upper layers alone leave the lower ones as they are. Their states at a prompt's
tokens, and at the number tree's nodes behind it, are then the same in every epoch.
"""

import os
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from transformers import DynamicCache

from llmreg.lm.recompute import repeated_layers

__all__ = ["GivenStates", "KeptStates", "frozen_depth", "keep_lower_states", "states_given"]

MOST_NODES = 512  # of the number tree; states of more would take more memory than they save time
FEW_NODES = 32  # so few are computed together with the prompt, whether they are wanted yet or not
SHARE_OF_MEMORY = 0.25  # larger stores lie in a file


def frozen_depth(model):
    """How many of the first layers training leaves as they are; 0 where their states can't be kept.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM

    Returns
    -------
    int
    """
    plain = model.packs and model.cells is None and not model.bidirectional
    layers = repeated_layers(model.transformer)
    embedding = model.lm.get_input_embeddings().parameters()
    if (
        not plain or not layers or model.tree.n_open > MOST_NODES or not model.takes_layers_apart
        or any(p.requires_grad for p in embedding)
    ):  # fmt: skip
        return 0
    # Where no block changes nothing trains, and no row is read twice.
    return next((i for i, layer in enumerate(layers) if _changes(layer)), 0)


def _changes(layer):
    """Whether a layer's output is another one from step to step."""
    trains = any(p.requires_grad for p in layer.parameters())
    return trains or any(map(_drops, layer.modules()))


def _drops(part):
    """Whether a module drops something, by a module or by a rate of its own."""
    if isinstance(part, nn.Dropout):
        return part.p > 0
    return any(
        "drop" in name and isinstance(rate, float) and rate for name, rate in vars(part).items()
    )


def keep_lower_states(model, encoded):
    """Rows whose states behind the frozen layers are kept from pass to pass.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
        Placed as it trains.
    encoded : llmreg.prompts.encoding.EncodedRows

    Returns
    -------
    llmreg.prompts.encoding.EncodedRows
        With ``lower`` set; the same where no layer is frozen, or where a family's layers do not
        follow one another in the plain way.
    """
    depth = frozen_depth(model)
    if not depth:
        return encoded
    kept = replace(encoded, lower=KeptStates(model, encoded, depth))
    return kept if _agrees(model, kept) else encoded


@torch.no_grad()
def _agrees(model, kept):
    """Whether kept states lead to the logits of a whole pass."""
    training = model.training
    model.eval()
    rows = np.argsort(kept.lengths, kind="stable")[:2]
    nodes = torch.arange(1, min(model.tree.n_open, FEW_NODES), device=model.device)
    batch = kept.batch(rows, model.device, torch.promote_types(model.dtype, torch.float32))
    try:
        found, whole = (
            model.node_logits(one, nodes) for one in (batch, replace(batch, lower=None))
        )
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever a family's code makes of layers that are not there
        return False
    finally:
        model.train(training)
    allowed = torch.finfo(model.compute_dtype).eps ** 0.5 * max(1.0, float(whole.abs().max()))
    return bool((found - whole).abs().max() <= allowed)


@dataclass(frozen=True)
class GivenStates:
    """States (B, T, d) behind the first layers, in place of what these would compute."""

    states: torch.Tensor
    depth: int
    in_tuple: bool  # what the layers return


@dataclass(frozen=True)
class LowerBatch:
    """Where the states of a batch's tokens are kept."""

    kept: "KeptStates"
    rows: np.ndarray  # (B,) among all rows
    where: np.ndarray  # (B, P) among all tokens

    def of(self, model, batch, nodes, prompt=True):
        """:class:`GivenStates` of the prompts' tokens (or not) and of nodes (B, K) behind them."""
        return self.kept.of(model, batch, self, nodes, prompt)


class KeptStates:
    """States behind the first layers, of rows and of the number tree's nodes behind each.

    They are computed when they are first asked for. Much data lies in a temporary file.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    encoded : llmreg.prompts.encoding.EncodedRows
        All rows, of which batches are taken.
    depth : int
        Layers whose states are kept.
    """

    def __init__(self, model, encoded, depth):
        self.depth, self.in_tuple = depth, False
        self.starts = encoded.starts
        self.known = np.zeros((len(encoded), model.tree.n_open), dtype=bool)  # the root: prompts
        self.n_tokens, self.prefix = len(encoded.ids), None
        self.tokens = self.nodes = None

    def batch(self, starts, where):
        """The :class:`LowerBatch` of rows that start there."""
        return LowerBatch(self, np.searchsorted(self.starts, starts), where)

    def of(self, model, batch, lower, nodes, prompt):
        """See :meth:`LowerBatch.of`."""
        self._fill(model, batch, lower, nodes)
        parts = []
        if prompt:
            parts.append(self.tokens[torch.from_numpy(lower.where)])
        if nodes.shape[1]:
            rows = torch.from_numpy(lower.rows).unsqueeze(1)
            parts.append(self.nodes[rows, nodes.clamp(min=0).cpu()])
        return GivenStates(torch.cat(parts, 1).to(model.device), self.depth, self.in_tuple)

    def of_prefix(self, model, prefix):
        """:class:`GivenStates` of the tokens that all rows begin with."""
        states, _ = self._prefix(model, prefix)
        return GivenStates(states, self.depth, self.in_tuple)

    @torch.no_grad()
    def _fill(self, model, batch, lower, nodes):
        """Compute what is asked for and not there yet."""
        wanted, rows = nodes.cpu().numpy(), lower.rows[:, None]
        there = self.known[rows, wanted.clip(min=0)] | (wanted < 0)
        if self.known[lower.rows, 0].all() and there.all():
            return
        nodes = self._with_ancestors(model.tree, nodes)
        bare = replace(batch, lower=None)
        if batch.prefix is not None:
            _, past = self._prefix(model, batch.prefix)
            bare = replace(bare, prefix=replace(batch.prefix, past=past))
        with states_behind(model.transformer, self.depth) as found:
            model.node_logits(bare, nodes)
        self.in_tuple = found["in_tuple"]
        self._store(found["states"].cpu(), lower, nodes.cpu().numpy(), batch.mask.cpu().numpy())

    def _with_ancestors(self, tree, nodes):
        """Nodes (B, K) to compute, so that those asked for can be; all where there are few."""
        if tree.n_open <= FEW_NODES:
            every = torch.arange(1, tree.n_open, device=nodes.device)
            return every.expand(len(nodes), -1)
        above = tree.ancestors[nodes.clamp(min=0)].unique()
        return above[above > 0].long().expand(len(nodes), -1)

    def _store(self, states, lower, nodes, mask):
        if self.tokens is None:
            size, dtype = states.shape[2], states.dtype
            n_bytes = (self.n_tokens + self.known.size) * size * dtype.itemsize
            make = torch.zeros if n_bytes <= SHARE_OF_MEMORY * _free_memory() else _zeros_in_file
            with torch.inference_mode(False):  # written to in training and in validation
                self.tokens = make((self.n_tokens, size), dtype=dtype)
                self.nodes = make((*self.known.shape, size), dtype=dtype)
        width = mask.shape[1]
        self.tokens[torch.from_numpy(lower.where[mask])] = states[:, :width][torch.from_numpy(mask)]
        legal = nodes > 0
        rows = np.broadcast_to(lower.rows[:, None], nodes.shape)[legal]
        behind = states[:, width:][torch.from_numpy(legal)]
        self.nodes[torch.from_numpy(rows), torch.from_numpy(nodes[legal])] = behind
        self.known[rows, nodes[legal]] = True
        self.known[lower.rows, 0] = True

    def _prefix(self, model, prefix):
        """States (1, S, d) of the prefix, and the first layers' keys and values."""
        if self.prefix is None:
            cache = DynamicCache()
            with torch.no_grad(), states_behind(model.transformer, self.depth) as found:
                model.read_prefix(prefix.ids, cache=cache)
            past = tuple((layer.keys, layer.values) for layer in cache.layers[: self.depth])
            self.prefix = found["states"], past
        return self.prefix


def _zeros_in_file(shape, dtype):
    """Zeros that take room in a temporary file where they are written to."""
    size = int(np.prod(shape))
    handle, name = tempfile.mkstemp(prefix="llmreg-")
    os.truncate(handle, size * dtype.itemsize)
    os.close(handle)
    zeros = torch.from_file(name, shared=True, size=size, dtype=dtype).view(shape)
    with suppress(OSError):  # it is gone with the mapping; Windows keeps it for its own clean-up
        os.unlink(name)
    return zeros


def _free_memory():
    """Bytes that may still be taken; little where the system does not tell."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**31


class _Enough(Exception):
    """The states are there; what comes behind them is not wanted."""


@contextmanager
def states_behind(lm, depth):
    """A context that a pass leaves behind the first layers.

    Parameters
    ----------
    lm : Module
        The transformer.
    depth : int

    Yields
    ------
    dict
        Gets the "states" (B, T, d), and whether the layers return them "in_tuple".
    """
    layer, found = repeated_layers(lm)[depth - 1], {}
    own = layer.forward

    def forward(*args, **kwargs):
        out = own(*args, **kwargs)
        found["in_tuple"] = isinstance(out, tuple)
        found["states"] = out[0] if found["in_tuple"] else out
        raise _Enough

    layer.forward = forward
    try:
        yield found
    except _Enough:
        pass
    finally:
        del layer.forward


@contextmanager
def states_given(lm, given):
    """Within this context the first layers compute nothing, and the last of them gives the states.

    Parameters
    ----------
    lm : Module
        The transformer.
    given : GivenStates
    """
    layers = repeated_layers(lm)[: given.depth]

    def forward(hidden, *args, **kwargs):
        return (hidden,) if given.in_tuple else hidden

    def last(hidden, *args, **kwargs):
        return forward(given.states.to(hidden.dtype))

    for layer in layers:
        layer.forward = forward
    layers[-1].forward = last
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
