"""NumPy's reactions to overflow and its like, which callers may set: not within this library."""

import functools
import types
from typing import TypeVar

import numpy as np

__all__ = ["own_arithmetic", "own_reactions"]

T = TypeVar("T")
SPECIAL = ("__init__", "__getitem__")  # methods that compute, too


def own_reactions():
    """A context in which NumPy reacts as it does by itself, whatever ``np.seterr`` has set.

    Numbers that underflow are zeros: probabilities do.
    """
    return np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")


def own_arithmetic(owner: T) -> T:
    """Decorator of a function, or of a class for its public methods, within :func:`own_reactions`.

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg.integrations.arithmetic import own_arithmetic
    >>> square = own_arithmetic(np.square)
    >>> with np.errstate(all="raise"):
    ...     square(1e-300).item()
    0.0
    """

    if isinstance(owner, type):
        for name, member in vars(owner).copy().items():
            if not name.startswith("_") or name in SPECIAL:
                _own_method(owner, name, member)
        return owner
    return _computed(owner)


def _own_method(owner, name, member):
    if isinstance(member, types.FunctionType):
        setattr(owner, name, _computed(member))
    elif isinstance(member, classmethod | staticmethod):
        setattr(owner, name, type(member)(_computed(member.__func__)))


def _computed(function):
    @functools.wraps(function)
    def computed(*args, **kwargs):
        with own_reactions():
            return function(*args, **kwargs)

    return computed
