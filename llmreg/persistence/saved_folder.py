"""The folder of a saved estimator: one JSON record beside files of weights and arrays.

``SHA256SUMS`` has the digests of all other files, in the format of ``sha256sum``: what is not in it
is not read, and what is read is what was saved. That is against damage. Whoever makes a folder can
make the digests, too: what is read is held against :mod:`llmreg.persistence.schema` besides.
"""

import copy
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import time
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from llmreg.persistence import record
from llmreg.persistence.schema import MODEL, check_fields, check_state

__all__ = ["NAMES", "Files", "find", "read", "replacing", "write"]

FORMAT = 2
SUMS = "SHA256SUMS"
RECORD = "estimator.json"
ARRAYS = "arrays.safetensors"
OF_A_MODEL = (
    "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors",
    "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
)  # fmt: skip
# All files that a saved model may consist of.
NAMES = (
    SUMS, RECORD, ARRAYS, "adapter_config.json", "adapter_model.safetensors", "cells.safetensors",
    "heads.safetensors", "members.safetensors", *OF_A_MODEL, *(f"base/{n}" for n in OF_A_MODEL),
)  # fmt: skip
LIBRARIES = ("numpy", "pandas", "peft", "scikit-learn", "tokenizers", "torch", "transformers")
AGAIN = "Save or download it again."
DAY = 86400.0


# -- writing ---------------------------------------------------------------------------------


@contextmanager
def replacing(path):
    """Write a new folder beside ``path``, which takes its place if all goes well.

    What a saved model in that place holds besides, such as ``.git``, moves into the new folder.

    Yields
    ------
    folder, target : Path
        Where to write, and where it will be.

    Raises
    ------
    FileExistsError
        If something else than a saved model is there, or a file of another origin would be
        overwritten.
    """
    target = Path(path).expanduser().resolve()
    _tidy(target)
    _check_target(target)
    mark = f"{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
    folder, old = (target.with_name(f".{target.name}.{mark}.{end}") for end in ("part", "old"))
    folder.mkdir(parents=True)
    try:
        yield folder, target
        _check_others(target, folder)
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
    _retire(old, target)


def _check_target(target):
    if target.exists() and not (target.is_dir() and (not any(target.iterdir()) or _own(target))):
        raise FileExistsError(
            f"{target} exists and is not a saved llmreg model, so it is not replaced. Choose "
            "another path, or move away what is there."
        )


def _own(folder):
    """Names of the files in a folder that are a saved model's; none where there is no model."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        return {SUMS, *(line.partition("  ")[2] for line in lines)} & set(NAMES)
    except (OSError, ValueError):
        pass
    try:  # of format 1, which had the digests in the record
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return {RECORD, *found["files"]} & set(NAMES) if "llmreg" in found["versions"] else set()
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()


def _others(folder):
    """What else is in the folder of a saved model: files and whole folders, by relative paths."""
    own = _own(folder)
    inside = [path for path in (folder / "base").glob("*") if (folder / "base").is_dir()]
    paths = [path for path in folder.iterdir() if path.name != "base" or not path.is_dir()]
    names = [path.relative_to(folder).as_posix() for path in (*paths, *inside)]
    return [name for name in names if name not in own]


def _check_others(target, folder):
    taken = [name for name in _others(target) if (folder / name).exists()] if _own(target) else []
    if taken:
        raise FileExistsError(
            f"{target / taken[0]} is no part of the model that was saved there, and would be "
            "overwritten. Choose another path, or move it away."
        )


def _retire(old, target):
    """Move what is not the old model's into the new folder, and delete the rest."""
    if not old.is_dir():
        return
    for name in _others(old):
        if not (target / name).exists():
            (target / name).parent.mkdir(exist_ok=True)
            (old / name).rename(target / name)
    shutil.rmtree(old, ignore_errors=True)


def _tidy(target):
    """Sweep what killed saves have left beside a folder; a model put aside comes back."""
    for path in _left(target):
        if path.suffix == ".part":
            shutil.rmtree(path, ignore_errors=True)
        elif target.exists():
            _retire(path, target)
        else:
            path.rename(target)


def _left(target):
    """Folders of saves that no longer run."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.(\w+)-(\d+)-[0-9a-f]{{8}}\.(part|old)")
    found = []
    for path in target.parent.iterdir() if target.parent.is_dir() else ():
        match = pattern.fullmatch(path.name)
        if match and path.is_dir() and not _runs(match[1], int(match[2]), path):
            found.append(path)
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def _runs(host, process, path):
    """Whether a save may still be at work: its process lives, or can't be asked; for a day."""
    if time.time() - path.stat().st_mtime > DAY:
        return False
    if host != _host() or os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _host():
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def write(estimator, model, folder, target):
    """Write a fitted estimator into a folder that is going to be ``target``.

    ``model`` is the estimator's own or its merged copy.
    """
    from safetensors.numpy import save_file

    from llmreg.persistence.model_files import write_model

    state = {**vars(estimator), "token": None, "checkpoint_dir": None}
    del state["model_"]
    prompts = state["prompts_"] = copy.copy(state["prompts_"])
    tokenizer, prompts.tokenizer = prompts.tokenizer, None
    state["history_"] = {name: column.tolist() for name, column in state["history_"].items()}
    # Weights within the folder that is about to be replaced would be gone.
    doomed = model.source is not None and Path(model.source.path).resolve().is_relative_to(target)
    parts = write_model(model, tokenizer, folder, keep_base=doomed)
    in_folder = parts["folder"] is not None and _in_memory(state["model"])
    if in_folder:
        state["model"], state["_built_with"] = "tiny", {**state["_built_with"], "model": "None"}
    kind, arrays = _class_name(estimator), {}
    parameters = estimator.get_params(deep=False).keys()
    written = {
        name: _dump(value, f"{'parameter' if name in parameters else 'attribute'} {name}", arrays)
        for name, value in state.items()
    }
    check_state(kind, state)
    text = {
        "format": FORMAT, "versions": _versions(), "class": kind, "state": written,
        "model_folder": parts["folder"] if in_folder else None,
        "model": _dump(parts, "model_", arrays),
    }  # fmt: skip
    save_file(arrays, folder / ARRAYS)
    text = json.dumps(text, indent=1, allow_nan=False) + "\n"
    record.parse(text.encode(), RECORD)  # what is too large to be read is not to be written
    (folder / RECORD).write_text(text, encoding="utf-8")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8", newline="\n")


def _class_name(estimator):
    kind = type(estimator)
    if kind.__module__ != "llmreg.estimator":
        raise TypeError(
            f"{kind.__module__}.{kind.__qualname__} is not one of llmreg's own classes, and a "
            "saved folder can't say where to find it. Use pickle or joblib, or save an "
            "LLMRegressor."
        )
    return kind.__name__


def _in_memory(given):
    """Whether the parameter ``model`` is a model itself, or what became of one when it was saved
    and loaded: a saved estimator's folder or the one of the weights in it."""
    if isinstance(given, str):
        path = Path(given).expanduser()
        return bool(_own(path) or _own(path.parent))
    return isinstance(given, tuple)


def _dump(value, name, arrays):
    structure, found = record.dump(value, name)
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
    if os.path.exists(folder):
        return folder
    if not isinstance(path, str) or not _is_hub_id(path):
        near = _left(Path(os.path.abspath(folder))) if os.path.exists(folder.parent) else []
        aside = [str(left) for left in near if left.suffix == ".old"]
        raise FileNotFoundError(
            f"{path} does not exist. Give the folder that save wrote, or a hub id 'owner/name'."
            + (
                f" A save was interrupted there: the former model is in {aside[0]}."
                if aside
                else ""
            )
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(
            path, revision=revision, token=token, local_files_only=local_files_only,
            allow_patterns=list(NAMES),
        ))  # fmt: skip
    except (OSError, ValueError) as error:
        raise OSError(
            f"{path} is neither a folder on this machine nor a model that the Hugging Face hub or "
            f"its local cache could give (revision={revision!r}, local_files_only="
            f"{local_files_only}). Check the name, the connection and the token. The hub said: "
            f"{error}"
        ) from error


def _is_hub_id(path):
    """Whether a string looks like "owner/name" and not like a path on this machine."""
    owner, _, name = path.partition("/")
    part = r"[A-Za-z0-9][\w.-]*"
    named = re.fullmatch(part, owner) and re.fullmatch(part, name)
    return bool(named) and not Path(owner).exists() and not _has_suffix(name)


def _has_suffix(name):
    # "v1.5" is a version; "model.d" and "cars.llmreg" are names of files and folders.
    return re.fullmatch(r"\.[A-Za-z_]+", Path(name).suffix) is not None


class Files:
    """The files of a saved model, of which each is in the folder, and as it was saved.

    Raises
    ------
    OSError
        If one is missing.
    ValueError
        If one is damaged or elsewhere.
    """

    def __init__(self, folder):
        self.folder = folder
        self._found = {}
        for name, digest in self._sums().items():
            path = self._inside(name)
            if not path.is_file():
                raise FileNotFoundError(f"{folder} is incomplete: {name} is missing. {AGAIN}")
            if _digest(path) != digest:
                raise ValueError(
                    f"{folder / name} is damaged: it is not the file that was saved. {AGAIN}"
                )
            self._found[name] = path

    def __contains__(self, name):
        return name in self._found

    def path(self, name):
        """Where a file is."""
        if name not in self._found:
            raise FileNotFoundError(f"{self.folder} is incomplete: {name} is missing. {AGAIN}")
        return self._found[name]

    def read(self, name, most_bytes=record.MOST_BYTES):
        """The content of a file."""
        size = self.path(name).stat().st_size
        if size > most_bytes:
            raise ValueError(f"{name} has {size:,} bytes, more than the {most_bytes:,} allowed.")
        return self.path(name).read_bytes()

    def _sums(self):
        path = self._inside(SUMS)
        if not path.is_file():
            raise self._no_model()
        with open(path, "rb") as file:
            lines = file.read(100 * len(NAMES)).decode("utf-8", "replace").split("\n")
        found = [re.fullmatch(r"([0-9a-f]{64})  (\S+)", line) for line in lines[:-1]]
        names = [match[2] for match in found if match and match[2] in NAMES]
        if lines[-1] or len(set(names)) != len(found) or SUMS in names or RECORD not in names:
            raise ValueError(
                f"{path} is damaged: it must have a line for each file of the model. {AGAIN}"
            )
        return {match[2]: match[1] for match in found}

    def _no_model(self):
        if (self.folder / RECORD).is_file():
            return FileNotFoundError(
                f"{self.folder} has no {SUMS}, without which nothing says whether its files are "
                "as they were: it was saved by an earlier version of llmreg, or is incomplete. "
                "Open it with the version that saved it and save it again, or download it again."
            )
        return FileNotFoundError(
            f"{self.folder} holds no saved llmreg model: there is no {RECORD} in it. Give the "
            "folder that save wrote."
        )

    def _inside(self, name):
        """A file's path; ValueError if links lead out of the folder. The hub's cache has the files
        of a snapshot beside it."""
        root, path = self.folder.resolve(), (self.folder / name).resolve()
        cache = [root.parent.parent / "blobs"] if root.parent.name == "snapshots" else []
        if not any(path.is_relative_to(place) for place in (root, *cache)):
            raise ValueError(
                f"{self.folder / name} is a link to {path}, which is not in the folder."
            )
        return path


def read(folder, overrides, trust_remote_code):
    """The estimator that was saved in a folder.

    Parameters
    ----------
    folder : Path
    overrides : dict
        Parameters in place of saved ones; ``token`` and ``local_files_only`` hold for opening too.
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
    from llmreg.persistence.model_files import code_asked_for, read_model, read_tokenizer

    found = record.parse(files.read(RECORD), RECORD)
    _check_format(found)
    arrays = _read_arrays(files)
    state = {name: record.load(part, arrays) for name, part in dict(found["state"]).items()}
    parts = record.load(found["model"], arrays)
    if not trust_remote_code:
        _refuse_code(code_asked_for(parts, state))
    check_fields("model_", parts, MODEL)
    if found["class"] != "LLMRegressor":
        raise ValueError(f"it names the class {found['class']!r:.100}, which is not llmreg's.")
    kind = check_state(found["class"], state)
    state["history_"] = pd.DataFrame(state["history_"])
    state["checkpoint_dir"] = None
    if found["model_folder"] is not None:
        state["model"] = str(files.path(_config_of(found["model_folder"])).parent)
        state["_built_with"]["model"] = repr(state["model"])
    estimator = kind()
    vars(estimator).update(state)
    estimator.set_params(**overrides)
    estimator.prompts_.tokenizer = read_tokenizer(files)
    online = {name: overrides[name] for name in ("token", "local_files_only") if name in overrides}
    estimator.model_ = read_model(parts, estimator.codec_, files, online)
    return estimator


def _config_of(folder):
    return {".": "config.json", "base": "base/config.json"}[folder]


def _check_format(found):
    number = found.get("format") if type(found) is dict else None
    if number != FORMAT:
        by = dict(found).get("versions", {}).get("llmreg")
        older = "an earlier" if type(number) is int and number < FORMAT else "another"
        raise ValueError(
            f"it is of format {number!r:.20}, saved by {older} version of llmreg ({by!r:.40}); "
            f"this one reads format {FORMAT}. Open it with that version, or save again with this."
        )


def _read_arrays(files):
    from safetensors.numpy import load_file

    return load_file(files.path(ARRAYS))


def _refuse_code(asked):
    if asked:
        raise ValueError(
            f"it asks for {', '.join(asked)}: opening it may run code from elsewhere, or read and "
            "write files elsewhere. If you trust it, load it with trust_remote_code=True."
        )
