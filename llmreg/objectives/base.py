"""What every objective is: parameters and a loss per row."""

from sklearn.base import BaseEstimator

__all__ = ["Objective"]


class Objective(BaseEstimator):
    """Base class of the training methods.

    A subclass assigns its parameters in ``__init__`` (so they are searchable as
    ``fit_method__<name>``), lists their legal values in ``_parameter_constraints`` and implements
    :meth:`loss`. Importing or building an objective never imports torch.

    Attributes
    ----------
    stage : {"sft", "align"}
        "sft": trains from fresh or pretrained weights, in one stage. "align": starts from the
        best weights of a first stage.
    """

    _parameter_constraints: dict = {}
    stage = "align"

    def validate(self):
        """Check the parameters; raises ``InvalidParameterError`` (a ValueError)."""
        self._validate_params()

    def loss(self, policy, targets, generator):
        """Loss of each row of a batch.

        Parameters
        ----------
        policy : llmreg.policy.NumberPolicy
            The model's distribution over numbers for the batch's rows, with gradients.
        targets : llmreg.policy.Targets
            The rows' true numbers.
        generator : torch.Generator
            Source of randomness for methods that sample.

        Returns
        -------
        loss : Tensor of shape (B,)
            Averaged over rows, weighted by ``sample_weight``, by the training loop.
        metrics : dict of str to float
            For ``history_``; may be empty.
        """
        raise NotImplementedError
