"""Fitted objects as JSON and arrays of numbers, by a closed list of types and a schema of classes.

A value that is not JSON already becomes an object with one key, which names its type, such as
``{"tuple": [1, 2]}``. What is read may come from strangers: nothing gets larger than the bytes
that are there for it, and classes, their attributes and what these may hold are the schema's.
"""

import json
import math
from itertools import pairwise

import numpy as np
from sklearn.base import BaseEstimator

from llmreg.integrations.python_values import as_python
from llmreg.persistence import configs
from llmreg.persistence.schema import check_state, name_of

__all__ = ["MOST_BYTES", "Writer", "dump", "load", "parse"]

MOST_BYTES = 2**24  # of a JSON text
MOST_ITEMS = 10**6  # in a JSON text, each of which takes up to a hundred bytes
SCALARS = ("bool", *(f"{sign}int{size}" for sign in ("", "u") for size in (8, 16, 32, 64)),
           "float16", "float32", "float64")  # fmt: skip
LONG = 16  # from so many on, strings and whole numbers go into arrays
REMEDY = (
    "Use pickle or joblib, which hold any object, or replace it by something that can be saved: "
    "a reward by its name, plain numbers and texts, llmreg's own classes, or the text transformers "
    "that docs/guide/saving.md lists."
)


def dump(value, name):
    """The structure of one object, and its arrays: see :class:`Writer`."""
    writer = Writer()
    return writer.write(value, name), writer.arrays


def load(structure, arrays):
    """Put an object of a :class:`Writer` together again.

    Parameters
    ----------
    structure : object
        From :func:`parse`; may come from strangers.
    arrays : dict of str to ndarray
        Each is taken out as it is used.

    Raises
    ------
    ValueError
        If the structure is malformed, lacks an array, or holds what the schema does not allow.
    """
    try:
        return _Reader(arrays).read(structure)
    except (
        ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError,
    ) as error:  # fmt: skip
        what = str(error) if type(error) is ValueError else repr(error)
        raise ValueError(f"it holds what can't be restored: {what[:500]}") from error


def parse(text, what, most_items=MOST_ITEMS):
    """JSON of strangers (bytes, which errors call ``what``): of at most so many items in lists and
    dicts, with each key once, and numbers that are numbers; else ValueError."""
    n_items = sum(text.count(mark) for mark in (b",", b"[", b"{"))
    if n_items > most_items:
        raise ValueError(f"{what} has {n_items:,} entries, more than the {most_items:,} allowed.")
    try:
        return json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{what} is damaged ({error!r:.200}).") from error


def _distinct(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _no_number(name):
    raise ValueError(f"{name} is no JSON number")


class Writer:
    """Take objects apart.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Of all that was written, for ``safetensors.numpy.save_file``.
    """

    def __init__(self):
        self.arrays = {}
        self._open = set()

    def write(self, value, path):
        """The structure of a value, for ``json.dumps(structure, allow_nan=False)``.

        Parameters
        ----------
        value : object
            None, bool, int, float, str; list, tuple, set, frozenset, range and dict of legal
            values; numpy's arrays and scalars of numbers, types and RandomState; configurations of
            transformers and peft; instances of the schema's classes.
        path : str
            What errors call it.

        Raises
        ------
        TypeError
            For anything else; the message says where it sits.
        ValueError
            If the object contains itself, or holds what the schema does not allow.
        """
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if id(value) in self._open:
            raise ValueError(f"{path} contains itself, which a saved model cannot hold.")
        self._open.add(id(value))
        try:
            return self._write_rich(value, path)
        finally:
            self._open.remove(id(value))

    def _write_rich(self, value, path):
        kind = type(value)
        if kind is list:
            return self._list(value, path)
        if kind in (tuple, set, frozenset):
            items = value if kind is tuple else sorted(value, key=repr)
            return {kind.__name__: self._list(list(items), path)}
        if kind is range:
            return {"range": [value.start, value.stop, value.step]}
        if kind is dict:
            return self._dict(value, path)
        if isinstance(value, np.generic) and value.dtype.name in SCALARS:
            return {"scalar": [value.dtype.name, self.write(value.item(), path)]}
        if kind in (np.ndarray, np.memmap):
            return self._array(np.asarray(value), path)
        if isinstance(value, type) and issubclass(value, np.generic):
            name = value.__name__.removesuffix("_")  # numpy 1 says bool_
            if name in SCALARS:
                return {"type": name}
        if kind is np.random.RandomState:
            return {"RandomState": self.write(value.get_state(legacy=True), path)}
        config = configs.dump(value)
        if config is not None:
            return {"config": [*config[:2], self.write(config[2], path)]}
        return self._object(value, path)

    def _dict(self, value, path):
        whole = len(value) > LONG and _are_whole(list(value.values()))  # a vocabulary
        if all(type(key) is str for key in value) and not whole:
            return {"dict": {key: self.write(v, f"{path}[{key!r}]") for key, v in value.items()}}
        keys = self._list(list(value), f"{path} (a key)")
        return {"items": [keys, self._list(list(value.values()), path)]}

    def _list(self, items, path):
        if len(items) > LONG and {*map(type, items)} == {str}:  # end to end, and their lengths
            text = "".join(items).encode("utf-8", "surrogatepass")
            lengths = np.array(list(map(len, items)), dtype=np.int64)
            stored = self._store(np.frombuffer(text, np.uint8), path), self._store(lengths, path)
            return {"texts": list(stored)}
        if len(items) > LONG and _are_whole(items):
            return {"whole": self._store(np.array(items), path)}
        return [self.write(item, f"{path}[{i}]") for i, item in enumerate(items)]

    def _array(self, array, path):
        if array.dtype.kind == "O" and array.ndim == 1:
            return {"objects": self._list(array.tolist(), path)}
        if array.dtype.name not in SCALARS:
            raise _illegal(array, f"{path} (an array of {array.dtype})")
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        # The order in memory decides the last bits of a matrix product.
        turned = array.ndim > 1 and not array.flags.c_contiguous
        return {"array": [self._store(array.T if turned else array, path), turned]}

    def _store(self, array, path):
        name = f"{path}#{len(self.arrays)}"
        self.arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
        return name

    def _object(self, value, path):
        name = name_of(type(value))
        if name is None:
            raise _illegal(value, path)
        # scikit-learn's note of which list of stop words it has already looked at: an address.
        state = {k: v for k, v in (value.__getstate__() or {}).items() if k != "_stop_words_id"}
        if isinstance(value, BaseEstimator):  # parameters
            state = {k: as_python(v) if k[-1] != "_" != k[0] else v for k, v in state.items()}
        written = {k: self.write(v, f"{path}.{k}") for k, v in state.items()}
        check_state(name, state)
        return {"object": [name, written]}


def _illegal(value, path):
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return TypeError(
        f"{path} is a {kind} ({value!r:.80}), which can't be saved without pickle. {REMEDY}"
    )


def _are_whole(items):
    kinds = {*map(type, items)}
    whole = bool not in kinds and all(issubclass(kind, int | np.integer) for kind in kinds)
    return whole and np.array(items).dtype.kind in "iu"  # others are larger than arrays hold


class _Reader:
    """The way back; a method for each type that JSON lacks, which gets what is beneath its key."""

    def __init__(self, arrays):
        self._arrays = arrays

    def read(self, structure):
        if structure is None or type(structure) in (bool, int, float, str):
            return structure
        if type(structure) is list:
            return [self.read(item) for item in structure]
        [(kind, parts)] = structure.items()
        return READERS[kind](self, parts)

    def _list(self, structure):
        items = self.read(structure)
        if type(items) is not list:  # a range would grow when it becomes something else
            raise ValueError(f"{items!r:.50} is no list")
        return items

    def _take(self, name):
        """A stored array, which no other value shares: what is there once is used once."""
        if type(name) is not str or name not in self._arrays:
            raise ValueError(f"the array {name!r} is missing, or used twice")
        return self._arrays.pop(name)

    def whole(self, name):
        numbers = self._take(name)
        if numbers.dtype.kind not in "iu" or numbers.ndim != 1:
            raise ValueError(f"{name} is not a list of whole numbers")
        return numbers.tolist()

    def texts(self, parts):
        text, lengths = self._take(parts[0]), self.whole(parts[1])
        text = text.tobytes().decode("utf-8", "surrogatepass")
        if any(length < 0 for length in lengths) or sum(lengths) != len(text):
            raise ValueError(f"the texts {parts[0]} and their lengths don't fit")
        return [text[a:b] for a, b in pairwise(np.cumsum([0, *lengths]).tolist())]

    def array(self, parts):
        name, turned = parts
        return self._take(name).T if turned else self._take(name)

    def objects(self, parts):
        items = self._list(parts)
        array = np.empty(len(items), dtype=object)
        for place, item in enumerate(items):
            array[place] = item
        return array

    def range(self, parts):
        found = range(*parts)
        if len(found) > MOST_ITEMS:
            raise ValueError(f"{found} is too long")
        return found

    def type(self, name):
        if name not in SCALARS:
            raise ValueError(f"{name!r} is no type of numbers")
        return getattr(np, "bool_" if name == "bool" else name)

    def random_state(self, parts):
        name, keys, place, *rest = self.read(parts)
        legal = getattr(keys, "dtype", None) == np.uint32 and keys.shape == (624,)
        if name != "MT19937" or not legal or type(place) is not int or not 0 <= place <= 624:
            raise ValueError("the state of a RandomState is not one")
        state = np.random.RandomState()
        state.set_state((name, keys, place, *rest))
        return state

    def object(self, parts):
        name, written = parts
        state = {attribute: self.read(part) for attribute, part in written.items()}
        kind = check_state(name, state)
        value = kind.__new__(kind)
        if hasattr(value, "__setstate__"):
            value.__setstate__(state)
        else:
            vars(value).update(state)
        return value


READERS = {
    "float": lambda reader, text: {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[text],
    "tuple": lambda reader, parts: tuple(reader._list(parts)),
    "set": lambda reader, parts: set(reader._list(parts)),
    "frozenset": lambda reader, parts: frozenset(reader._list(parts)),
    "dict": lambda reader, parts: {key: reader.read(part) for key, part in parts.items()},
    "items": lambda reader, parts: dict(zip(*map(reader._list, parts), strict=True)),
    "scalar": lambda reader, parts: reader.type(parts[0])(reader.read(parts[1])),
    "config": lambda reader, parts: configs.load(*parts[:2], reader.read(parts[2])),
    "RandomState": _Reader.random_state,
    **{kind: getattr(_Reader, kind)
       for kind in ("whole", "texts", "array", "objects", "range", "type", "object")},
}  # fmt: skip
