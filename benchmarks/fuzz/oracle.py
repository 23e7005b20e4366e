"""What counts as a failure in the fuzz command: foreign errors, impossible numbers, and silence."""

import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

import llmreg

__all__ = ["Attempt", "Findings", "attempt", "differ", "fingerprint"]

LIBRARY = Path(llmreg.__file__).parent
MEANT = (ValueError, TypeError, OSError)
SHORTEST_MESSAGE = 20
# Their messages are for people who build distributions and trees, not for those who fit.
INNER = ("numbers/distribution.py", "numbers/tree.py")
TOLERANCE = 1e-6  # of the spread of the targets


@dataclass
class Attempt:
    """What a call returned, or raised, and the warnings on the way."""

    value: object = None
    error: Exception | None = None
    warnings: list = field(default_factory=list)  # (message, filename, the place in llmreg)

    def _note(self, message, category, filename, *_):
        self.warnings.append((message, filename, _place(traceback.extract_stack())))

    @property
    def told(self):
        """What was said to the user."""
        return [str(said) for said, *_ in self.warnings if isinstance(said, UserWarning)]

    def warns_of(self, name):
        """Whether a warning meant for the user names the column."""
        return any(str(name) in text or repr(name)[1:-1] in text for text in self.told)


def attempt(call):
    """Make a call and keep whatever comes of it."""
    found = Attempt()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = found._note
        try:
            found.value = call()
        except Exception as error:
            found.error = error
    return found


@dataclass
class Findings:
    """Outcomes and failures of one case."""

    case: int
    story: list = field(default_factory=list)  # what was tried, for people
    outcomes: Counter = field(default_factory=Counter)
    failures: list = field(default_factory=list)  # (kind, where, detail, trial)
    refusals: Counter = field(default_factory=Counter)
    trial: int | None = None  # the predict case; None: the fit
    seconds: float = 0.0
    errors: list = field(default_factory=list)  # of failures, for their tracebacks

    def fail(self, kind, where, detail="", error=None):
        """Note a failure. Those of one kind and place are reported together."""
        self.failures.append((kind, where, detail, self.trial))
        self.errors.append(error)

    def judge(self, what, found):
        """Count how a call ended; note a foreign error and leaking warnings. Return whether there
        is a value."""
        for message, filename, place in found.warnings:
            if _leaks(message, Path(filename)):
                self.fail("warning leaks", f"{type(message).__name__} at {place}", str(message))
        if found.told:
            self.outcomes["warned the user"] += 1
        if found.error is None:
            self.outcomes[f"{what}: worked"] += 1
            return True
        text = str(found.error)
        place = _place(traceback.extract_tb(found.error.__traceback__))
        if _is_refusal(found.error):
            self.outcomes[f"{what}: refused"] += 1
            self.refusals[f"{place}: {text[:60]!r}"] += 1
            return False
        kind = "diverged" if isinstance(found.error, FloatingPointError) else "foreign error"
        where = f"{type(found.error).__name__} at {place}"
        self.fail(kind, where, f"{what}: {text[:200]}", found.error)
        self.outcomes[f"{what}: failed"] += 1
        return False


def _is_refusal(error):
    """Whether the error was raised for the user, by llmreg or by scikit-learn's validation."""
    if not isinstance(error, MEANT) or isinstance(error, UnicodeError):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1]
    if _is_ours(last):
        meant = (last.line or "").startswith("raise") and not last.filename.endswith(INNER)
        return meant and len(str(error)) >= SHORTEST_MESSAGE
    theirs = frames[max((k for k, frame in enumerate(frames) if _is_ours(frame)), default=-1) + 1 :]
    # What llmreg asks scikit-learn to check, not what an estimator inside stumbles on.
    validation = "utils" in Path(theirs[0].filename).parts or len(theirs) == len(frames)
    return validation and "sklearn" in Path(last.filename).parts


def _is_ours(frame):
    return Path(frame.filename).is_relative_to(LIBRARY)


def _place(frames):
    """The innermost function of llmreg among frames of a stack."""
    ours = [frame for frame in frames if _is_ours(frame)]
    if not ours:
        return "outside of llmreg"
    return f"{Path(ours[-1].filename).relative_to(LIBRARY)}:{ours[-1].name}"


def _leaks(message, path):
    if isinstance(message, RuntimeWarning):
        return True
    ours = path.is_relative_to(LIBRARY)
    old = isinstance(message, (DeprecationWarning, FutureWarning))
    foreign = bool({"pandas", "torch", "numpy"} & set(path.parts))
    return (ours and old) or (foreign and isinstance(message, UserWarning))


def differ(found, expected, spread):
    """Largest difference as a share of the spread, if it is more than rounding; else 0."""
    if found.shape != expected.shape:
        return np.inf
    with np.errstate(all="ignore"):
        rounding = 16 * np.finfo(float).eps * np.abs(expected).max(initial=0.0)
        difference = np.abs(found / 2 - expected / 2).max(initial=0.0) * 2
        if difference <= TOLERANCE * spread + rounding:
            return 0.0
        return np.nan_to_num(difference / spread, nan=np.inf, posinf=np.inf)


def fingerprint(data):
    """What data look like, cell by cell, so that a change shows."""
    if isinstance(data, pd.DataFrame):
        columns = [fingerprint(data.iloc[:, k]) for k in range(data.shape[1])]
        return repr(list(data.columns)), columns
    if isinstance(data, pd.Series):
        return repr(data.name), str(data.dtype), repr(list(data.index)), repr(data.tolist())
    if isinstance(data, np.ndarray):
        return str(data.dtype), data.shape, repr(data.tolist())
    if isinstance(data, (list, tuple, dict)):
        return repr(data)
    return None  # immutable
