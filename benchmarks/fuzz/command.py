"""Hostile tables, fitted and predicted: what breaks, what lies, and what says nothing.

    python -m benchmarks.fuzz                                   # 1,000 fits, 10,000 predictions
    python -m benchmarks.fuzz --fit 300 --predict 3000 --seed 1 --jobs 2
    python -m benchmarks.fuzz --case 1234                       # one case, with its tracebacks
    python -m benchmarks.fuzz --start 500 --seconds 300         # go on at case 500, for 5 minutes

Needs polars and pyarrow. Each case is one table of 20 to 60 rows with columns of any kind, in any
container, with any target, weights and parameters, and a fit of one epoch of the smallest model;
then tables to predict that derive from it. Case N is the same whatever else runs. Failures:

- foreign error: not a ValueError, TypeError or OSError that llmreg or scikit-learn's validation
  raises for the user; diverged: a FloatingPointError at the default learning rate
- not finite, out of range, reversed, off the grid, shape: impossible predictions
- silent: nearly all cells of a column say nothing to the model, and no warning names the column;
  silent codec: nearly all of ten or more different targets fall into one bin
- depends on batch: rows among others and alone, by more than 1e-6 of the targets' deviation
- renderings differ: the same values in other dtypes, containers, spellings or row orders
- accepted: other columns, or no table at all; refused training rows
- input modified; warning leaks: RuntimeWarnings, and what foreign packages warn of
- not reproducible; pickle, save and load refused or differ (every 20th, 10th and 20th case)

Ends with exit code 1 if there were failures. Full runs take 15 minutes on two cores.
"""

import argparse
import os
import sys
import time
import traceback
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

CHUNK = 5  # cases that a process takes at a time


def main(arguments=None):
    """Run the cases, print the tables, and return the list of :class:`Findings`."""
    args = _arguments(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if args.case is not None:
        return [_show(args)]
    found = []
    for findings in _cases(args):
        found.append(findings)
        if len(found) % 50 == 0:
            failed = sum(bool(f.failures) for f in found)
            print(f"{len(found)} cases, {failed} with failures", file=sys.stderr, flush=True)
    print(report(found, args.seed))
    return found


def _arguments(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--fit", type=int, default=1000, help="fits: cases")
    add("--predict", type=int, default=10_000, help="predictions over all cases that fit")
    add("--seed", type=int, default=0)
    add("--start", type=int, default=0, help="the first case")
    add("--jobs", type=int, default=1, help="processes")
    add("--seconds", type=float, default=float("inf"), help="start no case after so long")
    add("--case", type=int, help="run this case only, and tell its story")
    return parser.parse_args(arguments)


def per_case(args):
    """Tables to predict per case: more than asked for, as not every fit and trial is possible."""
    return -(-args.predict * 8 // (5 * max(args.fit, 1)))


def _cases(args):
    """Findings of all cases, as they come."""
    from benchmarks.fuzz.cases import run_case

    until = time.monotonic() + args.seconds
    cases = range(args.start, args.start + args.fit)
    if args.jobs == 1:
        for case in cases:
            if time.monotonic() > until:
                return
            yield run_case(args.seed, case, per_case(args))
        return
    # Fresh interpreters, as threads and forks do not mix.
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        chunks = [cases[k : k + CHUNK] for k in range(0, len(cases), CHUNK)]
        futures = [pool.submit(_chunk, args.seed, c, per_case(args), until) for c in chunks]
        for future in as_completed(futures):
            yield from future.result()


def _chunk(seed, cases, n_trials, until):
    from benchmarks.fuzz.cases import run_case

    found = [run_case(seed, case, n_trials) for case in cases if time.monotonic() < until]
    for findings in found:
        findings.errors.clear()  # tracebacks do not travel between processes
    return found


def report(found, seed=0):
    """What happened, as text: outcomes, failures by kind, and what was refused."""
    outcomes = sum((f.outcomes for f in found), Counter())
    n_trials = sum(n for what, n in outcomes.items() if what.startswith("predict "))
    slowest = max(found, key=lambda f: f.seconds)
    lines = [f"{len(found)} cases, {n_trials} predictions, {len(outcomes)} kinds of outcome:", ""]
    lines += [f"{n:7d}  {what}" for what, n in sorted(outcomes.items())]
    lines += ["", "Refused, by message:", ""]
    refusals = sum((f.refusals for f in found), Counter())
    lines += [f"{n:7d}  {what}" for what, n in refusals.most_common(40)]
    lines += ["", f"Slowest: case {slowest.case}, {slowest.seconds:.1f} s."]
    return "\n".join([*lines, "", *_failures(found, seed)])


def _failures(found, seed):
    groups = defaultdict(list)
    for findings in found:
        for kind, where, detail, trial in findings.failures:
            groups[kind, where].append((findings.case, trial, detail))
    total = sum(map(len, groups.values()))
    if not total:
        return ["No failures."]
    lines = [f"{total} failures in {sum(bool(f.failures) for f in found)} cases:", ""]
    for (kind, where), cases in sorted(groups.items(), key=lambda group: -len(group[1])):
        case, trial, detail = cases[0]
        at = "" if trial is None else f", trial {trial}"
        option = f" --seed {seed}" if seed else ""
        lines.append(f"{len(cases):5d}  {kind}: {where}")
        lines.append(
            f"       python -m benchmarks.fuzz --case {case}{option}{at and '  #' + at[1:]}"
        )
        lines += [f"       {detail[:300]}"] if detail else []
    return lines


def _show(args):
    from benchmarks.fuzz.cases import run_case

    findings = run_case(args.seed, args.case, per_case(args))
    print(*findings.story, sep="\n")
    for (kind, where, detail, trial), error in zip(findings.failures, findings.errors, strict=True):
        print(f"\nFAILURE in {'fit' if trial is None else f'trial {trial}'}: {kind}: {where}")
        print(detail)
        if error is not None:
            traceback.print_exception(error)
    return findings
