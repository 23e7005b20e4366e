"""GenRe²: a policy gradient with an expert's advice at every step."""

from collections.abc import Callable
from numbers import Real
from typing import Any

from sklearn.utils._param_validation import Interval

from llmreg.methods.policy_gradient import ReMax
from llmreg.methods.registry import register

__all__ = ["GenRe2"]


@register("genre2")
class GenRe2(ReMax):
    """ReMax plus cross-entropy on what an expert would write after the model's own prefixes.

    The reward comes at the end of a number and does not say which symbol was wrong. The expert
    does: after every prefix that the model wrote, it takes the symbol that leads to the closest
    number still within reach of the target. For digits that is the target's digit while the prefix
    is right, 0 once it is too great, the highest digit once it is too small.

    Parameters
    ----------
    num_generations : int or "exact", default=16
        Numbers drawn per row and step, at least 3; their prefixes are those that the expert
        completes. "exact": all numbers and prefixes, weighted by their probability.
    reward : str or callable, default="mse"
    temperature : float, default=1.0
    beta : float, default=0.0
    scale_rewards : {"group", "batch"} or False, default=False
    compare_with : {"target", "written"}, default="target"
        As in :class:`GRPO` and :class:`ReMax`.
    expert_weight : float, default=0.05
        Weight of the expert's cross-entropy, which is *averaged* over steps and at temperature 1,
        while the policy term *sums* over steps, both as published. 0 is :class:`ReMax`.

    References
    ----------
    GenRe² (arXiv 2512.06533, ICML 2026); learning from an expert on one's own states: DAgger.

    Examples
    --------
    >>> from llmreg.methods import GenRe2
    >>> GenRe2(expert_weight=0.1)
    GenRe2(expert_weight=0.1)
    """

    _parameter_constraints: dict = {
        **ReMax._parameter_constraints,
        "expert_weight": [Interval(Real, 0, None, closed="left")],
    }
    trains = "written numbers, by their reward, and each step, by an expert"
    equation = "remax + expert_weight · mean_{s,k} −log p(expert's symbol | v_s's first k symbols)"
    paper = "GenRe² (arXiv 2512.06533)"

    def __init__(self, num_generations: int | str = 16, *, reward: str | Callable[..., Any] = "mse",
                 temperature: float = 1.0, beta: float = 0.0, scale_rewards: str | bool = False,
                 compare_with: str = "target", expert_weight: float = 0.05):  # fmt: skip
        super().__init__(
            num_generations,
            reward=reward,
            temperature=temperature,
            beta=beta,
            scale_rewards=scale_rewards,
            compare_with=compare_with,
        )
        self.expert_weight = expert_weight

    def loss(self, policy, targets, statistics=None):
        """ReMax's loss plus the weighted cross-entropy of the expert's symbols, per row."""
        loss, metrics = super().loss(policy, targets, statistics)
        if self.expert_weight:
            expert = self._expert_loss(policy, targets.leaf)
            loss = loss + self.expert_weight * expert
            metrics["expert_cross_entropy"] = expert.detach()
        return loss, metrics

    def _expert_loss(self, policy, leaf):
        import torch

        from llmreg.methods.expert import expert_symbols, node_probabilities

        tree = policy.tree
        if self.num_generations == "exact":
            steps = policy.tree_steps()  # (B, n_open, S)
            nodes = torch.arange(tree.n_open, device=leaf.device).expand(len(leaf), -1)
            drawn = policy.leaf_log_probs(self.temperature).detach().exp()
            weights = node_probabilities(drawn, tree)[:, : tree.n_open] / tree.n_levels
        else:
            leaves, _ = policy.sample(self.num_generations, self.temperature)
            steps = policy.steps_of(leaves).flatten(1, 2)  # (B, G * N, S)
            nodes = tree.path_nodes[leaves].long().flatten(1)
            weights = steps.new_full(nodes.shape, 1 / nodes.shape[1])
        symbols = expert_symbols(tree, nodes, leaf)
        return -(weights * steps.gather(2, symbols.unsqueeze(2)).squeeze(2)).sum(1)
