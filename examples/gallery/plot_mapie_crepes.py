"""
Conformal intervals by MAPIE and crepes
=======================================

Both libraries widen a model's intervals until they hold on rows set aside. MAPIE conformalises two
quantiles, each a regressor of its own here: :class:`llmreg.QuantileView`. crepes scales residuals
by how difficult a row is, and the standard deviation that the model predicts says so. They need
``pip install MAPIE crepes``.
"""

# %%
# A model that is too sure
# ------------------------
# As in the example before: at a temperature of 0.25 its distributions are far too narrow.

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from crepes import WrapRegressor
from crepes.extras import DifficultyEstimator
from mapie.regression import ConformalizedQuantileRegressor

from llmreg import LLMRegressor, QuantileView

rng = np.random.default_rng(0)


def draw(n_rows):
    X = pd.DataFrame({"x": rng.uniform(0, 10, n_rows), "site": rng.choice(["A", "B"], n_rows)})
    y = 10 + X["x"] * np.where(X["site"] == "A", 2, 1) + rng.normal(0, 0.8 + 0.4 * X["x"])
    return X, y.rename("y")


(X_train, y_train), (X_aside, y_aside), (X_test, y_test) = draw(600), draw(300), draw(1000)
model = LLMRegressor(fit_method="ce", sft_epochs=16, estimates=None, random_state=0)
model.fit(X_train, y_train)
model.temperature_ = 0.25

# %%
# MAPIE: two quantiles, moved apart
# ---------------------------------

quantiles = [QuantileView(model, q) for q in (0.05, 0.95, 0.5)]  # lower, upper, the prediction
mapie = ConformalizedQuantileRegressor(quantiles, confidence_level=0.9, prefit=True)
# MAPIE asks with an array without names whether the model is fitted.
warnings.filterwarnings("ignore", "X does not have valid feature names")
mapie = mapie.conformalize(X_aside, y_aside)

# %%
# crepes: residuals, scaled by difficulty
# ---------------------------------------


def deviation(X):
    return model.predict(X, return_std=True)[1]


difficulty = DifficultyEstimator().fit(f=deviation)
crepes = WrapRegressor(model).calibrate(X_aside, y_aside, de=difficulty)

# %%
# Nine in ten?
# ------------

ways = {
    "the model's own": model.predict_interval,
    "MAPIE": lambda X: mapie.predict_interval(X)[1][:, :, 0],
    "crepes": lambda X: crepes.predict_int(X, confidence=0.9),
}
held = {}
for way, interval in ways.items():
    low, high = interval(X_test).T
    held[way] = np.mean((low <= y_test) & (y_test <= high))
    print(f"{way}: {held[way]:.0%} held, mean width {np.mean(high - low):.1f}")

# %%
# The same on a line: MAPIE moves the ends of all intervals by as much, crepes stretches wide ones
# further.

line = pd.DataFrame({"x": np.linspace(0, 10, 80), "site": "A"})
at_a = X_test["site"] == "A"
own = model.predict_interval(line).T

fig, axes = plt.subplots(ncols=2, figsize=(10, 3.8), layout="constrained", sharey=True)
for ax, way in zip(axes, ["MAPIE", "crepes"], strict=True):
    ax.plot(X_test["x"][at_a], y_test[at_a], ".", color="0.55", ms=4)
    ax.fill_between(line["x"], *ways[way](line).T, color="C0", alpha=0.3, lw=0, label=way)
    ax.fill_between(line["x"], *own, color="C1", alpha=0.6, lw=0, label="the model's own")
    ax.set(xlabel="x, at site A", title=f"{way}: {held[way]:.0%} held")
    ax.legend(loc="upper left")
axes[0].set(ylabel="y: 90 % intervals")
plt.show()
