"""Folders of saved models: replaced as a whole, found again, and read as they were written.

``SHA256SUMS`` has the digests of all other files, in the format of ``sha256sum``: what is not in it
is not read, and what is read is what was saved.
"""

import contextlib
import glob
import hashlib
import os
import re
import secrets
import shutil
import time
from pathlib import Path

__all__ = ["NAMES", "RECORD", "Files", "check_place", "find", "is_saved", "replacing", "seal"]

SUMS = "SHA256SUMS"
RECORD = "estimator.json"
OF_A_MODEL = (
    "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors",
    "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
)  # fmt: skip
# All files that a saved model may consist of.
NAMES = (
    SUMS, RECORD, "arrays.safetensors", "adapter_config.json", "adapter_model.safetensors",
    "cells.safetensors", "heads.safetensors", "members.safetensors",
    *OF_A_MODEL, *(f"base/{name}" for name in OF_A_MODEL),
)  # fmt: skip
NEW = ".new"  # a complete model on its way into the folder
AGAIN = "Save or download it again."
DAY = 86400.0


# -- writing ---------------------------------------------------------------------------------


@contextlib.contextmanager
def replacing(path):
    """Write a new model beside ``path``, which takes the place of the one there if all goes well.

    At each moment there is one whole model: once the new one is complete it moves into the folder
    by one step, and :class:`Files` finds its files there until the last is in place. What the
    folder holds besides, such as ``.git``, stays.

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
    target = check_place(path)
    _sweep(target)
    folder = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    folder.mkdir(parents=True)
    try:
        yield folder, target
        _check_others(target, folder)
        target.mkdir(exist_ok=True)
        _finish(target)  # what a killed save has left
        folder.rename(target / NEW)
        _finish(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_place(path):
    """The absolute path to save at; FileExistsError if something else is there."""
    target = Path(path).expanduser().resolve()
    if target.exists() and not (target.is_dir() and (is_saved(target) or not os.listdir(target))):
        raise FileExistsError(
            f"{target} exists and is not a saved llmreg model, so it is not replaced. Choose "
            "another path, or move away what is there."
        )
    return target


def is_saved(folder):
    """Whether a folder holds a saved model."""
    return bool(_own(folder))


def _own(folder):
    """Names of the files in a folder that are a saved model's."""
    return _listed(folder) | _listed(folder / NEW)


def _listed(folder):
    """Names in a folder's digests; none where there is no model."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return set()
    names = {line.partition("  ")[2] for line in lines} & set(NAMES)
    return names | {SUMS} if RECORD in names else set()


def _check_others(target, folder):
    taken = [name for name in _listed(folder) - _own(target) if (target / name).exists()]
    if taken:
        raise FileExistsError(
            f"{target / taken[0]} is no part of the model that was saved there, and would be "
            "overwritten. Choose another path, or move it away."
        )


def _finish(target):
    """Move the new model's files to their places, the digests last."""
    base, new = target / "base", target / NEW
    names = _listed(new)
    if names:
        if base.is_symlink():  # what it leads to is not this folder's
            base.unlink()
        for name in _listed(target) - names:
            (target / name).unlink(missing_ok=True)
        for name in sorted(names, key=lambda name: name == SUMS):
            if (new / name).exists():
                (target / name).parent.mkdir(exist_ok=True)
                (new / name).replace(target / name)
        with contextlib.suppress(OSError):  # empty, if there is no base any more
            base.rmdir()
    shutil.rmtree(new, ignore_errors=True)


def _sweep(target):
    """Delete what killed saves have left beside a folder: what nothing has touched for a day."""
    for path in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > DAY:
                shutil.rmtree(path, ignore_errors=True)


def seal(folder):
    """Write the digests of a folder's files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8", newline="\n")


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
        raise FileNotFoundError(
            f"{path} does not exist. Give the folder that save wrote, or a hub id 'owner/name'."
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
    part = r"[A-Za-z0-9][\w.-]*"
    named = re.fullmatch(rf"({part})/{part}", path)
    # "v1.5" is a version; "model.d" and "cars.llmreg" are names of files and folders.
    return bool(named) and not Path(named[1]).exists() and not re.search(r"\.[A-Za-z_]+$", path)


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
                raise self._missing(name)
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
            raise self._missing(name)
        return self._found[name]

    def read(self, name, most_bytes):
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

    def _missing(self, name):
        return FileNotFoundError(f"{self.folder} is incomplete: {name} is missing. {AGAIN}")

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
        root, new = self.folder.resolve(), self.folder / NEW / name
        path = (new if new.exists() else self.folder / name).resolve()
        cache = [root.parent.parent / "blobs"] if root.parent.name == "snapshots" else []
        if not any(path.is_relative_to(place) for place in (root, *cache)):
            raise ValueError(
                f"{self.folder / name} is a link to {path}, which is not in the folder."
            )
        return path
