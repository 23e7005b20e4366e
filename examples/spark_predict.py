"""Fit on one machine, predict 20,000 rows in the workers of Spark.

Spark runs on this machine here, in two threads that start a Python each; it needs Java. The model
is a small Llama trained from scratch, so nothing is downloaded.

    python -m pip install -c constraints.txt . pyspark pyarrow
    python examples/spark_predict.py
"""

import os
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession

from llmreg import LLMRegressor


def main(n_rows=20_000):
    """Fit, predict by partitions, and compare with predictions at home."""
    cars = pd.read_csv(Path(__file__).parent / "data" / "auto-mpg.csv")
    X, y = cars.drop(columns="mpg"), cars["mpg"]
    model = LLMRegressor(fit_method="soft_ce", sft_epochs=20, device="cpu", random_state=0)
    model.fit(X, y)
    many = X.sample(n_rows, replace=True, random_state=0, ignore_index=True)
    many["weight"] += np.arange(n_rows) % 7  # no two cars alike

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # where this llmreg is
    spark = SparkSession.builder.master("local[2]").appName("llmreg").getOrCreate()
    everywhere = spark.sparkContext.broadcast(model)  # once for each worker

    def predict(batches):
        for rows in batches:
            yield pd.DataFrame({"row": rows.pop("row"), "mpg": everywhere.value.predict(rows)})

    start = perf_counter()
    table = spark.createDataFrame(many.assign(row=np.arange(n_rows))).repartition(4)
    predicted = table.mapInPandas(predict, "row long, mpg double").toPandas()
    predicted = predicted.set_index("row")["mpg"].sort_index()
    seconds = perf_counter() - start
    spark.stop()

    at_home = model.predict(many)
    print(f"{len(predicted):,} cars in {seconds:.0f} s")
    print(f"largest difference from predictions at home: {np.abs(predicted - at_home).max():.1g}")


if __name__ == "__main__":
    main()
