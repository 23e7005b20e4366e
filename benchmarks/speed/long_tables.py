"""A default fit of a long table with texts: seconds, memory, and whether more rows are worth it.

    python -m benchmarks.speed.long_tables                    # 10,000 and 100,000 rows
    python -m benchmarks.speed.long_tables --rows 1000000 --set time_limit=600

Ten numbers (Friedman #1) and two texts, a title of three to eight words and a description of ten
to thirty, of a vocabulary of 5,000 words of which each has a worth of its own. A sixth of the
target's variance is noise. Each size runs in a process of its own; R² and the predictions' time
are those of 20,000 further rows.
"""

import argparse
import multiprocessing
import resource
import time

import numpy as np
import pandas as pd
from sklearn.datasets import make_friedman1

from benchmarks.suite.command import setting
from llmreg import LLMRegressor

N_WORDS, N_TEST = 5000, 20_000


def main():
    found = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    found.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    found.add_argument("--test-rows", type=int, default=N_TEST)
    found.add_argument("--set", nargs="*", default=[], help="parameters, as name=value")
    args = found.parse_args()
    settings = dict(map(setting, args.set))
    for n_rows in args.rows:
        # A process for each size: its peak memory is its own.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.apply(measure, (n_rows, args.test_rows, settings)), flush=True)


def measure(n_rows, n_test, settings):
    """A line about a fit of so many rows."""
    X, y = long_table(n_rows + n_test)
    model = LLMRegressor(random_state=0, **settings)
    start = time.perf_counter()
    model.fit(X[:n_rows], y[:n_rows])
    fitted = time.perf_counter()
    r2 = model.score(X[n_rows:], y[n_rows:])
    predicted = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    epochs = model.history_.groupby("stage", sort=False)["epoch"].max().to_dict()
    return (
        f"{n_rows:8} rows: fit {fitted - start:6.0f} s, R2 {r2:.3f}, predict "
        f"{1000 * (predicted - fitted) / n_test:.2f} ms a row, peak {peak:.1f} GiB, {epochs}"
    )


def long_table(n_rows):
    """X of ten numbers and two texts, and y."""
    rng = np.random.RandomState(0)
    words = np.array([_word(rng) for _ in range(N_WORDS)])
    often = 1 / np.arange(1, N_WORDS + 1)
    worth = rng.randn(N_WORDS)
    numbers, y = make_friedman1(n_rows, 10, random_state=0)
    X = pd.DataFrame(numbers).add_prefix("x")
    for name, fewest, most in (("title", 3, 8), ("description", 10, 30)):
        lengths = rng.randint(fewest, most + 1, n_rows)
        drawn = rng.choice(N_WORDS, lengths.sum(), p=often / often.sum())
        ends = lengths.cumsum()
        X[name] = [" ".join(words[row]) for row in np.split(drawn, ends[:-1])]
        y = y + 6 * np.add.reduceat(worth[drawn], ends - lengths) / lengths
    return X, y + rng.randn(n_rows) * y.std() / np.sqrt(5)


def _word(rng):
    syllables = ["ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ru", "sa", "te"]
    return "".join(rng.choice(syllables, rng.randint(2, 5)))


if __name__ == "__main__":
    main()
