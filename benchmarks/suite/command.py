"""llmreg beside its peers, over real tables: who predicts best, and whose intervals hold.

    LLMREG_DATA=<folder> python -m benchmarks.suite                      # all tables, 5 splits
    LLMREG_DATA=<folder> python -m benchmarks.suite --data core --llmreg default ce grpo raft
    LLMREG_DATA=<folder> python -m benchmarks.suite --quick              # 20 minutes on two cores
    LLMREG_DATA=<folder> python -m benchmarks.suite --llmreg grpo --set dropout=0.1 --tag trial
    python -m benchmarks.suite --data diabetes auto-mpg --llmreg default --splits 1

Needs matplotlib; peers need what ``pip install ".[suite]"`` brings, and those whose package is
missing are left out with a line that says so. Each table is split 80 : 20 once per ``--splits``,
by the split's number; rows that belong together stay together, and what the authors of a data set
held back is held back. The test rows are used for nothing but the figures.

Each line of ``<out>/results.csv`` is one fit. Runs can be stopped and started again, and runs with
other estimators or tables add to the same file: what is there is not repeated, what failed is tried
once more. At the end: results.md, ranks.png and tables.png, over the tables and estimators asked
for. ``--report`` fits nothing and reports what is there.

Seconds are comparable only if nothing else was running. Each fit has OMP_NUM_THREADS threads, or
the cores divided by ``--jobs``. Sentence vectors are kept in ``<out>/vectors``; reported seconds
are as if they were not.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path


def main(arguments=None):
    """Run what is missing, write the report and the plots; return the finished results."""
    args = _arguments(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // args.jobs)))
    os.environ.setdefault("SUITE_CACHE", str((args.out / "vectors").resolve()))
    # After the lines above: these libraries read the number of threads when they are loaded.
    from benchmarks.suite import estimators as catalogue
    from benchmarks.suite import report as reporting
    from benchmarks.suite.results import Results
    from benchmarks.suite.tables import find_tables

    catalogue.check_methods(args.llmreg)
    tables = find_tables(args.data)
    estimators, left_out = _estimators(args, catalogue)
    results = Results(args.out / "results.csv")
    work = [] if args.report else _missing(results, tables, estimators, args)
    _run(work, results, args.jobs)
    finished, failed = (
        part[
            part["data"].isin(tables)
            & part["estimator"].isin(list(estimators))
            & (part["split"] < args.splits)
        ]
        for part in (results.finished(args.max_rows), results.failed(args.max_rows))
    )
    report = reporting.write_report(finished, failed, left_out, args)
    (args.out / "results.md").write_text(report, encoding="utf-8")
    if len(finished):
        from benchmarks.suite.plots import draw_ranks, draw_tables

        draw_ranks(finished, args.out / "ranks.png")
        draw_tables(finished, args.out / "tables.png")
    print(report)
    return finished


def _arguments(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.suite",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", nargs="+", default=["all"], metavar="NAME",
        help="names of tables; all (default), core: 40 of them, quick: 11")  # fmt: skip
    add("--estimators", nargs="*", metavar="NAME", help="peers; default: all. None: only llmreg")
    add("--llmreg", nargs="*", default=["default"], metavar="METHOD",
        help="fit methods, such as ce grpo pointwise; default: nothing set")  # fmt: skip
    add("--set", nargs="*", default=[], metavar="NAME=VALUE", dest="settings",
        help="further parameters of LLMRegressor")  # fmt: skip
    add("--tag", default="",
        help="part of llmreg's names in the results, to keep versions apart")  # fmt: skip
    add("--regresslm", action="store_true",
        help="also RegressLM from scratch, on tables with text: minutes per fit")  # fmt: skip
    add("--splits", type=int, default=5)
    add("--max-rows", type=int, default=5000, help="most rows of a table, drawn for each split")
    add("--out", type=Path, default=Path("suite"))
    add("--jobs", type=int, default=1, help="fits at the same time")
    add("--report", action="store_true", help="fit nothing")
    add("--quick", action="store_true", help="11 tables, 1,000 rows at most, one split")
    args = parser.parse_args(arguments)
    if args.quick:
        args.data, args.splits, args.max_rows = ["quick"], 1, 1000
    args.settings = dict(map(setting, args.settings))
    return args


def setting(text):
    """Name and value of a parameter given as NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals:
        raise SystemExit(f"--set takes NAME=VALUE, such as sft_epochs=20; not {text!r}.")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, {"None": None, "True": True, "False": False}.get(value, value)


def _estimators(args, catalogue):
    """{name: method of llmreg or None for a peer}, and a line for each peer that is left out."""
    names = list(catalogue.PEERS) if args.estimators is None else args.estimators
    if unknown := set(names) - set(catalogue.ALL_PEERS):
        raise SystemExit(
            f"There are no peers {sorted(unknown)}. Legal: {', '.join(catalogue.ALL_PEERS)}; "
            "llmreg's methods are named after --llmreg."
        )
    names = [*names, *(["RegressLM"] if args.regresslm else [])]
    missing = {name: catalogue.missing_packages(name) for name in names}
    left_out = [
        f"{name} is left out: {', '.join(packages)} not installed (pip install '.[suite]'; "
        "RegressLM from github.com/google-deepmind/regress-lm)."
        for name, packages in missing.items()
        if packages
    ]
    print(*left_out, sep="\n")
    found = {name: None for name in names if not missing[name]}
    for method in args.llmreg:
        found[catalogue.llmreg_label(method, args.settings, args.tag)] = method
    return found, left_out


def _missing(results, tables, estimators, args):
    """Arguments of the fits that are still to be made: split by split, so that all come early."""
    from benchmarks.suite.estimators import suits
    from benchmarks.suite.results import KEY
    from benchmarks.suite.tables import load_table

    done = set(map(tuple, results.finished(args.max_rows)[KEY].to_numpy()))
    groups = {name: "text" if load_table(name).text else "numeric" for name in tables}
    return [
        (name, split, estimator, method, args.settings, args.max_rows)
        for split in range(args.splits)
        for name in tables
        for estimator, method in estimators.items()
        if suits(estimator, groups[name]) and (name, split, estimator, args.max_rows) not in done
    ]


def _run(work, results, jobs):
    from tqdm import tqdm

    pool = nullcontext()
    if jobs > 1 and work:  # a fresh interpreter each, as threads and forks do not mix
        pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    with pool, tqdm(total=len(work), unit="fit", disable=not work) as progress:
        for line in _lines(work, None if jobs == 1 else pool):
            results.add(line)
            found = line.get("error") or f"R² {line['r2']:.3f} in {line['fit_seconds']:.0f} s"
            progress.update()
            progress.set_postfix_str(
                f"{line['data']}, split {line['split']}, {line['estimator']}: {found}"
            )


def _lines(work, pool):
    from benchmarks.suite.measure import measure

    if not work:
        return
    if pool is None:
        yield from (measure(*arguments) for arguments in work)
    else:
        futures = [pool.submit(measure, *arguments) for arguments in work]
        yield from (future.result() for future in as_completed(futures))
