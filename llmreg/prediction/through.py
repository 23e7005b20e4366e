"""To the fitted regressor inside of what scikit-learn wraps around it."""

from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

__all__ = ["predicted_distribution", "regressor_within"]

NO_BEST = "This %(name)s has no best_estimator_: call fit first, with refit=True."


def regressor_within(estimator, X=None):
    """The regressor that predicts distributions, and the rows as it gets them.

    Parameters
    ----------
    estimator : LLMRegressor; or a Pipeline or search, however nested, that ends with one
    X : table-like of shape (n_rows, n_columns), default=None
        As the estimator gets it; None where only the regressor is wanted.

    Returns
    -------
    regressor : LLMRegressor
    X : table-like or None
        After the Pipeline's other steps.

    Raises
    ------
    NotFittedError
        If a search or a Pipeline's other steps are not fitted. The regressor tells by itself.
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
    if hasattr(estimator, "predict_distribution"):
        return estimator, X
    if isinstance(estimator, Pipeline):
        if X is not None and len(estimator) > 1:
            X = estimator[:-1].transform(X)
        return regressor_within(estimator[-1], X)
    if isinstance(estimator, BaseSearchCV):
        check_is_fitted(estimator, "best_estimator_", msg=NO_BEST)
        return regressor_within(estimator.best_estimator_, X)
    raise TypeError(
        f"{type(estimator).__name__} has no 'predict_distribution', and is no Pipeline or search "
        "around an estimator that has it. Give a fitted LLMRegressor, alone or last in a Pipeline."
    )


def predicted_distribution(estimator, X):
    """NumericDistribution of each row, also through Pipelines and searches."""
    regressor, X = regressor_within(estimator, X)
    return regressor.predict_distribution(X)
