"""Regression-aware objectives: the loss is on the number that decoding predicts."""

from llmreg.objectives.base import Objective

__all__ = ["RAFT"]


class RAFT(Objective):
    """Squared error of the distribution's mean: (y − E_p v)², through the number tree.

    The prediction (RAIL) is trained directly. The loss says nothing about the distribution's
    shape: intervals, mode and greedy decoding are not trained.

    References
    ----------
    RAFT: regression-aware fine-tuning, eq. 9–10, with the codec's bins as the grid.

    Examples
    --------
    >>> from llmreg import LLMRegressor
    >>> model = LLMRegressor(fit_method="raft")
    """

    def loss(self, policy, targets, statistics=None):
        """(y − E v)² in z-units, per row."""
        from llmreg.objectives import functional as F

        return F.expected_squared_error(policy.leaf_log_probs(), policy.leaf_z, targets.z), {}
