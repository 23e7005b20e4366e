"""Widths and depths of the fresh model: what each costs, and what it reaches.

    LLMREG_DATA=<folder> python -m benchmarks.studies.shapes
    python -m benchmarks.studies.shapes --tables friedman1 auto-mpg --shapes 32x2 64x2

``model="tiny"`` is 64x2: hidden size times layers. Each shape is fitted by smoothed cross-entropy
at its default settings to at most 800 rows of each table and scored on the rest; the same rows and
the same seed for all. "time" is the time to fit and predict in that of 64x2, in the process' own
seconds.
"""

import argparse
import time

import numpy as np
import pandas as pd
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

from benchmarks.named_tables import available, load
from llmreg import LLMRegressor
from llmreg.lm.tiny import tiny_config

TABLES = ["concrete", "kin8nm", "insurance", "used_cars_us", "esol_smiles"]
SHAPES = ["32x2", "64x1", "64x2", "64x4", "128x2"]
OURS = "64x2"
MAX_TRAIN, MAX_TEST = 800, 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", nargs="+", default=TABLES)
    parser.add_argument("--shapes", nargs="+", default=SHAPES)
    parser.add_argument("--epochs", type=int, default=None, help="default: the estimator's own")
    args = parser.parse_args()
    rows = []
    for name in available(args.tables):
        for shape in args.shapes:
            rows.append({"table": name, "shape": shape, **measure(name, shape, args.epochs)})
            print(rows[-1], flush=True)
    found = pd.DataFrame(rows)
    ours = found[found["shape"] == OURS].set_index("table")["seconds"]
    found["time"] = found["seconds"] / found["table"].map(ours)
    print(found.pivot_table(index="shape", columns="table", values="R²").round(3).to_string())
    print(found.groupby("shape")[["R²", "crps", "time"]].mean().round(3).to_string())


def measure(name, shape, epochs):
    """Fit one shape to one table; CRPS in standard deviations of y."""
    size, layers = map(int, shape.split("x"))
    X, y = load(name)
    train, test = train_test_split(
        np.arange(len(y)), train_size=min(MAX_TRAIN, int(0.8 * len(y))), random_state=0
    )
    test = test[:MAX_TEST]
    model = LLMRegressor(
        model=tiny_config(512, hidden_size=size, num_hidden_layers=layers), fit_method="soft_ce",
        sft_epochs="auto" if epochs is None else epochs, random_state=0,
    )  # fmt: skip
    start = time.process_time()
    model.fit(X.iloc[train], y[train])
    found = model.predict_distribution(X.iloc[test])
    return {
        "R²": r2_score(y[test], found.mean()),
        "crps": float(found.crps(y[test]).mean() / y[train].std()),
        "seconds": time.process_time() - start,
    }


if __name__ == "__main__":
    main()
