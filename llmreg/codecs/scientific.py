"""Numbers of any magnitude: sign, exponent, mantissa."""

from numbers import Integral

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from llmreg.codecs.base import MAX_LEAVES, TargetCodec
from llmreg.integrations.arithmetic import own_arithmetic

__all__ = ["ScientificCodec"]

SYMBOLS = ("-", "+", *"0123456789")
MINUS, PLUS, ZERO = 0, 1, 2  # places of these symbols
LARGEST = 307  # the largest exponent for which every mantissa is a float


@own_arithmetic
class ScientificCodec(TargetCodec):
    """Write y in scientific notation, exponent first: 1250 is "+ +3 13", that is 1.3 · 10³.

    Sign, sign of the exponent, exponent, mantissa: what matters most comes first. Or the exponent
    comes last, "+ 13 +2", that is 13 · 10². y is rounded to
    the nearest number, and every number has one spelling: the mantissa's first digit is not 0, and
    zero is written with zeros alone. Numbers are equally fine at every magnitude (in relative
    terms), and with ``exponent_margin`` they reach beyond what was seen. Magnitudes below 1e-307
    are written as zero.

    Errors are counted in steps from number to number in training: relative to the size of y.

    The range is not bounded by the targets. One number in a hundred that is a thousand times too
    large moves the mean by ten times the truth. With the default margin of one decade the mean
    still works; further out decode with "median" or "mode", and losses in which the size of numbers
    counts refuse this codec (all but the cross-entropies). Methods that train the mean alone always
    do.

    Parameters
    ----------
    n_mantissa : int, default=2
        Digits of the mantissa, 1 to 6. A number is within 5 · 10**-n_mantissa of y, relative to y.
        One more digit makes ten times as many numbers.
    exponent_margin : int, default=1
        Decades by which the exponents reach beyond those of the training targets, on either side:
        1 writes numbers from a tenth of the smallest magnitude to ten times the largest.
    signs : {"auto", "both"}, default="auto"
        "auto": the signs of the training targets (positive if all are zero). "both": both.
    min_exponent : int or None, default=None
        Fixed lower end of the exponents, -307 to 307, to which no margin is added. None: from the
        training targets. Targets that are tiny by chance make a long way to zero: a
        ``min_exponent`` shortens it, below which numbers are rounded to zero.
    max_exponent : int or None, default=None
        Fixed upper end of the exponents, likewise.
    order : {"exponent_first", "mantissa_first"}, default="exponent_first"
        "exponent_first": as GenRe²'s IEEE tokens. "mantissa_first": as its P10 tokens, where the
        exponent is that of a whole number. A model then writes digits before it knows their
        magnitude.

    Attributes
    ----------
    edges_ : ndarray of shape (L + 1,)
        Midpoints between the numbers, in the units of y.
    values_ : ndarray of shape (L,)
        The numbers, ascending.
    exponents_ : ndarray of shape (2,)
        Smallest and largest exponent.

    References
    ----------
    GenRe² (arXiv 2512.06533), IEEE-like tokenisation (there truncated, not rounded); RegressLM /
    OmniPred (arXiv 2402.14547), P10: sign, mantissa and exponent (there the exponent is one token,
    and a mantissa may begin with zeros).

    Examples
    --------
    >>> from llmreg import ScientificCodec
    >>> codec = ScientificCodec().fit([0.02, 15.0, 1250.0])
    >>> " ".join(codec.symbols[i] for i in codec.encode([1250.0])[0])
    '+ + 3 1 3'
    >>> codec.decode(codec.encode([1250.0, 0.0204, 9999.0])).tolist()
    [1300.0, 0.02, 10000.0]
    """

    bounded = linear = False
    widening = "Raise max_exponent of the codec, or leave it None."

    @property
    def far_reaching(self):
        """bool: with a margin of two decades or more, or a largest exponent of one's own."""
        return self.exponent_margin > 1 or self.max_exponent is not None

    _parameter_constraints: dict = {
        "n_mantissa": [Interval(Integral, 1, 6, closed="both")],
        "exponent_margin": [Interval(Integral, 0, None, closed="left")],
        "signs": [StrOptions({"auto", "both"})],
        "min_exponent": [None, Interval(Integral, -LARGEST, LARGEST, closed="both")],
        "max_exponent": [None, Interval(Integral, -LARGEST, LARGEST, closed="both")],
        "order": [StrOptions({"exponent_first", "mantissa_first"})],
    }

    def __init__(
        self,
        n_mantissa: int = 2,
        *,
        exponent_margin: int = 1,
        signs: str = "auto",
        min_exponent: int | None = None,
        max_exponent: int | None = None,
        order: str = "exponent_first",
    ):
        self.n_mantissa = n_mantissa
        self.exponent_margin = exponent_margin
        self.signs = signs
        self.min_exponent = min_exponent
        self.max_exponent = max_exponent
        self.order = order

    def _fit(self, y):
        both = self.signs == "both"
        self.negative_ = bool(both or (y < 0).any())
        self.positive_ = bool(both or (y > 0).any() or not self.negative_)
        low, high = self.exponents_ = self._exponents(np.abs(y[y != 0]))
        n_numbers = self._n_signs * int(high - low + 1) * 9 * 10 ** (self.n_mantissa - 1) + 1
        if n_numbers > MAX_LEAVES:
            raise ValueError(
                f"n_mantissa={self.n_mantissa} with exponents from {low} to {high} makes "
                f"{n_numbers:,} numbers; at most {MAX_LEAVES:,} are supported. Use a smaller "
                "n_mantissa or exponent_margin, or set min_exponent and max_exponent."
            )
        exponent, mantissa = self._magnitudes()
        size = _scaled(mantissa, exponent - self.n_mantissa + 1)
        below, above = size[::-1][: self.negative_ * len(size)], size[: self.positive_ * len(size)]
        self._place(np.concatenate([-below, [0.0], above]))

    @property
    def _n_signs(self):
        return int(self.negative_) + int(self.positive_)

    def _exponents(self, sizes):
        """Smallest and largest exponent, from the targets' magnitudes without zeros."""
        ends = [0, 0]
        if len(sizes):  # of the rounded numbers: 9.99 may become 10
            ends = [
                int(f"{size:.{self.n_mantissa - 1}e}".split("e")[1])
                for size in (sizes.min(), sizes.max())
            ]
        low, high = ends[0] - self.exponent_margin, ends[1] + self.exponent_margin
        low = low if self.min_exponent is None else self.min_exponent
        high = high if self.max_exponent is None else self.max_exponent
        low, high = np.clip([low, high], -LARGEST, LARGEST)
        if low > high:
            raise ValueError(
                f"The codec's range is empty: exponents from {low} (min_exponent="
                f"{self.min_exponent}) to {high} (max_exponent={self.max_exponent}). The first "
                "must not be above the second; use None to take an end from the targets."
            )
        return np.array([low, high])

    def _magnitudes(self):
        """Exponent and mantissa (as an integer) of all positive numbers, ascending."""
        check_is_fitted(self)
        low, high = self.exponents_
        first = 10 ** (self.n_mantissa - 1)
        mantissa = np.arange(first, 10 * first)
        exponent = np.arange(low, high + 1)
        return np.repeat(exponent, len(mantissa)), np.tile(mantissa, len(exponent))

    @property
    def symbols(self) -> tuple[str, ...]:
        """tuple of str: both signs and the digits."""
        return SYMBOLS

    @property
    def max_length(self) -> int:
        """int: two signs and all digits."""
        return 2 + self._exponent_digits + self.n_mantissa

    @property
    def _exponent_digits(self):
        check_is_fitted(self)
        return len(str(np.abs(self.exponents_ - self._shift).max()))

    @property
    def _shift(self):
        """Decades between the exponents of 1.3 and of 13."""
        return 0 if self.order == "exponent_first" else self.n_mantissa - 1

    def sequences(self) -> NDArray[np.int64]:
        """All sequences, in ascending order of the number they name.

        Returns
        -------
        ndarray of shape (L, N), int64
            Indices into :attr:`symbols`: sign, sign of the exponent, digits of the exponent and of
            the mantissa; or the mantissa before the exponent.
        """
        exponent, mantissa = self._magnitudes()
        exponent = exponent - self._shift
        parts = [
            np.where(exponent < 0, MINUS, PLUS),
            ZERO + _digits(np.abs(exponent), self._exponent_digits),
            ZERO + _digits(mantissa, self.n_mantissa),
        ]
        size = np.column_stack(parts if self.order == "exponent_first" else parts[2:] + parts[:2])
        zero = np.full((1, self.max_length), ZERO)
        below = np.insert(size[::-1][: self.negative_ * len(size)], 0, MINUS, axis=1)
        above = np.insert(size[: self.positive_ * len(size)], 0, PLUS, axis=1)
        return np.concatenate([below, zero, above])


def _digits(k, n_digits):
    """Decimal digits (n, n_digits) of non-negative integers."""
    return (k[:, None] // 10 ** np.arange(n_digits - 1, -1, -1)) % 10


def _scaled(k, power):
    """k · 10**power as Python reads it, that is correctly rounded."""
    # Powers up to 22 are floats themselves, so a single operation rounds.
    exact = np.abs(power) <= 22
    tens = 10.0 ** np.where(exact, np.abs(power), 0)
    values = np.where(power >= 0, k * tens, k / tens)
    values[~exact] = [float(f"{m}e{p}") for m, p in zip(k[~exact], power[~exact], strict=True)]
    return values
