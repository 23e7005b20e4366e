"""What the defaults are worth: each of them changed on its own, on rows that no report uses.

    LLMREG_DATA=<folder> python -m benchmarks.studies.ablation
    LLMREG_DATA=<folder> python -m benchmarks.studies.ablation --variants default "no ramps"
    LLMREG_DATA=<folder> python -m benchmarks.studies.ablation --estimates-alone \
        --variants default "columns alike" "words of length 1 alone"

Defaults are chosen here and judged by the suite: rows are its training rows of split 100 and
further, a fifth of which is held back. A line per fit goes to a CSV file, and a run that was
stopped goes on. With --estimates-alone predictions are the estimates', and the language model is
trained for one epoch, since none is not legal. Fits are made one after the other; seconds are the
processor's, all threads together (one, if OMP_NUM_THREADS=1).
"""

import argparse
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import train_test_split
from torch import nn

from benchmarks.suite.measure import figures
from benchmarks.suite.tables import find_tables, load_table, split_table
from llmreg import DigitCodec, GridCodec, LLMRegressor, RowSerializer, SoftCE
from llmreg.config import defaults, resolve
from llmreg.estimates import (
    boosted_trees,
    heaps,
    kernel_ridge,
    likeness,
    row_features,
    scaling,
    stacking,
    written_numbers,
)
from llmreg.numbers import calibration
from llmreg.prompts import cell_encoder, tiny_tokenizer
from llmreg.prompts.cell_encoder import NumberEmbedding
from llmreg.training import bandwidths

TABLES = [
    *["machine_cpu", "pm10", "teaching_evals", "carseats", "cps_85_wages", "sensory", "concrete"],
    *["debutanizer", "abalone", "auto_mpg", "used_cars_us", "esol_smiles", "freesolv_smiles"],
]


class NoRamps(NumberEmbedding):
    """Numbers are read by their curve alone."""

    RAMP = 0.0


class FullRamps(NumberEmbedding):
    """Neighbouring values are told apart as fast as the curve is learnt."""

    RAMP = 1.0


class Jittered(NumberEmbedding):
    """In training numbers are a twentieth of a standard deviation off."""

    def forward(self, z):
        return super().forward(z + 0.05 * torch.randn_like(z) if self.training else z)


class Periodic(NumberEmbedding):
    """Sines and cosines of learnt frequencies in place of ramps (Gorishniy et al. 2022, 3.3)."""

    RAMP, SIZE = 0.0, 16

    def __init__(self, knots, edges, size, std):
        super().__init__(knots, edges, size, std)
        self.frequency = nn.Parameter(0.3 * torch.randn(len(edges), self.SIZE))
        self.waves = nn.Parameter(
            torch.randn(len(edges), 2 * self.SIZE, size) * std / self.SIZE**0.5
        )

    def forward(self, z):
        angle = 2 * torch.pi * z.unsqueeze(-1) * self.frequency
        waves = torch.cat([angle.sin(), angle.cos()], -1)
        return super().forward(z) + torch.einsum("bcf,cfd->bcd", waves, self.waves)


class NoHeaps(DigitCodec):
    """No number is more probable than others of its bin, be it an end."""

    def _heap_up(self, *_):
        """See none."""

    _let_points = _heap_up


def _without_unscaled(scales, emphases=kernel_ridge.emphases):
    """The kernel's choices, without words that are not scaled to length 1."""
    scaled = np.arange(len(scales)) != UNSCALED
    return [counts * scaled for counts in emphases(scales * scaled)]


UNSCALED = 3  # which of RowFeatures.blocks_
# What is no parameter: where it stands in the package.
CONSTANTS = {
    "embedding": (cell_encoder, "NumberEmbedding"),
    "kinds": (resolve, "auto_estimates"),
    "patience": (defaults, "PATIENCE"),
    "patience_texts": (defaults, "PATIENCE_WITH_TEXTS"),
    "alike": (likeness, "ALIKE"),
    "sizes": (row_features, "_sizes"),
    "emphases": (kernel_ridge, "emphases"),
    "relevance": (kernel_ridge, "relevance"),
    "counts": (kernel_ridge, "COUNTS"),
    "least_gain": (defaults, "LEAST_GAIN_WITH_TEXTS"),
    "with_texts": (defaults, "_with_texts"),
    "few_trees": (boosted_trees, "FEW"),
    "layers": (resolve, "auto_layers"),
    "ranks": (scaling, "ALIKE"),
    "heap_rows": (heaps, "LEAST_ROWS"),
    "steepest": (stacking, "STEEPEST"),
    "more_likely": (stacking, "MORE_LIKELY"),
    "too_wide": (calibration, "POOL_TOO_WIDE"),
    "bandwidth": (bandwidths, "LEAST"),
    "written": (written_numbers, "LEAST_SHARE"),
    "prior_deviation": (calibration, "PRIOR_DEVIATION"),
    "tokenizer": (tiny_tokenizer, "train_tokenizer"),
}
# Parameters and constants.
VARIANTS = {
    "default": {},
    "estimates do not count": {"estimate_weight": 0.0},
    "any weight as likely": {"prior_deviation": 1e9},
    "no estimates": {"estimates": None},
    "linear estimate": {"estimates": "linear"},
    "kernel estimate": {"estimates": "kernel"},
    "boosted estimate": {"estimates": "boosted"},
    "ridge and trees": {"kinds": lambda *asked: ("linear", "boosted")},
    "columns alike": {"relevance": lambda columns, *found: np.ones(columns.shape[1])},
    "no ramps": {"embedding": NoRamps},
    "full ramps": {"embedding": FullRamps},
    "periodic": {"embedding": Periodic},
    "jitter": {"embedding": Jittered},
    "255 bins": {"few_trees": boosted_trees.FEW | {"max_bins": 255}},
    "small steps": {"few_trees": boosted_trees.FEW | {"max_iter": 200, "learning_rate": 0.05}},
    "no hidden cells": {"dropout": 0.0},
    "one cell in five hidden": {"dropout": 0.2},
    "quantile codec": {"codec": DigitCodec(scale="quantile")},
    "log codec": {"codec": DigitCodec(scale="log")},
    "no heaps": {"codec": NoHeaps()},
    "grid codec": {"codec": GridCodec()},  # for targets that take few values
    "wider targets": {"sft_method": SoftCE(sigma=0.3)},
    "all targets as wide": {"bandwidth": 1.0},
    "no second stage": {"fit_method": "soft_ce"},
    "three members": {"n_estimators": 3},
    "patience 4": {"patience": 4, "patience_texts": 4},
    "patience 10": {"patience": 10, "patience_texts": 10},
    "any gain": {"least_gain": 0.0},
    "long cycle": {"with_texts": lambda n_rows: {}},  # of the learning rate
    "two layers": {"layers": lambda *asked: 2},
    "no ranks": {"ranks": -np.inf},
    "heaps within the bell": {"heap_rows": np.inf},
    "estimates as wide in all rows": {"steepest": 0.0},
    "errors of one centre": {"more_likely": np.inf},
    "pools as wide as their parts": {"too_wide": 0.0},
    "20 epochs": {"sft_epochs": 20},
    "20 epochs, patience 4": {"sft_epochs": 20, "patience": 4},
    # Of tables with texts.
    "texts not compared": {"alike": np.inf},
    "all texts compared": {"alike": -np.inf},
    "lengths of texts not told": {"sizes": lambda field: np.zeros((len(field.text), 0))},
    "texts alike": {"counts": ()},
    "numbers in texts not read": {"written": np.inf},
    "words of length 1 alone": {"emphases": _without_unscaled},
    "64 text tokens": {"serializer": RowSerializer(max_text_tokens=64)},  # of sentences, too
    "16 text tokens": {"serializer": RowSerializer(max_text_tokens=16)},
    "no text tokens": {"serializer": RowSerializer(max_text_tokens=0)},
    "large vocabulary": {"tokenizer": partial(tiny_tokenizer.train_tokenizer, vocab_size=4000)},
}


KEYS = ["table", "split", "variant", "alone"]
ESTIMATES_ALONE = {"fit_method": "soft_ce", "sft_epochs": 1, "estimate_weight": 1.0}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", nargs="+", default=TABLES, help="as the suite takes them")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--max-rows", type=int, default=1250, help="of which 64 %% train")
    parser.add_argument("--estimates-alone", action="store_true", help="without language model")
    parser.add_argument("--out", type=Path, default=Path("ablation.csv"))
    args = parser.parse_args()
    common = ESTIMATES_ALONE if args.estimates_alone else {}
    lines = pd.read_csv(args.out).to_dict("records") if args.out.exists() else []
    done = {tuple(line[key] for key in KEYS) for line in lines}
    for split in range(100, 100 + args.splits):
        for name in find_tables(args.data):
            for variant in args.variants:
                if (name, split, variant, args.estimates_alone) not in done:
                    line = one(name, split, variant, args.max_rows, common)
                    lines.append(line | {"alone": args.estimates_alone})
                    print(lines[-1], flush=True)
                    pd.DataFrame(lines).to_csv(args.out, index=False)
    table = pd.DataFrame(lines)
    _report(table[table["alone"] == args.estimates_alone], args.variants)


def held_back(name, split, max_rows):
    """X, X_held, y, y_held: four fifths of the training rows of a split, and the last fifth."""
    part = split_table(load_table(name), split, max_rows)
    return train_test_split(part.X, part.y, test_size=0.2, random_state=split)


@contextmanager
def in_place(variant):
    """Within this context the package has a variant's constants; gives its parameters."""
    settings = dict(VARIANTS[variant])
    with ExitStack() as patches:
        for constant in CONSTANTS.keys() & settings.keys():
            patches.enter_context(patch.object(*CONSTANTS[constant], settings.pop(constant)))
        yield settings


def one(name, split, variant, max_rows, common):
    """A line: one fit on four fifths of the training rows, judged on the last fifth of them."""
    X, X_held, y, y_held = held_back(name, split, max_rows)
    with in_place(variant) as settings:
        start = time.process_time()
        model = LLMRegressor(**(settings | common), random_state=split).fit(X, y)
        seconds = time.process_time() - start
        found = figures(y_held, model.predict_distribution(X_held))
    return {
        "table": name, "split": split, "variant": variant, "R²": round(found["r2"], 4),
        "CRPS": round(float(found["crps"] / y.std()), 4), "seconds": round(seconds, 1),
        **{f"in {level}": found[f"coverage_{level}"] for level in (50, 80, 95)},
    }  # fmt: skip


def _report(lines, variants):
    """Means over the tables and splits that all variants have, and each table's R²."""
    table = lines[lines["variant"].isin(variants)]
    by_row = table.pivot_table(index=["table", "split"], columns="variant", values="R²")
    complete = by_row.dropna().index
    shared = table.set_index(["table", "split"]).loc[complete].reset_index()
    measured = ["R²", "CRPS", "in 50", "in 80", "in 95", "seconds"]
    means = shared.groupby("variant")[measured].mean().loc[variants]
    print(means.round(3).to_string())
    print(by_row.groupby("table").mean()[variants].round(3).to_string())


if __name__ == "__main__":
    main()
