"""Names for objects: equal for what acts alike, in whichever process, and different for the rest.

Numbers, texts, arrays and containers are named by their contents, functions by what they compute
and everything else by what pickle would keep of it. Only what an installed package defines is
named by where it is found, together with the package's version.
"""

import contextlib
import copyreg
import dis
import functools
import hashlib
import importlib
import os
import pickle
import reprlib
import sys
import sysconfig
import types
import warnings
from pathlib import PurePath

import numpy as np
import torch

__all__ = ["fingerprint"]

PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray, range, type(...))
# What pickle refuses, and what it stands around.
WRAPPED = {
    staticmethod: ("__func__",), classmethod: ("__func__",), property: ("fget", "fset", "fdel"),
    functools.cached_property: ("func",), functools._lru_cache_wrapper: ("__wrapped__",),
}  # fmt: skip
# Of a class, what says nothing of how it acts, or says again what the rest does.
UNTOLD = {
    "__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__firstlineno__",
    "__static_attributes__", "__annotations__", "__annotate__", "__annotate_func__",
    "__annotations_cache__", "__orig_bases__", "__parameters__", "__abstractmethods__", "_abc_impl",
    "__dataclass_fields__", "__dataclass_params__",
}  # fmt: skip


def fingerprint(*parts):
    """A name for a fit: equal for equal parts, in whichever process, and for those alone.

    Parameters
    ----------
    *parts : object
        Of tensors and arrays every byte counts. Functions are named by their code, defaults,
        closures and the global values that they use, of modules that are not installed packages
        those that they mention; the values of ``globals()["name"]`` and the like are not seen.

    Returns
    -------
    str
        64 hexadecimal digits. If a part can't be named (an open file, a generator), no other call
        will return them.

    Warns
    -----
    UserWarning
        If a part can't be named.

    Examples
    --------
    >>> from llmreg.training.identity import fingerprint
    >>> fingerprint(["ab", "c"]) == fingerprint(["ab", "c"])
    True
    >>> fingerprint(["ab", "c"]) == fingerprint(["a", "bc"])
    False
    """
    try:
        return _Namer()(parts).hex()
    except Exception as error:  # of whichever kind: objects of strangers are asked
        what = reprlib.repr(error.part if isinstance(error, _NamelessError) else error)
        warnings.warn(
            f"{what} has no lasting name, so checkpoint_dir can't tell whether a later fit is "
            "the same one: it will not be continued.",
            UserWarning,
            stacklevel=2,
        )
        return os.urandom(32).hex()


class _NamelessError(Exception):
    def __init__(self, part):
        super().__init__(part)
        self.part = part


class _Namer:
    """Names objects; what contains itself is named by how far above itself it is found again."""

    def __init__(self):
        self.known = {}  # id: the object, kept alive, and its name
        self.open = []  # ids of what is being named

    def __call__(self, part):
        if type(part) in PLAIN:
            return _digest(type(part).__name__, repr(part).encode())
        if id(part) in self.known:
            return self.known[id(part)][1]
        if id(part) in self.open:
            return _digest("above", str(len(self.open) - self.open.index(id(part))).encode())
        self.open.append(id(part))
        name = self._name(part)
        self.open.pop()
        self.known[id(part)] = part, name
        return name

    def _name(self, part):
        if isinstance(part, torch.Tensor):
            return _digest("tensor", str(part.dtype).encode(), self(list(part.shape)), _bytes(part))
        if type(part) is np.ndarray:
            data = self(part.tolist()) if part.dtype.hasobject else part.tobytes()
            return _digest("array", repr(part.dtype).encode(), self(part.shape), data)
        if type(part) in (list, tuple):
            return _digest(type(part).__name__, *map(self, part))
        if type(part) in (set, frozenset):
            return _digest(type(part).__name__, *sorted(map(self, part)))
        if type(part) is dict:
            items = sorted((self(key), self(value)) for key, value in part.items())
            return _digest("dict", *(name for item in items for name in item))
        if isinstance(part, types.CodeType):
            return self._code(part)
        if isinstance(part, types.FunctionType | type) and _is_installed(part):
            return self._found(part.__module__, part.__qualname__)
        if isinstance(part, types.FunctionType):
            return self._function(part)
        if isinstance(part, type):
            return self._class(part)
        return self._other(part)

    def _found(self, module, name=""):
        version = getattr(sys.modules[module.partition(".")[0]], "__version__", None)
        return _digest("found", module.encode(), name.encode(), repr(version).encode())

    def _code(self, code):
        return _digest(
            "code", code.co_code, code.co_exceptiontable,
            self([code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]),
            self([code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount]),
            self([code.co_flags, code.co_consts]),
        )  # fmt: skip

    def _function(self, function):
        names, used, imported = set(), set(), set()
        for code in _codes(function.__code__):
            names.update(code.co_names)
            steps = [s for s in dis.get_instructions(code) if s.opname != "EXTENDED_ARG"]
            for before, step in zip([None, None, *steps], steps, strict=False):
                if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                    used.add(step.argval)
                elif step.opname == "IMPORT_NAME":  # two steps before: how far up it begins
                    imported.add("." * before.argval + step.argval)
        scope = function.__globals__
        globals_ = {name: scope[name] for name in used & scope.keys()}
        package = scope.get("__package__")
        modules = {name: importlib.import_module(name, package) for name in imported}
        cells = {}
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (),
                              strict=True):  # fmt: skip
            with contextlib.suppress(ValueError):  # not assigned yet
                cells[name] = cell.cell_contents
        return _digest(
            "function", self(function.__code__), self(function.__defaults__),
            self(function.__kwdefaults__), self(vars(function)),
            *(self._values(values, names) for values in (globals_, modules, cells)),
        )  # fmt: skip

    def _values(self, values, names):
        """Values by name; of modules, the members that have one of the ``names``."""
        return _digest(
            "values", *(
                _digest(name, self._module(value, names))
                if isinstance(value, types.ModuleType) else _digest(name, self(value))
                for name, value in sorted(values.items())
            ),
        )  # fmt: skip

    def _module(self, module, names):
        if _is_of_package(module.__name__):
            return self._found(module.__name__)
        if id(module) in self.open:
            return _digest("above", module.__name__.encode())
        self.open.append(id(module))
        found = {name: vars(module)[name] for name in names & vars(module).keys()}
        name = self._values(found, names)
        self.open.pop()
        return name

    def _class(self, kind):
        told = {name: value for name, value in vars(kind).items() if name not in UNTOLD}
        return _digest("class", kind.__name__.encode(), self(type(kind)), self(kind.__bases__),
                       self(told))  # fmt: skip

    def _other(self, part):
        """What pickle would keep; and the insides of what it only knows by where it is found."""
        kind = type(part).__name__
        for wrapper, names in WRAPPED.items():
            if isinstance(part, wrapper):
                return _digest(kind, *(self(getattr(part, name)) for name in names))
        if type(part) is object or isinstance(part, types.ModuleType):
            raise _NamelessError(part)
        try:
            reduce = copyreg.dispatch_table.get(type(part))
            reduced = reduce(part) if reduce else part.__reduce_ex__(4)
            if isinstance(reduced, str):
                return _digest("found", pickle.dumps(part, 4))  # or an error if it is not there
        except Exception as error:
            raise _NamelessError(part) from error
        make, arguments, *rest = reduced
        state, items, pairs = (*rest, None, None, None)[:3]
        return _digest(
            kind, self(make), self(arguments), self(state), self(list(items or ())),
            self(list(pairs or ())),
        )  # fmt: skip


def _digest(kind, *parts):
    """Of a kind and bytes, each with its length in front: no two lists of them run together."""
    digest = hashlib.sha256()
    for part in (kind.encode(), *parts):
        part = memoryview(part)
        digest.update(part.nbytes.to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def _bytes(tensor):
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()


def _codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _is_installed(part):
    """Whether a function or a class is what a package gives under its name."""
    module = sys.modules.get(part.__module__)
    if module is None or not _is_of_package(part.__module__):
        return False
    with contextlib.suppress(AttributeError):
        return functools.reduce(getattr, part.__qualname__.split("."), module) is part
    return False


@functools.cache
def _is_of_package(module):
    """Whether a module comes with Python, with llmreg or from an installed package."""
    if module.partition(".")[0] in ("llmreg", *sys.builtin_module_names):
        return True
    if module in ("__main__", "__mp_main__"):
        return False
    found = sys.modules.get(module)
    file = getattr(found, "__file__", None)
    if file is None:
        return getattr(getattr(found, "__spec__", None), "origin", None) == "frozen"
    path = PurePath(file)
    if {"site-packages", "dist-packages"} & set(path.parts):
        return True
    return path.is_relative_to(sysconfig.get_path("stdlib"))
