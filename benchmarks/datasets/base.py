"""What every loader returns, and what they share: parts drawn by seed, messages about files."""

import gzip
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from llmreg import RowSerializer

__all__ = [
    "PARTS", "RegressionData", "consecutive_parts", "draw_parts", "existing", "finite_targets",
    "given_parts", "open_text",
]  # fmt: skip

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class RegressionData:
    """A table, its target, and what its source says about them.

    Parameters
    ----------
    name : str
        What the data are called.
    X : DataFrame of n rows
        The features; index 0, 1, ..., n - 1.
    y : Series of n floats
        The target, under its name, in its own units.
    parts : dict of str to ndarray of int, default={}
        Row numbers of "train", "validation" and "test"; empty where the source fixes no parts.
        Rows may be in no part.
    template : str or None, default=None
        The paper's prompt, for ``RowSerializer(template=...)``.
    column_kinds : dict of str to str, default={}
        Kinds of columns that the source knows better than a guess from the cells.
    target_range : (float, float) or None, default=None
        Ends of the scale that y is measured on: ``DigitCodec(low=..., high=...)``.
    grid : tuple of float or None, default=None
        The numbers whose probabilities the paper's method reads (RAFT's Y_grid).
    groups : Series of n values or None, default=None
        Rows of one group belong in one part when you split anew.
    source : str, default=""
        Where the files come from, and the paper that measures on them.

    Examples
    --------
    >>> from benchmarks.datasets import make_original_1
    >>> data = make_original_1(8, 2, 2, random_state=0)
    >>> data
    RegressionData('original_1', 12 rows, 1 column, train 8, validation 2, test 2)
    >>> X, y = data.part("test")
    >>> data.serializer().fit(X, y).transform(X)[0, 0][-33:]
    'Input score: 79.17. Output score:'
    """

    name: str
    X: pd.DataFrame
    y: pd.Series
    parts: dict = field(default_factory=dict)
    template: str | None = None
    column_kinds: dict = field(default_factory=dict)
    target_range: tuple[float, float] | None = None
    grid: tuple[float, ...] | None = None
    groups: pd.Series | None = None
    source: str = ""

    def __repr__(self):
        columns = "1 column" if self.X.shape[1] == 1 else f"{self.X.shape[1]} columns"
        parts = "".join(f", {name} {len(rows):,}" for name, rows in self.parts.items())
        return f"RegressionData({self.name!r}, {len(self.X):,} rows, {columns}{parts})"

    def part(self, name):
        """The rows of one part.

        Parameters
        ----------
        name : {"train", "validation", "test"}

        Returns
        -------
        X : DataFrame
        y : Series

        Raises
        ------
        ValueError
            If the data have no such part.
        """
        if name not in self.parts:
            raise ValueError(
                f"{self.name} has no part {name!r}; it has {list(self.parts) or 'none'}. Split X "
                "and y yourself, for example with sklearn.model_selection.train_test_split."
            )
        rows = self.parts[name]
        return self.X.iloc[rows], self.y.iloc[rows]

    def serializer(self):
        """A RowSerializer that writes the paper's prompt, or the default one where there is none.

        Returns
        -------
        RowSerializer
            Not fitted; for ``LLMRegressor(serializer=...)``.
        """
        return RowSerializer(self.template, column_kinds=self.column_kinds or None)


def existing(path, what, source):
    """The path, if it is there.

    Parameters
    ----------
    path : str or os.PathLike
    what : str
        What should be there, for the message.
    source : str
        Where to get it.

    Raises
    ------
    FileNotFoundError
        If there is nothing at this path.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"There is no {what} at {str(path)!r} (looked in {str(path.absolute().parent)!r}). "
            f"llmreg downloads nothing: get it from {source}"
        )
    return path


def open_text(path):
    """A UTF-8 text file, decompressed on the way if its name ends in .gz."""
    opener = gzip.open if path.name.endswith(".gz") else open
    return opener(path, "rt", encoding="utf-8")


def finite_targets(values, name, where):
    """Targets as floats, and which rows have one.

    Parameters
    ----------
    values : Series
        Numbers, or strings that spell them; None, NaN and "" are missing.
    name : str
        The target's name.
    where : str
        The file, for the message.

    Returns
    -------
    Series of float
        NaN where the target is missing or infinite.

    Raises
    ------
    ValueError
        For a string that is no number.
    """
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    text = values.astype("string").str.strip().fillna("")
    wrong = numbers.isna() & ~text.str.lower().isin(["", "nan", "none", "null"])
    if wrong.any():
        raise ValueError(
            f"{int(wrong.sum())} of {len(values)} targets {name!r} in {where} are not numbers, the "
            f"first of them {values[wrong].iloc[0]!r} in row {int(np.argmax(wrong))} (from 0). "
            "Correct or remove these rows."
        )
    return numbers.where(np.isfinite(numbers)).rename(name)


def given_parts(labels):
    """Row numbers of the parts that a column names.

    Parameters
    ----------
    labels : array-like of str
        "train", "dev", "val", "valid", "validation" or "test" for each row; others are in no part.

    Returns
    -------
    dict of str to ndarray
        Only parts that have rows.
    """
    named = pd.Series(np.asarray(labels, dtype=object)).astype("string").str.strip().str.lower()
    named = named.replace({"dev": "validation", "val": "validation", "valid": "validation"})
    parts = {part: np.flatnonzero((named == part).fillna(False)) for part in PARTS}
    return {part: rows for part, rows in parts.items() if len(rows)}


def consecutive_parts(sizes):
    """Row numbers of parts of these sizes that follow one another.

    Parameters
    ----------
    sizes : iterable of three int
        Rows for training, validation and testing.

    Returns
    -------
    dict of str to ndarray
    """
    ends = pairwise(np.cumsum([0, *sizes]))
    return {part: np.arange(*rows) for part, rows in zip(PARTS, ends, strict=True)}


def draw_parts(n_rows, sizes, random_state):
    """Disjoint random rows for each part.

    Parameters
    ----------
    n_rows : int
    sizes : tuple of three int
        Rows wanted for training, validation and testing. Where there are fewer rows than that
        together, every part shrinks by the same factor.
    random_state : int
        The same seed draws the same rows.

    Returns
    -------
    dict of str to ndarray
        Row numbers, ascending within each part.
    """
    wanted = sum(sizes)
    if n_rows < wanted:
        validation, test = (size * n_rows // wanted for size in sizes[1:])
        sizes = (n_rows - validation - test, validation, test)
    order = np.random.RandomState(random_state).permutation(n_rows)
    return {part: np.sort(order[rows]) for part, rows in consecutive_parts(sizes).items()}
