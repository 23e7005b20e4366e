"""Calibration of predictive distributions: how often what they say comes true."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from llmreg.displays.axes import BLUE, GREY, Display
from llmreg.integrations.arithmetic import own_arithmetic
from llmreg.metrics.scores import interval_coverage
from llmreg.numbers.distribution import NumericDistribution
from llmreg.prediction.through import predicted_distribution
from llmreg.tables.targets import numeric_targets

__all__ = ["CoverageDisplay"]

LEVELS = np.linspace(0.05, 0.95, 19)
KINDS = ("coverage", "pit", "both")


@own_arithmetic
class CoverageDisplay(Display):
    """Calibration of distributions: coverage of intervals, and the PIT histogram.

    On the left, how many targets lie in their central intervals, against how many should. A curve
    below the diagonal: intervals are too narrow. On the right the probability integral transform
    (PIT), the probability that a prediction gave to at most the true value: flat if distributions
    are calibrated, hollow where they are too narrow, humped where they are too wide, tilted where
    they are biased. Grey bands hold 95 % of what calibrated distributions show with so many rows
    (each level by itself).

    Parameters
    ----------
    pit : ndarray of shape (n_rows, 2)
        P(Y < y) and P(Y <= y) of each row; they differ where a distribution has an atom at y.
    coverage : ndarray of shape (19,)
        Shares of targets within the central intervals of 5, 10, …, 95 %.

    Attributes
    ----------
    ax_ : matplotlib Axes, or array of two
    figure_ : matplotlib Figure

    References
    ----------
    Gneiting, Balabdaoui & Raftery, Probabilistic forecasts, calibration and sharpness, JRSS B 2007.
    For atoms: Czado, Gneiting & Held, Predictive model assessment for count data, Biometrics 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg import CoverageDisplay, NumericDistribution
    >>> y = np.random.RandomState(0).random_sample(50)
    >>> uniform = NumericDistribution(np.ones((50, 1)), lower=[0], upper=[1])
    >>> display = CoverageDisplay.from_predictions(y, uniform)
    >>> display.ax_.shape
    (2,)
    """

    def __init__(self, pit: ArrayLike, coverage: ArrayLike):
        self.pit = np.asarray(pit, dtype=np.float64)
        self.coverage = np.asarray(coverage, dtype=np.float64)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: ArrayLike, y: ArrayLike, *, ax: Any = None, **kwargs: Any
    ) -> Self:
        """Predict distributions, and draw how calibrated they are.

        Parameters
        ----------
        estimator : fitted LLMRegressor, or a Pipeline or search that ends with one
        X : table-like of shape (n_rows, n_columns)
            Rows that the fit has not seen; of those it has, it knows too much.
        y : array-like of shape (n_rows,)
        ax, **kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : CoverageDisplay
        """
        y = numeric_targets(y, cls.__name__)
        return cls.from_predictions(y, predicted_distribution(estimator, X), ax=ax, **kwargs)

    @classmethod
    def from_predictions(
        cls, y_true: ArrayLike, distribution: NumericDistribution, *, ax: Any = None, **kwargs: Any
    ) -> Self:
        """Draw how calibrated distributions are.

        Parameters
        ----------
        y_true : array-like of shape (n_rows,)
        distribution : NumericDistribution
            Of the same rows.
        ax, **kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : CoverageDisplay

        Raises
        ------
        ValueError
            If y_true is not finite, or has another length.
        """
        y_true = numeric_targets(y_true, cls.__name__, "y_true", "distribution")
        below = distribution.cdf(np.nextafter(y_true, -np.inf))
        pit = np.column_stack([below, distribution.cdf(y_true)])
        coverage = [interval_coverage(y_true, distribution, coverage=level) for level in LEVELS]
        return cls(pit, coverage).plot(ax, **kwargs)

    def plot(self, ax: Any = None, *, kind: str = "both", n_bins: int = 10, **kwargs: Any) -> Self:
        """Draw calibration.

        Parameters
        ----------
        ax : matplotlib Axes, or two of them for ``kind="both"``, default=None
            None: a new figure.
        kind : {"both", "coverage", "pit"}, default="both"
        n_bins : int, default=10
            Bars of the PIT histogram.
        **kwargs : dict
            For ``matplotlib.axes.Axes.plot`` of the coverage and
            ``matplotlib.axes.Axes.stairs`` of the PIT, such as a colour.

        Returns
        -------
        display : CoverageDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            For another kind.
        """
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} is none of {KINDS}.")
        both = kind == "both"
        ax = self._draw_on(ax, n_axes=1 + both)
        kwargs = {"color": BLUE} | kwargs
        if kind != "pit":
            self._draw_coverage(ax[0] if both else ax, kwargs)
        if kind != "coverage":
            self._draw_pit(ax[1] if both else ax, n_bins, kwargs)
        return self

    def _draw_coverage(self, ax, kwargs):
        nominal = np.linspace(0, 1, 101)
        spread = self._chance(nominal)
        ax.fill_between(
            100 * nominal, *(100 * np.clip([nominal - spread, nominal + spread], 0, 1)),
            color=GREY, alpha=0.2, linewidth=0, label="calibrated, 95 % of samples",
        )  # fmt: skip
        ax.plot([0, 100], [0, 100], color=GREY, linestyle="--", linewidth=1)
        ax.plot(100 * LEVELS, 100 * self.coverage, **{"marker": ".", "label": "observed"} | kwargs)
        ticks = range(0, 101, 20)
        ax.set(xlim=(0, 100), ylim=(0, 100), xticks=ticks, yticks=ticks, aspect="equal")
        ax.set(xlabel="nominal coverage of intervals (%)", ylabel="targets inside (%)")
        ax.legend(loc="upper left", frameon=False)

    def _draw_pit(self, ax, n_bins, kwargs):
        edges = np.linspace(0, 1, n_bins + 1)
        low, high = self.pit[:, :1], self.pit[:, 1:]
        width = np.where(high > low, high - low, 1.0)
        # An atom's mass is spread evenly over what it takes of the levels.
        below = np.where(high > low, np.clip((edges - low) / width, 0, 1), edges >= high)
        below[:, 0], below[:, -1] = 0, 1
        density = n_bins * np.diff(below.mean(axis=0))
        ax.stairs(density, edges, **{"fill": True, "alpha": 0.6} | kwargs)
        spread = n_bins * self._chance(1 / n_bins)
        ax.axhspan(max(0, 1 - spread), 1 + spread, color=GREY, alpha=0.2, linewidth=0)
        ax.axhline(1, color=GREY, linestyle="--", linewidth=1)
        ax.set(xlabel="PIT: predicted P(Y ≤ y)", ylabel="density", xlim=(0, 1))
        ax.set_ylim(0, max(2.0, 1.1 * density.max()))

    def _chance(self, share):
        """Half the width of the band that holds a share of so many rows, 95 times of 100."""
        return 1.96 * np.sqrt(share * (1 - share) / max(1, len(self.pit)))
