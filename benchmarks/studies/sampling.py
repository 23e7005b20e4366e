"""Error against the number of draws, before and after the second stage: sampling efficiency.

    LLMREG_DATA=<folder> python -m benchmarks.studies.sampling
    python -m benchmarks.studies.sampling --tables auto-mpg --rows 200 --seeds 1

The language model alone (no estimates, no temperature), as GenRe² claims it of the language model;
each stage keeps the epoch whose own objective is best on held-out rows. With the same seed the
first stage is the same fit whatever follows. Errors are root mean squares in standard deviations
of the test targets: of the mean, of the median and of the best of K draws, and of the mean of the
distribution itself. Entropy in nats, of the distribution over the codec's numbers.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.suite.measure import COVERAGES
from benchmarks.suite.tables import find_tables, load_table, split_table
from llmreg import GRPO, LLMRegressor, SamplesDisplay

SECOND_STAGES = {
    "none": "ce",
    "grpo": "grpo",
    "grpo, reward mse": GRPO(reward="mse"),
    "remax": "remax",
    "genre2": "genre2",
}
ALONE = dict(
    sft_method="ce", estimates=None, temperature_scaling=False, selection="objective",
    tree_tolerance=0.0,
)  # fmt: skip
KEYS = ["table", "second stage", "seed", "rows"]


def measured(y, distribution, max_samples=64):
    """Errors by number of draws, entropy, CRPS and coverage of predictions."""
    import matplotlib.pyplot as plt

    spread = float(np.std(y))
    display = SamplesDisplay.from_predictions(y, distribution, max_samples=max_samples)
    plt.close(display.figure_)
    line = {}
    for what in ("mean", "median", "best"):
        errors = getattr(display, f"rmse_of_{what}") / spread
        line |= {
            f"{what} of {k}": error for k, error in zip(display.n_samples, errors, strict=True)
        }
    line |= {
        "mean": display.rmse_of_expectation / spread, "entropy": distribution.entropy().mean(),
        "CRPS": distribution.crps(y).mean() / spread,
    }  # fmt: skip
    for coverage in COVERAGES:
        low, high = distribution.interval(coverage / 100).T
        line[f"in {coverage}"] = 100 * np.mean((low <= y) & (y <= high))
    return line


def fit(name, stage, seed, args):
    """A line of results."""
    part = split_table(load_table(name), seed, args.rows)
    model = LLMRegressor(fit_method=SECOND_STAGES[stage], random_state=seed, **ALONE)
    if args.epochs:
        model.set_params(sft_epochs=args.epochs, align_epochs=args.epochs)
    start = time.perf_counter()
    model.fit(part.X, part.y)
    seconds = time.perf_counter() - start
    found = measured(part.y_test, model.predict_distribution(part.X_test))
    return dict(zip(KEYS, (name, stage, seed, args.rows), strict=True)) | found | {
        "seconds": seconds
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", nargs="+", default=["friedman1", "concrete", "used_cars_us"])
    parser.add_argument("--stages", nargs="+", default=list(SECOND_STAGES), choices=SECOND_STAGES)
    parser.add_argument("--rows", type=int, default=1000, help="of which a fifth tests")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, help="of each stage; default: the estimator's")
    parser.add_argument("--out", type=Path, default=Path("sampling.csv"))
    args = parser.parse_args()
    lines = pd.read_csv(args.out).to_dict("records") if args.out.exists() else []
    done = {tuple(line[key] for key in KEYS) for line in lines}
    for seed in range(args.seeds):
        for name in find_tables(args.tables):
            for stage in args.stages:
                if (name, stage, seed, args.rows) not in done:
                    lines.append(fit(name, stage, seed, args))
                    pd.DataFrame(lines).to_csv(args.out, index=False)
                    print(f"{name}, {stage}, seed {seed}: {lines[-1]['seconds']:.0f} s", flush=True)
    hidden = [f"{what} of {k}" for what in ("mean", "median", "best") for k in (2, 8, 32)]
    table = pd.DataFrame(lines).drop(columns=["seed", "rows", *hidden])
    means = table.groupby(["table", "second stage"], sort=False).mean()
    overall = table.drop(columns="table").groupby("second stage", sort=False).mean()
    for part in (means, overall):
        print(part.round(3).T.to_string())


if __name__ == "__main__":
    main()
