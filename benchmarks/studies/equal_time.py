"""Two stages beside one at the same training time: is the second stage worth what it takes?

    LLMREG_DATA=<folder> python -m benchmarks.studies.equal_time
    LLMREG_DATA=<folder> python -m benchmarks.studies.equal_time --data concrete --splits 1
    LLMREG_DATA=<folder> python -m benchmarks.studies.equal_time --model smollm2 --depth 4 \\
        --data esol_smiles --max-rows 150 --epochs 2

The first method asked for, GRPO at its defaults, is fitted without early stopping, so that all of
its time is spent. Other methods of two stages get as many epochs; those of one stage are fitted
twice with a few epochs to see how fast they are, and once more with as many as fill the first
method's seconds (of the processor, all threads together, whatever else is running). "grpo, ends
itself" is the default with its early stops, in the time that it takes. All keep the epoch that
validates best. Rows are those of the suite (suite/tables.py); a line per fit goes to a CSV file,
and a run that was stopped goes on. "alone" are the same fits without the estimates' share in the
prediction, which all methods have in common (estimate_weight_ = 0).

Printed: means over tables, and the differences to the first stage alone for the whole time, with 95
% intervals by bootstrap over tables (of the means of their splits). "off 80": how far the share of
test rows in 80 % intervals is from 80 %, in percentage points.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from benchmarks.real_weights import MODELS, real_model
from benchmarks.suite.measure import COVERAGES, figures
from benchmarks.suite.tables import find_tables, load_table, split_table
from llmreg import GRPO, Adapters, LLMRegressor, PretrainedModel, RowSerializer
from llmreg.config.defaults import auto_validation, stage_settings
from llmreg.config.resolve import flat

METHODS = {
    "grpo": dict(),  # the default: soft_ce, then grpo with the reward crps
    "grpo, ends itself": dict(n_iter_no_change="auto"),
    "grpo, exact": dict(fit_method=GRPO("exact")),
    "grpo after ce": dict(sft_method="ce"),
    "grpo after ce, reward mse": dict(sft_method="ce", fit_method=GRPO(reward="mse")),
    "grpo after ce, as published": dict(
        sft_method="ce", fit_method=GRPO(reward="mse", scale_rewards="group")
    ),
    "remax after ce": dict(sft_method="ce", fit_method="remax"),
    "genre2 after ce": dict(sft_method="ce", fit_method="genre2"),
    "raft after ce": dict(sft_method="ce", fit_method="raft"),
    "raft": dict(fit_method="raft"),
    "soft_ce": dict(fit_method="soft_ce"),
    "ce": dict(fit_method="ce"),
}
ONE_STAGE = ("soft_ce", "ce")
# Epochs of the fits that tell how fast a method of one stage is.
PROBED = {"fresh": (2, 8), "pretrained": (1, 2)}
SHOWN = {"r2": "R²", "r2_greedy": "R² greedy", "crps": "CRPS"} | {
    f"coverage_{coverage}": f"in {coverage}" for coverage in COVERAGES
}
KEYS = ["model", "table", "split", "method", "max_rows", "epochs"]


def main():
    args = arguments()
    LLMRegressor(sft_epochs=1, align_epochs=1).fit([[0.0], [1.0]], [0.0, 1.0])  # loads libraries
    lines = pd.read_csv(args.out).to_dict("records") if args.out.exists() else []
    for split in range(args.splits):
        for name in find_tables(args.data):
            for line in compare(name, split, args, lines):
                lines.append(line)
                pd.DataFrame(lines).to_csv(args.out, index=False)
    report(pd.DataFrame(lines))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", nargs="+", default=["quick"], help="as the suite takes them")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--model", default="tiny", choices=["tiny", *MODELS])
    parser.add_argument("--depth", type=int, help="blocks with adapters; default: the estimator's")
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--max-rows", type=int, default=1000)
    parser.add_argument("--epochs", type=int, help="of the first stage; default: the estimator's")
    parser.add_argument("--out", type=Path, default=Path("equal_time.csv"))
    return parser.parse_args()


def compare(name, split, args, lines):
    """Lines of one split of one table, of the fits that are not among those that are there."""
    table = load_table(name)
    part = split_table(table, split, args.max_rows)
    pretrained = args.model != "tiny"
    n_train = len(part.y) - round(auto_validation("auto", len(part.y)) * len(part.y))
    epochs = args.epochs or default_epochs(n_train, pretrained, bool(table.text))
    model = {"model": PretrainedModel(real_model(args.model))} if pretrained else {}
    if args.depth is not None:
        model["adapters"] = Adapters(depth=args.depth)
    done, limit = {tuple(line[key] for key in KEYS): line for line in lines}, None
    for method in sorted(args.methods, key=list(METHODS).index):
        key = args.model, name, split, method, args.max_rows, epochs
        if key not in done:
            fitted, seconds = _timed_fit(model, method, epochs, limit, split, part)
            done[key] = dict(zip(KEYS, key, strict=True), seconds=seconds, **_figures(fitted, part))
            done[key]["stage 2 / 1"] = _share(fitted.history_)
            yield done[key]
            _say(done[key])
        limit = limit or done[key]["seconds"]


def _say(line):
    where = f"{line['table']}, split {line['split']}, {line['method']}"
    what = ", ".join(f"{name} {line[name]:.3f}" for name in ("R²", "R² greedy", "CRPS"))
    print(f"{where}: {what}, {line['seconds']:.0f} s", flush=True)


def _share(history):
    """Seconds of the second stage by those of the first."""
    seconds = history.groupby("stage")["seconds"].max()
    return seconds.get("align", 0.0) / seconds["sft"]


def _figures(fitted, part):
    """Errors and coverage, as predicted and without the estimates' share; CRPS in deviations."""
    line = {}
    for suffix in ("", " alone"):
        found = figures(part.y_test, fitted.predict_distribution(part.X_test))
        found["crps"] /= part.y_test.std()
        line |= {f"{shown}{suffix}": found.get(name) for name, shown in SHOWN.items()}
        fitted.estimate_weight_ = 0.0
    return line


def default_epochs(n_train, pretrained=False, texts=False):
    """Epochs of the first stage, on so many rows to train on, with or without text."""
    params = flat(LLMRegressor().get_params(deep=False), RowSerializer(), codec=None)
    return stage_settings(params, n_train, pretrained, texts=texts)[0]["epochs"]


def _timed_fit(model, method, epochs, limit, split, part):
    """The fit and its seconds; of one stage with as many epochs as fill the limit, if any."""
    if method in ONE_STAGE and limit is not None:
        probed = PROBED["pretrained" if model else "fresh"]
        epochs = _filling(limit, probed, partial(_fit, model, method, seed=split, part=part))
    return _fit(model, method, epochs, split, part)


def _filling(limit, probed, fit):
    """How many epochs fill so many seconds, by what two short fits take."""
    few, more = (fit(epochs=epochs)[1] for epochs in probed)
    # Where noise hides the difference: what surrounds the epochs takes up to three quarters.
    each = max((more - few) / (probed[1] - probed[0]), more / probed[1] / 4)
    return max(1, round(probed[1] + (limit - more) / each))


def _fit(model, method, epochs, seed, part):
    settings = dict(sft_epochs=epochs, n_iter_no_change=None, random_state=seed)
    fitted = LLMRegressor(**model, **settings | METHODS[method])
    start = time.process_time()
    fitted.fit(part.X, part.y)
    return fitted, time.process_time() - start


def report(table):
    """Print means, and differences to the first stage alone with their intervals."""
    shown = [f"{name}{suffix}" for suffix in ("", " alone") for name in SHOWN.values()]
    for model, part in table.groupby("model", sort=False):
        means = part.groupby("method", sort=False)[[*shown, "seconds", "stage 2 / 1"]].mean()
        print(f"\n{model}, {part['table'].nunique()} tables\n{means.round(3).T.to_string()}")
        found = differences(part)
        if len(found):
            print(f"\nless the first stage alone\n{found.set_index('method').T.to_string()}")


def differences(table):
    """Mean differences to the first stage alone, over the tables that have both.

    Parameters
    ----------
    table : DataFrame
        Lines of one model.

    Returns
    -------
    DataFrame
        A row per method; "mean [low, high]" of each figure, or the mean alone of one table.
    """
    table = table.copy()
    for suffix in ("", " alone"):
        for coverage in COVERAGES:
            held = 100 * table[f"in {coverage}{suffix}"]
            table[f"off {coverage}{suffix}"] = (held - coverage).abs()
    names = ["R²", "R² greedy", "CRPS", *(f"off {coverage}" for coverage in COVERAGES)]
    names = [f"{name}{suffix}" for suffix in ("", " alone") for name in names]
    keys = ["table", "split", "max_rows", "epochs"]
    lines = []
    for method in table["method"].unique():
        base = "ce" if METHODS[method].get("sft_method") == "ce" else "soft_ce"
        ours, theirs = (
            table[table["method"] == one].set_index(keys)[names] for one in (method, base)
        )
        gaps = (ours - theirs).dropna(how="all").groupby("table").mean()
        if method not in ONE_STAGE and len(gaps):
            lines.append({"method": method, "tables": len(gaps)} | gaps.apply(interval).to_dict())
    return pd.DataFrame(lines)


def interval(gaps, seed=0):
    """ "mean [low, high]" of differences (n,), the 95 % interval by bootstrap where n > 1.

    >>> interval([0.0, 0.0, 0.0])
    '+0.000 [+0.000, +0.000]'
    """
    gaps = np.asarray(gaps, float)
    mean = f"{gaps.mean():+.3f}"
    if len(gaps) < 2:
        return mean
    found = bootstrap((gaps,), np.mean, n_resamples=9999, method="percentile", rng=seed)
    low, high = found.confidence_interval
    return f"{mean} [{low:+.3f}, {high:+.3f}]"


if __name__ == "__main__":
    main()
