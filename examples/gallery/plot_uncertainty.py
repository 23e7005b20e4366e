"""
How sure it is, and whether that holds
======================================

A distribution is calibrated if 80 % intervals hold 80 % of the values, and so on. Two pictures
show it: coverage against what was asked for, and the PIT histogram (where in its distribution
each value fell), which should be flat.
"""

# %%
# A table with noise that grows
# -----------------------------
# Large values of ``x`` are noisier. A model with one error bar for all rows is wrong nearly
# everywhere. The estimates of simple regressors have but one, so they are left out;
# cross-entropy trains the whole distribution.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from llmreg import LLMRegressor

rng = np.random.default_rng(0)


def draw(n_rows):
    X = pd.DataFrame({"x": rng.uniform(0, 10, n_rows), "site": rng.choice(["A", "B"], n_rows)})
    y = 10 + X["x"] * np.where(X["site"] == "A", 2, 1) + rng.normal(0, 0.8 + 0.4 * X["x"])
    return X, y.rename("y")


(X_train, y_train), (X_test, y_test) = draw(1000), draw(1000)
model = LLMRegressor(fit_method="ce", sft_epochs=16, estimates=None, random_state=0)
model.fit(X_train, y_train)
print(f"temperature {model.temperature_:.2f}, found on rows held out")

# %%
# Intervals that widen
# --------------------

line = pd.DataFrame({"x": np.linspace(0, 10, 80), "site": "A"})
quantiles = model.predict_quantiles(line, [0.05, 0.25, 0.5, 0.75, 0.95])

fig, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
at_a = X_test["site"] == "A"
ax.plot(X_test["x"][at_a], y_test[at_a], ".", color="0.55", ms=4)
for low, high, alpha in ((0, 4, 0.2), (1, 3, 0.35)):
    ax.fill_between(line["x"], quantiles[:, low], quantiles[:, high], alpha=alpha, color="C0", lw=0)
ax.plot(line["x"], quantiles[:, 2], color="C0", lw=2)
ax.set(xlabel="x, at site A", ylabel="y: median, 50 % and 90 % intervals")
plt.show()

# %%
# Do they hold?
# -------------
# On rows that the model has not seen:

distribution = model.predict_distribution(X_test)
asked = np.linspace(0.05, 0.95, 19)
held = []
for coverage in asked:
    low, high = distribution.interval(coverage).T
    held.append(np.mean((low <= y_test) & (y_test <= high)))
y_values = y_test.to_numpy()
pit = np.array([distribution[i : i + 1].cdf(y_values[i])[0] for i in range(len(y_values))])

fig, (left, right) = plt.subplots(ncols=2, figsize=(10, 3.6), layout="constrained")
left.plot([0, 1], [0, 1], color="grey", ls="--", lw=1)
left.plot(asked, held, "o-", color="C0", ms=4)
left.set(xlabel="asked for", ylabel="held", title="Coverage", aspect="equal")
right.hist(pit, bins=10, range=(0, 1), color="C0", edgecolor="white")
right.axhline(len(pit) / 10, color="grey", ls="--", lw=1)
right.set(xlabel="place in the predicted distribution", ylabel="rows", title="PIT")
plt.show()
print(f"mean CRPS {distribution.crps(y_test).mean():.2f}, in the units of y")
