"""Targets as users hold them, as numbers: what is a duration, and what is no number at all."""

from datetime import date, time, timedelta

import numpy as np
import pandas as pd
from sklearn.utils import check_array, column_or_1d

__all__ = ["numeric_targets", "refuse_masked"]

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
        For dates and times of day, what is neither number nor duration, several columns, NaN,
        masked and infinite numbers, and numbers beyond 1e307, whose sums are no floats.

    Examples
    --------
    >>> from datetime import timedelta
    >>> from llmreg.tables.targets import numeric_targets
    >>> numeric_targets([timedelta(minutes=1), timedelta(milliseconds=500)])
    array([60. ,  0.5])
    """
    refuse_masked(y, "y")
    cells = np.asarray(y)
    if cells.dtype.kind in "SU":  # of which numpy would say what Python does
        y = cells = cells.astype(object)
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


def refuse_masked(values, name):
    """ValueError if values are masked: what is stored in their place means nothing.

    Parameters
    ----------
    values : array-like or None
    name : str
        Of the argument, for the message.

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg.tables.targets import refuse_masked
    >>> refuse_masked(np.ma.array([1.0, 9999.0], mask=[False, True]), "y")
    Traceback (most recent call last):
    ...
    ValueError: y is masked in 1 of 2 rows, where nothing is known; leave these rows out.
    """
    if np.ma.is_masked(values):
        masked = np.ma.getmaskarray(values)
        raise ValueError(
            f"{name} is masked in {masked.sum()} of {masked.size} rows, where nothing is known; "
            "leave these rows out."
        )


def _seconds(durations):
    unit = _unit(np.timedelta64(0, np.datetime_data(durations.dtype)))
    return np.where(np.isnat(durations), np.nan, durations / unit)


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
            if isinstance(cell, (str, bytes)) and "_" in str(cell):  # to Python, 1_000 is 1000
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            raise ValueError(
                f"y holds {cell!r:.80} ({type(cell).__name__}), and {owner} needs finite numbers. "
                "Convert it, or leave its row out."
            ) from None


def _unit(duration):
    """A second, to divide a duration by."""
    if isinstance(duration, timedelta):
        return timedelta(seconds=1)
    if np.datetime_data(duration.dtype)[0] in "YM":
        raise ValueError(
            f"y holds durations in months or years, such as {duration!r}, of which not all are of "
            "one length in seconds. Give the number of them alone, as y.astype('int64') of an "
            "array does, or days: y.astype('timedelta64[D]')."
        )
    return SECOND


def _refuse(owner, what, cells):
    raise ValueError(
        f"y holds {what}, such as {cells[0]!r}, and {owner} predicts numbers. Give the time since "
        "a fixed moment, such as (y - y.min()) / pd.Timedelta(days=1) for days, and add it to the "
        "moment again."
    )
