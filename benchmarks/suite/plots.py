"""The suite's two pictures: mean ranks, and R² of every table, as dots with error bars."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from benchmarks.suite.estimators import ALL_PEERS
from benchmarks.suite.report import GROUP_TITLES, common_splits, mean_ranks, sections, table_means


def draw_ranks(finished, path):
    """Mean rank of each estimator ± its standard error, a panel per group of tables."""
    panels = []
    for key, part in sections(finished):
        shared = common_splits(part, part["estimator"].unique())
        if len(shared):
            panels.append((GROUP_TITLES[key], shared))
    if not panels:
        return
    height = 1.5 + 0.25 * finished["estimator"].nunique()
    fig, axes = plt.subplots(
        len(panels), figsize=(7, height * len(panels)), layout="constrained", squeeze=False
    )
    for ax, (title, shared) in zip(axes[:, 0], panels, strict=True):
        ranks = mean_ranks(shared).sort_values("mean", ascending=False)
        place = np.arange(len(ranks))
        ax.errorbar(ranks["mean"], place, xerr=ranks["error"].fillna(0), fmt="none", ecolor="C7")
        ax.scatter(ranks["mean"], place, c=_colours(ranks.index), zorder=3)
        ax.set_yticks(place, ranks.index)
        ax.set(title=f"{title} ({shared['data'].nunique()} tables)")
        ax.set(xlabel="mean rank by R² ± standard error over tables (1 is best)")
        ax.grid(axis="x", alpha=0.3)
    fig.savefig(path, dpi=110)
    plt.close(fig)


def _colours(names):
    return ["C7" if name in ALL_PEERS else "C3" for name in names]


def draw_tables(finished, path):
    """R² of every table and estimator: mean over splits ± standard error; below −0.1 at −0.1."""
    means, errors = table_means(finished), finished.groupby(["data", "estimator"])["r2"].sem()
    means = means.loc[means.max(axis=1).sort_values().index]
    fig, ax = plt.subplots(figsize=(8, 2 + 0.24 * len(means)), layout="constrained")
    names = sorted(means, key=lambda name: name not in ALL_PEERS)  # ours last, on top
    for i, name in enumerate(names):
        ours = name not in ALL_PEERS
        place = np.arange(len(means)) + 0.5 * ((i + 0.5) / len(names) - 0.5)
        error = [errors.get((table, name), 0.0) for table in means.index]
        ax.errorbar(
            means[name].clip(lower=-0.1), place, xerr=np.nan_to_num(error), label=name,
            fmt="D" if ours else "o", ms=5 if ours else 3, lw=0.7, alpha=1 if ours else 0.7,
            zorder=3 if ours else 2,
        )  # fmt: skip
    ax.set_yticks(np.arange(len(means)), means.index, fontsize=7)
    ax.set(xlabel="R² on the test rows, mean over splits ± standard error", xlim=(-0.13, 1.02))
    ax.grid(alpha=0.2)
    ax.margins(y=0.01)
    ax.legend(fontsize=7, loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
    fig.savefig(path, dpi=110)
    plt.close(fig)
