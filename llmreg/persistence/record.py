"""Fitted objects as JSON and arrays of numbers, by a closed list of types and a schema of classes.

A value that is not JSON already becomes an object with one key, which names its type, such as
``{"tuple": [1, 2]}``. What is read may come from strangers: nothing gets larger than the bytes
that are there for it, and classes, their attributes and what these may hold are the schema's.
"""

import json
import math
from itertools import pairwise

import numpy as np

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
    "that docs/guide.md lists."
)


def dump(value, name):
    """Take an object apart.

    Parameters
    ----------
    value : object
        None, bool, int, float, str; list, tuple, set, frozenset, range and dict of legal values;
        numpy's arrays and scalars of numbers, types and RandomState; configurations of
        transformers and peft; instances of the schema's classes.
    name : str
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
        If the object contains itself, or holds what the schema does not allow.
    """
    writer = Writer()
    return writer.write(value, name), writer.arrays


def load(structure, arrays):
    """Put the object of :func:`dump` together again.

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
    """JSON of strangers: of bounded size, with each key once, and numbers that are numbers.

    Parameters
    ----------
    text : bytes
    what : str
        What errors call it.
    most_items : int
        Of lists and dicts together.

    Raises
    ------
    ValueError
    """
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
        if isinstance(value, type) and value.__name__ in SCALARS and issubclass(value, np.generic):
            return {"type": value.__name__}
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
        if len(items) > LONG and {*map(type, items)} == {str}:
            return {"texts": self._texts(items, path)}
        if len(items) > LONG and _are_whole(items):
            return {"whole": self._store(np.array(items), path)}
        return [self.write(item, f"{path}[{i}]") for i, item in enumerate(items)]

    def _texts(self, items, path):
        """Strings end to end as bytes, and the length of each."""
        text = "".join(items).encode("utf-8", "surrogatepass")
        lengths = np.array([len(item) for item in items], dtype=np.int64)
        return [self._store(np.frombuffer(text, np.uint8), path), self._store(lengths, path)]

    def _array(self, array, path):
        if array.dtype.kind == "O" and array.ndim == 1:
            return {"objects": self._list(array.tolist(), path)}
        if array.dtype.name not in SCALARS:
            raise self._illegal(array, f"{path} (an array of {array.dtype})")
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
            raise self._illegal(value, path)
        # scikit-learn's note of which list of stop words it has already looked at: an address.
        state = {k: v for k, v in (value.__getstate__() or {}).items() if k != "_stop_words_id"}
        written = {k: self.write(v, f"{path}.{k}") for k, v in state.items()}
        check_state(name, state)
        return {"object": [name, written]}

    @staticmethod
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
    def __init__(self, arrays):
        self.arrays = arrays

    def read(self, structure):
        """The value of a structure."""
        if structure is None or type(structure) in (bool, int, float, str):
            return structure
        if type(structure) is list:
            return [self.read(item) for item in structure]
        [(tag, parts)] = structure.items()
        return READERS[tag](self, parts)

    def list(self, structure):
        """A list; a range would grow when it becomes something else."""
        items = self.read(structure)
        if type(items) is not list:
            raise ValueError(f"{items!r:.50} is no list")
        return items

    def take(self, name):
        """A stored array, which no other value shares: what is there once is used once."""
        if type(name) is not str or name not in self.arrays:
            raise ValueError(f"the array {name!r} is missing, or used twice")
        return self.arrays.pop(name)

    def whole(self, name):
        """Whole numbers."""
        numbers = self.take(name)
        if numbers.dtype.kind not in "iu" or numbers.ndim != 1:
            raise ValueError(f"{name} is not a list of whole numbers")
        return numbers.tolist()

    def texts(self, parts):
        """Strings of bytes and lengths."""
        text, lengths = self.take(parts[0]), self.whole(parts[1])
        text = text.tobytes().decode("utf-8", "surrogatepass")
        if any(length < 0 for length in lengths) or sum(lengths) != len(text):
            raise ValueError(f"the texts {parts[0]} and their lengths don't fit")
        return [text[a:b] for a, b in pairwise(np.cumsum([0, *lengths]).tolist())]

    def array(self, parts):
        """An array of numbers."""
        name, turned = parts
        return self.take(name).T if turned else self.take(name)

    def objects(self, parts):
        """A 1-D array of objects."""
        items = self.list(parts)
        array = np.empty(len(items), dtype=object)
        for place, item in enumerate(items):
            array[place] = item
        return array

    def items(self, parts):
        """A dict of its keys and values."""
        return dict(zip(*map(self.list, parts), strict=True))

    def random_state(self, parts):
        """A generator that goes on with the same numbers."""
        name, keys, place, *rest = self.read(parts)
        legal = getattr(keys, "dtype", None) == np.uint32 and keys.shape == (624,)
        if name != "MT19937" or not legal or type(place) is not int or not 0 <= place <= 624:
            raise ValueError("the state of a RandomState is not one")
        state = np.random.RandomState()
        state.set_state((name, keys, place, *rest))
        return state

    def object(self, parts):
        """An instance of one of the schema's classes with the attributes it had."""
        name, written = parts
        state = {attribute: self.read(part) for attribute, part in written.items()}
        kind = check_state(name, state)
        value = kind.__new__(kind)
        if hasattr(value, "__setstate__"):
            value.__setstate__(state)
        else:
            vars(value).update(state)
        return value


def _range(reader, parts):
    found = range(*parts)
    if len(found) > MOST_ITEMS:
        raise ValueError(f"{found} is too long")
    return found


def _type(reader, name):
    if name not in SCALARS:
        raise ValueError(f"{name!r} is no type of numbers")
    return getattr(np, "bool_" if name == "bool" else name)


READERS = {
    "float": lambda reader, text: {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[text],
    "tuple": lambda reader, parts: tuple(reader.list(parts)),
    "set": lambda reader, parts: set(reader.list(parts)),
    "frozenset": lambda reader, parts: frozenset(reader.list(parts)),
    "range": _range,
    "dict": lambda reader, parts: {key: reader.read(part) for key, part in parts.items()},
    "items": _Reader.items,
    "texts": _Reader.texts,
    "whole": _Reader.whole,
    "scalar": lambda reader, parts: _type(reader, parts[0])(reader.read(parts[1])),
    "type": _type,
    "array": _Reader.array,
    "objects": _Reader.objects,
    "RandomState": _Reader.random_state,
    "config": lambda reader, parts: configs.load(*parts[:2], reader.read(parts[2])),
    "object": _Reader.object,
}
