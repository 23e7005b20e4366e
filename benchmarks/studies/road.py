"""How many hands a fit passes things through: X, y, and one parameter, counted.

    python -m benchmarks.studies.road

Traces a small fit. A hand is a function of the library that gets the thing as an argument: a frame
with the table's cells, an array of the targets, or the value of ``dropout``, by itself or in a dict
of parameters. A file is where such a function stands.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import llmreg
from llmreg import LLMRegressor

LIBRARY = str(Path(llmreg.__file__).parent)
DROPOUT = float("0.0625")  # an object of its own, found by identity


class Road:
    """Functions that get a thing, by what it is; called by :func:`sys.setprofile`."""

    def __init__(self, X, y):
        self.X, self.y = X, y
        self.hands = {"X": [], "y": [], "a parameter": []}

    def __call__(self, frame, event, arg):
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(LIBRARY):
            return
        where = code.co_filename.removeprefix(LIBRARY + "/"), code.co_qualname
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + 2]
        given = [frame.f_locals[name] for name in names if name in frame.f_locals]
        tests = {"X": self._is_table, "y": self._is_targets, "a parameter": _is_parameter}
        for what, test in tests.items():
            if where not in self.hands[what] and any(map(test, given)):
                self.hands[what].append(where)

    def _is_table(self, thing):
        return isinstance(thing, pd.DataFrame) and thing.equals(self.X)

    def _is_targets(self, thing):
        return isinstance(thing, np.ndarray) and np.array_equal(thing, self.y)


def _is_parameter(thing):
    return thing is DROPOUT or (type(thing) is dict and thing.get("dropout") is DROPOUT)


def main():
    """Print hands and files."""
    warnings.simplefilter("ignore")
    X = pd.DataFrame({"a": np.arange(40.0), "b": np.arange(40) % 7})
    y = np.arange(40.0) + 50.5
    model = LLMRegressor(dropout=DROPOUT, sft_epochs=1, align_epochs=1, random_state=0)
    road = Road(X, y)
    sys.setprofile(road)
    try:
        model.fit(X, y)
    finally:
        sys.setprofile(None)
    for what, hands in road.hands.items():
        print(f"{what}: {len(hands)} hands in {len({file for file, _ in hands})} files")
        for file, name in hands:
            print(f"    {file}: {name}")


if __name__ == "__main__":
    main()
