"""Fit on one machine, predict on the workers of a Dask cluster, and search settings on them.

The cluster here is two processes on this machine; give Client the address of a scheduler to use
others. The model is a small Llama trained from scratch, so nothing is downloaded.

    python -m pip install -c constraints.txt . dask distributed pyarrow
    python examples/dask_predict.py
"""

from pathlib import Path

import dask.dataframe as dd
import joblib
import numpy as np
import pandas as pd
from distributed import Client, LocalCluster
from sklearn.model_selection import GridSearchCV

from llmreg import LLMRegressor


def predict(rows, model):
    """Predictions of one partition, under the rows' own index."""
    return pd.Series(model.predict(rows), index=rows.index, name="mpg")


def main():
    """Fit, predict by partitions, compare with predictions at home, and search."""
    cars = pd.read_csv(Path(__file__).parent / "data" / "auto-mpg.csv")
    cars = cars.sample(frac=1, random_state=0, ignore_index=True)
    X, y = cars.drop(columns="mpg"), cars["mpg"]
    model = LLMRegressor(fit_method="soft_ce", sft_epochs=20, device="cpu", random_state=0)
    model.fit(X[:300], y[:300])

    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster, Client(cluster) as client:
        # Sent to each worker once; a model handed over directly would go with every partition.
        everywhere = client.scatter(model, broadcast=True)
        table = dd.from_pandas(X[300:], npartitions=4)
        empty = pd.Series(dtype=float, name="mpg")
        predicted = table.map_partitions(predict, everywhere, meta=empty).compute()

        search = GridSearchCV(
            LLMRegressor(fit_method="soft_ce", device="cpu", random_state=0),
            {"sft_epochs": [5, 20]},
            cv=2,
            scoring="neg_root_mean_squared_error",
            refit=False,
        )
        with joblib.parallel_config("dask"):
            search.fit(X[:300], y[:300])

    at_home = model.predict(X[300:])
    error = np.sqrt(np.mean((predicted - y[300:]) ** 2))
    print(f"{len(predicted)} cars in {table.npartitions} partitions, RMSE {error:.2f} mpg")
    print(f"largest difference from predictions at home: {np.abs(predicted - at_home).max():.1g}")
    for setting, score in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        print(f"{setting}: RMSE {-score:.2f} mpg in cross-validation")


if __name__ == "__main__":  # the workers of a LocalCluster import this file
    main()
