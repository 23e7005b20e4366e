"""Numbers that stand in texts and in names of categories: "Ages 6+", "500 g", "2021 Toyota"."""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from llmreg.tables.numbers_in_words import numbers_within
from llmreg.tables.words import beginnings

__all__ = ["WrittenNumbers", "first_and_largest"]

LARGEST = 1e12  # what is beyond is a name
LEAST_SHARE = 0.1  # of the cells that must have a number


class WrittenNumbers(TransformerMixin, BaseEstimator):
    """The first number of each cell of texts and categories, and the largest.

    Only those of columns of which a tenth of the cells have one, and that take three values at
    least; the largest only where it is not always the first.

    Attributes
    ----------
    kept_ : list of tuple of int
        Which field of the rows, and 0 for the first number or 1 for the largest.
    """

    def fit(self, rows, y=None):
        """Learn from :class:`llmreg.tables.rows.SerializedRows` which numbers tell rows apart."""
        self.kept_ = []
        for place, field in enumerate(rows.fields):
            if field.kind not in ("text", "category"):
                continue
            first, largest = _numbers_of(field).T
            self.kept_ += [(place, 0)] * _tells(first)
            self.kept_ += [(place, 1)] * (_tells(largest) and not _equal(first, largest))
        return self

    def transform(self, rows):
        """Numbers (n_rows, n_kept), NaN where a cell has none."""
        found = {place: _numbers_of(rows.fields[place]) for place, _ in self.kept_}
        columns = [found[place][:, which] for place, which in self.kept_]
        return np.stack(columns, axis=1) if columns else np.zeros((rows.n_rows, 0))


def first_and_largest(text):
    """The first number in a text and the largest.

    Parameters
    ----------
    text : str

    Returns
    -------
    tuple of two floats
        NaN without a number. Those of 1e12 and more are names, and left out.

    Examples
    --------
    >>> from llmreg.estimates.written_numbers import first_and_largest
    >>> first_and_largest("2-pack, 1,200 g at -4.5 °C"), first_and_largest("none")
    ((2.0, 1200.0), (nan, nan))
    """
    numbers = [value for value in numbers_within(text) if abs(value) < LARGEST]
    return (numbers[0], max(numbers)) if numbers else (np.nan, np.nan)


def _numbers_of(field):
    """Of each cell (n_rows, 2)."""
    codes, texts = pd.factorize(np.where(field.missing, "", field.text))
    numbers = [first_and_largest(text) for text in beginnings(texts)]
    return np.array(numbers, float).reshape(-1, 2)[codes]


def _tells(column):
    known = column[~np.isnan(column)]
    return len(known) >= LEAST_SHARE * len(column) and len(np.unique(known)) > 2


def _equal(first, largest):
    return np.array_equal(first, largest, equal_nan=True)
