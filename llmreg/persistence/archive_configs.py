"""Types, paths and the configurations of transformers and peft in an archive.

See :mod:`llmreg.persistence.archive`; ``WRITERS`` and ``READERS`` are as in
:mod:`llmreg.persistence.archive_arrays`.
torch, transformers and peft are imported only where a value of theirs is at hand.
"""

import dataclasses
import importlib
from enum import Enum
from pathlib import Path, PurePath

import numpy as np

__all__ = ["READERS", "WRITERS"]

BUILTIN_TYPES = {kind.__name__: kind for kind in (bool, int, float, str, bytes, object)}


def _write_type(writer, value, path):
    if isinstance(value, np.dtype) and value.kind in "biufMmOUS":
        return {"dtype": value.str}
    if isinstance(value, type) and issubclass(value, np.generic):
        return {"numpy type": value.__name__}
    if isinstance(value, type) and value in BUILTIN_TYPES.values():
        return {"type": value.__name__}
    if isinstance(value, PurePath):
        return {"path": str(value)}
    if type(value).__module__ == "torch" and type(value).__name__ == "dtype":
        return {"torch dtype": str(value).removeprefix("torch.")}
    return None


def _read_numpy_type(reader, name):
    kind = getattr(np, name, None)
    if not (isinstance(kind, type) and issubclass(kind, np.generic)):
        raise ValueError(f"it names {name!r}, which is no numpy type.")
    return kind


def _read_torch_dtype(reader, name):
    import torch

    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"it names {name!r}, which is no torch dtype.")
    return dtype


# -- configurations --------------------------------------------------------------------------


def _write_config(writer, value, path):
    library = type(value).__module__.partition(".")[0]
    kind = _kind(library, type(value))
    if kind is None:
        return None
    if kind == "peft":  # field by field: its to_dict would flatten configurations inside it
        values = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
    else:
        values = value.to_dict()
        values["attn_implementation"] = getattr(value, "_attn_implementation", None)
    return {"config": [library, type(value).__name__, writer.write(_plain(values), path)]}


def _read_config(reader, parts):
    library, name, values = parts
    found = library in ("transformers", "peft")
    config = getattr(importlib.import_module(library), name, None) if found else None
    kind = _kind(library, config) if isinstance(config, type) else None
    if kind is None:
        raise ValueError(
            f"it holds the configuration {library}.{name}, which is not there. "
            f"Install the version of {library} that it was saved with."
        )
    values = reader.read(values)
    if kind == "peft":
        return config(**values)
    attention = values.pop("attn_implementation")
    if kind == "quantization":
        return config.from_dict(values)
    return config.from_dict(values, attn_implementation=attention)


def _kind(library, config):
    """Which sort of configuration a class is; None if it is none that can be looked up again."""
    if library not in ("transformers", "peft"):
        return None
    if getattr(importlib.import_module(library), config.__name__, None) is not config:
        return None
    if library == "peft":
        legal = dataclasses.is_dataclass(config) and config.__name__.endswith("Config")
        return "peft" if legal else None
    from transformers import PreTrainedConfig
    from transformers.utils.quantization_config import QuantizationConfigMixin

    if issubclass(config, PreTrainedConfig):
        return "model"
    return "quantization" if issubclass(config, QuantizationConfigMixin) else None


def _plain(value):
    """Members of an enumeration as their values, which the configurations accept as well."""
    if isinstance(value, Enum):
        return value.value
    if type(value) is dict:
        return {_plain(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if type(value) is list else value


WRITERS = (_write_type, _write_config)
READERS = {
    "dtype": lambda reader, text: np.dtype(text),
    "numpy type": _read_numpy_type,
    "type": lambda reader, name: BUILTIN_TYPES[name],
    "torch dtype": _read_torch_dtype,
    "path": lambda reader, text: Path(text),
    "config": _read_config,
}
