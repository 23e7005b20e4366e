"""Targets as users hold them, as numbers: what is a duration, and what is no number at all."""

import warnings
from collections.abc import Iterator
from datetime import date, time, timedelta

import numpy as np
import pandas as pd
from pandas.api.types import is_datetime64_any_dtype
from sklearn.utils import check_array, column_or_1d

__all__ = [
    "finite_numbers", "numeric_targets", "read_floats", "refuse_masked", "warn_of_other_units",
]  # fmt: skip

LARGEST = 1e307
SECOND = np.timedelta64(1, "s")
DURATIONS = (timedelta, np.timedelta64)
# Of validation targets: beyond the middle 98 % of the training targets, and at least so many.
USUAL, FEW_BEYOND, SHARE_BEYOND = (0.01, 0.99), 5, 0.25
MOMENTS = (date, time, np.datetime64, pd.Period)


def numeric_targets(y, owner="LLMRegressor", name="y", beside=None):
    """Targets as finite float64 numbers, durations as seconds.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        Numbers; or durations (timedelta64 of any unit, :class:`datetime.timedelta`).
    owner, name : str
        Who takes them and the argument that errors name.
    beside : str or None, default=None
        The argument that has the same rows. None: X or X_val.

    Returns
    -------
    ndarray of shape (n_rows,), float64

    Raises
    ------
    ValueError
        As for :func:`finite_numbers`, without rows, and for numbers beyond 1e307, whose sums are
        no floats.

    Examples
    --------
    >>> from datetime import timedelta
    >>> from llmreg.tables.targets import numeric_targets
    >>> numeric_targets([timedelta(minutes=1), timedelta(milliseconds=500)])
    array([60. ,  0.5])
    """
    beside = name.replace("y", "X", 1) if beside is None else beside
    y = finite_numbers(y, owner, name, beside=beside, least=1)
    if np.abs(y).max() > LARGEST:
        raise ValueError(
            f"{name} goes from {y.min():g} to {y.max():g}, where sums and differences are no "
            "floats. Divide it by a large number."
        )
    return y


def finite_numbers(y, owner, name="y", *, beside="", least=0):
    """Finite numbers (n_rows,) in any container as float64, durations as seconds.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
    owner, name, beside : str
        As in :func:`numeric_targets`; "": no argument has the same rows.
    least : int, default=0
        Rows.

    Raises
    ------
    ValueError
        For what is no array, dates and times of day, what is neither number nor duration, several
        columns, NaN, masked and infinite numbers.

    Examples
    --------
    >>> from llmreg.tables.targets import finite_numbers
    >>> finite_numbers(["1.5", 2], "a codec")
    array([1.5, 2. ])
    """
    refuse_masked(y, name)
    given, cells = y, _array(y, name, owner)
    if cells.shape[1:] not in ((), (1,)):
        raise ValueError(
            f"{name} should be a 1d array, got an array of shape {cells.shape} instead: {owner} "
            "needs one number per row. Give one column at a time, as "
            "sklearn.multioutput.MultiOutputRegressor does."
        )
    if cells.dtype.kind == "M":
        _refuse_moments(given, cells.ravel()[:1], owner, name)
    if cells.dtype.kind == "m":
        y = _seconds(cells, name)
    elif cells.dtype.kind == "O":
        y = _numbers(given, cells, owner, name)
    else:
        y = read_floats(cells, name, owner)
    y = check_array(
        y, ensure_2d=False, ensure_all_finite=False, ensure_min_samples=least, input_name=name,
        estimator=owner,
    )  # fmt: skip
    y = column_or_1d(y, warn=True)
    _refuse_infinite(y, given, owner, name, beside)
    return y


def warn_of_other_units(y_val, y):
    """Say so if many validation targets are unlike the training targets.

    They choose the epoch, the temperature and the weight of the estimates; in other units (a price
    for its logarithm, thousands for units) they spoil all three.

    Parameters
    ----------
    y_val, y : ndarray of shape (m,) and (n,)

    Warns
    -----
    UserWarning
        If a quarter of ``y_val``, and five at least, lie beyond the middle 98 % of ``y``.

    Examples
    --------
    >>> import warnings, numpy as np
    >>> from llmreg.tables.targets import warn_of_other_units
    >>> y = np.arange(100.0)
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warn_of_other_units(y / 2, y)
    ...     warn_of_other_units(y * 2, y)
    >>> len(said)
    1
    """
    low, high = np.quantile(y, USUAL)
    beyond = np.sum((y_val < low) | (y_val > high))
    if beyond < max(FEW_BEYOND, SHARE_BEYOND * len(y_val)):
        return
    warnings.warn(
        f"{beyond} of the {len(y_val)} targets in y_val lie beyond the middle 98 % of y: they go "
        f"from {y_val.min():.3g} to {y_val.max():.3g} (median {np.median(y_val):.3g}), y from "
        f"{y.min():.3g} to {y.max():.3g} (median {np.median(y):.3g}). They choose the epoch, the "
        "temperature and the estimates' weight, so they must be in the units of y. Give both in "
        "the same units, or validation rows that are like the training rows.",
        UserWarning,
        stacklevel=2,
    )


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


def read_floats(values, name, owner):
    """Numbers in any container as float64; missing ones are NaN.

    Parameters
    ----------
    values : array-like
    name, owner : str
        Of the argument and of who takes it, for messages.

    Returns
    -------
    ndarray of the same shape, float64

    Raises
    ------
    ValueError
        If it is no array, or something in it no number.

    Examples
    --------
    >>> from llmreg.tables.targets import read_floats
    >>> read_floats(["1.5", None], "y", "a fit")
    array([1.5, nan])
    """
    cells = _array(values, name, owner)
    if cells.dtype.kind not in "biuf":
        cells = cells.astype(object)  # of strings numpy would say what Python does
        missing = pd.isna(cells)
        _refuse_others(cells[~missing], name, owner)
        cells[missing] = np.nan
    with np.errstate(over="ignore"):  # of longer floats
        return cells.astype(np.float64)


def _array(values, name, owner):
    """What is an array, or can be made one; the rest is refused."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):  # of rows of unlike lengths
        array = np.empty(())
    if array.ndim:
        return array
    remedy = ""
    if isinstance(values, str):
        remedy = f" If it is the name of a column, give the column itself, such as X[{values!r}]."
    elif isinstance(values, Iterator):
        remedy = f" Give list({name})."
    raise ValueError(
        f"{name} is {values!r:.80} ({type(values).__name__}), and {owner} needs an array or a list "
        f"of numbers, one per row.{remedy}"
    )


def _refuse_infinite(y, given, owner, name, beside):
    """ValueError for NaN and infinities, which says how many there are."""
    kept = " and ".join(f"{rows}[known]" for rows in (beside, name) if rows)
    for what, found, known in (
        ("NaN", np.isnan(y), "pandas.notna"),
        ("infinity", np.isinf(y), "numpy.isfinite"),
    ):
        if found.any():
            first = _step_before(given, found, what, name)
            raise ValueError(
                f"Input {name} contains {what} in {found.sum()} of {len(y)} rows, and {owner} "
                f"needs a finite number in each. Leave these rows out: {first}known = "
                f"{known}({name}), then {kept}."
            )


def _step_before(y, found, what, name):
    """What makes an array of targets, and floats where what was found is in texts, say."""
    cells = np.ravel(y)
    seen = pd.isna(cells) if what == "NaN" else cells.dtype.kind == "f"
    if np.all(seen | ~found):
        takes_flags = _is_vector(y) and isinstance(y.dtype, np.dtype)
        return "" if takes_flags else f"{name} = numpy.ravel({name}), "
    if any(cell is pd.NA or cell is pd.NaT for cell in cells):  # of which numpy makes no floats
        cells = f"pandas.Series(numpy.ravel({name}), dtype=object)"
        return f"{name} = {cells}.to_numpy(float, na_value=numpy.nan), "
    return f"{name} = numpy.array({name}, dtype=float).ravel(), "


def _is_vector(y):
    return isinstance(y, (np.ndarray, pd.Series, pd.Index)) and y.ndim == 1


def _seconds(durations, name):
    unit = _unit(np.timedelta64(0, np.datetime_data(durations.dtype)), name)
    return np.where(np.isnat(durations), np.nan, durations / unit)


def _numbers(given, cells, owner, name):
    """Targets of whose cells no dtype tells anything: numbers, or durations in seconds."""
    present = cells[~pd.isna(cells)]
    if any(isinstance(cell, MOMENTS) for cell in present):
        moments = [cell for cell in present if isinstance(cell, MOMENTS)]
        _refuse_moments(given, moments, owner, name)
    durations = [isinstance(cell, DURATIONS) for cell in present]
    if not any(durations):
        return read_floats(cells, name, owner)
    if not all(durations):
        raise ValueError(
            f"{name} mixes durations with other values, such as "
            f"{present[int(np.argmin(durations))]!r}. {owner} reads durations as seconds: convert "
            "the others, or give numbers alone."
        )
    seconds = [np.nan if pd.isna(cell) else cell / _unit(cell, name) for cell in cells.ravel()]
    return np.array(seconds, dtype=np.float64).reshape(cells.shape)


def _refuse_others(cells, name, owner):
    """Refuse what numpy would fail to make a float of."""
    for cell in cells:
        try:
            float(cell)
            if isinstance(cell, (str, bytes)) and "_" in str(cell):  # to Python, 1_000 is 1000
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            raise ValueError(
                f"{name} holds {cell!r:.80} ({type(cell).__name__}), and {owner} needs finite "
                "numbers. Convert it, or leave it out."
            ) from None


def _unit(duration, name):
    """A second, to divide a duration by."""
    if isinstance(duration, timedelta):
        return timedelta(seconds=1)
    if np.datetime_data(duration.dtype)[0] in "YM":
        raise ValueError(
            f"{name} holds durations in months or years, such as {duration!r}, of which not all "
            "are of one length in seconds. Give the number of them alone, as "
            f"{name}.astype('int64') of an array does, or days: {name}.astype('timedelta64[D]')."
        )
    return SECOND


def _refuse_moments(y, cells, owner, name):
    if isinstance(cells[0], time):
        what = "times of day"
        texts = f"pandas.Series(numpy.ravel({name})).map(str, na_action='ignore')"
        remedy = f"hours, such as pandas.to_timedelta({texts}) / pandas.Timedelta(hours=1)"
    else:
        what, first = "dates", ""
        if isinstance(cells[0], pd.Period):
            first = f"{name} = pandas.PeriodIndex(numpy.ravel({name})).to_timestamp(), then "
        elif not (_is_vector(y) and is_datetime64_any_dtype(y.dtype)):
            first = f"{name} = pandas.to_datetime(numpy.ravel({name})), then "
        remedy = (
            f"the time since a fixed moment, such as {first}({name} - {name}.min()) / "
            "pandas.Timedelta(days=1) for days, and add it to the moment again"
        )
    raise ValueError(
        f"{name} holds {what}, such as {cells[0]!r}, and {owner} needs numbers. Give {remedy}."
    )
