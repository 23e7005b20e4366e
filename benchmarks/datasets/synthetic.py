"""The synthetic data set "Original #1"."""

import numpy as np
import pandas as pd

from benchmarks.datasets.base import RegressionData, consecutive_parts

__all__ = ["make_original_1", "original_1"]

LARGEST_INPUT = 100.0
TEMPLATE = (
    "The task is to provide your best estimate for 'output score' based on 'input score'. Please "
    "provide that and only that, without any additional text. Input score: {input_score}. "
    "Output score:"
)


def original_1(x):
    """x + 10 sin(5 π x / 100) + 10 cos(6 π x / 100): a line that wiggles.

    Parameters
    ----------
    x : array-like of floats
        Meant for 0 to 100.

    Returns
    -------
    ndarray of the same shape

    Examples
    --------
    >>> from benchmarks.datasets.synthetic import original_1
    >>> original_1([0.0, 50.0]).round(6).tolist()
    [10.0, 50.0]
    """
    x = np.asarray(x, dtype=np.float64)
    turn = np.pi * x / LARGEST_INPUT
    return x + 10 * np.sin(5 * turn) + 10 * np.cos(6 * turn)


def make_original_1(n_train=10_000, n_validation=1_000, n_test=1_000, *, random_state=0):
    """ "Original #1" of Vacareanu et al. as the RAFT paper uses it: one input, no noise.

    Inputs are uniform on 0 to 100 and rounded to two decimals, as the prompt writes them; targets
    are :func:`original_1` of the rounded input, scaled so that the function's smallest and largest
    value over 0 to 100 become 0 and 9. (RAFT says that targets are normalised to [0, 9], not
    how; the ends of the function itself depend on no sample.)

    Parameters
    ----------
    n_train, n_validation, n_test : int, default=10,000, 1,000 and 1,000
        Rows of each part; the defaults are those of RAFT's Table 7.
    random_state : int, default=0
        The same seed gives the same inputs.

    Returns
    -------
    RegressionData
        Column "input_score"; y "output score" between 0 and 9; parts "train", "validation" and
        "test".

    Raises
    ------
    ValueError
        If a number of rows is negative, or there is no row at all.

    References
    ----------
    Function: Vacareanu et al., "From Words to Numbers", arXiv 2404.07544, "original1" of the
    released code. Prompt, range and sizes: RAFT (Lukasik et al., 2025), Tables 6 and 7.

    Examples
    --------
    >>> from benchmarks.datasets import make_original_1
    >>> data = make_original_1(100, 10, 10)
    >>> len(data.parts["train"]), data.target_range
    (100, (0.0, 9.0))
    """
    sizes = (n_train, n_validation, n_test)
    if min(sizes) < 0 or sum(sizes) == 0:
        raise ValueError(
            f"n_train, n_validation, n_test = {sizes}; give numbers that are not negative, and at "
            "least one row."
        )
    rng = np.random.RandomState(random_state)
    x = rng.uniform(0, LARGEST_INPUT, sum(sizes)).round(2)
    # On the grid of the rounded inputs, so that no target can leave the range.
    every = original_1(np.arange(100 * LARGEST_INPUT + 1) / 100)
    y = 9 * (original_1(x) - every.min()) / np.ptp(every)
    return RegressionData(
        "original_1",
        pd.DataFrame({"input_score": x}),
        pd.Series(np.clip(y, 0, 9), name="output score"),
        parts=consecutive_parts(sizes),
        template=TEMPLATE,
        target_range=(0.0, 9.0),
        source="Made here; Vacareanu et al. (arXiv 2404.07544), RAFT Tables 6 and 7.",
    )
