"""The last layer's token-wise parts, for the tokens that somebody reads."""

from contextlib import contextmanager
from functools import partial

import torch
from torch import nn

__all__ = ["last_layer_at"]

# Keys and values are not among them: they belong to all tokens.
TOKEN_WISE = ("mlp", "self_attn.q_proj", "self_attn.o_proj")


@contextmanager
def last_layer_at(layer, keep):
    """Within this context a layer computes its queries, its attention's output projection and its
    MLP for the last ``keep`` tokens alone.

    Of the transformer's last layer nobody reads the others' states: the output layer is asked about
    the kept ones, and keys and values come from what the layer gets. With a long prompt this saves
    nearly all of a layer: a quarter of four, a thirtieth of thirty. The other tokens get zeros.

    Parameters
    ----------
    layer : Module
    keep : int
    """
    parts = [part for part in map(partial(_part, layer), TOKEN_WISE) if part is not None]
    before = [vars(part).get("forward") for part in parts]
    for part in parts:
        part.forward = partial(_kept, part.forward, keep)
    try:
        yield
    finally:
        for part, own in zip(parts, before, strict=True):
            del part.forward
            if own is not None:
                part.forward = own


def _part(layer, name):
    for attribute in name.split("."):
        layer = getattr(layer, attribute, None)
    return layer if isinstance(layer, nn.Module) else None


def _kept(own, keep, hidden, *args, **kwargs):
    if hidden.ndim != 3 or hidden.shape[1] <= keep:
        return own(hidden, *args, **kwargs)
    found = own(hidden[:, -keep:].contiguous(), *args, **kwargs)  # GPT-2 takes a view
    if not isinstance(found, torch.Tensor):  # of experts, with their router's logits
        return own(hidden, *args, **kwargs)
    return nn.functional.pad(found, (0, 0, hidden.shape[1] - keep, 0))
