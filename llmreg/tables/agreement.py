"""Whether the cells of a column may agree, found out without reading them all."""

import numpy as np

__all__ = ["NEARLY_ALL", "may_reach"]

NEARLY_ALL = 0.95  # the share of a column's cells that must agree on how they are written
FIRST_LOOK = 500  # distinct cells, the most frequent ones


def may_reach(share, fits, cells, counts):
    """Whether a share of a column's cells may be such; False only if it is certain that it's less.

    Columns of words are ruled out by few of their cells. What looks well after a first look is not
    looked at any further: who reads all cells will see.

    Parameters
    ----------
    share : float
    fits : callable
        Says of a cell whether it is such.
    cells : list of str
        Distinct.
    counts : ndarray of shape (len(cells),)
        How often each occurs.

    Returns
    -------
    bool

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg.tables.agreement import may_reach
    >>> may_reach(0.95, str.isdigit, ["tba", "1"], np.array([1, 19]))
    True
    >>> may_reach(0.95, str.isdigit, ["tba", "1"], np.array([1, 18]))
    False
    """
    total, weights = counts.sum(), counts.tolist()
    seen, left = 0, total
    for number, i in enumerate(np.argsort(-counts, kind="stable").tolist()):
        if number == FIRST_LOOK and total - left <= (1 - share) * seen:
            return True
        seen += weights[i]
        if not fits(cells[i]):
            left -= weights[i]
            if left / total < share:
                return False
    return len(cells) > 0
