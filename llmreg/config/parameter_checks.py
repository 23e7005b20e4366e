"""Whether parameters are legal, those of parts too; what is refused is shown as it was given."""

from numbers import Real

import numpy as np
from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

from llmreg.integrations.documentation import DocumentedMixin
from llmreg.integrations.python_values import as_python

__all__ = ["check_parameters"]

# Words that stand where an object is meant, and what to write instead.
OBJECTS = {
    "text_features": "For vectors of a pretrained model write text_features=TextEncoder({!r}).",
    "serializer": "For a template write serializer=RowSerializer({!r}).",
    "codec": "Write an object, such as codec=DigitCodec(), and not {!r}.",
    "adapters": "Write their rank, such as adapters=8, or an object, and not {!r}.",
}
SECONDS = ("time_limit", "checkpoint_interval")


def check_parameters(owner, given):
    """Check parameters, and those of llmreg's own parts among them.

    A fit reads them as Python's own values, and so they are checked.

    Parameters
    ----------
    owner : BaseEstimator
        Its ``_parameter_constraints`` say what is legal; parameters without any are not checked.
    given : dict of str to object
        Its parameters, as they were given.

    Raises
    ------
    InvalidParameterError
        A ValueError: what is legal, the value as given and, where that can be told, what to write.

    Examples
    --------
    >>> from llmreg import Device
    >>> from llmreg.config.parameter_checks import check_parameters
    >>> check_parameters(Device(), {"micro_batch_size": 8})
    """
    legal = getattr(owner, "_parameter_constraints", {})
    for name, value in given.items():
        _check(owner, name, value, legal.get(name, "no_validation"))
        if isinstance(value, DocumentedMixin) and hasattr(value, "get_params"):
            check_parameters(value, value.get_params(deep=False))


def _check(owner, name, value, legal):
    plain = as_python(value)
    try:
        validate_parameter_constraints({name: legal}, {name: plain}, type(owner).__name__)
    except InvalidParameterError as error:
        message = str(error).removesuffix(f" Got {plain!r} instead.")
        raise InvalidParameterError(
            f"{message} Got {value!r} instead.{_remedy(name, value, plain, legal)}"
        ) from None


def _remedy(name, value, plain, legal):
    """What to write in place of a value, where that can be told, behind a space."""
    if name in OBJECTS and isinstance(plain, str):
        return f" {OBJECTS[name].format(plain)}"
    if getattr(value, "ndim", 1) == 0 and not isinstance(value, np.generic):
        return " Take the value out of the array, with .item()."
    if name in SECONDS and not isinstance(plain, Real):
        return f" Give seconds, such as {name}=5.0."
    if dict in legal and hasattr(value, "to_dict"):
        return f" Make a dict of it, with .to_dict(): {name}={{name: value}}."
    return ""
