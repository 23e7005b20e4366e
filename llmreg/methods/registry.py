"""Names of the methods."""

import inspect

import pandas as pd
from sklearn.base import clone

from llmreg.methods.base import Method
from llmreg.methods.genre2 import GenRe2
from llmreg.methods.heads import (
    Histogram,
    LastStateHead,
    LogitsMLPHead,
    MaxPoolHead,
    MeanPoolHead,
    MinPoolHead,
    Pointwise,
    ProbabilitiesHead,
    SpecialTokenHead,
)
from llmreg.methods.learnt import LearnableRAFT, NewTokens
from llmreg.methods.number_tokens import DIST2, NTLMSE, NTLWAS
from llmreg.methods.policy_gradient import GRPO, RLOO, ReMax
from llmreg.methods.regression_aware import CRPS, MBR, RAFT
from llmreg.methods.token_level import CE, SoftCE
from llmreg.methods.untrained import ZeroShot

__all__ = ["METHODS", "fit_methods", "resolve_method"]

# A new method is a class with a name, and an entry here.
CLASSES = (
    CE, SoftCE, NTLMSE, NTLWAS, DIST2, RAFT, LearnableRAFT, MBR, CRPS, ReMax, GRPO, RLOO, GenRe2,
    NewTokens, SpecialTokenHead, LogitsMLPHead, LastStateHead, MeanPoolHead, MinPoolHead,
    MaxPoolHead, ProbabilitiesHead, Pointwise, Histogram, ZeroShot,
)  # fmt: skip
METHODS = {method.name: method for method in CLASSES}


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
            "class": method.__name__,
            "stage": method.stage,
            "paper": method.paper,
            "equation": method.equation,
            "trains": method.trains,
            "parameters": method().get_params(),
            "summary": inspect.getdoc(method).split("\n")[0],
        }
        for name, method in METHODS.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")


def resolve_method(value, parameter):
    """The objective that a parameter of the estimator names.

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
        For anything that is neither a name nor an objective.
    """
    if isinstance(value, str):
        if value not in METHODS:
            raise ValueError(
                f"{parameter}={value!r} is not a method. The methods are:\n{_listed()}"
            )
        objective = METHODS[value]()
    elif isinstance(value, Method):
        objective = clone(value)
    else:
        raise TypeError(
            f"{parameter} must be a name ({', '.join(METHODS)}) or an objective such as "
            f"llmreg.GRPO(); got {value!r}."
        )
    objective.validate()
    return objective


def _listed():
    return "\n".join(
        f"  {row.Index!r} ({row.stage}): {row.summary} [{row.paper}]"
        for row in fit_methods().itertuples()
    )
