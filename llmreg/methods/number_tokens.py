"""Token-level methods that know the distance between digits.

Each is the cross-entropy plus a weighted distance between the target's digit and the model's
distribution over digits, at every step of the target's path whose symbol is a number: signs, the
decimal point and the end of a number have no distance. The distance is that between *digits*: being
off by one in the first digit costs no more than in the last.
"""

from numbers import Real

from sklearn.utils._param_validation import Interval

from llmreg.methods.base import STAGES, Method
from llmreg.methods.registry import register

__all__ = ["DIST2", "NTLMSE", "NTLWAS"]


class DigitDistance(Method):
    """What the three share; see there."""

    _parameter_constraints: dict = {
        "distance_weight": [Interval(Real, 0, None, closed="left")],
        "stage": STAGES,
    }
    stage = "sft"
    compares_digits = True
    trains = "each symbol of the target, near digits before far ones"

    def __init__(self, distance_weight: float = 0.3, *, stage: str = "sft"):
        self.distance_weight = distance_weight
        self.stage = stage

    def check_codec(self, codec):
        """A codec needs at least two symbols that are numbers."""
        from llmreg.codecs.symbol_values import symbol_values

        n_valued = sum(value == value for value in symbol_values(codec.symbols))
        if n_valued < 2:
            raise ValueError(
                f"{type(self).__name__} measures the distance between digits, of which the symbols "
                f"of {codec!r} have {n_valued}: {list(codec.symbols)}. Use a codec that writes "
                "digits, or fit_method='ce'."
            )

    def loss(self, policy, targets, statistics=None):
        """Cross-entropy plus the weighted distance, both summed over steps, per row."""
        steps = policy.steps_of(targets.leaf.unsqueeze(1)).squeeze(1)  # (B, N, S)
        symbols = policy.tree.path_symbols[targets.leaf]
        ce = -steps.gather(2, symbols.unsqueeze(2)).squeeze(2).sum(1)
        distance = self._distance(steps, symbols, policy.symbol_values)
        metrics = {"cross_entropy": ce.detach(), "distance": distance.detach()}
        return ce + self.distance_weight * distance, metrics


@register("ntl_mse")
class NTLMSE(DigitDistance):
    """Cross-entropy plus the squared error of the mean digit at each step.

    The mean digit can be right for a wrong reason: half "4", half "6" is as good as "5" (but for
    the cross-entropy). :class:`NTLWAS` has no such optima. In base 2 it is the Brier score of a
    bit: it knows no more of distance than the cross-entropy does.

    Parameters
    ----------
    distance_weight : float, default=0.3
        Weight of the distance (λ); 0 is :class:`CE`.
    stage : {"sft", "align"}, default="sft"
        "sft": from the start, as the loss was published. "align": from the cross-entropy
        checkpoint, as GenRe² trains it, with ``sft_method="ce"``.

    References
    ----------
    NTL-MSE: Zausinger et al., "Regress, Don't Guess" (arXiv 2411.02083); λ as in GenRe²'s release.

    Examples
    --------
    >>> from llmreg.methods import NTLMSE
    >>> NTLMSE(distance_weight=0.5).stage
    'sft'
    """

    equation = "ce + distance_weight · Σ_k (Σ_v p_k(v) v − t_k)²"
    paper = "Zausinger et al. (arXiv 2411.02083), NTL-MSE"

    def _distance(self, steps, symbols, values):
        from llmreg.methods import functional as F

        return F.digit_squared_error(steps, symbols, values)


@register("ntl_was")
class NTLWAS(DigitDistance):
    """Cross-entropy plus the Wasserstein-1 distance to the target's digit at each step.

    In base 2 it is the probability of the wrong bit: it knows no more of distance than the
    cross-entropy does.

    Parameters
    ----------
    distance_weight : float, default=0.3
        Weight of the distance (λ); 0 is :class:`CE`.
    stage : {"sft", "align"}, default="sft"
        As in :class:`NTLMSE`.

    References
    ----------
    NTL-WAS: Zausinger et al., "Regress, Don't Guess" (arXiv 2411.02083); λ as in GenRe²'s release.

    Examples
    --------
    >>> from llmreg import LLMRegressor
    >>> model = LLMRegressor(fit_method="ntl_was")
    """

    equation = "ce + distance_weight · Σ_k Σ_v p_k(v) |v − t_k|"
    paper = "Zausinger et al. (arXiv 2411.02083), NTL-WAS"

    def _distance(self, steps, symbols, values):
        from llmreg.methods import functional as F

        return F.digit_wasserstein(steps, symbols, values)


@register("dist2")
class DIST2(DigitDistance):
    """Cross-entropy plus the KL divergence from digits that are likelier the nearer they are.

    In base 2 it is label smoothing, with 0.73 and 0.27 for the two bits at temperature 1: it knows
    no more of distance than the cross-entropy does.

    Parameters
    ----------
    distance_weight : float, default=0.1
        Weight of the divergence; 0 is :class:`CE`.
    temperature : float, default=1.0
        Width of the wanted distribution, exp(−(v − t)² / temperature), in squared digits.
    stage : {"sft", "align"}, default="sft"
        As in :class:`NTLMSE`.

    References
    ----------
    DIST²: Chung et al. (arXiv 2503.02379); weight and temperature as in GenRe² (arXiv 2512.06533).

    Examples
    --------
    >>> from llmreg.methods import DIST2
    >>> DIST2(temperature=2.0)
    DIST2(temperature=2.0)
    """

    _parameter_constraints: dict = {
        **DigitDistance._parameter_constraints,
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }
    equation = "ce + distance_weight · Σ_k KL(q_k ‖ p_k), q_k(v) ∝ exp(−(v − t_k)² / temperature)"
    paper = "Chung et al. (arXiv 2503.02379)"

    def __init__(
        self, distance_weight: float = 0.1, *, temperature: float = 1.0, stage: str = "sft"
    ):
        self.distance_weight = distance_weight
        self.temperature = temperature
        self.stage = stage

    def _distance(self, steps, symbols, values):
        from llmreg.methods import functional as F

        return F.digit_kl(steps, symbols, values, self.temperature)
