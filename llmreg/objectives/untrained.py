"""No training: what a pretrained model says by itself, or after a few solved examples."""

from numbers import Integral

from sklearn.utils._param_validation import Interval

from llmreg.objectives.base import Objective

__all__ = ["ZeroShot"]


class ZeroShot(Objective):
    """Ask a pretrained model as it is, perhaps with some training rows and their numbers before.

    Nothing is trained, and no adapters are added. ``fit`` learns the codec's range and chooses the
    examples. The model is asked for numbers alone, so every answer is one; the expectation over
    all of them is what the RAFT paper calls RAIL on a pretrained model.

    Parameters
    ----------
    num_examples : int, default=0
        Training rows, chosen at random, that stand solved in front of every prompt. They count in
        ``max_prompt_tokens``. Transformers read them once for all rows of a prediction; models
        that take one sequence after another (state-space models) read them with every row.

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

    _parameter_constraints: dict = {"num_examples": [Interval(Integral, 0, None, closed="left")]}
    stage = "none"
    name = "zero_shot"
    paper = "RAFT (RAIL: Lukasik et al. 2024)"
    equation = "none: nothing is trained"
    trains = "nothing"

    def __init__(self, num_examples=0):
        self.num_examples = num_examples
