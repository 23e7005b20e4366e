"""Names of the methods."""

import difflib
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import pandas as pd
from sklearn.base import clone

from llmreg.methods.base import Method

__all__ = ["METHODS", "fit_methods", "register", "resolve_method"]

T = TypeVar("T")
METHODS: dict[str, Method] = {}  # by name, with the parameters that the name stands for


def register(name: str, **parameters: Any) -> Callable[[type[T]], type[T]]:
    """Class decorator: give a method a name for ``LLMRegressor(fit_method=name)``.

    Parameters
    ----------
    name : str
    **parameters : object
        What the name stands for beside the defaults.

    Returns
    -------
    callable
        Gives back the class, so that one class may have several names.

    Raises
    ------
    ValueError
        If another class has the name. Running a definition again replaces the method.

    Examples
    --------
    >>> from llmreg.methods import METHODS, CE, register
    >>> @register("cross_entropy")
    ... class CrossEntropy(CE):
    ...     pass
    >>> METHODS.pop("cross_entropy")
    CrossEntropy()
    """

    def add(kind):
        known = METHODS.get(name)
        if known is not None and _address(type(known)) != _address(kind):
            raise ValueError(
                f"The name {name!r} belongs to {type(known).__module__}."
                f"{type(known).__qualname__} already. Give {kind.__qualname__} another one."
            )
        METHODS[name] = kind(**parameters)
        return kind

    return add


def _address(kind):
    return kind.__module__, kind.__qualname__


def fit_methods() -> pd.DataFrame:
    """The names that ``LLMRegressor(fit_method=...)`` accepts.

    Returns
    -------
    pandas.DataFrame
        One row per name: the class to build for non-default parameters, the stage it trains in, the
        paper and the loss of one row, what it trains, its parameters with their defaults, and a
        summary.

    Examples
    --------
    >>> from llmreg import fit_methods
    >>> table = fit_methods()
    >>> table.loc["raft", ["class", "stage", "equation"]].tolist()
    ['RAFT', 'align', '(y − Σ_v p(v) v)²']
    >>> list(table.columns)
    ['class', 'stage', 'paper', 'equation', 'trains', 'parameters', 'summary']
    """
    rows = {
        name: {
            "class": type(method).__name__,
            "stage": method.stage,
            "paper": method.paper,
            "equation": method.equation,
            "trains": method.trains,
            "parameters": method.get_params(),
            "summary": (inspect.getdoc(method) or "").split("\n")[0],
        }
        for name, method in METHODS.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")


def resolve_method(value, parameter):
    """The method that a parameter of the estimator names.

    Parameters
    ----------
    value : str or Method
    parameter : str
        Name of the estimator's parameter, for the messages.

    Returns
    -------
    Method
        A validated copy; the user's object is left alone.

    Raises
    ------
    ValueError
        For an unknown name or illegal parameters.
    TypeError
        For anything that is neither a name nor a method.
    """
    if isinstance(value, str) and value not in METHODS:
        close = difflib.get_close_matches(value.lower(), METHODS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"{parameter}={value!r} is not a method.{hint} The methods are:\n{_listed()}"
        )
    if not isinstance(value, str | Method):
        raise TypeError(
            f"{parameter} must be a name ({', '.join(METHODS)}) or a method such as "
            f"llmreg.GRPO(); got {value!r}."
        )
    method = clone(METHODS[value] if isinstance(value, str) else value)
    method.validate()
    return method


def _listed():
    return "\n".join(
        f"  {row.Index!r} ({row.stage}): {row.summary} [{row.paper}]"
        for row in fit_methods().itertuples()
    )
