"""What is in the folder of a saved estimator: one JSON record beside files of weights and arrays.

Digests tell of damage, not of who made the folder: what is read is held against
:mod:`llmreg.persistence.schema` besides.
"""

import copy
import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from llmreg.config.device import Device
from llmreg.config.parameters import given_parameters
from llmreg.config.pretrained_model import PretrainedModel, as_pretrained, built_from
from llmreg.lm.packing import FORMAT
from llmreg.persistence import record
from llmreg.persistence.folders import RECORD, Files, is_saved, seal
from llmreg.persistence.schema import MODEL, check_fields, check_state
from llmreg.version import __version__

__all__ = ["read", "write"]

ARRAYS = "arrays.safetensors"
LIBRARIES = ("numpy", "pandas", "peft", "scikit-learn", "tokenizers", "torch", "transformers")


def write(estimator, model, folder, target):
    """Write a fitted estimator into a folder that is going to be ``target``.

    ``model`` is the estimator's own or its merged copy.
    """
    from safetensors.numpy import save_file

    from llmreg.persistence.model_files import write_model

    parameters = given_parameters(estimator)
    state = vars(estimator) | parameters | {"checkpoint_dir": None}
    prompts = copy.copy(estimator.prompts_)
    tokenizer, prompts.tokenizer = prompts.tokenizer, None
    state["fitted_"] = replace(estimator.fitted_, model=None, prompts=prompts)
    state["history_"] = {name: column.tolist() for name, column in state["history_"].items()}
    # Weights within the folder that is about to be replaced would be gone.
    doomed = model.source is not None and Path(model.source.path).resolve().is_relative_to(target)
    parts = write_model(model, tokenizer, folder, keep_base=doomed)
    in_folder = parts["folder"] is not None and _in_memory(state["model"])
    state["model"] = _with(state["model"], "tiny" if in_folder else None)
    if in_folder:
        state["_built_with"] = {**state["_built_with"], "model": "None"}
    kind, writer = _class_name(estimator), record.Writer()
    written = {
        name: writer.write(value, f"{'parameter' if name in parameters else 'attribute'} {name}")
        for name, value in state.items()
    }
    check_state(kind, state)
    text = json.dumps({
        "format": FORMAT, "versions": _versions(), "class": kind, "state": written,
        "model_folder": parts["folder"] if in_folder else None,
        "model": writer.write(parts, "model_"),
    }, indent=1, allow_nan=False) + "\n"  # fmt: skip
    save_file(writer.arrays, folder / ARRAYS)
    record.parse(text.encode(), RECORD)  # what is too large to be read is not to be written
    (folder / RECORD).write_text(text, encoding="utf-8")
    seal(folder)


def _class_name(estimator):
    kind = type(estimator)
    if kind.__module__ != "llmreg.estimator":
        raise TypeError(
            f"{kind.__module__}.{kind.__qualname__} is not one of llmreg's own classes, and a "
            "saved folder can't say where to find it. Use pickle or joblib, or save an "
            "LLMRegressor."
        )
    return kind.__name__


def _with(model, source=None):
    """The parameter ``model`` without a hub token, and with another source if there is one."""
    if isinstance(model, PretrainedModel):
        model = copy.copy(model)
        model.token, model.source = None, model.source if source is None else source
        return model
    return model if source is None else source


def _in_memory(given):
    """Whether the parameter ``model`` is a model itself, or what became of one when it was saved
    and loaded: a saved estimator's folder or the one of the weights in it."""
    given = given.source if isinstance(given, PretrainedModel) else given
    if isinstance(given, str):
        path = Path(given).expanduser()
        return is_saved(path) or is_saved(path.parent)
    return isinstance(given, tuple)


def _versions():
    return {"llmreg": __version__, **{name: version(name) for name in LIBRARIES}}


def read(folder, overrides, trust_remote_code):
    """The estimator that was saved in a folder.

    Parameters
    ----------
    folder : Path
    overrides : dict
        "device", "token" and "local_files_only" in place of saved ones; the last two hold for
        opening too.
    trust_remote_code : bool
    """
    files = Files(folder)
    try:
        return _read(files, overrides, trust_remote_code)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever strangers' files bring about in other libraries
        said = error if type(error) is ValueError else repr(error)
        raise ValueError(
            f"{folder} can't be opened: {said} If you saved it, save it again, or open it with the "
            "versions that it was saved with, which estimator.json lists."
        ) from error


def _read(files, overrides, trust_remote_code):
    from safetensors.numpy import load_file

    from llmreg.persistence.model_files import (
        check_arguments,
        code_asked_for,
        read_model,
        read_tokenizer,
    )

    found = record.parse(files.read(RECORD, record.MOST_BYTES), RECORD)
    _check_format(found)
    arrays = load_file(files.path(ARRAYS))
    state = {name: record.load(part, arrays) for name, part in dict(found["state"]).items()}
    parts = record.load(found["model"], arrays)
    if not trust_remote_code:
        _refuse_code(code_asked_for(parts, state.get("model")))
    check_fields("model_", parts, MODEL)
    if found["class"] != "LLMRegressor":
        raise ValueError(f"it names the class {found['class']!r:.100}, which is not llmreg's.")
    kind = check_state(found["class"], state)
    online = {name: overrides[name] for name in ("token", "local_files_only") if name in overrides}
    if not trust_remote_code:
        check_arguments(parts, state["model"], files, online)
    state["history_"] = pd.DataFrame(state["history_"])
    state["checkpoint_dir"] = None
    if found["model_folder"] is not None:
        config = {".": "config.json", "base": "base/config.json"}[found["model_folder"]]
        state["model"] = _with(state["model"], str(files.path(config).parent))
        state["_built_with"]["model"] = built_from(state["model"])
    estimator = kind()
    vars(estimator).update(state)
    _override(estimator, dict(overrides))
    estimator.prompts_.tokenizer = read_tokenizer(files)
    estimator.model_ = read_model(parts, estimator.codec_, files, online)
    return estimator


def _override(estimator, overrides):
    """Set the device, and who may load a pretrained model and how."""
    if isinstance(estimator.device, Device):
        overrides = {"device__name" if k == "device" else k: v for k, v in overrides.items()}
    for name in ("token", "local_files_only"):
        if name in overrides:
            value = overrides.pop(name)
            if as_pretrained(estimator.model) is not None:
                estimator.set_params(**{f"model__{name}": value})
    estimator.set_params(**overrides)


def _check_format(found):
    number = found.get("format") if type(found) is dict else None
    if number != FORMAT:
        by = dict(found).get("versions", {}).get("llmreg")
        older = "an earlier" if type(number) is int and number < FORMAT else "another"
        raise ValueError(
            f"it is of format {number!r:.20}, saved by {older} version of llmreg ({by!r:.40}); "
            f"this one reads format {FORMAT}. Open it with that version, or save again with this."
        )


def _refuse_code(asked):
    if asked:
        raise ValueError(
            f"it asks for {', '.join(asked)}, which may run code from elsewhere, or read and write "
            "files elsewhere, or can't be told from what does. If you trust it, load it with "
            "trust_remote_code=True."
        )
