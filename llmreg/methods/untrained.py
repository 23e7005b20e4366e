"""No training: what a pretrained model says by itself, or after a few solved examples."""

from numbers import Integral

from sklearn.utils._param_validation import Interval

from llmreg.methods.base import Method, check_bounded
from llmreg.methods.registry import register
from llmreg.methods.vocabulary_shares import NORMALISATIONS, grid_parts

__all__ = ["ZeroShot"]


@register("zero_shot")
class ZeroShot(Method):
    """Ask a pretrained model as it is, perhaps with some training rows and their numbers before.

    Nothing is trained, and no adapters are added. ``fit`` learns the codec's range and chooses the
    examples. The model is asked for numbers alone, so every answer is one. The expectation over all
    of them is RAIL on a pretrained model; as the papers have it with ``normalisation=None``.

    Parameters
    ----------
    num_examples : int, default=0
        Training rows, chosen at random, that stand solved in front of every prompt. They count in
        ``max_prompt_tokens``. Transformers read them once for all rows of a prediction; models
        that take one sequence after another (state-space models), and normalisations other than
        "step", read them with every row.
    normalisation : {"step", "grid"} or None, default="step"
        What the codec's numbers share among them; see :class:`llmreg.RAFT`. None: Σ p(v) v with
        p among all that the vocabulary can write, which the papers call zero-shot RAIL (RAFT, eq.
        5): what is no number counts as y = 0, and all decodings give that sum. "grid" and None need
        a codec of bounded numbers.

    Notes
    -----
    A model that was never told about a codec's scale knows numbers as people write them: without
    examples use a codec that spells them so, such as :class:`llmreg.DecimalCodec` or
    :class:`llmreg.GridCodec`, and name the target well.

    References
    ----------
    Lukasik et al. 2024, "Regression-aware inference with LLMs" (RAIL); the zero-shot rows of the
    RAFT paper.

    Examples
    --------
    >>> from llmreg import LLMRegressor, ZeroShot
    >>> model = LLMRegressor(model="Qwen/Qwen3-0.6B", fit_method=ZeroShot(num_examples=8))
    """

    _parameter_constraints: dict = {
        "num_examples": [Interval(Integral, 0, None, closed="left")],
        "normalisation": NORMALISATIONS,
    }
    stage = "none"
    paper = "RAFT (RAIL: Lukasik et al. 2024)"
    equation = "none: nothing is trained"
    trains = "nothing"

    def __init__(self, num_examples: int = 0, *, normalisation: str | None = "step"):
        self.num_examples = num_examples
        self.normalisation = normalisation

    def check_codec(self, codec):
        """Sums over the whole grid need bounded numbers."""
        if self.normalisation != "step":
            check_bounded(self, codec)

    @property
    def sums_shares(self):
        """bool: whether the prediction is the sum over shares of y."""
        return self.normalisation is None

    @property
    def parts(self):
        """dict: what reads probabilities among the whole vocabulary."""
        return grid_parts(self.normalisation)
