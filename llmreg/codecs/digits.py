"""Target codecs: a number y ↔ the sequence of symbols that the language model writes for it.

A codec is the only place that knows how a number is spelled. It says which symbols exist, which
sequence of them stands for a given y, and which interval of y each sequence names;
:mod:`llmreg.numbers.tree` turns that into the number tree. Here is the codec of digits; the others
are in :mod:`~llmreg.codecs.scientific`, :mod:`~llmreg.codecs.grids` and
:mod:`~llmreg.codecs.decimals`.
"""

from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from llmreg.codecs.base import END, MAX_LEAVES, TargetCodec, between, floats
from llmreg.codecs.scales import (
    bend,
    log_scale,
    needs_shift,
    shifted_log_scale,
    symlog_scale,
    unbend,
)
from llmreg.integrations.arithmetic import own_arithmetic

__all__ = ["END", "SYMBOLS", "DigitCodec", "TargetCodec"]

SYMBOLS = "0123456789abcdefghijklmnopqrstuvwxyz"
# Fewer rows of one number, or a smaller share of their bin's, are no heap but chance.
HEAP_ROWS, END_SHARE, INNER_SHARE = 3, 0.2, 0.5
# scale="auto" leaves equal bins where one of them holds more of the targets than this share, and
# its own among even bins.
CROWDED = 0.25
HUGE = 1e300  # a range whose multiples may overflow
BENT = {"log": log_scale, "shifted_log": shifted_log_scale, "symlog": symlog_scale}


def bent_scales(y):
    """Names of the logarithmic scales that targets are tried on, simple ones first."""
    return [scale for scale in BENT if scale != "shifted_log" or needs_shift(y)]


@own_arithmetic
class DigitCodec(TargetCodec):
    """Write y as a fixed number of digits of its rescaled value, most significant first.

    ``y`` is mapped monotonically to z in [0, 1), then k = floor(z · base**n_digits) is written
    in base ``base``. Every sequence of digits is a number, so nothing the model writes can fail
    to parse, and no end token is needed. A sequence decodes to the centre of its bin.

    Where targets heap up on one number (whole numbers, no rain, five stars, a run that was
    stopped), it has a share of its bin's probability to itself, as large as its share of the bin's
    training targets (three of them or more, and half of the bin's; of an end of the range one in
    five): intervals reach it, and ``cdf`` rises there. As in a censored regression, what lies
    beyond an end with a heap counts for it.

    Parameters
    ----------
    base : int, default=10
        Number of symbols, 2 to 36. A prefix of the sequence narrows y by this factor. Models with
        a fixed vocabulary write the symbols "0"–"9" and "a"–"z" with their own tokens.
    n_digits : int, default=2
        Length of the sequence. ``base ** n_digits`` bins cover the range of y (at most 1,000,000).
        More digits resolve y more finely and cost more tree nodes; the expectation (RAIL)
        interpolates between bins, so two decimal digits are enough for most tables.
    scale : {"auto", "minmax", "log", "shifted_log", "symlog", "quantile"}, default="auto"
        How y is spread over the bins; errors are measured on that scale in training. "minmax":
        bins of equal width. "log": of equal width in sign(y) · log(1 + abs(y) / s), for targets
        with a heavy tail such as prices; s is so small that nearly all bins are of equal ratio
        (see :func:`llmreg.codecs.scales.log_scale`). "shifted_log": the same in the distance
        from where y begins, for one heavy tail that does not begin at zero: a base fee and what
        comes on top, scores below a cap (see :func:`llmreg.codecs.scales.shifted_log_scale`).
        "symlog": the same in y less its median, for heavy tails on both sides. "quantile": bins
        that hold equally many training rows, fine where y is dense. "auto":
        :class:`~llmreg.LLMRegressor` chooses "minmax" or a logarithm by held-out rows (see
        ``target_scale_scores_`` there); fitted alone, the codec takes "minmax" unless a bin would
        hold more than a quarter of the targets, and then the logarithm that tells most of them
        apart. "shifted_log" is considered where the targets are skewed and begin far from zero
        (fitted alone, where "symlog" tells more apart than "log").
    margin : float, default=0.0
        Widen the range of the training targets by this fraction of it on either side, measured on
        the scale, so that predictions can go beyond what was seen. Not available with
        ``scale="quantile"``.
    low : float or None, default=None
        Fixed lower end of the range, in the units of y. None: taken from the training targets.
    high : float or None, default=None
        Fixed upper end of the range, likewise.
    rounding : {"bin", "nearest"}, default="bin"
        "bin": each sequence of digits is a bin of equal width on the scale, and decodes to its
        centre. "nearest": it is the bin's lower end, and targets go to the nearest of these, as
        GenRe² (arXiv 2512.06533) writes them: the highest number is a bin's width below the range's
        upper end, and no end has a share of its own.

    Attributes
    ----------
    edges_ : ndarray of shape (base ** n_digits + 1,)
        Ends of the bins in the units of y, ascending.
    values_ : ndarray of shape (base ** n_digits,)
        The number each bin decodes to: its centre, and for bins with a heap the mean of both.
    scale_ : str
        The scale in use: ``scale``, or what "auto" chose.
    centre_, unit_ : float
        Of the logarithm, in the units of y; 0 and 1 where there is none.
    heaps_ : ndarray of shape (base ** n_digits,)
        Share of each bin's training targets that are one number; 0 where that is no heap.
    heap_values_ : ndarray of shape (base ** n_digits,)
        That number.
    points_ : bool
        Whether targets take few numbers, each three times in the mean and no two in a bin: then all
        probability lies on them, that of a bin without targets on the nearest.

    References
    ----------
    GenRe² (arXiv 2512.06533), normalised tokenisation; there bins decode to their left edge.

    Examples
    --------
    >>> from llmreg import DigitCodec
    >>> codec = DigitCodec(base=10, n_digits=2).fit([0.0, 10.0])
    >>> codec.encode([3.14]).tolist()
    [[3, 1]]
    >>> float(codec.decode([[3, 1]])[0].round(3))
    3.15
    >>> stars = DigitCodec().fit([1.0, 3.5, 4.0, 5.0, 5.0, 5.0])
    >>> stars.heaps_[[0, -1]].tolist(), stars.decode(stars.encode([5.0])).tolist()
    ([0.0, 1.0], [5.0])
    """

    widening = "Widen low and high of the codec, or leave them None."

    _parameter_constraints: dict = {
        "base": [Interval(Integral, 2, 36, closed="both")],
        "n_digits": [Interval(Integral, 1, 20, closed="both")],
        "scale": [StrOptions({"auto", "minmax", "log", "shifted_log", "symlog", "quantile"})],
        "margin": [Interval(Real, 0, None, closed="left")],
        "low": [None, Interval(Real, None, None, closed="neither")],
        "high": [None, Interval(Real, None, None, closed="neither")],
        "rounding": [StrOptions({"bin", "nearest"})],
    }

    def __init__(
        self,
        base: int = 10,
        n_digits: int = 2,
        *,
        scale: str = "auto",
        margin: float = 0.0,
        low: float | None = None,
        high: float | None = None,
        rounding: str = "bin",
    ):
        self.base = base
        self.n_digits = n_digits
        self.scale = scale
        self.margin = margin
        self.low = low
        self.high = high
        self.rounding = rounding

    def _fit(self, y):
        n_bins = self._check_size()
        if self.scale != "auto":
            return self._spread(y, self.scale, n_bins)
        self._spread(y, "minmax", n_bins)
        crowding = {"minmax": self.crowding(y)}
        if crowding["minmax"] <= CROWDED + 1 / n_bins:
            return self
        for scale in bent_scales(y):
            crowding[scale] = self._spread(y, scale, n_bins).crowding(y)
        if crowding["log"] <= crowding["symlog"]:
            crowding.pop("shifted_log", None)  # ratios of y itself are simpler
        return self._spread(y, min(crowding, key=crowding.get), n_bins)

    def _spread(self, y, scale, n_bins):
        """Set the bins on a scale."""
        self.scale_ = scale
        self.centre_, self.unit_ = BENT[scale](y) if scale in BENT else (0.0, 1.0)
        low, high = self._range(y)
        grid = np.linspace(0.0, 1.0, n_bins + 1)
        if scale == "quantile":
            inside = np.concatenate([[low], y[(y > low) & (y < high)], [high]])
            self.edges_ = np.quantile(inside, grid)
        elif scale in BENT:
            ends = self.to_axis([low, high])
            self.edges_ = self.from_axis(ends[0] + grid * (ends[1] - ends[0]))
        else:
            # Multiplied before it is divided, so that integer edges are exactly integers.
            span = high - low
            parts = np.arange(n_bins + 1)
            self.edges_ = low + (parts * span / n_bins if span < HUGE else parts * (span / n_bins))
        # Rounding in the (inverse) scale must not move the ends or the order of the bins.
        self.edges_[[0, -1]] = low, high
        self.edges_ = np.maximum.accumulate(np.clip(self.edges_, low, high))
        below, above = self.edges_[:-1], self.edges_[1:]
        # Halved first, as sums may overflow; halves of the smallest floats are 0.
        self.values_ = np.clip(below / 2 + above / 2, below, above)
        return self

    @property
    def linear(self):
        """bool: whether bins have equal width in y."""
        check_is_fitted(self)
        return self.scale_ == "minmax"

    def to_axis(self, y: ArrayLike) -> NDArray[np.float64]:
        """Where numbers lie on the scale; see :meth:`TargetCodec.to_axis`."""
        y = floats(self, y)
        bent = self.scale_ in BENT
        return bend(y, self.centre_, self.unit_) if bent else super().to_axis(y)

    def from_axis(self, t: ArrayLike) -> NDArray[np.float64]:
        """The numbers at places on the scale; see :meth:`TargetCodec.to_axis`."""
        t = floats(self, t, "t")
        bent = self.scale_ in BENT
        return unbend(t, self.centre_, self.unit_) if bent else super().from_axis(t)

    def _see_heaps(self, y, weight):
        self.heaps_, self.heap_values_ = np.zeros(len(self.values_)), self.values_.copy()
        self.points_ = False
        if self.rounding == "nearest":
            self._round_to_lower_ends()
            return
        number, place = np.unique(self.clip(y), return_inverse=True)
        leaf, n_rows = self.leaf_of(number), np.bincount(place)
        if len(np.unique(leaf)) == len(number) and len(y) >= HEAP_ROWS * len(number):
            self._let_points(number, leaf)
        else:
            self._heap_up(number, leaf, n_rows, np.bincount(place, weight))
        self.values_ = (1 - self.heaps_) * self.values_ + self.heaps_ * self.heap_values_

    def _round_to_lower_ends(self):
        """Let numbers be the bins' lower ends, each with what is nearest to it."""
        self.values_ = self.edges_[:-1].copy()
        place = self.to_axis(self.values_)
        self.edges_[1:-1] = between(self.from_axis(place[:-1] / 2 + place[1:] / 2), self.values_)

    def _let_points(self, number, leaf):
        """Let all probability lie on numbers, each in a bin of its own."""
        self.points_ = True
        between = np.searchsorted(number[:-1] / 2 + number[1:] / 2, self.values_)
        self.heap_values_ = number[between]
        self.heaps_[leaf], self.heap_values_[leaf] = 1.0, number

    def _heap_up(self, number, leaf, n_rows, count):
        """See which bins have targets that are one number: how many rows, and their weight."""
        end = np.isin(number, self.edges_[[0, -1]])
        share = count / np.bincount(leaf, count)[leaf]
        heap = (n_rows >= HEAP_ROWS) & (share >= np.where(end, END_SHARE, INNER_SHARE))
        # Of a bin, the last: the end if it is one.
        order = np.lexsort((count, end))
        chosen = order[heap[order]]
        self.heaps_[leaf[chosen]] = share[chosen]
        self.heap_values_[leaf[chosen]] = number[chosen]

    @property
    def open_edges(self):
        """ndarray of shape (L + 1,): ``edges_``, infinite where targets heap up on the end."""
        edges, k = super().open_edges.copy(), [0, -1]
        heaped = (self.heaps_[k] > 0) & (self.heap_values_[k] == edges[k])
        edges[k] = np.where(heaped, [-np.inf, np.inf], edges[k])
        return edges

    def cells(self):
        """Where the probability of each number lies; see :meth:`TargetCodec.cells`.

        A cell per bin; where some of its targets heap up, one more for them and, behind a heap
        within the bin, one for the rest. With ``points_`` the nearest number of the targets.
        """
        check_is_fitted(self)
        if self.rounding == "nearest":
            return super().cells()
        leaf, span, _, share = super().cells()
        heap = self.heap_values_
        if self.points_:
            return leaf, np.repeat(heap[:, None], 2, axis=1), heap.copy(), share
        whole, part = self.heaps_ == 1, (self.heaps_ > 0) & (self.heaps_ < 1)
        inner = part & (span[:, 0] < heap) & (heap < span[:, 1])
        rest = np.stack([heap, span[:, 1]], axis=1)[inner]
        share[part] -= self.heaps_[part]
        behind = share[inner] * (rest[:, 1] - rest[:, 0]) / (span[inner, 1] - span[inner, 0])
        share[inner] -= behind
        span[inner, 1] = heap[inner]
        span[whole] = heap[whole, None]
        span = np.concatenate([span, np.repeat(heap[part, None], 2, axis=1), rest])
        return (
            np.concatenate([leaf, leaf[part], leaf[inner]]), span,
            np.clip(span[:, 0] / 2 + span[:, 1] / 2, *span.T),
            np.concatenate([share, self.heaps_[part], behind]),
        )  # fmt: skip

    def _check_size(self):
        n_bins = int(self.base) ** int(self.n_digits)
        if n_bins > MAX_LEAVES:
            raise ValueError(
                f"base={self.base} with n_digits={self.n_digits} makes {n_bins:,} bins; at most "
                f"{MAX_LEAVES:,} are supported. Use fewer digits."
            )
        if self.scale == "quantile" and self.margin:
            raise ValueError(
                f"margin={self.margin} has no meaning with scale='quantile', whose bins follow the "
                "training targets. Use margin=0 or scale='minmax' or 'log'."
            )
        return n_bins

    def _range(self, y):
        low, high = self._widened(y.min(), y.max())
        low = float(low if self.low is None else self.low)
        high = float(high if self.high is None else self.high)
        fixed = self.low is not None or self.high is not None
        if low > high or (fixed and low == high):
            raise ValueError(
                f"The codec's range is empty: low={low:g}, high={high:g}. low must be below high "
                "and below the targets' maximum; use None to take an end from the targets."
            )
        if not np.isfinite(high - low):
            raise ValueError(
                f"The codec's range, from {low:g} to {high:g}, is wider than floats can be. Use a "
                "smaller margin, set low and high, or divide the targets by a large number."
            )
        return low, high

    def _widened(self, low, high):
        """Both ends of the range of the targets, with the margin."""
        if not self.margin:
            return low, high
        ends = self.to_axis([low, high])
        with np.errstate(over="ignore"):
            widen = self.margin * (ends[1] - ends[0])
            wide = self.from_axis(ends + np.array([-widen, widen]))
        # Rounding in the (inverse) scale must not make it narrower.
        return min(wide[0], low), max(wide[1], high)

    @property
    def symbols(self) -> tuple[str, ...]:
        """tuple of str: the symbols the model writes, in ascending order of their value."""
        return tuple(SYMBOLS[: self.base])

    def sequences(self) -> NDArray[np.int64]:
        """All sequences, in ascending order of the bin they name.

        Returns
        -------
        ndarray of shape (base ** n_digits, n_digits), int64
            Indices into :attr:`symbols`.
        """
        return self._digits(np.arange(self._check_size()))

    def _digits(self, k):
        place = self.base ** np.arange(self.n_digits - 1, -1, -1, dtype=np.int64)
        return (k[:, None] // place) % self.base

    @property
    def max_length(self) -> int:
        """int: ``n_digits``."""
        return int(self.n_digits)

    def encode(self, y: ArrayLike) -> NDArray[np.int64]:
        """Numbers to symbol sequences, (n_rows, n_digits); see :meth:`TargetCodec.encode`."""
        return self._digits(self.leaf_of(y))

    def _leaf_named(self, sequences):
        place = self.base ** np.arange(self.n_digits - 1, -1, -1, dtype=np.int64)
        return sequences.astype(np.int64) @ place, np.ones(len(sequences), dtype=bool)
