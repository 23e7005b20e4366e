"""Checkpoints of a fit under way: saved now and then, atomically, found again by the same fit."""

import contextlib
import hashlib
import os
import re
import tempfile
import time
import warnings
from pathlib import Path

import torch

from llmreg.integrations.python_values import as_python
from llmreg.training.identity import fingerprint

__all__ = ["Checkpoints", "check_folder", "fingerprint"]

FORMAT = 2
STALE = 3600  # seconds
# The end of each file: its format, and the digest of all that stands before.
SEAL = "\nllmreg checkpoint, format {:4d}, sha256 {}\n"
SEALED = re.compile(rb"\nllmreg checkpoint, format +(\d+), sha256 ([0-9a-f]{64})\n")
SEAL_SIZE = len(SEAL.format(FORMAT, "0" * 64))


def check_folder(folder):
    """Make a folder for checkpoints and write to it, before a fit takes pains in vain.

    Raises
    ------
    OSError
        If that fails.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"checkpoint")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(
            f"checkpoint_dir={str(folder)!r} cannot be written to ({error}). Nothing was trained: "
            "choose a folder that can, make room there, or set checkpoint_dir=None."
        ) from error


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
        self.failed = False

    def load(self):
        """The state saved last, or None.

        Raises
        ------
        OSError
            If a single byte is not what was written, or the file has another format.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            with self.path.open("rb") as file:
                format_ = _check_seal(file)
                if format_ == FORMAT:
                    return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            why = str(error).partition(". ")[0]  # torch goes on about how to switch safety off
            raise OSError(
                f"The checkpoint {str(self.path)!r} cannot be read ({type(error).__name__}: "
                f"{why}). Delete it to start this fit anew."
            ) from error
        raise OSError(
            f"The checkpoint {str(self.path)!r} has format {format_}; this version of llmreg "
            f"reads format {FORMAT}. Delete it to start this fit anew."
        )

    def due(self):
        """Whether it is time to save."""
        if self.path is None or not self.writes:
            return False
        return time.monotonic() - self.saved_at >= self.interval

    def leave(self):
        """Save nothing more: what is trained from here on is not what the fit's name says."""
        self.path = None

    def save(self, state):
        """Replace what was saved last; a crash on the way leaves that as it was.

        Where this fails a warning says so, once: a fit is worth more than its checkpoint.
        """
        if self.path is None or not self.writes:
            return
        try:
            self._write(state)
        except (OSError, RuntimeError, MemoryError) as error:  # torch's writer raises the second
            if not self.failed:
                warnings.warn(
                    f"The checkpoint {str(self.path)!r} could not be saved "
                    f"({type(error).__name__}: {error}). Training goes on, and so do attempts to "
                    "save; until one succeeds, an interrupted fit goes on from the checkpoint "
                    "before, if there is one.",
                    UserWarning,
                    stacklevel=2,
                )
            self.failed = True
        self.saved_at = time.monotonic()

    def _write(self, state):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        try:
            with partial.open("w+b") as file:
                torch.save(as_python(state), file)  # NumPy's numbers would not be read again
                file.write(SEAL.format(FORMAT, _digest(file, file.tell())).encode())
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
        self._sweep()

    def _sweep(self):
        """Remove what processes left that were killed while they saved this fit.

        Only what is old: another process may be at the same fit.
        """
        for left in self.path.parent.glob(f"{self.path.stem}.*.partial"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > STALE:
                    left.unlink()


def _check_seal(file):
    """The format of a sealed file, which is then at its beginning; ValueError if it is damaged."""
    size = max(file.seek(0, os.SEEK_END) - SEAL_SIZE, 0)
    file.seek(size)
    seal = SEALED.fullmatch(file.read())
    if seal is None:
        raise ValueError(f"damaged, or of a format before {FORMAT}")
    if _digest(file, size) != seal[2].decode():
        raise ValueError("damaged: its digest is another")
    file.seek(0)
    return int(seal[1])


def _digest(file, size):
    """Of a file's first bytes, behind which it is then."""
    digest = hashlib.sha256()
    file.seek(0)
    for start in range(0, size, 2**20):
        digest.update(file.read(min(2**20, size - start)))
    return digest.hexdigest()
