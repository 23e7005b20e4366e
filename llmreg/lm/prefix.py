"""Tokens that all prompts of a batch begin with: read once, attended to by every row."""

import torch
from transformers import DynamicCache

__all__ = ["behind_prefix", "expanded_cache"]


def behind_prefix(batch, visible, key):
    """Visibility and key positions with the prefix' columns in front: everybody sees them.

    Parameters
    ----------
    batch : llmreg.prompts.encoding.PromptBatch of B rows behind a prefix of S tokens (or none)
    visible : BoolTensor of shape (B, Q, K)
    key : LongTensor of shape (B, K)

    Returns
    -------
    visible : BoolTensor of shape (B, Q, S + K)
    key : LongTensor of shape (B, S + K)
    """
    n_before = batch.n_before
    if not n_before:
        return visible, key
    seen = visible.new_ones(*visible.shape[:2], n_before)
    place = torch.arange(n_before, device=key.device).expand(len(key), -1)
    return torch.cat([seen, visible], 2), torch.cat([place, key], 1)


def expanded_cache(past, n_rows):
    """A cache for ``n_rows`` rows of what was read once.

    Parameters
    ----------
    past : sequence of pairs of Tensor of shape (1, heads, S, d), or of None
        Keys and values, layer by layer; None for layers that use those of another one.

    Returns
    -------
    transformers.DynamicCache
    """
    return DynamicCache(
        [
            tuple(part if part is None else part.expand(n_rows, -1, -1, -1) for part in pair)
            for pair in past
        ]
    )
