"""Error against the number of draws."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from llmreg.displays.axes import BLUE, GREEN, GREY, ORANGE, Display
from llmreg.integrations.arithmetic import own_arithmetic
from llmreg.numbers.distribution import NumericDistribution, RandomState
from llmreg.prediction.through import regressor_within
from llmreg.tables.targets import numeric_targets

__all__ = ["SamplesDisplay"]


@own_arithmetic
class SamplesDisplay(Display):
    """Error of the mean, of the median and of the best of K draws, for K = 1, 2, 4, …

    The mean of the draws comes near to the mean of the distribution, which ``predict`` returns
    without drawing; their median is what outliers among them don't move. The best draw is the one
    nearest to the true value, which nobody knows beforehand: how far it gets says what a judge of
    candidates could gain.

    Parameters
    ----------
    n_samples : ndarray of shape (m,)
        K.
    rmse_of_mean, rmse_of_median, rmse_of_best : ndarray of shape (m,)
        Root mean squared errors, in the units of y.
    rmse_of_expectation : float
        That of the distributions' means.
    target_name : str, default="target"
        Named on the axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg import NumericDistribution, SamplesDisplay
    >>> uniform = NumericDistribution(np.ones((50, 1)), lower=[0], upper=[1])
    >>> y = np.random.RandomState(0).random_sample(50)
    >>> display = SamplesDisplay.from_predictions(y, uniform, max_samples=8)
    >>> display.n_samples.tolist()
    [1, 2, 4, 8]
    >>> bool((np.diff(display.rmse_of_best) < 0).all())
    True
    """

    def __init__(
        self,
        n_samples: ArrayLike,
        rmse_of_mean: ArrayLike,
        rmse_of_median: ArrayLike,
        rmse_of_best: ArrayLike,
        rmse_of_expectation: float,
        *,
        target_name: str = "target",
    ):
        self.n_samples = np.asarray(n_samples)
        self.rmse_of_mean = np.asarray(rmse_of_mean)
        self.rmse_of_median = np.asarray(rmse_of_median)
        self.rmse_of_best = np.asarray(rmse_of_best)
        self.rmse_of_expectation = rmse_of_expectation
        self.target_name = target_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        max_samples: int = 64,
        random_state: RandomState = 0,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Predict distributions, draw from them, and draw the errors.

        Parameters
        ----------
        estimator : fitted LLMRegressor, or a Pipeline or search that ends with one
        X : table-like of shape (n_rows, n_columns)
        y : array-like of shape (n_rows,)
        max_samples, random_state
            As in :meth:`from_predictions`.
        ax, **kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : SamplesDisplay
        """
        y = numeric_targets(y, cls.__name__)
        regressor, X = regressor_within(estimator, X)
        return cls.from_predictions(
            y, regressor.predict_distribution(X), max_samples=max_samples,
            random_state=random_state, target_name=regressor.serializer_.target_name_, ax=ax,
            **kwargs,
        )  # fmt: skip

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        distribution: NumericDistribution,
        *,
        max_samples: int = 64,
        random_state: RandomState = 0,
        target_name: str = "target",
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw from distributions, and draw the errors.

        Parameters
        ----------
        y_true : array-like of shape (n_rows,)
        distribution : NumericDistribution
            Of the same rows.
        max_samples : int >= 1, default=64
            The largest K is the largest power of two up to this. Smaller ones use the same draws,
            in groups, and all of them.
        random_state : int, RandomState instance or None, default=0
        target_name : str, default="target"
        ax, **kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : SamplesDisplay

        Raises
        ------
        ValueError
            If y_true is not finite, has another length, or ``max_samples`` is no integer of at
            least 1.
        """
        y_true = numeric_targets(y_true, cls.__name__, "y_true", "distribution")
        expectation = distribution.mean()
        if y_true.shape != expectation.shape:
            raise ValueError(f"There are {len(y_true)} y_true for {len(distribution)} rows.")
        draws = distribution.sample(max_samples, random_state)
        n_samples = 2 ** np.arange(int(max_samples).bit_length())
        errors = draws[:, : n_samples[-1]] - y_true[:, None]
        groups = [errors.reshape(len(errors), -1, k) for k in n_samples]
        display = cls(
            n_samples,
            [_rms(group.mean(axis=2)) for group in groups],
            [_rms(np.median(group, axis=2)) for group in groups],
            [_rms(np.abs(group).min(axis=2)) for group in groups],
            _rms(expectation - y_true),
            target_name=target_name,
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the three errors against K.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None: a new figure.
        **kwargs : dict
            For ``matplotlib.axes.Axes.plot``, for all curves.

        Returns
        -------
        display : SamplesDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax = self._draw_on(ax)
        curves = {"mean": (BLUE, "o"), "median": (ORANGE, "^"), "best": (GREEN, "s")}
        for what, (color, marker) in curves.items():
            style = {"color": color, "marker": marker, "label": f"{what} of K draws"} | kwargs
            ax.plot(self.n_samples, getattr(self, f"rmse_of_{what}"), **style)
        style = dict(color=GREY, linestyle="--", linewidth=1)
        ax.axhline(self.rmse_of_expectation, label="mean of the distribution", **style)
        ax.set_xscale("log", base=2)
        ax.set_xticks(self.n_samples, [str(k) for k in self.n_samples])
        ax.set(xlabel="draws per row, K", ylabel=f"RMSE of {self.target_name}")
        ax.set_ylim(bottom=0)
        ax.legend(frameon=False)
        return self


def _rms(errors):
    return float(np.sqrt(np.mean(np.square(errors))))
