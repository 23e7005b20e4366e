"""How y is spread over bins: logarithms that bend an axis, in numpy."""

import numpy as np

__all__ = ["bend", "log_scale", "symlog_scale", "unbend"]

# All but the smallest targets of one sign are told apart by their ratios; the smallest twentieth, a
# few of which may be tiny, does not stretch the scale.
LOW = 0.05
# Where no target is zero, the scale is linear only far below that.
BELOW = 0.01
# Numbers smaller than this share of the largest would overflow when they divide it.
FINEST = 1e-300
FAR = 700.0  # of which the exponential is still a float
SMALLEST, LARGEST = np.finfo(np.float64).tiny, np.finfo(np.float64).max


def bend(y, centre, unit):
    """sign(x) · log(1 + |x|), x = (y − centre) / unit: linear near the centre, then logarithmic."""
    apart = y - centre
    with np.errstate(over="ignore", divide="ignore"):
        size = np.log1p(np.abs(apart / unit))
        far = np.log(np.abs(apart)) - np.log(unit)  # where the quotient overflows, 1 + is nothing
    return np.sign(apart) * np.where(np.isinf(size), far, size)


def unbend(t, centre, unit):
    """The inverse of :func:`bend`; what would overflow becomes the largest float."""
    size = np.abs(t)
    with np.errstate(over="ignore"):
        apart = np.where(size < FAR, np.expm1(size) * unit, np.exp(size + np.log(unit)))
        return np.clip(np.sign(t) * apart + centre, -LARGEST, LARGEST)


def log_scale(y):
    """Centre and unit of a logarithm about zero.

    Parameters
    ----------
    y : ndarray of shape (n,)

    Returns
    -------
    centre : float
        0.
    unit : float
        Where all targets have one sign, the 5 % quantile of their sizes without zeros, and a
        hundredth of that if there are no zeros; else the median size. 1 if all are zero.
    """
    sizes = np.abs(y[y != 0])
    if not len(sizes):
        return 0.0, 1.0
    if y.min() < 0 < y.max():
        unit = np.median(sizes)
    else:
        unit = np.quantile(sizes, LOW) * (BELOW if len(sizes) == len(y) else 1.0)
    return 0.0, max(float(unit), FINEST * float(sizes.max()), SMALLEST)


def symlog_scale(y):
    """Centre and unit of a logarithm about the median, to both sides.

    Parameters
    ----------
    y : ndarray of shape (n,)

    Returns
    -------
    centre, unit : float
        The median, and the median distance from it of targets that differ from it (1 if none do).
    """
    centre = float(np.median(y))
    apart = np.abs(y - centre)
    apart = apart[apart > 0]
    unit = float(np.median(apart)) if len(apart) else 1.0
    return centre, max(unit, FINEST * float(np.abs(y).max()), SMALLEST)
