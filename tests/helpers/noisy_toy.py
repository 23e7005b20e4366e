"""A toy whose noise depends on x, and a model fitted to it once for all tests that read it."""

from functools import cache

import numpy as np
import pandas as pd

# Without trees, whose estimates of training rows are far from those that fit read: held-out ones.
SETTINGS = dict(
    fit_method="ce", sft_epochs=12, sft_learning_rate=5e-3, batch_size=16, dropout=0.0,
    estimates="linear", estimate_weight=0.0, random_state=0,
)  # fmt: skip


def rows(n_rows, seed):
    """X, y and the noise's standard deviation in each row."""
    rng = np.random.RandomState(seed)
    x = rng.uniform(-1, 1, n_rows)
    spread = 0.2 + 0.8 * (x > 0)
    return pd.DataFrame({"x": x}), 4 * x + spread * rng.randn(n_rows), spread


@cache
def fitted():
    """Read-only: tests that change it must copy it. 300 rows, of which 45 validate."""
    from llmreg import DigitCodec, LLMRegressor

    X, y, _ = rows(300, seed=1)
    return LLMRegressor(codec=DigitCodec(6, 2), **SETTINGS).fit(X, y)
