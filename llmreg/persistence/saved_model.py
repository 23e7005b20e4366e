"""A model's weights as files that transformers and peft can read on their own."""

import copy
import dataclasses
import re

import torch
from safetensors.torch import load_file, save_file

from llmreg.lm.hub import ModelSource, _without_progress_bars
from llmreg.persistence.model_parts import (
    adapter_state,
    base_model,
    cell_state,
    cpu_state,
    describe,
    is_whole,
    model_class,
    part_state,
    rebuild,
)
from llmreg.sharing import own_draws

__all__ = ["code_asked_for", "read_model", "read_tokenizer", "write_model"]

ADAPTER_FILE = "adapter_model.safetensors"  # peft's name for it
CELLS_FILE = "cells.safetensors"
PARTS_FILE = "heads.safetensors"  # heads, leaf values and new tokens
OTHERS_FILE = "members.safetensors"  # an ensemble's weights beyond the first member's
BASE = "base"  # subfolder of the weights beneath adapters, where nothing else can give them
# Arguments of from_pretrained that a saved model may bring along; others may run code.
HARMLESS_ARGUMENTS = {
    "attn_implementation", "cache_dir", "device_map", "force_download", "gguf_file", "max_memory",
    "offload_folder", "quantization_config", "subfolder", "use_safetensors", "variant",
}  # fmt: skip


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
        What :func:`read_model` needs besides; for :func:`llmreg.persistence.archive.dump`.
    """
    whole = keep_base or is_whole(model)
    parts = describe(model, whole)
    if parts["source"] is not None:
        fields = dataclasses.fields(parts["source"])
        parts["source"] = {field.name: getattr(parts["source"], field.name) for field in fields}
    parts["class"] = _class_name(model) if whole else None
    parts["attention"] = model.transformer.config._attn_implementation if whole else None
    parts["folder"] = None if not whole else BASE if model.has_lora else "."
    tokenizer.save_pretrained(folder)
    if model.has_lora:
        _write_adapter(model, parts, folder)
    if whole:
        _write_transformer(model, folder / parts["folder"])
        tokenizer.save_pretrained(folder / parts["folder"])
    if model.cells is not None:
        save_file(cpu_state(cell_state(model)), folder / CELLS_FILE)
    if model.parts:
        save_file(cpu_state(part_state(model)), folder / PARTS_FILE)
    parts["n_others"] = len(model.others)
    if model.others:
        save_file(_numbered(model.others), folder / OTHERS_FILE)
    return parts


def _numbered(others):
    """The members' weights in one file, with the member's number in front of their names."""
    return {
        f"{member}.{name}": tensor
        for member, weights in enumerate(others)
        for name, tensor in cpu_state(weights).items()
    }


def _by_number(weights, count):
    others = [{} for _ in range(count)]
    for key, tensor in weights.items():
        member, _, name = key.partition(".")
        others[int(member)][name] = tensor
    return others


def _class_name(model):
    import transformers

    kind = model_class(model.transformer)
    if getattr(transformers, kind.__name__, None) is not kind:
        raise ValueError(
            f"The model's class {kind.__module__}.{kind.__name__} is not one of transformers' own, "
            "so its weights can't be saved whole. Give the model by name and train adapters: then "
            "the adapters alone are saved. Or use pickle."
        )
    return kind.__name__


def _write_adapter(model, parts, folder):
    save_file(cpu_state(adapter_state(model)), folder / ADAPTER_FILE, metadata={"format": "pt"})
    config = copy.deepcopy(parts["adapters"])
    config.inference_mode = True
    config.base_model_name_or_path = parts["source"] and parts["source"]["name"]
    config.revision = parts["revision"]
    config.save_pretrained(folder)


def _write_transformer(model, folder):
    """The weights without adapters, as transformers itself would save them.

    Through an empty model of the same class: saving writes into the model's configuration.
    """
    source = model.transformer
    with torch.device("meta"):
        empty = model_class(source)(copy.deepcopy(source.config))
    state = cpu_state(_without_adapters(source.state_dict(), empty.state_dict().keys()))
    for tensor in state.values():
        empty.to(torch.promote_types(empty.dtype, tensor.dtype))
    empty.generation_config = copy.deepcopy(source.generation_config)
    with _without_progress_bars():
        empty.save_pretrained(folder, state_dict=state)


def _without_adapters(state, names):
    """The tensors of a model with adapters that it would have without, under their plain names."""
    plain = {}
    for name, tensor in state.items():
        name = re.sub(r"(\.(base_layer|original_module))+(?=\.)", "", name)
        if name in names:
            plain.setdefault(name, tensor)
    missing = sorted(names - plain.keys())
    if missing:
        raise ValueError(
            f"The weights beneath the adapters could not be told apart from them ({missing[:3]}). "
            "Give the model by name instead of in memory, or use pickle."
        )
    return plain


# -- reading ---------------------------------------------------------------------------------


def read_model(parts, codec, folder, online):
    """The model of :func:`write_model`, on the CPU.

    Parameters
    ----------
    parts : dict
    codec : fitted codec
    folder : Path
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
    if parts["source"] is not None:
        parts["source"] = ModelSource(**{**parts["source"], **online})
    with own_draws():
        whole = parts["source"] is None
        lm = _read_transformer(parts, folder / parts["folder"]) if whole else base_model(parts)
        weights = load_file(folder / ADAPTER_FILE) if parts["adapters"] is not None else {}
        cells = load_file(folder / CELLS_FILE) if parts["cells"] is not None else {}
        heads = load_file(folder / PARTS_FILE) if parts["parts"] else {}
        count = parts["n_others"]
        others = _by_number(load_file(folder / OTHERS_FILE), count) if count else ()
        return rebuild(parts, lm, weights, cells, heads, others)


def _read_transformer(parts, folder):
    import transformers

    kind = getattr(transformers, parts["class"], None)
    if not (isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)):
        raise ValueError(
            f"transformers {transformers.__version__} has no model {parts['class']!r}. Install the "
            "version that the model was saved with."
        )
    with _without_progress_bars():
        lm, report = kind.from_pretrained(
            folder, dtype=getattr(torch, parts["dtype"]), attn_implementation=parts["attention"],
            local_files_only=True, use_safetensors=True, output_loading_info=True,
        )  # fmt: skip
    if report["missing_keys"]:
        raise ValueError(f"{folder} lacks weights: {sorted(report['missing_keys'])[:3]}.")
    return lm


def read_tokenizer(folder):
    """The tokenizer of :func:`write_model`, rule for rule."""
    from transformers import PreTrainedTokenizerFast

    # Not AutoTokenizer: the classes of some families build their rules anew.
    return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)


def code_asked_for(parts, parameters):
    """What in a saved model may run code from elsewhere when it is opened or fitted again."""
    source = parts["source"] or {}
    asked = []
    if source.get("trust_remote_code") or parameters.get("trust_remote_code"):
        asked.append("trust_remote_code=True")
    attention = [parts["attention"]]
    for arguments in (source.get("model_kwargs"), parameters.get("model_kwargs")):
        risky = (arguments or {}).keys() - HARMLESS_ARGUMENTS
        asked += [f"model_kwargs[{key!r}]" for key in risky]
        attention.append((arguments or {}).get("attn_implementation"))
    # With a slash it is a kernel on the hub.
    asked += [f"attn_implementation={name!r}" for name in attention if name and "/" in str(name)]
    return sorted(set(asked))
