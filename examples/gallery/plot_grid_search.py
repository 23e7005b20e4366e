"""
Searching methods and prompts
=============================

Everything has a name that a search can reach: the method and its parameters
(``fit_method__...``), how targets are written (``codec__...``), how rows become text
(``serializer__...``).
"""

# %%
# A small grid
# ------------
# Four settings, two folds each. A long search wants ``checkpoint_dir="..."``, so that an
# interrupted one goes on, and ``n_jobs``.

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.model_selection import GridSearchCV

from llmreg import GRPO, LLMRegressor, RowSerializer

flats = pd.read_csv("../data/flats.csv")[:240]
X, y = flats.drop(columns="rent"), flats["rent"]

model = LLMRegressor(sft_epochs=6, align_epochs=2, estimates="linear", random_state=0)
grid = {
    "fit_method": ["soft_ce", GRPO(num_generations=8)],
    "serializer__columns": [["size", "district"], ["size", "district", "ad"]],
}
search = GridSearchCV(model, grid, cv=2, scoring="neg_root_mean_squared_error").fit(X, y)
print(search.best_params_)

# %%
# The results
# -----------

results = pd.DataFrame(search.cv_results_)
labels = [
    f"{p['fit_method'] if isinstance(p['fit_method'], str) else 'grpo, 8 draws'}: "
    + ", ".join(p["serializer__columns"])
    for p in results["params"]
]
fig, ax = plt.subplots(figsize=(9, 2.8), layout="constrained")
ax.barh(
    labels,
    -results["mean_test_score"],
    xerr=results["std_test_score"],
    color="C0",
    error_kw={"lw": 1.5, "capsize": 3},
)
ax.set(xlabel="RMSE, mean of two folds (euros)")
ax.invert_yaxis()
plt.show()

# %%
# A template of your own
# ----------------------
# ``serializer__template`` can be searched as well. The fresh default model reads cells and not
# the template's words; a pretrained one reads all of it.

template = "A flat of {size:.0f} square metres in {district}: {ad} The rent in euros is"
print(RowSerializer(template).fit(X, y).transform(X[:1])[0, 0])
