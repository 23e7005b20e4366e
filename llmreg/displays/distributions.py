"""Predictive distributions of some rows, one above the other."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from llmreg.displays.axes import BLUE, ORANGE, Display
from llmreg.integrations.arithmetic import own_arithmetic
from llmreg.numbers.distribution import NumericDistribution
from llmreg.numbers.presentation import masses_between, shown_range
from llmreg.prediction.through import regressor_within
from llmreg.tables.targets import numeric_targets

__all__ = ["DistributionDisplay"]

BARS = 200
HEIGHT = 0.8  # of the tallest bar, where rows are 1 apart
LONGEST_NAME = 30


@own_arithmetic
class DistributionDisplay(Display):
    """Predictive distributions of a few rows, on one axis.

    Each row has a histogram, scaled to the same height, its median and a central interval; and the
    true value, where it is known.

    Parameters
    ----------
    distribution : NumericDistribution
    y_true : array-like of shape (n_rows,) or None, default=None
    names : sequence of str or None, default=None
        What the rows are called. None: 0, 1, 2, …
    target_name : str, default="target"
        Named on the axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from llmreg import DistributionDisplay, NumericDistribution
    >>> distribution = NumericDistribution([[0.2, 0.8], [0.5, 0.5]], lower=[0, 1], upper=[1, 2])
    >>> display = DistributionDisplay.from_predictions(
    ...     distribution, y_true=[1.5, 0.2], names=["large", "small"], target_name="price"
    ... )
    >>> display.ax_.get_xlabel()
    'price'
    """

    def __init__(
        self,
        distribution: NumericDistribution,
        *,
        y_true: ArrayLike | None = None,
        names: Any = None,
        target_name: str = "target",
    ):
        self.distribution = distribution
        self.y_true = y_true
        self.names = names
        self.target_name = target_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        n_rows: int = 6,
        coverage: float = 0.9,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Predict the distributions of the first rows, and draw them.

        Parameters
        ----------
        estimator : fitted LLMRegressor, or a Pipeline or search that ends with one
        X : table-like of shape (n_samples, n_columns)
            The labels of a DataFrame's rows name them in the picture.
        y : array-like of shape (n_samples,) or None, default=None
            True values.
        n_rows : int, default=6
            How many rows are shown.
        coverage, ax, **kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : DistributionDisplay
        """
        X = X[:n_rows]
        if y is not None:
            y = numeric_targets(np.asanyarray(y)[:n_rows], cls.__name__)
        names = getattr(X, "index", None)
        regressor, X = regressor_within(estimator, X)
        display = cls(
            regressor.predict_distribution(X), y_true=y, names=names,
            target_name=regressor.serializer_.target_name_,
        )  # fmt: skip
        return display.plot(ax, coverage=coverage, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        distribution: NumericDistribution,
        *,
        y_true: ArrayLike | None = None,
        names: Any = None,
        target_name: str = "target",
        coverage: float = 0.9,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw distributions.

        Parameters
        ----------
        distribution, y_true, names, target_name
            As in the constructor; all rows are shown.
        coverage, ax, **kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : DistributionDisplay
        """
        display = cls(distribution, y_true=y_true, names=names, target_name=target_name)
        return display.plot(ax, coverage=coverage, **kwargs)

    def plot(self, ax: Any = None, *, coverage: float = 0.9, **kwargs: Any) -> Self:
        """Draw the distributions, the first row on top.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None: a new figure.
        coverage : float, default=0.9
            Of the central interval, the bar under each histogram; in [0, 1].
        **kwargs : dict
            For ``matplotlib.axes.Axes.stairs``, which draws the histograms.

        Returns
        -------
        display : DistributionDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there are no rows, or not as many true values or names as rows.
        """
        y_true, names = self._beside_rows()
        ax = self._draw_on(ax)
        limits = shown_range(self.distribution, [] if y_true is None else y_true)
        place = np.arange(len(names))[::-1]
        style = {"fill": True, "color": BLUE, "alpha": 0.35} | kwargs
        self._draw_histograms(ax, place, limits, style)
        ends, middle = self.distribution.interval(coverage), self.distribution.median()
        ax.hlines(place, *ends.T, color=BLUE, linewidth=4, label=f"{coverage:.0%} interval")
        ax.vlines(middle, place, place + HEIGHT, color=BLUE, label="median")
        if y_true is not None:
            style = dict(color=ORANGE, markersize=7, clip_on=False)
            ax.plot(y_true, place, "D", label="true value", **style)
        ax.set(xlabel=self.target_name, xlim=limits, ylim=(-0.25, len(place)))
        ax.set_yticks(place, names)
        ax.spines[["top", "left", "right"]].set_visible(False)
        ax.tick_params(axis="y", length=0)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)
        return self

    def _draw_histograms(self, ax, place, limits, style):
        edges = np.linspace(*limits, BARS + 1)
        masses = masses_between(self.distribution, edges)
        for base, bars in zip(place, masses, strict=True):
            ax.stairs(base + HEIGHT * bars / bars.max(), edges, baseline=base, **style)

    def _beside_rows(self):
        n_rows = len(self.distribution)
        y_true = self.y_true
        if y_true is not None:
            y_true = numeric_targets(y_true, type(self).__name__, "y_true", "distribution")
        names = [str(name) for name in (range(n_rows) if self.names is None else self.names)]
        for what, values in (("y_true", y_true), ("names", names)):
            if values is not None and len(values) != n_rows:
                raise ValueError(f"There are {len(values)} {what} for {n_rows} distributions.")
        if not n_rows:
            raise ValueError("There are no distributions to draw: give at least one row.")
        short = [n if len(n) <= LONGEST_NAME else n[: LONGEST_NAME - 1] + "…" for n in names]
        return y_true, short
