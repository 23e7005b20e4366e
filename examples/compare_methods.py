"""Every method with every way of reading its distribution, on tables of your choice.

    python examples/compare_methods.py --data diabetes auto-mpg --seeds 0 1 2 --out comparison
    python examples/compare_methods.py --quick --data my_table.csv --methods ce grpo

Needs matplotlib (``pip install matplotlib``). Tables: "friedman1" and "diabetes" (from
scikit-learn), "auto-mpg" (beside this file), paths of csv or tsv files, and names of files in the
folder that the environment variable LLMREG_DATA names. The target is the last column. A column
"split" keeps its rows apart: those that say "test" are never trained on.

Each line of results.csv is one table, method, seed and decoding. Runs can be stopped and started
again: what is there is not repeated, what failed is tried once more. A method that fails is
recorded with its error, and the others go on. Seconds are of fitting, both stages, and predicting;
compare them only if nothing else was running. At the end: results.md and ranks.png.

The methods are compared as they are: models don't read what simple regressors estimate of a row,
and predictions are not pooled with it. With --estimates they are, as by LLMRegressor's default,
which makes all methods more alike and most of them better.
"""

import argparse
import os
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, rankdata, studentized_range
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from tqdm import tqdm

import llmreg.fit  # noqa: F401  (loads torch now, and not within the seconds of the first fit)
from llmreg import LLMRegressor, fit_methods
from llmreg.cli.comparison import HEADINGS, PEERS, figures
from llmreg.numbers.distribution import DECODINGS

CARS = Path(__file__).parent / "data" / "auto-mpg.csv"
POINT = "point"  # the decoding of models that predict a number and no distribution
FIGURES = ["r2", "rmse", "spearman", "crps", "coverage", "seconds"]
KEY = ["data", "method", "seed", "decoding", "settings"]
COLUMNS = [*KEY, *FIGURES, "spread", "n_train", "n_test", "error"]
# Rows that must not be split apart, and targets that only make sense as logarithms.
GROUPS = {
    "kernelbench_timing": "problem",
    "parkinsons_telemonitoring": "subject",
    "alexa_reviews": "verified_reviews",  # many are the same few words
}
LOGARITHMS = {"kernelbench_timing"}


# --- The command -------------------------------------------------------------


def main(arguments=None):
    """Run the comparison, write its table and its picture; return the finished results."""
    args = _arguments(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    results = Results(args.out / "results.csv", _settings(args))
    tables = {_short(name): load(name) for name in args.data}
    methods = [*PEERS, *args.methods] if args.baselines else args.methods
    work = [(name, seed, method) for name in tables for seed in args.seeds for method in methods]
    with tqdm(work, unit="fit") as progress:
        for name, seed, method in progress:
            missing = results.missing(name, method, seed, args.decodings)
            if not missing:
                continue
            progress.set_postfix_str(f"{name}, {method}, seed {seed}")
            split = split_rows(name, *tables[name], seed, args.max_rows)
            results.add(measure(name, method, seed, missing, split, args))
    finished = results.finished()
    report = write_report(finished, results.failed(), args)
    (args.out / "results.md").write_text(report, encoding="utf-8")
    written = ["results.csv", "results.md"]
    if finished["decoding"].isin([args.decodings[0], POINT]).any():
        draw_ranks(finished, args.decodings[0], args.out / "ranks.png")
        written.append("ranks.png")
    print(report)
    print(f"written to {args.out}: {', '.join(written)}")
    return finished


def _arguments(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = list(fit_methods().index)
    parser.add_argument("--data", nargs="+", default=["friedman1", "diabetes", "auto-mpg"])
    parser.add_argument("--methods", nargs="+", default=names, choices=names, metavar="NAME",
                        help=f"default: all, which are {', '.join(names)}")  # fmt: skip
    parser.add_argument("--decodings", nargs="+", default=list(DECODINGS), choices=DECODINGS,
                        metavar="NAME",
                        help="default: all; methods are ranked by the first")  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--model", default="tiny", help="as LLMRegressor takes it")
    parser.add_argument("--max-rows", type=int, default=1500,
                        help="most rows to train on, and most to test on")  # fmt: skip
    parser.add_argument("--sft-epochs", type=int, help="default: the estimator chooses")
    parser.add_argument("--align-epochs", type=int, help="default: the estimator chooses")
    parser.add_argument("--estimates", action="store_true",
                        help="read simple regressors' estimates, and pool with them")  # fmt: skip
    parser.add_argument("--no-baselines", dest="baselines", action="store_false")
    parser.add_argument("--out", type=Path, default=Path("comparison"))
    parser.add_argument(
        "--quick", action="store_true",
        help="a look at what it does: the first seed, 200 rows, 2 + 1 epochs",
    )  # fmt: skip
    args = parser.parse_args(arguments)
    if args.quick:
        args.seeds, args.max_rows, args.sft_epochs, args.align_epochs = args.seeds[:1], 200, 2, 1
    return args


def _settings(args):
    """What results depend on beside the key: results of other settings are not mixed in."""
    epochs = ["auto" if n is None else n for n in (args.sft_epochs, args.align_epochs)]
    estimates = " estimates" if args.estimates else ""
    return f"model={args.model} max_rows={args.max_rows} epochs={epochs[0]}+{epochs[1]}{estimates}"


# --- The tables --------------------------------------------------------------


def load(name):
    """X, y and, for tables that bring their own, the word "train" or "test" for each row."""
    if name == "friedman1":
        X, y = make_friedman1(4000, 10, noise=1.0, random_state=0)
        return pd.DataFrame(X).add_prefix("x"), y, None
    if name == "diabetes":
        bunch = load_diabetes(as_frame=True, scaled=False)
        return bunch.data, bunch.target.to_numpy(), None
    path = CARS if name == "auto-mpg" else _find(name)
    frame = pd.read_csv(path, sep="\t" if ".tsv" in path.name else ",")
    frame = frame.dropna(subset=frame.columns[-1]).reset_index(drop=True)
    y = frame.iloc[:, -1].to_numpy(float)
    y = np.log10(y) if _short(name) in LOGARITHMS else y
    X = frame.iloc[:, :-1]
    given = X.pop("split").to_numpy() if "split" in X and "test" in set(X["split"]) else None
    return X, y, given


def _find(name):
    folder = os.environ.get("LLMREG_DATA")
    places = [Path(name)]
    places += [Path(folder) / f"{name}{end}" for end in (".csv", ".csv.gz")] if folder else []
    for path in places:
        if path.is_file():
            return path
    raise SystemExit(
        f"There is no table {name!r}: looked for {', '.join(map(str, places))}. Give friedman1, "
        "diabetes, auto-mpg, a path, or set LLMREG_DATA to a folder that holds <name>.csv(.gz); "
        f"LLMREG_DATA is {folder!r}."
    )


def _short(name):
    return Path(name).name.removesuffix(".gz").removesuffix(".csv").removesuffix(".tsv")


def split_rows(name, X, y, given, seed, max_rows):
    """Training and test rows of one seed: a fifth to test on, whole groups where there are any."""
    rng = np.random.RandomState(seed)
    rows = np.arange(len(y))
    if given is not None:
        train, test = rows[given != "test"], rows[given == "test"]
    elif name in GROUPS and GROUPS[name] in X:
        column = X[GROUPS[name]]
        groups = column.astype(str).where(column.notna(), "row " + X.index.astype(str))
        splitter = GroupShuffleSplit(1, test_size=0.2, random_state=seed)
        train, test = next(splitter.split(rows, groups=groups))
    else:
        train, test = train_test_split(rows, test_size=0.2, random_state=seed)
    train, test = (rng.permutation(part)[:max_rows] for part in (train, test))
    return X.iloc[train], X.iloc[test], y[train], y[test]


# --- One fit, read in every way ----------------------------------------------


def measure(name, method, seed, decodings, split, args):
    """Rows of results: one for each decoding, or one with the error."""
    X, X_test, y, y_test = split
    common = {
        "data": name, "method": method, "seed": seed, "settings": _settings(args),
        "n_train": len(y), "n_test": len(y_test), "spread": y_test.std(),
    }  # fmt: skip
    start = time.perf_counter()
    try:
        model = PEERS[method]() if method in PEERS else _language_model(method, seed, args)
        model.fit(X, y)
        found = _read(model, X_test, decodings, seed)
    except Exception as error:  # one method's failure must not end the others' comparison
        return [{**common, "decoding": d, "error": _one_line(error)} for d in decodings]
    common["seconds"] = time.perf_counter() - start
    return [{**common, "decoding": d, **_figures(y_test, *read)} for d, read in found.items()]


def _language_model(method, seed, args):
    lengths = {"sft_epochs": args.sft_epochs, "align_epochs": args.align_epochs}
    chosen = {name: n for name, n in lengths.items() if n is not None}
    if not args.estimates:
        chosen["estimates"] = None
    return LLMRegressor(args.model, method, random_state=seed, **chosen)


def _read(model, X, decodings, seed):
    """{decoding: (prediction or error, distribution or None)}."""
    if not hasattr(model, "predict_distribution"):
        return {POINT: (model.predict(X), None)}
    distribution = model.predict_distribution(X)
    if distribution.probabilities.shape[1] == 1:  # a head that predicts a number alone
        return {POINT: (distribution.mean(), None)}
    found = {}
    for decoding in decodings:
        try:
            found[decoding] = distribution.decode(decoding, random_state=seed), distribution
        except ValueError as error:  # a histogram has no greedy number, for example
            found[decoding] = error, None
    return found


def _figures(y, prediction, distribution):
    """The figures of a prediction, or its error."""
    if isinstance(prediction, Exception):
        return {"error": _one_line(prediction)}
    return figures(y, prediction, distribution)


def _one_line(error):
    return " ".join(f"{type(error).__name__}: {error}".split())


# --- Results on disk ---------------------------------------------------------


class Results:
    """A csv file that grows by whole lines; later lines replace earlier ones of the same key."""

    def __init__(self, path, settings):
        self.path, self.settings = path, settings
        if path.exists():  # a run that was killed may have left half a line
            data = path.read_bytes()
            path.write_bytes(data[: data.rfind(b"\n") + 1])
        if not path.exists() or not path.stat().st_size:
            pd.DataFrame(columns=COLUMNS).to_csv(path, index=False)

    def add(self, rows):
        table = pd.DataFrame(rows, columns=COLUMNS)
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(table.to_csv(index=False, header=False, lineterminator="\n"))

    def read(self):
        table = pd.read_csv(self.path, dtype={"method": str, "data": str, "error": str})
        return table[table["settings"] == self.settings].drop_duplicates(KEY, keep="last")

    def finished(self):
        table = self.read()
        return table[table["error"].isna()]

    def failed(self):
        table = self.read()
        return table[table["error"].notna()]

    def missing(self, name, method, seed, decodings):
        """The decodings that are still to be measured: those without a fit that came to its end."""
        table = self.read()
        here = (table["data"] == name) & (table["method"] == method) & (table["seed"] == seed)
        there = set(table.loc[here & table["seconds"].notna(), "decoding"])
        return [] if POINT in there else [d for d in decodings if d not in there]


# --- What it says ------------------------------------------------------------


def write_report(finished, failed, args):
    """Markdown: all tables together, each table, and what failed."""
    seeds = ", ".join(map(str, sorted(finished["seed"].unique())))
    lines = [f"# Methods compared\n\n{_settings(args)}; seeds {seeds or 'none'}.\n"]
    first = finished[finished["decoding"].isin([args.decodings[0], POINT])]
    if len(first):
        lines += [f"## All tables, {args.decodings[0]}\n", _overall(first), _significance(first)]
        lines += ["\n## All tables, R² by decoding\n", _by_decoding(finished)]
    for name, part in finished.groupby("data", sort=False):
        sizes = f"{part['n_train'].max():.0f} rows to train on, {part['n_test'].max():.0f} to test"
        lines += [f"\n## {name}\n", f"{sizes}. Means ± standard errors over seeds.\n"]
        lines += [_table(part)]
    if len(failed):
        lines += ["\n## Failed\n"]
        for keys, part in failed.groupby(["method", "error"], sort=False):
            where = ", ".join(part["data"].unique())
            lines += [f"- {keys[0]} ({where}; {', '.join(part['decoding'].unique())}): {keys[1]}"]
    return "\n".join(lines) + "\n"


def _overall(first):
    """Means over tables, with errors in standard deviations of the test targets."""
    scaled = first.assign(
        rmse=first["rmse"] / first["spread"], crps=first["crps"] / first["spread"]
    )
    means = scaled.groupby(["method", "data"], sort=False)[FIGURES].mean().groupby("method")
    table = means.mean().assign(tables=means.size(), rank=mean_ranks(first, "rmse")["mean"])
    cells = [
        [method, f"{row['tables']:.0f}", *(_number(row[f]) for f in FIGURES), f"{row['rank']:.1f}"]
        for method, row in table.sort_values("rank").iterrows()
    ]
    heads = HEADINGS | {"rmse": "RMSE / sd", "crps": "CRPS / sd"}
    return _markdown(["method", "tables", *heads.values(), "mean rank by RMSE"], cells)


def _by_decoding(finished):
    table = finished.pivot_table("r2", "method", ["decoding", "data"], sort=False)
    table = table.T.groupby(level="decoding", sort=False).mean().T
    table = table.loc[table.max(axis=1).sort_values(ascending=False).index]
    cells = [
        [method, *map(_number, row)]
        for method, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    return _markdown(["method", *table.columns], cells)


def _significance(first):
    """Do the methods differ at all (Friedman), and by how much must ranks differ (Nemenyi)?"""
    ranks = mean_ranks(first, "rmse")
    errors = first.pivot_table("rmse", "data", "method", sort=False).dropna(axis=1)
    if len(errors) < 3 or errors.shape[1] < 3:
        return "\nToo few tables or methods for a test of whether ranks differ."
    p = friedmanchisquare(*errors.to_numpy().T).pvalue
    return (
        f"\nFriedman test over {len(errors)} tables: p = {p:.2g}. Mean ranks of two methods differ "
        f"beyond chance (Nemenyi, 5 %) if {critical_difference(len(ranks), len(errors)):.1f} apart."
    )


def _table(part):
    groups = part.groupby(["method", "decoding"], sort=False)[FIGURES]
    means, errors = groups.mean(), groups.sem()
    cells = [
        [*key, *(_number(means.loc[key, f], errors.loc[key, f]) for f in FIGURES)]
        for key in means.sort_values("rmse").index
    ]
    return _markdown(["method", "decoding", *HEADINGS.values()], cells)


def _number(mean, error=np.nan):
    if np.isnan(mean):
        return "–"
    digits = 3 if abs(mean) < 10 else 1 if abs(mean) < 1000 else 0
    text = f"{mean:,.{digits}f}"
    return text if np.isnan(error) else f"{text} ± {error:,.{digits}f}"


def _markdown(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def mean_ranks(first, figure):
    """Rank of each method by an error, averaged over tables; 1 is best.

    Within a table the mean over seeds is ranked. Where a method has no result, it ranks last.

    Returns
    -------
    DataFrame
        Columns "mean" and "error", the standard error over tables (NaN for a single table).
    """
    errors = first.pivot_table(figure, "method", "data", sort=False)
    ranks = errors.fillna(np.inf).apply(rankdata, axis=0)
    return pd.DataFrame({"mean": ranks.mean(axis=1), "error": ranks.sem(axis=1)})


def critical_difference(n_methods, n_tables):
    """Nemenyi's critical difference of mean ranks at 5 % (Demšar, JMLR 2006, section 3.2.2)."""
    q = studentized_range.ppf(0.95, n_methods, np.inf) / np.sqrt(2)
    return q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_tables))


def draw_ranks(finished, decoding, path):
    """Dots with error bars: each method's mean rank by RMSE, in one decoding, and by CRPS."""
    first = finished[finished["decoding"].isin([decoding, POINT])]
    height = 1.8 + 0.25 * first["method"].nunique()
    fig, axes = plt.subplots(ncols=2, figsize=(11, height), layout="constrained")
    for ax, figure in zip(axes, ("rmse", "crps"), strict=True):
        ranks = mean_ranks(first, figure).sort_values("mean", ascending=False)
        place = np.arange(len(ranks))
        colours = ["C7" if method in PEERS else "C0" for method in ranks.index]
        ax.errorbar(ranks["mean"], place, xerr=ranks["error"].fillna(0), fmt="none", ecolor="C7")
        ax.scatter(ranks["mean"], place, c=colours, zorder=3)
        ax.set_yticks(place, ranks.index)
        ax.set(xlabel="mean rank over tables ± standard error (1 is best)")
        ax.set_title(f"By {HEADINGS[figure]}" + (f", {decoding}" if figure == "rmse" else ""))
        ax.grid(axis="x", alpha=0.3)
        if (n_tables := first["data"].nunique()) > 2:
            width = critical_difference(len(ranks), n_tables)
            ax.plot([1, 1 + width], [len(ranks)] * 2, "k|-")
            ax.text(1 + width, len(ranks), "  critical difference", va="center", fontsize=8)
    fig.savefig(path, dpi=120)
    plt.close(fig)


if __name__ == "__main__":
    main()
