"""Configurations of transformers and peft in a saved model, which may come from strangers.

They are plain values of known names. What makes a library import a module, read a file, ask a hub
or build without end is refused, when saving as well as when loading.
torch, transformers and peft are imported only where a value of theirs is at hand.
"""

import copy
import dataclasses
import importlib
import re
from enum import Enum

__all__ = [
    "asked_arguments",
    "check_attention",
    "check_settings",
    "dump",
    "load",
    "model_config",
    "names_kernel",
    "names_layers",
    "settings_among",
]

# peft's adapters on weights whose size can be told from their file.
ADAPTERS = (
    "LoraConfig", "IA3Config", "LoHaConfig", "LoKrConfig", "LNTuningConfig", "OFTConfig",
    "BOFTConfig", "HRAConfig",
)  # fmt: skip
LAYERS = {
    "target_modules", "exclude_modules", "feedforward_modules", "modules_to_save", "layers_pattern",
}  # fmt: skip
# peft takes a string for a regular expression: only a name, or what ends in one, is let through.
LAYER = r"[\w-]+(\.[\w-]+)*"
WORDS = {
    "task_type": r"CAUSAL_LM",
    "peft_type": r"[A-Z0-9_]+",
    "bias": r"none|all|\w+_only",
    "init_lora_weights": r"gaussian|orthogonal|olora|pissa(_niter_\d{1,3})?",
    "init_weights": r"gaussian|normal|lycoris|uniform",
}
PATTERNS = {"rank_pattern", "alpha_pattern"}
MOST_LAYERS = 4096  # that a list may name; each is compared with all that there are

# Of a model's configuration: these make transformers fetch code, kernels or other files.
FORBIDDEN = (
    "auto_map", "custom_pipelines", "kernel_config", "fusion_config", "quantization_config",
    "transformers_weights", "distributed_config",
)  # fmt: skip
LARGEST, DEEPEST = 10**7, 4096  # a size in a configuration, and a number of layers

# Arguments of from_pretrained that a saved model may bring along, and what they may be; others may
# run code, or read and write elsewhere.
HARMLESS = {
    "attn_implementation": lambda value: not names_kernel(value),
    "device_map": lambda value: value is None or isinstance(value, str | int | dict),
    "force_download": lambda value: type(value) is bool,
    "gguf_file": lambda value: _within(value),
    "max_memory": lambda value: value is None or isinstance(value, dict),
    "quantization_config": lambda value: type(value).__name__ == "BitsAndBytesConfig",
    "subfolder": lambda value: _within(value),
    "use_safetensors": lambda value: value is None or type(value) is bool,
    "variant": lambda value: _within(value),
}
# Others that are plain numbers may be settings of the model's own configuration, which is asked
# before anything is built. Names like these could be more than that.
SWITCHES = r"auto|class|code|compile|distributed|dtype|fusion|hub|impl|kernel|quant|remote|weights"


def dump(value):
    """[library, class, dict of plain values] of a configuration, or None for anything else.

    Raises
    ------
    ValueError
        For a configuration that :func:`load` would refuse.
    """
    library, name = type(value).__module__.partition(".")[0], type(value).__name__
    if library not in ("transformers", "peft") or not name.endswith("Config"):
        return None
    if library == "peft":
        values = _changed_fields(value)
    else:
        values = {k: v for k, v in value.to_dict().items() if k != "_name_or_path"}
        attention = getattr(value, "_attn_implementation", None)
        if attention is not None:
            values["attn_implementation"] = attention
    values = _plain(values)
    load(library, name, values)
    return [library, name, values]


def load(library, name, values):
    """The configuration of :func:`dump`.

    Raises
    ------
    ValueError
        For a class or a value that is not on the lists of this module.
    """
    kind = getattr(importlib.import_module(library), name, None) if library in LOADERS else None
    if not isinstance(kind, type) or not kind.__module__.startswith(f"{library}."):
        raise ValueError(f"it holds the configuration {library!r:.50}.{name!r:.50}, which is none.")
    return LOADERS[library](kind, copy.deepcopy(values))


# -- peft ------------------------------------------------------------------------------------


def _changed_fields(config):
    """Fields that are not at their defaults, which are the same in each version that has them."""
    known = type(config)() if type(config).__name__ in ADAPTERS else config
    skip = ("peft_version", "base_model_name_or_path", "revision")
    names = [f.name for f in dataclasses.fields(config) if f.init and f.name not in skip]
    values = {name: getattr(config, name) for name in names}
    return {k: v for k, v in values.items() if known is config or v != getattr(known, k, v)}


def _adapter_config(kind, values):
    if kind.__name__ not in ADAPTERS:
        raise ValueError(
            f"adapters of the kind peft.{kind.__name__} can't be saved without pickle; those of "
            f"{', '.join(ADAPTERS)} can."
        )
    fields = {field.name for field in dataclasses.fields(kind)}
    for name, value in values.items():
        if name not in fields or not _legal_field(name, value):
            raise ValueError(
                f"peft.{kind.__name__}({name}={value!r:.100}) is not legal in a saved model. Use "
                "pickle, or plain values: lists of layers' names instead of regular expressions, "
                "and no options that need data, files or modules of their own."
            )
    return kind(**values)


def _legal_field(name, value):
    if name in WORDS and type(value) is str:
        return re.fullmatch(WORDS[name], value) is not None
    if value is None or _is_number(value):
        return True
    if name in LAYERS:
        return names_layers(value)
    if name in PATTERNS:
        return len(value) <= MOST_LAYERS and all(
            _is_layer(key) and _is_number(item) for key, item in value.items()
        )
    if name == "layers_to_transform":
        return len(value) <= MOST_LAYERS and all(map(_is_number, value))
    return False


def names_layers(value):
    """Whether a value is a layer's name or a list of such, and no regular expression."""
    items = [value] if type(value) is str else value
    return isinstance(items, list) and len(items) <= MOST_LAYERS and all(map(_is_layer, items))


def _is_number(value):
    return isinstance(value, bool | int | float) and abs(value) <= LARGEST


def _is_layer(name):
    return type(name) is str and len(name) < 500 and re.fullmatch(LAYER, name) is not None


# -- transformers ----------------------------------------------------------------------------


def _transformers_config(kind, values):
    from transformers import PreTrainedConfig
    from transformers.utils.quantization_config import BitsAndBytesConfig

    if kind is BitsAndBytesConfig:
        unknown = values.keys() - kind().to_dict().keys()
        if unknown:
            raise ValueError(f"BitsAndBytesConfig has no {sorted(unknown)[:3]}.")
        return kind.from_dict({k: v for k, v in values.items() if not k.startswith("_")})
    if not issubclass(kind, PreTrainedConfig):
        raise ValueError(f"transformers.{kind.__name__} can't be saved without pickle.")
    return model_config(kind, values, values.pop("attn_implementation", None))


def model_config(kind, values, attention=None):
    """A model's configuration from the content of a ``config.json``.

    Parameters
    ----------
    kind : type
        transformers' own class. Texts that it does not know are left out.
    values : dict
    attention : str or None
        Its implementation of attention.

    Raises
    ------
    ValueError
        If it asks for code or files from elsewhere, or for more than any model has.
    """
    if type(values) is not dict:
        raise ValueError("a model's configuration is no dict.")
    for name, value in values.items():
        if (name in FORBIDDEN and value) or "attn_implementation" in name:
            raise ValueError(
                f"the model's configuration has {name}={value!r:.100}, which may bring in code or "
                "files from elsewhere."
            )
        _check_size(name, value)
    check_attention(attention)
    known = kind().to_dict().keys() | {f.name for f in _fields(kind)} - {"transformers_version"}
    # Numbers that the class does not declare may still be read by the model.
    known |= {k for k, v in values.items() if _is_number(v) and not hasattr(kind, k)}
    kept = {k: v for k, v in values.items() if k in known and k not in FORBIDDEN}
    return kind.from_dict(kept, attn_implementation=attention)


def _fields(kind):
    return dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()


def _check_size(name, value):
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else ((name, v) for v in value):
            _check_size(str(key), item)
    elif isinstance(value, int | float) and "theta" not in name:
        many = re.search(r"layer|block|depth|expert|stage", name)
        if abs(value) > (DEEPEST if many and type(value) is int else LARGEST):
            raise ValueError(
                f"the model's configuration has {name}={value!r:.30}, which no model has."
            )


def names_kernel(attention):
    """Whether an implementation of attention is not one of transformers' own: with a slash it is
    a kernel on the hub."""
    return attention is not None and not (
        type(attention) is str and re.fullmatch(r"[a-z0-9_]+", attention)
    )


def check_attention(attention):
    """ValueError for an implementation of attention that is a kernel from elsewhere."""
    if names_kernel(attention):
        raise ValueError(
            f"attn_implementation={attention!r:.100} is not one of transformers' own, such as "
            "'sdpa': it would bring in code from elsewhere."
        )


def asked_arguments(arguments):
    """Names of the arguments of from_pretrained that may run code, or read and write elsewhere."""
    if arguments is None:
        return []
    if type(arguments) is not dict:
        return ["model_kwargs"]
    return [
        f"attn_implementation={value!r:.100}" if name == "attn_implementation"
        else f"model_kwargs[{name!r:.100}]"
        for name, value in arguments.items()
        if not (HARMLESS[name](value) if name in HARMLESS else _may_be_setting(name, value))
    ]  # fmt: skip


def settings_among(arguments):
    """Those of harmless arguments that :func:`check_settings` has to check."""
    return {name: value for name, value in (arguments or {}).items() if name not in HARMLESS}


def check_settings(settings, config):
    """Hold numbers that replace those of a model's configuration against it.

    Parameters
    ----------
    settings : dict
        By name: numbers, flags and None.
    config : transformers.PreTrainedConfig
        Without them.

    Raises
    ------
    ValueError
        If it does not know one, or has it smaller, so that more might be built than there is.
    """
    kind = type(config)
    known = {f.name for f in _fields(kind)} or kind().to_dict().keys()
    for name, value in settings.items():
        own = getattr(config, name, None) if name in known | kind.attribute_map.keys() else ""
        if not _replaces(value, own):
            raise ValueError(
                f"it asks for model_kwargs[{name!r:.100}]={value!r:.30}, and {kind.__name__} has "
                f"{'no such number' if isinstance(own, str) else own!r:.30}. A saved model may "
                "lower numbers of its base's configuration, and set its flags, no more. If you "
                "trust it, load it with trust_remote_code=True."
            )


def _replaces(value, own):
    numbers = int | float
    if type(own) is bool or isinstance(value, bool):
        return type(own) is type(value)
    if value is None or own is None:
        return value is None and (own is None or isinstance(own, numbers))
    return isinstance(own, numbers) and 0 <= value <= max(own, 1)


def _may_be_setting(name, value):
    plain = value is None or type(value) in (bool, int, float)
    named = type(name) is str and re.fullmatch(r"[a-z]\w{,99}", name)
    return plain and named and name not in FORBIDDEN and not re.search(SWITCHES, name)


def _within(path):
    """Whether a path of strangers stays within the folder that it is relative to."""
    return path is None or (
        type(path) is str and re.fullmatch(r"[\w.-]+(/[\w.-]+)*|", path) is not None
        and not {".", ".."} & set(path.split("/"))
    )  # fmt: skip


def _plain(value):
    """Members of an enumeration as their values, and sets as sorted lists."""
    if isinstance(value, Enum):
        return value.value
    if type(value) is dict:
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, set | tuple):
        return [_plain(item) for item in (sorted(value) if isinstance(value, set) else value)]
    return [_plain(item) for item in value] if type(value) is list else value


LOADERS = {"peft": _adapter_config, "transformers": _transformers_config}
