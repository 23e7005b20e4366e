"""A user's training script, which test_parallel.py launches as several processes.

    torchrun ... parallel_fit.py <folder of a pretrained model> <results> <kind> ...

A kind with ":fsdp" at its end is trained with the weights split over the processes.
"""

import json
import os
import sys

import numpy as np
import pandas as pd

from llmreg import GRPO, Device, LLMRegressor

KINDS = {
    "ce": dict(fit_method="ce"),
    "grpo": dict(fit_method=GRPO(4, beta=0.1)),
    "grpo, whole": dict(fit_method="grpo", adapters=None),
    "pretrained": dict(fit_method=GRPO(4, beta=0.1), adapters=4),
    "whole": dict(fit_method="raft", adapters=None),
}


def table():
    rng = np.random.RandomState(0)
    words = np.array(["red", "blue", "old", "new", "tiny"])
    X = pd.DataFrame(
        {
            "size": rng.randn(45),
            "words": [" ".join(rng.choice(words, k)) for k in rng.randint(1, 7, 45)],
        }
    )
    return X, 3 * X["size"] + X["words"].str.len()


def fit(folder, kind):
    """What a process ends with, as plain values."""
    params = KINDS[kind] | dict(
        # 13 rows a step: neither two nor three processes get equal shares.
        sft_epochs=2, align_epochs=2, batch_size=13, dropout=0.0,
        device=Device("cpu", dtype="float64"), random_state=0 if kind != "ce" else None,
    )  # fmt: skip
    if kind in ("pretrained", "whole"):
        # Steps so large that a wrong gradient shows in the predictions.
        params |= dict(model=folder, sft_learning_rate=1e-2, align_learning_rate=1e-3)
    X, y = table()
    model = LLMRegressor(**params).fit(X, y)
    return {
        "predictions": model.predict(X).tolist(),
        "history": model.history_.drop(columns="seconds").to_dict("list"),
        "types": sorted({type(p).__name__ for p in model.model_.parameters()}),
    }


def main():
    folder, results, *kinds = sys.argv[1:]
    rank, found = os.environ["RANK"], {}
    for kind in kinds:
        name, _, sharded = kind.partition(":")
        os.environ["ACCELERATE_USE_FSDP"] = "true" if sharded else "false"  # as the launcher does
        # Processes without a common seed take the first one's.
        np.random.seed(int(rank))  # noqa: NPY002
        found[kind] = fit(folder, name)
    with open(f"{results}.{rank}.json", "w") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
