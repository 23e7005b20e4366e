"""Fitted models as plain bytes on the CPU, for pickle, joblib and cloudpickle.

Weights travel as safetensors bytes, never as live tensors: a pickle of tensors would ask for the
device that they were on when it is opened.
"""

import copy

import pandas as pd
import torch
from safetensors.torch import load, save

from llmreg.config.process_state import own_draws
from llmreg.lm.placement import place_language_model
from llmreg.persistence.model_parts import (
    adapter_state,
    base_model,
    cell_state,
    cpu_state,
    describe,
    is_whole,
    model_class,
    model_state,
    part_state,
    rebuild,
    refuse_quantised,
)

__all__ = ["PackedPair", "pack_model", "unpack_model"]


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
    whole = is_whole(model)
    parts = describe(model, whole)
    parts["shape"] = _shape(model.transformer) if whole else None
    parts["codec"] = model.codec
    parts["weights"] = save(cpu_state(model_state(model) if whole else adapter_state(model)))
    parts["cell_weights"] = save(cpu_state(cell_state(model)))
    parts["part_weights"] = save(cpu_state(part_state(model)))
    parts["others"] = [save(cpu_state(weights)) for weights in model.others]
    return parts


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
    """
    # Building draws initial weights, which the packed ones replace: leave the caller's random
    # state as it was.
    with own_draws():
        lm = base_model(parts) if parts["shape"] is None else _untrained(parts["shape"])
        names = ("weights", "cell_weights", "part_weights")
        others = [load(weights) for weights in parts["others"]]
        return rebuild(parts, lm, *(load(parts[name]) for name in names), others)


def _untrained(shape):
    kind, values = shape["config"]
    config = kind.from_dict(copy.deepcopy(values), attn_implementation=shape["attention"])
    return shape["class"](config)


def pack_state(state):
    """A fitted estimator's attributes without what only pickle can hold (skops, for one, cannot):
    the model as plain parts (:func:`pack_model`), the tokenizer as the text of its file, the
    history as lists."""
    prompts = copy.copy(state["prompts_"])
    prompts.tokenizer = _pack_tokenizer(prompts.tokenizer)
    history = {name: column.tolist() for name, column in state["history_"].items()}
    model = pack_model(state["model_"])
    return state | {"model_": model, "prompts_": prompts, "history_": history}


def unpack_state(state):
    """The attributes of :func:`pack_state`."""
    prompts = copy.copy(state["prompts_"])
    prompts.tokenizer = _unpack_tokenizer(prompts.tokenizer)
    model, history = unpack_model(state["model_"]), pd.DataFrame(state["history_"])
    return state | {"model_": model, "prompts_": prompts, "history_": history}


RULES = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")


def _pack_tokenizer(tokenizer):
    """(class, text of the tokenizer's file, its other attributes)."""
    state = {name: value for name, value in vars(tokenizer).items() if name != "_tokenizer"}
    return type(tokenizer), tokenizer.backend_tokenizer.to_str(), _mapped(state, _as_rules)


def _unpack_tokenizer(packed):
    from tokenizers import Tokenizer

    kind, text, state = packed
    tokenizer = kind.__new__(kind)
    vars(tokenizer).update(_mapped(state, _as_token), _tokenizer=Tokenizer.from_str(text))
    return tokenizer


def _mapped(value, change):
    """A nested value with some of its leaves changed."""
    changed = change(value)
    if changed is not None:
        return changed
    if type(value) is dict:
        return {key: _mapped(item, change) for key, item in value.items()}
    return type(value)(_mapped(v, change) for v in value) if type(value) in (list, tuple) else value


def _as_rules(value):
    rules = type(value).__name__ == "AddedToken"
    return {"AddedToken": {rule: getattr(value, rule) for rule in RULES}} if rules else None


def _as_token(value):
    from tokenizers import AddedToken

    rules = type(value) is dict and [*value] == ["AddedToken"]
    return AddedToken(**value["AddedToken"]) if rules else None


class PackedPair:
    """A (model, tokenizer) pair on its way into a pickle, from which it comes as a pair again."""

    def __init__(self, lm, tokenizer):
        self.lm = lm
        self.tokenizer = tokenizer

    def __reduce__(self):
        refuse_quantised(self.lm)
        dtype = str(self.lm.dtype).removeprefix("torch.")
        weights = save(cpu_state(self.lm.state_dict()))
        return _unpack_pair, (_shape(self.lm), dtype, weights, self.tokenizer)


def _unpack_pair(shape, dtype, weights, tokenizer):
    with own_draws():
        lm = _untrained(shape)
    place_language_model(lm, "cpu", getattr(torch, dtype), ())
    lm.load_state_dict(load(weights), strict=False)  # tied weights have one name of two
    return lm.eval(), tokenizer
