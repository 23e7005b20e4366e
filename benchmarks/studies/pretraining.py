"""Does the fresh model do better if it starts from weights pretrained on synthetic tables?

    LLMREG_DATA=<folder> python -m benchmarks.studies.pretraining --minutes 30

First Reptile (Nichol et al. 2018, arXiv 1803.02999) over tables that synthetic_tables.py draws:
what all tables share (layers, digits, special tokens, the estimates' vectors) is moved towards
where a short fit of each table takes it. Then real tables are fitted from these weights and from
fresh ones, at the default number of epochs and at half of it, on rows that the suite does not
report on (see ablation.py). Writes weights.safetensors, pretraining.csv (the log) and
comparison.csv to ``--out``; what is there is not made again. Set OMP_NUM_THREADS=1 for one thread.
"""

import argparse
import time
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from benchmarks.studies.ablation import held_back
from benchmarks.studies.equal_time import default_epochs
from benchmarks.studies.synthetic_tables import draw_table
from benchmarks.suite.tables import find_tables, load_table
from llmreg import LLMRegressor
from llmreg.lm import building
from llmreg.lm.backbone import NumberLM

TABLES = ["pm10", "teaching_evals", "carseats", "auto-mpg", "abalone", "concrete"]
STEPS, BATCH_SIZE = 100, 32  # of a fit to a synthetic table
FIRST_MOVE, LAST_MOVE = 0.4, 0.02  # share of the way to where a fit ended
LAYERS = ("lm.model.layers.", "lm.model.norm.")
NUMBERS = (
    "cells.missing", "cells.number_bias", "cells.numbers.steps", "cells.numbers.curve.weight",
)  # fmt: skip
N_ESTIMATES = 2  # the last numbers of every table
N_SPECIAL = 8  # tokens
EMBEDDINGS = "lm.model.embed_tokens.weight"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30, help="of pretraining")
    parser.add_argument("--data", nargs="+", default=TABLES, help="as the suite takes them")
    parser.add_argument("--max-rows", type=int, default=1250, help="of which 64 %% train")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("pretraining"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    weights = args.out / "weights.safetensors"
    if not weights.exists():
        save_file(pretrain(args.minutes, args.seed, args.out / "pretraining.csv"), weights)
    compare(load_file(weights), args)


def pretrain(minutes, seed, log):
    """What all tables share, after as many synthetic tables as there is time for."""
    shared, lines, start = {}, [], time.perf_counter()
    while not lines or lines[-1]["seconds"] < 60 * minutes:
        rng = np.random.RandomState([seed, len(lines)])
        X, y = draw_table(rng)
        model = LLMRegressor(
            fit_method="soft_ce", sft_epochs=max(1, round(STEPS * BATCH_SIZE / len(y))),
            batch_size=BATCH_SIZE, sft_learning_rate=1e-3, validation_fraction=None,
            random_state=len(lines),
        )  # fmt: skip
        with starting_from(shared):
            model.fit(X, y)
        ended, done = _shared(model.model_), (time.perf_counter() - start) / 60 / minutes
        move = LAST_MOVE + (FIRST_MOVE - LAST_MOVE) * max(0.0, 1 - done) if shared else 1.0
        shared = {name: torch.lerp(shared.get(name, w), w, move) for name, w in ended.items()}
        loss, seconds = model.history_["loss"].iloc[-1], time.perf_counter() - start
        lines.append({"table": len(lines), "rows": len(y), "loss": loss, "seconds": seconds})
        pd.DataFrame(lines).to_csv(log, index=False)
    losses = pd.DataFrame(lines)["loss"]
    tenth = max(1, len(losses) // 10)
    print(f"{len(losses)} tables in {seconds / 60:.1f} minutes; loss of the first tenth "
          f"{losses[:tenth].mean():.3f}, of the last {losses[-tenth:].mean():.3f}")  # fmt: skip
    return shared


@contextmanager
def starting_from(shared):
    """Within this context fresh models have these weights where all tables share them."""

    def build(*args, **kwargs):
        model = NumberLM(*args, **kwargs)
        with torch.no_grad():
            for name, part in _parts(model).items():
                if name in shared:
                    part[0][part[1]] = shared[name].to(part[0].dtype)
        return model

    with patch.object(building, "NumberLM", build):
        yield


def _shared(model):
    return {name: weight[where].detach().float() for name, (weight, where) in _parts(model).items()}


def _parts(model):
    """By name: a weight, and which part of it does not belong to one table alone."""
    tokens = [*range(N_SPECIAL), *model.symbol_ids.tolist()]
    where = {name: slice(-N_ESTIMATES, None) for name in NUMBERS} | {EMBEDDINGS: tokens}
    return {
        name: (weight, where.get(name, ...))
        for name, weight in model.named_parameters()
        if name in where or name.startswith(LAYERS)
    }


def compare(shared, args):
    """Print R² and CRPS on real tables from fresh and from pretrained weights."""
    out, lines = args.out / "comparison.csv", []
    if out.exists():
        lines = pd.read_csv(out).to_dict("records")
    done = {(line["table"], line["start"], line["epochs"]) for line in lines}
    for name in find_tables(args.data):
        for start, weights in (("fresh", {}), ("pretrained", shared)):
            for share, epochs in ((1.0, "all"), (0.5, "half")):
                if (name, start, epochs) not in done:
                    figures = _fit(name, args.max_rows, weights, share)
                    lines.append({"table": name, "start": start, "epochs": epochs, **figures})
                    print(lines[-1], flush=True)
                    pd.DataFrame(lines).to_csv(out, index=False)
    table = pd.DataFrame(lines)
    means = table.groupby(["start", "epochs"])[["R²", "CRPS", "seconds"]].mean()
    print(means.round(3).to_string())


def _fit(name, max_rows, weights, share):
    X, X_held, y, y_held = held_back(name, 100, max_rows)
    texts = bool(load_table(name).text)
    epochs = max(1, round(share * default_epochs(round(0.85 * len(y)), texts=texts)))
    model = LLMRegressor(sft_epochs=epochs, random_state=100)
    start = time.perf_counter()
    with starting_from(weights):
        model.fit(X, y)
    seconds = time.perf_counter() - start
    found = model.predict_distribution(X_held)
    return {
        "R²": round(model.score(X_held, y_held), 4),
        "CRPS": round(float(found.crps(y_held).mean() / y.std()), 4), "seconds": round(seconds, 1),
    }  # fmt: skip


if __name__ == "__main__":
    main()
