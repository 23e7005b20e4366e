"""What a fit ends with: all that predictions need, in one object."""

from dataclasses import dataclass, field, replace
from typing import Any

from llmreg.config.plan import Plan
from llmreg.numbers.calibration import Calibration, check_temperature, check_weight

__all__ = ["Fitted", "FittedMixin"]


@dataclass
class Fitted:
    """The fitted parts of an estimator.

    Attributes
    ----------
    serializer : RowSerializer
    codec : TargetCodec
    prompts : CellPrompts or TextPrompts
    model : llmreg.lm.backbone.NumberLM
    mean, std : float
        Of the training targets on the codec's axis.
    plan : llmreg.config.plan.Plan
    scale_scores : dict of str to float
        Of the codec's scales that were compared.
    decoding : str
    temperature, estimate_weight : float
        See :class:`llmreg.numbers.calibration.Calibration`.
    """

    serializer: Any
    codec: Any
    prompts: Any
    model: Any
    mean: float
    std: float
    plan: Plan
    scale_scores: dict = field(default_factory=dict)
    decoding: str = "rail"
    temperature: float = 1.0
    estimate_weight: float = 0.0

    @property
    def calibration(self):
        """Calibration: of predictions; ValueError if what was set is not legal."""
        return Calibration(check_temperature(self.temperature), check_weight(self.estimate_weight))


class _Part:
    """An attribute of the estimator that is one of ``fitted_``; setting it makes another one."""

    def __init__(self, name):
        self.name = name

    def __set_name__(self, owner, public):
        self.public = public

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        if "fitted_" not in vars(instance):
            raise AttributeError(f"{owner.__name__} has no {self.public!r} before it is fitted.")
        return getattr(instance.fitted_, self.name)

    def __set__(self, instance, value):
        instance.fitted_ = replace(instance.fitted_, **{self.name: value})


class FittedMixin:
    """The fitted parts under their public names."""

    serializer_ = _Part("serializer")
    codec_ = _Part("codec")
    prompts_ = _Part("prompts")
    model_ = _Part("model")
    y_mean_ = _Part("mean")
    y_std_ = _Part("std")
    plan_ = _Part("plan")
    target_scale_scores_ = _Part("scale_scores")
    decoding_ = _Part("decoding")
    temperature_ = _Part("temperature")
    estimate_weight_ = _Part("estimate_weight")
