"""
Star ratings: a grid of numbers, and RAFT
=========================================

Ratings take few values. ``GridCodec`` makes the model write just these, so that its distribution
is one over stars. ``"raft"`` then trains the mean of that distribution, which is what is
predicted.
"""

# %%
# The grid
# --------

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import train_test_split

from llmreg import GridCodec, LLMRegressor

reviews = pd.read_csv("../data/reviews.csv")
X_train, X_test, y_train, y_test = train_test_split(
    reviews[["review"]], reviews["stars"], random_state=0
)
stars = GridCodec([1, 2, 3, 4, 5])
settings = dict(codec=stars, estimates=None, sft_epochs=12, align_epochs=4, random_state=0)
first_stage = LLMRegressor(fit_method="soft_ce", **settings).fit(X_train, y_train)
raft = LLMRegressor(fit_method="raft", **settings).fit(X_train, y_train)

for name, model in {"soft_ce": first_stage, "raft": raft}.items():
    rmse = {
        decoding: root_mean_squared_error(y_test, model.predict(X_test, decoding=decoding))
        for decoding in ("rail", "greedy")
    }
    mean, written = rmse["rail"], rmse["greedy"]
    print(f"{name:8} RMSE of the mean {mean:.2f}, of the stars written {written:.2f}")

# %%
# The mean of the distribution has a smaller squared error than the stars that would be written:
# between two and four it says three.
#
# The distributions
# -----------------
# All the mass is on whole stars. Four reviews, the true stars in orange:

rows = [np.flatnonzero(y_test == n)[0] for n in (1, 2, 3, 5)]
distribution = raft.predict_distribution(X_test.iloc[rows])

fig, axes = plt.subplots(1, 4, figsize=(11, 2.8), sharey=True, layout="constrained")
edges = np.arange(0.5, 6)
mass = np.diff(np.column_stack([distribution.cdf(edge) for edge in edges]), axis=1)
for ax, row, p, mean in zip(axes, rows, mass, distribution.mean(), strict=True):
    true = y_test.iloc[row]
    ax.bar(range(1, 6), p, color=["C1" if n == true else "C7" for n in range(1, 6)])
    ax.axvline(mean, color="C0", lw=2)
    text = X_test["review"].iloc[row].removeprefix("The ")
    ax.set_title(text.replace(",", ",\n").replace(":", ":\n"), fontsize=9)
    ax.set(xlabel="stars", xticks=range(1, 6))
axes[0].set_ylabel("probability\n(blue: the mean)")
plt.show()
