"""Fitted models as plain bytes on the CPU, for pickle, joblib and cloudpickle.

Weights travel as safetensors bytes, never as live tensors: a pickle of tensors would ask for the
device that they were on when it is opened.
"""

import copy
from dataclasses import replace

import pandas as pd
from safetensors.torch import load, save

from llmreg.integrations.process_state import own_draws
from llmreg.lm.packing import filled, pack_model, shape_of, unpack_model
from llmreg.lm.stored import on_cpu, refuse_quantised
from llmreg.persistence.tokenizer_files import pack_tokenizer, unpack_tokenizer

__all__ = ["PackedPair", "pack_state", "unpack_state"]


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
        return _unpack_pair, (shape_of(self.lm), dtype, weights, self.tokenizer)


def _unpack_pair(shape, dtype, weights, tokenizer):
    with own_draws():
        return filled(shape, load(weights), dtype).eval(), tokenizer
