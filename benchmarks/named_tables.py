"""Tables that the benchmarks measure on, and the figures they report.

Friedman #1 and diabetes come with scikit-learn, auto-mpg with this repository. Other names are
files ``<name>.csv`` or ``<name>.csv.gz`` (target in the last column) in the folder named by the
environment variable LLMREG_DATA.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.metrics import r2_score

MPG = Path(__file__).parents[1] / "examples" / "data" / "auto-mpg.csv"
MAX_ROWS = 4000


def load(name):
    """X (DataFrame) and y of a table; FileNotFoundError says what to set if there is no file."""
    if name == "friedman1":
        X, y = make_friedman1(4000, 10, noise=1.0, random_state=0)
        return pd.DataFrame(X).add_prefix("x"), y
    if name == "diabetes":
        bunch = load_diabetes(as_frame=True, scaled=False)
        return bunch.data, bunch.target.to_numpy()
    frame = pd.read_csv(MPG if name == "auto-mpg" else _file(name))
    frame = frame.dropna(subset=frame.columns[-1])
    frame = frame.sample(min(len(frame), MAX_ROWS), random_state=0).reset_index(drop=True)
    return frame.iloc[:, :-1], frame.iloc[:, -1].to_numpy(float)


def _file(name):
    folder = os.environ.get("LLMREG_DATA")
    for path in sorted(Path(folder).glob(f"{name}.csv*")) if folder else ():
        return path
    raise FileNotFoundError(
        f"No table {name!r}: set LLMREG_DATA to a folder that holds {name}.csv or {name}.csv.gz "
        f"(LLMREG_DATA is {folder!r})."
    )


def available(names):
    """The names that can be loaded here; prints which are skipped and why."""
    found = []
    for name in names:
        try:
            load(name)
        except FileNotFoundError as error:
            print(f"skipped: {error}")
        else:
            found.append(name)
    return found


def measure(model, X, y):
    """R² under each decoding, CRPS in standard deviations of y, coverage of 90 % intervals.

    "one sample" is the expectation over the draw, so that it carries no noise of its own.
    """
    distribution = model.predict_distribution(X)
    low, high = distribution.interval(0.9).T
    values, p = distribution.values, distribution.probabilities
    one_sample = np.mean(np.sum(p * (values - y[:, None]) ** 2, axis=1))
    return {
        "rail": r2_score(y, distribution.mean()),
        "median": r2_score(y, distribution.median()),
        "mode": r2_score(y, distribution.mode()),
        "greedy": r2_score(y, distribution.greedy()),
        "one sample": 1 - one_sample / np.var(y),
        "crps": distribution.crps(y).mean() / y.std(),
        "coverage 90": np.mean((low <= y) & (y <= high)),
    }
