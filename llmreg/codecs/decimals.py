"""Numbers in their own units, as people write them: "-12.50"."""

from numbers import Integral, Real

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from llmreg.codecs.base import END, MAX_LEAVES, TargetCodec
from llmreg.integrations.arithmetic import own_arithmetic

__all__ = ["DecimalCodec"]

SYMBOLS = (*"0123456789", "-", ".", END)
MINUS, POINT, STOP = 10, 11, 12  # places of these symbols
FINEST = 2**53  # floats resolve integers up to here


@own_arithmetic
class DecimalCodec(TargetCodec):
    """Write y in its own units with a fixed number of decimals: "-12.50", "7.00".

    No leading zeros, no plus, as in the text that pretrained models have read: for models that are
    asked without training. Models that are trained do better with :class:`DigitCodec`, whose first
    digit says most: here "1" may begin 1, 10 to 19, or 100.

    Parameters
    ----------
    n_decimals : int, default=2
        Digits after the point, 0 to 15; 0 writes whole numbers, which end with END (the model's
        end-of-text token). y is rounded to the nearest number.
    low : float or None, default=None
        Lower end of the range, in the units of y. None: from the training targets.
    high : float or None, default=None
        Upper end of the range, likewise.
    margin : float, default=0.1
        Widen the range of the training targets by this fraction of it on either side, where
        ``low`` or ``high`` is None. May reach below zero where no target does: set ``low=0`` then.

    Attributes
    ----------
    edges_ : ndarray of shape (L + 1,)
        Ends of the bins in the units of y: half a unit of the last decimal around each number.
    values_ : ndarray of shape (L,)
        The numbers, ascending. At most 1,000,000.
    exact_ : bool
        Whether each training target within the range is one of the numbers, as counts are with
        ``n_decimals=0``: then all probability is on them. Else it fills the bins.

    References
    ----------
    RAFT (Lukasik et al. 2025): targets as text in their own units.

    Examples
    --------
    >>> from llmreg import DecimalCodec
    >>> codec = DecimalCodec(n_decimals=1).fit([-12.5, 7.0])
    >>> ["".join(codec.symbols[i] for i in row) for row in codec.encode([-12.5, 7.04])]
    ['-12.5', '7.0<end><end>']
    >>> codec.decode(codec.encode([7.04])).tolist()
    [7.0]
    """

    widening = "Widen low and high of the codec, or leave them None."

    _parameter_constraints: dict = {
        "n_decimals": [Interval(Integral, 0, 15, closed="both")],
        "low": [None, Interval(Real, None, None, closed="neither")],
        "high": [None, Interval(Real, None, None, closed="neither")],
        "margin": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        n_decimals: int = 2,
        *,
        low: float | None = None,
        high: float | None = None,
        margin: float = 0.1,
    ):
        self.n_decimals = n_decimals
        self.low = low
        self.high = high
        self.margin = margin

    def _fit(self, y):
        low, high = self._range(y)
        unit = 10.0**self.n_decimals
        n_numbers = (high - low) * unit + 1
        if n_numbers > MAX_LEAVES:
            raise ValueError(
                f"n_decimals={self.n_decimals} from {low:g} to {high:g} makes {n_numbers:,.15g} "
                f"numbers; at most {MAX_LEAVES:,} are supported. Use fewer n_decimals, a smaller "
                "margin, set low and high, or use a ScientificCodec or DigitCodec."
            )
        if 2 * max(abs(low), abs(high)) * unit >= FINEST:
            raise ValueError(
                f"n_decimals={self.n_decimals} is finer than floats near {low:g} and {high:g} "
                "resolve. Use fewer n_decimals, subtract a constant from the targets, or use a "
                "DigitCodec."
            )
        self.first_ = round(low * unit)
        k = self.first_ + np.arange(round(high * unit) - self.first_ + 1)
        self.values_ = k / unit
        self.edges_ = np.append(2 * k - 1, 2 * k[-1] + 1) / (2 * unit)
        # What the codec writes is y itself, and not what y was rounded to.
        self.exact_ = bool(
            (self.values_[self.leaf_of(y)] == np.clip(y, *self.values_[[0, -1]])).all()
        )

    def cells(self):
        """Where the probability of each number lies; see :meth:`TargetCodec.cells`."""
        check_is_fitted(self)
        return self._atoms() if self.exact_ else super().cells()

    def _range(self, y):
        least, most = float(y.min()), float(y.max())  # Python's floats overflow without a warning
        widen = float(self.margin) * (most - least)
        low = least - widen if self.low is None else float(self.low)
        high = most + widen if self.high is None else float(self.high)
        if low > high:
            raise ValueError(
                f"The codec's range is empty: low={low:g}, high={high:g}. low must not be above "
                "high or the targets' maximum; use None to take an end from the targets."
            )
        return low, high

    @property
    def symbols(self) -> tuple[str, ...]:
        """tuple of str: digits, minus, point and END."""
        return SYMBOLS

    def sequences(self) -> NDArray[np.int64]:
        """All sequences, in ascending order of the number they name.

        Returns
        -------
        ndarray of shape (L, N), int64
            Indices into :attr:`symbols`, filled up with END.
        """
        check_is_fitted(self)
        k = self.first_ + np.arange(len(self.values_))
        size = np.abs(k)
        # Digits before the point, at least one; the point; digits after it.
        most = max(len(str(size.max())), self.n_decimals + 1)
        digits = (size[:, None] // 10 ** np.arange(most - 1, -1, -1)) % 10
        before = most - self.n_decimals
        parts = [np.full((len(k), 1), MINUS), digits[:, :before]]
        if self.n_decimals:
            parts += [np.full((len(k), 1), POINT), digits[:, before:]]
        text = np.concatenate(parts, 1)
        leading = (digits[:, : before - 1] != 0).cumsum(1) == 0
        skip = np.zeros(text.shape, dtype=bool)
        skip[:, 0], skip[:, 1:before] = k >= 0, leading
        return _shifted_left(text, skip)


def _shifted_left(text, skip):
    """Rows without the skipped symbols, filled up with END and no longer than need be."""
    order = skip.argsort(axis=1, kind="stable")
    rows = np.take_along_axis(np.where(skip, STOP, text), order, 1)
    return rows[:, : int((~skip).sum(1).max())]
