"""Fitted objects as JSON and numpy arrays: what pickle does, without running code on opening.

``dump`` knows a closed list of types and refuses the rest; ``load`` builds nothing but these.
A value that is not JSON already becomes an object with one key, which names its type, such as
``{"tuple": [1, 2]}``. Classes are restored from their attributes: no constructor and no function
that the file names is called.
"""

import base64
import importlib
import math
import re

import numpy as np
from sklearn.base import BaseEstimator

from llmreg.persistence import archive_arrays, archive_configs

__all__ = ["dump", "find_class", "load"]

# Classes that may be restored though they are no estimators.
PLAIN_CLASSES = frozenset(
    {
        "llmreg.prompts.cell_encoder.SlotLayout",
        "llmreg.prompts.cells.CellFeaturizer",
        "llmreg.prompts.cells.TextFeaturizer",
        "llmreg.prompts.chat.Frame",
        "llmreg.tables.columns.ColumnPlan",
        "llmreg.prompts.cell_prompts.CellPrompts",
        "llmreg.prompts.text_prompts.TextPrompts",
    }
)
REMEDY = (
    "Use pickle or joblib, which hold any object, or replace it by something that can be saved: "
    "a reward by its name, a class of llmreg, scikit-learn, transformers or peft."
)


def dump(value, name="object"):
    """Take an object apart.

    Parameters
    ----------
    value : object
        None, bool, int, float, str, bytes; list, tuple, set, frozenset and dict of legal values;
        numpy arrays, scalars, dtypes and RandomState; pandas DataFrame, Series, Index, NA and NaT;
        scipy's CSR and CSC matrices; llmreg's fitted objects and scikit-learn's estimators; torch
        dtypes; configurations of transformers and peft.
    name : str, default="object"
        What errors call the object.

    Returns
    -------
    structure : object
        For ``json.dumps(structure, allow_nan=False)``.
    arrays : dict of str to ndarray
        For ``safetensors.numpy.save_file``. The keys begin with ``name``.

    Raises
    ------
    TypeError
        For anything else; the message says where it sits.
    ValueError
        If the object contains itself.
    """
    writer = _Writer()
    return writer.write(value, name), writer.arrays


def load(structure, arrays):
    """Put the object of :func:`dump` together again.

    Parameters
    ----------
    structure : object
        Parsed JSON; may come from strangers.
    arrays : dict of str to ndarray

    Returns
    -------
    object
        Equal to the one that was dumped. Something that was held in two places is now two copies.

    Raises
    ------
    ValueError
        If the structure is malformed, lacks an array, or names a class that is not on the list.
    """
    try:
        return _Reader(arrays).read(structure)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        what = error if type(error) is ValueError else repr(error)
        raise ValueError(f"The saved object can't be restored: {what}") from error


def find_class(name):
    """The class of a dotted name, if it is one of those that may be restored.

    These are llmreg's and scikit-learn's subclasses of ``BaseEstimator`` and a short list of
    others; ValueError for any other name.
    """
    module, _, short = name.rpartition(".")
    if re.fullmatch(r"(llmreg|sklearn)(\.\w+)+", name):
        try:
            kind = getattr(importlib.import_module(module), short, None)
        except ImportError:
            kind = None
        # By the name where it was defined: a module's own imports are none of its classes.
        defined_here = isinstance(kind, type) and _dotted(kind) == name
        if defined_here and (name in PLAIN_CLASSES or issubclass(kind, BaseEstimator)):
            return kind
    raise ValueError(
        f"it names the class {name!r}, which is not among llmreg's and scikit-learn's estimators. "
        "The file was written by another version, or tampered with: open it with the versions that "
        "saved it, and only if you trust it."
    )


def _dotted(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


def _check_state(kind, state):
    """Refuse the one attribute by which a scikit-learn estimator opens pickles: a disk cache."""
    if kind.__module__.startswith("sklearn.") and state.get("memory") is not None:
        raise ValueError(
            f"{kind.__name__}(memory={state['memory']!r}) keeps pickles on the disk, which a saved "
            "model must not bring along. Set memory=None."
        )


class _Writer:
    def __init__(self):
        self.arrays = {}
        self.open = set()

    def write(self, value, path):
        """The structure of a value; ``path`` says where it sits."""
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if id(value) in self.open:
            raise ValueError(f"{path} contains itself, which a saved model cannot hold.")
        self.open.add(id(value))
        try:
            return self._write_rich(value, path)
        finally:
            self.open.remove(id(value))

    def _write_rich(self, value, path):
        kind = type(value)
        if kind in (list, tuple, set, frozenset):
            items = value if kind in (list, tuple) else sorted(value, key=repr)
            return {kind.__name__: self.items(items, path)}
        if kind is dict:
            return self._write_dict(value, path)
        if kind is bytes:
            return {"bytes": base64.b64encode(value).decode()}
        for write in (*archive_arrays.WRITERS, *archive_configs.WRITERS):
            structure = write(self, value, path)
            if structure is not None:
                return structure
        return self._write_object(value, path)

    def _write_dict(self, value, path):
        if all(type(key) is str for key in value) and not any(
            isinstance(item, np.generic) for item in value.values()
        ):
            parts = {key: self.write(item, f"{path}[{key!r}]") for key, item in value.items()}
            return {"dict": parts}
        keys = self.items(list(value), f"{path} (a key)")
        return {"items": [keys, self.items(list(value.values()), path)]}

    def _write_object(self, value, path):
        kind = type(value)
        try:
            find_class(_dotted(kind))
        except ValueError:
            raise self.illegal(value, path) from None
        state = value.__getstate__() or {}
        _check_state(kind, state)
        written = {name: self.write(part, f"{path}.{name}") for name, part in state.items()}
        return {"object": [_dotted(kind), written]}

    def items(self, values, path):
        """A sequence; many numpy numbers of one type (as in a vocabulary) go as one array."""
        kinds = {type(item) for item in values}
        if len(values) > 1 and len(kinds) == 1:
            kind = kinds.pop()
            if issubclass(kind, np.number) and np.dtype(kind).itemsize <= 8:
                return {"scalars": self.array(np.array(values, dtype=kind), path)}
        return [self.write(item, f"{path}[{i}]") for i, item in enumerate(values)]

    def array(self, array, path):
        """Store a numeric array; returns its name."""
        name = f"{path}#{len(self.arrays)}"
        self.arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
        return name

    @staticmethod
    def illegal(value, path):
        """The error for something that is not on the list."""
        return TypeError(
            f"{path} is a {_dotted(type(value))} ({value!r:.80}), which can't be saved without "
            f"pickle. {REMEDY}"
        )


class _Reader:
    def __init__(self, arrays):
        self.arrays = arrays

    def read(self, structure):
        """The value of a structure."""
        if structure is None or type(structure) in (bool, int, float, str):
            return structure
        if type(structure) is not dict or len(structure) != 1:
            raise ValueError(f"malformed at {structure!r:.80}")
        [(tag, parts)] = structure.items()
        if tag not in READERS:
            raise ValueError(
                f"it holds the unknown type {tag!r}. Open it with the version of llmreg that saved "
                "it."
            )
        return READERS[tag](self, parts)

    def items(self, parts):
        """The list of :meth:`_Writer.items`."""
        if type(parts) is dict:
            return list(self.array(parts["scalars"]))
        return [self.read(item) for item in parts]

    def array(self, name):
        """A stored numeric array."""
        if name not in self.arrays:
            raise ValueError(f"its array {name!r} is missing")
        return self.arrays[name]

    def restore(self, parts):
        """An instance of one of our classes with the attributes it had."""
        name, written = parts
        kind = find_class(name)
        state = {attribute: self.read(part) for attribute, part in written.items()}
        _check_state(kind, state)
        value = kind.__new__(kind)
        if hasattr(value, "__setstate__"):
            value.__setstate__(state)
        else:
            value.__dict__.update(state)
        return value


READERS = {
    "float": lambda reader, text: {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[text],
    "bytes": lambda reader, text: base64.b64decode(text, validate=True),
    "list": lambda reader, parts: reader.items(parts),
    "tuple": lambda reader, parts: tuple(reader.items(parts)),
    "set": lambda reader, parts: set(reader.items(parts)),
    "frozenset": lambda reader, parts: frozenset(reader.items(parts)),
    "dict": lambda reader, parts: {key: reader.read(item) for key, item in parts.items()},
    "items": lambda reader, parts: dict(zip(*map(reader.items, parts), strict=True)),
    "object": _Reader.restore,
    **archive_arrays.READERS,
    **archive_configs.READERS,
}
