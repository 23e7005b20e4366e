"""Policy gradients: sample numbers, reward the close ones.

On-policy with one update per batch, so that old log-probabilities equal the new ones: no ratio and
no clipping. Left out of the published GRPO: several updates per batch, the clipped ratio.
"""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

from sklearn.utils._param_validation import Interval, Options, StrOptions

from llmreg.methods.base import Method, check_reach
from llmreg.methods.registry import register

__all__ = ["GRPO", "REWARDS", "RLOO", "PolicyGradient", "ReMax"]

# Computed in llmreg.methods.rewards.
REWARDS = ("mse", "clipped_mse", "quantile_mse", "mae", "rail", "crps")
CAPPED = ("clipped_mse", "quantile_mse")


class PolicyGradient(Method):
    """What the policy gradients share; see GRPO.

    A subclass says what a number's reward is compared with: ``baseline`` is one of those of
    :func:`llmreg.methods.rewards.sampled_advantages`.
    """

    _parameter_constraints: dict = {
        "num_generations": [Interval(Integral, 3, None, closed="left"), StrOptions({"exact"})],
        "reward": [StrOptions(set(REWARDS)), callable],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "scale_rewards": [StrOptions({"group", "batch"}), Options(bool, {False})],
        "compare_with": [StrOptions({"target", "written"})],
    }
    baseline = "group"
    trains = "written numbers, by their reward"

    def __init__(
        self,
        num_generations: int | str = 16,
        *,
        reward: str | Callable[..., Any] = "mse",
        temperature: float = 1.0,
        beta: float = 0.0,
        scale_rewards: str | bool = False,
        compare_with: str = "target",
    ):
        self.num_generations = num_generations
        self.reward = reward
        self.temperature = temperature
        self.beta = beta
        self.scale_rewards = scale_rewards
        self.compare_with = compare_with

    @property
    def num_draws(self):
        """int: ``num_generations``, or 0 for "exact"."""
        return 0 if self.num_generations == "exact" else self.num_generations

    @property
    def needs_reference(self):
        """bool: whether there is a KL penalty."""
        return self.beta > 0

    def check_codec(self, codec):
        """The codec's numbers must not reach far beyond the targets; one's own reward may cope."""
        if not callable(self.reward) and self.reward not in CAPPED:
            check_reach(self, codec)

    def statistics(self, policy, targets):
        """Moments of the advantages for ``scale_rewards="batch"``, else None."""
        if self.scale_rewards != "batch":
            return None
        from llmreg.methods.rewards import moments

        _, _, weights, advantages = self._judged(policy, targets)
        return moments(advantages, weights, targets.weight)

    def loss(self, policy, targets, statistics=None):
        """−Σ_s w_s A_s log p(v_s) + beta · KL(p ‖ first stage's p), per row."""
        from llmreg.methods.rewards import sample_metrics, scale_advantages

        if statistics is None:
            statistics = self.statistics(policy, targets)
        values, log_probs, weights, advantages = self._judged(policy, targets)
        scaled = scale_advantages(advantages, weights, self.scale_rewards, statistics)
        loss = -(weights * scaled * log_probs).sum(1)
        metrics = sample_metrics(values, targets.z, weights)
        metrics["advantage"] = (weights * scaled.abs()).sum(1)
        if self.beta:
            kl = policy.kl_to_reference()
            loss = loss + self.beta * kl
            metrics["kl"] = kl.detach()
        return loss, metrics

    def held_out_loss(self, policy, targets):
        """Minus the expected reward, over all numbers."""
        from llmreg.methods.rewards import expected_reward

        log_probs, values = policy.leaf_log_probs(self.temperature), self._seen(policy)
        return -expected_reward(log_probs, values, self._goal(policy, targets), self.reward)

    def _judged(self, policy, targets):
        """Numbers, their log-probabilities, their weights within a row, and their advantages."""
        from llmreg.methods.rewards import exact_advantages, sampled_advantages

        seen = self._seen(policy)
        if self.num_generations == "exact":
            log_probs = policy.leaf_log_probs(self.temperature)
            values, weights, judge = policy.leaf_z, log_probs.detach().exp(), exact_advantages
            group = seen, weights
        else:
            leaves, log_probs = policy.sample(self.num_generations, self.temperature)
            values, judge = policy.leaf_z[leaves], sampled_advantages  # (B, G)
            weights = values.new_full(values.shape, 1 / self.num_generations)
            group = (seen[leaves],)
        goal = self._goal(policy, targets)
        advantages = judge(*group, seen[policy.greedy()], goal, self.reward, self.baseline)
        return values, log_probs, weights, advantages

    def _seen(self, policy):
        """The codec's numbers (L,) as rewards see them."""
        ranked = self.reward == "quantile_mse"
        return policy.normal_scores(policy.leaf_z) if ranked else policy.leaf_z

    def _goal(self, policy, targets):
        """What rewards compare numbers with."""
        if self.compare_with == "written":
            return self._seen(policy)[targets.leaf]
        return policy.normal_scores(targets.z) if self.reward == "quantile_mse" else targets.z


@register("grpo")
class GRPO(PolicyGradient):
    """Group-relative policy optimisation on the numbers that the model writes.

    For every row, ``num_generations`` numbers are drawn from the model; those better than their
    group's mean become likelier. All draws come from one evaluation of the number tree.

    Parameters
    ----------
    num_generations : int or "exact", default=16
        Numbers drawn per row and step, at least 3. "exact": all numbers of the codec, weighted by
        their probability: no sampling noise.
    reward : str or callable, default="crps"
        "mse": −(v − y)², the papers' reward, "clipped_mse": the same and no less than −50, for
        codecs that reach far, "quantile_mse": that of normal scores, the normal quantiles of v's
        and y's ranks among the training targets, for targets over many magnitudes, and "mae":
        −|v − y|; they make the distribution narrow (intervals cover too little). "crps" and "rail"
        judge the group: they maximise −CRPS (a proper score) and −(mean − y)² and keep the spread
        honest. A callable gets numpy arrays ``reward(samples, y)``, samples (rows, numbers), y
        (rows, 1), both in standard deviations of the training targets from their mean, measured on
        the codec's scale (y itself or, where targets have a heavy tail, a logarithm; see
        :class:`llmreg.DigitCodec`), and returns one number per sample.
    temperature : float, default=1.0
        Temperature of the draws and of the probabilities in the gradient.
    beta : float, default=0.0
        Weight of the KL divergence to the first stage's distribution.
    scale_rewards : {"group", "batch"} or False, default="batch"
        What advantages are divided by. "group", each row's standard deviation, is GRPO as
        published; it makes a row that is wrong by little count as much as one that is wrong by
        much. "batch": the standard deviation over the batch.
    compare_with : {"target", "written"}, default="target"
        What rewards compare a number with: y, or the number that the codec writes for y, as
        GenRe² trains.

    Notes
    -----
    A_s = r_s − mean_s r for rewards of single numbers. Those that judge the group, the default
    among them, are compared with the other numbers alone, as in :class:`RLOO`. With
    ``scale_rewards=False`` and a plain reward the expected gradient is (1 − 1/G) times the exact
    one, since the mean includes the sample itself.

    References
    ----------
    GRPO: Shao et al. 2024 (arXiv 2402.03300); for regression: GenRe² (arXiv 2512.06533).

    Examples
    --------
    >>> from llmreg import GRPO, LLMRegressor
    >>> model = LLMRegressor(fit_method=GRPO(num_generations=8, reward="mse"))
    >>> model.set_params(fit_method__num_generations="exact").fit_method.num_generations
    'exact'
    """

    equation = "−mean_s A_s log p(v_s), A_s = (r_s − mean r) / deviation"
    paper = "Shao et al. 2024 (arXiv 2402.03300); GenRe² (arXiv 2512.06533)"

    def __init__(
        self,
        num_generations: int | str = 16,
        *,
        reward: str | Callable[..., Any] = "crps",
        temperature: float = 1.0,
        beta: float = 0.0,
        scale_rewards: str | bool = "batch",
        compare_with: str = "target",
    ):
        super().__init__(
            num_generations,
            reward=reward,
            temperature=temperature,
            beta=beta,
            scale_rewards=scale_rewards,
            compare_with=compare_with,
        )


@register("remax")
class ReMax(PolicyGradient):
    """REINFORCE with the greedy number as the baseline.

    A_s = r_s − r_greedy. Nothing is divided by a standard deviation by default, which keeps the
    magnitude of errors.

    Parameters
    ----------
    num_generations : int or "exact", default=16
    reward : str or callable, default="mse"
    temperature : float, default=1.0
    beta : float, default=0.0
    scale_rewards : {"group", "batch"} or False, default=False
    compare_with : {"target", "written"}, default="target"
        The parameters mean what they mean in :class:`GRPO`; the defaults are the paper's.

    References
    ----------
    ReMax: Li et al. 2023 (arXiv 2310.10505); for regression: GenRe² (arXiv 2512.06533).

    Examples
    --------
    >>> from llmreg import LLMRegressor, ReMax
    >>> model = LLMRegressor(fit_method=ReMax(reward="mae"))
    """

    baseline = "greedy"
    equation = "−mean_s A_s log p(v_s), A_s = r_s − r(greedy number)"
    paper = "Li et al. 2023 (arXiv 2310.10505); GenRe² (arXiv 2512.06533)"


@register("rloo")
class RLOO(PolicyGradient):
    """REINFORCE with the mean reward of the row's other draws as the baseline.

    A_s = r_s − mean of the others' r. Unbiased: on average the gradient is the exact one, where
    GRPO's is smaller by 1 − 1/G. Draws are compared with one another, as in GRPO, and nothing is
    divided by a standard deviation by default, as in ReMax.

    Parameters
    ----------
    num_generations : int or "exact", default=16
    reward : str or callable, default="mse"
    temperature : float, default=1.0
    beta : float, default=0.0
    scale_rewards : {"group", "batch"} or False, default=False
    compare_with : {"target", "written"}, default="target"
        The parameters mean what they mean in :class:`GRPO`, with ReMax's defaults.

    References
    ----------
    RLOO: Kool et al. 2019; Ahmadian et al. 2024, "Back to Basics" (arXiv 2402.14740).

    Examples
    --------
    >>> from llmreg.methods import RLOO
    >>> RLOO(reward="crps").num_draws
    16
    """

    baseline = "others"
    equation = "−mean_s A_s log p(v_s), A_s = r_s − mean of the other r"
    paper = "Ahmadian et al. 2024 (arXiv 2402.14740)"
