"""Predictive distributions over numbers, one histogram per row."""

import numbers
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from llmreg.integrations.arithmetic import own_arithmetic
from llmreg.numbers.histogram_cells import (
    as_support,
    finite,
    joined,
    merged,
    normalised,
    ordered,
    per_row,
    stacked,
)
from llmreg.numbers.presentation import PresentationMixin
from llmreg.tables.targets import refuse_masked

Floats = NDArray[np.float64]
RandomState = int | np.random.RandomState | None

DRAWN = ("sample", "sampled_mean", "sampled_median")
DECODINGS = ("rail", "median", "mode", "greedy", *DRAWN)

LEVELS = "a scalar or a 1-D array of numbers in [0, 1] (probabilities, not percentages)"
_BLOCK_CELLS = 2**20  # cells per block in crps, whose temporaries are about ten times a block
_TINY = np.nextafter(0, 1)
_FINE = 2.0**-960  # numbers below have products with probabilities that underflow


@own_arithmetic
class NumericDistribution(PresentationMixin):
    """One predictive distribution per row, over intervals of y.

    Row i is a histogram: cell k is the interval ``[lower, upper]``, holds the mass
    ``probabilities[i, k]`` spread uniformly, and stands for the number ``values[k]``.
    A cell with ``lower == upper`` is an atom. All lengths are in the units of y.

    Parameters
    ----------
    probabilities : array-like of shape (n_rows, K)
        Masses >= 0 whose rows sum to 1 within 1e-3; renormalised in float64.
    lower, upper : array-like of shape (K,) or (n_rows, K)
        Finite cell edges, shared by all rows or per row, in any order. Cells with mass
        have ``lower <= upper`` and do not overlap; cells without mass are padding. Atoms that
        are one point, and stand for one number, are made one cell.
    values : array-like of shape (K,) or (n_rows, K), default=None
        The number each cell stands for in `mean`, `mode` and the decoding "sample" (None:
        the midpoint).
    greedy : array-like of shape (n_rows,), default=None
        The number reached by taking the most probable token at every step.
    mode : array-like of shape (n_rows,), default=None
        The most probable number, where the cells alone can't tell: a wide cell that merges many
        numbers may hold more mass than the best single one (None: the most probable cell's value).

    Attributes
    ----------
    probabilities, lower, upper, values : read-only float64 arrays
        As given, sorted by lower edge within each row (padding that is out of order is moved to
        the upper end of its row), atoms of the same number as one.

    Raises
    ------
    ValueError
        If shapes disagree, a number is not finite, a probability is negative, a row does
        not sum to 1, or cells with mass are reversed or overlap.

    Examples
    --------
    >>> from llmreg import NumericDistribution
    >>> dist = NumericDistribution([[0.5, 0.5], [0.0, 1.0]], lower=[0, 1], upper=[1, 3])
    >>> dist
    NumericDistribution(n_rows=2, n_cells=2, shared support)
    >>> dist.mean().tolist(), dist.median().tolist()
    ([1.25, 2.0], [1.0, 2.0])
    >>> dist[1].interval(0.5).tolist()
    [[1.5, 2.5]]
    """

    def __init__(
        self,
        probabilities: ArrayLike,
        lower: ArrayLike,
        upper: ArrayLike,
        *,
        values: ArrayLike | None = None,
        greedy: ArrayLike | None = None,
        mode: ArrayLike | None = None,
    ):
        p = normalised(probabilities)
        lower, upper = as_support("lower", lower, p.shape), as_support("upper", upper, p.shape)
        # Halving first: the sum of two large finite edges may overflow.
        values = lower / 2 + upper / 2 if values is None else as_support("values", values, p.shape)
        chosen = (per_row(name, a, len(p)) for name, a in (("greedy", greedy), ("mode", mode)))
        self._store(*merged(*ordered(p, lower, upper, values)), *chosen)

    def _store(self, *arrays):
        """Keep arrays that are already checked and sorted, as read-only views."""
        arrays = [a if a is None else a.view() for a in arrays]
        for a in arrays:
            if a is not None:
                a.flags.writeable = False
        self.probabilities, self.lower, self.upper, self.values, self._greedy, self._mode = arrays
        return self

    def __len__(self) -> int:
        return len(self.probabilities)

    def __repr__(self):
        n_rows, n_cells = self.probabilities.shape
        support = "shared" if self.lower.ndim == 1 else "per-row"
        return f"NumericDistribution(n_rows={n_rows}, n_cells={n_cells}, {support} support)"

    def __getitem__(self, rows: int | slice | ArrayLike) -> "NumericDistribution":
        """The distributions of these rows (int, slice, mask or array), as another instance."""
        if not isinstance(rows, slice):
            rows = np.atleast_1d(np.arange(len(self))[rows])
            if rows.ndim != 1:
                raise IndexError(
                    f"the row index selects shape {rows.shape}; rows have one axis: "
                    "use an int, a slice, a mask or a 1-D array."
                )
        support = (a if a.ndim == 1 else a[rows] for a in (self.lower, self.upper, self.values))
        chosen = (a if a is None else a[rows] for a in (self._greedy, self._mode))
        return type(self).__new__(type(self))._store(self.probabilities[rows], *support, *chosen)

    @classmethod
    def concatenate(cls, parts: "Iterable[NumericDistribution]") -> "NumericDistribution":
        """Stack the rows of an iterable of distributions, whose supports and K may differ
        (shorter rows are padded with cells without mass). ValueError if there are no parts, or
        if only some of them carry greedy values or modes."""
        parts = list(parts)
        if not parts:
            raise ValueError("There is nothing to concatenate: give at least one part.")
        chosen = (joined(name, [getattr(part, f"_{name}") for part in parts])
                  for name in ("greedy", "mode"))  # fmt: skip
        cells = [(part.probabilities, part.lower, part.upper, part.values) for part in parts]
        return cls.__new__(cls)._store(*stacked(cells), *chosen)

    def transformed(self, function: Callable[[Floats], Floats]) -> "NumericDistribution":
        """The distributions of ``function(y)``.

        Parameters
        ----------
        function : callable
            Ascending; arrays of numbers to arrays of the same shape. Cells stay cells, with mass
            uniform within: finite ones must not become infinite. Those that it maps to one point
            become one, and then the mode is the most probable cell's value.

        Returns
        -------
        NumericDistribution
        """
        a = (self.lower, self.upper, self.values, self._greedy, self._mode)
        *support, greedy, mode = (part if part is None else function(part) for part in a)
        cells = merged(self.probabilities, *support)
        mode = mode if cells[0].shape == self.probabilities.shape else None
        return type(self).__new__(type(self))._store(*cells, greedy, mode)

    def mean(self) -> Floats:
        """Expected value, (n_rows,): what RAIL predicts (Lukasik et al., Regression-aware
        inference with LLMs, 2024; its fine-tuning, RAFT, 2025), optimal for squared error."""
        if np.abs(self.values).max(initial=0.0) < _FINE:
            return self._expect(self.values / _FINE) * _FINE
        return self._expect(self.values)

    def std(self) -> Floats:
        """Standard deviation of the histogram, (n_rows,): mass uniform within cells, so it is
        taken about the mean of the midpoints, whatever `values` are."""
        middle = self.lower / 2 + self.upper / 2
        # From the likeliest cell on, so that a constant has no spread of rounding errors.
        likeliest = self.probabilities.argmax(axis=1)[:, None]
        middle = middle - _pick(middle, likeliest)
        deviation = middle - self._expect(middle)[:, None]
        width = self.upper / 2 - self.lower / 2
        # As shares of the largest, whose squares don't overflow; padding does not count.
        counts = self.probabilities > 0
        size = np.where(counts, np.maximum(np.abs(deviation), width), 0.0).max(1, keepdims=True)
        unit = np.where(size > 0, size, 1.0)
        with np.errstate(over="ignore"):
            square = (deviation / unit) ** 2 + (width / unit) ** 2 / 3
        return np.sqrt(self._expect(np.where(counts, square, 0.0))) * unit[:, 0]

    def median(self) -> Floats:
        """`quantile(0.5)`, (n_rows,): optimal for absolute error."""
        return self.quantile(0.5)

    def mode(self) -> Floats:
        """The most probable number: the one given, or the value of the most probable cell,
        (n_rows,); of several, the smallest value."""
        if self._mode is not None:
            return self._mode
        p = self.probabilities
        return np.where(p == p.max(axis=1, keepdims=True), self.values, np.inf).min(axis=1)

    def greedy(self) -> Floats:
        """The stored greedy values, (n_rows,); ValueError if none were given."""
        if self._greedy is None:
            raise ValueError(
                "greedy values are None; pass greedy=, one number per row, when "
                "building the distribution, or use mode(), the most probable cell."
            )
        return self._greedy

    def entropy(self) -> Floats:
        """Entropy over the cells, in nats, (n_rows,)."""
        p = self.probabilities
        return np.abs(self._expect(np.log(np.where(p > 0, p, 1.0))))  # abs: never -0.0

    def quantile(self, q: ArrayLike) -> Floats:
        """Smallest y with CDF(y) >= q (for q = 0, the lower end of the mass).

        Parameters
        ----------
        q : float or array-like of shape (m,), in [0, 1], else ValueError

        Returns
        -------
        array of shape (n_rows,) for a scalar q, else (n_rows, m), in the units of y
        """
        q = check_levels(q)
        at = self._invert(np.broadcast_to(q, (len(self), q.size)))
        return at[:, 0] if q.ndim == 0 else at

    def interval(self, coverage: float) -> Floats:
        """Central interval that holds `coverage` (a float in [0, 1], else ValueError) of the
        mass: array of shape (n_rows, 2), in the units of y."""
        check_coverage(coverage)
        return self.quantile([(1 - coverage) / 2, (1 + coverage) / 2])

    def cdf(self, y: ArrayLike) -> Floats:
        """P(Y <= y), right-continuous at atoms; the result has shape (n_rows,) or (n_rows, m).

        Parameters
        ----------
        y : float, or array-like of shape (n_rows,) or (n_rows, m)
            A scalar serves all rows; infinities are legal; NaN or other shapes: ValueError.
        """
        refuse_masked(y, "y")
        y = np.asarray(y, dtype=np.float64)
        if np.isnan(y).any() or y.ndim > 2 or (y.ndim > 0 and len(y) != len(self)):
            raise ValueError(
                f"y has shape {y.shape} and {np.isnan(y).sum()} NaN; give no NaN, and "
                f"a scalar or the shape ({len(self)},) or ({len(self)}, m)."
            )
        columns = y.T if y.ndim == 2 else [y]  # one at a time: (n, m, K) would not be lean
        below = np.empty((len(self), len(columns)))
        for j, column in enumerate(columns):
            below[:, j] = self._expect(self._share_below(column[..., None]))
        below = np.minimum(below, 1.0)
        return below if y.ndim == 2 else below[:, 0]

    def crps(self, y: ArrayLike) -> Floats:
        """Continuous ranked probability score, (n_rows,), >= 0, in the units of y: the integral
        over t of (CDF(t) - 1[t >= y])^2, exactly (Gneiting & Raftery, JASA 2007, section 4.2,
        with the sign that makes smaller better); equals E|Y - y| - E|Y - Y'| / 2.

        Parameters
        ----------
        y : array-like of shape (n_rows,)
            What was observed, in or out of the support. Not finite or another shape: ValueError.
        """
        y = finite("y", y)
        if y.shape != (len(self),):
            raise ValueError(f"y has shape {y.shape}; give one number per row, ({len(self)},).")
        scores = np.empty(len(self))
        step = max(1, _BLOCK_CELLS // self.probabilities.shape[1])
        for start in range(0, len(self), step):
            rows = slice(start, start + step)
            scores[rows] = self[rows]._crps(y[rows, None])
        return scores

    def sample(self, n_samples: int = 1, random_state: RandomState = None) -> Floats:
        """Draw by inverse CDF, uniformly within cells; (n_rows, n_samples), in the units of y.

        Parameters
        ----------
        n_samples : int >= 1, default=1
            Anything else: ValueError.
        random_state : int, RandomState instance or None, default=None
        """
        return self._invert(self._levels(n_samples, random_state))

    def decode(
        self, decoding: str, random_state: RandomState = None, n_samples: int = 32
    ) -> Floats:
        """One number per row, (n_rows,), in the units of y.

        Parameters
        ----------
        decoding : {"rail", "median", "mode", "greedy", "sample", "sampled_mean", "sampled_median"}
            "rail" is `mean`; "sample" draws one cell and gives its value, as sampling one
            number from the model does (`sample` draws uniformly within the cell);
            "sampled_mean" and "sampled_median" are those of `n_samples` such draws, estimates of
            "rail" and "median" for those who compare with them. ValueError for anything else, and
            for "greedy" if no greedy values were given.
        random_state : int, RandomState instance or None, default=None
            Used by the decodings that draw.
        n_samples : int >= 1, default=32
            Draws of "sampled_mean" and "sampled_median".
        """
        if decoding not in DECODINGS:
            raise ValueError(f"decoding is {decoding!r}; choose one of {DECODINGS}.")
        if decoding not in DRAWN:
            return getattr(self, "mean" if decoding == "rail" else decoding)()
        average = np.median if decoding == "sampled_median" else np.mean
        n_draws = 1 if decoding == "sample" else n_samples
        return average(self.draws(n_draws, random_state), axis=1)

    def draws(self, n_samples: int = 1, random_state: RandomState = None) -> Floats:
        """Numbers as the model would write them: values of cells that are drawn by their mass.

        Parameters
        ----------
        n_samples : int >= 1, default=1
            Anything else: ValueError.
        random_state : int, RandomState instance or None, default=None

        Returns
        -------
        array of shape (n_rows, n_samples), in the units of y
            (`sample` draws uniformly within cells.)
        """
        return _pick(self.values, self._locate(self._levels(n_samples, random_state))[0])

    def _levels(self, n_samples, random_state):
        whole = isinstance(n_samples, numbers.Integral) and not isinstance(n_samples, bool)
        if not whole or n_samples < 1:
            raise ValueError(f"n_samples is {n_samples!r}; give an integer >= 1.")
        return check_random_state(random_state).random_sample((len(self), n_samples))

    def _expect(self, a):
        return (self.probabilities * a).sum(axis=1)

    def _share_below(self, y):
        """Share of each cell's mass at or below y, y broadcastable to (n, K)."""
        width = self.upper - self.lower
        with np.errstate(over="ignore"):  # a cell may be so narrow that y is an infinity away
            share = np.clip((y - self.lower) / np.where(width > 0, width, 1.0), 0.0, 1.0)
        return np.where(width > 0, share, y >= self.lower)

    def _locate(self, u):
        """Cell that holds the mass level u (n, m), and the share of its mass below u."""
        cum = _cumulative(self.probabilities)
        cum /= cum[:, -1:]  # exactly 1 from the last cell with mass on, so u = 1 is reached
        positive = np.maximum(u, _TINY)  # u = 0 belongs to the first cell that has mass
        # A tail below 1e-16 is lost in the sum, yet u = 1 is the end of the mass, as u = 0 is.
        last = cum.shape[1] - 2 - (self.probabilities[:, ::-1] > 0).argmax(axis=1)
        cell = np.where(u == 1, last[:, None], _first_reaching(cum[:, 1:], positive))
        before, after = _pick(cum, cell), _pick(cum, cell + 1)
        return cell, np.divide(u - before, after - before, out=np.ones(u.shape), where=u < 1)

    def _invert(self, u):
        """Smallest y whose CDF reaches the level u (n, m)."""
        cell, share = self._locate(u)
        lower, upper = _pick(self.lower, cell), _pick(self.upper, cell)
        return np.minimum(lower + share * (upper - lower), upper)

    def _crps(self, y):
        """crps for y (n, 1). A sum of squares in which nothing cancels: the CDF counts to the
        left of y, the survival function (summed from the far end, not 1 - CDF) to the right.
        Both are linear between knots, the two edges of each cell."""
        p, knots = self.probabilities, np.stack([self.lower, self.upper], axis=-1)
        knots = knots.reshape(*knots.shape[:-2], -1)
        cdf = np.repeat(_cumulative(p), 2, axis=1)[:, 1:-1]
        survival = np.repeat(_cumulative(p[:, ::-1]), 2, axis=1)[:, -2:0:-1]
        split, length = np.clip(y, knots[..., :-1], knots[..., 1:]), np.diff(knots)
        before, after = split - knots[..., :-1], knots[..., 1:] - split
        share = before / np.where(length > 0, length, 1.0)
        cdf_y = cdf[:, :-1] + share * np.diff(cdf)
        survival_y = survival[:, :-1] + share * np.diff(survival)
        within = (
            before * _mean_square(cdf[:, :-1], cdf_y)
            + after * _mean_square(survival_y, survival[:, 1:])
        ).sum(axis=1)
        y, start, end = y[:, 0], knots[..., 0], knots[..., -1]
        return within + np.maximum(start - y, 0) + np.maximum(y - end, 0)


def check_levels(q):
    """Probability levels as a float64 array; ValueError unless a scalar or 1-D and in [0, 1]."""
    levels = _as_levels(q)
    bad = levels[~((levels >= 0) & (levels <= 1))]
    if bad.size or levels.ndim > 1:
        what = f"contains {bad[0]}" if bad.size else f"has shape {levels.shape}"
        raise ValueError(f"q {what}; give {LEVELS}.")
    return levels


def _as_levels(q):
    try:
        levels = np.asarray(q)
        if levels.dtype.kind in "fiuO":
            return levels.astype(np.float64)
    except (TypeError, ValueError):
        pass
    raise ValueError(f"q is {q!r:.80}; give {LEVELS}.")


def check_coverage(coverage, name="coverage"):
    """ValueError unless the coverage, or another share, is one number in [0, 1]."""
    number = np.ndim(coverage) == 0 and np.asarray(coverage).dtype.kind in "iuf"
    if not (number and 0 <= coverage <= 1):
        raise ValueError(f"{name} is {coverage!r}; give one number in [0, 1], such as 0.9.")


def _pick(a, cell):
    """a[i, cell[i, j]], for a shared by all rows or per row."""
    return a[cell] if a.ndim == 1 else np.take_along_axis(a, cell, axis=1)


def _cumulative(p):
    """Mass before each cell and, last, of all: (n, K + 1)."""
    return np.concatenate([np.zeros((len(p), 1)), p.cumsum(axis=1)], axis=1)


def _first_reaching(cum, u):
    """First column of each row with cum >= u, for every u (n, m): a bisection of all at once."""
    low, high = np.zeros(u.shape, np.intp), np.full(u.shape, cum.shape[1] - 1)
    for _ in range(cum.shape[1].bit_length()):
        middle = (low + high) // 2
        reached = _pick(cum, middle) >= u
        low = np.where(reached, low, np.minimum(middle + 1, high))
        high = np.where(reached, middle, high)
    return low


def _mean_square(a, b):
    """Mean of the square of a line from a to b."""
    return (a * a + a * b + b * b) / 3
