"""Regression-aware methods: the loss is on the numbers, not on how they are spelled.

The grid of numbers is the codec's: all of its bins, or the values of an explicit grid.
"""

from numbers import Integral

from sklearn.utils._param_validation import Interval, StrOptions

from llmreg.methods.base import STAGES, Method, check_bounded, check_reach
from llmreg.methods.registry import register
from llmreg.methods.vocabulary_shares import NORMALISATIONS, grid_parts

__all__ = ["CRPS", "MBR", "RAFT"]


@register("raft")
class RAFT(Method):
    """Squared error of the distribution's mean: (y − E_p v)², through the number tree.

    The prediction (RAIL) is trained directly. The loss says nothing about the distribution's
    shape: intervals, mode and greedy decoding are not trained.

    Parameters
    ----------
    criterion : {"squared", "log"}, default="squared"
        "squared": eq. 9–10. "log": cross-entropy between target and mean, both as shares of the way
        from the codec's lowest number to its highest: steeper where the mean is at the wrong end.
        Of a grid of "0" and "1" with ``normalisation="grid"`` the mean is p("1") / (p("0") +
        p("1")); the paper's log loss (table 15) has p("1") among the whole vocabulary in its place.
    stage : {"sft", "align"}, default="align"
        "align": from the weights of a first stage. "sft": at once, as published, where the weights
        are pretrained. On fresh weights that fits the mean and leaves a distribution without a
        meaning.
    bidirectional : bool, default=False
        Let the prompt's tokens see those after them too, in both stages (appendix of the paper).
        Not for models that take the plain road.
    normalisation : {"step", "grid"} or None, default="step"
        What the codec's numbers share among them. "step": each symbol's probability is one among
        the symbols that may be written there, so that those of all numbers sum to one. "grid": p(v)
        among all that the vocabulary can write, over the sum of these on the grid (appendix E.6,
        table 16). None: p(v) among all that the vocabulary can write (eq. 5 and 10): they sum to
        less than one, and what is no number counts as y = 0. See the notes for what that costs.

    Raises
    ------
    ValueError
        For ``criterion="log"`` with ``normalisation=None`` and a codec with numbers below 0: what
        is no number counts as 0, and the mean must be a share of the highest number.

    Notes
    -----
    A grid of one's own is the codec's business; a grid that holds only the extremes is enough
    (Lemma 3), without normalising even a grid of one number (table 13).

    Where every number is one symbol, "step" and "grid" are the same but for rounding, and "step" is
    quicker: one output row per symbol at each node of the number tree. "grid" and None compute the
    whole output layer at every node, and read numbers to the end of their spelling: also what
    follows where only one number is left, and the END behind those that a codec with spellings of
    different length fills up with it.

    With None the prediction is the sum that was trained, Σ p(v) v: all mass is on it, whatever the
    decoding. (Probabilities normalised afterwards would give another number: nothing makes those of
    numbers sum to one.) The paper found no difference to "grid" (table 16), on pretrained models
    and targets near 0; where targets are far from 0 in comparison with their spread, every bit of
    mass on other tokens is a large error. On fresh weights it must train at once
    (``stage="sft"``): a first stage would train no token but the symbols, and leave the others
    nearly all the mass. There numbers should be of one or two symbols: the probability of a longer
    spelling is a product of small ones at the start, and so is its gradient.

    References
    ----------
    RAFT: Lukasik et al., "Better autoregressive regression with LLMs via regression-aware
    fine-tuning" (ICLR 2025), eq. 9–10 and appendix E.6.

    Examples
    --------
    >>> from llmreg import RAFT, LLMRegressor
    >>> model = LLMRegressor(fit_method="raft")
    >>> model = LLMRegressor(fit_method=RAFT(criterion="log"), sft_method="ce")
    >>> as_published = RAFT(stage="sft", normalisation=None)
    """

    _parameter_constraints: dict = {
        "criterion": [StrOptions({"squared", "log"})],
        "stage": STAGES,
        "bidirectional": ["boolean"],
        "normalisation": NORMALISATIONS,
    }
    trains = "the mean alone"
    equation = "(y − Σ_v p(v) v)²"
    paper = "RAFT (Lukasik et al. 2025), eq. 9–10"

    def __init__(self, criterion: str = "squared", *, stage: str = "align",
                 bidirectional: bool = False, normalisation: str | None = "step"):  # fmt: skip
        self.criterion = criterion
        self.stage = stage
        self.bidirectional = bidirectional
        self.normalisation = normalisation

    def check_codec(self, codec):
        """The codec's numbers must be bounded."""
        check_bounded(self, codec)

    @property
    def weighs_vocabulary(self):
        """bool: whether mass on what is no number counts."""
        return self.normalisation is None

    @property
    def sums_shares(self):
        """bool: whether the prediction is the sum over shares of y."""
        return self.normalisation is None

    @property
    def parts(self):
        """dict: what reads probabilities among the whole vocabulary."""
        return grid_parts(self.normalisation)

    def loss(self, policy, targets, statistics=None):
        """(y − E v)² in z-units, or the log loss of E v, per row."""
        from llmreg.methods import functional as F

        if self.normalisation is None:
            return self._of_sum(policy, targets), {}
        step = self.normalisation == "step"
        found = policy.leaf_log_probs() if step else policy.model.head_output(policy.batch)
        kinds = {"squared": F.expected_squared_error, "log": F.mean_log_loss}
        return kinds[self.criterion](found, policy.leaf_z, targets.z), {}

    def _of_sum(self, policy, targets):
        """The loss of Σ p(v) v, where the rest counts as y = 0."""
        head = policy.model.head
        found = policy.model.head_output(policy.batch)
        if self.criterion == "squared":
            return (found - targets.z) ** 2
        if policy.model.tree.leaf_value.min() < 0:
            raise ValueError(
                "criterion='log' with normalisation=None reads the mean as a share of the highest "
                f"number, and {policy.model.codec!r} has numbers below 0. Set "
                "normalisation='grid' or 'step', or criterion='squared'."
            )
        from torch.nn.functional import binary_cross_entropy

        zero = -head.mean / head.std
        width = policy.leaf_z[-1] - zero
        share, target = (found - zero) / width, (targets.z - zero) / width
        return binary_cross_entropy(share.clamp(0, 1), target.clamp(0, 1), reduction="none")


@register("mbr")
class MBR(Method):
    """Mean squared error of the written numbers: E_p (y − v)², minimum Bayes risk.

    That is RAFT's loss plus the variance of p. Its optimum puts all mass on the one number next to
    the conditional mean (Lemma 4): predictions are rounded to the codec's numbers and intervals
    collapse. For comparison.

    Parameters
    ----------
    num_generations : int or "exact", default="exact"
        "exact": all numbers of the codec (eq. 14). A number, at least 2: this many are drawn per
        row, and the gradient is that of the policy gradient with the mean of the other draws as
        baseline, unbiased and noisy.
    stage : {"sft", "align"}, default="align"
        "align": from the weights of a first stage. "sft": at once, for pretrained weights.

    References
    ----------
    RAFT: Lukasik et al. 2025, Definition 2, eq. 13–14, Lemma 4. Baseline of the sampled form:
    Shannon 2017 (arXiv 1706.02776).

    Examples
    --------
    >>> from llmreg.methods import MBR
    >>> MBR(num_generations=8).num_draws
    8
    """

    _parameter_constraints: dict = {
        "num_generations": [Interval(Integral, 2, None, closed="left"), StrOptions({"exact"})],
        "stage": STAGES,
    }
    trains = "the mode: ends certain of one number"
    equation = "Σ_v p(v) (y − v)²"
    paper = "RAFT (Lukasik et al. 2025), Definition 2, eq. 13–14"

    def __init__(self, num_generations: int | str = "exact", *, stage: str = "align"):
        self.num_generations = num_generations
        self.stage = stage

    @property
    def num_draws(self):
        """int: ``num_generations``, or 0 for "exact"."""
        return 0 if self.num_generations == "exact" else self.num_generations

    def check_codec(self, codec):
        """The codec's numbers must be bounded."""
        check_bounded(self, codec)

    def held_out_loss(self, policy, targets):
        """E (y − v)², over all numbers."""
        from llmreg.methods import functional as F

        return F.mean_sample_error(policy.leaf_log_probs(), policy.leaf_z, targets.z)

    def loss(self, policy, targets, statistics=None):
        """E (y − v)² in z-units, or its mean over draws, with the gradient of the former."""
        from llmreg.methods import functional as F
        from llmreg.methods.rewards import sample_metrics, sampled_advantages

        if self.num_generations == "exact":
            return F.mean_sample_error(policy.leaf_log_probs(), policy.leaf_z, targets.z), {}
        leaves, log_probs = policy.sample(self.num_generations)
        samples = policy.leaf_z[leaves]  # (B, G)
        advantages = sampled_advantages(samples, targets.z, targets.z, "mse", "others")
        through = -(advantages * log_probs).mean(1)
        weights = samples.new_full(samples.shape, 1 / self.num_draws)
        metrics = sample_metrics(samples, targets.z, weights)
        # Worth the error of the draws, with the gradient of the expected one.
        return metrics["sample_mse"] + through - through.detach(), metrics


@register("crps")
class CRPS(Method):
    """Continuous ranked probability score of the whole distribution: ∫ (F(t) − 1[t ≥ y])² dt.

    A proper score: smallest where the distribution is the true one, and aware of distance. Trains
    the mean, the median and the intervals together.

    Parameters
    ----------
    stage : {"sft", "align"}, default="align"
        "align": from the weights of a first stage. "sft": at once; being a proper score, it needs
        no first stage, also on fresh weights.

    References
    ----------
    Gneiting & Raftery 2007, "Strictly proper scoring rules, prediction, and estimation", eq. 20–21.

    Examples
    --------
    >>> from llmreg import LLMRegressor
    >>> from llmreg.methods import CRPS
    >>> model = LLMRegressor(fit_method=CRPS(stage="sft"))
    """

    _parameter_constraints: dict = {"stage": STAGES}
    trains = "the whole distribution"
    equation = "E|v − y| − ½ E|v − v'|"
    paper = "Gneiting & Raftery 2007, eq. 20–21"

    def __init__(self, stage: str = "align"):
        self.stage = stage

    def check_codec(self, codec):
        """The codec's numbers must not reach far beyond the targets."""
        check_reach(self, codec)

    def loss(self, policy, targets, statistics=None):
        """CRPS in z-units, per row."""
        from llmreg.methods import functional as F

        return F.crps(policy.leaf_log_probs(), policy.leaf_z, targets.z), {}
