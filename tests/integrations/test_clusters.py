"""A fitted model predicts in a cluster's processes, and searches run on them."""

import os
import pickle
import shutil
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import GridSearchCV

from llmreg import LLMRegressor

distributed = pytest.importorskip("distributed")
dd = pytest.importorskip("dask.dataframe")

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def client():
    """A cluster of two processes of one thread each."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
            memory_limit=0,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip
        yield client


@pytest.fixture(scope="module")
def fitted(table, quick_fit):
    return quick_fit(table.X, table.y, device="cpu")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Dask gives each worker one; with more, sums at home would be rounded otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def predict_there(model, X):
    return model.predict(X), os.getpid()


def tasks_done(client):
    return sum(client.run(lambda dask_worker: dask_worker.state.executed_count).values())


def test_a_small_pickle_opens_in_workers_that_never_saw_the_model(client, table, fitted):
    packed = pickle.dumps(fitted)
    # Four bytes a weight, the vocabulary, and the scales of the columns.
    n_weights = sum(p.numel() for p in fitted.model_.parameters())
    assert len(packed) < 4 * n_weights + 300_000
    results = client.run(predict_there, model=fitted, X=table.X).values()
    assert len({os.getpid(), *(pid for _, pid in results)}) == 3
    for predicted, _ in results:
        np.testing.assert_array_equal(predicted, fitted.predict(table.X))


def test_partitions_predict_what_the_whole_table_does(client, table, fitted):
    partitions = dd.from_pandas(table.X, npartitions=3)
    model = client.scatter(fitted, broadcast=True)  # sent once, not with every partition

    def predict(part, model):
        return pd.Series(model.predict(part), index=part.index)

    predicted = partitions.map_partitions(predict, model, meta=pd.Series(dtype=float)).compute()
    expected = pd.Series(fitted.predict(table.X), index=table.X.index)
    # Fresh weights predict in float64: how rows are batched shows in the last digits at most.
    pd.testing.assert_series_equal(predicted.sort_index(), expected, rtol=1e-9)


def test_a_grid_search_on_dask_finds_what_a_search_at_home_does(client, table):
    estimator = LLMRegressor(
        fit_method="ce", batch_size=16, random_state=0, device="cpu", validation_fraction=None
    )
    grid = {"sft_epochs": [1, 2], "sft_learning_rate": [1e-3]}

    def search():
        return GridSearchCV(estimator, grid, cv=2, scoring="neg_mean_absolute_error", refit=False)

    at_home = search().fit(table.X, table.y).cv_results_
    before = tasks_done(client)
    with joblib.parallel_config("dask"):
        on_dask = search().fit(table.X, table.y).cv_results_
    assert tasks_done(client) >= before + 4  # two candidates in two folds
    scores = [name for name in at_home if "time" not in name and name != "params"]
    assert "split1_test_score" in scores
    for name in scores:
        np.testing.assert_array_equal(on_dask[name], at_home[name], err_msg=name)
    assert on_dask["params"] == at_home["params"]


def test_tasks_of_ray_predict_what_the_whole_table_does(table, fitted):
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        stored = ray.put(fitted)
        task = ray.remote(predict_there)
        parts = ray.get([task.remote(stored, table.X[first::3]) for first in range(3)])
    finally:
        ray.shutdown()
    for first, (predicted, pid) in enumerate(parts):
        np.testing.assert_allclose(predicted, fitted.predict(table.X)[first::3], rtol=1e-9)
        assert pid != os.getpid()


def test_partitions_of_spark_predict_what_the_whole_table_does(table, fitted, monkeypatch):
    sql = pytest.importorskip("pyspark.sql")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    spark = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", False)
    spark = spark.getOrCreate()
    try:
        everywhere = spark.sparkContext.broadcast(fitted)

        def predict(batches):
            for rows in batches:
                row = rows.pop("row")
                yield pd.DataFrame({"row": row, "predicted": everywhere.value.predict(rows)})

        rows = spark.createDataFrame(table.X.assign(row=np.arange(len(table.X)))).repartition(3)
        found = rows.mapInPandas(predict, "row long, predicted double").toPandas()
    finally:
        spark.stop()
    found = found.set_index("row")["predicted"].sort_index()
    np.testing.assert_allclose(found, fitted.predict(table.X), rtol=1e-9)
