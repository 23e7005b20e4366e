"""Temperature scaling: one number that makes predictive distributions as wide as they should be.

Training leaves the probabilities of the next symbol sharper or flatter than the errors on new rows
warrant. Dividing their logarithms by one temperature for all rows and steps (Guo et al. 2017, "On
Calibration of Modern Neural Networks", arXiv 1706.04599, section 4.2) mends the width and leaves
the order of the symbols alone, hence greedy decoding. They choose it by the likelihood; here it is
the CRPS of the numbers, which knows how far off a number is.
"""

import numpy as np
from scipy.optimize import minimize_scalar

__all__ = ["best_temperature", "check_temperature", "tempered"]

LOWEST, HIGHEST = 0.1, 10.0
N_GRID = 9  # odd, so that 1 is on the grid
PRECISION = 0.005  # of log T; the validation rows tell it to a few hundredths at best
LEAST_GAIN = 1e-6  # relative; less is rounding, as where all symbols are equally likely


def tempered(log_probs, temperature):
    """Log-probabilities at another temperature: normalised ``log_probs / temperature``.

    Parameters
    ----------
    log_probs : Tensor of shape (..., S)
        Each row sums to one in probability. Stand-ins for -inf, such as -1e30, stay impossible.
    temperature : float > 0
        Below 1 sharpens, above 1 flattens; 1 returns the very tensor.

    Returns
    -------
    Tensor of shape (..., S)

    Examples
    --------
    >>> import torch
    >>> from llmreg.numbers.calibration import tempered
    >>> sharper = tempered(torch.tensor([0.8, 0.2]).log(), 0.5)  # 0.64 : 0.04
    >>> [round(p, 3) for p in sharper.exp().tolist()]
    [0.941, 0.059]
    """
    return log_probs if temperature == 1 else (log_probs / temperature).log_softmax(-1)


def best_temperature(score):
    """The temperature from 0.1 to 10 with the smallest score.

    A grid finds the valley, for the score may have several, and a bounded search its bottom, to
    half a per cent. Takes about twenty evaluations.

    Parameters
    ----------
    score : callable
        ``score(temperature)`` is a float >= 0, smaller is better, such as a mean CRPS.

    Returns
    -------
    float
        1.0 where no other temperature is better by more than rounding.

    Examples
    --------
    >>> import math
    >>> from llmreg.numbers.calibration import best_temperature
    >>> round(best_temperature(lambda t: 1 + math.log(t / 3) ** 2), 1)
    3.0
    >>> best_temperature(lambda t: 5.0)
    1.0
    """
    untouched = score(1.0)
    if not untouched > 0:  # nothing is left to gain
        return 1.0

    def relative(log_temperature):  # whatever the units of the score: they may be tiny or huge
        return score(float(np.exp(log_temperature))) / untouched

    grid = np.linspace(np.log(LOWEST), np.log(HIGHEST), N_GRID)
    middle = N_GRID // 2
    scores = [1.0 if i == middle else relative(x) for i, x in enumerate(grid)]
    best = int(np.argmin(scores))
    bounds = grid[max(best - 1, 0)], grid[min(best + 1, N_GRID - 1)]
    found = minimize_scalar(relative, bounds=bounds, method="bounded", options={"xatol": PRECISION})
    gain, log_temperature = max((1 - scores[best], grid[best]), (1 - found.fun, found.x))
    return float(np.exp(log_temperature)) if gain > LEAST_GAIN else 1.0


def check_temperature(temperature):
    """The temperature as a float.

    Raises
    ------
    ValueError
        If it is not a positive finite number.
    """
    legal = np.ndim(temperature) == 0 and isinstance(temperature, (int, float, np.number))
    if not (legal and 0 < temperature < np.inf):
        raise ValueError(
            f"temperature_={temperature!r} is not a positive finite number. Set 1.0 for the "
            "distributions as the model has them; below 1 sharpens them, above 1 flattens them."
        )
    return float(temperature)
