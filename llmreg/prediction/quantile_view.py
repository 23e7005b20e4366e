"""One quantile of a regressor's distribution, as a regressor of its own."""

from numbers import Real
from typing import Any, Self

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    validate_parameter_constraints,
)
from sklearn.utils.validation import check_is_fitted

from llmreg.integrations.documentation import DocumentedMixin
from llmreg.integrations.fitting import fit_context
from llmreg.numbers.distribution import check_coverage
from llmreg.prediction.uncertainty import Floats

__all__ = ["QuantileView"]


class QuantileView(DocumentedMixin, MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """A regressor that predicts one quantile of another one's distributions.

    For what asks for a regressor per quantile, such as conformalised quantile regression, and for
    ``cross_val_predict``. Around a fitted regressor it needs no fit.

    Parameters
    ----------
    estimator : LLMRegressor, or a Pipeline that ends with one
        Fitted or not. ``fit`` trains a clone; a fitted one is kept as it is in
        :class:`sklearn.frozen.FrozenEstimator`.
    quantile : float, default=0.5
        Probability in [0, 1]: 0.9 is exceeded by one in ten.

    Attributes
    ----------
    estimator_ : estimator
        The clone that ``fit`` has trained.
    n_features_in_ : int

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import cross_val_predict
    >>> from llmreg import LLMRegressor, QuantileView
    >>> X, y = np.arange(30.0).reshape(-1, 1), np.arange(30.0)
    >>> model = LLMRegressor(fit_method="ce", sft_epochs=1, random_state=0)
    >>> cross_val_predict(QuantileView(model, 0.9), X, y, cv=2).shape
    (30,)
    >>> model = model.fit(X, y)
    >>> low, high = QuantileView(model, 0.1), QuantileView(model, 0.9)
    >>> bool((low.predict(X) < high.predict(X)).all())
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"])],
        "quantile": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(self, estimator: Any, quantile: float = 0.5):
        self.estimator = estimator
        self.quantile = quantile

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit a clone of the estimator.

        Parameters
        ----------
        X, y : as the estimator takes them
        sample_weight : array-like of shape (n_rows,) or None, default=None
            Passed on if given.

        Returns
        -------
        self : QuantileView
        """
        weight = {} if sample_weight is None else {"sample_weight": sample_weight}
        self.estimator_ = clone(self.estimator).fit(X, y, **weight)
        return self

    def predict(self, X: ArrayLike) -> Floats:
        """Predict the quantile.

        Parameters
        ----------
        X : as the estimator takes it

        Returns
        -------
        ndarray of shape (n_rows,)
            In the units of y.

        Raises
        ------
        NotFittedError
            If neither this nor the estimator is fitted.
        ValueError
            If the quantile is not one number in [0, 1], the estimator is none, or its method
            predicts no distributions.
        TypeError
            If another kind of estimator predicts no quantiles.
        """
        constraint = {"estimator": self._parameter_constraints["estimator"]}
        given = {"estimator": self.estimator}
        validate_parameter_constraints(constraint, given, caller_name=type(self).__name__)
        check_coverage(self.quantile, "quantile")
        check_is_fitted(self)
        try:
            return self._fitted.predict(X, quantiles=float(self.quantile))
        except TypeError as error:
            if "quantiles" not in str(error):
                raise
            raise TypeError(
                f"estimator={self.estimator!r:.80} predicts no quantiles. Give an LLMRegressor, or "
                "a Pipeline that ends with one."
            ) from error

    @property
    def n_features_in_(self) -> int:
        """Number of columns that the estimator has seen in ``fit``."""
        return self._fitted.n_features_in_

    @property
    def _fitted(self):
        return vars(self).get("estimator_", self.estimator)

    def __sklearn_is_fitted__(self):
        try:
            check_is_fitted(self._fitted)
        except NotFittedError:
            return False
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags
