"""Distributions for people to look at: as a table, and as a page of a notebook."""

from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

__all__ = ["PresentationMixin", "masses_between", "shown_range"]

SHOWN_ROWS = 5
SHOWN_BARS = 60
HEIGHT = 22  # pixels of a small histogram
COVERAGE = 0.9
NEARLY_ALL = (0.005, 0.995)


class PresentationMixin:
    """``to_frame`` and the HTML representation of a NumericDistribution."""

    def to_frame(
        self, quantiles: ArrayLike = (0.05, 0.25, 0.75, 0.95), *, index: Any = None
    ) -> pd.DataFrame:
        """A table with a row per prediction.

        Parameters
        ----------
        quantiles : float or array-like of shape (m,), default=(0.05, 0.25, 0.75, 0.95)
            Probabilities in [0, 1]; each makes a column, named as ``pandas.DataFrame.describe``
            names them ("5%").
        index : array-like of shape (n_rows,) or None, default=None
            Labels of the rows, such as ``X.index``. None: 0, 1, 2, …

        Returns
        -------
        pandas.DataFrame
            Columns "mean", "std", "median" and one per quantile; all in the units of y.

        Raises
        ------
        ValueError
            If a quantile is out of [0, 1], or the index has another length.

        Examples
        --------
        >>> from llmreg import NumericDistribution
        >>> distribution = NumericDistribution([[0.5, 0.5], [0.0, 1.0]], lower=[0, 1], upper=[1, 3])
        >>> distribution.to_frame([0.1, 0.9])
           mean       std  median  10%  90%
        0  1.25  0.877971     1.0  0.2  2.6
        1  2.00  0.577350     2.0  1.2  2.8
        """
        quantiles = np.atleast_1d(np.asarray(quantiles, dtype=np.float64))
        columns = {"mean": self.mean(), "std": self.std(), "median": self.median()}
        names = [f"{100 * q:.10g}%" for q in quantiles]
        columns |= dict(zip(names, self.quantile(quantiles).T, strict=True))
        return pd.DataFrame(columns, index=index)

    def _repr_html_(self):
        """The first rows as a table with small histograms on a common axis."""
        n_rows = len(self)
        if not n_rows:
            return f"<p>{escape(repr(self))}</p>"
        shown = self[:SHOWN_ROWS]
        low, high = shown_range(shown)
        heads = (
            "",
            "mean",
            "std",
            "median",
            f"{COVERAGE:.0%} interval",
            f"{low:.4g} to {high:.4g}",
        )
        lines = [_line("th", heads)]
        bars = masses_between(shown, np.linspace(low, high, SHOWN_BARS + 1))
        ends = shown.interval(COVERAGE)
        for row, one in enumerate(zip(shown.mean(), shown.std(), shown.median(), strict=True)):
            numbers = [f"{number:.4g}" for number in one]
            interval = "{:.4g} to {:.4g}".format(*ends[row])
            lines.append(_line("td", (row, *numbers, interval, _histogram(bars[row]))))
        more = f", the first {SHOWN_ROWS} shown" if n_rows > SHOWN_ROWS else ""
        return f"<table>{''.join(lines)}</table><p>{escape(repr(self))}{more}</p>"


def shown_range(distribution, further=()):
    """Ends of an axis that shows nearly all of the distributions' mass and ``further`` numbers."""
    ends = distribution.quantile(NEARLY_ALL)
    low, high = np.min([ends.min(), *further]), np.max([ends.max(), *further])
    margin = 0.02 * (high - low) or 0.02 * abs(high) or 1.0
    return low - margin, high + margin


def masses_between(distribution, edges):
    """Mass of each row between neighbouring edges (k + 1,); ndarray of shape (n_rows, k)."""
    return np.diff(distribution.cdf(np.tile(edges, (len(distribution), 1))))


def _line(cell, contents):
    return "<tr>" + "".join(f"<{cell}>{content}</{cell}>" for content in contents) + "</tr>"


def _histogram(masses):
    """An inline SVG of bars, in the colour of the text around it."""
    heights = HEIGHT * masses / max(masses.max(), np.finfo(float).tiny)
    bars = "".join(
        f'<rect x="{2 * k}" y="{HEIGHT - height:.1f}" width="2" height="{height:.1f}"/>'
        for k, height in enumerate(heights)
        if height >= 0.05
    )
    width = 2 * len(masses)
    return (
        f'<svg role="img" aria-label="histogram" width="{width}" height="{HEIGHT + 1}" '
        f'fill="currentColor">{bars}<rect y="{HEIGHT}" width="{width}" height="0.5"/></svg>'
    )
