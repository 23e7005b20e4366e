"""
Stacking with other regressors
==============================

``LLMRegressor`` is a regressor like any other: in a stack it brings what it reads in texts, and
boosted trees bring what they find in numbers.
"""

# %%
# Two experts and a judge
# -----------------------

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, StackingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from llmreg import LLMRegressor

flats = pd.read_csv("../data/flats.csv").astype({"built": float})
X, y = flats.drop(columns="rent"), flats["rent"]
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

encode = make_column_transformer(
    (OneHotEncoder(sparse_output=False), ["district"]), ("drop", "ad"), remainder="passthrough"
)
trees = make_pipeline(encode, HistGradientBoostingRegressor(random_state=0))
# estimates=None: in a stack the trees have their own say.
llm = LLMRegressor(fit_method="soft_ce", sft_epochs=15, estimates=None, random_state=0)
stack = StackingRegressor([("trees", trees), ("llm", llm)], RidgeCV(), cv=3)

# %%
# Alone and together
# ------------------

scores = pd.Series(
    {
        name: r2_score(y_test, model.fit(X_train, y_train).predict(X_test))
        for name, model in {"trees, no ad": trees, "language model": llm, "both": stack}.items()
    }
)
for name, weight in zip(stack.named_estimators_, stack.final_estimator_.coef_, strict=True):
    print(f"{name} counts {weight:.2f}")

fig, ax = plt.subplots(figsize=(8, 2.4), layout="constrained")
bars = ax.barh(scores.index, scores, color=["C7", "C7", "C0"])
ax.bar_label(bars, fmt="%.2f", padding=3)
ax.set(xlabel="R²", xlim=(0, 1))
ax.invert_yaxis()
plt.show()
