"""The estimator's parameters: which values are legal, and which of them a first fit settles."""

import functools
import inspect
from numbers import Integral, Real
from os import PathLike
from typing import Any, Self

from sklearn.base import clone
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
)

from llmreg.codecs.digits import DigitCodec, TargetCodec
from llmreg.config.adapters import Adapters
from llmreg.config.device import Device
from llmreg.config.optimizer import Optimizer
from llmreg.config.parameter_checks import check_parameters
from llmreg.config.pretrained_model import PretrainedModel
from llmreg.integrations.documentation import DocumentedMixin
from llmreg.integrations.python_values import as_python
from llmreg.methods import Method, resolve_method
from llmreg.numbers.distribution import DECODINGS
from llmreg.tables.serialization import RowSerializer

__all__ = ["CONSTRAINTS", "LASTING", "MOVED", "ParametersMixin", "fresh_parts", "given_parameters"]

METHOD_NAMES = ("fit_method", "sft_method")
COUNT = Interval(Integral, 1, None, closed="left")
EPOCHS = [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")]
RATE = [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")]

CONSTRAINTS: dict = {
    # Objects of torch, transformers and peft are checked where they are used: importing them here
    # would make `import llmreg` slow.
    "model": [str, PretrainedModel, HasMethods(["to_dict", "from_dict"]), tuple],
    "fit_method": [str, Method],
    "sft_method": [str, Method],
    "serializer": [RowSerializer, None],
    "codec": [TargetCodec, None],
    "number_input": [StrOptions({"auto", "text", "text+value", "value"})],
    "text_features": [StrOptions({"auto"}), "boolean", HasMethods(["fit_transform", "transform"])],
    "estimates": [StrOptions({"auto", "linear", "kernel", "boosted", "both"}), None],
    "decoding": [StrOptions({"auto", *DECODINGS})],
    "n_samples": [COUNT],
    "estimate_weight": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both")],
    "temperature_scaling": [StrOptions({"auto"}), "boolean"],
    "tree_tolerance": [Interval(Real, 0, None, closed="left")],
    "n_estimators": [COUNT],
    "sft_epochs": EPOCHS,
    "sft_learning_rate": RATE,
    "align_epochs": EPOCHS,
    "align_learning_rate": RATE,
    "batch_size": [StrOptions({"auto"}), COUNT],
    "optimizer": [StrOptions({"adamw", "adafactor"}), Optimizer],
    "adapters": [COUNT, Adapters, HasMethods(["to_dict", "save_pretrained"]), None],
    "dropout": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
    "validation_fraction": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="neither"), None],
    "n_iter_no_change": [StrOptions({"auto"}), COUNT, None],
    "selection": [StrOptions({"error", "objective", "last"})],
    "validation_interval": [COUNT, None],
    "device": [str, Device],
    "time_limit": [Interval(Real, 0, None, closed="neither"), None],
    "checkpoint_dir": [str, PathLike, None],
    "checkpoint_interval": [Interval(Real, 0, None, closed="left")],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
}

# Parameters that the first fit settles for all that follow with warm_start=True; on a pretrained
# base, the adapters too.
LASTING = (
    "model", "serializer", "codec", "number_input", "text_features", "estimates", "dropout",
    "n_estimators",
)  # fmt: skip

# Parts that a parameter may name, or leave to None; reaching into one builds it first.
PARTS = {
    "adapters": Adapters, "model": PretrainedModel, "device": Device, "codec": DigitCodec,
    "serializer": RowSerializer, "optimizer": Optimizer,
    **{name: functools.partial(resolve_method, parameter=name) for name in METHOD_NAMES},
}  # fmt: skip

# Parameters that moved into parts, and what to write instead.
MOVED = {
    "reward": "fit_method=GRPO(reward=...)",
    "lora_r": "adapters=8, the rank, or adapters=None for all weights",
    "lora_alpha": "adapters=peft.LoraConfig(r=..., lora_alpha=...)",
    "lora_dropout": "adapters=peft.LoraConfig(r=..., lora_dropout=...)",
    "target_modules": "adapters=peft.LoraConfig(r=..., target_modules=...)",
    "peft_config": "adapters=...",
    "max_prompt_tokens": "serializer=RowSerializer(max_prompt_tokens=...)",
    **{
        name: f"model=PretrainedModel(name, {name}=...)"
        for name in ("revision", "token", "local_files_only", "trust_remote_code", "model_kwargs",
                     "chat_template")
    },
    **{name: f"optimizer=Optimizer({name}=...)" for name in ("weight_decay", "max_grad_norm")},
    **{
        name: f"device=Device({name}=...)"
        for name in ("dtype", "micro_batch_size", "gradient_checkpointing", "torch_compile")
    },
}  # fmt: skip


def given_parameters(estimator):
    """What a fit takes: by name, as Python's own values, whoever settled it.

    The ``__init__`` of a subclass may have fewer parameters and settle the others itself.

    Parameters
    ----------
    estimator : LLMRegressor
        Its attributes stay as they are.

    Returns
    -------
    dict
        A value for each name in ``CONSTRAINTS``.
    """
    return {name: as_python(getattr(estimator, name)) for name in CONSTRAINTS}


def fresh_parts(given):
    """Serializer and codec to fit, clones of those that are given."""
    serializer, codec = given["serializer"], given["codec"]
    return (
        RowSerializer() if serializer is None else clone(serializer),
        DigitCodec() if codec is None else clone(codec),
    )


def refuse_moved(names, own=()):
    """TypeError for a parameter that has moved into a part, but for a subclass's ``own``."""
    for name in names:
        if name in MOVED and name not in own:
            raise TypeError(f"LLMRegressor has no parameter {name!r} any more: set {MOVED[name]}.")


def _explaining(init):
    """An ``__init__`` that says where parameters went."""
    own = inspect.signature(init).parameters

    @functools.wraps(init)
    def explained(self, *args, **kwargs):
        refuse_moved(kwargs, own)
        init(self, *args, **kwargs)

    return explained


class ParametersMixin(DocumentedMixin):
    """How the estimator's parameters are set, and what it tells scikit-learn of itself."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _explaining(cls.__init__)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.input_tags.allow_nan = True
        return tags

    def _validate_params(self):
        """Check all that a fit takes, and what a subclass adds."""
        given = self.get_params(deep=False) | {name: getattr(self, name) for name in CONSTRAINTS}
        for name, value in given.items():
            if isinstance(value, type):
                raise InvalidParameterError(
                    f"{name}={value.__name__} of {type(self).__name__} is a class. Give an object: "
                    f"{name}={value.__name__}(...)."
                )
        check_parameters(self, given)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, also of parts that are still given by name or left at None.

        ``set_params(codec__n_digits=3)`` works on ``codec=None``,
        ``set_params(fit_method__num_generations=8)`` on ``fit_method="grpo"`` and
        ``set_params(device__dtype="bfloat16")`` on ``device="cuda"``: the part is built first. So a
        grid search can reach into a plain ``LLMRegressor()``.

        Parameters
        ----------
        **params : dict

        Returns
        -------
        self : LLMRegressor
        """
        refuse_moved((key.partition("__")[0] for key in params), self._get_param_names())
        for part in {key.partition("__")[0] for key in params if "__" in key} & set(PARTS):
            value = params.get(part, getattr(self, part))
            if value is None:
                params[part] = PARTS[part]()
            elif isinstance(value, str | tuple | Integral):
                params[part] = PARTS[part](value)
        return super().set_params(**params)
