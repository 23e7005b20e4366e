"""What every target codec offers, and what the number tree relies on."""

from abc import ABCMeta, abstractmethod
from numbers import Real
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from llmreg.integrations.arithmetic import own_arithmetic
from llmreg.integrations.documentation import DocumentedMixin
from llmreg.tables.targets import finite_numbers, numeric_targets, read_floats, refuse_masked
from llmreg.tables.weights import checked_weights, row_counts, whole_counts

__all__ = ["END", "MAX_LEAVES", "TargetCodec", "between", "floats"]

END = "<end>"
MAX_LEAVES = 10**6


@own_arithmetic
class TargetCodec(DocumentedMixin, BaseEstimator, metaclass=ABCMeta):
    """A number y ↔ the sequence of symbols that the language model writes for it.

    The base class of all codecs. A kind of codec fits ``edges_`` and ``values_`` and says
    what its symbols and sequences are; the rest is the same for all. The number tree
    (:class:`llmreg.numbers.tree.NumberTree`) checks when it is built that

    - numbers ascend: of L numbers, ``edges_`` (L + 1,) and ``values_`` (L,) ascend and each number
      lies in its own bin, ``edges_[k] <= values_[k] <= edges_[k + 1]``;
    - each number has a sequence of its own, all of the same length: what is shorter is filled up
      with ``END``, and nothing follows an END.

    Numbers are read as float64, from whatever holds them; durations as seconds.

    A prefix need not pin down one interval: what begins with "1" may be 1, 10 to 19 or 100. Codecs
    of which every prefix does (:class:`DigitCodec`, :class:`ScientificCodec` with the exponent
    first) make trees that are ``contiguous``.

    Attributes
    ----------
    bounded : bool
        Whether the numbers have a common size, set by the range of the training targets or by
        parameters. Not so where they reach over orders of magnitude beyond what was seen: there the
        least probability of the largest number outweighs all others in the mean.
    far_reaching : bool
        Whether numbers may be more than a decade or two beyond the training targets. Never where
        they are bounded.
    linear : bool
        Whether the codec's axis, on which bins have like width and all errors are measured in
        training, is y itself. Else :meth:`to_axis` says where y lies on it.
    widening : str
        What to do where targets lie outside the range, for the warning that says so.
    edges_ : ndarray of shape (L + 1,)
        Ends of the bins in the units of y, ascending.
    values_ : ndarray of shape (L,)
        The number that each bin decodes to.

    Examples
    --------
    >>> from llmreg import DigitCodec
    >>> from llmreg.codecs.digits import TargetCodec
    >>> isinstance(DigitCodec(), TargetCodec), DigitCodec.bounded
    (True, True)
    """

    bounded = True
    far_reaching = False
    linear = True
    widening = "Choose a codec whose range holds them."

    def fit(self, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Settle the numbers that can be written, from the targets and the parameters.

        Parameters
        ----------
        y : array-like of shape (n_rows,)
            Finite targets, one or more, up to 1e307.
        sample_weight : array-like of shape (n_rows,) or None
            As so many rows: only ratios count. Non-negative; rows of weight zero do not count.

        Returns
        -------
        self : TargetCodec

        Raises
        ------
        ValueError
            For illegal parameters, parameters that contradict one another or the targets, more
            than 1,000,000 numbers, or targets or weights that are not legal.
        """
        self._validate_params()
        name = type(self).__name__
        y = numeric_targets(y, name, beside="")
        weight = checked_weights(sample_weight, y, owner=name)
        y, weight = y[weight > 0], weight[weight > 0]
        self._fit(np.repeat(y, whole_counts(weight)))
        self._see_heaps(y, row_counts(weight))
        return self

    @abstractmethod
    def _fit(self, y):
        """Set ``edges_`` and ``values_`` from targets (n_rows,) that count."""

    def _see_heaps(self, y, weight):
        """See on which numbers targets (n_rows,) heap up, each of which counts by its weight."""

    @property
    def open_edges(self):
        """ndarray of shape (L + 1,): ``edges_``, infinite at an end that stands for all beyond it.

        So far smoothed targets and estimates count for the outermost numbers.
        """
        check_is_fitted(self)
        return self.edges_

    def cells(self):
        """Where the probability of each number lies: in its bin, and on an end of the range.

        Returns
        -------
        leaf : ndarray of shape (K,), int
            The number that the cell is a part of. The first L are those of the L numbers in order.
        span : ndarray of shape (K, 2)
            In the units of y; without width where all is on one point.
        value : ndarray of shape (K,)
            What the cell counts as in the mean. Those of a number have ``values_`` as their mean,
            but for numbers that no target is where all probability lies on those of targets.
        share : ndarray of shape (K,)
            Of the number's probability.
        """
        check_is_fitted(self)
        n_numbers = len(self.values_)
        span = np.stack([self.edges_[:-1], self.edges_[1:]], axis=1)
        return np.arange(n_numbers), span, self.values_.copy(), np.ones(n_numbers)

    def _atoms(self):
        """The :meth:`cells` of a codec whose numbers have all probability on themselves."""
        leaf, _, value, share = TargetCodec.cells(self)
        return leaf, np.stack([value, value], axis=1), value, share

    def to_axis(self, y: ArrayLike) -> NDArray[np.float64]:
        """Where numbers lie on the codec's axis: there its bins have like width.

        Losses, errors and estimates are measured on it. y itself where the codec is ``linear``;
        else, by default, the count of bins below y (with a share of its own bin).

        Parameters
        ----------
        y : array-like of any shape
            In the units of y. NaN stays NaN.

        Returns
        -------
        ndarray of the same shape
        """
        y = floats(self, y)
        return y if self.linear else np.interp(y, self.edges_, np.arange(len(self.edges_)))

    def from_axis(self, t: ArrayLike) -> NDArray[np.float64]:
        """The numbers, in the units of y, at places on the axis; see :meth:`to_axis`."""
        t = floats(self, t, "t")
        return t if self.linear else np.interp(t, np.arange(len(self.edges_)), self.edges_)

    def crowding(self, y: ArrayLike) -> float:
        """Which share of the targets the codec cannot tell apart, at worst.

        Parameters
        ----------
        y : array-like of shape (n_rows,)
            Finite, one or more.

        Returns
        -------
        float
            Share of the targets in the fullest bin. Targets that are equal to one another count
            once in their bin and once in the whole: ties are no fault of the codec's.
        """
        y = _finite(self, y, least=1)
        distinct, counts = np.unique(self.clip(y), return_counts=True)
        rows = np.bincount(self.leaf_of(distinct), weights=counts)
        heaviest = np.zeros(len(rows))
        np.maximum.at(heaviest, self.leaf_of(distinct), counts)
        return float((rows - heaviest).max() / rows.sum())

    def clip(self, y: ArrayLike) -> NDArray[np.float64]:
        """Numbers of any shape, moved to the nearest end of the range where they lie outside."""
        return np.clip(floats(self, y), self.edges_[0], self.edges_[-1])

    @property
    @abstractmethod
    def symbols(self) -> tuple[str, ...]:
        """tuple of str: what the model writes, one token each: characters or words, perhaps END."""

    @abstractmethod
    def sequences(self) -> NDArray[np.int64]:
        """All sequences, in ascending order of the number they name.

        Returns
        -------
        ndarray of shape (L, N), int64
            Indices into ``symbols``.
        """

    @property
    def max_length(self) -> int:
        """int: symbols in the longest sequence."""
        return self.sequences().shape[1]

    def leaf_of(self, y: ArrayLike) -> NDArray[np.int64]:
        """Index of the bin that holds each finite y; outside the range that is the nearest."""
        y = _finite(self, y)
        return np.clip(np.searchsorted(self.edges_, y, side="right") - 1, 0, len(self.values_) - 1)

    def n_clipped(self, y: ArrayLike) -> int:
        """Number of targets outside the range, which :meth:`encode` moves to its nearest end."""
        y = _finite(self, y)
        return int(((y < self.edges_[0]) | (y > self.edges_[-1])).sum())

    def encode(self, y: ArrayLike) -> NDArray[np.int64]:
        """Numbers to symbol sequences.

        Parameters
        ----------
        y : array-like of shape (n_rows,)
            Finite. What lies outside the range is written as its nearest end.

        Returns
        -------
        ndarray of shape (n_rows, N), int64

        Raises
        ------
        NotFittedError
            Before the codec is fitted.
        ValueError
            For what is no finite number, or not one per row.
        """
        return self.sequences()[self.leaf_of(y)]

    def spell(self, y: ArrayLike) -> list[str]:
        """Numbers as the texts that stand for them, END left out.

        Returns
        -------
        list of str, one per number
        """
        written = [[self.symbols[i] for i in row] for row in self.encode(y)]
        return ["".join(symbol for symbol in row if symbol != END) for row in written]

    def decode(self, sequences: ArrayLike) -> NDArray[np.float64]:
        """Symbol sequences of shape (n_rows, N) to numbers of shape (n_rows,).

        Raises
        ------
        ValueError
            If a sequence is none of the codec's.
        """
        check_is_fitted(self)
        sequences = self._indices(sequences)
        leaf, known = self._leaf_named(sequences)
        for row in sequences[~known]:
            self._refuse_sequence([self.symbols[i] for i in row])
        return self.values_[leaf]

    def _indices(self, sequences):
        """Sequences as indices of symbols; ValueError for another shape, or what is no symbol."""
        try:
            indices = np.asarray(sequences)
        except ValueError:  # of unlike lengths
            indices = np.empty(0, object)
        if indices.dtype.kind not in "iu" or indices.shape[1:] != (self.max_length,):
            raise ValueError(
                f"{sequences!r:.80} are no sequences: {self!r} writes integers of shape (n_rows, "
                f"{self.max_length}). Decode what encode() or sequences() gave."
            )
        n_symbols = len(self.symbols)
        for row in indices[((indices < 0) | (indices >= n_symbols)).any(axis=1)]:
            self._refuse_sequence(f"{row.tolist()}, of which 0 to {n_symbols - 1} are symbols,")
        return indices

    def _leaf_named(self, sequences):
        """Which number each sequence of symbols names, and whether it does."""
        known, given = _keys(self.sequences()), _keys(sequences)
        order = np.argsort(known)
        leaf = order[np.searchsorted(known, given, sorter=order).clip(max=len(known) - 1)]
        return leaf, known[leaf] == given

    def _refuse_sequence(self, written):
        raise ValueError(
            f"{written} is no number that {self!r} writes. Decode what encode() or sequences() "
            "gave, of a codec with the same parameters and training targets."
        )

    def _place(self, values):
        """Set values, and as edges the midpoints between them; the outermost bins are symmetric."""
        # Halved first: the sum may overflow.
        middle = between(values[1:] / 2 + values[:-1] / 2, values)
        ends = values[[0, -1]]
        if len(values) > 1:
            ends = ends + np.array([values[0] - middle[0], values[-1] - middle[-1]])
        self.values_, self.edges_ = values, np.concatenate([ends[:1], middle, ends[1:]])
        return self


def _finite(codec, y, least=0):
    """Numbers (n_rows,) for a fitted codec."""
    check_is_fitted(codec)
    return finite_numbers(y, type(codec).__name__, least=least)


def floats(codec, y, name="y"):
    """Numbers of any shape for a fitted codec, finite or not."""
    check_is_fitted(codec)
    refuse_masked(y, name)
    known = isinstance(y, Real) or getattr(y, "dtype", None) == np.float64
    return np.asarray(y, np.float64) if known else read_floats(y, name, type(codec).__name__)


def between(middle, values):
    """Ends of bins (L - 1,) that part ascending numbers (L,), also where no float lies between.

    A number on an end belongs to the bin above it.
    """
    below, above = values[:-1], values[1:]
    return np.where(middle > below, np.minimum(middle, above), above)


def _keys(sequences):
    """One byte string per sequence; no symbol ends with a zero byte, which numpy would cut off."""
    rows = np.ascontiguousarray(2 * np.asarray(sequences) + 1, dtype=">u4")
    return rows.view(f"S{4 * rows.shape[1]}")[:, 0]
