"""A fitted model as parts that can be stored, and back: what pickles and saved folders share.

What can be loaded again from where it came is not kept: a model with adapters on a pretrained base
keeps the base's name and checksum instead of its weights.
"""

import copy
import os
from dataclasses import replace

import torch

__all__ = [
    "adapter_state",
    "base_model",
    "cell_state",
    "cpu_state",
    "describe",
    "is_whole",
    "model_class",
    "model_state",
    "part_state",
    "rebuild",
    "refuse_quantised",
]

# Starts of adapters that leave the base's weights alone; others (PiSSA, OLoRA, LoftQ ...) move a
# part of them into the adapter.
GENTLE_STARTS = ("gaussian", "orthogonal", "eva")


def is_whole(model):
    """Whether a model's own weights must be kept, because nothing else could give them again.

    So it is with fresh weights, with tuned ones, with those of a model in memory, and with adapters
    whose start has changed the base.
    """
    if model.source is None:
        return True
    if not model.has_lora:  # tuned, or frozen because nothing was to be trained
        return any(p.requires_grad for p in model.lm.parameters())
    start = getattr(_adapter_config(model), "init_lora_weights", True)
    return isinstance(start, str) and start not in GENTLE_STARTS


def describe(model, whole):
    """Everything about a model but its weights and its codec.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    whole : bool
        Whether the model's own weights are kept; see :func:`is_whole`.

    Returns
    -------
    dict
        ``source`` is without the hub token; it, ``revision`` and ``checksum`` are None for a model
        that is kept whole.

    Raises
    ------
    ValueError
        If the weights would have to be kept whole and they are quantised.
    """
    if whole:
        refuse_quantised(model.transformer)
    return {
        **_origin(model, whole),
        "pretrained": model.pretrained,
        "adapters": _adapter_config(model) if model.has_lora else None,
        "cells": None if model.cells is None else model.cells.recipe,
        "parts": {name: part.recipe for name, part in model.parts.items()},
        "bidirectional": model.bidirectional,
        "symbol_ids": model.symbol_ids.tolist(),
        "packs": model.packs,
        "loaded_dtype": _dtype_name(model.transformer.config.dtype or model.dtype),
        "dtype": _dtype_name(model.dtype),
        "autocast": None if model._autocast is None else _dtype_name(model._autocast),
    }


def refuse_quantised(lm):
    """ValueError for a language model whose weights can't be kept whole."""
    if getattr(lm, "hf_quantizer", None) is not None:
        raise ValueError(
            "The model's weights are quantised and would have to be saved whole. Give the model by "
            "name, with quantization_config in model_kwargs, and train adapters: then the adapters "
            "alone are saved."
        )


def _origin(model, whole):
    if whole:
        return {"source": None, "revision": None, "checksum": None}
    from llmreg.lm.loading.hub import resolved_revision, weights_checksum

    source = replace(model.source, token=None)
    if source.is_folder:  # to be found from any working directory
        source = replace(source, name=os.path.abspath(source.path), revision=None)
    return {
        "source": source,
        "revision": resolved_revision(model.lm),
        "checksum": weights_checksum(model.lm),
    }


def _adapter_config(model):
    from llmreg.lm.adapters import ADAPTER

    return copy.deepcopy(model.lm.peft_config[ADAPTER])


def _dtype_name(dtype):
    return str(dtype).removeprefix("torch.")


# -- weights ---------------------------------------------------------------------------------


def adapter_state(model):
    """What training changed on a pretrained base, in peft's names."""
    if not model.has_lora:
        return {}
    from peft import get_peft_model_state_dict

    from llmreg.lm.adapters import ADAPTER

    # Never embeddings beside the adapter: peft would look for the base on the hub to decide.
    return get_peft_model_state_dict(model.lm, adapter_name=ADAPTER, save_embedding_layers=False)


def model_state(model):
    """All weights of the language model with its adapter, but not a second, frozen adapter."""
    from llmreg.lm.adapters import ADAPTER

    others = [name for name in model.lm.peft_config if name != ADAPTER] if model.has_lora else []
    return {
        key: tensor
        for key, tensor in model.lm.state_dict().items()
        if not any(f".{name}." in f"{key}." for name in others)
    }


def cell_state(model):
    """Weights of the cell vectors."""
    return {} if model.cells is None else model.cells.state_dict()


def part_state(model):
    """Weights of heads, leaf values and new tokens, with the part's name in front."""
    return {
        f"{name}.{key}": tensor
        for name, part in model.parts.items()
        for key, tensor in part.state_dict().items()
    }


def cpu_state(state):
    """CPU copies, stored once where two names share one tensor (tied embeddings)."""
    seen, kept = set(), {}
    for name, tensor in state.items():
        if hasattr(tensor, "full_tensor"):  # split over processes
            tensor = tensor.full_tensor()
        place = (tensor.data_ptr(), tensor.shape)
        if place in seen and tensor.numel():
            continue
        seen.add(place)
        tensor = tensor.detach().cpu()
        # After training in float32, float64 is a working copy: half the bytes say the same.
        single = tensor.float() if tensor.dtype == torch.float64 else tensor
        exact = torch.equal(single.to(tensor.dtype), tensor)
        kept[name] = (single if exact else tensor).contiguous()
    return kept


def model_class(lm):
    """A language model's class in transformers."""
    # FSDP puts a class of its own in front.
    kinds = type(lm).__mro__
    return next(kind for kind in kinds if not kind.__name__.startswith("FSDP"))


# -- putting it together ---------------------------------------------------------------------


def base_model(parts):
    """The pretrained base of :func:`describe`, at the very revision that was trained on."""
    from llmreg.lm.loading.hub import load_lm

    return load_lm(_pinned(parts), getattr(torch, parts["loaded_dtype"]))


def _pinned(parts):
    source = parts["source"]
    return source if parts["revision"] is None else replace(source, revision=parts["revision"])


def rebuild(parts, lm, weights, cell_weights, part_weights, others=()):
    """A model on the CPU, ready to predict, from :func:`describe`'s parts and its weights.

    Parameters
    ----------
    parts : dict
        With the fitted ``codec`` besides.
    lm : transformers.PreTrainedModel
        The base, or a model of the same shape to load ``weights`` into.
    weights : dict of str to Tensor
        From :func:`adapter_state` where ``lm`` has the base's weights, from :func:`model_state`
        where it has none yet; empty where it has all that there are.
    cell_weights, part_weights : dict of str to Tensor
        From :func:`cell_state` and :func:`part_state`.
    others : sequence of dict of str to Tensor, default=()
        Weights of an ensemble's further members.

    Raises
    ------
    OSError
        If the base's weights are not those that the adapters were trained on.
    ValueError
        If weights are missing or don't fit.
    """
    from llmreg.lm.backbone import NumberLM
    from llmreg.lm.parts import restore_parts
    from llmreg.prompts.cell_encoder import CellEncoder

    cells = None if parts["cells"] is None else CellEncoder.from_recipe(parts["cells"])
    source = None if parts["source"] is None else _pinned(parts)
    symbol_ids = torch.tensor(parts["symbol_ids"])
    model = NumberLM(lm, cells, symbol_ids, parts["codec"], source, parts["pretrained"])
    if parts["adapters"] is not None:
        model.add_lora(_without_start(parts["adapters"]))
        if cells is not None:
            model.cells.requires_grad_(True)  # as after fit, for warm_start
    elif source is not None:
        model.lm.requires_grad_(False)  # nothing was trained
    autocast = parts["autocast"] and getattr(torch, parts["autocast"])
    model.packs = parts["packs"]
    restore_parts(model, parts["parts"], parts["bidirectional"])
    # In the final dtype before loading: weights trained in float64 keep all their digits.
    model.place("cpu", getattr(torch, parts["dtype"]), autocast).eval()
    _load_weights(model, weights)
    if cells is not None:
        cells.load_state_dict(cell_weights)
    for name, part in model.parts.items():
        part.load_state_dict(
            {key.removeprefix(f"{name}."): tensor for key, tensor in part_weights.items()
             if key.startswith(f"{name}.")}
        )  # fmt: skip
    model.keep_others(others)
    if source is not None:
        _check_base(model, parts)
    return model


def _without_start(config):
    """The configuration without a costly start, which the weights would replace anyway."""
    config = copy.deepcopy(config)
    config.base_model_name_or_path = None  # peft warns if it has another name now
    if isinstance(getattr(config, "init_lora_weights", None), str):
        config.init_lora_weights = True
    return config


def _load_weights(model, weights):
    if model.has_lora and weights.keys() == adapter_state(model).keys():
        from peft import set_peft_model_state_dict

        from llmreg.lm.adapters import ADAPTER

        result = set_peft_model_state_dict(model.lm, weights, adapter_name=ADAPTER)
        return _refuse_misfit([], result.unexpected_keys)
    if not weights and not model.has_lora:
        return None
    result = model.lm.load_state_dict(weights, strict=False)
    state = model.lm.state_dict()
    # Tied weights are stored once, under one of their names.
    loaded = {state[name].data_ptr() for name in weights if name in state}
    missing = [name for name in result.missing_keys if state[name].data_ptr() not in loaded]
    return _refuse_misfit(missing, result.unexpected_keys)


def _refuse_misfit(missing, unexpected):
    if missing or unexpected:
        raise ValueError(
            "The saved weights don't fit the model that they are for: missing "
            f"{list(missing)[:3]}, unexpected {list(unexpected)[:3]}. Open them with the versions "
            "of llmreg, transformers and peft that saved them."
        )


def _check_base(model, parts):
    """Adapters on other weights would give wrong numbers without a word."""
    from llmreg.lm.loading.hub import weights_checksum

    found = weights_checksum(model.lm)
    if found != parts["checksum"]:
        source = parts["source"]
        raise OSError(
            f"The weights of model={source.name!r} are not those that the adapters were trained "
            f"on: their checksum is {found}, it was {parts['checksum']} (revision asked for: "
            f"{source.revision!r}, trained on: {parts['revision']!r}). Put the weights back as "
            "they were (a folder that was written to, a revision that moved), or fit again."
        )
