"""Fitted models as plain bytes on the CPU, for pickle, joblib and cloudpickle.

Weights travel as safetensors bytes in float32, never as live tensors: a pickle of tensors would
ask for the device that they were on when it is opened.
"""

import torch
from safetensors.torch import load, save

__all__ = ["pack_model", "unpack_model"]


def pack_model(model):
    """The parts of a :class:`llmreg.backbone.NumberLM` from which it can be rebuilt.

    Weights that started fresh are packed whole. A model with a pretrained base keeps the base's
    name, its adapters and the cell vectors.

    Returns
    -------
    dict
        Of strings, numbers, bytes, numpy arrays and the codec.
    """
    pretrained = model.base is not None
    kept = model.state_dict()
    if pretrained and model.has_lora:  # fully tuned weights have no adapter that says what changed
        kept = {k: v for k, v in kept.items() if "lora_" in k or "cells." in k}
    return {
        "base": model.base,
        "config": None if pretrained else (type(model.lm.config), model.lm.config.to_dict()),
        "lora": model.lm.peft_config["default"].to_dict() if model.has_lora else None,
        "weights": save(_untied(kept)),
        "cells": None if model.cells is None else model.cells.recipe,
        "symbol_ids": model.symbol_ids.tolist(),
        "codec": model.codec,
        "dtype": str(model.dtype).removeprefix("torch."),
    }


def _untied(state):
    """CPU copies, stored once where two names share one tensor (tied embeddings)."""
    seen, kept = set(), {}
    for name, tensor in state.items():
        if tensor.data_ptr() in seen and tensor.numel():
            continue
        seen.add(tensor.data_ptr())
        tensor = tensor.detach().cpu()
        # After training in float32, float64 is a working copy: half the bytes say the same.
        single = tensor.float() if tensor.dtype == torch.float64 else tensor
        exact = torch.equal(single.to(tensor.dtype), tensor)
        kept[name] = (single if exact else tensor).contiguous()
    return kept


def unpack_model(parts):
    """Rebuild the model of :func:`pack_model` on the CPU."""
    from transformers import AutoModelForCausalLM

    from llmreg.backbone import NumberLM
    from llmreg.cell_encoder import CellEncoder
    from llmreg.hub import load_lm

    # Building draws initial weights, which the packed ones replace: leave the caller's
    # random state as it was.
    with torch.random.fork_rng(devices=[]):
        if parts["base"] is None:
            config_class, values = parts["config"]
            lm = AutoModelForCausalLM.from_config(config_class.from_dict(values))
        else:
            lm = load_lm(parts["base"])
        cells = None if parts["cells"] is None else CellEncoder.from_recipe(parts["cells"])
        model = NumberLM(
            lm, cells, torch.tensor(parts["symbol_ids"]), parts["codec"], parts["base"]
        )
        if parts["lora"] is not None:
            from peft import LoraConfig

            model.add_lora(LoraConfig(**parts["lora"]))
            if cells is not None:
                model.cells.requires_grad_(True)  # as after fit, for warm_start
    # In the final dtype before loading: weights trained in float64 keep all their digits.
    model.place("cpu", getattr(torch, parts["dtype"])).eval()
    model.load_state_dict(load(parts["weights"]), strict=False)
    return model
