"""
Cars and their consumption
==========================

A table with numbers, a category, a text and gaps, as it is: nothing is scaled, encoded or imputed.
"""

# %%
# The data
# --------
# 398 cars. The last column is the target, miles per gallon.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import PredictionErrorDisplay, r2_score
from sklearn.model_selection import train_test_split

from llmreg import LLMRegressor

cars = pd.read_csv("../data/auto-mpg.csv")
X, y = cars.drop(columns="mpg"), cars["mpg"]
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
X.head()

# %%
# Fit and predict
# ---------------

model = LLMRegressor(sft_epochs=8, align_epochs=3, random_state=0)
model.fit(X_train, y_train)
prediction = model.predict(X_test)
print(f"R² of {len(y_test)} cars: {r2_score(y_test, prediction):.3f}")

# %%
# What it saw of a car, and what it chose by itself:

print(model.serializer_.transform(X_test[:1])[0, 0])
print(model.plan_)

# %%
# How it learned, and how good it is
# ----------------------------------
# A second stage follows the first: it knows that numbers have size.

fig, (left, right) = plt.subplots(ncols=2, figsize=(10, 4), layout="constrained")

history = model.history_
epoch = np.arange(1, len(history) + 1)
for stage, label in {"sft": "first stage", "align": "second stage"}.items():
    part = (history["stage"] == stage).to_numpy()
    left.plot(epoch[part], history["validation_rmse"][part], "o-", label=label)
left.set(xlabel="epoch", ylabel="validation RMSE (mpg)", title="Learning curve")
left.legend()

PredictionErrorDisplay.from_predictions(y_test, prediction, kind="actual_vs_predicted", ax=right)
ticks = range(10, 50, 10)
right.set(title="Cars that it has not seen", xticks=ticks, yticks=ticks)
plt.show()

# %%
# How sure it is
# --------------
# Every prediction is a distribution. Three cars of different kinds:

rows = np.argsort(prediction)[[10, 50, 90]]
distribution = model.predict_distribution(X_test.iloc[rows])
grid = np.linspace(9, 47, 300)
density = np.gradient(np.column_stack([distribution.cdf(v) for v in grid]), grid, axis=1)

fig, ax = plt.subplots(figsize=(8, 3.5), layout="constrained")
for name, row, actual in zip(X_test["name"].iloc[rows], density, y_test.iloc[rows], strict=True):
    (line,) = ax.plot(grid, row, label=name)
    ax.axvline(actual, color=line.get_color(), ls="--", lw=1)
ax.set(xlabel="miles per gallon (dashed: the car's own)", ylabel="density", ylim=(0, None))
ax.legend()
plt.show()
