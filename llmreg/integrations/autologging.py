"""Keep MLflow from taking the small regressors inside a fit for the model that is fitted."""

import sys
from contextlib import contextmanager, nullcontext

__all__ = ["unlogged"]


@contextmanager
def unlogged():
    """Suspend MLflow's autologging, if MLflow is in use at all.

    With ``mlflow.autolog()`` every fit of a scikit-learn estimator starts a run of its own. Here
    that would be a ridge regression; a pipeline or a search around the whole is logged as ever.
    """
    utils = sys.modules.get("mlflow.utils.autologging_utils")
    with nullcontext() if utils is None else utils.disable_autologging():
        yield
