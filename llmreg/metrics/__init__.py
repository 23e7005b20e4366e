"""Scores of predictive distributions, and scikit-learn's scorers of them.

``mean_crps``, ``pinball_loss``, ``interval_score`` and ``interval_coverage`` compare targets with a
:class:`llmreg.NumericDistribution`; :func:`get_scorer` makes of each what ``scoring=`` takes.
"""

from llmreg.metrics.scorers import combine_scorers, get_scorer
from llmreg.metrics.scores import interval_coverage, interval_score, mean_crps, pinball_loss

__all__ = [
    "combine_scorers",
    "get_scorer",
    "interval_coverage",
    "interval_score",
    "mean_crps",
    "pinball_loss",
]
