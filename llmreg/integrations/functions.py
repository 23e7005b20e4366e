"""Functions that users give, looked at before they are called."""

import inspect

__all__ = ["check_function"]


def check_function(function, name, *arguments, example):
    """TypeError for what cannot be called with these arguments.

    Parameters
    ----------
    function : object
    name : str
        Of the parameter, for the message.
    *arguments : str
        Names of what it is called with.
    example : str
        A function that would do, for the message.

    Examples
    --------
    >>> from llmreg.integrations.functions import check_function
    >>> check_function(max, "cost", "a", "y", example="max")
    >>> check_function("mse", "cost", "a", "y", example="max")
    Traceback (most recent call last):
    ...
    TypeError: cost='mse' is no function. Give one that is called as cost(a, y), such as max.
    """
    called = f"{name}({', '.join(arguments)})"
    if not callable(function):
        problem = "is no function"
    elif not _takes(function, arguments):
        problem = f"cannot be called with {len(arguments)} arguments"
    else:
        return
    raise TypeError(
        f"{name}={function!r:.80} {problem}. Give one that is called as {called}, such as "
        f"{example}."
    )


def _takes(function, arguments):
    try:
        inspect.signature(function).bind(*arguments)
    except ValueError:  # what is built in may not tell
        return True
    except TypeError:
        return False
    return True
