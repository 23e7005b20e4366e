"""What every objective is: parameters and a loss per row."""

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import StrOptions

__all__ = ["STAGES", "Method"]

STAGES = [StrOptions({"sft", "align"})]  # legal values, for methods that leave the choice


class Method(BaseEstimator):
    """Base class of the training methods.

    A subclass assigns its parameters in ``__init__`` (so they are searchable as
    ``fit_method__<name>``), lists their legal values in ``_parameter_constraints`` and implements
    :meth:`loss`. Importing or building an objective never imports torch.

    Attributes
    ----------
    stage : {"sft", "align"}
        "sft": trains from fresh or pretrained weights, in one stage. "align": starts from the
        best weights of a first stage. A method that can do either has it as a parameter.
    name : str or None
        What the method is called in ``LLMRegressor(fit_method=...)``; None: it has no name and is
        passed as an object.
    weighs_vocabulary : bool
        Whether the probabilities of tokens that write no number count, too. First stages leave
        those as they find them.
    trains : str
        Which property of the predictive distribution the loss is about, for
        :func:`llmreg.fit_methods`; and ``paper`` and ``equation``, where it comes from and what it
        computes for one row.
    """

    _parameter_constraints: dict = {}
    stage = "align"
    name = None
    weighs_vocabulary = False
    num_examples = 0
    beta = 0.0
    trains = paper = equation = ""

    def validate(self):
        """Check the parameters; raises ``InvalidParameterError`` (a ValueError)."""
        self._validate_params()

    def check_codec(self, codec):
        """Refuse a codec that the method cannot learn with.

        Parameters
        ----------
        codec : codec, fitted or not

        Raises
        ------
        ValueError
            Saying why, and what to use instead. By default nothing is refused.
        """

    @property
    def num_draws(self):
        """int: numbers that :meth:`loss` draws for each row."""
        return 0

    def statistics(self, policy, targets):
        """Sums over rows that :meth:`loss` needs of the whole batch.

        A batch may be computed in parts, by several processes or to save memory: rows see one
        another through these sums alone.

        Parameters
        ----------
        policy, targets
            As in :meth:`loss`.

        Returns
        -------
        Tensor of shape (K,) or None
            None, the default: each row's loss is its own business.
        """
        return None

    def loss(self, policy, targets, statistics=None):
        """Loss of each row of a batch.

        Parameters
        ----------
        policy : llmreg.training.policy.NumberPolicy
            The model's distribution over numbers for the batch's rows, with gradients.
        targets : llmreg.training.policy.Targets
            The rows' true numbers and weights.
        statistics : Tensor of shape (K,) or None, default=None
            :meth:`statistics`, summed over all parts of the batch. None: these rows are all.

        Returns
        -------
        loss : Tensor of shape (B,)
            The training loop adds them up, weighted by ``sample_weight`` (with a mean of 1 over the
            training rows), and divides by the number of rows.
        metrics : dict of str to Tensor of shape (B,)
            Averaged likewise for ``history_``; may be empty.
        """
        raise NotImplementedError
