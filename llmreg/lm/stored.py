"""A fitted model taken apart, and put together: what pickles and saved folders share.

What can be loaded again from where it came is not kept: a model with adapters on a pretrained base
keeps the base's name and checksum instead of its weights.
"""

import copy
import os
import re
from dataclasses import replace

import torch

__all__ = [
    "GROUPS",
    "base_model",
    "check_shapes",
    "load_transformer",
    "model_class",
    "on_cpu",
    "pinned",
    "put_together",
    "rebuild",
    "refuse_quantised",
    "small_weights",
    "take_apart",
]

# Weights beside the transformer's own: what training adds to it, and to an ensemble.
GROUPS = ("adapters", "cells", "heads", "members")
# Starts of adapters that leave the base's weights alone; others (PiSSA, OLoRA, LoftQ ...) move a
# part of them into the adapter.
GENTLE_STARTS = ("gaussian", "orthogonal", "eva")


# -- taking it apart -------------------------------------------------------------------------


def take_apart(model, keep_base=False):
    """Everything of a model but its codec.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    keep_base : bool, default=False
        Keep the weights beneath adapters in any case.

    Returns
    -------
    parts : dict
        Plain values and configurations. ``source`` is without the hub token; it, ``revision`` and
        ``checksum`` are None where the transformer's weights are kept.
    weights : dict of str to (dict of str to Tensor)
        On the CPU: "base" where it must be kept, and those of :data:`GROUPS` that there are.

    Raises
    ------
    ValueError
        If the weights would have to be kept whole and they are quantised.
    """
    whole = keep_base or _is_whole(model)
    weights = small_weights(model)
    if whole:
        refuse_quantised(model.transformer)
        lm = model.transformer
        weights["base"] = _beneath_adapters(lm) if model.has_lora else lm.state_dict()
    parts = {
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
        "n_members": len(model.further_members),
    }
    return parts, {name: on_cpu(state) for name, state in weights.items() if state}


def _is_whole(model):
    """Whether a transformer's own weights must be kept, because nothing else could give them.

    So it is with fresh weights, with tuned ones, with those of a model in memory, and with adapters
    whose start has changed the base.
    """
    if model.source is None:
        return True
    if not model.has_lora:  # tuned, or frozen because nothing was to be trained
        return any(p.requires_grad for p in model.lm.parameters())
    start = getattr(_adapter_config(model), "init_lora_weights", True)
    return isinstance(start, str) and start not in GENTLE_STARTS


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


def model_class(lm):
    """A language model's class in transformers."""
    # FSDP puts a class of its own in front.
    kinds = type(lm).__mro__
    return next(kind for kind in kinds if not kind.__name__.startswith("FSDP"))


# -- weights ---------------------------------------------------------------------------------


def small_weights(model):
    """Weights beside the transformer's own, by group and name."""
    parts = {
        f"{name}.{key}": tensor
        for name, part in model.parts.items()
        for key, tensor in part.state_dict().items()
    }
    members = {
        f"{member}.{name}": tensor
        for member, weights in enumerate(model.further_members)
        for name, tensor in weights.items()
    }
    cells = {} if model.cells is None else model.cells.state_dict()
    groups = (_adapter_weights(model), cells, parts, members)
    return dict(zip(GROUPS, groups, strict=True))


def _adapter_weights(model):
    """What training changed on a pretrained base, in peft's names."""
    if not model.has_lora:
        return {}
    from peft import get_peft_model_state_dict

    from llmreg.lm.adapters import ADAPTER

    # Never embeddings beside the adapter: peft would look for the base on the hub to decide.
    return get_peft_model_state_dict(model.lm, adapter_name=ADAPTER, save_embedding_layers=False)


def _beneath_adapters(lm):
    """The weights that a model would have without adapters, under their plain names."""
    from llmreg.lm.adapters import ADAPTER, REFERENCE

    return {
        re.sub(r"(\.(base_layer|original_module))+(?=\.)", "", name): tensor
        for name, tensor in lm.state_dict().items()
        if not {ADAPTER, REFERENCE} & set(name.split("."))
    }


def on_cpu(state):
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


# -- putting it together ---------------------------------------------------------------------


def base_model(parts):
    """The pretrained base of :func:`take_apart`, at the very revision that was trained on."""
    from llmreg.lm.loading.hub import load_lm

    return load_lm(pinned(parts), getattr(torch, parts["loaded_dtype"]))


def pinned(parts):
    """The source of a base, at the very revision that was trained on."""
    source = parts["source"]
    return source if parts["revision"] is None else replace(source, revision=parts["revision"])


def load_transformer(kind, config, weights, dtype):
    """A transformer with given weights, on the CPU, with nothing opened.

    Parameters
    ----------
    kind : type
        transformers' class.
    config : transformers.PreTrainedConfig
    weights : dict of str to Tensor
    dtype : str

    Raises
    ------
    ValueError
        If weights are missing.
    """
    from llmreg.lm.loading.hub import _without_progress_bars

    with _without_progress_bars():
        lm, report = kind.from_pretrained(
            None, config=config, state_dict=weights, dtype=getattr(torch, dtype),
            output_loading_info=True,
        )  # fmt: skip
    if report["missing_keys"]:
        raise ValueError(f"the saved model lacks weights: {sorted(report['missing_keys'])[:3]}.")
    return lm


def put_together(parts, lm):
    """A model of :func:`take_apart`'s parts around a transformer, with fresh small weights.

    Parameters
    ----------
    parts : dict
        With the fitted ``codec`` besides.
    lm : transformers.PreTrainedModel
    """
    from llmreg.lm.backbone import NumberLM
    from llmreg.lm.parts import restore_parts
    from llmreg.prompts.cell_encoder import CellEncoder

    cells = None if parts["cells"] is None else CellEncoder.from_recipe(parts["cells"])
    source = None if parts["source"] is None else pinned(parts)
    symbol_ids = torch.tensor(parts["symbol_ids"])
    model = NumberLM(lm, cells, symbol_ids, parts["codec"], source, parts["pretrained"])
    if parts["adapters"] is not None:
        model.add_lora(_without_start(parts["adapters"]))
        if cells is not None:
            model.cells.requires_grad_(True)  # as after fit, for warm_start
    elif source is not None:
        model.lm.requires_grad_(False)  # nothing was trained
    model.packs = parts["packs"]
    restore_parts(model, parts["parts"], parts["bidirectional"])
    return model


def _without_start(config):
    """The configuration without a costly start, which the weights would replace anyway."""
    config = copy.deepcopy(config)
    config.base_model_name_or_path = None  # peft warns if it has another name now
    if isinstance(getattr(config, "init_lora_weights", None), str):
        config.init_lora_weights = True
    return config


def rebuild(parts, lm, weights):
    """A model on the CPU, ready to predict, from what :func:`take_apart` gave.

    Parameters
    ----------
    parts : dict
        With the fitted ``codec`` besides.
    lm : transformers.PreTrainedModel
        The base, from :func:`base_model` or :func:`load_transformer`.
    weights : dict of str to (dict of str to Tensor)
        Those of :data:`GROUPS` that there are.

    Raises
    ------
    OSError
        If the base's weights are not those that the adapters were trained on.
    ValueError
        If weights are missing or don't fit.
    """
    model = put_together(parts, lm)
    check_shapes(model, weights)
    # In the final dtype before loading: weights trained in float64 keep all their digits.
    autocast = parts["autocast"] and getattr(torch, parts["autocast"])
    model.place("cpu", getattr(torch, parts["dtype"]), autocast).eval()
    _load(model, weights)
    members = [{} for _ in range(parts["n_members"])]
    for key, tensor in weights.get("members", {}).items():
        member, _, name = key.partition(".")
        members[int(member)][name] = tensor
    model.keep_further_members(members)
    if parts["source"] is not None:
        _check_base(model, parts)
    return model


def check_shapes(model, weights):
    """ValueError for weights of other names or shapes than a model has; members are left out."""
    wanted = small_weights(model)
    for group in GROUPS[:-1]:
        here, there = (
            {name: tuple(tensor.shape) for name, tensor in state.get(group, {}).items()}
            for state in (wanted, weights)
        )
        odd = sorted(n for n in here.keys() | there.keys() if here.get(n) != there.get(n))
        if odd:
            raise ValueError(
                f"the saved {group} do not fit the model that they are for: of {odd[0]!r:.200} "
                f"there is {there.get(odd[0], 'nothing: it is missing')}, not "
                f"{here.get(odd[0], 'nothing')}. Open them with the versions of llmreg, "
                "transformers and peft that saved them."
            )


def _load(model, weights):
    if model.has_lora:
        from peft import set_peft_model_state_dict

        from llmreg.lm.adapters import ADAPTER

        set_peft_model_state_dict(model.lm, weights["adapters"], adapter_name=ADAPTER)
    if model.cells is not None:
        model.cells.load_state_dict(weights["cells"])
    for name, part in model.parts.items():
        own = {key: weights["heads"][f"{name}.{key}"] for key in part.state_dict()}
        part.load_state_dict(own)


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
