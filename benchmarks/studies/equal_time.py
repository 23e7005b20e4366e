"""Two stages beside one at the same training time: is the second stage worth what it takes?

    LLMREG_DATA=<folder> python -m benchmarks.studies.equal_time
    LLMREG_DATA=<folder> python -m benchmarks.studies.equal_time --data concrete --splits 1

The default GRPO is fitted first, without early stopping, so that all of its time is spent. Other
methods of two stages get as many epochs; those of one stage are fitted once to see how fast they
are, and once more with as many epochs as fill GRPO's seconds (of the processor, all threads
together, whatever else is running). All keep the epoch that validates best. Rows are those of the
suite (suite/tables.py); a line per fit goes to a CSV file, and a run that was stopped goes on.
"alone" are the same fits without the estimates' share in the prediction, which all methods have in
common (estimate_weight_ = 0).
"""

import argparse
import time
from pathlib import Path

import pandas as pd

from benchmarks.suite.measure import figures
from benchmarks.suite.tables import find_tables, load_table, split_table
from llmreg import GRPO, LLMRegressor, RowSerializer
from llmreg.config.defaults import auto_validation, stage_settings
from llmreg.config.plan import flat

METHODS = {
    "grpo": dict(),  # the default: soft_ce, then grpo with the reward crps
    "grpo after ce": dict(sft_method="ce"),
    "grpo after ce, reward mse": dict(sft_method="ce", fit_method=GRPO(reward="mse")),
    "remax after ce": dict(sft_method="ce", fit_method="remax"),
    "genre2 after ce": dict(sft_method="ce", fit_method="genre2"),
    "raft after ce": dict(sft_method="ce", fit_method="raft"),
    "raft": dict(fit_method="raft"),
    "soft_ce": dict(fit_method="soft_ce"),
    "ce": dict(fit_method="ce"),
}
ONE_STAGE = ("soft_ce", "ce")
MEASURED = [
    "R²", "R² greedy", "crps", "coverage_50", "coverage_80", "coverage_95", "R² alone",
    "R² greedy alone", "crps alone", "seconds",
]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", nargs="+", default=["quick"], help="as the suite takes them")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--max-rows", type=int, default=1000)
    parser.add_argument("--epochs", type=int, help="of the first stage; default: the estimator's")
    parser.add_argument("--out", type=Path, default=Path("equal_time.csv"))
    args = parser.parse_args()
    LLMRegressor(sft_epochs=1, align_epochs=1).fit([[0.0], [1.0]], [0.0, 1.0])  # loads libraries
    rows = pd.read_csv(args.out).to_dict("records") if args.out.exists() else []
    done = {(row["table"], row["split"]) for row in rows}
    for name in find_tables(args.data):
        for split in range(args.splits):
            if (name, split) not in done:
                rows += compare(name, split, args)
                pd.DataFrame(rows).to_csv(args.out, index=False)
    table = pd.DataFrame(rows).rename(columns={"r2": "R²", "r2_greedy": "R² greedy"})
    print(table.groupby("method", sort=False)[MEASURED].mean().round(3).to_string())


def compare(name, split, args):
    """Lines of one split of one table: a fit of each method, all of the same length."""
    part = split_table(load_table(name), split, args.max_rows)
    epochs = _epochs(len(part.y), args.epochs)
    lines, limit = [], None
    for method in sorted(args.methods, key=list(METHODS).index):
        settings = METHODS[method]
        model, seconds = _fit(settings, epochs, split, part)
        if method in ONE_STAGE and limit:  # as fast as that: so many epochs fill the time
            longer = max(1, round(epochs * limit / seconds))
            model, seconds = _fit(settings, longer, split, part)
        limit = limit or seconds
        found = _figures(model, part)
        model.estimate_weight_ = 0.0
        alone = _figures(model, part)
        line = {
            "table": name, "split": split, "method": method, "seconds": seconds, **found,
            "R² alone": alone["r2"], "R² greedy alone": alone["r2_greedy"],
            "crps alone": alone["crps"],
        }  # fmt: skip
        shown = f"R² {found['r2']:.3f}, greedy {found['r2_greedy']:.3f}, CRPS {found['crps']:.3f}"
        print(f"{name}, split {split}, {method}: {shown}, {seconds:.0f} s", flush=True)
        lines.append(line)
    return lines


def _figures(model, part):
    found = figures(part.y_test, model.predict_distribution(part.X_test))
    return found | {"crps": found["crps"] / part.y_test.std()}


def _epochs(n_rows, asked):
    """Epochs of the first stage: those asked for, or the estimator's own choice."""
    if asked:
        return asked
    return default_epochs(n_rows - round(auto_validation("auto", n_rows) * n_rows))


def default_epochs(n_train):
    """Epochs of the first stage of fresh weights, on so many rows to train on."""
    params = flat(LLMRegressor().get_params(deep=False), RowSerializer())
    return stage_settings(params, n_train, pretrained=False)[0]["epochs"]


def _fit(settings, epochs, seed, part):
    model = LLMRegressor(
        **settings, sft_epochs=epochs, n_iter_no_change=None, random_state=seed
    )  # fmt: skip
    start = time.process_time()
    model.fit(part.X, part.y)
    return model, time.process_time() - start


if __name__ == "__main__":
    main()
