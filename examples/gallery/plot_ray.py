"""
Ray: the same in tasks
======================

A table is cut into blocks of rows, and each is a task of Ray. The fitted model lies in the store
that all workers of a machine read, and is put there once. It needs ``pip install ray``.
"""

# %%
# A model, and a long table
# -------------------------

import os
from time import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import ray

from llmreg import LLMRegressor

cars = pd.read_csv("../data/auto-mpg.csv")
X, y = cars.drop(columns="mpg"), cars["mpg"]
model = LLMRegressor(fit_method="soft_ce", sft_epochs=5, device="cpu", random_state=0)
model.fit(X, y)
many = X.sample(4000, replace=True, random_state=0, ignore_index=True)
many["weight"] += np.arange(4000) % 7  # no two cars alike

# %%
# Eight tasks
# -----------
# ``ray.init("auto")`` uses the cluster that this machine belongs to. For models that take long to
# load, an actor for each worker keeps its copy: ``examples/ray_predict.py`` has them, by Ray Data.

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")


@ray.remote
def predict(model, rows):
    start = time()
    predicted = model.predict(rows)
    when = {"start": start, "end": time(), "worker": os.getpid()}
    return pd.DataFrame({"mpg": predicted, **when}, index=rows.index)


stored = ray.put(model)
blocks = [predict.remote(stored, many[first : first + 500]) for first in range(0, 4000, 500)]
predicted = pd.concat(ray.get(blocks))
ray.shutdown()

difference = np.abs(predicted["mpg"] - model.predict(many)).max()
print(f"{len(predicted):,} cars, largest difference from predictions at home: {difference:.0e}")

# %%
# Who did what
# ------------

parts = predicted.groupby("start").agg(end=("end", "max"), worker=("worker", "first"))
seconds = parts["end"] - parts.index

fig, ax = plt.subplots(figsize=(8, 2.2), layout="constrained")
start = parts.index - parts.index.min()
ax.barh(
    "process " + parts["worker"].astype(str),
    seconds,
    left=start,
    height=0.5,
    color="C0",
    edgecolor="white",
)
ax.set(xlabel="seconds: each bar is a block of 500 rows")
plt.show()
