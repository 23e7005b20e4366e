"""One fit of the suite: its seconds, its errors on the test rows, and how good its spread is."""

import time
from contextlib import suppress

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from benchmarks.suite.estimators import ALL_PEERS, make_llmreg
from benchmarks.suite.tables import load_table, split_table
from benchmarks.suite.text_peers import Sentences

COVERAGES = (50, 80, 95)  # per cent


def measure(name, split, estimator, method, settings, max_rows):
    """Fit one estimator on one split of one table, and judge it on the rows held back.

    Parameters
    ----------
    name : str
        Table.
    split : int
        Number of the split, and seed of whatever is random in the estimator.
    estimator : str
        Name in the results; the peer's, unless ``method`` is given.
    method : str or None
        A fit_method of llmreg, or "default".
    settings : dict
        Further parameters of LLMRegressor; peers have none.
    max_rows : int
        Most rows of the table, training and test rows together.

    Returns
    -------
    dict
        A line of results. A fit that fails is recorded with its error: the others go on.
    """
    table = load_table(name)
    part = split_table(table, split, max_rows)
    line = {
        "data": name, "split": split, "estimator": estimator, "max_rows": max_rows,
        "group": "text" if table.text else "numeric",
        "n_train": len(part.y), "n_test": len(part.y_test), "spread": part.y_test.std(),
    }  # fmt: skip
    try:
        if method is None:
            model = ALL_PEERS[estimator].make(part.X, table.text, split)
        else:
            import llmreg.fit  # noqa: F401  (loads torch now, not within the first fit's time)

            model = make_llmreg(method, settings, split)
        line["fit_seconds"] = _timed(model.fit, part.X, part.y)[1]
        predict = getattr(model, "predict_distribution", model.predict)
        found, line["predict_seconds"] = _timed(predict, part.X_test)
        line.update(figures(part.y_test, found, getattr(model, "decoding_", "rail")))
    except Exception as error:  # one estimator's failure must not end the others' comparison
        return {**line, "error": " ".join(f"{type(error).__name__}: {error}".split())}
    return line


def _timed(function, *arguments):
    """What it returns, and seconds; vectors from the cache count as if they were computed."""
    start, saved = time.perf_counter(), Sentences.seconds_saved
    result = function(*arguments)
    return result, time.perf_counter() - start + Sentences.seconds_saved - saved


def figures(y, found, decoding="rail"):
    """Errors of a prediction and, if a distribution was found, its CRPS and its coverage.

    Parameters
    ----------
    y : array of shape (n,)
    found : array of shape (n,), or NumericDistribution
    decoding : str, default="rail"
        How a distribution is read as a number.

    Returns
    -------
    dict
        r2, rmse, mae, spearman; of a distribution also crps, coverage_50, coverage_80 and
        coverage_95, what the distribution itself says that these intervals hold (claimed_50 and
        so on: more than their name where a bound is a number of some probability), and r2_greedy
        if it was written digit by digit.
    """
    if not hasattr(found, "crps"):
        return _errors(y, found)
    if found.probabilities.shape[1] == 1:  # a head that predicts a number alone
        return _errors(y, found.mean())
    measured = {**_errors(y, found.decode(decoding, 0)), "crps": found.crps(y).mean()}
    for coverage in COVERAGES:
        low, high = found.interval(coverage / 100).T
        measured[f"coverage_{coverage}"] = np.mean((low <= y) & (y <= high))
        below = found.cdf(np.nextafter(low, -np.inf))
        measured[f"claimed_{coverage}"] = np.mean(found.cdf(high) - below)
    with suppress(ValueError):  # a histogram has no greedy number
        measured["r2_greedy"] = r2_score(y, found.greedy())
    return measured


def _errors(y, prediction):
    constant = np.ptp(prediction) == 0 or np.ptp(y) == 0
    return {
        "r2": r2_score(y, prediction),
        "rmse": root_mean_squared_error(y, prediction),
        "mae": mean_absolute_error(y, prediction),
        "spearman": 0.0 if constant else spearmanr(y, prediction).statistic,
    }
