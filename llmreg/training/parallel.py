"""The processes that train one model together, as ``accelerate launch`` starts them.

Every process runs the same script, holds the same table and takes the same decisions; each
computes its share of a batch's rows, and the gradients are summed. One process is the case where
all of this is nothing.
"""

import atexit
import copy
import os

import numpy as np
import torch

from llmreg.lm.recompute import repeated_layers

__all__ = ["Processes", "check_sharded", "launched"]


class Processes:
    """One process alone; :class:`_Launched` overrides what several do differently."""

    count, index = 1, 0
    sharded = False  # whether weights are split over processes (FSDP)

    def device(self, device):
        """This process' own device among those of the kind asked for."""
        return device

    def share(self, rows):
        """This process' part of an array of rows; may be empty."""
        return np.array_split(rows, self.count)[self.index]

    def sum(self, tensor):
        """Sum of a CPU tensor over all processes."""
        return tensor

    def sum_gradients(self, model):
        """Replace each gradient by its sum over all processes."""

    def agree(self, value):
        """The first process' value, for decisions that all must take alike."""
        return value

    def join(self, parts):
        """Concatenate the processes' tuples of arrays, in order."""
        return parts

    def shard(self, model):
        """Split a model's weights over the processes, where that was asked for.

        Returns
        -------
        callable
            Makes the model whole again, on the CPU.
        """
        return lambda: None


class _Launched(Processes):
    """Several processes under Accelerate's launcher."""

    def __init__(self, device):
        from accelerate import PartialState

        self.state = PartialState(cpu=device.type == "cpu")
        # A process that ends while its connections are open may be counted as failed.
        atexit.register(self.state.destroy_process_group)
        self.count, self.index = self.state.num_processes, self.state.process_index
        self.sharded = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"

    def device(self, device):
        return self.state.device if device.type == "cuda" and device.index is None else device

    def sum(self, tensor):
        from accelerate.utils import reduce

        return reduce(tensor.to(self.state.device), "sum").cpu()

    def sum_gradients(self, model):
        from torch.distributed.tensor import DTensor

        for p in model.trainable().values():
            if p.grad is None:  # not part of this loss, in any process
                continue
            if isinstance(p, DTensor):
                p.grad.mul_(self.count)  # FSDP has averaged it already
            else:
                torch.distributed.all_reduce(p.grad)

    def agree(self, value):
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]

    def join(self, parts):
        if self.sharded:  # every process has computed all rows: forward passes come in step
            return self.agree(parts)
        gathered = [None] * self.count
        torch.distributed.all_gather_object(gathered, parts)
        return tuple(np.concatenate(arrays) for arrays in zip(*gathered, strict=True))

    def shard(self, model):
        if not self.sharded:
            return super().shard(model)
        from torch.distributed.fsdp import fully_shard

        parts = {name: part for name, part in model.named_children() if name in ("lm", "cells")}
        hulls = {name: _hull(part) for name, part in parts.items()}
        for layer in repeated_layers(model.transformer):
            fully_shard(layer)
        # Split again after every pass, so that weights read between passes are always of one kind.
        fully_shard(model.lm, reshard_after_forward=True)
        if model.cells is not None:  # torch cannot mix sharded and whole weights in one operation
            for p in model.cells.parameters():
                p.requires_grad_(p.requires_grad and p.numel() > 0)  # nor split what is empty
            fully_shard(model.cells, reshard_after_forward=True)

        def rejoin():
            for name, hull in hulls.items():
                setattr(model, name, _filled(hull, parts[name]))

        return rejoin


def _hull(module):
    """A copy of a module whose weights are empty."""
    empty = {
        id(p): torch.nn.Parameter(p.new_empty(0), requires_grad=p.requires_grad)
        for p in module.parameters()
    }
    return copy.deepcopy(module, empty)


def _filled(hull, sharded):
    """The hull with the weights that processes hold in parts."""
    weights = dict(sharded.named_parameters())
    for name, p in hull.named_parameters():
        weight = weights[name].detach()
        p.data = weight.full_tensor().cpu()
    return hull


def launched(device):
    """The processes of this training run: those that ``accelerate launch`` (or torchrun) started.

    Parameters
    ----------
    device : torch.device
        The kind asked for.

    Returns
    -------
    processes : Processes
    device : torch.device
        This process' own.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if not several and torch.distributed.is_available():
        several = torch.distributed.is_initialized()
    processes = _Launched(device) if several else Processes()
    return processes, processes.device(device)


def check_sharded(model, second_method, adapters):
    """Refuse what cannot be done to weights that FSDP has split over processes."""
    if not model.packs:
        raise ValueError(
            f"FSDP needs a model whose prompt and number tree share one sequence; "
            f"{type(model.transformer).__name__} computes one path at a time, and processes would "
            "fall out of step. Train without FSDP."
        )
    if model.parts:
        raise ValueError(
            f"FSDP does not know the parts of its own that a method trains beside the model "
            f"({', '.join(model.parts)}). Choose another method, or train without FSDP."
        )
    if adapters is not None:
        raise ValueError(
            "Under FSDP fresh weights can't get adapters for the second stage. Set "
            "adapters=None to train all weights in both stages."
        )
    if second_method is not None and second_method.needs_reference and not model.has_lora:
        raise ValueError(
            f"Under FSDP the KL penalty of {second_method!r} needs adapters, whose first stage is "
            "kept beside them. Set adapters, such as adapters=8, or beta=0."
        )
