"""Checkpoints of a fit under way: saved now and then, atomically, found again by the same fit."""

import contextlib
import hashlib
import inspect
import json
import os
import time
import warnings
from pathlib import Path

import numpy as np
import torch

__all__ = ["Checkpoints", "fingerprint"]

FORMAT = 1
STALE = 3600  # seconds
FEW = 4096  # numbers of a large array that are enough to tell it from another


class Checkpoints:
    """The checkpoint of one fit, in a folder that many fits may share.

    Parameters
    ----------
    folder : str, os.PathLike or None
        None: nothing is saved and nothing found.
    name : str
        The fit's :func:`fingerprint`; its file has this name.
    interval : float
        Seconds between two savings; 0 saves after each step.
    writes : bool, default=True
        False in all but one of the processes that train together.
    """

    def __init__(self, folder, name, interval, writes=True):
        self.path = None if folder is None else Path(folder) / f"fit-{name[:32]}.pt"
        self.interval = interval
        self.writes = writes
        self.saved_at = time.monotonic()

    def load(self):
        """The state saved last, or None."""
        if self.path is None or not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise OSError(
                f"The checkpoint {str(self.path)!r} cannot be read "
                f"({type(error).__name__}). Delete it to start this fit anew."
            ) from error
        if state["format"] != FORMAT:
            raise OSError(
                f"The checkpoint {str(self.path)!r} has format {state['format']}; this version of "
                f"llmreg reads format {FORMAT}. Delete it to start this fit anew."
            )
        return state

    def due(self):
        """Whether it is time to save."""
        if self.path is None or not self.writes:
            return False
        return time.monotonic() - self.saved_at >= self.interval

    def save(self, state):
        """Replace what was saved last; a crash on the way leaves that as it was."""
        if self.path is None or not self.writes:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        try:
            with partial.open("wb") as file:
                torch.save({"format": FORMAT, **state}, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        finally:
            partial.unlink(missing_ok=True)
        self._sweep()
        self.saved_at = time.monotonic()

    def _sweep(self):
        """Remove what processes left that were killed while they saved this fit.

        Only what is old: another process may be at the same fit.
        """
        for left in self.path.parent.glob(f"{self.path.stem}.*.partial"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > STALE:
                    left.unlink()


def fingerprint(*parts):
    """A name for a fit: equal for equal parts, in whichever process.

    Parameters
    ----------
    *parts : str, bytes, ndarray, Tensor, or dict or sequence of those
        Objects beyond these are represented by their ``repr``. Of large tensors (weights), a
        regular selection of numbers stands for all.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()


def _feed(digest, part):
    if isinstance(part, torch.Tensor):
        flat = part.detach().flatten()
        flat = flat[:: max(1, -(-flat.numel() // FEW))].float().cpu()
        digest.update(repr((tuple(part.shape), str(part.dtype))).encode())
        digest.update(flat.numpy().tobytes())
    elif isinstance(part, np.ndarray):
        digest.update(repr((part.shape, str(part.dtype))).encode())
        digest.update(np.ascontiguousarray(part).tobytes())
    elif isinstance(part, dict):
        for key, value in sorted(part.items(), key=lambda item: str(item[0])):
            digest.update(str(key).encode())
            _feed(digest, value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            _feed(digest, value)
    else:
        digest.update(_name(part).encode())


def _name(part):
    """A text for an object that is the same in every process."""
    if hasattr(part, "to_dict"):  # configurations of transformers and peft
        return json.dumps(part.to_dict(), sort_keys=True, default=_sorted)
    if inspect.isfunction(part):  # functions of one name may differ: lambdas
        code = part.__code__
        constants = [value for value in code.co_consts if not inspect.iscode(value)]
        return f"{part.__module__}.{part.__qualname__} {code.co_code.hex()} {constants!r}"
    text = repr(part)
    if " at 0x" in text:
        warnings.warn(
            f"{text} has no lasting name, so checkpoint_dir can't tell whether a later fit is "
            "the same one: it will not be continued.",
            UserWarning,
            stacklevel=2,
        )
    return text


def _sorted(value):
    """Sets have no order of their own."""
    return sorted(map(str, value)) if isinstance(value, (set, frozenset)) else str(value)
