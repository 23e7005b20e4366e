"""How good predictive distributions were, in one number."""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import mean_pinball_loss
from sklearn.utils.validation import check_consistent_length

from llmreg.integrations.arithmetic import own_arithmetic
from llmreg.numbers.distribution import NumericDistribution, check_coverage
from llmreg.tables.targets import numeric_targets
from llmreg.tables.weights import checked_weights

__all__ = ["interval_coverage", "interval_score", "mean_crps", "pinball_loss"]


@own_arithmetic
def mean_crps(
    y_true: ArrayLike, y_pred: NumericDistribution, *, sample_weight: ArrayLike | None = None
) -> float:
    """Mean continuous ranked probability score: how far off whole distributions are.

    For a distribution that has all mass on one number this is the absolute error.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
    y_pred : NumericDistribution
        Of the same rows.
    sample_weight : array-like of shape (n_rows,) or None, default=None
        Non-negative and not all zero. None: all rows count alike.

    Returns
    -------
    float
        At least 0, best small; in the units of y.

    Raises
    ------
    ValueError
        If y_true is not finite, or it or the weights have another length or are not legal.
    TypeError
        If ``y_pred`` is no NumericDistribution.

    References
    ----------
    Gneiting & Raftery, Strictly proper scoring rules, JASA 2007, section 4.2.

    Examples
    --------
    >>> from llmreg import NumericDistribution
    >>> from llmreg.metrics import mean_crps
    >>> round(mean_crps([1.0], NumericDistribution([[1.0]], lower=[0], upper=[2])), 4)
    0.1667
    """
    y_true, weight = _checked(y_true, y_pred, sample_weight, "mean_crps")
    return float(np.average(y_pred.crps(y_true), weights=weight))


@own_arithmetic
def pinball_loss(
    y_true: ArrayLike,
    y_pred: NumericDistribution,
    *,
    quantile: float = 0.5,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Mean pinball loss of one quantile of the distributions.

    Parameters
    ----------
    y_true, y_pred, sample_weight : as in :func:`mean_crps`
    quantile : float, default=0.5
        Probability in [0, 1]. 0.5: half the mean absolute error of the median.

    Returns
    -------
    float
        At least 0, best small; in the units of y. See :func:`sklearn.metrics.mean_pinball_loss`.

    Raises
    ------
    ValueError
        If the quantile is out of [0, 1], y_true is not finite, or has another length.

    Examples
    --------
    >>> from llmreg import NumericDistribution
    >>> from llmreg.metrics import pinball_loss
    >>> pinball_loss([1.0], NumericDistribution([[1.0]], lower=[0], upper=[1]), quantile=0.5)
    0.25
    """
    y_true, weight = _checked(y_true, y_pred, sample_weight, "pinball_loss")
    check_coverage(quantile, "quantile")
    predicted = y_pred.quantile(float(quantile))
    return float(mean_pinball_loss(y_true, predicted, sample_weight=weight, alpha=float(quantile)))


@own_arithmetic
def interval_score(
    y_true: ArrayLike,
    y_pred: NumericDistribution,
    *,
    coverage: float = 0.9,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Mean interval score (Winkler): the width of central intervals, and a fine for misses.

    A target outside of its interval costs 2 / (1 - coverage) times its distance to it.

    Parameters
    ----------
    y_true, y_pred, sample_weight : as in :func:`mean_crps`
    coverage : float, default=0.9
        Of the intervals; in [0, 1).

    Returns
    -------
    float
        At least 0, best small; in the units of y.

    Raises
    ------
    ValueError
        If the coverage is out of [0, 1), y_true is not finite, or has another length.

    References
    ----------
    Winkler, A decision-theoretic approach to interval estimation, JASA 1972; Gneiting & Raftery
    2007, section 6.2.

    Examples
    --------
    >>> from llmreg import NumericDistribution
    >>> from llmreg.metrics import interval_score
    >>> uniform = NumericDistribution([[1.0]], lower=[0], upper=[10])
    >>> round(interval_score([5.0], uniform, coverage=0.8), 6)
    8.0
    >>> round(interval_score([9.5], uniform, coverage=0.8), 6)
    13.0
    """
    check_coverage(coverage)
    if coverage == 1:
        raise ValueError("coverage is 1, where a miss costs infinitely much; give less than 1.")
    tails = (1 - coverage) / 2, (1 + coverage) / 2
    y_true, sample_weight = _checked(y_true, y_pred, sample_weight, "interval_score")
    # Twice the pinball losses of both ends, over the share outside (Gneiting & Raftery 2007).
    losses = (pinball_loss(y_true, y_pred, quantile=q, sample_weight=sample_weight) for q in tails)
    return 2 / (1 - coverage) * sum(losses)


@own_arithmetic
def interval_coverage(
    y_true: ArrayLike,
    y_pred: NumericDistribution,
    *,
    coverage: float = 0.9,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Share of the targets that are in their central interval, ends included.

    Parameters
    ----------
    y_true, y_pred, sample_weight : as in :func:`mean_crps`
    coverage : float, default=0.9
        Of the intervals, in [0, 1].

    Returns
    -------
    float
        In [0, 1], best near ``coverage``: more is no better.

    Raises
    ------
    ValueError
        If the coverage is out of [0, 1], y_true is not finite, or has another length.

    Examples
    --------
    >>> from llmreg import NumericDistribution
    >>> from llmreg.metrics import interval_coverage
    >>> uniform = NumericDistribution([[1.0], [1.0]], lower=[0], upper=[10])
    >>> interval_coverage([5.0, 9.9], uniform, coverage=0.8)
    0.5
    """
    y_true, weight = _checked(y_true, y_pred, sample_weight, "interval_coverage")
    low, high = y_pred.interval(coverage).T
    return float(np.average((low <= y_true) & (y_true <= high), weights=weight))


def _checked(y_true, y_pred, sample_weight, score):
    """Targets and weights (None: all count alike) of the rows of distributions."""
    if not isinstance(y_pred, NumericDistribution):
        raise TypeError(
            f"y_pred is of type {type(y_pred).__name__}; {score} needs the NumericDistribution "
            "that predict_distribution(X) returns."
        )
    y_true = numeric_targets(y_true, score, "y_true", beside="y_pred")
    check_consistent_length(y_true, y_pred)
    if sample_weight is None:
        return y_true, None
    return y_true, checked_weights(sample_weight, y_true, owner=score)
