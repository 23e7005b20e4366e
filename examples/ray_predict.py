"""Fit on one machine, predict 20,000 rows in the workers of Ray.

The cluster here is two processes on this machine; on a cluster of yours, ray.init(address="auto").
The model is a small Llama trained from scratch, so nothing is downloaded.

    python -m pip install -c constraints.txt . "ray[data]"
    python examples/ray_predict.py
"""

from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import ray

from llmreg import LLMRegressor


class Predictor:
    """A worker of Ray Data: it gets the model once, and then one block of rows after another."""

    def __init__(self, stored):
        self.model = ray.get(stored)

    def __call__(self, rows):
        """Predictions of some rows, with the rows' numbers."""
        row = rows.pop("row")
        return pd.DataFrame({"row": row, "mpg": self.model.predict(rows)})


def main(n_rows=20_000):
    """Fit, predict by blocks, and compare with predictions at home."""
    cars = pd.read_csv(Path(__file__).parent / "data" / "auto-mpg.csv")
    X, y = cars.drop(columns="mpg"), cars["mpg"]
    model = LLMRegressor(fit_method="soft_ce", sft_epochs=20, device="cpu", random_state=0)
    model.fit(X, y)
    many = X.sample(n_rows, replace=True, random_state=0, ignore_index=True)
    many["weight"] += np.arange(n_rows) % 7  # no two cars alike

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    start = perf_counter()
    # Blocks come back in the order in which they are done.
    many_rows = many.assign(row=np.arange(n_rows))
    table = ray.data.from_pandas([many_rows[first::8] for first in range(8)])  # eight blocks
    blocks = table.map_batches(
        Predictor,
        fn_constructor_args=[ray.put(model)],  # once into the store that all workers read
        batch_size=None,  # a block at a time
        batch_format="pandas",
        compute=ray.data.ActorPoolStrategy(size=2),
    )
    predicted = blocks.to_pandas().set_index("row")["mpg"].sort_index()
    seconds = perf_counter() - start
    ray.shutdown()

    at_home = model.predict(many)
    print(f"{len(predicted):,} cars in {seconds:.0f} s")
    print(f"largest difference from predictions at home: {np.abs(predicted - at_home).max():.1g}")


if __name__ == "__main__":
    main()
