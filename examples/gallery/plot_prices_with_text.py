"""
Prices with free text
=====================

Rents of flats, where half of what decides stands in the ad. The model reads the ad beside the
numbers, without any feature of yours. The table is made up (``examples/data/make_tables.py``),
so that we know what each remark is worth.
"""

# %%
# The data
# --------

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from llmreg import LLMRegressor

flats = pd.read_csv("../data/flats.csv")
X, y = flats.drop(columns="rent"), flats["rent"]
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
X.head()

# %%
# With the ad and without it
# --------------------------
# Boosted trees without the ad are the usual first try.

trees = make_pipeline(
    make_column_transformer(
        (OrdinalEncoder(), ["district"]), ("drop", ["ad"]), remainder="passthrough"
    ),
    HistGradientBoostingRegressor(random_state=0),
).fit(X_train, y_train)

settings = dict(fit_method="soft_ce", sft_epochs=15, random_state=0)
with_ad = LLMRegressor(**settings).fit(X_train, y_train)
without_ad = LLMRegressor(**settings).fit(X_train.drop(columns="ad"), y_train)

scores = pd.Series(
    {
        "boosted trees, no ad": r2_score(y_test, trees.predict(X_test)),
        "llmreg, no ad": without_ad.score(X_test.drop(columns="ad"), y_test),
        "llmreg, with the ad": with_ad.score(X_test, y_test),
    }
)

fig, ax = plt.subplots(figsize=(8, 2.4), layout="constrained")
bars = ax.barh(scores.index, scores, color=["C7", "C7", "C0"])
ax.bar_label(bars, fmt="%.2f", padding=3)
ax.set(xlabel="R² on flats that no model has seen", xlim=(0, 1.05))
plt.show()

# %%
# What is a remark worth?
# -----------------------
# The same flat with different ads. The dashed lines are what the remarks are worth in truth.

flat = X_test.iloc[[0]]
worth = {
    "needs some work": 0.85,
    "no kitchen": 0.93,
    "quiet courtyard": 1.05,
    "freshly renovated": 1.12,
    "view of the river": 1.13,
}
ads = ["Flat."] + [f"Flat, {remark}." for remark in worth]
rents = with_ad.predict(pd.concat([flat.assign(ad=ad) for ad in ads]))

fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
for place, truth in enumerate(worth.values()):
    ax.barh(place, 100 * (rents[place + 1] / rents[0] - 1), color="C0")
    ax.plot([100 * (truth - 1)] * 2, [place - 0.4, place + 0.4], "k--", lw=1.5)
ax.set_yticks(range(len(worth)), worth)
ax.set(xlabel="change of the predicted rent (%)")
ax.axvline(0, color="grey", lw=0.8)
plt.show()
