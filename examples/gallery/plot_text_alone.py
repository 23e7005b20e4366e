"""
A number from a text
====================

A Series or a list of strings is a table, too. Here short reviews tell how many stars go with them
(made up, ``examples/data/make_tables.py``).
"""

# %%
# Fit on a Series of strings
# --------------------------

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.model_selection import train_test_split

from llmreg import LLMRegressor

reviews = pd.read_csv("../data/reviews.csv")
texts, texts_test, stars, stars_test = train_test_split(
    reviews["review"], reviews["stars"], random_state=0
)
model = LLMRegressor(fit_method="soft_ce", estimates="linear", sft_epochs=20, random_state=0)
model.fit(texts, stars)

predicted = model.predict(texts_test)
print(f"R² {model.score(texts_test, stars_test):.2f}")
print(f"rank correlation {spearmanr(stars_test, predicted).statistic:.2f}")

# %%
# The predictions by the true stars:

groups = [predicted[stars_test == n] for n in range(1, 6)]
fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
ax.boxplot(groups, positions=range(1, 6), widths=0.5, medianprops={"color": "C0", "lw": 2})
ax.plot([1, 5], [1, 5], color="grey", ls="--", lw=1)
ax.set(xlabel="stars", ylabel="predicted", xlim=(0.5, 5.5))
plt.show()

# %%
# Texts of your own
# -----------------
# The words are those of training. A word that was never there says nothing to the default model,
# which starts from fresh weights; a pretrained model would know it.

mine = [
    "The kettle: broke after a week, sent it back.",
    "The kettle: too loud, great value.",
    "The kettle: a joy to use, my best buy this year.",
    "The kettle: superb!",
]
low, high = model.predict_interval(mine, coverage=0.8).T
fig, ax = plt.subplots(figsize=(8, 2.6), layout="constrained")
middle = model.predict(mine)
ax.hlines(np.arange(4), low, high, color="C0", lw=3, label="80 % interval")
ax.plot(middle, np.arange(4), "o", color="C1", label="mean")
ax.set_yticks(range(4), mine)
ax.set(xlabel="stars", xlim=(0.8, 5.2))
ax.invert_yaxis()
ax.legend(loc="upper right")
plt.show()
