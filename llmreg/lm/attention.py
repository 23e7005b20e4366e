"""Who attends to whom in a packed sequence of prompt and number tree, as masks for transformers."""

import torch

__all__ = ["attend_exactly", "attention_masks", "packed_visibility", "packing_obstacle"]

# Implementations that take a mask of any shape; flash attention knows causal ones alone.
FREE_MASKS = ("eager", "sdpa")
KNOWN_LAYERS = {"full_attention", "sliding_attention"}


def packing_obstacle(lm):
    """Why prompt and tree cannot share one sequence of this model, or None if they can.

    Parameters
    ----------
    lm : transformers.PreTrainedModel

    Returns
    -------
    str or None
    """
    config = lm.config.get_text_config()
    if getattr(lm, "_is_stateful", False):
        return "its state runs through the sequence, so that siblings would see each other"
    attention = config._attn_implementation
    if attention not in FREE_MASKS:
        return f"attn_implementation={attention!r} takes no mask of our own"
    kinds = set(getattr(config, "layer_types", None) or ())
    if kinds - KNOWN_LAYERS:
        return f"it has layers of the kinds {sorted(kinds - KNOWN_LAYERS)}"
    if not kinds and getattr(config, "attention_chunk_size", None) is not None:
        return "its attention is chunked"
    if "local" in (getattr(config, "attention_layers", None) or ()):  # GPT-Neo
        return "its local attention counts columns, not positions"
    return None


def attend_exactly(lm):
    """Choose eager attention where transformers' default does not compute what a model asks for.

    Soft-capped attention scores (Gemma 2) are known to eager attention, and refused or left out by
    sdpa. Implementations that someone chose otherwise stay.
    """
    config = lm.config.get_text_config()
    capped = getattr(config, "attn_logit_softcapping", None) is not None
    if capped and config._attn_implementation == "sdpa":
        lm.set_attn_implementation("eager")


def packed_visibility(prompt_mask, node_visible, bidirectional=False):
    """Who sees whom in [prompt | nodes].

    Parameters
    ----------
    prompt_mask : BoolTensor of shape (B, P)
    node_visible : BoolTensor of shape (B, K, K) or None
        Which nodes each node sees; None for the prompt alone.
    bidirectional : bool, default=False
        Whether the prompt's tokens see those after them. They never see a node.

    Returns
    -------
    BoolTensor of shape (B, P + K, P + K)
        Padding sees itself alone: nobody reads it, and no row of the softmax is empty.
    """
    batch, width = prompt_mask.shape
    device = prompt_mask.device
    causal = torch.ones(width, width, dtype=torch.bool, device=device).tril()
    itself = torch.eye(width, dtype=torch.bool, device=device)
    prompt = causal & prompt_mask.unsqueeze(1) | itself
    if bidirectional:
        prompt = prompt | prompt_mask.unsqueeze(1) & prompt_mask.unsqueeze(2)
    if node_visible is None:
        return prompt
    n_nodes = node_visible.shape[1]
    above = torch.zeros(batch, width, n_nodes, dtype=torch.bool, device=device)
    below = prompt_mask.unsqueeze(1).expand(-1, n_nodes, -1)
    return torch.cat([torch.cat([prompt, above], 2), torch.cat([below, node_visible], 2)], 1)


def attention_masks(config, visible, query, key, dtype, lowest):
    """What a model gets as ``attention_mask``: one 4-D mask, or one for each kind of layer.

    transformers uses a 4-D mask as it is, so a model's sliding window has to be in it. Siblings of
    the tree share a position, hence the window counts positions, not columns.

    Parameters
    ----------
    config : transformers.PretrainedConfig
    visible : BoolTensor of shape (B, Q, K)
    query, key : LongTensor of shape (B, Q) and (B, K)
        Positions.
    dtype : torch.dtype
        Of the mask.
    lowest : float
        What is added to the scores of hidden keys.

    Returns
    -------
    Tensor of shape (B, 1, Q, K), or dict of str to such a Tensor
    """
    config = config.get_text_config()
    window = getattr(config, "sliding_window", None)

    def windowed():
        # Only with bidirectional attention is a visible key ever ahead.
        return visible & ((query.unsqueeze(2) - key.unsqueeze(1)).abs() < window)

    def additive(seen):
        mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        return mask.masked_fill_(~seen, lowest).unsqueeze(1)

    # The rule is that of transformers.masking_utils.create_masks_for_generate.
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        return additive(visible if window is None else windowed())
    masks = {"full_attention": additive(visible)}
    if "sliding_attention" in kinds:
        masks["sliding_attention"] = additive(windowed())
    return masks
