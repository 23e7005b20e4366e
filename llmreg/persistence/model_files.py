"""A model's weights as files that transformers and peft can read on their own."""

import copy
import threading
from contextlib import contextmanager
from functools import partial

import torch
from safetensors.torch import load_file, save_file
from torch.nn.modules.module import register_module_module_registration_hook

from llmreg.config.pretrained_model import PretrainedModel
from llmreg.integrations.process_state import own_draws
from llmreg.lm.loading.hub import ModelSource, _without_progress_bars, load_config
from llmreg.lm.stored import (
    base_model,
    check_shapes,
    load_transformer,
    model_class,
    pinned,
    put_together,
    rebuild,
    take_apart,
)
from llmreg.persistence import configs
from llmreg.persistence.record import MOST_BYTES, parse
from llmreg.persistence.tokenizer_files import unpack_tokenizer

__all__ = ["check_arguments", "code_asked_for", "read_model", "read_tokenizer", "write_model"]

FILES = {
    "adapters": "adapter_model.safetensors",  # peft's name for it
    "cells": "cells.safetensors",
    "heads": "heads.safetensors",  # heads, leaf values and new tokens
    "members": "members.safetensors",  # an ensemble's weights beyond the first member's
}
BASE = "base"  # subfolder of the weights beneath adapters, where nothing else can give them
MOST_BUFFERS = 2**26  # bytes that a model may compute instead of storing them
MODULES_PER_TENSOR = 64
MOST_TOKENS = 2_000_000  # entries of a tokenizer's file: large vocabularies have 1.4 million


def write_model(model, tokenizer, folder, keep_base):
    """Write weights and tokenizer.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    tokenizer : transformers tokenizer
    folder : Path
        With adapters: ``adapter_model.safetensors``, and the weights beneath them in ``base`` if
        they can't be loaded from elsewhere. Without: ``model.safetensors``.
    keep_base : bool
        Keep the weights beneath adapters in any case.

    Returns
    -------
    dict
        What :func:`read_model` needs besides; for :func:`llmreg.persistence.record.dump`.
    """
    parts, weights = take_apart(model, keep_base)
    base = weights.pop("base", None)
    parts |= {"class": None, "attention": None, "folder": None}
    if parts["source"] is not None:
        parts["source"] = dict(vars(parts["source"]))
    tokenizer.save_pretrained(folder)
    for group, state in weights.items():
        save_file(state, folder / FILES[group], metadata={"format": "pt"})
    if base is not None:
        lm = model.transformer
        parts["class"], parts["attention"] = _class_name(lm), lm.config._attn_implementation
        parts["folder"] = BASE if model.has_lora else "."
        _write_transformer(lm, base, folder / parts["folder"])
        tokenizer.save_pretrained(folder / parts["folder"])
    if model.has_lora:
        _write_adapter_config(parts, folder)
    return parts


def _class_name(lm):
    import transformers

    kind = model_class(lm)
    if getattr(transformers, kind.__name__, None) is not kind:
        raise ValueError(
            f"The model's class {kind.__module__}.{kind.__name__} is not one of transformers' own, "
            "so its weights can't be saved whole. Give the model by name and train adapters: then "
            "the adapters alone are saved. Or use pickle."
        )
    return kind.__name__


def _write_adapter_config(parts, folder):
    config = copy.deepcopy(parts["adapters"])
    config.inference_mode = True
    config.base_model_name_or_path = parts["source"] and parts["source"]["name"]
    config.revision = parts["revision"]
    config.save_pretrained(folder)


def _write_transformer(lm, weights, folder):
    """The weights without adapters, as transformers itself would save them.

    Through an empty model of the same class: saving writes into the model's configuration.
    """
    config = copy.deepcopy(lm.config)
    for name in configs.FORBIDDEN:  # where the code once came from
        vars(config).pop(name, None)
    with torch.device("meta"):
        empty = model_class(lm)(config)
    odd = sorted(weights.keys() - empty.state_dict().keys())
    if odd:
        raise ValueError(
            f"The weights beneath the adapters could not be told apart from them ({odd[:3]}). "
            "Give the model by name instead of in memory, or use pickle."
        )
    for tensor in weights.values():
        empty.to(torch.promote_types(empty.dtype, tensor.dtype))
    empty.generation_config = copy.deepcopy(lm.generation_config)
    with _without_progress_bars():
        empty.save_pretrained(folder, state_dict=weights, max_shard_size="100TB")


# -- reading ---------------------------------------------------------------------------------


def read_model(parts, codec, files, online):
    """The model of :func:`write_model`, on the CPU.

    Parameters
    ----------
    parts : dict
        As it came from the file.
    codec : fitted codec
    files : llmreg.persistence.folders.Files
    online : dict
        ``token`` and ``local_files_only`` for a base on the hub, where they are given.

    Raises
    ------
    OSError
        If files or the pretrained base are not there, or the base has other weights.
    ValueError
        If the weights don't fit.
    """
    parts = {**parts, "codec": codec}
    needed = (parts["adapters"] is not None, parts["cells"] is not None, parts["parts"],
              parts["n_members"])  # fmt: skip
    weights = {
        group: load_file(files.path(name))
        for (group, name), there in zip(FILES.items(), needed, strict=True)
        if there and (group != "heads" or name in files)  # some heads learn nothing
    }
    with own_draws():
        if parts["source"] is not None:
            parts["source"] = ModelSource(**{**parts["source"], **online})
            lm = base_model(parts)
            _rehearse(parts, model_class(lm), lm.config, len(lm.state_dict()), weights)
        else:
            kind, config = _checked_config(parts, files)
            base = load_file(files.path(_in(parts["folder"], "model.safetensors")))
            _rehearse(parts, kind, config, len(base), weights, base)
            lm = load_transformer(kind, config, base, parts["dtype"])
            lm.generation_config = _generation_config(parts["folder"], files)
        return rebuild(parts, lm, weights)


def _in(folder, name):
    return f"{folder}/{name}".removeprefix("./")


def _checked_config(parts, files):
    """Class and configuration of a whole model, with nothing else opened."""
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if parts["class"] not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values():
        raise ValueError(
            f"transformers {transformers.__version__} has no model {parts['class']!r:.100}. "
            "Install the version that the model was saved with."
        )
    kind = getattr(transformers, parts["class"])
    values = parse(
        files.read(_in(parts["folder"], "config.json"), MOST_BYTES), "config.json", 10**5
    )
    values = {k: v for k, v in values.items() if "attn_implementation" not in k or v is not None}
    return kind, configs.model_config(kind.config_class, values, parts["attention"])


def _generation_config(folder, files):
    """For those who are handed the model on."""
    from transformers import GenerationConfig

    name, values = _in(folder, "generation_config.json"), {}
    if name in files:
        values = parse(files.read(name, MOST_BYTES), "generation_config.json", 10**4)
    plain = {k: v for k, v in values.items() if isinstance(v, int | float | list | None)}
    return GenerationConfig.from_dict(plain)


def _rehearse(parts, kind, config, n_base, weights, base=None):
    """Put a model together without memory for weights: refuse one that is larger than these, or
    of another shape. ``base`` is None where the base is not the folder's own."""
    with _empty(n_base + sum(map(len, weights.values()))):
        lm = kind(copy.deepcopy(config))
        if base is not None:
            _check_size(lm, base)
        model = put_together(parts, lm)
    check_shapes(model, weights)
    size = model.lm.get_input_embeddings().weight.shape[0]
    ids = parts["symbol_ids"]
    if len(ids) != len(model.codec.symbols) or max(ids) >= size:
        raise ValueError("the model's symbols don't fit it.")
    _check_members(dict(model.named_parameters()), weights.get("members", {}), parts["n_members"])


def _check_members(own, weights, count):
    members = {}
    for key, tensor in weights.items():
        member, _, name = key.partition(".")
        members.setdefault(member, set()).add(name)
        if tensor.shape != own[name].shape:
            raise ValueError(f"the member's weight {key!r:.200} does not fit the model.")
    numbered = len(members) == count and members.keys() == set(map(str, range(count)))
    if not numbered or any(names != members["0"] for names in members.values()):
        raise ValueError(f"the weights of {len(members)} members are not those of {count}.")


def _check_size(lm, weights):
    needed = sum(p.numel() for p in lm.parameters())
    there = sum(tensor.numel() for tensor in weights.values())
    stored = lm.state_dict().keys()
    computed = sum(b.nbytes for name, b in lm.named_buffers() if name not in stored)
    if needed > there or computed > MOST_BUFFERS:
        raise ValueError(
            f"config.json is of a model of {needed:,} weights and {computed:,} bytes beside them; "
            f"the saved model lacks weights: it holds {there:,}."
        )


@contextmanager
def _empty(n_tensors):
    """Build modules without memory for weights, and not many more than there are tensors."""
    here, left = threading.get_ident(), [MODULES_PER_TENSOR * (n_tensors + 16)]

    def count(module, name, submodule):
        if threading.get_ident() == here:
            left[0] -= 1
            if left[0] < 0:
                raise ValueError(
                    f"the configuration is of many more layers than the {n_tensors} tensors saved."
                )

    hook = register_module_module_registration_hook(count)
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            yield
    finally:
        hook.remove()


def read_tokenizer(files):
    """The tokenizer of :func:`write_model`."""
    names = [n for n in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
             if n in files]  # fmt: skip
    found = {name: files.read(name, 2**26) for name in names}
    if found["tokenizer.json"].count(b",") > MOST_TOKENS:
        raise ValueError(f"tokenizer.json has more than {MOST_TOKENS:,} entries.")
    return unpack_tokenizer(found, partial(parse, what="tokenizer_config.json", most_items=10**5))


def code_asked_for(parts, model):
    """What in a saved model may run code from elsewhere when it is opened or fitted again.

    ``model`` is the estimator's parameter.
    """
    parameters = model.get_params() if isinstance(model, PretrainedModel) else {}
    parameters = {"trust_remote_code": False} | parameters
    source = parts["source"] or {"trust_remote_code": False}
    asked = configs.asked_arguments(source.get("model_kwargs"))
    asked += configs.asked_arguments(parameters.get("model_kwargs"))
    # False is the only answer that needs no consent.
    if any(x.get("trust_remote_code") is not False for x in (source, parameters)):
        asked.append("trust_remote_code=True")
    if configs.names_kernel(parts["attention"]):
        asked.append(f"attn_implementation={parts['attention']!r:.100}")
    return sorted(set(asked))


def check_arguments(parts, model, files, online):
    """ValueError if numbers in ``model_kwargs`` are no settings of the model's configuration.

    Parameters
    ----------
    parts, files, online
        As in :func:`read_model`.
    model : object
        The estimator's parameter.
    """
    source = parts["source"] or {}
    given = [source.get("model_kwargs"), getattr(model, "model_kwargs", None)]
    settings = [found for found in map(configs.settings_among, given) if found]
    if not settings:
        return
    if source:
        others = {k: v for k, v in (given[0] or {}).items() if k in configs.HARMLESS}
        source = ModelSource(**{**source, **online, "model_kwargs": others})
        config = load_config(pinned({**parts, "source": source}))
    else:
        _, config = _checked_config(parts, files)
    for found in settings:
        configs.check_settings(found, config)
