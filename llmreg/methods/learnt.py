"""Methods that learn what numbers are worth, or how they are written.

``learnable_raft`` gives the number tree's leaves values that are learnt, ``new_tokens`` gives every
number a token of its own. What a method needs of the model it says in ``learns_leaf_values``,
``head_spec()`` and ``new_token_init`` (see :mod:`llmreg.lm.parts`).
"""

from sklearn.utils._param_validation import StrOptions

from llmreg.methods.base import STAGES, Method
from llmreg.methods.regression_aware import check_bounded
from llmreg.methods.token_level import CE

__all__ = ["LearnableRAFT", "NewTokens"]


class LearnableRAFT(Method):
    """Squared error of Σ p(v) w_v, with learnt values w that start at the codec's.

    Parameters
    ----------
    weights : {"grid", "vocabulary"}, default="grid"
        "grid": a value for every number of the codec, through the number tree. Its predictive
        distribution has all mass on the learnt values. "vocabulary": a weight for every token of
        the vocabulary, by its probability right after the prompt; symbols start at the mean of
        the numbers that they begin, all other tokens at the mean target. No number is written, so
        all mass is on the prediction.
    stage : {"sft", "align"}, default="align"
        "align": from the weights of a first stage. "sft": at once, for pretrained weights; and for
        "vocabulary" on fresh ones, which needs it: a first stage would train no token but the
        symbols, and leave the others nearly all the mass.
    bidirectional : bool, default=False
        Whether the prompt's tokens attend to those after them. Needs a transformer.

    References
    ----------
    RAFT, eq. 12 and table 4, where it does not beat RAFT.

    Examples
    --------
    >>> from llmreg import LLMRegressor
    >>> from llmreg.methods.learnt import LearnableRAFT
    >>> model = LLMRegressor(fit_method=LearnableRAFT(weights="vocabulary", stage="sft"))
    """

    name = "learnable_raft"
    trains = "the mean and the numbers' values"
    equation = "(y − Σ_v p(v) w_v)², w learnt"
    paper = "RAFT (Lukasik et al. 2025), eq. 12"

    _parameter_constraints: dict = {
        "weights": [StrOptions({"grid", "vocabulary"})],
        "stage": STAGES,
        "bidirectional": ["boolean"],
    }

    def __init__(self, weights="grid", *, stage="align", bidirectional=False):
        self.weights = weights
        self.stage = stage
        self.bidirectional = bidirectional

    def check_codec(self, codec):
        """The codec's numbers must be bounded."""
        check_bounded(self, codec)

    @property
    def weighs_vocabulary(self):
        """bool: whether the probabilities of all tokens count."""
        return self.weights == "vocabulary"

    @property
    def learns_leaf_values(self):
        """bool: whether the number tree's leaves get values of their own."""
        return self.weights == "grid"

    def head_spec(self):
        """dict or None: the head that "vocabulary" needs."""
        if self.weights == "grid":
            return None
        return {"kind": "probabilities", "over": "vocabulary", "start": "values"}

    def loss(self, policy, targets, statistics=None):
        """(y − Σ p(v) w_v)² in z-units, per row."""
        from llmreg.methods import functional as F

        if self.weights == "vocabulary":
            return (policy.model.head_output(policy.batch) - targets.z) ** 2, {}
        values = policy.leaf_z + policy.model.leaf_shift.z
        return F.expected_squared_error(policy.leaf_log_probs(), values, targets.z), {}


class NewTokens(CE):
    """Cross-entropy on one new token per number: generative classification.

    Each number of the codec, at the codec's granularity, has a token of its own that the model
    writes in one step, with an output row that is learnt. The vocabulary keeps its size.

    Parameters
    ----------
    init : {"zero", "first", "average"}, default="first"
        What the rows start from: zeros, the row of the token with the number's first digit, or the
        mean of the rows of all tokens that spell the number with four significant digits.

    References
    ----------
    Fernandes et al. 2023; RAFT, tables 17 and 19.

    Examples
    --------
    >>> from llmreg import DigitCodec, LLMRegressor
    >>> from llmreg.methods.learnt import NewTokens
    >>> model = LLMRegressor(fit_method=NewTokens(init="average"), codec=DigitCodec(10, 2))
    """

    name = "new_tokens"
    trains = "the whole distribution, without distance"
    equation = "−log p(token of y)"
    paper = "Fernandes et al. 2023; RAFT (Lukasik et al. 2025), tables 17 and 19"

    _parameter_constraints: dict = {"init": [StrOptions({"zero", "first", "average"})]}

    def __init__(self, init="first"):
        self.init = init

    @property
    def new_token_init(self):
        """str: what the new tokens' rows start from."""
        return self.init
