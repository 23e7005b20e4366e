"""
Intervals that hold whatever the model believes
===============================================

Conformal prediction: look at rows set aside how far values lie outside of the intervals, and
widen these by as much. Then they hold on new rows of the same kind, however wrong the model is
(conformalised quantile regression, Romano et al. 2019). A few lines of numpy do; MAPIE and
crepes take ``LLMRegressor`` as it is, too.
"""

# %%
# A model that is too sure
# ------------------------
# Twenty epochs on all rows, none held out: nothing tells how wide the distributions should be.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from llmreg import LLMRegressor

cars = pd.read_csv("../data/auto-mpg.csv")
X, y = cars.drop(columns="mpg"), cars["mpg"]
X_rest, X_test, y_rest, y_test = train_test_split(X, y, test_size=120, random_state=0)
X_train, X_aside, y_train, y_aside = train_test_split(X_rest, y_rest, test_size=100, random_state=0)

model = LLMRegressor(
    fit_method="soft_ce", sft_epochs=20, estimates=None, validation_fraction=None, random_state=0
).fit(X_train, y_train)

# %%
# Widen by what rows set aside ask for
# ------------------------------------


def widened(coverage):
    """Intervals of the test rows, before and after."""
    low, high = model.predict_interval(X_aside, coverage=coverage).T
    outside = np.maximum(low - y_aside, y_aside - high)  # negative inside
    level = min(1.0, np.ceil((len(outside) + 1) * coverage) / len(outside))
    by = np.quantile(outside, level, method="higher")
    low, high = model.predict_interval(X_test, coverage=coverage).T
    return (low, high), (low - by, high + by)


def held(low, high):
    return np.mean((low <= y_test) & (y_test <= high))


asked = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
before, after = np.array([[held(*ends) for ends in widened(coverage)] for coverage in asked]).T

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(asked, asked, color="grey", ls="--", lw=1, label="as asked")
ax.plot(asked, before, "o-", color="C7", label="the model's own")
ax.plot(asked, after, "o-", color="C0", label="conformal")
ax.set(xlabel="coverage asked for", ylabel="share of 120 cars inside", ylim=(0.3, 1.02))
ax.legend()
plt.show()

# %%
# With 120 cars a share is known to about ± 0.04.
