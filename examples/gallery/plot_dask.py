"""
Dask: the partitions of a table
===============================

A table too long for one process is predicted in partitions, in as many processes as there are, on
one machine or many. It needs ``pip install dask distributed``.
"""

# %%
# A model, and a long table
# -------------------------
# The 398 cars, drawn 4,000 times.

from time import time

import dask.dataframe as dd
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from distributed import Client, LocalCluster, get_worker

from llmreg import LLMRegressor

cars = pd.read_csv("../data/auto-mpg.csv")
X, y = cars.drop(columns="mpg"), cars["mpg"]
model = LLMRegressor(fit_method="soft_ce", sft_epochs=5, device="cpu", random_state=0)
model.fit(X, y)
many = X.sample(4000, replace=True, random_state=0, ignore_index=True)
many["weight"] += np.arange(4000) % 7  # no two cars alike

# %%
# Each worker gets the model once
# -------------------------------
# The two workers are threads here; in ``examples/dask_predict.py`` they are processes. With
# ``Client("scheduler:8786")`` they are elsewhere, and nothing else changes. Beside each prediction
# stands who made it, and when.


def predict(rows, model):
    start = time()
    predicted = model.predict(rows)
    when = {"start": start, "end": time(), "worker": get_worker().name}
    return pd.DataFrame({"mpg": predicted, **when}, index=rows.index)


columns = {"mpg": float, "start": float, "end": float, "worker": int}
cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None)
with cluster, Client(cluster) as client:
    everywhere = client.scatter(model, broadcast=True)
    table = dd.from_pandas(many, npartitions=8)
    predicted = table.map_partitions(predict, everywhere, meta=columns).compute()

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
    "worker " + parts["worker"].astype(str),
    seconds,
    left=start,
    height=0.5,
    color="C0",
    edgecolor="white",
)
ax.set(xlabel="seconds: each bar is a partition of 500 rows")
plt.show()
