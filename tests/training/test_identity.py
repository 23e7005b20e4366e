"""What acts alike has one name, in whichever process, and nothing else has it."""

import copy
import functools
import importlib
import itertools
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from llmreg import GRPO, DigitCodec, GridCodec
from llmreg.training.identity import _digest, fingerprint

K = 3
TABLE = np.arange(4.0)
helpers = types.ModuleType("helpers")  # of the user's own, not an installed package
helpers.K = 3


def _power(k):
    return lambda samples, y: -(np.abs(samples - y) ** k)


def _default(samples, y, k=3):
    return -(np.abs(samples - y) ** k)


def _keyword(samples, y, *, k=3):
    return -(np.abs(samples - y) ** k)


def _reads_a_global(samples, y):
    return -(np.abs(samples - y) ** K)


def _reads_it_far_down(samples, y):
    return [(lambda: _reads_a_global(samples, y))() for _ in range(1)]


def _reads_a_module(samples, y):
    return -(np.abs(samples - y) ** helpers.K)


def _reads_an_array(samples, y):
    return TABLE[0] * samples


def _calls_itself(samples, y):
    return _calls_itself(samples, y) * K


class Reward:
    scale = 1.0

    def __init__(self, k=3):
        self.k = k

    def __call__(self, samples, y):
        return -self.scale * np.abs(samples - y) ** self.k

    def judge(self, samples, y):
        return self(samples, y)


class Negative(Reward):
    __slots__ = ()

    @property
    def sign(self):
        return -1


class WithCodeOfItsOwn:
    def __call__(self, samples, y):
        return samples


OTHER_CODE = type("WithCodeOfItsOwn", (), {"__call__": lambda self, samples, y: y})

# Objects side by side that act differently.
PAIRS = {
    "list items": ([3, 12], [31, 2]),
    "texts": (["ab", "c"], ["a", "bc"]),
    "keys and values": ({"a": "bc"}, {"ab": "c"}),
    "nesting": ([[1], 2], [[1, 2]]),
    "int and text": (1, "1"),
    "int and float": (1, 1.0),
    "int and bool": (1, True),
    "list and tuple": ([1], (1,)),
    "the sign of zero": (0.0, -0.0),
    "the last bit": (0.1 + 0.2, 0.3),
    "none and text": (None, "None"),
    "dtype": (np.zeros(2, "f4"), np.zeros(1, "f8")),
    "shape": (np.zeros((2, 3)), np.zeros((3, 2))),
    "strides": (np.arange(6).reshape(2, 3), np.arange(6).reshape(2, 3).T.copy().reshape(2, 3)),
    "objects in an array": (np.array(["ab", "c"], object), np.array(["a", "bc"], object)),
    "masks": (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[1, 0])),
    "dates": (np.array([1], "M8[s]"), np.array([1], "M8[ms]")),
    "tensor and array": (torch.zeros(2), np.zeros(2, "f4")),
    "tensor dtype": (torch.zeros(2).half(), torch.zeros(2).bfloat16()),
    "code": (lambda s, y: -np.abs(s - y), lambda s, y: -np.exp(s - y)),
    "constants": (lambda s, y: s * 2, lambda s, y: s * 3),
    "methods called": (lambda s, y: s.min(), lambda s, y: s.max()),
    "nested code": (lambda s, y: (lambda: s)(), lambda s, y: (lambda: y)()),
    "nested constants": (lambda s, y: (lambda: 1)(), lambda s, y: (lambda: 2)()),
    "closures": (_power(1), _power(6)),
    "closures deep down": (GRPO(reward=_power(1)), GRPO(reward=_power(6))),
    "partial": (functools.partial(_keyword, k=1), functools.partial(_keyword, k=2)),
    "partial of": (functools.partial(_keyword, k=1), functools.partial(_default, k=1)),
    "state": (Reward(1), Reward(6)),
    "bound methods": (Reward(1).judge, Reward(6).judge),
    "class": (Reward(), Negative()),
    "code of a class": (WithCodeOfItsOwn(), OTHER_CODE()),
    "cached": (functools.lru_cache(_power(1)), functools.lru_cache(_power(6))),
    "vectorised": (np.vectorize(_power(1)), np.vectorize(_power(6))),
    "grids": (GridCodec([3, 12]), GridCodec([31, 2])),
    "fitted codecs": (DigitCodec().fit(np.arange(9.0)), DigitCodec().fit(np.arange(8.0))),
    "kinds of codec": (DigitCodec(), GridCodec([1, 2])),
    "sets": ({1, 2}, {1, 3}),
    "library functions": (np.mean, np.median),
    "ufuncs": (np.abs, np.exp),
    "builtins": (max, min),
    "layers": (torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)),  # their weights are drawn
}


@pytest.mark.parametrize("name", PAIRS)
def test_what_acts_differently_has_different_names(name):
    one, other = PAIRS[name]
    names = {fingerprint(part) for part in (one, other, [one, other], [other, one], (one,))}
    assert len(names) == 5
    assert fingerprint(one) == fingerprint(one)


def _everything():
    drawn = {"layers"}
    return {name: fingerprint(*pair) for name, pair in PAIRS.items() if name not in drawn}


def test_all_these_names_are_different_and_the_same_in_another_process():
    here = _everything()
    assert len(set(here.values())) == len(here)
    code = "import sys; sys.path.insert(0, 'tests/training'); import test_identity as t; "
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code + "print(t._everything())"],
        env=os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(root)},
        capture_output=True, text=True, check=True, cwd=root,
    )  # fmt: skip
    assert done.stdout.strip() == str(here)


@pytest.mark.parametrize("part", [_power(2), Reward(), {"a": [1, {2, 3}]}, GridCodec([1, 2])])
def test_copies_have_the_name_of_the_original(part):
    assert fingerprint(copy.deepcopy(part)) == fingerprint(part)
    assert fingerprint([part, part]) == fingerprint([part, copy.deepcopy(part)])


def test_a_function_made_again_has_its_name_again():
    assert fingerprint(_power(2)) == fingerprint(_power(2))
    assert fingerprint(Reward(2).judge) == fingerprint(Reward(2).judge)


CHANGES = {
    "a global": (_reads_a_global, sys.modules[__name__], "K", 6),
    "a global of what is called": (_reads_it_far_down, sys.modules[__name__], "K", 6),
    "a global in recursion": (_calls_itself, sys.modules[__name__], "K", 6),
    "a function that is called": (
        _reads_it_far_down, sys.modules[__name__], "_reads_a_global", _default,
    ),
    "a member of a module": (_reads_a_module, helpers, "K", 6),
    "an array": (_reads_an_array, sys.modules[__name__], "TABLE", np.arange(5.0)),
    "a default": (_default, _default, "__defaults__", (6,)),
    "a keyword default": (_keyword, _keyword, "__kwdefaults__", {"k": 6}),
    "an attribute of a class": (Reward(), Reward, "scale", 2.0),
    "an attribute of a base class": (Negative(), Reward, "scale", 2.0),
    "a method": (Reward(), Reward, "__call__", _default),
    "a property": (Negative(), Negative, "sign", property(lambda self: 1)),
    "a slot of the state": (Reward().judge, Reward, "__init__", _default),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_function_refers_to_is_part_of_its_name(name, monkeypatch):
    part, owner, attribute, value = CHANGES[name]
    before = fingerprint(part)
    monkeypatch.setattr(owner, attribute, value)
    changed = fingerprint(part)
    monkeypatch.undo()
    assert changed != before
    assert fingerprint(part) == before


def test_a_module_imported_in_a_function_is_part_of_its_name(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "of_the_user.py").write_text("K = 3\n")

    def reward(samples, y):
        import of_the_user

        return samples * of_the_user.K

    before = fingerprint(reward)
    monkeypatch.setattr(sys.modules["of_the_user"], "K", 6)
    assert fingerprint(reward) != before


def test_a_module_of_the_same_package_is_part_of_its_name(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "package_of_the_user"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "values.py").write_text("K = 3\n")
    (folder / "rewards.py").write_text(
        "def reward(samples, y):\n    from .values import K\n    return samples * K\n"
    )
    reward = importlib.import_module("package_of_the_user.rewards").reward
    before = fingerprint(reward)
    assert fingerprint(reward) == before
    monkeypatch.setattr(sys.modules["package_of_the_user.values"], "K", 6)
    assert fingerprint(reward) != before


def test_what_is_digested_together_does_not_run_together():
    parts = [("a", b"bc"), ("ab", b"c"), ("a", b"b", b"c"), ("a", b"bc", b""), ("abc",)]
    assert len({_digest(*part) for part in parts}) == len(parts)


def test_every_byte_of_large_weights_counts():
    weights = torch.zeros(100_001)
    before = fingerprint(weights)
    for place in (1, 17, 50_000, 100_000):
        weights[place] = 1e-30
        assert fingerprint(weights) != before
        weights[place] = 0.0
    assert fingerprint(weights) == before


def test_the_order_of_a_dict_and_the_layout_of_an_array_make_no_difference():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    array = np.arange(12.0).reshape(3, 4)
    assert fingerprint(array) == fingerprint(np.asfortranarray(array))
    assert fingerprint(array[:, ::2]) == fingerprint(array[:, ::2].copy())
    tensor = torch.arange(12.0).reshape(3, 4)
    assert fingerprint(tensor.T) == fingerprint(tensor.T.contiguous())


def test_what_contains_itself_has_a_name():
    one, other = [1], [1]
    one.append(one)
    other.append([1, other])
    assert fingerprint(one) == fingerprint(one)
    assert fingerprint(one) != fingerprint([1, [1]])


class _Secretive:
    def __reduce_ex__(self, protocol):
        raise RuntimeError("no")


def _of_a_generator():
    numbers = itertools.repeat(1)
    stream = (n for n in numbers)
    return lambda samples, y: samples * next(stream)


@pytest.mark.parametrize(
    "part",
    [object(), _Secretive(), (n for n in "ab"), _of_a_generator(), np.frompyfunc(_power(1), 2, 1),
     sys.stdout, torch.zeros(3).to_sparse(), torch.zeros(3, device="meta"), types],
    ids=lambda part: type(part).__name__,
)  # fmt: skip
def test_what_cannot_be_named_has_another_name_each_time_and_warns(part):
    names = set()
    for _ in range(2):
        with pytest.warns(UserWarning, match="has no lasting name.*will not be continued"):
            names.add(fingerprint({"a": [part]}))
    assert len(names) == 2
