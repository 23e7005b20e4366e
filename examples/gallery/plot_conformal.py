"""
Intervals that hold whatever the model believes
===============================================

Conformal prediction: look at rows set aside how far values lie outside of the intervals, and widen
these by as much. Then they hold on new rows of the same kind, however wrong the model is
(conformalised quantile regression, Romano et al. 2019). A few lines of numpy do; MAPIE and crepes
take ``LLMRegressor`` as it is, too.
"""

# %%
# A model that is too sure
# ------------------------
# We make it so by hand: at a temperature of 0.25 its distributions are far too narrow.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from llmreg import LLMRegressor

rng = np.random.default_rng(0)


def draw(n_rows):
    X = pd.DataFrame({"x": rng.uniform(0, 10, n_rows), "site": rng.choice(["A", "B"], n_rows)})
    y = 10 + X["x"] * np.where(X["site"] == "A", 2, 1) + rng.normal(0, 0.8 + 0.4 * X["x"])
    return X, y.rename("y")


(X_train, y_train), (X_aside, y_aside), (X_test, y_test) = draw(400), draw(300), draw(1000)
model = LLMRegressor(fit_method="soft_ce", sft_epochs=10, estimates=None, random_state=0)
model.fit(X_train, y_train)
model.temperature_ = 0.25

# %%
# Widen by what rows set aside ask for
# ------------------------------------


def held(low, high):
    return np.mean((low <= y_test) & (y_test <= high))


asked = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
before, after = [], []
for coverage in asked:
    low, high = model.predict_interval(X_aside, coverage=coverage).T
    outside = np.maximum(low - y_aside, y_aside - high)  # negative inside
    level = min(1.0, np.ceil((len(outside) + 1) * coverage) / len(outside))
    by = np.quantile(outside, level, method="higher")
    low, high = model.predict_interval(X_test, coverage=coverage).T
    before.append(held(low, high))
    after.append(held(low - by, high + by))

fig, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
ax.plot(asked, asked, color="grey", ls="--", lw=1, label="as asked")
ax.plot(asked, before, "o-", color="C7", label="the model's own")
ax.plot(asked, after, "o-", color="C0", label="conformal")
ax.set(xlabel="coverage asked for", ylabel="share of 1,000 new rows inside")
ax.legend()
plt.show()

# %%
# The promise is one for all rows together. With 300 rows set aside, and 1,000 to judge by, a
# share is known to about ± 0.04.
