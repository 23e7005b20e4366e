"""Targets as users hold them, as numbers: what is a duration, and what is no number at all."""

from datetime import date, time, timedelta

import numpy as np
import pandas as pd
from sklearn.utils import check_array, column_or_1d

__all__ = ["numeric_targets"]

LARGEST = 1e307
SECOND = np.timedelta64(1, "s")
DURATIONS = (timedelta, np.timedelta64)
MOMENTS = (date, time, np.datetime64, pd.Period)


def numeric_targets(y, owner="LLMRegressor"):
    """Targets as finite float64 numbers, durations as seconds.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        Numbers; or durations (timedelta64 of any unit, :class:`datetime.timedelta`).
    owner : str
        The estimator that errors name.

    Returns
    -------
    ndarray of shape (n_rows,), float64

    Raises
    ------
    ValueError
        For dates and times of day, what is neither number nor duration, several columns, NaN and
        infinite numbers, and numbers beyond 1e307, whose sums are no floats.

    Examples
    --------
    >>> from datetime import timedelta
    >>> from llmreg.tables.targets import numeric_targets
    >>> numeric_targets([timedelta(minutes=1), timedelta(milliseconds=500)])
    array([60. ,  0.5])
    """
    cells = np.asarray(y)
    if cells.dtype.kind == "M":
        _refuse(owner, "dates", cells.ravel()[:1])
    if cells.dtype.kind == "m":
        y = _seconds(cells)
    elif cells.dtype.kind == "O":
        y = _numbers(cells, y, owner)
    with np.errstate(over="ignore", invalid="ignore"):  # it sums them to see whether all are finite
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y", estimator=owner)
    if y.ndim == 2 and y.shape[1] > 1:
        raise ValueError(
            f"y should be a 1d array, got an array of shape {y.shape} instead: {owner} predicts "
            "one number per row. Use sklearn.multioutput.MultiOutputRegressor for several."
        )
    y = column_or_1d(y, warn=True)
    if np.abs(y).max(initial=0.0) > LARGEST:
        raise ValueError(
            f"y goes from {y.min():g} to {y.max():g}, where sums and differences are no floats. "
            "Divide it by a large number."
        )
    return y


def _seconds(durations):
    seconds = durations / SECOND
    return np.where(np.isnat(durations), np.nan, seconds)


def _numbers(cells, y, owner):
    """``y``, of whose cells no dtype tells anything, unless these are durations."""
    present = cells[~pd.isna(cells)]
    if any(isinstance(cell, MOMENTS) for cell in present):
        _refuse(owner, "dates or times of day", [c for c in present if isinstance(c, MOMENTS)])
    durations = [isinstance(cell, DURATIONS) for cell in present]
    if not any(durations):
        _refuse_others(present, owner)
        return y
    if not all(durations):
        raise ValueError(
            f"y mixes durations with other values, such as {present[int(np.argmin(durations))]!r}. "
            f"{owner} reads durations as seconds: convert the others, or give numbers alone."
        )
    seconds = [np.nan if pd.isna(cell) else cell / _unit(cell) for cell in cells.ravel()]
    return np.array(seconds, dtype=np.float64).reshape(cells.shape)


def _refuse_others(cells, owner):
    """Refuse what numpy would fail to make a float of."""
    for cell in cells:
        try:
            float(cell)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(
                f"y holds {cell!r:.80} ({type(cell).__name__}), and {owner} needs finite numbers."
            ) from None


def _unit(duration):
    return timedelta(seconds=1) if isinstance(duration, timedelta) else SECOND


def _refuse(owner, what, cells):
    raise ValueError(
        f"y holds {what}, such as {cells[0]!r}, and {owner} predicts numbers. Give the time since "
        "a fixed moment, such as (y - y.min()) / pd.Timedelta(days=1) for days, and add it to the "
        "moment again."
    )
