"""Numbers for rows: ``predict`` and ``score``."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted

from llmreg.config.device import as_device
from llmreg.integrations.arithmetic import own_arithmetic
from llmreg.integrations.python_values import as_python
from llmreg.numbers.decisions import check_cost, least_cost
from llmreg.numbers.distribution import DECODINGS, DRAWN, Floats
from llmreg.tables.reading import read_table
from llmreg.tables.row_labels import warn_other_order
from llmreg.tables.targets import numeric_targets
from llmreg.tables.weights import checked_weights

__all__ = ["PredictMixin", "WithStd"]

ROWS_PER_BLOCK = 4096  # predict works through the table in blocks, so memory stays flat
Cost = Callable[[Any, Any], Any]


class WithStd(tuple):
    """(y_hat, y_std), which TransformedTargetRegressor would take for an array and transform."""

    __slots__ = ()

    @property
    def ndim(self):
        raise TypeError(
            "predict(return_std=True) gives a pair of arrays, and a standard deviation cannot be "
            "transformed back as TransformedTargetRegressor does. Quantiles can: ask for "
            "predict(X, quantiles=[0.16, 0.84]) or predict(X, coverage=0.68)."
        )


@own_arithmetic
class PredictMixin:
    """``predict`` and ``score``, and the blocks of rows that all predictions go through."""

    # With metadata routing, a Pipeline passes these on to ``predict`` without being told to.
    __metadata_request__predict = dict.fromkeys(
        ("decoding", "return_std", "cost", "n_samples", "quantiles", "coverage"), True
    )

    # fmt: off
    @overload
    def predict(self, X: ArrayLike, decoding: str | None = ..., return_std: Literal[False] = ..., *,
                cost: Cost | None = ..., n_samples: int | None = ...,
                quantiles: ArrayLike | None = ..., coverage: float | None = ...) -> Floats: ...
    @overload
    def predict(self, X: ArrayLike, decoding: str | None = ..., *, return_std: Literal[True],
                cost: Cost | None = ..., n_samples: int | None = ...) -> tuple[Floats, Floats]: ...
    # fmt: on
    def predict(
        self, X, decoding=None, return_std=False, *, cost=None, n_samples=None, quantiles=None,
        coverage=None,
    ):  # fmt: skip
        """Predict a number for each row, or quantiles, or an interval.

        Parameters
        ----------
        X : DataFrame, array-like, Series or list of str
            Rows with the columns seen in ``fit``.
        decoding : str or None, default=None
            Overrides the parameter ``decoding`` for this call.
        return_std : bool, default=False
            Also return the standard deviations of the rows' distributions, whatever the decoding.
        cost : callable, optional
            Predict what costs least: of the codec's numbers the one with the least expected cost.
            ``cost(prediction, y)`` gets arrays in the units of y that broadcast, and returns what
            it costs to predict the one where the other comes true. The whole number tree is
            computed, whatever ``tree_tolerance``. See :func:`llmreg.numbers.decisions.least_cost`.
        n_samples : int, optional
            Overrides the parameter ``n_samples`` for this call.
        quantiles : float or array-like of shape (m,), optional
            Return what :meth:`predict_quantiles` does instead; a Pipeline passes this on.
        coverage : float, optional
            Return what :meth:`predict_interval` does instead.

        Returns
        -------
        y_hat : ndarray of shape (n_rows,), float64
            In the units of y.
        y_std : ndarray of shape (n_rows,), float64
            Only if ``return_std`` is True.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            For columns that differ from those of ``fit``, an unknown decoding, costs that are not
            finite, two things asked for at once, or the spread of a method that predicts one number
            and no distribution.
        TypeError
            If ``cost`` is no function of two arguments.

        Examples
        --------
        Being short of stock costs three times what a surplus does:

        >>> import numpy as np
        >>> from llmreg import LLMRegressor
        >>> X, y = np.arange(30.0).reshape(-1, 1), np.arange(30.0)
        >>> model = LLMRegressor(fit_method="ce", sft_epochs=1, random_state=0).fit(X, y)
        >>> cost = lambda ordered, sold: np.where(sold > ordered, 3, 1) * np.abs(sold - ordered)
        >>> model.predict(X, cost=cost).shape
        (30,)
        """
        check_is_fitted(self, "model_")
        _check_one(
            decoding=decoding, cost=cost, quantiles=quantiles, coverage=coverage,
            return_std=return_std or None,
        )  # fmt: skip
        if quantiles is not None:
            return self.predict_quantiles(X, quantiles)
        if coverage is not None:
            return self.predict_interval(X, coverage)
        read, spread_for, share = self._reading_of(decoding, cost, n_samples)
        if return_std:
            spread_for = spread_for or "standard deviation"
        blocks = self._blocks(X, spread_for, share)
        if not return_std:
            return np.concatenate([read(part) for part in blocks])
        both = [(read(part), part.std()) for part in blocks]
        return WithStd(map(np.concatenate, zip(*both, strict=True)))

    def _reading_of(self, decoding, cost, n_samples):
        """How predictions are read off distributions, what they need a spread for, and the share
        of ``tree_tolerance`` that may be used."""
        if cost is not None:
            check_cost(cost)
            return partial(least_cost, cost=cost), "expected cost", 0.0
        decoding = self.decoding if decoding is None else decoding
        decoding = self.decoding_ if decoding == "auto" else decoding
        if decoding not in DECODINGS:
            raise ValueError(f"decoding={decoding!r} is not 'auto' or one of {DECODINGS}.")
        # One seed for all blocks, drawn anew in each call: the same call gives the same draws.
        seed = check_random_state(self.random_state) if decoding in DRAWN else None
        count = self.n_samples if n_samples is None else n_samples
        return lambda part: part.decode(decoding, seed, count), None, 1.0

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """R² of :meth:`predict`; y as in :meth:`fit`."""
        warn_other_order(X, stacklevel=4, y=y, sample_weight=sample_weight)
        y = numeric_targets(y)
        weight = None if sample_weight is None else checked_weights(sample_weight, y)
        return super().score(X, y, weight)

    def _blocks(self, X, spread_for=None, share=1.0):
        """Distributions of blocks of rows, in order. ``spread_for`` names what is read of them if
        it needs a method that predicts distributions; ``share`` is that of ``tree_tolerance`` which
        may be used."""
        check_is_fitted(self, "model_")
        validate_parameter_constraints(  # it may have been set since the fit
            {"tree_tolerance": self._parameter_constraints["tree_tolerance"]},
            {"tree_tolerance": self.tree_tolerance}, caller_name=type(self).__name__,
        )  # fmt: skip
        if spread_for is not None:
            self._check_spread(spread_for)
        fitted, calibration = self.fitted_, self.fitted_.calibration
        frame = read_table(self, X, reset=False)
        from llmreg.integrations.process_state import own_modes
        from llmreg.prediction.distributions import distributions, ready

        with own_modes():
            model = ready(fitted.model, as_device(self.device).name)
        tolerance = fitted.std * as_python(self.tree_tolerance) * share
        for start in range(0, len(frame), ROWS_PER_BLOCK):
            rows = fitted.serializer.serialize(frame.iloc[start : start + ROWS_PER_BLOCK])
            with own_modes():  # which end before the caller goes on
                found = distributions(model, fitted.prompts.encode(rows), tolerance, calibration)
            yield found


def _check_one(*, return_std, **ways):
    """ValueError if more is asked for than one array can say."""
    asked = [name for name, value in ways.items() if value is not None]
    with_std = (
        [] if return_std is None or not {"quantiles", "coverage"} & {*asked} else ["return_std"]
    )
    if len(asked + with_std) > 1:
        raise ValueError(
            f"predict was asked for {' and '.join(asked + with_std)}: it returns one array. Ask "
            "for one of them at a time, or read all off predict_distribution(X)."
        )
