"""
SHAP on a text and on a table
=============================

SHAP splits a prediction among what the model has read: the parts of a text, or the columns of a
row, texts among them. The shares of a row add up to its prediction, less the mean one. It needs
``pip install shap``.
"""

# %%
# A text, part by part
# --------------------
# Reviews and their stars, made up (``examples/data/make_tables.py``): each remark is worth a fixed
# number of stars. SHAP leaves parts out in all ways, and writes three points in their place.

import runpy

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import shap
from sklearn.model_selection import train_test_split

from llmreg import LLMRegressor

reviews = pd.read_csv("../data/reviews.csv")
texts, texts_test, stars, stars_test = train_test_split(
    reviews["review"], reviews["stars"], random_state=0
)
model = LLMRegressor(fit_method="soft_ce", estimates="linear", sft_epochs=20, random_state=0)
model.fit(texts, stars)


def predict_stars(texts):
    return model.predict(pd.Series(texts, name="review"))


parts = shap.maskers.Text(r"[:,.]\s*", mask_token="...")
explain = shap.Explainer(predict_stars, parts)
shares = explain(texts_test[:30].tolist(), silent=True)

first = shares[0]
first.data = None  # the parts are their own names
shap.plots.waterfall(first, show=False)
plt.gcf().set_size_inches(8, 3)
plt.tight_layout()
plt.show()

# %%
# What each remark is worth
# -------------------------
# The mean share of a remark over 30 reviews, beside the truth.

made = runpy.run_path("../data/make_tables.py")
found = pd.concat([pd.Series(s.values, [part.strip(" ,:.") for part in s.data]) for s in shares])
worth = pd.DataFrame(
    {"truth": made["PRAISE"] | made["BLAME"], "share": found.groupby(level=0).mean()}
)
worth = worth.dropna().sort_values("truth")

fig, ax = plt.subplots(figsize=(8, 5), layout="constrained")
ax.hlines(worth.index, worth["truth"], worth["share"], color="0.7", lw=3)
ax.plot(worth["truth"], worth.index, "|", color="black", ms=12, mew=2, label="truth")
ax.plot(worth["share"], worth.index, "o", color="C0", label="mean share")
ax.axvline(0, color="grey", lw=0.8)
ax.set(xlabel="stars that the remark adds")
ax.legend()
plt.show()

# %%
# A table with numbers, categories and a text
# -------------------------------------------
# The maskers that come with SHAP want numbers. A function does as well: it keeps some cells of the
# row that is explained, and takes the others from eight rows of training.

flats = pd.read_csv("../data/flats.csv").astype({"built": float})
X, y = flats.drop(columns="rent"), flats["rent"]
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
rents = LLMRegressor(fit_method="soft_ce", estimates="linear", sft_epochs=15, random_state=0)
rents.fit(X_train, y_train)
others = X_train.sample(8, random_state=0).to_numpy()


def replace_cells(kept, row):
    return (np.where(kept, row, others),)


def predict_rents(cells):
    return rents.predict(pd.DataFrame(cells, columns=X.columns).astype(X.dtypes))


explain = shap.Explainer(predict_rents, replace_cells, algorithm="exact", feature_names=list(X))
shares = explain(X_test[:10], silent=True)

shares.data[:, -1] = [f"{ad[:20]}…" for ad in shares.data[:, -1]]  # long texts, long labels
shap.plots.waterfall(shares[1], show=False)
plt.gcf().set_size_inches(9, 3.4)
plt.tight_layout()
plt.show()

# %%
# How much a column moves the rent, either way, on average of the rows. ``built`` was made up
# without any effect.

shap.plots.bar(shares, show=False)
plt.gcf().set_size_inches(8, 3)
plt.gca().set(xlabel="mean size of the share in euros")
plt.tight_layout()
plt.show()
