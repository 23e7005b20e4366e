"""What the second stage adds to the first: the same weights before and after, on several tables.

    python -m benchmarks.studies.after_ce --seeds 3

With the same ``random_state`` the first stage is the same fit whatever follows, so rows of the
table differ by their second stage alone. Tables that need LLMREG_DATA are skipped without it.
Prints means over tables and seeds, and writes every single result to a CSV file.
"""

import argparse
import time

import pandas as pd
from sklearn.model_selection import train_test_split

from benchmarks.named_tables import available, load, measure
from llmreg import GRPO, LLMRegressor, ReMax

TABLES = ["friedman1", "diabetes", "auto-mpg", "yacht"]
METHODS = {
    "first stage alone": None,
    "grpo (default: crps)": GRPO(),
    "grpo, reward rail": GRPO(reward="rail"),
    "grpo, reward mse": GRPO(reward="mse"),
    "grpo, mse, ÷ group std": GRPO(reward="mse", scale_rewards="group"),
    "remax (default: mse)": ReMax(),
    "raft": "raft",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", nargs="*", default=TABLES)
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", default="soft_ce", help="first stage: soft_ce or ce")
    parser.add_argument("--out", default="after_ce.csv")
    args = parser.parse_args()
    rows = []
    for name in available(args.tables):
        X, y = load(name)
        for seed in range(args.seeds):
            split = train_test_split(X, y, test_size=0.2, random_state=seed)
            for label in args.methods:
                rows.append(one(name, seed, label, args.first, *split))
                print({k: round(v, 3) if isinstance(v, float) else v for k, v in rows[-1].items()},
                      flush=True)  # fmt: skip
                pd.DataFrame(rows).to_csv(args.out, index=False)
    table = pd.DataFrame(rows).drop(columns="seed")
    for part in ("table", None):
        keys = ["method"] if part is None else [part, "method"]
        means = table.drop(columns=[] if part else "table").groupby(keys, sort=False).mean()
        print(means.round(3).to_string(), flush=True)


def one(name, seed, label, first, X, X_test, y, y_test):
    method = METHODS[label]
    start = time.perf_counter()
    model = LLMRegressor(
        fit_method=first if method is None else method, sft_method=first, random_state=seed
    ).fit(X, y)
    seconds = time.perf_counter() - start
    return {
        "table": name, "seed": seed, "method": label,
        **measure(model, X_test, y_test), "seconds": seconds,
    }  # fmt: skip


if __name__ == "__main__":
    main()
