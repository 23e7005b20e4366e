"""The size of quantised weights, from what their configuration says."""

import warnings

from torch import nn
from transformers.pytorch_utils import Conv1D

__all__ = ["quantised_bytes"]


def quantised_bytes(lm, quantisation):
    """Bytes that each quantised weight takes.

    Parameters
    ----------
    lm : transformers.PreTrainedModel
        As it would be without quantisation. The layers of adapters count like any others.
    quantisation : transformers' quantisation configuration, dict or None

    Returns
    -------
    dict of int to (str, int)
        By the ``id`` of the weight: its number format and its bytes, scales included. Empty
        without quantisation.

    Warns
    -----
    UserWarning
        If the configuration does not say how many bits a weight has: then none is taken to be
        quantised.
    """
    if quantisation is None:
        return {}
    values = quantisation if isinstance(quantisation, dict) else quantisation.to_dict()
    bits, scales = _bits(values)
    if bits is None:
        warnings.warn(
            f"The quantisation configuration {values.get('quant_method', values)!r} does not say "
            "how many bits a weight has; the weights are counted as if they were not quantised.",
            UserWarning,
            stacklevel=2,
        )
        return {}
    kept = values.get("modules_to_not_convert") or values.get("llm_int8_skip_modules") or ()
    head = lm.get_output_embeddings()
    return {
        id(module.weight): (f"{bits}-bit", int(module.weight.numel() * (bits + scales) / 8))
        for name, module in lm.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
        and module is not head
        and not any(part in name for part in kept)
    }


def _bits(values):
    """Bits of a weight, and of its share in the scales of its block; None if unknown."""
    if values.get("load_in_4bit") or values.get("_load_in_4bit"):
        # bitsandbytes: a float32 for 64 weights, or, with its second quantisation, about 8 bits.
        return 4, 0.127 if values.get("bnb_4bit_use_double_quant") else 0.5
    if values.get("load_in_8bit") or values.get("_load_in_8bit"):
        return 8, 0.0
    bits = values.get("bits") or values.get("nbits") or values.get("w_bit")
    if bits is not None:
        group = values.get("group_size") or 128
        return bits, (16 + bits) / group if group > 0 else 0.0
    return (8, 0.0) if "fp8" in str(values.get("quant_method", "")) else (None, 0.0)
