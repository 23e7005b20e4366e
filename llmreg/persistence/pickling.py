"""Fitted models as plain bytes on the CPU, for pickle, joblib and cloudpickle.

Weights travel as safetensors bytes, never as live tensors: a pickle of tensors would ask for the
device that they were on when it is opened.
"""

import copy
from dataclasses import replace

import pandas as pd
from safetensors.torch import load, save

from llmreg.config.process_state import own_draws
from llmreg.persistence.model_parts import (
    base_model,
    load_transformer,
    model_class,
    on_cpu,
    rebuild,
    refuse_quantised,
    take_apart,
)
from llmreg.persistence.tokenizer_files import pack_tokenizer, unpack_tokenizer

__all__ = ["PackedPair", "pack_model", "pack_state", "unpack_model", "unpack_state"]

FORMAT = 4  # that of saved folders, which hold the same parts


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
    shape = _shape(model.transformer) if "base" in weights else None
    packed = {name: save(state) for name, state in weights.items()}
    return parts | {"format": FORMAT, "shape": shape, "codec": model.codec, "weights": packed}


def _shape(lm):
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
            lm = _filled(parts["shape"], weights["base"], parts["dtype"])
        return rebuild(parts, lm, weights)


def _filled(shape, weights, dtype):
    kind, values = shape["config"]
    config = kind.from_dict(copy.deepcopy(values), attn_implementation=shape["attention"])
    return load_transformer(shape["class"], config, weights, dtype)


def pack_state(state):
    """A fitted estimator's attributes without what only pickle can hold (skops, for one, cannot):
    the model as plain parts (:func:`pack_model`), the tokenizer as the texts of its files, the
    history as lists."""
    fitted, history = state["fitted_"], state["history_"]
    prompts = copy.copy(fitted.prompts)
    prompts.tokenizer = pack_tokenizer(prompts.tokenizer)
    fitted = replace(fitted, model=pack_model(fitted.model), prompts=prompts)
    history = {name: column.tolist() for name, column in history.items()}
    return state | {"fitted_": fitted, "history_": history}


def unpack_state(state):
    """The attributes of :func:`pack_state`."""
    fitted = state["fitted_"]
    prompts = copy.copy(fitted.prompts)
    prompts.tokenizer = unpack_tokenizer(prompts.tokenizer)
    fitted = replace(fitted, model=unpack_model(fitted.model), prompts=prompts)
    return state | {"fitted_": fitted, "history_": pd.DataFrame(state["history_"])}


class PackedPair:
    """A (model, tokenizer) pair on its way into a pickle, from which it comes as a pair again."""

    def __init__(self, lm, tokenizer):
        self.lm = lm
        self.tokenizer = tokenizer

    def __reduce__(self):
        refuse_quantised(self.lm)
        dtype = str(self.lm.dtype).removeprefix("torch.")
        weights = save(on_cpu(self.lm.state_dict()))
        return _unpack_pair, (_shape(self.lm), dtype, weights, self.tokenizer)


def _unpack_pair(shape, dtype, weights, tokenizer):
    with own_draws():
        return _filled(shape, load(weights), dtype).eval(), tokenizer
