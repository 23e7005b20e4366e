"""What every method is: parameters, a loss per row, and what it needs of the model."""

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import StrOptions

from llmreg.integrations.documentation import DocumentedMixin

__all__ = ["STAGES", "Method", "check_bounded", "check_reach"]

STAGES = [StrOptions({"sft", "align"})]  # legal values, for methods that leave the choice


class Method(DocumentedMixin, BaseEstimator):
    """Base class of the training methods.

    A subclass assigns its parameters in ``__init__`` (so they are searchable as
    ``fit_method__<name>``), lists their legal values in ``_parameter_constraints`` and implements
    :meth:`loss`. All else has a default, below: what differs is an attribute, or a property where
    it depends on parameters. Importing or building a method never imports torch: do so where it is
    used. :func:`llmreg.methods.register` gives a method a name.

    Attributes
    ----------
    stage : {"sft", "align", "none"}, default="align"
        "sft": trains in one stage, the first. "align": trains in a second stage, from the best
        weights of the first. A method that can do either has it as a parameter. "none": trains
        nothing, and asks a pretrained model as it is.
    parts : dict of str to llmreg.methods.parts.Part, default={}
        Modules that the model gets beside the language model, by their place: "head" (a
        :class:`llmreg.methods.parts.Head`) predicts in the number tree's place, "leaf_shift" moves
        the numbers' values, "new_tokens" writes each number as a token of its own.
    bidirectional : bool, default=False
        Whether the prompt's tokens attend to those after them, in both stages.
    num_draws : int, default=0
        Numbers that :meth:`loss` draws for each row.
    num_examples : int, default=0
        Training rows that stand solved in front of every prompt.
    needs_reference : bool, default=False
        Whether the first stage's weights are kept, for ``policy.kl_to_reference()``.
    compares_digits : bool, default=False
        Whether the loss is about the digits of numbers: after new tokens there are none.
    weighs_vocabulary : bool, default=False
        Whether the probabilities of tokens that write no number count, too. First stages leave
        those as they find them.
    spells_out : bool, default=False
        Whether the loss asks for the probability of whole spellings among all that the vocabulary
        can write (``policy.log_share_of``): the number tree holds them to their end in training.
    sums_shares : bool, default=False
        Whether the prediction is Σ p(v) v of probabilities that don't sum to one. The rest counts
        as y = 0, so that the codec's axis must be y itself.
    reward : str, callable or None, default=None
        What drawn numbers are judged by; None: the method learns without a reward.
    trains, paper, equation : str
        For :func:`llmreg.fit_methods`: which property of the predictive distribution the loss is
        about, where it comes from, and what it computes for one row.
    """

    _parameter_constraints: dict = {}
    stage = "align"
    parts: dict = {}
    bidirectional = False
    num_draws = 0
    num_examples = 0
    needs_reference = False
    compares_digits = False
    weighs_vocabulary = False
    spells_out = False
    sums_shares = False
    reward = None
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

    def held_out_loss(self, policy, targets):
        """What ``selection="objective"`` compares of rows that no weight is trained on.

        Parameters
        ----------
        policy, targets
            As in :meth:`loss`, without gradients and without draws.

        Returns
        -------
        Tensor of shape (B,)
            The smaller, the better. By default the loss.
        """
        return self.loss(policy, targets)[0]


def check_bounded(method, codec):
    """Refuse codecs whose numbers have no common size: their mean is that of the largest alone."""
    if not getattr(codec, "bounded", True):
        raise ValueError(
            f"{type(method).__name__} averages over all numbers that the codec writes, and "
            f"{codec!r} has numbers of any size: the least probability of the largest outweighs "
            "all others. Use a bounded codec such as DigitCodec(), or a method that scores the "
            "target alone, such as 'ce'."
        )


def check_reach(method, codec, remedy="a method that scores the target alone, such as 'ce'"):
    """Refuse codecs with numbers so far beyond the targets that no loss in z-units survives."""
    if getattr(codec, "far_reaching", False):
        raise ValueError(
            f"{method!r} weighs errors by their size, and {codec!r} writes numbers far beyond the "
            "training targets: the error of the largest outweighs all others. Leave "
            "exponent_margin=1 and max_exponent=None, or use a bounded codec such as DigitCodec(), "
            f"or {remedy}."
        )
