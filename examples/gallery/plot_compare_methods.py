"""
Comparing methods
=================

Some of the 24 methods on one table, with the same short budget: how good is the mean, how good
the whole distribution, how long did it take? ``examples/compare_methods.py`` does it for all of
them, on tables of yours and several seeds. One table and one seed say little.
"""

# %%
# Each method alone
# -----------------
# ``estimates=None`` leaves out what ridge regression and boosted trees say of a row: pooled with
# them, methods are much alike.

import time

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.model_selection import train_test_split

from llmreg import LLMRegressor, fit_methods

cars = pd.read_csv("../data/auto-mpg.csv")
X_train, X_test, y_train, y_test = train_test_split(
    cars.drop(columns="mpg"), cars["mpg"], random_state=0
)

names = ["ce", "ntl_was", "soft_ce", "raft", "crps", "grpo", "head_last"]
found = []
for name in names:
    started = time.perf_counter()
    model = LLMRegressor(
        fit_method=name, sft_epochs=6, align_epochs=3, estimates=None, random_state=0
    ).fit(X_train, y_train)
    distribution = model.predict_distribution(X_test)
    found.append(
        {
            "R²": model.score(X_test, y_test),
            "CRPS": distribution.crps(y_test).mean(),
            "seconds": time.perf_counter() - started,
        }
    )
found = pd.DataFrame(found, index=names)
found.round(2)

# %%
# Higher is better on the left, lower on the right. A head predicts one number: its CRPS is its
# mean absolute error.

fig, axes = plt.subplots(ncols=2, figsize=(10, 3.4), sharey=True, layout="constrained")
for ax, figure in zip(axes, ["R²", "CRPS"], strict=True):
    bars = ax.barh(found.index, found[figure], color="C0")
    ax.bar_label(bars, fmt="%.2f", padding=3)
    ax.set(xlabel=figure, xlim=(0, 1.15 * found[figure].max()))
axes[0].invert_yaxis()
plt.show()

# %%
# All methods, their stages and where they come from:

fit_methods()[["stage", "trains", "paper"]]
