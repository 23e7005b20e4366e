"""What temperature scaling does to the error and to the intervals of new rows.

    python -m benchmarks.studies.calibration                        # about half an hour on one core
    python -m benchmarks.studies.calibration --tables auto-mpg --methods ce --seeds 1

Each model is fitted once, with 20 and 6 epochs (``--full``: the default number), on at most 1,500
rows (70 % of the table), and asked about at most 1,000 others twice: at the temperature that the
fit chose on its validation rows, and at 1.
"""

import argparse

import numpy as np
import pandas as pd
from sklearn.metrics import r2_score

from benchmarks.named_tables import available, load
from llmreg import LLMRegressor

TABLES = ["concrete", "insurance", "used_cars_us", "abalone", "auto_mpg", "yacht"]
METHODS = ["ce", "grpo", "raft"]
COVERAGES = (50, 80, 95)


def split(n_rows, seed):
    """Rows to fit on and rows to judge by."""
    order = np.random.RandomState(seed).permutation(n_rows)
    return order[: min(1500, int(0.7 * n_rows))], order[-min(1000, int(0.3 * n_rows)) :]


def figures(model, X, y):
    """R² of mean and median, CRPS in standard deviations of y, coverage in per cent."""
    distribution = model.predict_distribution(X)
    found = {
        "R²": r2_score(y, distribution.mean()),
        "R² median": r2_score(y, distribution.median()),
        "crps": distribution.crps(y).mean() / y.std(),
    }
    for coverage in COVERAGES:
        low, high = distribution.interval(coverage / 100).T
        found[f"in {coverage}"] = 100 * np.mean((low <= y) & (y <= high))
    return found


def compare(name, method, seed, epochs):
    """A row for the fit's temperature, and one for 1."""
    X, y = load(name)
    train, test = split(len(X), seed)
    model = LLMRegressor(fit_method=method, random_state=seed, **epochs)
    model.fit(X.iloc[train], y[train])
    chosen, rows = model.temperature_, []
    for label, temperature in (("at 1", 1.0), ("scaled", chosen)):
        model.temperature_ = temperature
        row = {"table": name, "method": method, "distribution": label, "T": temperature}
        rows.append(row | figures(model, X.iloc[test], y[test]))
    return rows


def report(rows):
    """Means over seeds by table, and over all by method with the mean error of coverage."""
    keys = ["method", "distribution"]
    errors = [(rows[f"in {c}"] - c).abs() for c in COVERAGES]
    overall = rows.assign(**{"coverage error": sum(errors) / len(errors)}).groupby(keys)
    by_table = rows.groupby(["table", *keys])
    for groups in (by_table, overall):
        print(groups.mean(numeric_only=True).round(3).to_string(), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", nargs="+", default=TABLES)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="as many epochs as by default")
    args = parser.parse_args()
    epochs = {} if args.full else {"sft_epochs": 20, "align_epochs": 6}
    rows = []
    for seed in range(args.seeds):
        for name in available(args.tables):
            for method in args.methods:
                rows += compare(name, method, seed, epochs)
                print(rows[-1], flush=True)
    report(pd.DataFrame(rows))


if __name__ == "__main__":
    main()
