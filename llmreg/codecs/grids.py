"""An explicit list of numbers, spelled as people write them."""

from collections.abc import Sequence
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from llmreg.codecs.base import END, MAX_LEAVES, TargetCodec
from llmreg.integrations.arithmetic import own_arithmetic
from llmreg.tables.targets import finite_numbers, numeric_targets

__all__ = ["GridCodec"]

LONGEST = 40  # characters
FINEST = 2.0**52  # floats from here on are whole numbers
UNEVEN = 100.0  # the widest gap, in narrowest ones, from which on a grid is a scale of its own


@own_arithmetic
class GridCodec(TargetCodec):
    """Write one of a list of numbers: stars from 1 to 5, ages, 0 to 100 in steps of 5.

    Spelled as people write them, "4.5", "-3", "12", one character at a time, which every tokenizer
    can; where one spelling begins another ("1", "12") END says that it ends here. y is rounded to
    the nearest number of the list. All probability is on these numbers: intervals, samples and the
    mode are always among them, and a mean lies between them.

    Where the widest gap between neighbours is more than a hundred times the narrowest, errors are
    counted in steps from number to number in training, so that small numbers are not lost.

    Parameters
    ----------
    values : array-like of shape (L,) or None, default=None
        The numbers, in the units of y, in any order; those that occur twice are one. None: the
        training targets, each once.
    max_values : int, default=256
        With ``values=None`` and more distinct targets than this: about so many of their quantiles.
    n_decimals : int or None, default=None
        Round the numbers to so many decimals. None: spell them in full, quantiles with as many
        decimals as keep them apart.
    spellings : list of str or None, default=None
        What is written for each of ``values`` instead of the number, such as "A" to "E" or "poor",
        "fair", "good". Distinct, not empty.
    one_token : bool, default=False
        Whether each number, or its spelling, is one token of the model's vocabulary, such as
        "January" (RAFT, eq. 15), or "100" where a tokenizer keeps digits in threes. Fitting refuses
        a pretrained model that has no token for one of them. False: a token for each character.

    Attributes
    ----------
    edges_ : ndarray of shape (L + 1,)
        Midpoints between the numbers, in the units of y; the outermost bins are symmetric.
        What is in a bin is rounded to its number.
    values_ : ndarray of shape (L,)
        The numbers, ascending and distinct.
    even_ : bool
        Whether no gap between neighbours is more than a hundred times another.

    References
    ----------
    RAIL and RAFT (Lukasik et al. 2024, 2025): expectation over a grid of numbers.

    Examples
    --------
    >>> from llmreg import GridCodec
    >>> codec = GridCodec([1, 1.5, 2, 10]).fit([1.0, 9.0])
    >>> ["".join(codec.symbols[i] for i in row) for row in codec.sequences()]
    ['1<end><end>', '1.5', '2<end><end>', '10<end>']
    >>> codec.decode(codec.encode([1.6, 7.0])).tolist()
    [1.5, 10.0]
    """

    widening = "Add such numbers to the codec's values, or leave values and n_decimals None."

    _parameter_constraints: dict = {
        "values": ["array-like", None],
        "max_values": [Interval(Integral, 2, MAX_LEAVES, closed="both")],
        "n_decimals": [None, Interval(Integral, 0, 15, closed="both")],
        "spellings": [None, "array-like"],
        "one_token": ["boolean"],
    }

    def __init__(
        self,
        values: ArrayLike | None = None,
        *,
        max_values: int = 256,
        n_decimals: int | None = None,
        spellings: Sequence[str] | None = None,
        one_token: bool = False,
    ):
        self.values = values
        self.max_values = max_values
        self.n_decimals = n_decimals
        self.spellings = spellings
        self.one_token = one_token

    def _fit(self, y):
        values = self._observed(y) if self.values is None else self._given()
        if self.n_decimals is not None:
            values = _rounded(values, self.n_decimals)
        self._place(np.unique(values) + 0.0)  # no -0
        gaps = np.diff(self.values_ / 2)
        with np.errstate(over="ignore"):
            self.even_ = len(gaps) < 2 or bool(gaps.max() <= UNEVEN * gaps.min())
        self.texts_ = [_spelled(value) for value in self.values_]
        if self.spellings is not None:
            self.texts_ = self._spellings(values)
        self._check(self.texts_)
        self.characters_ = "".join(sorted(set("".join(self.texts_))))
        self.ragged_ = not self.one_token and len(set(map(len, self.texts_))) > 1

    def _spellings(self, values):
        """The spellings in ascending order of their numbers."""
        texts = list(self.spellings)
        strings = all(isinstance(text, str) and text not in ("", END) for text in texts)
        counts = {len(self.values_), len(values), len(texts), len(set(texts))}
        if self.values is None or not strings or len(counts) > 1:
            distinct = f"{len(self.values_)} distinct numbers of {len(values)}"
            given = "None" if self.values is None else distinct
            raise ValueError(
                f"GridCodec's spellings={texts} must be distinct strings, none empty or "
                f"{END!r}, one for each of values, which are {given}. Give values and spellings of "
                "the same length."
            )
        return [texts[i] for i in np.argsort(values)]

    def _given(self):
        values = finite_numbers(self.values, "GridCodec", "values")
        if not 0 < len(values) <= MAX_LEAVES:
            raise ValueError(
                f"GridCodec's values are {len(values):,} numbers; give 1 to {MAX_LEAVES:,} "
                "finite ones, or None to take them from the training targets."
            )
        return numeric_targets(values, "GridCodec", "values")

    def _observed(self, y):
        values = np.unique(y)
        if len(values) <= self.max_values:
            return values
        y = np.sort(y)
        at = np.linspace(0, len(y) - 1, self.max_values).round().astype(int)
        return _shortened(np.unique(y[at]))

    def _check(self, texts):
        longest = max(texts, key=len)
        if len(longest) > LONGEST:
            what = longest if self.spellings is not None else f"{float(longest):g}"
            raise ValueError(
                f"GridCodec writes {what} with {len(longest)} characters; at most {LONGEST} "
                "are supported. Round with n_decimals, use a ScientificCodec or shorter spellings."
            )

    @property
    def linear(self):
        """bool: whether the gaps between numbers are alike."""
        check_is_fitted(self)
        return self.even_

    def cells(self):
        """Where the probability of each number lies: on it; see :meth:`TargetCodec.cells`."""
        return self._atoms()

    @property
    def symbols(self) -> tuple[str, ...]:
        """tuple of str: the characters that occur, and END if spellings differ in length; or the
        spellings."""
        check_is_fitted(self)
        if self.one_token:
            return tuple(self.texts_)
        return (*self.characters_, *([END] if self.ragged_ else []))

    def sequences(self) -> NDArray[np.int64]:
        """All sequences, in ascending order of the number they name.

        Returns
        -------
        ndarray of shape (L, N), int64
            Indices into :attr:`symbols`, filled up with END.
        """
        check_is_fitted(self)
        if self.one_token:
            return np.arange(len(self.texts_))[:, None]
        width = max(map(len, self.texts_))
        place = {symbol: k for k, symbol in enumerate(self.characters_)}
        end = len(place)
        rows = [[place[c] for c in text] + [end] * (width - len(text)) for text in self.texts_]
        return np.array(rows, dtype=np.int64)


def _spelled(value):
    """The shortest text that reads back as the number, without an exponent."""
    return np.format_float_positional(value, trim="-")


def _rounded(values, n_decimals):
    """Numbers to so many decimals; floats that resolve no more of them stay what they are."""
    with np.errstate(over="ignore"):
        coarse = np.abs(values) * 10.0**n_decimals >= FINEST
        return np.where(coarse, values, values.round(n_decimals))


def _shortened(values):
    """Ascending distinct numbers, rounded to the fewest decimals that keep them distinct."""
    for n_decimals in range(16):
        short = _rounded(values, n_decimals)
        if (np.diff(short) > 0).all():
            return short
    return values
