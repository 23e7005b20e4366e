"""How a fitted model's distributions are calibrated, from the rows that it was validated on."""

import warnings
from dataclasses import replace

import numpy as np

from llmreg.config.defaults import MIN_ROWS_TO_CALIBRATE
from llmreg.numbers.calibration import (
    TEMPERATURES,
    Calibration,
    best_weight,
    clearly_less,
    likely_temperature,
    steady_decoding,
)
from llmreg.prediction.distributions import calibrated_distribution, has_spread, on_axis, outputs

__all__ = ["calibrate", "calibration_rows", "fitted_calibration", "fitted_decoding"]

MAX_ROWS = 2000
MAX_CELLS = 2**21  # log-probabilities that are kept, unless that were fewer than 100 rows'
ENOUGH_ROWS = 100
MOSTLY = 0.5  # of the targets
# Standard errors, and share of the targets' size, by which means are off if that is to be told.
ERRORS_OF_MEANS, OFF = 3.0, 0.2
# All rows tell, too, of what is too rare to be held out; so many are asked, and must be so far off.
ROWS_THAT_ADD_UP, FAR_OFF = 300, 0.4
EQUAL_SAY = 0.5  # of the language model and the estimates, where no rows tell who is better


def calibrate(fitted, rows, asked, processes):
    """What held-out rows say of predictions, in a copy of what was fitted.

    Parameters
    ----------
    fitted : llmreg.prediction.fitted.Fitted
        Trained and placed for prediction.
    rows : llmreg.training.run.TrainingRows
    asked : bool
        Whether to warn where there is no temperature to be found.
    processes : llmreg.training.parallel.Processes
        That are to use the same numbers, though unlike devices differ in the last digits.

    Returns
    -------
    llmreg.prediction.fitted.Fitted
    """
    model, plan, some = fitted.model, fitted.plan.predicting, rows.held_out
    found = fitted_calibration(
        model, rows.encoded.take(some), rows.y[some], rows.weight[some],
        scales=plan.temperature == "auto", asked=asked, estimate_weight=plan.estimate_weight,
    )  # fmt: skip
    found = processes.agree(found)
    decoding = fitted_decoding(
        model, rows.encoded, rows.y, rows.weight, some, found, plan.decoding,
        trained=bool(fitted.plan.stages),
    )  # fmt: skip
    settled = dict(
        decoding=processes.agree(decoding), temperature=found.temperature,
        estimate_weight=found.estimate_weight,
    )  # fmt: skip
    return replace(fitted, plan=fitted.plan.settled(**settled), **settled)


def fitted_calibration(model, encoded, y, weight, *, scales, asked, estimate_weight):
    """The temperature and the estimates' weight, by the mean CRPS on the codec's axis.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
        Trained and placed for prediction.
    encoded : llmreg.prompts.encoding.EncodedRows of n rows
        That no weight was trained on, with estimates of regressors that have not seen them.
    y, weight : ndarray of shape (n,)
    scales : bool
        Whether to look for a temperature; else it is 1.
    asked : bool
        Whether to warn where there is nothing to scale.
    estimate_weight : float or "auto"
        The weight of the rows' estimate, if they have one, or that it is to be found.

    Returns
    -------
    Calibration
        Temperature 1 for a head that predicts one number per row, with less than 30 rows, and where
        all these targets are one number, of which the surest distribution would look best. There
        weight "auto" is 0.5, and 0 without an estimate.

    Warns
    -----
    UserWarning
        If ``asked``, and there are too few rows or nothing to calibrate; if a weight is given for
        estimates that are not there.
    """
    scales = scales and not _said_obstacle(model, y, asked)
    share = _settled_weight(estimate_weight, encoded.estimate, y)
    if not scales and share is not None:
        return Calibration(1.0, share)
    scores, count = _scores(model, encoded, y, weight)
    n_rows = 1 / (count @ count)  # as many as unequal weights are worth

    def score(weight, temperature):
        return scores(weight, temperature) @ count

    if share is None:
        share = best_weight(score, n_rows, TEMPERATURES if scales else (1.0,))
    temperature = likely_temperature(lambda t: score(share, t), n_rows, share) if scales else 1.0
    if temperature != 1 and not model.codec.linear:  # nor may it lose in y, where the large count
        before, after = (scores(share, t, axis=False) for t in (1.0, temperature))
        temperature = 1.0 if clearly_less(after, before, count) else temperature
    return Calibration(temperature, share)


def fitted_decoding(model, encoded, y, weight, held_out, calibration, asked, trained=True):
    """How ``predict`` reads distributions, from the validation rows or, if these are few, from all.

    Parameters
    ----------
    model, encoded, y, weight
        As in :func:`fitted_calibration`, of all training rows.
    held_out : ndarray of int
        The validation rows.
    calibration : Calibration
    asked : str
        The estimator's ``decoding``.
    trained : bool, default=True
        The mean of a model that was not is not expected to add up.

    Returns
    -------
    str
        ``asked``; for "auto" see :func:`llmreg.numbers.calibration.steady_decoding`, and "rail"
        where the codec is linear, the method predicts one number, or most targets are one number,
        which the median would be for all rows.

    Warns
    -----
    UserWarning
        If the mean was asked for, or would be taken by default, and is not to be trusted.
    """
    doubtful = asked in ("auto", "rail", "sampled_mean")
    found = "rail" if asked == "auto" else asked
    if not doubtful or not has_spread(model) or (model.codec.linear and not trained):
        return found
    rows = held_out if len(held_out) >= MIN_ROWS_TO_CALIBRATE else np.arange(len(y))
    rows = rows[calibration_rows(len(rows), _cells_per_row(model))]
    distributions = _distributions(model, encoded.take(rows), calibration)
    if _is_steady(distributions, y[rows], weight[rows], model.codec):
        if not _said_off("held-out", distributions.mean(), y[rows], weight[rows], model.codec):
            _say_if_all_are_off(model, encoded, y, weight, calibration)
        return found
    _warn_of_unsteady(y[rows], asked)
    return "median" if asked == "auto" else found


def _is_steady(distributions, y, weight, codec):
    """Whether means are to be predicted."""
    if codec.linear or _commonest(y, weight) >= MOSTLY:
        return True
    return steady_decoding(distributions, y, weight) == "rail"


def _warn_of_unsteady(y, asked):
    instead = "predict returns the median; set decoding='rail' for the mean."
    if asked != "auto":
        instead = f"decoding={asked!r} takes it all the same; 'median' is nearer to most targets."
    warnings.warn(
        "The mean of predicted distributions is decided by numbers that are hardly possible, since "
        f"the targets go from {y.min():.3g} to {y.max():.3g} (median {np.median(y):.3g}). "
        f"{instead}",
        UserWarning,
        stacklevel=4,
    )


def _say_if_all_are_off(model, encoded, y, weight, calibration):
    """The same of some of all rows, which tell of what is too rare to be held out."""
    some = calibration_rows(len(y), max(_cells_per_row(model), MAX_CELLS // ROWS_THAT_ADD_UP))
    means = _distributions(model, encoded.take(some), calibration).mean()
    _said_off("training", means, y[some], weight[some], model.codec, most=FAR_OFF, errors=0.0)


def _distributions(model, encoded, calibration):
    output, estimated = outputs(model, encoded)
    return calibrated_distribution(model, output, estimated, calibration)


def _said_off(which, means, y, weight, codec, most=OFF, errors=ERRORS_OF_MEANS):
    """Whether predictions don't add up, and a warning: what is likeliest may hold too little, or
    too much, of what the sum is made of."""
    share = weight / weight.sum()
    unit = np.abs(y) @ share or 1.0
    error = (means - y) / unit
    off = error @ share
    if abs(off) <= max(most, errors * np.sqrt(share**2 @ (error - off) ** 2)):
        return False
    remedy = "Train longer if little was learnt; "
    if not codec.linear:
        remedy = (
            f"On the scale {getattr(codec, 'scale_', codec)!r} what is rare and large counts "
            "little; use DigitCodec(scale='minmax'), or "
        )
    warnings.warn(
        f"The predictions of {len(y)} {which} rows have a mean of {means @ share:.4g}, their "
        f"targets one of {y @ share:.4g}: means and sums of predictions are not to be trusted. "
        f"{remedy}give a column that tells what is rare and large, or fit such rows by themselves.",
        UserWarning,
        stacklevel=4,
    )
    return True


def _scores(model, encoded, y, weight):
    """The CRPS of rows by weight and temperature, on the codec's axis or in the units of y, and
    how much each row counts."""
    rows = calibration_rows(len(y), _cells_per_row(model))
    y, share = y[rows], weight[rows] / weight[rows].sum()
    found, estimated = outputs(model, encoded.take(rows))

    def scores(weight, temperature, axis=True):
        calibration = Calibration(temperature, weight)
        distributions = calibrated_distribution(model, found, estimated, calibration)
        if not axis:
            return distributions.crps(y)
        return on_axis(distributions, model.codec).crps(model.codec.to_axis(y))

    return scores, share


def _commonest(y, weight):
    """The share of the number that most targets are."""
    return np.bincount(np.unique(y, return_inverse=True)[1], weight).max() / weight.sum()


def _settled_weight(asked, estimate, y):
    """The weight of an estimate, or None if it is to be found."""
    if asked != "auto" and asked > 0 and estimate is None:
        warnings.warn(
            f"estimate_weight={asked} has no effect: there are no estimates. estimate_weight_ is "
            "0. Set estimates='both', or leave estimate_weight at 'auto'.",
            UserWarning,
            stacklevel=3,
        )
    if estimate is None:
        return 0.0
    if asked != "auto":
        return float(asked)
    return EQUAL_SAY if _says_little(y) else None


def _says_little(y):
    return len(y) < MIN_ROWS_TO_CALIBRATE or not (y != y[0]).any()


def _said_obstacle(model, y, aloud):
    """Whether there is no temperature to be found; said aloud if that is wanted."""
    obstacle = _obstacle(model, y)
    if obstacle and aloud:
        warnings.warn(
            f"temperature_scaling=True has no effect: {obstacle}. temperature_ is 1.",
            UserWarning,
            stacklevel=3,
        )
    return obstacle is not None


def _obstacle(model, y):
    if not has_spread(model):
        return "the method predicts one number per row, which has no width"
    if not _says_little(y):
        return None
    if len(y) >= MIN_ROWS_TO_CALIBRATE:
        return f"the targets of all {len(y)} validation rows are {y[0]:g}. Give more rows"
    return (
        f"it needs at least {MIN_ROWS_TO_CALIBRATE} validation rows, and there are {len(y)}. "
        "Give more rows or a larger validation_fraction"
    )


def _cells_per_row(model):
    """Log-probabilities that a row takes, or its numbers if there are more of them."""
    if model.head is not None and not model.head.whole:
        return model.head.n_outputs
    tree = model.tree
    return max(tree.n_open * tree.child.shape[1], len(tree.leaf_value))


def calibration_rows(n_rows, n_cells):
    """Which of the validation rows are used: all, or evenly spaced ones.

    Parameters
    ----------
    n_rows : int
    n_cells : int
        Numbers to keep for each row.

    Returns
    -------
    ndarray of int, ascending
        At most 2,000; at most two million numbers in all, unless that were fewer than 100 rows.

    Examples
    --------
    >>> from llmreg.prediction.held_out import calibration_rows
    >>> len(calibration_rows(5000, 110)), len(calibration_rows(5000, 11_110))
    (2000, 188)
    """
    most = min(MAX_ROWS, max(ENOUGH_ROWS, MAX_CELLS // n_cells))
    return np.unique(np.linspace(0, n_rows - 1, min(n_rows, most)).round().astype(int))
