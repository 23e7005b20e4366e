"""What decisions cost: predicting the least expected cost, the mean, or the median.

    python -m benchmarks.studies.costs

Being short of a unit costs three times what a surplus does. Half of each table's rows are fitted,
the other half are decided on; the last column is what is saved beside predicting the mean.
"""

import argparse

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes

from benchmarks.suite.tables import load_table
from llmreg import LLMRegressor

COSTS = {
    "short costs three times a surplus": lambda a, y: np.where(y > a, 3, 1) * np.abs(y - a),
    "more than half a deviation off": None,  # depends on the table; see below
}


def costs_of(y):
    """Costs in the units of y, by name."""
    limit = 0.5 * float(np.std(y))
    return COSTS | {
        "more than half a deviation off": lambda a, y: np.where(np.abs(a - y) > limit, 1.0, 0.0)
    }


def tables(names):
    for name in names:
        if name == "diabetes":
            yield name, *load_diabetes(return_X_y=True, as_frame=True)
        else:
            table = load_table(name)
            yield name, table.X, pd.Series(table.y, name=table.target)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", nargs="+", default=["diabetes", "auto-mpg", "insurance"])
    parser.add_argument("--rows", type=int, default=800)
    args = parser.parse_args()
    lines = []
    for name, X, y in tables(args.tables):
        order = np.random.RandomState(0).permutation(len(y))[: args.rows]
        train, test = np.array_split(order, 2)
        model = LLMRegressor(random_state=0).fit(X.iloc[train], y.iloc[train])
        X, truth = X.iloc[test], y.iloc[test].to_numpy()
        for what, cost in costs_of(y.iloc[train]).items():
            paid = {
                how: float(np.mean(cost(found, truth)))
                for how, found in (
                    ("least cost", model.predict(X, cost=cost)),
                    ("mean", model.predict(X, "rail")), ("median", model.predict(X, "median")),
                )
            }  # fmt: skip
            saved = 1 - paid["least cost"] / paid["mean"]
            lines.append({"table": name, "cost": what, **paid, "saved": saved})
            print(pd.DataFrame(lines[-1:]).round(4).to_string(index=False), flush=True)
    print(pd.DataFrame(lines).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
