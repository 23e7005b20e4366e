"""Devices and number formats of a language model's weights."""

import torch

__all__ = ["base_dtype", "input_device", "place_language_model", "precise"]


def precise(dtype):
    """At least float32: for what small steps move, and for probabilities."""
    return torch.promote_types(dtype, torch.float32)


def _own_embedding(lm):
    embedding = lm.get_input_embeddings()
    return getattr(embedding, "original_module", embedding)  # beneath peft's trained copy


def base_dtype(lm):
    """torch.dtype of the weights that came with the model, whatever adapters are in."""
    return _own_embedding(lm).weight.dtype


def input_device(lm):
    """torch.device of the input embeddings."""
    return _own_embedding(lm).weight.device


def place_language_model(lm, device, dtype, adapter_names):
    """Move a language model, as far as it lets itself be moved.

    Parameters
    ----------
    lm : transformers.PreTrainedModel or peft.PeftModel
        One that is spread over several devices stays there. Quantised weights keep their format.
    device : torch.device or str
    dtype : torch.dtype or None
        Of the base weights; None leaves all formats as they are.
    adapter_names : collection of str
        Parameters that keep at least float32. They never pass through a coarser format.

    Returns
    -------
    torch.device
        Where the model's inputs go.
    """
    spread = getattr(lm, "hf_device_map", None) or {}
    if len(set(spread.values())) < 2:
        lm.to(device)
    if dtype is not None and getattr(lm, "hf_quantizer", None) is None:
        _cast_weights(lm, dtype, adapter_names)
    return input_device(lm)


def _cast_weights(lm, dtype, adapter_names):
    for name, p in lm.named_parameters():
        kind = precise(dtype) if name in adapter_names else dtype
        if p.is_floating_point() and p.dtype != kind:
            p.data = p.data.to(kind)
    saved = lm.state_dict(keep_vars=True)
    for name, buffer in lm.named_buffers():
        if buffer.is_floating_point():
            # Computed buffers, such as rotary frequencies, stay as precise as from_pretrained
            # makes them: positions far out differ by less than half precision can tell.
            buffer.data = buffer.data.to(dtype if name in saved else precise(dtype))
