"""Whether predictions add up where targets are mostly zero or of two sizes, and intervals hold.

    python -m benchmarks.studies.hard_targets                        # fifteen minutes on one core
    python -m benchmarks.studies.hard_targets --try "90 % zeros" --seeds 1

Tables are drawn: claims that are mostly zero, by how probable one is and how large, and counts;
prices of cars whose training rows are there once, twice, or drawn with replacement; prices of which
three in ten are those of a thousand pieces, which no column tells; a few ones among zeros; prices
to which a fixed fee is added; working hours, nearly half of them 40; and shares, most of them near
0 or 1 but on neither. What is known of the truth is the mean of each row. Beside
llmreg: HistGradientBoostingRegressor on the same numbers. One method of one stage, default epochs.
"""

import argparse

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

from llmreg import LLMRegressor

N_TRAIN, N_TEST = 300, 2000
ZEROS = {"72 % zeros": -1.0, "83 % zeros": -2.0, "90 % zeros": -3.0}
BRANDS = ["ford", "bmw", "kia", "audi", "rare"]
KINDS = [*ZEROS, "counts", "once", "twice", "with replacement", "two sizes", "rare", "fee"]
KINDS += ["40 hours", "shares"]
LARGE, PIECES = 0.3, 1000


def draw(kind, seed):
    """A table, its targets, and the mean of each row's target."""
    rng, n = np.random.RandomState([seed, KINDS.index(kind)]), N_TRAIN + N_TEST
    X = pd.DataFrame({
        "brand": rng.choice(BRANDS, n, p=[0.3, 0.3, 0.2, 0.19, 0.01]),
        "km": rng.lognormal(10.5, 0.9, n).round(), "age": rng.randint(0, 20, n),
        "hp": rng.normal(120, 35, n).round().clip(40),
    })  # fmt: skip
    z = (X["brand"] == "bmw") + 0.01 * X["hp"] - 0.08 * X["age"] - 0.3 * np.log(X["km"])
    z = ((z - z.mean()) / z.std()).to_numpy()
    if kind in ZEROS:
        happens = 1 / (1 + np.exp(-(1.5 * z + ZEROS[kind])))
        size = np.exp(0.5 * z + 0.5 * rng.randn(n)) * 1000
        return (
            X,
            np.where(rng.rand(n) < happens, size, 0.0),
            happens * np.exp(0.5 * z + 0.125) * 1000,
        )
    if kind == "counts":
        return X, rng.poisson(0.1 * np.exp(z)).astype(float), 0.1 * np.exp(z)
    if kind == "two sizes":
        pieces = np.where(rng.rand(n) < LARGE, PIECES, 1)
        price = np.exp(3 + 0.1 * z)
        return X, pieces * price * (1 + 0.03 * rng.randn(n)), (1 + LARGE * (PIECES - 1)) * price
    if kind == "rare":
        happens = 1 / (1 + np.exp(4 - z))
        return X, (rng.rand(n) < happens).astype(float), happens
    if kind == "40 hours":
        others = (36 + 5 * z + 4 * rng.randn(n)).round()
        return X, np.where(rng.rand(n) < 0.45, 40.0, others), 0.45 * 40 + 0.55 * (36 + 5 * z)
    if kind == "shares":
        a, b = 0.3 + 0.9 / (1 + np.exp(-1.5 * z)), 0.3 + 0.9 / (1 + np.exp(1.5 * z))
        return X, rng.beta(a, b), a / 1.5
    if kind == "fee":
        return X, 1e4 + np.exp(1.5 * z + rng.randn(n)), 1e4 + np.exp(1.5 * z + 0.5)
    return X, np.exp(9 + 0.6 * z + 0.25 * rng.randn(n)), np.exp(9 + 0.6 * z + 0.03125)


def training_rows(kind, seed):
    """Which of the first rows are trained on, in which order."""
    rows, rng = np.arange(N_TRAIN), np.random.RandomState(seed)
    if kind == "twice":
        return rng.permutation(np.tile(rows, 2))
    return rng.choice(rows, N_TRAIN) if kind == "with replacement" else rows


def line(kind, seed):
    """A fit, and how its predictions of new rows compare with what is true of them."""
    X, y, truth = draw(kind, seed)
    train, test = training_rows(kind, seed), np.arange(N_TRAIN, len(y))
    model = LLMRegressor(fit_method="soft_ce", random_state=seed).fit(X.iloc[train], y[train])
    found = model.predict_distribution(X.iloc[test])
    least, most = found.interval(0.95).T
    (low, high), (lower, upper) = found.interval(0.9).T, found.interval(0.5).T
    numbers = X.drop(columns="brand").assign(brand=pd.factorize(X["brand"])[0])
    trees = HistGradientBoostingRegressor(random_state=seed).fit(numbers.iloc[train], y[train])
    total, known = truth[test].sum(), truth[test].var()
    return {
        "kind": kind, "seed": seed, "total": found.mean().sum() / total,
        "HGB's total": trees.predict(numbers.iloc[test]).sum() / total,
        "R² of the means": 1 - ((found.mean() - truth[test]) ** 2).mean() / known,
        "CRPS": found.crps(y[test]).mean() / y[test].std(),
        "in 50": 100 * np.mean((lower <= y[test]) & (y[test] <= upper)),
        "in 90": 100 * np.mean((low <= y[test]) & (y[test] <= high)),
        "in 95": 100 * np.mean((least <= y[test]) & (y[test] <= most)),
        "of 40": np.mean(found.cdf(40.0) - found.cdf(39.999)) / np.mean(y[test] == 40)
        if kind == "40 hours" else np.nan,
        "temperature": model.temperature_, "weight": model.estimate_weight_,
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--try", nargs="+", default=KINDS, choices=KINDS, dest="kinds")
    parser.add_argument("--seeds", type=int, default=4)
    args = parser.parse_args()
    table = pd.DataFrame([line(kind, seed) for kind in args.kinds for seed in range(args.seeds)])
    table["|log total|"] = np.abs(np.log(table["total"]))
    print(table.round(3).to_string(index=False))
    print(table.groupby("kind", sort=False).mean().drop(columns="seed").round(3).to_string())


if __name__ == "__main__":
    main()
