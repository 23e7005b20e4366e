"""The suite's results in Markdown: comparisons, summaries by group of tables, every table."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from benchmarks.suite.estimators import ALL_PEERS

SMALL = 1000  # rows: below, tables are reported apart
GENRE2 = Path(__file__).parent / "genre2_validation_r2.csv"
GROUP_TITLES = {
    ("numeric", False): f"Numbers and categories, {SMALL:,} rows or more",
    ("numeric", True): f"Numbers and categories, fewer than {SMALL:,} rows",
    ("text", False): f"With text, {SMALL:,} rows or more",
    ("text", True): f"With text, fewer than {SMALL:,} rows",
}
SUMMARY = {
    "r2": "mean R²", "median_r2": "median R²", "rank": "mean rank", "r2_greedy": "R², greedy",
    "rmse": "RMSE / sd", "crps": "CRPS / sd", "coverage_50": "in 50 %", "coverage_80": "in 80 %",
    "coverage_95": "in 95 %", "fit_seconds": "s to fit", "predict_seconds": "s to predict",
}  # fmt: skip


def write_report(finished, failed, left_out, args):
    """Markdown of the finished fits, what failed and what was left out."""
    lines = [
        "# Accuracy suite\n",
        f"{finished['data'].nunique()} tables, splits 0 to {args.splits - 1}, at most "
        f"{args.max_rows:,} rows of each (80 % to train on). R² and errors are means over the "
        "splits of a table, then over tables; ranks are by R², 1 is best; errors are in standard "
        "deviations of the test targets; n is training and test rows together.\n",
        *(f"- {line}" for line in left_out),
    ]
    if len(finished):
        lines += ["\n## Comparisons\n", _comparisons(finished), *_genre2(finished)]
    for (group, small), part in sections(finished):
        lines += [f"\n## {GROUP_TITLES[group, small]}\n", *_section(part)]
    if len(failed):
        lines += ["\n## Failed\n"]
        for keys, part in failed.groupby(["estimator", "error"], sort=False):
            lines += [f"- {keys[0]} ({', '.join(part['data'].unique())}): {keys[1]}"]
    return "\n".join(lines) + "\n"


def sections(finished):
    """((group, whether small), results) of each group of tables that has results."""
    small = n_rows(finished) < SMALL
    for group, is_small in GROUP_TITLES:
        part = finished[(finished["group"] == group) & (small == is_small)]
        if len(part):
            yield (group, is_small), part


def n_rows(finished):
    """Rows of each line's table; the same for all its splits and estimators."""
    rows = finished["n_train"] + finished["n_test"]
    return rows.groupby(finished["data"]).transform("max")


def common_splits(part, estimators):
    """The results of these estimators on the splits of tables that all of them have."""
    part = part[part["estimator"].isin(estimators)]
    counts = part.groupby(["data", "split"])["estimator"].transform("nunique")
    return part[counts == len(set(estimators))]


def table_means(part, figure="r2"):
    """Means over splits: a row per table, a column per estimator."""
    return part.pivot_table(figure, "data", "estimator", sort=False)


# --- The comparisons that a release is judged by -----------------------------


def compare(finished, ours):
    """Mean R² of one estimator beside that of peers, each over the splits that both have.

    Parameters
    ----------
    finished : DataFrame
        Results.
    ours : str
        Name of the estimator.

    Returns
    -------
    list of dict
        Keys comparison, tables, ours, peer (mean R²), wins (tables on which ours is better), bar
        (whether the comparison is one to be won, or only named beside).
    """
    small, text = n_rows(finished) < SMALL, finished["group"] == "text"
    numeric_large, numeric_small = finished[~text & ~small], finished[~text & small]
    found = [
        _beside(numeric_large, ours, ["HGB"], f"n ≥ {SMALL:,}: HGB", True),
        _beside(numeric_large, ours, ["CatBoost"], f"n ≥ {SMALL:,}: CatBoost", False),
        _beside(numeric_small, ours, ["Ridge", "HGB"], f"n < {SMALL:,}: max(Ridge, HGB)", True),
        _beside(numeric_small, ours, ["CatBoost"], f"n < {SMALL:,}: CatBoost", False),
    ]
    for name, peer in ALL_PEERS.items():
        found.append(_beside(finished[text], ours, [name], f"text: {name}", not peer.pretrained))
    return [row for row in found if row]


def _beside(part, ours, peers, comparison, bar):
    """The better of the peers, table by table, beside ours."""
    means = table_means(common_splits(part, [ours, *peers])) if len(part) else part
    if not len(means):
        return None
    peer = means[peers].max(axis=1)
    return {
        "comparison": comparison, "tables": len(means), "ours": means[ours].mean(),
        "peer": peer.mean(), "wins": int((means[ours] > peer).sum()), "bar": bar,
    }  # fmt: skip


def _comparisons(finished):
    rows = []
    for ours in finished["estimator"].unique():
        if ours in ALL_PEERS:
            continue
        for found in compare(finished, ours):
            better = "yes" if found["ours"] >= found["peer"] else "no"
            rows.append([
                ours, found["comparison"], str(found["tables"]), number(found["ours"]),
                number(found["peer"]), f"{found['wins']} of {found['tables']}",
                better if found["bar"] else f"({better})",
            ])  # fmt: skip
    if not rows:
        return "No estimator of llmreg has results here."
    heads = ["estimator", "compared with", "tables", "mean R²", "the other's", "better on", "met"]
    return markdown(heads, rows)


def _genre2(finished):
    """R² beside the validation R² that GenRe²'s authors released for their cross-entropy models."""
    published = pd.read_csv(GENRE2, index_col="data", comment="#")
    ours = [name for name in finished["estimator"].unique() if name not in ALL_PEERS]
    names = [*ours, *(name for name in ["HGB"] if ours)]
    means = table_means(finished[finished["estimator"].isin(names)])
    shared = [name for name in published.index if name in means.index]
    if not ours or not shared:
        return []
    table = published.loc[shared].join(means)
    same = table[table["differs"].isna()].dropna(subset=ours)
    rows = [
        [f"{n} ({row['differs']})" if isinstance(row["differs"], str) else n, row["talent_name"],
         number(row["validation_r2"]), *(number(row[name]) for name in means)]
        for n, row in table.iterrows()
    ]  # fmt: skip
    if len(same):
        figures = [number(same["validation_r2"].mean()), *(number(same[n].mean()) for n in means)]
        rows += [[f"**mean** of the {len(same)} that are the same data", "", *figures]]
    return [
        "\n### Beside GenRe²\n",
        "Validation R² of GenRe²'s cross-entropy models after their hyper-parameter search, as "
        "released (source in genre2_validation_r2.csv); the others are test R², with no search.\n",
        markdown(["table", "TALENT name", "GenRe² CE, validation", *means], rows),
    ]


# --- Groups of tables --------------------------------------------------------


def summary(part):
    """Means over tables of an estimator's means over splits, best rank first.

    Only splits of tables that all the estimators have count; ``attrs["tables"]`` says how many.
    """
    shared = common_splits(part, part["estimator"].unique())
    scaled = shared.assign(
        rmse=shared["rmse"] / shared["spread"], crps=shared["crps"] / shared["spread"]
    )
    by_table = scaled.groupby(["estimator", "data"], sort=False).mean(numeric_only=True)
    found = by_table.groupby("estimator", sort=False).mean()
    found["median_r2"] = by_table["r2"].groupby("estimator").median()
    found["rank"] = mean_ranks(shared)["mean"]
    found.attrs["tables"] = shared["data"].nunique()
    return found.sort_values("rank")[list(SUMMARY)]


def mean_ranks(part):
    """Each estimator's rank by R², averaged over tables ("mean"), and its standard error."""
    ranks = table_means(part).apply(lambda row: rankdata(-row), axis=1, result_type="broadcast")
    return pd.DataFrame({"mean": ranks.mean(), "error": ranks.sem()})


def _section(part):
    means = summary(part)
    shared, everything = means.attrs["tables"], part["data"].nunique()
    lines = [f"Means over {shared} tables.\n"]
    if shared < everything:
        lines = [f"Means over the {shared} of {everything} tables that all these have.\n"]
    if shared:
        cells = [[name, *map(number, row)] for name, row in means.iterrows()]
        lines += [markdown(["estimator", *SUMMARY.values()], cells)]
    return [*lines, "\nR² of each table, mean over splits, and the best in bold:\n", _tables(part)]


def _tables(part):
    means = table_means(part)
    sizes = (part["n_train"] + part["n_test"]).groupby(part["data"]).max()
    cells = []
    for name, row in means.iterrows():
        texts = [f"**{number(v)}**" if v == row.max() else number(v) for v in row]
        cells.append([name, f"{sizes[name]:,.0f}", *texts])
    return markdown(["table", "n", *means], cells)


def number(value):
    if np.isnan(value):
        return "–"
    digits = 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    return f"{value:,.{digits}f}"


def markdown(heads, rows):
    return "\n".join(f"| {' | '.join(line)} |" for line in [heads, ["---"] * len(heads), *rows])
