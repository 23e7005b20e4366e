"""The folder of a saved estimator: one JSON record beside files of weights and arrays."""

import copy
import hashlib
import json
import re
import secrets
import shutil
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from llmreg.persistence import archive

__all__ = ["PATTERNS", "find", "read", "replacing", "write"]

FORMAT = 1
RECORD = "estimator.json"
ARRAYS = "arrays.safetensors"
PATTERNS = ("*.safetensors", "*.json", "*.jinja", "*.txt")  # all files that a folder may hold
LIBRARIES = ("numpy", "pandas", "peft", "scikit-learn", "tokenizers", "torch", "transformers")


# -- writing ---------------------------------------------------------------------------------


@contextmanager
def replacing(path):
    """Write a new folder beside ``path``, which takes its place if all goes well.

    Yields
    ------
    folder, target : Path
        Where to write, and where it will be.

    Raises
    ------
    FileExistsError
        If something else than a saved model is there.
    """
    target = _target(path)
    mark = secrets.token_hex(4)
    folder, old = (target.with_name(f".{target.name}.{mark}.{end}") for end in ("part", "old"))
    folder.mkdir(parents=True)
    try:
        yield folder, target
        if target.exists():
            target.rename(old)
        try:
            folder.rename(target)
        except BaseException:
            if old.exists():
                old.rename(target)
            raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _target(path):
    target = Path(path).expanduser().resolve()
    if target.is_dir() and (not any(target.iterdir()) or _holds_model(target)):
        return target
    if target.exists():
        raise FileExistsError(
            f"{target} exists and is not a saved llmreg model, so it is not replaced. Choose "
            "another path, or move away what is there."
        )
    return target


def _holds_model(folder):
    try:
        return "llmreg" in json.loads((folder / RECORD).read_text(encoding="utf-8"))["versions"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write(estimator, model, folder, target):
    """Write a fitted estimator into a folder that is going to be ``target``.

    ``model`` is the estimator's own or its merged copy.
    """
    from safetensors.numpy import save_file

    from llmreg.persistence.saved_model import write_model

    state = {**vars(estimator), "token": None}
    del state["model_"]
    prompts = state["prompts_"] = copy.copy(state["prompts_"])
    tokenizer, prompts.tokenizer = prompts.tokenizer, None
    # Weights within the folder that is about to be replaced would be gone.
    doomed = model.source is not None and Path(model.source.path).resolve().is_relative_to(target)
    parts = write_model(model, tokenizer, folder, keep_base=doomed)
    in_folder = parts["folder"] is not None and _in_memory(state["model"])
    if in_folder:
        state["model"], state["_built_with"] = None, {**state["_built_with"], "model": None}
    parameters = {name: state.pop(name) for name in estimator.get_params(deep=False)}
    arrays = {}
    record = {
        "format": FORMAT,
        "versions": _versions(),
        "class": _class_name(estimator),
        "model_folder": parts["folder"] if in_folder else None,
        "parameters": {n: _dump(v, f"parameter {n}", arrays) for n, v in parameters.items()},
        "attributes": {n: _dump(v, f"attribute {n}", arrays) for n, v in state.items()},
        "model": _dump(parts, "model_", arrays),
    }
    save_file(arrays, folder / ARRAYS)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    record["files"] = {path.relative_to(folder).as_posix(): _digest(path) for path in files}
    text = json.dumps(record, indent=1, allow_nan=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")


def _class_name(estimator):
    kind = type(estimator)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if not name.startswith("llmreg."):
        raise TypeError(
            f"{name} is not one of llmreg's own classes, and a saved folder can't say where to "
            "find it. Use pickle or joblib, or save an LLMRegressor."
        )
    return name


def _in_memory(given):
    """Whether the parameter ``model`` is a model itself, or what became of one when it was saved
    and loaded: a saved estimator's folder or the one of the weights in it."""
    if isinstance(given, str):
        path = Path(given).expanduser()
        return _holds_model(path) or _holds_model(path.parent)
    return isinstance(given, tuple)


def _dump(value, name, arrays):
    structure, found = archive.dump(value, name)
    arrays.update(found)
    return structure


def _versions():
    from llmreg import __version__

    return {"llmreg": __version__, **{name: version(name) for name in LIBRARIES}}


def _digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- reading ---------------------------------------------------------------------------------


def find(path, revision, token, local_files_only):
    """The folder of a saved estimator: ``path`` itself, or its copy from the hub.

    Raises
    ------
    OSError
        If neither is there.
    """
    folder = Path(path).expanduser()
    if folder.exists():
        return folder
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(path)):
        raise FileNotFoundError(
            f"{path} does not exist. Give the folder that save wrote, or a hub id 'owner/name'."
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(
            str(path), revision=revision, token=token, local_files_only=local_files_only,
            allow_patterns=list(PATTERNS),
        ))  # fmt: skip
    except (OSError, ValueError) as error:
        raise OSError(
            f"{path} is neither a folder on this machine nor a model that the Hugging Face hub or "
            f"its local cache could give (revision={revision!r}, local_files_only="
            f"{local_files_only}). Check the name, the connection and the token. The hub said: "
            f"{error}"
        ) from error


def read(folder, overrides, trust_remote_code):
    """The estimator that was saved in a folder.

    Parameters
    ----------
    folder : Path
    overrides : dict
        Parameters in place of saved ones; ``token`` and ``local_files_only`` hold for opening too.
    trust_remote_code : bool
    """
    from llmreg.persistence.saved_model import code_asked_for, read_model, read_tokenizer

    record = _read_record(folder)
    arrays = _read_arrays(folder / ARRAYS)
    try:
        kind, parts = _find_class(record["class"]), archive.load(record["model"], arrays)
        parameters, attributes = (
            {name: archive.load(part, arrays) for name, part in record[group].items()}
            for group in ("parameters", "attributes")
        )
    except (ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{folder / RECORD}: {error}") from error
    if not trust_remote_code:
        _refuse_code(folder, code_asked_for(parts, parameters))
    parameters.update(overrides)
    if record["model_folder"] is not None:
        parameters["model"] = str((folder / record["model_folder"]).resolve())
        attributes["_built_with"]["model"] = repr(parameters["model"])
    estimator = _built(kind, parameters, folder)
    estimator.__setstate__(attributes)
    estimator.prompts_.tokenizer = read_tokenizer(folder)
    online = {name: overrides[name] for name in ("token", "local_files_only") if name in overrides}
    estimator.model_ = read_model(parts, estimator.codec_, folder, online)
    return estimator


def _find_class(name):
    if not name.startswith("llmreg."):
        raise ValueError(f"it names the class {name!r}, which is not llmreg's.")
    return archive.find_class(name)


def _built(kind, parameters, folder):
    unknown = parameters.keys() - kind().get_params(deep=False).keys()
    if unknown:
        raise ValueError(
            f"{folder} was saved with the parameters {sorted(unknown)}, which this version of "
            "llmreg does not have. Install the version that saved it."
        )
    return kind(**parameters)


def _read_record(folder):
    """The checked record: of a format that we know, with all files as they were."""
    path = folder / RECORD
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no saved llmreg model: there is no {RECORD} in it. Give the folder "
            "that save wrote."
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        number, files = record["format"], dict(record["files"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error!r}). Save or download it again.") from error
    if number != FORMAT:
        raise ValueError(
            f"{folder} is of format {number}, written by llmreg "
            f"{record.get('versions', {}).get('llmreg')}; this version reads format {FORMAT}. "
            "Install that version or a newer one."
        )
    for name, digest in files.items():
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} is incomplete: {name} is missing. Save or download "
                                    "it again.")  # fmt: skip
        if _digest(folder / name) != digest:
            raise ValueError(
                f"{folder / name} is damaged: it is not the file that was saved. Save or download "
                "it again."
            )
    return record


def _read_arrays(path):
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}). Save or download it again.") from error


def _refuse_code(folder, asked):
    if asked:
        raise ValueError(
            f"The model saved in {folder} asks for {', '.join(asked)}: opening it may run code "
            "from elsewhere. If you trust it, load it with trust_remote_code=True."
        )
