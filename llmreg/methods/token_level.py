"""Token-level methods: the model learns to write the target's symbols."""

from numbers import Real

from sklearn.utils._param_validation import Interval, StrOptions

from llmreg.methods.base import Method, check_reach
from llmreg.methods.registry import register

__all__ = ["CE", "SoftCE"]


@register("ce")
class CE(Method):
    """Cross-entropy on the target's symbols: −Σ_k log p(t_k | x, t_<k).

    The usual fine-tuning of a language model. It does not know that numbers have size: writing
    499 for 500 costs as much as writing 000.

    Parameters
    ----------
    normalisation : "step" or None, default="step"
        What p is among. "step": the symbols that may be written next, so that no training goes into
        telling numbers from other texts. None: the whole vocabulary, to the end of the number's
        spelling, as the papers have it; predictions are among the codec's numbers all the same.

    References
    ----------
    RAFT (Lukasik et al. 2025), eq. 8; GenRe² (arXiv 2512.06533).

    Examples
    --------
    >>> from llmreg import CE, LLMRegressor
    >>> model = LLMRegressor(fit_method=CE())
    >>> as_published = LLMRegressor(fit_method=CE(normalisation=None))
    """

    _parameter_constraints: dict = {"normalisation": [StrOptions({"step"}), None]}
    stage = "sft"
    trains = "each symbol of the target"
    equation = "−Σ_k log p(t_k | x, t_<k)"
    paper = "RAFT (Lukasik et al. 2025), eq. 8; GenRe² (arXiv 2512.06533)"

    def __init__(self, normalisation: str | None = "step"):
        self.normalisation = normalisation

    @property
    def spells_out(self):
        """bool: whether symbols after which nothing is left to decide count, too."""
        return self.normalisation is None

    def loss(self, policy, targets, statistics=None):
        """−log p of the target's sequence, per row."""
        if self.normalisation is None:
            return -policy.log_share_of(targets.leaf), {}
        return -policy.log_prob_of(targets.leaf), {}


@register("soft_ce")
class SoftCE(Method):
    """Cross-entropy against a Gaussian around the target, spread over the codec's bins.

    Neighbouring bins share the credit, so the model learns from the first row on that numbers
    have size. The predictive distribution cannot become narrower than ``sigma``.

    Parameters
    ----------
    sigma : float, default=0.2
        Standard deviation of the Gaussian, in standard deviations of the training targets on the
        codec's scale; less about a target that others crowd around
        (:func:`llmreg.training.bandwidths.neighbour_bandwidths`), such as single pieces where most
        of the deviation is that between them and packs.
        Larger values help small or noisy tables; smaller ones keep the intervals of nearly
        noise-free tables tight.
    mean_weight : float, default=1.0
        Weight of an added squared error of the distribution's mean, (y − E v)² in z-units
        (RAFT, eq. 9): it pulls the prediction itself, the smoothed target keeps the shape. With a
        :class:`llmreg.ScientificCodec` use 0; where that reaches far beyond the targets, anything
        else is refused.

    Examples
    --------
    >>> from llmreg import LLMRegressor, SoftCE
    >>> model = LLMRegressor(fit_method=SoftCE(sigma=0.3))
    >>> model.set_params(fit_method__sigma=0.25).fit_method
    SoftCE(sigma=0.25)
    """

    _parameter_constraints: dict = {
        "sigma": [Interval(Real, 0, None, closed="neither")],
        "mean_weight": [Interval(Real, 0, None, closed="left")],
    }
    stage = "sft"
    trains = "the whole distribution, smoothed, and its mean"
    equation = "−Σ_b w_b log p_b + mean_weight · (y − E v)²"
    paper = "Gaussian targets: Imani & White 2018 (arXiv 1806.04613); the mean: RAFT, eq. 9"

    def __init__(self, sigma: float = 0.2, *, mean_weight: float = 1.0):
        self.sigma = sigma
        self.mean_weight = mean_weight

    def check_codec(self, codec):
        """With a weight on the mean, the codec's numbers must not reach far beyond the targets."""
        if self.mean_weight:
            check_reach(self, codec, "SoftCE(mean_weight=0)")

    def loss(self, policy, targets, statistics=None):
        """Soft cross-entropy plus the weighted squared error of the mean, per row."""
        from llmreg.methods import functional as F

        log_probs = policy.leaf_log_probs()
        edges = policy.leaf_edges_z
        weights = F.bin_mass(targets.z, edges, self.sigma * targets.bandwidth)
        weights = F.keep_at_ends(weights, targets.leaf, edges)
        loss = F.soft_cross_entropy(log_probs, weights)
        if self.mean_weight:
            error = F.expected_squared_error(log_probs, policy.leaf_z, targets.z)
            loss = loss + self.mean_weight * error
        return loss, {}
