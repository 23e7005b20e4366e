"""scikit-learn's frame around ``fit``, for type checkers too."""

from collections.abc import Callable
from typing import Any, TypeVar

from sklearn.base import _fit_context

__all__ = ["fit_context"]

Fit = TypeVar("Fit", bound=Callable[..., Any])


def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[Fit], Fit]:
    """Decorator of a ``fit`` that checks parameters first, as scikit-learn's own estimators do.

    It is scikit-learn's, which has no types and would take the method's from those who call it.

    Parameters
    ----------
    prefer_skip_nested_validation : bool
        Whether estimators that ``fit`` calls need not check theirs.

    Returns
    -------
    callable
        Gives back a method of the same signature.
    """
    decorator: Callable[[Fit], Fit] = _fit_context(
        prefer_skip_nested_validation=prefer_skip_nested_validation
    )
    return decorator
