"""Decisions: the number that costs least to predict, given a distribution over what comes true."""

import numpy as np

from llmreg.integrations.functions import check_function

__all__ = ["check_cost", "least_cost"]

_CELLS = 2**22  # costs that are computed at once


def least_cost(distribution, cost):
    """The number of each row whose expected cost is least, over all numbers that may come true.

    Parameters
    ----------
    distribution : NumericDistribution of n rows and K cells
        Cells stand for their value.
    cost : callable
        ``cost(prediction, y)`` gets two arrays of numbers that broadcast, (m, 1) and (1, K), both
        in the units of y, and returns (m, K) finite costs.

    Returns
    -------
    ndarray of shape (n,)
        One of the cells' values; of several with the same expected cost the smallest.

    Raises
    ------
    ValueError
        If the costs have another shape or are not finite.
    TypeError
        If ``cost`` is no function of two arguments.

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg import NumericDistribution
    >>> from llmreg.numbers.decisions import least_cost
    >>> demand = NumericDistribution([[0.25, 0.25, 0.25, 0.25]], [1, 2, 3, 4], [1, 2, 3, 4])
    >>> shortage = lambda ordered, sold: np.where(sold > ordered, 3, 1) * np.abs(sold - ordered)
    >>> least_cost(demand, shortage)
    array([3.])
    """
    check_cost(cost)
    values, probs = distribution.values, distribution.probabilities
    if values.ndim == 1:
        return values[_least(cost, values, probs)]
    return np.array(
        [own[_least(cost, own, p[None])[0]] for own, p in zip(values, probs, strict=True)]
    )


def check_cost(cost):
    """TypeError unless ``cost`` is a function of a prediction and of what comes true."""
    example = "lambda prediction, y: numpy.abs(prediction - y)"
    check_function(cost, "cost", "prediction", "y", example=example)


def _least(cost, values, probs):
    """Place of the value with the least expected cost, (n,), under probabilities (n, K)."""
    best, place = np.full(len(probs), np.inf), np.zeros(len(probs), dtype=int)
    order = np.argsort(values, kind="stable")
    size = max(1, _CELLS // len(values))
    for start in range(0, len(values), size):
        candidates = order[start : start + size]
        expected = probs @ _costs(cost, values[candidates], values).T
        found = expected.argmin(axis=1)
        least = expected[np.arange(len(probs)), found]
        better = least < best
        best[better], place[better] = least[better], candidates[found[better]]
    return place


def _costs(cost, candidates, outcomes):
    found = np.asarray(cost(candidates[:, None], outcomes[None, :]), dtype=np.float64)
    shape = len(candidates), len(outcomes)
    if found.shape != shape or not np.isfinite(found).all():
        what = "values that are not finite" if found.shape == shape else f"shape {found.shape}"
        raise ValueError(
            f"cost={cost!r} returned {what} for predictions of shape {candidates[:, None].shape} "
            f"and targets of shape {outcomes[None, :].shape}. It must return one finite number for "
            f"each pair, {shape}: write it with numpy operations that broadcast, such as "
            "lambda prediction, y: np.abs(prediction - y)."
        )
    return found
