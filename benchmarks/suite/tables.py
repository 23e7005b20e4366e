"""The suite's tables: which there are, what is text in them, and which rows to test on.

A folder of ``<name>.csv`` or ``<name>.csv.gz`` files, target in the last column, may hold a
``manifest.json``: a list of objects with "name" and "text", the names of the text columns. Without
one, llmreg's own rules say which columns are text.
"""

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from benchmarks.named_tables import load
from llmreg.tables.columns import infer_kind

BUILT_IN = ("friedman1", "diabetes", "auto-mpg")  # come with scikit-learn and this repository

# Rows that belong together, by the columns that say so: models must not see half of such a group.
GROUPS = {
    "parkinsons_telemonitoring": ["subject"],
    "kernelbench_timing": ["problem"],
    "alexa_reviews": ["verified_reviews"],  # many are the same few words
    "aslib_sat11_hand": "all but algorithm",  # many solvers on the same instance
}
LOGARITHMS = {"kernelbench_timing"}  # run times over five orders of magnitude

# One of each sort: physics, wages, prices, simulations, counts, many columns, few rows, text.
CORE = [
    *["abalone", "airfoil_self_noise", "ames_housing", "bike_sharing", "california_housing"],
    *["concrete", "cps1988", "cpu_act", "diamonds", "insurance", "kin8nm", "power_plant"],
    *["protein_rmsd", "puma8nh", "wine_quality_white", "fiat500", "space_ga", "debutanizer"],
    *["yacht", "machine_cpu", "qsar_fish_toxicity", "stock", "student_por", "sensory", "pm10"],
    *["cps_85_wages", "penguins", "carseats", "teaching_evals"],
    *["used_cars_us", "epa_2021", "esol_smiles", "freesolv_smiles", "lego_sets", "tmdb_movies"],
    *["seattle_airbnb", "clear_readability", "ramen_ratings", "goodbooks", "auto_mpg"],
]
QUICK = [
    *["concrete", "airfoil_self_noise", "insurance", "abalone"],
    *["yacht", "qsar_fish_toxicity", "student_por", "carseats"],
    *["used_cars_us", "epa_2021", "esol_smiles"],
]


class Table(NamedTuple):
    """One data set: X (DataFrame), y, text columns, and labels of rows (None: none)."""

    X: pd.DataFrame
    y: np.ndarray
    text: tuple
    groups: np.ndarray | None
    given: np.ndarray | None  # "test" where the data set's authors hold a row back
    target: str = "target"


class Split(NamedTuple):
    """Rows to train on and rows to test on."""

    X: pd.DataFrame
    X_test: pd.DataFrame
    y: np.ndarray
    y_test: np.ndarray


def find_tables(names):
    """Names of the tables meant by ``--data``: names themselves, "all", "core" or "quick".

    Parameters
    ----------
    names : list of str

    Returns
    -------
    list of str
        Those that are there; what is missing from "core" or "quick" is left out with a line.

    Raises
    ------
    SystemExit
        If a table asked for by its name does not exist.
    """
    folder = os.environ.get("LLMREG_DATA")
    here = {_short(path) for path in Path(folder).glob("*.csv*")} if folder else set()
    here |= set(BUILT_IN)
    if not folder:
        print(f"LLMREG_DATA is not set: only {', '.join(BUILT_IN)} are at hand.")
    named = {"all": sorted(here - set(BUILT_IN)) or list(BUILT_IN), "core": CORE, "quick": QUICK}
    found = []
    for name in names:
        wanted = named.get(name, [name])
        missing = [table for table in wanted if table not in here]
        if missing and name not in named:
            raise SystemExit(
                f"There is no table {name!r}. Give {', '.join(BUILT_IN)}, all, core, quick, or "
                f"<name> where LLMREG_DATA (now {folder!r}) holds <name>.csv or <name>.csv.gz."
            )
        if missing:
            print(f"left out of {name}, as LLMREG_DATA lacks them: {', '.join(missing)}")
        found += [table for table in wanted if table in here]
    return list(dict.fromkeys(found)) or list(BUILT_IN)


@lru_cache(maxsize=4)  # the work goes table by table
def load_table(name):
    """A :class:`Table` by its name; rows without a target are dropped."""
    if name in BUILT_IN:
        X, y = load(name)
        return Table(X, np.asarray(y, float), _text_columns(name, X), None, None)
    (path,) = (p for p in Path(os.environ["LLMREG_DATA"]).glob("*.csv*") if _short(p) == name)
    frame = pd.read_csv(path)
    frame = frame.dropna(subset=frame.columns[-1]).reset_index(drop=True)
    X, y = frame.iloc[:, :-1], frame.iloc[:, -1].to_numpy(float)
    given = X.pop("split").to_numpy() if "split" in X and "test" in set(X["split"]) else None
    y = np.log10(y) if name in LOGARITHMS else y
    return Table(X, y, _text_columns(name, X), _groups(name, X), given, frame.columns[-1])


def split_table(table, seed, max_rows):
    """Split number ``seed``: at most ``max_rows`` rows, a fifth of them to test on.

    Whole groups are held back where there are groups, and the authors' test rows where they named
    some. Estimators see nothing of the test rows but their X, and that only to predict.
    """
    rows = np.random.RandomState(seed).permutation(len(table.y))[:max_rows]
    if table.given is not None:
        held = table.given[rows] == "test"
        train, test = rows[~held], rows[held]
    elif table.groups is not None:
        splitter = GroupShuffleSplit(1, test_size=0.2, random_state=seed)
        train, test = next(splitter.split(rows, groups=table.groups[rows]))
        train, test = rows[train], rows[test]
    else:
        train, test = train_test_split(rows, test_size=0.2, random_state=seed)
    X, y = table.X, table.y
    return Split(X.iloc[train], X.iloc[test], y[train], y[test])


def _short(path):
    return path.name.removesuffix(".gz").removesuffix(".csv")


def _text_columns(name, X):
    for entry in _manifest(os.environ.get("LLMREG_DATA")):
        if entry["name"] == name:
            return tuple(column for column in entry["text"] if column in X)
    alone = X.shape[1] == 1
    return tuple(column for column in X if infer_kind(X[column], alone=alone) == "text")


@lru_cache
def _manifest(folder):
    path = Path(folder or ".") / "manifest.json"
    return json.loads(path.read_text(encoding="utf-8")) if folder and path.exists() else []


def _groups(name, X):
    """A label per row; rows without one are groups of their own."""
    if name not in GROUPS:
        return None
    columns = GROUPS[name]
    if columns == "all but algorithm":
        columns = [column for column in X if column != "algorithm"]
    columns = [column for column in columns if column in X]
    labels = pd.util.hash_pandas_object(X[columns], index=False).astype(str)
    unknown = X[columns].isna().all(axis=1)
    return labels.where(~unknown, "row " + X.index.astype(str)).to_numpy(str)
