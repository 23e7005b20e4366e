"""What a fitted estimator knows beyond one number per row."""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from llmreg.integrations.arithmetic import own_arithmetic
from llmreg.numbers.distribution import (
    Floats,
    NumericDistribution,
    RandomState,
    check_coverage,
    check_levels,
)

__all__ = ["UncertaintyMixin"]


FAR = 0.05  # with less of the mass beyond a quantile, it takes a finer tree than the mean does


@own_arithmetic
class UncertaintyMixin:
    """``predict_distribution``, ``predict_quantiles``, ``predict_interval`` and ``sample_y``.

    They read the distributions of ``self._blocks(X)``, a block of rows at a time.
    """

    def predict_distribution(self, X: ArrayLike) -> NumericDistribution:
        """Predict a distribution over numbers for each row.

        Parameters
        ----------
        X : as in :meth:`predict`

        Returns
        -------
        NumericDistribution
            With mean, median, quantile, interval, std, cdf, crps and sample, at the temperature
            ``temperature_``. Holds one probability per row and bin: for very long tables, work in
            slices, or ask for quantiles or intervals at once. A method that predicts one number
            puts all mass on it.

        Notes
        -----
        Of trees of more than 32 nodes, wide cells stand for what cannot move the mean by more than
        ``tree_tolerance``. Their mass is exact, and spread evenly within: quantiles below 0.01 and
        above 0.99, and ``cdf`` so far out, may be off by such a cell's width. ``predict_quantiles``
        and ``predict_interval`` compute more of the tree then; with ``tree_tolerance=0`` all is
        exact.
        """
        return NumericDistribution.concatenate(self._blocks(X))

    def predict_quantiles(self, X: ArrayLike, q: ArrayLike) -> Floats:
        """Predict quantiles for each row.

        Parameters
        ----------
        X : as in :meth:`predict`
        q : float or array-like of shape (m,)
            Probabilities in [0, 1]: 0.9 is exceeded by one in ten.

        Returns
        -------
        ndarray of shape (n_rows,) for a scalar q, else (n_rows, m)
            In the units of y; within the range of the codec. The further out, the more of the
            number tree is computed (see ``tree_tolerance``).

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            If q is out of [0, 1], or the method predicts one number and no distribution.

        Examples
        --------
        >>> import numpy as np
        >>> from llmreg import LLMRegressor
        >>> X, y = np.arange(30.0).reshape(-1, 1), np.arange(30.0)
        >>> model = LLMRegressor(fit_method="ce", sft_epochs=1, random_state=0).fit(X, y)
        >>> model.predict_quantiles(X[:2], [0.1, 0.5, 0.9]).shape
        (2, 3)
        """
        q = check_levels(q)
        return self._of_spread(X, "quantiles", lambda part: part.quantile(q), _share(q))

    def predict_interval(self, X: ArrayLike, coverage: float = 0.9) -> Floats:
        """Predict a central interval for each row: equal probabilities lie below and above it.

        Parameters
        ----------
        X : as in :meth:`predict`
        coverage : float, default=0.9
            Probability that y is inside, in [0, 1]. How often new rows are inside is for you to
            check, on rows that the fit has not seen.

        Returns
        -------
        ndarray of shape (n_rows, 2)
            Lower and upper ends in the units of y.

        Raises
        ------
        NotFittedError, ValueError
            As :meth:`predict_quantiles`, for a coverage out of [0, 1].

        Examples
        --------
        >>> import numpy as np
        >>> from llmreg import LLMRegressor
        >>> X, y = np.arange(30.0).reshape(-1, 1), np.arange(30.0)
        >>> model = LLMRegressor(fit_method="ce", sft_epochs=1, random_state=0).fit(X, y)
        >>> low, high = model.predict_interval(X, coverage=0.5).T
        >>> bool((low < high).all())
        True
        """
        check_coverage(coverage)
        share = _share(np.asarray((1 - coverage) / 2))
        return self._of_spread(X, "intervals", lambda part: part.interval(coverage), share)

    def sample_y(self, X: ArrayLike, n_samples: int = 1, random_state: RandomState = 0) -> Floats:
        """Draw numbers from each row's distribution, uniformly within bins.

        As :meth:`sklearn.gaussian_process.GaussianProcessRegressor.sample_y`, but rows are drawn
        independently of one another.

        Parameters
        ----------
        X : as in :meth:`predict`
        n_samples : int >= 1, default=1
            Draws per row.
        random_state : int, RandomState instance or None, default=0
            An int gives the same draws in each call.

        Returns
        -------
        ndarray of shape (n_rows, n_samples)
            In the units of y.

        Raises
        ------
        NotFittedError, ValueError
            As :meth:`predict_quantiles`, for a count below 1.

        Examples
        --------
        >>> import numpy as np
        >>> from llmreg import LLMRegressor
        >>> X, y = np.arange(30.0).reshape(-1, 1), np.arange(30.0)
        >>> model = LLMRegressor(fit_method="ce", sft_epochs=1, random_state=0).fit(X, y)
        >>> model.sample_y(X, n_samples=5).shape
        (30, 5)
        """
        random_state = check_random_state(random_state)  # one for all blocks, which go on drawing
        return self._of_spread(X, "samples", lambda part: part.sample(n_samples, random_state))

    def _of_spread(self, X, what, read, share=1.0):
        """Arrays that ``read`` makes of blocks of distributions, concatenated."""
        return np.concatenate([read(part) for part in self._blocks(X, what, share)])

    def _check_spread(self, what):
        """ValueError if the method has no distribution: its spread of zero would be no estimate."""
        from llmreg.prediction.distributions import has_spread

        if not has_spread(self.model_):
            raise ValueError(
                f"fit_method={self.fit_method!r} predicts one number per row and no distribution, "
                f"so it has no {what}. Fit a method that writes numbers, such as 'ce' or 'grpo', "
                "or fit_method='histogram'."
            )


def _share(q):
    """Of ``tree_tolerance``, what keeps quantiles as near as those at ``FAR``, however far out.

    What is not computed may then be as large a part of the mass beyond them. The range's own ends
    (0 and 1) are known in any case.
    """
    beyond = np.minimum(q, 1 - q).round(12)  # 0.9 leaves 0.04999999999999999
    return min(beyond[beyond > 0].min(initial=FAR) / FAR, 1.0)
