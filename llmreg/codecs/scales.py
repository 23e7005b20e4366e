"""How y is spread over bins: logarithms that bend an axis, in numpy."""

import numpy as np

__all__ = ["bend", "log_scale", "needs_shift", "shifted_log_scale", "symlog_scale", "unbend"]

# All but the smallest targets of one sign are told apart by their ratios; the smallest twentieth, a
# few of which may be tiny, does not stretch the scale.
LOW = 0.05
# Where no target is zero, the scale is linear only far below that.
BELOW = 0.01
# Targets are skewed whose tail is this many times as long on one side of the median as on the
# other, and begin at zero if that is no farther from them than this share of their way to it.
SKEWED, AT_ZERO = 2.0, 0.25
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


def needs_shift(y):
    """Whether targets crowd near an end of their range that is far from zero.

    Parameters
    ----------
    y : ndarray of shape (n,)

    Returns
    -------
    bool
        Of a logarithm about zero and :func:`shifted_log_scale` only the latter may then fit.
    """
    centre, near, far = _crowd(y)
    one_sign = y.min() >= 0 or y.max() <= 0
    return bool(far > SKEWED * near) and not (one_sign and abs(centre) <= AT_ZERO * near)


def shifted_log_scale(y):
    """Centre and unit of a logarithm about the end of the range near which the targets crowd.

    Parameters
    ----------
    y : ndarray of shape (n,)

    Returns
    -------
    centre : float
        The 5 % or 95 % quantile, whichever is nearer the median: a few targets may be beyond it.
    unit : float
        The 10 % quantile of the distances from it of targets that differ from it (1 if none do).
    """
    centre = _crowd(y)[0]
    return centre, _unit_about(centre, y, lambda apart: np.quantile(apart, 2 * LOW))


def _crowd(y):
    """Where targets begin on the side where they crowd, and how far the median is, and the tail."""
    low, middle, high = (float(quantile) for quantile in np.quantile(y, [LOW, 0.5, 1 - LOW]))
    below, above = middle - low, high - middle
    return (low, below, above) if below <= above else (high, above, below)


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
    return centre, _unit_about(centre, y, np.median)


def _unit_about(centre, y, typical):
    """A typical distance of targets from a centre, ties with it left out."""
    apart = np.abs(y - centre)
    apart = apart[apart > 0]
    unit = float(typical(apart)) if len(apart) else 1.0
    return max(unit, FINEST * float(np.abs(y).max()), SMALLEST)
