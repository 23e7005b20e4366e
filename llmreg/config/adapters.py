"""How large the adapters are and which layers get them: a parameter with parameters."""

from numbers import Integral, Real

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions

from llmreg.integrations.documentation import DocumentedMixin

__all__ = ["Adapters"]


class Adapters(DocumentedMixin, BaseEstimator):
    """LoRA on all linear layers of a transformer's upper blocks.

    ``LLMRegressor(adapters=8)`` means ``adapters=Adapters(8)``. A grid search reaches in as
    ``adapters__depth``.

    Parameters
    ----------
    rank : int, default=8
        Of the adapters' matrices; they are scaled by two (alpha is twice the rank).
    depth : float, int or "auto", default="auto"
        Which of the transformer's blocks get adapters, from the last one down: a share of them
        (float), or how many (int). "auto": half of a pretrained model's, all of fresh weights. The
        blocks below stay as they are. What they make of the training rows is computed once and
        kept, in memory or, beyond a quarter of what is free, in a temporary file: with half of the
        blocks a step takes half of the time. Nothing is kept, and nothing else changes, with
        vectors of cells or texts, gradient checkpointing, compiled, bidirectional and sharded
        models, and number trees of more than 512 nodes.

    Examples
    --------
    >>> from llmreg import Adapters, LLMRegressor
    >>> model = LLMRegressor("Qwen/Qwen3-0.6B", adapters=Adapters(rank=16, depth=0.5))
    >>> model.set_params(adapters__depth=4).adapters
    Adapters(depth=4, rank=16)
    """

    _parameter_constraints: dict = {
        "rank": [Interval(Integral, 1, None, closed="left")],
        "depth": [
            StrOptions({"auto"}), Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="right"),
        ],
    }  # fmt: skip

    def __init__(self, rank: int = 8, *, depth: float | int | str = "auto"):
        self.rank = rank
        self.depth = depth

    def n_blocks(self, available: int) -> int:
        """How many of the available blocks get adapters, at least one; the depth is settled."""
        if isinstance(self.depth, Integral):
            return min(int(self.depth), available)
        return max(1, round(self.depth * available))
