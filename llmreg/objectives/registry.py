"""Names of the methods."""

import inspect

import pandas as pd
from sklearn.base import clone

from llmreg.objectives.base import Objective
from llmreg.objectives.policy_gradient import GRPO, ReMax
from llmreg.objectives.regression_aware import RAFT
from llmreg.objectives.token_level import CE, SoftCE

__all__ = ["METHODS", "fit_methods", "resolve_method"]

METHODS = {"ce": CE, "soft_ce": SoftCE, "raft": RAFT, "remax": ReMax, "grpo": GRPO}


def fit_methods():
    """The names that ``LLMRegressor(fit_method=...)`` accepts.

    Returns
    -------
    pandas.DataFrame
        One row per name: the class to build for non-default parameters, the stage it trains in,
        its parameters with their defaults, and what it does.

    Examples
    --------
    >>> from llmreg import fit_methods
    >>> fit_methods()["class"].to_dict()
    {'ce': 'CE', 'soft_ce': 'SoftCE', 'raft': 'RAFT', 'remax': 'ReMax', 'grpo': 'GRPO'}
    """
    rows = {
        name: {
            "class": method.__name__,
            "stage": method.stage,
            "parameters": method().get_params(),
            "summary": inspect.getdoc(method).split("\n")[0],
        }
        for name, method in METHODS.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")


def resolve_method(value, parameter, reward=None):
    """The objective that a parameter of the estimator names.

    Parameters
    ----------
    value : str or Objective
    parameter : str
        Name of the estimator's parameter, for the messages.
    reward : str, callable or None
        Replaces the method's own reward.

    Returns
    -------
    Objective
        A validated copy; the user's object is left alone.

    Raises
    ------
    ValueError
        For an unknown name, illegal parameters, or a reward that the method cannot use.
    TypeError
        For anything that is neither a name nor an objective.
    """
    if isinstance(value, str):
        if value not in METHODS:
            table = "\n".join(
                f"  {row.Index!r}: {row.summary}" for row in fit_methods().itertuples()
            )
            raise ValueError(f"{parameter}={value!r} is not a method. The methods are:\n{table}")
        objective = METHODS[value]()
    elif isinstance(value, Objective):
        objective = clone(value)
    else:
        raise TypeError(
            f"{parameter} must be a name ({', '.join(METHODS)}) or an objective such as "
            f"llmreg.GRPO(); got {value!r}."
        )
    if reward is not None:
        _set_reward(objective, value, parameter, reward)
    objective.validate()
    return objective


def _set_reward(objective, value, parameter, reward):
    if "reward" not in objective.get_params():
        raise ValueError(
            f"reward={reward!r} has no meaning with {parameter}={value!r}, which learns without a "
            "reward. Leave reward=None, or choose 'grpo' or 'remax'."
        )
    if not isinstance(value, str):
        raise ValueError(
            f"reward={reward!r} was given twice: {parameter} is an object that has its own "
            f"(reward={value.reward!r}). Set it there and leave reward=None."
        )
    objective.set_params(reward=reward)
