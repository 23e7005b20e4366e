"""Passes without data: what a model would hold in memory, counted on torch's fake tensors.

A fake tensor has a shape, a format and a device, but no numbers. The model's own code runs on them
with the kernels of that device, so nothing has to be known about a family of models. What depends
on numbers, such as how many of the sampled ones coincide, is taken at its worst.
"""

import contextlib
import copy
import warnings
import weakref

import numpy as np
import torch
from sklearn.base import clone
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from llmreg.lm.backbone import NumberLM
from llmreg.lm.recompute import repeated_layers
from llmreg.methods.functional import categorical_kl
from llmreg.methods.policy_gradient import PolicyGradient
from llmreg.numbers.tree import leaf_log_probs, step_log_probs
from llmreg.training.policy import NumberPolicy, Targets, ZScale

__all__ = ["PeakBytes", "VirtualModel", "WorstCasePolicy", "equal_layers"]


def equal_layers(lm):
    """The list of a transformer's layers if they are all of one kind and size, else None.

    Parameters
    ----------
    lm : transformers.PreTrainedModel or peft.PeftModel

    Returns
    -------
    torch.nn.ModuleList or None
    """
    layers = repeated_layers(lm)
    if len({_signature(layer) for layer in layers}) != 1:
        return None
    lists = (m for m in lm.modules() if isinstance(m, nn.ModuleList))
    return next((m for m in lists if list(m) == layers), None)


def _signature(layer):
    weights = layer.named_parameters()
    return type(layer), tuple((n, p.shape, p.dtype, p.requires_grad) for n, p in weights)


class VirtualModel:
    """A model without data on the device where the real one would be.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
        On the meta device; not changed.
    encoded : llmreg.prompts.cell_prompts.EncodedRows
        Its longest prompt is that of all rows.
    device : torch.device
    autocast : torch.dtype or None
    checkpointing : bool, default=False
    n_layers : int or None, default=None
        Keep this many of the layers (see :func:`equal_layers`); None: all.
    """

    def __init__(
        self, model, encoded, device, autocast, *, checkpointing=False, n_layers=None
    ):  # fmt: skip
        self.mode = FakeTensorMode()
        self.encoded, self.autocast = encoded, autocast
        self.longest = int(np.argmax(encoded.lengths))
        # A tree of new tokens has one level, whatever the codec spells.
        self.sizes = _level_sizes(model.codec.sequences()) if model.new_tokens is None else [1]
        with self.mode, torch.device(device):
            memo = {id(p): _fake(p) for p in [*model.parameters(), *model.buffers()]}
            lm, cells, parts = copy.deepcopy((model.lm, model.cells, model.parts), memo)
            symbol_ids = torch.empty(model.symbol_ids.shape, dtype=torch.long)
            self.model = NumberLM(lm, cells, symbol_ids, model.codec)
            self.model.put_parts(parts, model.bidirectional)
            if n_layers is not None:
                del equal_layers(lm)[n_layers:]
            if checkpointing:
                self.model.checkpointing()

    def step(self, method, n_rows):
        """Bytes of a training step of some rows, on top of weights and gradients.

        Parameters
        ----------
        method : llmreg.methods.Method
        n_rows : int

        Returns
        -------
        saved : int
            What the forward pass keeps for the backward pass.
        peak : int
            The most that is held at once, in either pass.
        """
        method = _on_any_numbers(method)
        try:
            return self._step(method.loss, method, n_rows)
        except Exception as error:
            # A loss of the user's own may look at its numbers, of which there are none.
            warnings.warn(
                f"{type(method).__name__} cannot be followed without data ({error}): the "
                "whole number tree is counted in its place.",
                UserWarning,
                stacklevel=2,
            )
            return self._step(_whole_tree, method, n_rows)

    def _step(self, loss, method, n_rows):
        model = self.model
        model.train_mode(dropout=method.stage == "sft")
        with self.mode, torch.device(model.device):
            for p in model.trainable().values():
                p.grad = torch.zeros_like(p)
            with PeakBytes(model) as memory:
                with self._autocasting():
                    total = loss(*self._policy(method, n_rows))[0].sum()
                saved = memory.live  # what the backward pass is waiting for
                total.backward()
        return saved, memory.peak

    def _policy(self, method, n_rows):
        model, tree = self.model, self.model.tree
        batch = self.encoded.batch(np.full(n_rows, self.longest), model.device, model.dtype)
        scale = ZScale.from_tree(tree, 0.0, 1.0, model.device, model.dtype)
        z = torch.zeros(n_rows, dtype=scale.leaf.dtype)
        targets = Targets(z=z, leaf=torch.zeros(n_rows, dtype=torch.long), weight=z + 1)
        noise = None
        if method.num_draws:
            kind = torch.float32 if model.device.type == "mps" else torch.float64
            noise = torch.rand(n_rows, method.num_draws, tree.n_levels, dtype=kind)
        return WorstCasePolicy(model, batch, scale, noise, self.sizes), targets

    def predict(self, n_rows):
        """The most bytes held at once while some rows are predicted, on top of the weights."""
        model, tree = self.model, self.model.tree
        model.eval()
        with self.mode, torch.device(model.device), torch.no_grad(), PeakBytes(model) as peak:
            batch = self.encoded.batch(np.full(n_rows, self.longest), model.device, model.dtype)
            nodes = torch.arange(tree.n_open)
            with self._autocasting():
                if model.head is not None:
                    model.head_output(batch)
                    return peak.peak
                logits = model.node_logits(batch, nodes[1:])
            leaf_log_probs(step_log_probs(logits, tree, nodes), tree).exp().double()
        return peak.peak

    def _autocasting(self):
        if self.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(self.model.device.type, self.autocast)


def _fake(tensor):
    fake = torch.empty(tensor.shape, dtype=tensor.dtype)
    return nn.Parameter(fake, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else fake


def _on_any_numbers(method):
    """The method with options that need the same memory and don't read numbers on the host."""
    method = clone(method)
    if isinstance(method, PolicyGradient):
        if method.scale_rewards == "batch":
            method.scale_rewards = "group"
        if callable(method.reward) or method.reward == "quantile_mse":
            method.reward = "mse"
    return method


def _whole_tree(policy, targets):
    return -policy.leaf_log_probs().mean(1), {}


class WorstCasePolicy(NumberPolicy):
    """A policy whose sampled numbers are as different as they can be.

    Parameters
    ----------
    model, batch, scale, noise
        As of :class:`llmreg.training.policy.NumberPolicy`.
    sizes : list of int
        Nodes at each depth of the tree, root first.
    """

    def __init__(self, model, batch, scale, noise, sizes):
        super().__init__(model, batch, scale, noise)
        self.sizes, self._depth = sizes, None

    def kl_to_reference(self):
        """Two evaluations of the tree; which weights the second has makes no difference."""
        log_probs = self.leaf_log_probs()
        with torch.no_grad():
            reference = NumberPolicy(
                self.model, self.batch, ZScale(self.leaf_z, self.leaf_edges_z)
            ).leaf_log_probs()
        return categorical_kl(log_probs, reference)

    def _walk(self, noise, temperature):
        self._depth = 0
        try:
            return super()._walk(noise, temperature)
        finally:
            self._depth = None

    def _distinct(self, nodes):
        if self._depth is None:  # whole paths: (B, G * N), each through the root
            numbers = nodes.shape[1] // len(self.sizes)
            width = sum(min(numbers, size) for size in self.sizes)
        else:
            self._depth += 1
            width = min(nodes.shape[1], self.sizes[self._depth])
        return nodes[:, :width].contiguous(), torch.zeros_like(nodes)


def _level_sizes(sequences):
    """How many different prefixes of each length a codec's sequences (L, N) have."""
    return [len(np.unique(sequences[:, :depth], axis=0)) if depth else 1
            for depth in range(sequences.shape[1])]  # fmt: skip


class PeakBytes(TorchDispatchMode):
    """Within this context, the most bytes of new storages that live at the same time.

    Parameters
    ----------
    model : Module
        Its weights and their gradients don't count.
    """

    def __init__(self, model):
        super().__init__()
        tensors = [*model.parameters(), *model.buffers()]
        tensors += [p.grad for p in model.parameters() if p.grad is not None]
        self._known = {t.untyped_storage()._cdata for t in tensors}
        self.live = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tree_map_only(torch.Tensor, self._see, out)
        return out

    def _see(self, tensor):
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._freed, key, size)

    def _freed(self, key, size):
        self._known.discard(key)
        self.live -= size
