"""A model as plain bytes on the CPU, and back: what copies and pickles of it are made of.

Weights travel as safetensors bytes, never as live tensors: a pickle of tensors would ask for the
device that they were on when it is opened.
"""

import copy

from safetensors.torch import load, save

from llmreg.integrations.process_state import own_draws
from llmreg.lm.stored import base_model, load_transformer, model_class, rebuild, take_apart

__all__ = ["FORMAT", "filled", "pack_model", "shape_of", "unpack_model"]

FORMAT = 8  # that of saved folders, which hold the same parts


def pack_model(model):
    """The parts of a :class:`llmreg.lm.backbone.NumberLM` from which it can be rebuilt.

    Fresh weights, tuned ones and those of a model that was given in memory are packed whole. A
    model with adapters on a pretrained base keeps the base's name, revision and checksum, the
    adapter, the cell vectors and heads; never the hub token.

    Returns
    -------
    dict
        Of strings, numbers, bytes, numpy arrays, configurations and the codec.

    Raises
    ------
    ValueError
        If all weights would have to be packed and they are quantised.
    """
    parts, weights = take_apart(model)
    shape = shape_of(model.transformer) if "base" in weights else None
    packed = {name: save(state) for name, state in weights.items()}
    return parts | {"format": FORMAT, "shape": shape, "codec": model.codec, "weights": packed}


def shape_of(lm):
    """What a language model is built from, before it has weights."""
    return {
        "class": model_class(lm),
        "config": (type(lm.config), lm.config.to_dict()),
        "attention": lm.config._attn_implementation,
    }


def unpack_model(parts):
    """Rebuild the model of :func:`pack_model` on the CPU.

    Raises
    ------
    OSError
        If the pretrained base can't be loaded, or has other weights than it had.
    ValueError
        If another version of llmreg packed it in another format.
    """
    if parts.get("format") != FORMAT:
        raise ValueError(
            f"This pickle is of format {parts.get('format')}, made by another version of llmreg; "
            f"this one reads format {FORMAT}. Open it with that version, or fit again."
        )
    weights = {name: load(packed) for name, packed in parts["weights"].items()}
    # Building draws initial weights, which the packed ones replace: leave the caller's random
    # state as it was.
    with own_draws():
        if parts["shape"] is None:
            lm = base_model(parts)
        else:
            lm = filled(parts["shape"], weights["base"], parts["dtype"])
        return rebuild(parts, lm, weights)


def filled(shape, weights, dtype):
    kind, values = shape["config"]
    config = kind.from_dict(copy.deepcopy(values), attn_implementation=shape["attention"])
    return load_transformer(shape["class"], config, weights, dtype)
