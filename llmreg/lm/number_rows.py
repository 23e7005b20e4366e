"""The output layer, for a while, computes the number symbols' rows alone."""

from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["number_rows"]


@contextmanager
def number_rows(head, rows):
    """Within this context an output layer gives the logits of some tokens only.

    Patching the layer, not calling the body without it, keeps what a family does to its logits
    (scaling, soft caps). Logits are computed in at least float32.

    Parameters
    ----------
    head : Module
        A linear layer, or peft's wrapper around a trained copy of one. Layers that compute in a way
        of their own (quantised ones) are asked for all their logits, of which the rows are kept.
    rows : LongTensor of shape (S,)
    """
    undo = [_patch(layer, rows) for layer in _layers(head)]
    try:
        yield
    finally:
        for layer, name, before in undo:
            delattr(layer, name)
            if before is not None:
                setattr(layer, name, before)


def _layers(head):
    """The layers that may answer: those inside a wrapper of peft's, or the head itself."""
    copies = getattr(head, "modules_to_save", None)
    return [head] if copies is None else [head.original_module, *copies.values()]


def _patch(layer, rows):
    """Replace a layer's forward on the instance; returns how to undo it.

    accelerate's hooks (offloading, several devices) wrap ``forward`` and call ``_old_forward``:
    the replacement goes inside of them.
    """
    name = "_old_forward" if hasattr(layer, "_hf_hook") else "forward"
    before, own = vars(layer).get(name), getattr(layer, name)
    if type(layer).forward is nn.Linear.forward:

        def forward(hidden):
            return _rows_of(layer, rows, hidden)
    else:

        def forward(hidden):
            logits = own(hidden)
            return logits.index_select(-1, rows.to(logits.device))

    setattr(layer, name, forward)
    return layer, name, before


def _rows_of(layer, rows, hidden):
    rows = rows.to(layer.weight.device)
    precise = torch.promote_types(hidden.dtype, torch.float32)
    weight = layer.weight[rows].to(precise)
    bias = None if layer.bias is None else layer.bias[rows].to(precise)
    with torch.autocast(hidden.device.type, enabled=False):
        return nn.functional.linear(hidden.to(precise), weight, bias)
