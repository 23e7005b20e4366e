"""How weights are moved: the optimiser, its learning rates over time, its clipping."""

from numbers import Integral, Real

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions

from llmreg.integrations.documentation import DocumentedMixin

__all__ = ["Optimizer", "as_optimizer"]


class Optimizer(DocumentedMixin, BaseEstimator):
    """The optimiser of both stages, and what happens around its steps.

    ``LLMRegressor(optimizer="adafactor")`` means ``optimizer=Optimizer("adafactor")``. A grid
    search reaches in as ``optimizer__schedule``. How fast it goes at its fastest is the
    estimator's matter: ``sft_learning_rate`` and ``align_learning_rate``.

    Parameters
    ----------
    name : {"adamw", "adafactor"}, default="adamw"
        Adafactor keeps row and column sums instead of two numbers per weight: for large models
        whose weights all train (``adapters=None``).
    schedule : {"one_cycle", "constant", "cosine"}, default="one_cycle"
        How the learning rate moves over a stage's steps. "one_cycle": up, and down to nothing by a
        cosine. "cosine": up by a line, then down by a cosine to ``final_share`` of the peak.
        "constant": up by a line, if at all, and then the peak.
    warmup : float in [0, 1), int or "auto", default="auto"
        Steps on the way up: a share of all (float), or how many (int). "auto": 0.15, and none
        with "constant".
    final_share : float in [0, 1], default=0.1
        Where "cosine" ends, as a share of the peak; other schedules have ends of their own.
    weight_decay : float or "auto", default="auto"
        Decoupled weight decay. "auto": the fewer rows, the more on fresh weights, from 0.1 to 1;
        0.01 on pretrained ones.
    max_grad_norm : float, "auto" or None, default="auto"
        Longer gradients are shortened to it. "auto": ten times the median norm of the last hundred
        steps, which is rare (``history_["clipped"]``). None: never.
    average : bool, default=True
        Whether the running mean of the weights over the last fifth of the steps is what is
        validated and kept, instead of the last step's weights.

    References
    ----------
    One cycle: Smith & Topin 2017 (arXiv 1708.07120). Running mean: Karras et al. 2024. Published
    schedules: RAFT (Lukasik et al. 2025), appendix D: constant; GenRe² (arXiv 2512.06533): 100
    steps up, a cosine down to a tenth.

    Examples
    --------
    >>> from llmreg import LLMRegressor, Optimizer
    >>> model = LLMRegressor(optimizer=Optimizer("adafactor", schedule="constant"))
    >>> LLMRegressor().set_params(optimizer__warmup=100).optimizer
    Optimizer(warmup=100)
    """

    _parameter_constraints: dict = {
        "name": [StrOptions({"adamw", "adafactor"})],
        "schedule": [StrOptions({"one_cycle", "constant", "cosine"})],
        "warmup": [
            StrOptions({"auto"}), Interval(Integral, 0, None, closed="left"),
            Interval(Real, 0, 1, closed="left"),
        ],
        "final_share": [Interval(Real, 0, 1, closed="both")],
        "weight_decay": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "max_grad_norm": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither"), None],
        "average": ["boolean"],
    }  # fmt: skip

    def __init__(
        self,
        name: str = "adamw",
        *,
        schedule: str = "one_cycle",
        warmup: float | int | str = "auto",
        final_share: float = 0.1,
        weight_decay: float | str = "auto",
        max_grad_norm: float | str | None = "auto",
        average: bool = True,
    ):
        self.name = name
        self.schedule = schedule
        self.warmup = warmup
        self.final_share = final_share
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.average = average


def as_optimizer(optimizer):
    """The :class:`Optimizer` that the parameter ``optimizer`` means."""
    return optimizer if isinstance(optimizer, Optimizer) else Optimizer(optimizer)
