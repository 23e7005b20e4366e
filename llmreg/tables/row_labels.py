"""Labels of rows: all is paired by position, as in scikit-learn, which may not be expected."""

import warnings

import pandas as pd

__all__ = ["warn_other_order"]


def warn_other_order(X, suffix="", *, stacklevel=3, **vectors):
    """Warn of what has the row labels of a table, each once, in another order.

    Parameters
    ----------
    X : table-like
    suffix : str, default=""
        Behind the names of the arguments, for the message.
    stacklevel : int, default=3
        Of the warning: that of whoever calls what calls this.
    **vectors : array-like or None
        By the names of arguments that belong to the rows of X.

    Warns
    -----
    UserWarning
        One for all of them.

    Examples
    --------
    >>> import pandas as pd
    >>> from llmreg.tables.row_labels import warn_other_order
    >>> X = pd.DataFrame({"a": [1, 2]}, index=["p", "q"])
    >>> warn_other_order(X, y=pd.Series([1, 2], index=["p", "q"]))
    """
    turned = [name + suffix for name, vector in vectors.items() if _in_other_order(X, vector)]
    if turned:
        name = turned[0]
        warnings.warn(
            f"The index of {' and '.join(turned)} has the labels of X{suffix} in another order, "
            f"and rows are paired by position. Give {name}.loc[X{suffix}.index] to pair them by "
            f"label, or {name}.to_numpy() if their places are right.",
            UserWarning,
            stacklevel=stacklevel,
        )


def _in_other_order(X, vector):
    if not all(isinstance(part, pd.DataFrame | pd.Series) for part in (X, vector)):
        return False
    rows, labels = X.index, vector.index
    if not len(rows) == len(labels) > 1 or rows.nlevels != labels.nlevels or rows.equals(labels):
        return False
    if labels[0] not in rows or not (rows.is_unique and labels.is_unique):  # cheapest first
        return False
    return bool((rows.get_indexer_for(labels) >= 0).all())
