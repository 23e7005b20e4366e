"""A model's weights as files that transformers and peft can read on their own."""

import copy
import dataclasses
import re
import threading
from contextlib import contextmanager

import torch
from safetensors.torch import load_file, save_file
from torch.nn.modules.module import register_module_module_registration_hook

from llmreg.config.process_state import own_draws
from llmreg.lm.loading.hub import ModelSource, _without_progress_bars
from llmreg.persistence import configs
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
from llmreg.persistence.record import parse

__all__ = ["code_asked_for", "read_model", "read_tokenizer", "write_model"]

ADAPTER_FILE = "adapter_model.safetensors"  # peft's name for it
CELLS_FILE = "cells.safetensors"
PARTS_FILE = "heads.safetensors"  # heads, leaf values and new tokens
OTHERS_FILE = "members.safetensors"  # an ensemble's weights beyond the first member's
BASE = "base"  # subfolder of the weights beneath adapters, where nothing else can give them
MOST_BUFFERS = 2**26  # bytes that a model may compute instead of storing them
MODULES_PER_TENSOR = 64
LARGEST_SIZE = 2**22  # a number in the record of heads and cells may be, whatever their weights
MOST_TOKENS = 2_000_000  # entries of a tokenizer's file: large vocabularies have 1.4 million
TOKENIZER = {  # what is read of its configuration
    *(f"{name}_token" for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask")),
    "model_max_length", "padding_side", "truncation_side", "clean_up_tokenization_spaces",
    "split_special_tokens", "add_prefix_space", "extra_special_tokens",
    "additional_special_tokens",
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
        What :func:`read_model` needs besides; for :func:`llmreg.persistence.record.dump`.
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
    config = copy.deepcopy(source.config)
    for name in configs.FORBIDDEN:  # where the code once came from
        vars(config).pop(name, None)
    with torch.device("meta"):
        empty = model_class(source)(config)
    state = cpu_state(_without_adapters(source.state_dict(), empty.state_dict().keys()))
    for tensor in state.values():
        empty.to(torch.promote_types(empty.dtype, tensor.dtype))
    empty.generation_config = copy.deepcopy(source.generation_config)
    with _without_progress_bars():
        empty.save_pretrained(folder, state_dict=state, max_shard_size="100TB")


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


def read_model(parts, codec, files, online):
    """The model of :func:`write_model`, on the CPU.

    Parameters
    ----------
    parts : dict
        As it came from the file.
    codec : fitted codec
    files : llmreg.persistence.saved_folder.Files
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

    def read(name, wanted):
        return load_file(files.path(name)) if wanted else {}

    adapters = read(ADAPTER_FILE, parts["adapters"] is not None)
    cells, heads = read(CELLS_FILE, parts["cells"] is not None), read(PARTS_FILE, parts["parts"])
    _check_small_parts(parts, cells, heads)
    with own_draws():
        lm = base_model(parts) if parts["source"] else _read_transformer(parts, files)
        if parts["adapters"] is not None:
            _check_adapters(lm, parts["adapters"], adapters)
        others = _by_number(read(OTHERS_FILE, parts["n_others"]), parts["n_others"])
        model = rebuild(parts, lm, adapters, cells, heads, others)
    _check_rest(model)
    return model


def _read_transformer(parts, files):
    """A whole model: from a checked configuration and its weights, with nothing else opened."""
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if parts["class"] not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values():
        raise ValueError(
            f"transformers {transformers.__version__} has no model {parts['class']!r:.100}. "
            "Install the version that the model was saved with."
        )
    kind, folder = getattr(transformers, parts["class"]), f"{parts['folder']}/".removeprefix("./")
    values = parse(files.read(f"{folder}config.json"), "config.json", 10**5)
    values = {k: v for k, v in values.items() if "attn_implementation" not in k or v is not None}
    config = configs.model_config(kind.config_class, values, parts["attention"])
    weights = load_file(files.path(f"{folder}model.safetensors"))
    _check_sizes(kind, config, weights)
    with _without_progress_bars():
        lm, report = kind.from_pretrained(
            None, config=config, state_dict=weights, dtype=getattr(torch, parts["dtype"]),
            output_loading_info=True,
        )  # fmt: skip
    if report["missing_keys"]:
        raise ValueError(f"the folder lacks weights: {sorted(report['missing_keys'])[:3]}.")
    if f"{folder}generation_config.json" in files:  # for those who are handed the model on
        text = files.read(f"{folder}generation_config.json")
        values = parse(text, "generation_config.json", 10**4)
        plain = {k: v for k, v in values.items() if isinstance(v, int | float | list | None)}
        lm.generation_config = transformers.GenerationConfig.from_dict(plain)
    return lm


def _check_sizes(kind, config, weights):
    """Refuse a configuration of a larger model than the weights are of."""
    with _empty(len(weights)):
        model = kind(copy.deepcopy(config))
    needed = sum(p.numel() for p in model.parameters())
    there = sum(tensor.numel() for tensor in weights.values())
    stored = model.state_dict().keys()
    computed = sum(b.nbytes for name, b in model.named_buffers() if name not in stored)
    if needed > there or computed > MOST_BUFFERS:
        raise ValueError(
            f"config.json is of a model of {needed:,} weights and {computed:,} bytes beside them; "
            f"model.safetensors lacks weights: it holds {there:,}."
        )


def _check_adapters(lm, config, weights):
    """Refuse adapters of another shape than their weights, before they are built."""
    from llmreg.lm.adapters import add_adapters
    from llmreg.persistence.model_parts import _without_start

    with _empty(len(weights) + len(lm.state_dict())):
        model = add_adapters(model_class(lm)(copy.deepcopy(lm.config)), _without_start(config))
    _compare(adapter_state(_Wrapped(model)), weights, ADAPTER_FILE)


class _Wrapped:
    """A model with adapters, as :func:`adapter_state` reads it."""

    has_lora = True

    def __init__(self, lm):
        self.lm = lm


def _check_small_parts(parts, cells, heads):
    """Refuse cell vectors and heads of another shape than their weights."""
    from llmreg.lm.parts import PLACES
    from llmreg.prompts.cell_encoder import CellEncoder

    if parts["cells"] is not None:
        _check_numbers(parts["cells"], cells, CELLS_FILE)
        with _empty(len(cells)):
            module = CellEncoder.from_recipe(parts["cells"])
        _compare(module.state_dict(), cells, CELLS_FILE)
    if parts["parts"].keys() - PLACES.keys():
        raise ValueError(f"it has the unknown parts {sorted(parts['parts'])[:3]}.")
    for name, recipe in parts["parts"].items():
        own = {k.removeprefix(f"{name}."): v for k, v in heads.items() if k.startswith(f"{name}.")}
        _check_numbers(recipe | {"part": recipe["part"].get_params()}, own, PARTS_FILE)
        with _empty(len(own)):
            module = PLACES[name](**recipe)
        _compare(module.state_dict(), own, PARTS_FILE)


def _check_numbers(recipe, weights, name):
    """Refuse sizes beyond all that there is."""
    most = LARGEST_SIZE + sum(tensor.numel() for tensor in weights.values())
    sizes = [recipe, *(v for v in recipe.values() if isinstance(v, dict | list))]
    numbers = [n for part in sizes for n in (part.values() if isinstance(part, dict) else part)]
    if any(type(n) is int and not 0 <= n <= most for n in numbers):
        raise ValueError(f"{name} is too small for the sizes that the record has of it.")


def _compare(wanted, weights, name):
    wanted, found = ({k: tuple(v.shape) for k, v in x.items()} for x in (wanted, weights))
    odd = sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
    if odd:
        raise ValueError(
            f"{name} does not fit the model that it is for: of {odd[0]!r:.200} it has "
            f"{found.get(odd[0], 'nothing: it is missing')}, not {wanted.get(odd[0], 'nothing')}."
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


def _check_rest(model):
    """What torch would only notice in the midst of a prediction."""
    size = model.lm.get_input_embeddings().weight.shape[0]
    ids = model.symbol_ids
    own = dict(model.named_parameters())
    misfits = [n for others in model.others for n, t in others.items() if t.shape != own[n].shape]
    misfits += [n for others in model.others for n in others.keys() ^ model.others[0].keys()]
    if len(ids) != len(model.codec.symbols) or not ((ids >= 0) & (ids < size)).all() or misfits:
        raise ValueError(f"the model's symbols or members don't fit it ({misfits[:3]}).")


def read_tokenizer(files):
    """The tokenizer of :func:`write_model`, rule for rule."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    text = files.read("tokenizer.json", 2**26)
    if text.count(b",") > MOST_TOKENS:
        raise ValueError(f"tokenizer.json has more than {MOST_TOKENS:,} entries.")
    settings = parse(files.read("tokenizer_config.json"), "tokenizer_config.json", 10**5)
    if settings.get("auto_map"):
        raise ValueError("the tokenizer asks for code of its own (auto_map).")
    settings = {name: value for name, value in settings.items() if name in TOKENIZER}
    if "chat_template.jinja" in files:
        settings["chat_template"] = files.read("chat_template.jinja").decode()
    # Not AutoTokenizer: the classes of some families build their rules anew.
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(text.decode()), **_tokens(settings)
    )


def _tokens(settings):
    """Special tokens with rules of their own, which JSON has as dicts."""
    from tokenizers import AddedToken

    rules = ("content", "lstrip", "rstrip", "normalized", "single_word", "special")
    return {
        name: AddedToken(**{rule: value[rule] for rule in rules if rule in value})
        if type(value) is dict and "content" in value else value
        for name, value in settings.items()
    }  # fmt: skip


def code_asked_for(parts, parameters):
    """What in a saved model may run code from elsewhere when it is opened or fitted again."""
    source = parts["source"] or {"trust_remote_code": False}
    asked = configs.asked_arguments(source.get("model_kwargs"))
    asked += configs.asked_arguments(parameters.get("model_kwargs"))
    # False is the only answer that needs no consent.
    if any(x.get("trust_remote_code") is not False for x in (source, parameters)):
        asked.append("trust_remote_code=True")
    if configs.names_kernel(parts["attention"]):
        asked.append(f"attn_implementation={parts['attention']!r:.100}")
    return sorted(set(asked))
