"""One case of the fuzz command: a table, a fit, and many tables to predict that derive from it."""

import pickle
import tempfile
import time
import traceback

import numpy as np
import pandas as pd
from transformers import LlamaConfig

from benchmarks.fuzz.oracle import Findings, attempt, differ, fingerprint
from benchmarks.fuzz.tables import (
    CONTAINERS,
    any_column,
    any_names,
    any_target,
    any_text,
    any_weight,
    contain,
    held,
)
from benchmarks.fuzz.trials import TRIALS, Fitted
from llmreg import (
    DecimalCodec,
    DigitCodec,
    GridCodec,
    LLMRegressor,
    RowSerializer,
    ScientificCodec,
)
from llmreg.tables.targets import numeric_targets

__all__ = ["run_case"]

SMALLEST = LlamaConfig(
    hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
    max_position_embeddings=2048,
)  # fmt: skip
WRITES = (
    "ce", "soft_ce", "ntl_mse", "ntl_was", "dist2", "raft", "mbr", "crps", "remax", "grpo", "rloo",
    "genre2", "new_tokens",
)  # fmt: skip
HEADS = ("head_last", "head_mean", "pointwise", "histogram", "learnable_raft")
DECODINGS = ("rail", "rail", "median", "mode", "greedy", "sample", "sampled_mean")


def run_case(seed, case, n_trials):
    """Fit and predict; return :class:`Findings`."""
    started = time.perf_counter()
    findings = Findings(case)
    rng = np.random.default_rng([seed, case])
    try:
        fitted = _fit(rng, findings, case)
        for trial in range(n_trials if fitted else 0):
            findings.trial = trial
            _predict(np.random.default_rng([seed, case, trial]), fitted, findings)
    except Exception:  # of the harness: a case that says nothing must not end the run
        findings.fail("harness", traceback.format_exc().splitlines()[-1], traceback.format_exc())
    findings.seconds = time.perf_counter() - started
    return findings


# -- fit ------------------------------------------------------------------------------------------


def _table(rng):
    """(frame, kinds of its columns, container)."""
    n = int(rng.integers(20, 61))
    hostile = rng.random() < 0.6
    container = "pandas" if rng.random() < 0.6 else list(CONTAINERS)[rng.integers(len(CONTAINERS))]
    n_columns = 1 if container in ("texts", "series") else int(rng.integers(1, 6))
    if n_columns == 1 and container in ("texts", "series") and rng.random() < 0.9:
        columns = [any_text(rng, n)]
    else:
        plain = [not hostile or rng.random() < 0.5 for _ in range(n_columns)]
        columns = [any_column(rng, n, plain) for plain in plain]
    kinds, series = zip(*columns, strict=True)
    names = any_names(rng, n_columns)
    names = names if isinstance(names, pd.MultiIndex) else pd.Index(names, dtype=object)
    frame = pd.concat(series, axis=1).set_axis(names, axis=1)
    if rng.random() < 0.1:  # rows that occur several times, and an index that repeats
        frame = frame.iloc[rng.integers(n, size=n)]
    return frame, list(kinds), container


def _codec(rng):
    kinds = [
        DigitCodec(base=int(rng.integers(2, 12)), n_digits=int(rng.integers(1, 4))),
        DigitCodec(scale="log"), DigitCodec(scale="quantile"), DigitCodec(margin=0.2),
        DigitCodec(scale="shifted_log"), DigitCodec(scale="symlog"),
        DigitCodec(low=-1e9, high=1e9), ScientificCodec(int(rng.integers(1, 3))), GridCodec(),
        GridCodec(max_values=5), GridCodec(list(range(0, 101, 5))),
        DecimalCodec(int(rng.integers(0, 3))),
    ]  # fmt: skip
    return None if rng.random() < 0.5 else kinds[rng.integers(len(kinds))]


def _estimator(rng):
    methods = HEADS if rng.random() < 0.15 else WRITES
    pick = rng.random
    return LLMRegressor(
        model=SMALLEST,
        fit_method=methods[rng.integers(len(methods))] if pick() < 0.6 else "ce",
        codec=_codec(rng),
        decoding=DECODINGS[rng.integers(len(DECODINGS))],
        number_input=("auto", "text", "text+value", "value")[rng.integers(4)],
        # Boosted trees take as long as all the rest.
        estimates=rng.choice([None, "linear", "boosted", "both"], p=[0.67, 0.25, 0.04, 0.04]),
        serializer=RowSerializer(max_categories=int(rng.integers(1, 20))) if pick() < 0.1 else None,
        text_features=bool(pick() < 0.8),
        n_estimators=1 + int(pick() < 0.05),
        validation_fraction=0.2 if pick() < 0.2 else "auto",
        tree_tolerance=0.0 if pick() < 0.2 else 1e-3,
        sft_epochs=1, align_epochs=1, batch_size=16, random_state=0,
    )  # fmt: skip


def _is_cheap(codec, y):
    """False for trees of up to a million numbers, which are right and take minutes."""
    if not isinstance(codec, DecimalCodec):
        return True
    try:
        numbers = np.ptp(np.asarray(y, dtype=float)) * 10.0**codec.n_decimals
    except (TypeError, ValueError, OverflowError):
        return True
    return not 1e4 < numbers < 2e6


def _fit(rng, findings, case):
    frame, kinds, container = _table(rng)
    target, y = any_target(rng, len(frame))
    weighing, weight = any_weight(rng, len(frame))
    model = _estimator(rng)
    if not _is_cheap(model.codec, y):
        model.set_params(codec=None)
    X = contain(container, frame)
    names = ("fit_method", "codec", "decoding", "number_input", "estimates", "n_estimators")
    changed = {name: getattr(model, name) for name in names}
    findings.story.append(
        f"columns {dict(zip(map(repr, frame.columns), kinds, strict=True))}, {len(frame)} rows, as "
        f"{container}; y {target}; {weighing}; {changed}"
    )
    before = fingerprint(X), fingerprint(y), fingerprint(weight)
    found = attempt(lambda: model.fit(X, y, sample_weight=weight))
    if (fingerprint(X), fingerprint(y), fingerprint(weight)) != before:
        findings.fail("input modified", "fit")
    if not findings.judge("fit", found):
        return None
    _check_bins(model, y, weight, found, findings)
    return _first_predictions(model, X, y, weight, frame, kinds, container, case, findings)


def _check_bins(model, y, weight, found, findings):
    """Nearly all of many different targets in one bin must be said."""
    y = numeric_targets(np.ravel(y))
    y = np.unique(y if weight is None else y[np.asarray(weight, dtype=float) > 0])
    if model.fit_method in HEADS or len(y) < 10:
        return
    share = np.bincount(model.codec_.leaf_of(y)).max() / len(y)
    if share > 0.9 and not found.told:
        findings.fail(
            "silent codec", type(model.codec_).__name__, f"{share:.0%} in one bin of {model.codec_}"
        )


def _first_predictions(model, X, y, weight, frame, kinds, container, case, findings):
    found = attempt(lambda: _mean(model, X))
    if not findings.judge("predict training rows", found):
        if found.error is not None and not findings.failures:
            findings.fail("refused training rows", type(found.error).__name__, str(found.error))
        return None
    base = found.value
    _check_values(model, base, len(frame), findings)
    _check_spread(model, X, findings)
    if case % 20 == 0:
        again = attempt(lambda: _mean(type(model)(**model.get_params(deep=False)).fit(
            X, y, sample_weight=weight), X))  # fmt: skip
        if again.error is not None or not np.array_equal(again.value, base):
            findings.fail("not reproducible", str(model.fit_method))
    if case % 10 == 0:
        _check_round_trips(model, X, base, case, findings)
    spread = max(
        float(np.ptp(model.codec_.edges_) / 4), np.abs(base).max() * (not model.codec_.bounded)
    )
    return Fitted(model, frame.reset_index(drop=True), kinds, container, base, spread)


def _mean(model, X):
    """Predictions that rounding cannot move by much: not the mode, of two that are as likely."""
    return model.predict(X, decoding="rail")


def _check_values(model, values, n_rows, findings):
    name = f"{model.codec_!r}"
    if values.shape != (n_rows,):
        findings.fail("shape", f"{values.shape} for {n_rows} rows")
    if not np.isfinite(values).all():
        findings.fail("not finite", name, f"{values[~np.isfinite(values)][:3]}")
    elif model.fit_method not in HEADS:
        low, high = model.codec_.edges_[[0, -1]]
        slack = 1e-12 * max(abs(low), abs(high))
        if values.min() < low - slack or values.max() > high + slack:
            findings.fail("out of range", name, f"{values.min()} to {values.max()}")


def _check_spread(model, X, findings):
    """Everything beside the point predictions, once per model."""
    calls = {
        "std": lambda: model.predict(X, return_std=True)[1],
        "interval": lambda: model.predict_interval(X, 0.8),
        "quantiles": lambda: model.predict_quantiles(X, [0.0, 0.05, 0.5, 0.95, 1.0]),
        "sample_y": lambda: model.sample_y(X, 3),
        "decodings": lambda: np.stack([
            model.predict(X, decoding=d) for d in ("median", "mode", "greedy", "sample", None)]),
    }  # fmt: skip
    for name, call in calls.items():
        found = attempt(call)
        if not findings.judge(name, found):
            continue
        if not np.isfinite(found.value).all():
            findings.fail("not finite", f"{name} of {type(model.codec_).__name__}")
        elif name in ("interval", "quantiles") and (np.diff(found.value, axis=1) < 0).any():
            findings.fail("reversed", f"{name} of {model.codec_!r}")
        grid = isinstance(model.codec_, GridCodec) and model.fit_method not in HEADS
        if grid and name in ("interval", "quantiles", "sample_y"):
            _check_grid(model, name, found.value, findings)


def _check_grid(model, name, values, findings):
    strangers = ~np.isin(values, model.codec_.values_)
    if strangers.any():
        findings.fail("off the grid", name, f"{values[strangers][:3]}")


def _check_round_trips(model, X, base, case, findings):
    found = attempt(lambda: _mean(pickle.loads(pickle.dumps(model)), X))
    _check_copy("pickle", model, found, base, findings)
    if case % 20:
        return
    with tempfile.TemporaryDirectory() as folder:
        found = attempt(lambda: _saved(model, f"{folder}/model", X))
    _check_copy("save and load", model, found, base, findings)


def _check_copy(what, model, found, base, findings):
    worked = findings.judge(what, found)
    if found.error is not None:  # what could be fitted can be kept
        findings.fail(f"{what} refused", type(found.error).__name__, str(found.error), found.error)
    elif worked and not np.array_equal(found.value, base):
        findings.fail(f"{what} differs", str(model.fit_method))


def _saved(model, folder, X):
    model.save(folder)
    return _mean(LLMRegressor.load(folder), X)


# -- predict --------------------------------------------------------------------------------------


def _predict(rng, fitted, findings):
    name = list(TRIALS)[rng.integers(len(TRIALS))]
    trial = TRIALS[name](rng, fitted)
    if trial is None:
        return
    name = name.removesuffix(" again")
    what = f"{name} {trial.what}".strip()
    findings.story.append(f"{findings.trial}: {what} ({trial.of})")
    before = fingerprint(trial.X)
    found = attempt(lambda: _mean(fitted.model, trial.X))
    if fingerprint(trial.X) != before:
        findings.fail("input modified", f"predict: {what}")
    if not findings.judge(f"predict {name}", found):
        return
    if trial.refused:
        findings.fail("accepted", what, trial.of)
        return
    n_rows = len(trial.frame) if trial.frame is not None else len(found.value)
    _check_values(fitted.model, found.value, n_rows, findings)
    if trial.silent is not None and not found.warns_of(trial.silent):
        findings.fail("silent", what, trial.of)
    if trial.rows is not None:
        _compare(fitted, trial, found.value, what, findings)
    if trial.frame is not None and np.isfinite(found.value).all():
        _check_mates(rng, fitted, trial, found.value, what, findings)


def _compare(fitted, trial, found, what, findings):
    if share := differ(found, fitted.base[trial.rows], fitted.spread):
        detail = f"by {share:.2g} of the targets' deviation; {trial.of}"
        findings.fail("renderings differ", what, detail)


def _check_mates(rng, fitted, trial, values, what, findings):
    """Some rows, in another order, must have the predictions they had among all."""
    rows = rng.integers(len(trial.frame), size=rng.integers(1, 4))
    part = contain(trial.container, trial.frame.iloc[rows])
    cells = held(trial.X)
    if held(part) != (cells and [cells[k] for k in rows]):
        return  # the container made something else of some cells, such as moments of dates
    found = attempt(lambda: _mean(fitted.model, part))
    if findings.judge("some rows", found) and (
        share := differ(found.value, values[rows], fitted.spread)
    ):
        detail = f"by {share:.2g} of the targets' deviation; {what} {trial.of}"
        findings.fail("depends on batch", f"as {trial.container}", detail)
