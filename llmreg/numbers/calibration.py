"""Two numbers that make predictive distributions better after training, from rows held out.

The **temperature**: training leaves the probabilities of the next symbol sharper or flatter than
the errors on new rows warrant. Dividing their logarithms by one temperature for all rows and steps
(Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599, section 4.2) mends
the width and leaves the order of the symbols alone.

The **weight of the estimates**: where regressors have an estimate of a row too, the two
distributions are pooled, by as much as each has earned.

Guo et al. choose the temperature by the likelihood; here both are chosen by the CRPS of the
numbers, which knows how far off a number is.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import logsumexp

__all__ = [
    "TEMPERATURES",
    "UNTOUCHED",
    "Calibration",
    "best_weight",
    "calibrated",
    "check_temperature",
    "check_weight",
    "clearly_less",
    "likely_temperature",
    "pooled",
    "steady_decoding",
    "tempered",
]

LOWEST, HIGHEST = 0.1, 10.0
N_GRID, N_FINE = 17, 401  # temperatures that are tried, and between which a curve is laid
LEAST_GAIN = 1e-6  # relative; less is rounding, as where all symbols are equally likely
WEIGHTS = np.linspace(0, 1, 11)
TEMPERATURES = np.geomspace(0.5, 2, 5)
# Of the estimates' weight, before rows say something: the model was stopped where it did best on
# these very rows, which the estimates have not seen (docs/appendix/ablations.md).
PRIOR_MEAN, PRIOR_DEVIATION = 0.65, 0.3
# Of the logarithm of the temperature, before rows say something. Two that err by themselves are
# nearer to the truth together, but a pool is as wide as either: how much too wide at equal say is
# a quarter of this (docs/appendix/ablations.md).
PRIOR_SCALE, POOL_TOO_WIDE = 0.2, 0.7
# A normal distribution that is a little too wide, or too narrow, loses so many times as much in
# log-likelihood as its CRPS gains in shares of itself.
LIKELIHOOD_OF_CRPS = 4.0
UNSTEADY = 1.5
IMPOSSIBLE = -1e29  # log-probabilities below stand for -inf
NEVER = -1e30  # such a stand-in


@dataclass(frozen=True)
class Calibration:
    """What is done to a model's distributions after training; by default nothing."""

    temperature: float = 1.0
    estimate_weight: float = 0.0


UNTOUCHED = Calibration()


def calibrated(log_probs, estimated, calibration, apart=None):
    """:func:`pooled` with the estimates by their weight, then :func:`tempered`.

    How probable a heap is the estimates know: of what is pooled with them only the other symbols
    are tempered. Held-out rows are too few to tell of what is rare.
    """
    weight = calibration.estimate_weight
    together = pooled(log_probs, estimated, weight, apart)
    known = apart if estimated is not None and weight else None
    return tempered(together, calibration.temperature, known)


def tempered(log_probs, temperature, apart=None):
    """Log-probabilities at another temperature: normalised ``log_probs / temperature``.

    Parameters
    ----------
    log_probs : Tensor of shape (..., S)
        Each row sums to one in probability. Stand-ins for -inf, such as -1e30, stay impossible.
    temperature : float > 0
        Below 1 sharpens, above 1 flattens; 1 returns the very tensor.
    apart : BoolTensor that broadcasts to (..., S), default=None
        Symbols that stay as likely as they are. None: there are none.

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
    if temperature == 1:
        return log_probs
    if apart is None:
        return (log_probs / temperature).log_softmax(-1)
    others = log_probs.masked_fill(apart, NEVER)
    share = others.logsumexp(-1, keepdim=True)
    return log_probs.where(apart, (others / temperature).log_softmax(-1) + share)


def pooled(log_probs, estimated, weight, apart=None):
    """The logarithmic opinion pool of two distributions, ∝ p^(1 − w) · q^w.

    Genest & Zidek 1986, "Combining Probability Distributions", Statistical Science 1. Where both
    are bells, the pool is one as well, and their centres count by weight and precision.

    What two bells that lie apart have in common is little. Beside a heap, which both are sure of,
    nothing would be left of them; nor of what is rare, if one of the two hardly expects it. So the
    symbols on the way to a heap, each, and all others together are pooled linearly, which keeps
    sums, and the others among themselves by their logarithms.

    Parameters
    ----------
    log_probs : Tensor of shape (..., S)
        Each row sums to one in probability. Stand-ins for -inf, such as -1e30, stay impossible.
    estimated : Tensor of the same shape, or None
        Log-probabilities of the other distribution; None: there is none.
    weight : float in [0, 1]
        Of the estimates; 0 returns the very tensor.
    apart : BoolTensor that broadcasts to (..., S), default=None
        Symbols on the way to a heap. None: there are none.

    Returns
    -------
    Tensor of shape (..., S)

    Examples
    --------
    >>> import torch
    >>> from llmreg.numbers.calibration import pooled
    >>> sure, unsure = torch.tensor([0.9, 0.1]).log(), torch.tensor([0.5, 0.5]).log()
    >>> [round(p, 3) for p in pooled(sure, unsure, 0.5).exp().tolist()]  # 3 : 1
    [0.75, 0.25]
    """
    if estimated is None or not weight:
        return log_probs
    together = log_probs.lerp(estimated.to(log_probs), weight)
    # At weight 1 nothing is left of a stand-in.
    together = log_probs.where(log_probs < IMPOSSIBLE, together)
    if apart is not None:
        estimated = estimated.to(log_probs)
        mine, theirs, both = (
            part.masked_fill(apart, NEVER).logsumexp(-1, keepdim=True)
            for part in (log_probs, estimated, together)
        )
        others = together - both + _log_mean(mine, theirs, weight)
        together = _log_mean(log_probs, estimated, weight).where(apart, others)
    return together.log_softmax(-1)


def _log_mean(log_p, log_q, weight):
    """log((1 − w) p + w q), 0 < w <= 1."""
    if weight == 1:
        return log_q
    return (log_p + math.log1p(-weight)).logaddexp(log_q + math.log(weight))


def likely_temperature(score, n_rows, weight=0.0):
    """The temperature from 0.1 to 10, as much as so many rows can tell.

    As :func:`best_weight`, a posterior mean, here of its logarithm: each counts by exp(−4 n ·
    (score / smallest − 1)), as the likelihood does about normal distributions, and by a Cauchy
    distribution of scale 0.2, about 0 for the language model or the estimates alone, below where
    they are pooled: few rows move it little, but as far as need be where they are clear.

    Parameters
    ----------
    score : callable
        ``score(temperature)`` is a float >= 0, smaller is better: a mean over rows, such as the
        CRPS. It is asked 17 times.
    n_rows : float
        Rows that the score is the mean of.
    weight : float in [0, 1], default=0.0
        Of the estimates.

    Returns
    -------
    float
        1.0 if the temperature changes nothing.

    Examples
    --------
    >>> import math
    >>> from llmreg.numbers.calibration import likely_temperature
    >>> valley = lambda temperature: 1 + math.log(temperature / 3) ** 2
    >>> [round(likely_temperature(valley, n), 1) for n in (0.1, 1, 1000)]
    [1.2, 2.2, 3.0]
    >>> round(likely_temperature(valley, 1e-9, weight=0.5), 2), likely_temperature(lambda t: 5.0, 9)
    (0.85, 1.0)
    """
    tried = np.linspace(np.log(LOWEST), np.log(HIGHEST), N_GRID)
    scores = np.array([score(float(np.exp(x))) for x in tried])
    if not np.ptp(scores) > LEAST_GAIN * scores.max():
        return 1.0
    fine = np.linspace(tried[0], tried[-1], N_FINE)
    least = max(scores.min(), LEAST_GAIN * scores.max())
    curve = CubicSpline(tried, scores / least)(fine)
    expected = -POOL_TOO_WIDE * weight * (1 - weight)
    belief = -LIKELIHOOD_OF_CRPS * n_rows * curve - np.log1p(((fine - expected) / PRIOR_SCALE) ** 2)
    return float(np.exp(fine @ np.exp(belief - logsumexp(belief))))


def clearly_less(before, after, share):
    """Whether scores of rows are less than before, by more than chance.

    Parameters
    ----------
    before, after : ndarray of shape (n,)
        Of the same rows.
    share : ndarray of shape (n,)
        How much each row counts; sums to 1.

    Returns
    -------
    bool
        The mean difference is over its standard error.

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg.numbers.calibration import clearly_less
    >>> share, gain = np.full(4, 0.25), np.array([3.0, 2.0, 3.0, 2.0])
    >>> clearly_less(gain, np.zeros(4), share)
    True
    >>> clearly_less(np.array([1.0, 1.0, 1.0, -2.0]), np.zeros(4), share)  # as one row has it
    False
    """
    gain = before - after
    gain = gain / (np.abs(gain).max(initial=0.0) or 1.0)  # whose squares are no larger than 1
    mean = gain @ share
    error = np.sqrt(((gain - mean) ** 2 @ share) * (share @ share))
    return bool(mean > error)


def best_weight(score, n_rows, temperatures=TEMPERATURES):
    """The weight of the estimates' distribution, as much as so many rows can tell.

    Not the weight with the smallest score, which few rows leave to chance, but the mean of all
    weights and temperatures on a grid, each counted by exp(−n / 2 · (score / smallest − 1)), as if
    the score were a variance, and by a normal distribution of mean 0.65 and deviation 0.3: a
    posterior mean. The model was stopped where it did best on the same rows, which flatters it; the
    estimates have not seen them. No rows at all give 0.6, many the best.

    Parameters
    ----------
    score : callable
        ``score(weight, temperature)`` is a float >= 0, smaller is better: a mean over rows.
    n_rows : float
        Rows that the score is the mean of.
    temperatures : sequence of float, default=five from 0.5 to 2
        Those in question.

    Returns
    -------
    float in [0, 1]

    Examples
    --------
    >>> from llmreg.numbers.calibration import best_weight
    >>> valley = lambda weight, temperature: 1 + (weight - 0.2) ** 2
    >>> [round(best_weight(valley, n), 2) for n in (0, 10, 10_000)]
    [0.6, 0.44, 0.2]
    """
    scores = np.array([[score(float(w), float(t)) for t in temperatures] for w in WEIGHTS])
    least = scores.min()
    if not least > 0:  # a perfect score: all that have it count alike
        belief = np.where(scores == least, 0.0, -np.inf)
    else:
        belief = -n_rows / 2 * (scores / least - 1)
    belief = logsumexp(belief, axis=1) - ((WEIGHTS - PRIOR_MEAN) / PRIOR_DEVIATION) ** 2 / 2
    return float(WEIGHTS @ np.exp(belief - logsumexp(belief)))


def steady_decoding(distributions, y, weight):
    """ "rail", unless the mean is a matter of numbers that are hardly possible.

    Where numbers reach over orders of magnitude, the least probability of the largest may outweigh
    all others in the mean. Then even the squared errors of the median are smaller, although the
    mean is what makes them least.

    Parameters
    ----------
    distributions : NumericDistribution of n rows
    y, weight : ndarray of shape (n,)

    Returns
    -------
    {"rail", "median"}
        "median" if the root mean square error of the mean is 1.5 times as large, the row whose y is
        farthest from the others' median left out: one row decides nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg import NumericDistribution
    >>> from llmreg.numbers.calibration import steady_decoding
    >>> rows = NumericDistribution(np.tile([0.999, 0.001], (3, 1)), [0, 1e6], [2, 1e6])
    >>> steady_decoding(rows, np.array([0.5, 1.0, 1.5]), np.ones(3))
    'median'
    """
    counts = np.arange(len(y)) != np.abs(y - np.median(y)).argmax()
    if not weight[counts].any():
        return "rail"
    errors = np.stack([distributions.mean() - y, distributions.median() - y])[:, counts]
    unit = np.abs(errors).max() or 1.0
    mean, median = np.average((errors / unit) ** 2, axis=1, weights=weight[counts])
    return "median" if mean > UNSTEADY**2 * median else "rail"


def check_temperature(temperature):
    """The temperature as a float.

    Raises
    ------
    ValueError
        If it is not a positive finite number.
    """
    if not (_is_number(temperature) and 0 < temperature < np.inf):
        raise ValueError(
            f"temperature_={temperature!r} is not a positive finite number. Set 1.0 for the "
            "distributions as the model has them; below 1 sharpens them, above 1 flattens them."
        )
    return float(temperature)


def check_weight(weight):
    """The weight of the estimates as a float.

    Raises
    ------
    ValueError
        If it is not a number from 0 to 1.
    """
    if not (_is_number(weight) and 0 <= weight <= 1):
        raise ValueError(
            f"estimate_weight_={weight!r} is not a number from 0 to 1. Set 0.0 for the language "
            "model's distributions alone, 1.0 for those of the estimates alone."
        )
    return float(weight)


def _is_number(value):
    return np.ndim(value) == 0 and isinstance(value, (int, float, np.number))
