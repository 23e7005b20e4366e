"""
Explaining a fit
================

scikit-learn's tools work on any table that the model reads, texts included: which columns matter
(permutation importance), and how the prediction depends on one (partial dependence).
"""

# %%
# The fit
# -------

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.inspection import PartialDependenceDisplay, permutation_importance
from sklearn.model_selection import train_test_split

from llmreg import LLMRegressor

flats = pd.read_csv("../data/flats.csv").astype({"built": float})
X, y = flats.drop(columns="rent"), flats["rent"]
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
model = LLMRegressor(fit_method="soft_ce", estimates="linear", sft_epochs=15, random_state=0)
model.fit(X_train, y_train)

# %%
# Which columns matter
# --------------------
# Shuffle a column and see how much R² is lost. The ad is a column like any other; ``built`` was
# made up without any effect.

importance = permutation_importance(model, X_test, y_test, n_repeats=3, random_state=0)
order = importance.importances_mean.argsort()

fig, ax = plt.subplots(figsize=(8, 2.8), layout="constrained")
ax.barh(
    X.columns[order],
    importance.importances_mean[order],
    xerr=importance.importances_std[order],
    color="C0",
    error_kw={"lw": 1.5},
)
ax.set(xlabel="R² lost when the column is shuffled")
ax.axvline(0, color="grey", lw=0.8)
plt.show()

# %%
# How the rent depends on them
# ----------------------------

fig, axes = plt.subplots(ncols=2, figsize=(10, 3.4), layout="constrained")
PartialDependenceDisplay.from_estimator(
    model,
    X_test[:40],
    ["size", "district"],
    categorical_features=["district"],
    kind="average",
    grid_resolution=20,
    line_kw={"lw": 2},
    ax=axes,
)
for axis in fig.axes:
    axis.tick_params(axis="x", rotation=0)
plt.show()

# %%
# Which words matter
# ------------------
# Leave a remark out of an ad, and see what becomes of the prediction.

flat = X_test.iloc[[1]]
opening, *remarks = flat["ad"].item().rstrip(".").split(", ")
ads = [", ".join([opening, *(r for r in remarks if r != left_out)]) + "." for left_out in remarks]
full, *fewer = model.predict(pd.concat([flat, *(flat.assign(ad=ad) for ad in ads)]))

fig, ax = plt.subplots(figsize=(8, 1 + 0.5 * len(remarks)), layout="constrained")
ax.barh(remarks, [full - rent for rent in fewer], color="C0")
ax.axvline(0, color="grey", lw=0.8)
ax.set(xlabel=f"euros that the remark adds to {full:.0f}")
plt.show()
