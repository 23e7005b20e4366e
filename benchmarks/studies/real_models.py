"""Real pretrained weights: what each choice of the pretrained road is worth, in error and seconds.

    python -m benchmarks.studies.real_models --try methods               # methods on STS-B
    python -m benchmarks.studies.real_models --try methods+paper+depth=12+passes=5 --rows 600
    python -m benchmarks.studies.real_models --try rank=16 depth=8 rate=3e-4 --rows 300
    python -m benchmarks.studies.real_models --data chocolate_ratings --try default fresh both
    python -m benchmarks.studies.real_models --try fresh "fresh+read by MiniLM"
    python -m benchmarks.studies.real_models --model gemma3 --seeds 3 --figure curves.png

Weights: see benchmarks.real_weights. Tables: the suite's, from the folder LLMREG_DATA; where the
authors named test rows (stsb_en: the official parts), these are the test, else a fifth. Each line
is a fit of the default but for what its name says; a method's name is that method behind the
default's first stage, and "passes=5" five epochs in all, one of them in the first stage where there
are two. Lines that --out holds are not computed again. Seconds of one run compare.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import pearsonr

from benchmarks.datasets.stsb import TEMPLATE
from benchmarks.real_weights import MODELS, real_model, sentence_encoder, word_vectors
from benchmarks.suite.measure import figures
from benchmarks.suite.tables import load_table
from llmreg import (
    CE,
    GRPO,
    DecimalCodec,
    GridCodec,
    LLMRegressor,
    PretrainedModel,
    RowSerializer,
    TextEncoder,
    ZeroShot,
)
from llmreg.config.checks import check_methods

METHODS = {
    "zero_shot": "zero_shot", "few_shot": ZeroShot(num_examples=8), "ce": "ce",
    "soft_ce": "soft_ce", "head_special_token": "head_special_token", "head_mean": "head_mean",
    "raft": "raft", "grpo": "grpo", "grpo_mse": GRPO(reward="mse"), "remax": "remax",
    "genre2": "genre2",
}  # fmt: skip
STARS = DecimalCodec(1, low=0, high=5)
# What a name stands for; of "name=value" what the value sets.
CHOICES = {
    "default": {},
    **{name: {"fit_method": method} for name, method in METHODS.items()},
    "fresh": {"fit_method": "grpo"},
    "linear": {"estimates": "linear"}, "both": {"estimates": "both"},
    "plain text": {"model__chat_template": False}, "no instruction": {"model__instruction": ""},
    "bare": {"model__prefill": ""},
    "decimals": {"codec": STARS}, "whole": {"codec": GridCodec(range(6))},
    # RAFT's prompt and numbers for STS-B.
    "paper": {"codec": GridCodec(range(6)), "serializer": RowSerializer(TEMPLATE)},
    "all layers": {"adapters__depth": 1.0}, "cross-entropy first": {"sft_method": CE()},
}  # fmt: skip
EPOCHS = ["stage", "epoch", "step", "loss", "validation_rmse", "seconds", "kept"]
READERS = {
    "read by MiniLM": lambda: TextEncoder(sentence_encoder()),
    "read by SmolLM2": lambda: TextEncoder(real_model("smollm2")),
    "read by WordLlama": word_vectors,
}
SETTINGS = {
    "rank": "adapters__rank", "depth": "adapters__depth", "rate": "sft_learning_rate",
    "rate 2": "align_learning_rate", "batch": "batch_size", "epochs": "sft_epochs",
    "epochs 2": "align_epochs", "chat": "model__chat_template",
}  # fmt: skip


def estimator(names, model, seed):
    """The estimator that names joined by "+" stand for."""
    names = names.split("+")
    asked = "tiny" if "fresh" in names else PretrainedModel(real_model(model))
    alone = "auto" if asked == "tiny" else None  # whatever the number of rows
    found = LLMRegressor(asked, "raft", estimates=alone, random_state=seed)
    for name in names:
        key, _, value = name.partition("=")
        if key == "passes":
            alone = check_methods(found)[1] is None
            found.set_params(sft_epochs=int(value) if alone else 1, align_epochs=int(value) - 1)
        elif value:
            number = float(value) if "." in value or "e" in value else int(value)
            found.set_params(**{SETTINGS[key]: number})
        elif name in READERS:
            found.set_params(text_features=READERS[name]())
        else:
            found.set_params(**CHOICES[key])
    return found


def expanded(names):
    """The choice for each method, if its name begins with "methods"."""
    first, *rest = names.split("+")
    return ["+".join([name, *rest]) for name in (METHODS if first == "methods" else [first])]


def rows_of(data, n_rows, n_test, seed):
    """Training and test rows, drawn from those that are for it."""
    table = load_table(data)
    order = np.random.RandomState(seed).permutation(len(table.y))
    if table.given is None:
        test = np.zeros(len(order), dtype=bool)
        test[order[: len(order) // 5]] = True
    else:
        test = table.given == "test"
        order = order[test[order] | (table.given[order] == "train")]
    parts = order[~test[order]][:n_rows], order[test[order]][:n_test]
    target = pd.Series(table.y, name=table.target)
    return *(table.X.iloc[part] for part in parts), *(target.iloc[part] for part in parts)


def line(names, args, data, seed):
    """A fit, its errors and its seconds; and its epochs."""
    X, X_test, y, y_test = rows_of(data, args.rows, args.test_rows, seed)
    model = estimator(names, args.model, seed)
    start = time.perf_counter()
    model.fit(X, y)
    fitted = time.perf_counter()
    found = model.predict_distribution(X_test)
    predicted = time.perf_counter()
    errors = figures(y_test.to_numpy(), found, model.decoding_)
    measured = {
        "model": args.model, "data": data, "seed": seed, "rows": len(y), "test": len(y_test),
        "choice": names, "RMSE": errors["rmse"], "R²": errors["r2"],
        "Pearson": pearsonr(y_test, found.decode(model.decoding_, 0)).statistic,
        "greedy RMSE": _greedy(found, y_test), "CRPS": errors.get("crps"),
        **{f"in {level}": errors.get(f"coverage_{level}") for level in (50, 80, 95)},
        "answer mass": model.plan_.answer_mass, "temperature": model.temperature_,
        "fit": fitted - start, "predict": predicted - fitted,
    }  # fmt: skip
    keys = dict(model=args.model, data=data, seed=seed, choice=names)
    return measured, model.history_[EPOCHS].assign(**keys)  # methods have columns of their own


def _greedy(found, y):
    try:
        return float(np.sqrt(np.mean((found.greedy() - y) ** 2)))
    except ValueError:  # a head writes nothing
        return None


def draw(epochs, path):
    """A figure of validation errors against the seconds of both stages, a line per choice."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    for choice, part in epochs.groupby("choice", sort=False):
        lasts = part.groupby("stage", sort=False)["seconds"].max()
        begins = dict(zip(lasts.index, lasts.cumsum() - lasts, strict=True))
        seconds = part["seconds"] + part["stage"].map(begins)
        ax.plot(seconds, part["validation_rmse"], marker=".", label=choice)
    ax.set(xlabel="seconds of training", ylabel="RMSE of validation rows")
    ax.legend(frameon=False)
    fig.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="smollm2", choices=MODELS)
    parser.add_argument("--data", nargs="+", default=["stsb_en"], help="as the suite takes them")
    parser.add_argument("--try", nargs="+", default=["default"], dest="choices", help="see above")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--test-rows", type=int, default=1379)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("real_models.csv"))
    parser.add_argument("--figure", type=Path, help="where to draw errors against seconds")
    args = parser.parse_args()
    choices = [name for one in args.choices for name in expanded(one)]
    lines = pd.read_csv(args.out).to_dict("records") if args.out.exists() else []
    keys = ("model", "data", "seed", "rows", "choice")
    done = {tuple(one[key] for key in keys) for one in lines}
    for seed in range(args.seeds):
        for data in args.data:
            for names in choices:
                if (args.model, data, seed, args.rows, names) in done:
                    continue
                measured, history = line(names, args, data, seed)
                lines.append(measured)
                pd.DataFrame(lines).to_csv(args.out, index=False)
                epochs = args.out.with_suffix(".epochs.csv")
                history.to_csv(epochs, mode="a", header=not epochs.exists(), index=False)
                print(pd.DataFrame(lines[-1:]).drop(columns=["model"]).round(3).to_string(
                    index=False, header=len(lines) == 1), flush=True)  # fmt: skip
    table = pd.DataFrame(lines).groupby(["model", "data", "rows", "choice"], sort=False)
    print(table.mean(numeric_only=True).drop(columns="seed").round(3).to_string())
    if args.figure:
        draw(pd.read_csv(args.out.with_suffix(".epochs.csv")), args.figure)


if __name__ == "__main__":
    main()
