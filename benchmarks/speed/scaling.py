"""Time and memory per row as tables grow.

    python -m benchmarks.speed.scaling                       # about 15 minutes on a CPU core
    python -m benchmarks.speed.scaling --work predict --rows 10000 100000
    python -m benchmarks.speed.scaling --work default-fit    # as long as the estimator chooses
    python -m benchmarks.speed.scaling --work predict-texts  # a million rows: half an hour

The default model on Friedman #1's ten columns; "predict-texts": and two texts
(benchmarks/speed/long_tables.py). Each size runs in a process of its own, whose peak memory is its
own, and sizes take turns. Predicting: a model that was fitted to 1,000 rows predicts tables of each
size. Fitting: an epoch of smoothed cross-entropy and one of GRPO, in batches of 64, preparation and
validation included. The slope is that of log(seconds) over log(rows): 1 is linear.
"""

import argparse

import numpy as np
from sklearn.datasets import make_friedman1

from benchmarks.speed.long_tables import long_table
from benchmarks.speed.shared import add_clock, race
from llmreg import LLMRegressor

ROWS = {
    "predict": [1000, 10_000, 100_000],
    "predict-texts": [10_000, 100_000, 1_000_000],
    "fit": [1000, 3000, 10_000, 30_000, 100_000],
    "default-fit": [500, 10_000],
}
DIFFERENT = 20_000  # rows with texts; longer tables repeat them, so that building takes no memory


def main():
    found = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    found.add_argument("--work", choices=ROWS, nargs="+", default=["predict", "fit"])
    found.add_argument("--rows", type=int, nargs="+", default=None)
    found.add_argument("--repeats", type=int, default=1)
    found.add_argument("--method", default="grpo")
    add_clock(found)
    args = found.parse_args()
    args.device = "cpu"
    for work in args.work:
        measure(work, args)


def measure(work, args):
    """Print a line for each number of rows, and the slope."""
    sizes = sorted(args.rows or ROWS[work])
    contestants = {str(n_rows): Work(work, n_rows) for n_rows in sizes}
    seconds, peak, before = race(contestants, args, args.repeats + 1)
    taken = np.array([np.median(seconds[str(n_rows)]) for n_rows in sizes])
    print(work)
    for n_rows, time in zip(sizes, taken, strict=True):
        name = str(n_rows)
        print(f"  {n_rows:7} rows {1000 * time / n_rows:8.3f} ms per row   peak "
              f"{peak[name] / 2**20:6.0f} MiB, {before[name] / 2**20:.0f} before")  # fmt: skip
    per_row = taken / sizes
    print(f"  slope {slope(sizes, taken):.3f}; time per row within "
          f"{100 * (per_row.max() / per_row.min() - 1):.0f} % of the least")  # fmt: skip


def slope(rows, seconds):
    """Exponent of the power law that fits best.

    >>> round(slope([10, 100], [2.0, 20.0]), 6)
    1.0
    """
    return float(np.polyfit(np.log(rows), np.log(seconds), 1)[0])


class Work:
    """A contestant: predicts or fits so many rows, after a first, short round."""

    def __init__(self, kind, n_rows):
        self.kind, self.n_rows = kind, n_rows

    def __call__(self, turn, args, rounds):
        X, y = self._table(max(self.n_rows, 1000))
        short = dict(sft_epochs=1, align_epochs=1, batch_size=64)
        model = LLMRegressor(fit_method=args.method, random_state=0, **short)
        model.fit(X[:1000], y[:1000])
        if self.kind == "default-fit":
            model.set_params(sft_epochs="auto", align_epochs="auto", batch_size="auto")
        for step in range(rounds):
            turn.begins()
            n_rows = self.n_rows if step else 100  # the first round only warms up
            if self.kind.startswith("predict"):
                model.predict(X[:n_rows])
            else:
                model.fit(X[:n_rows], y[:n_rows])
            turn.ends()

    def _table(self, n_rows):
        if self.kind == "predict-texts":
            X, y = long_table(min(n_rows, DIFFERENT))
            again = np.arange(n_rows) % DIFFERENT
            return X.iloc[again].reset_index(drop=True), y[again]
        return make_friedman1(n_rows, 10, noise=1.0, random_state=0)


if __name__ == "__main__":
    main()
