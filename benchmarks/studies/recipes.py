"""The papers' recipes and llmreg's default beside each other, the language model alone.

    python -m benchmarks.studies.recipes --recipes genre2-ce genre2 ours --rows 800 --seeds 2
    python -m benchmarks.studies.recipes --tables concrete --set sft_learning_rate=1e-4

Tables: the suite's, from the folder LLMREG_DATA. "ours" is the default, "ours alone" the same
without estimates. Rows: 64 % train, 16 % validate (X_val), 20 % test, as TALENT splits. Lines that
--out holds are not computed again.
"""

import argparse
import time
from ast import literal_eval
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from benchmarks.suite.tables import load_table
from llmreg import LLMRegressor, published

OURS = {"ours": {}, "ours alone": {"estimates": None}}
# In TALENT, too.
TABLES = (
    "abalone", "airfoil_self_noise", "concrete", "cpu_act", "debutanizer", "kin8nm", "space_ga",
    "stock",
)  # fmt: skip
KEYS = ["table", "recipe", "seed", "rows"]


def split(table, n_rows, seed):
    """X, y of the training, validation and test rows."""
    order = np.random.RandomState(seed).permutation(len(table.y))[:n_rows]
    ends = (np.array([0.64, 0.8]) * len(order)).astype(int)
    y = pd.Series(table.y, name=table.target)
    return [(table.X.iloc[part], y.iloc[part]) for part in np.split(order, ends)]


def line(recipe, data, seed, args):
    """A fit, its errors and its seconds."""
    parts = split(load_table(data), args.rows, seed)
    (X, y), (X_val, y_val), (X_test, y_test) = parts
    given = OURS[recipe] if recipe in OURS else published(recipe)
    model = LLMRegressor(**given | dict(args.changes), random_state=seed)
    start = time.perf_counter()
    model.fit(X, y, X_val=X_val, y_val=y_val)
    seconds = time.perf_counter() - start
    found = model.predict(X_test)
    error = float(np.mean((found - y_test) ** 2))
    return {
        "table": data, "recipe": recipe, "seed": seed, "rows": args.rows,
        "R²": 1 - error / float(np.var(y_test)), "RMSE": error**0.5 / float(np.std(y_test)),
        "rank correlation": float(spearmanr(found, y_test).statistic), "seconds": seconds,
    }  # fmt: skip


def change(text):
    """ "name=value" as a pair."""
    name, _, value = text.partition("=")
    return name, literal_eval(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipes", nargs="+", default=["genre2-ce", "genre2-grpo", "genre2",
                                                         "ours alone", "ours"])  # fmt: skip
    parser.add_argument("--tables", nargs="+", default=TABLES)
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--set", nargs="+", type=change, default=[], dest="changes")
    parser.add_argument("--out", type=Path, default=Path("recipes.csv"))
    args = parser.parse_args()
    lines = pd.read_csv(args.out).to_dict("records") if args.out.exists() else []
    done = {tuple(one[key] for key in KEYS) for one in lines}
    for seed in range(args.seeds):
        for data in args.tables:
            for recipe in args.recipes:
                if (data, recipe, seed, args.rows) not in done:
                    lines.append(line(recipe, data, seed, args))
                    pd.DataFrame(lines).to_csv(args.out, index=False)
                    print(lines[-1], flush=True)
    table = pd.DataFrame(lines)
    by = table.groupby(["recipe"], sort=False)[["R²", "RMSE", "rank correlation", "seconds"]]
    print(by.mean().round(3).to_string())


if __name__ == "__main__":
    main()
