"""The output layer, for a while, answers something else than all of its logits.

Patching the layer, not calling the body without it, keeps what a family does to its logits
(scaling, soft caps).
"""

from contextlib import contextmanager
from functools import partial

import torch
from torch import nn

__all__ = ["all_rows", "new_rows", "number_rows", "shares_of_all", "states_kept", "whole_rows"]


def number_rows(head, rows, at=None):
    """Within this context an output layer gives the logits of some tokens only.

    Logits are computed in at least float32.

    Parameters
    ----------
    head : Module
        A linear layer, or peft's wrapper around a trained copy of one. Layers that compute in a way
        of their own (quantised ones) are asked for all their logits, of which the rows are kept.
    rows : LongTensor of shape (S,)
    at : callable or None, default=None
        Chooses the hidden states that are asked about; None: all that the layer gets.
    """

    def forward(layer, own, hidden):
        hidden = hidden if at is None else at(hidden)
        if type(layer).forward is nn.Linear.forward:
            bias = None if layer.bias is None else layer.bias[rows.to(layer.bias.device)]
            return _product(layer.weight[rows.to(layer.weight.device)], bias, hidden)
        logits = own(hidden)
        return logits.index_select(-1, rows.to(logits.device))

    return _answering(head, forward)


def new_rows(head, weight):
    """Within this context an output layer gives the logits of tokens that it does not have.

    The vocabulary is not resized: the rows of the new tokens are weights of their own, without a
    bias. Logits are computed in at least float32.

    Parameters
    ----------
    head : Module
    weight : Tensor of shape (S, d)
    """
    return _answering(head, lambda layer, own, hidden: _product(weight, None, hidden))


def all_rows(head, at):
    """Within this context an output layer gives all its logits, at hidden states that ``at``
    chooses from what the layer gets."""
    return _answering(head, lambda layer, own, hidden: own(at(hidden)))


def whole_rows(head, rows):
    """Within this context an output layer gives all its logits, those of some tokens precisely.

    For :func:`shares_of_all`. The whole layer is computed, for every token that is asked about.

    Parameters
    ----------
    head : Module
    rows : LongTensor of shape (S,)
        Tokens whose logits are computed in at least float32, as :func:`number_rows` does; the
        others in the layer's own format.
    """

    def forward(layer, own, hidden):
        logits = own(hidden)
        precise = torch.promote_types(logits.dtype, torch.float32)
        if precise == logits.dtype or type(layer).forward is not nn.Linear.forward:
            return logits.to(precise)
        bias = None if layer.bias is None else layer.bias[rows]
        some = _product(layer.weight[rows], bias, hidden)
        return logits.to(precise).index_copy(-1, rows.to(logits.device), some.to(precise))

    return _answering(head, forward)


def shares_of_all(logits, rows):
    """Log-probabilities of some tokens among the whole vocabulary.

    Parameters
    ----------
    logits : Tensor of shape (..., V)
        After what the family does to logits.
    rows : LongTensor of shape (S,)

    Returns
    -------
    Tensor of shape (..., S)
        Those of a step sum to less than one in probability: the rest is that of other tokens.

    Examples
    --------
    >>> import torch
    >>> from llmreg.lm.number_rows import shares_of_all
    >>> shares_of_all(torch.zeros(4), torch.tensor([2, 0])).exp().tolist()
    [0.25, 0.25]
    """
    return logits.index_select(-1, rows) - logits.logsumexp(-1, keepdim=True)


def states_kept(head, kept):
    """Within this context an output layer appends what it gets to the list ``kept``.

    These are the final hidden states (B, T, d), after the last norm. The logits are no logits
    then, so that nothing is computed for them.
    """

    def forward(layer, own, hidden):
        kept.append(hidden)
        return hidden[..., :1]

    return _answering(head, forward)


@contextmanager
def _answering(head, forward):
    """Within this context an output layer answers ``forward(layer, own, hidden)``; ``own`` is
    what the layer itself computes."""
    undo = [_patch(layer, forward) for layer in _layers(head)]
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


def _patch(layer, forward):
    """Replace a layer's forward on the instance; returns how to undo it.

    accelerate's hooks (offloading, several devices) wrap ``forward`` and call ``_old_forward``:
    the replacement goes inside of them.
    """
    name = "_old_forward" if hasattr(layer, "_hf_hook") else "forward"
    before, own = vars(layer).get(name), getattr(layer, name)
    setattr(layer, name, partial(forward, layer, own))
    return layer, name, before


def _product(weight, bias, hidden):
    """``hidden @ weight.T + bias`` in at least float32."""
    precise = torch.promote_types(hidden.dtype, torch.float32)
    weight = weight.to(device=hidden.device, dtype=precise)
    with torch.autocast(hidden.device.type, enabled=False):
        return nn.functional.linear(
            hidden.to(precise), weight, None if bias is None else bias.to(weight)
        )
