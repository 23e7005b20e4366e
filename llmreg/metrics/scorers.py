"""What ``scoring=`` takes, for scores of predictive distributions."""

from collections.abc import Mapping
from typing import Any

from sklearn import get_config
from sklearn.metrics._scorer import _BaseScorer
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from llmreg.integrations.arithmetic import own_arithmetic
from llmreg.metrics.scores import interval_coverage, interval_score, mean_crps, pinball_loss
from llmreg.numbers.distribution import check_coverage
from llmreg.prediction.through import predicted_distribution
from llmreg.tables.targets import numeric_targets

__all__ = ["DistributionScorer", "combine_scorers", "get_scorer"]

# By name: the score, its sign where more is to be better, and its parameters' defaults.
SCORES = {
    "neg_crps": (mean_crps, -1, {}),
    "neg_pinball_loss": (pinball_loss, -1, {"quantile": 0.5}),
    "neg_interval_score": (interval_score, -1, {"coverage": 0.9}),
    "coverage": (interval_coverage, 1, {"coverage": 0.9}),
}


class DistributionScorer(_BaseScorer):
    """A scorer of scikit-learn's that reads distributions where others read numbers.

    :func:`get_scorer` makes them. Like all scorers it is called as ``scorer(estimator, X, y,
    sample_weight=None)`` and has ``set_score_request`` for metadata routing.
    """

    def _score(self, method_caller, estimator, X, y_true, **kwargs):
        return self.of_distribution(y_true, predicted_distribution(estimator, X), **kwargs)

    @own_arithmetic
    def of_distribution(self, y_true, y_pred, **kwargs):
        """The score of distributions that are there already."""
        y_true = numeric_targets(y_true, repr(self))  # errors name y, which is what scorers take
        return self._sign * self._score_func(y_true, y_pred, **(self._kwargs | kwargs))

    def __repr__(self):
        name = next(name for name, (score, *_) in SCORES.items() if score is self._score_func)
        params = "".join(f", {key}={value!r}" for key, value in self._kwargs.items())
        return f"get_scorer({name!r}{params})"


def get_scorer(scoring: str, **params: float) -> DistributionScorer:
    """A scorer of predictive distributions, by name.

    It works as ``scoring=`` of searches and cross-validation, in dicts of several scorers, and
    with LLMRegressor as the last step of a Pipeline.

    Parameters
    ----------
    scoring : {"neg_crps", "neg_pinball_loss", "neg_interval_score", "coverage"}
        What is scored, more being better. "neg_crps": whole distributions, by
        :func:`~llmreg.metrics.mean_crps`. "neg_pinball_loss": one quantile
        (:func:`~llmreg.metrics.pinball_loss`). "neg_interval_score": central intervals
        (:func:`~llmreg.metrics.interval_score`). "coverage": the share of targets within them
        (:func:`~llmreg.metrics.interval_coverage`), to look at; a search by it would choose what
        is widest.
    **params : float
        ``quantile=0.5`` of "neg_pinball_loss"; ``coverage=0.9`` of "neg_interval_score" and
        "coverage".

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, sample_weight=None)``, a float.

    Raises
    ------
    ValueError
        For another name, or a parameter that is not one number in [0, 1].
    TypeError
        For a parameter that the score does not have. When it scores: for an estimator that
        predicts no distributions.

    See Also
    --------
    combine_scorers : Several scores of one prediction.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import cross_val_score
    >>> from llmreg import LLMRegressor, get_scorer
    >>> X, y = np.arange(30.0).reshape(-1, 1), np.arange(30.0)
    >>> model = LLMRegressor(fit_method="ce", sft_epochs=1, random_state=0)
    >>> cross_val_score(model, X, y, cv=2, scoring=get_scorer("neg_crps")).shape
    (2,)
    >>> get_scorer("neg_interval_score", coverage=0.8)
    get_scorer('neg_interval_score', coverage=0.8)
    """
    if not isinstance(scoring, str) or scoring not in SCORES:
        raise ValueError(
            f"scoring={scoring!r} is no score of distributions; choose one of {list(SCORES)}. For "
            "scores of predicted numbers see sklearn.metrics.get_scorer."
        )
    score, sign, defaults = SCORES[scoring]
    unknown = set(params) - set(defaults)
    if unknown:
        raise TypeError(
            f"{scoring!r} has no parameter {unknown.pop()!r}; it has {list(defaults) or 'none'}."
        )
    for name, value in params.items():  # a search would take what they raise for a score of nan
        check_coverage(value, name)
    return DistributionScorer(score, sign, defaults | params)


class _Combined:
    """See :func:`combine_scorers`; a class, so that it can be pickled."""

    def __init__(self, scorers):
        self.scorers = scorers

    def __call__(self, estimator, X, y, sample_weight=None, **kwargs):
        given = kwargs if sample_weight is None else kwargs | {"sample_weight": sample_weight}
        asked = dict.fromkeys(self.scorers, given)
        if given and get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "score", **given)
            asked = {name: routed[name].score for name in self.scorers}
        distribution = predicted_distribution(estimator, X)
        return {
            name: scorer.of_distribution(y, distribution, **asked[name])
            for name, scorer in self.scorers.items()
        }

    def get_metadata_routing(self):
        """What each of the scorers asks for, as scikit-learn's own scorers of several tell."""
        mapping = MethodMapping().add(caller="score", callee="score")
        return MetadataRouter(owner=self).add(**self.scorers, method_mapping=mapping)

    def __repr__(self):
        return f"combine_scorers({self.scorers})"


def combine_scorers(scorers: Mapping[str, DistributionScorer]) -> Any:
    """Several scores of the same distributions, which are predicted once.

    A dict of scorers would do as well, but scikit-learn then predicts for each of them.

    Parameters
    ----------
    scorers : dict of str to scorer
        Each from :func:`get_scorer`.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, sample_weight=None)``, a dict of floats: for ``scoring=`` of
        :func:`~sklearn.model_selection.cross_validate`, and of searches with ``refit`` set to one
        of the names. With metadata routing each score gets what its scorer has asked for by
        ``set_score_request``.

    Raises
    ------
    TypeError
        For anything that :func:`get_scorer` has not made.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import cross_validate
    >>> from llmreg import LLMRegressor, combine_scorers, get_scorer
    >>> X, y = np.arange(30.0).reshape(-1, 1), np.arange(30.0)
    >>> model = LLMRegressor(fit_method="ce", sft_epochs=1, random_state=0)
    >>> both = combine_scorers({"crps": get_scorer("neg_crps"), "inside": get_scorer("coverage")})
    >>> sorted(cross_validate(model, X, y, cv=2, scoring=both))
    ['fit_time', 'score_time', 'test_crps', 'test_inside']
    """
    for name, scorer in scorers.items():
        if not isinstance(scorer, DistributionScorer):
            raise TypeError(f"{name!r} is {scorer!r}; give what llmreg.get_scorer returns.")
    return _Combined(dict(scorers))
