"""To the fitted regressor inside of what scikit-learn wraps around it."""

from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline

__all__ = ["predicted_distribution", "regressor_within"]


def regressor_within(estimator, X, method="predict_distribution"):
    """The fitted regressor that has a method of LLMRegressor, and the rows as it gets them.

    Parameters
    ----------
    estimator : LLMRegressor; or a Pipeline or search, however nested, that ends with one
    X : table-like of shape (n_rows, n_columns)
        As the estimator gets it.
    method : str, default="predict_distribution"

    Returns
    -------
    regressor : LLMRegressor
    X : table-like
        After the Pipeline's other steps.

    Raises
    ------
    TypeError
        If there is none.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from llmreg import LLMRegressor
    >>> from llmreg.prediction.through import regressor_within
    >>> X, y = np.arange(30.0).reshape(-1, 1), np.arange(30.0)
    >>> model = LLMRegressor(fit_method="ce", sft_epochs=1, random_state=0)
    >>> pipeline = make_pipeline(StandardScaler(), model).fit(X, y)
    >>> regressor, scaled = regressor_within(pipeline, X)
    >>> regressor.predict_distribution(scaled)[:2].mean().shape
    (2,)
    """
    if hasattr(estimator, method):
        return estimator, X
    if isinstance(estimator, Pipeline):
        X = estimator[:-1].transform(X) if len(estimator) > 1 else X
        return regressor_within(estimator[-1], X, method)
    if isinstance(estimator, BaseSearchCV):
        return regressor_within(estimator.best_estimator_, X, method)
    raise TypeError(
        f"{type(estimator).__name__} has no {method!r}, and is no Pipeline or search around an "
        "estimator that has it. Give an LLMRegressor, alone or as the last step of a Pipeline."
    )


def predicted_distribution(estimator, X):
    """NumericDistribution of each row, also through Pipelines and searches."""
    regressor, X = regressor_within(estimator, X)
    return regressor.predict_distribution(X)
