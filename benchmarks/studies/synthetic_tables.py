"""Tables drawn by chance from a broad prior, for pretraining.py."""

import numpy as np
import pandas as pd

__all__ = ["draw_table"]

CURVES = (
    lambda x, a, b: np.sin(a * x + b),
    lambda x, a, b: np.abs(x - b),
    lambda x, a, b: (x > b).astype(float),
    lambda x, a, b: x**2,
    lambda x, a, b: np.tanh(a * x + b),
    lambda x, a, b: np.exp(x / 2),
)


def draw_table(rng):
    """A DataFrame of 100 to 1,500 rows of numbers and categories, and a target for each row.

    Columns are correlated, skewed, ranked or rounded; some have gaps. The target is a mixture of
    linear, additive, smooth, step-wise and product terms with noise (up to three quarters of its
    variance, sometimes heavy-tailed or growing), itself sometimes skewed, rounded or uniform, and
    of any size.
    """
    n = int(np.exp(rng.uniform(np.log(100), np.log(1500))))
    latent, shown = _numbers(rng, n, 1 + int(min(19, rng.gamma(2.0, 3.5))))
    X = pd.DataFrame(shown, columns=[f"x{j}" for j in range(shown.shape[1])])
    parts = [latent]
    for number in range(rng.choice([0, 0, 1, 2, 4])):
        codes, worth = _category(rng, latent)
        X[f"c{number}"] = np.array([f"level {code}" for code in range(9)])[codes]
        parts.append(worth[:, None])
    y = _target(rng, np.concatenate(parts, axis=1))
    if rng.rand() < 0.2:
        column = rng.choice([f"x{j}" for j in range(shown.shape[1])])
        X.loc[rng.rand(n) < rng.uniform(0, 0.3), column] = np.nan
    return X, y * 10 ** rng.uniform(-2, 4)


def _numbers(rng, n, width):
    common = rng.randint(1, width + 1)
    z = rng.randn(n, common) @ rng.randn(common, width) / common**0.5 * rng.rand()
    z = z + rng.randn(n, width) * rng.uniform(0.2, 1)
    z /= z.std(axis=0)
    shown = z.copy()
    for column, kind in enumerate(rng.choice(5, width, p=[0.45, 0.2, 0.1, 0.15, 0.1])):
        x = z[:, column]
        if kind == 1:
            shown[:, column] = np.exp(x * rng.uniform(0.3, 1.5))
        elif kind == 2:
            shown[:, column] = x.argsort().argsort() / n
        elif kind == 3:
            shown[:, column] = np.round(x * rng.uniform(0.7, 4))
        elif kind == 4:
            shown[:, column] = x**3
    return z, shown


def _category(rng, z):
    n_levels = rng.randint(2, 9)
    if rng.rand() < 0.5:
        x = z[:, rng.randint(z.shape[1])] + 0.5 * rng.randn(len(z))
        codes = np.digitize(x, np.sort(rng.randn(n_levels - 1)))
    else:
        codes = rng.choice(n_levels, len(z), p=rng.dirichlet(np.full(n_levels, 2.0)))
    return codes, _standardised(rng.randn(n_levels)[codes])


def _target(rng, z):
    shares = rng.dirichlet(np.ones(rng.randint(1, 5)))
    signal = sum(share**0.5 * _standardised(_term(rng, z)) for share in shares)
    signal = _standardised(signal)
    noise = rng.uniform(0, 0.75) ** 1.5
    error = rng.randn(len(z)) if rng.rand() < 0.7 else rng.standard_t(3, len(z))
    if rng.rand() < 0.25:  # grows with the target
        error = error * np.exp(signal / 2)
    y = (1 - noise) ** 0.5 * signal + noise**0.5 * error
    kind = rng.choice(4, p=[0.6, 0.15, 0.15, 0.1])
    if kind == 1:
        y = np.exp(y * rng.uniform(0.3, 1))
    elif kind == 2:
        y = np.round(y * rng.uniform(1, 5))
    elif kind == 3:
        y = y.argsort().argsort() / len(y)
    return y if y.std() > 1e-6 else y + rng.randn(len(y))


def _term(rng, z):
    width = z.shape[1]
    kind = rng.choice(5, p=[0.2, 0.25, 0.25, 0.2, 0.1])
    if kind == 0:
        return z @ (rng.randn(width) * (rng.rand(width) < rng.uniform(0.2, 1)))
    if kind == 1:
        return sum(_curve(rng, z[:, j]) for j in rng.permutation(width)[: rng.randint(1, 5)])
    if kind == 2:
        some = rng.permutation(width)[: rng.randint(1, 7)]
        hidden = rng.randn(len(some), rng.randint(4, 32)) * rng.uniform(0.5, 2) / len(some) ** 0.5
        bends = np.tanh(z[:, some] @ hidden + rng.randn(hidden.shape[1]))
        return bends @ rng.randn(hidden.shape[1])
    if kind == 3:
        return sum(_tree(rng, z) for _ in range(rng.randint(1, 8)))
    return np.prod(z[:, rng.randint(width, size=2)], axis=1)


def _curve(rng, x):
    curve = CURVES[rng.randint(len(CURVES))]
    return rng.randn() * _standardised(curve(x, rng.uniform(0.5, 3), rng.randn()))


def _tree(rng, z):
    depth, leaf = rng.randint(1, 5), np.zeros(len(z), int)
    for _ in range(depth):
        x = z[:, rng.randint(z.shape[1])]
        leaf = 2 * leaf + (x > np.quantile(x, rng.uniform(0.15, 0.85)))
    return rng.randn(2**depth)[leaf]


def _standardised(x):
    return (x - x.mean()) / (x.std() or 1.0)
