"""Parameters as Python's own values: what searches hand over is often NumPy's."""

import copy
from collections.abc import KeysView, ValuesView
from numbers import Integral, Real

import numpy as np
import pandas as pd

from llmreg.integrations.documentation import DocumentedMixin
from llmreg.integrations.masking import Masked

__all__ = ["as_python"]

PLAIN = (type(None), bool, int, float, str)


def as_python(value):
    """A value with Python's numbers, flags and strings in place of NumPy's and of subclasses.

    Other libraries may refuse NumPy's, count with their few bits, or not write them into files.

    Parameters
    ----------
    value : object
        Containers are searched, and llmreg's own parts with their parameters. Arrays, series and
        indices of anything but numbers become lists; arrays of no dimension stay as they are.

    Returns
    -------
    object
        The value itself where nothing changes, else a copy of what does.

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg import DigitCodec
    >>> from llmreg.integrations.python_values import as_python
    >>> as_python([np.int64(3), np.str_("a"), DigitCodec(np.uint8(10))])
    [3, 'a', DigitCodec()]
    """
    if type(value) in PLAIN or isinstance(value, Masked):
        return value
    if type(value).__module__.startswith("peft."):  # whose own kinds of strings it needs
        return value if isinstance(value, str) else _part(value)
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, np.timedelta64):  # a whole number to NumPy, whatever its unit
        return pd.Timedelta(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, dict):
        pairs = [pair for item in value.items() for pair in item]
        found = [as_python(part) for part in pairs]
        same = type(value) is dict and _same(found, pairs)
        return value if same else dict(zip(found[::2], found[1::2], strict=True))
    return _several(value)


def _several(value):
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            found = [as_python(item) for item in value]
            return value if type(value) is kind and _same(found, value) else kind(found)
    if isinstance(value, KeysView | ValuesView):
        return as_python(list(value))
    if hasattr(value, "to_numpy"):  # of pandas, polars and pyarrow
        array = np.asarray(value.to_numpy())
        return as_python(array) if array.ndim else value  # single moments and durations have it
    if isinstance(value, np.ndarray) and value.ndim and value.dtype.kind not in "biufc":
        return as_python(value.tolist())
    return _part(value) if isinstance(value, DocumentedMixin) else value


def _part(part):
    given = {k: v for k, v in vars(part).items() if not (k.startswith("_") or k.endswith("_"))}
    found = {name: as_python(value) for name, value in given.items()}
    if _same(found.values(), given.values()):
        return part
    part = copy.copy(part)
    for name, value in found.items():
        setattr(part, name, value)
    return part


def _same(found, given):
    return all(one is other for one, other in zip(found, given, strict=True))
