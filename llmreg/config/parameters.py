"""The estimator's parameters: which values are legal, and which of them a first fit settles."""

from numbers import Integral, Real
from os import PathLike
from typing import Self

from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from llmreg.codecs.digits import DigitCodec, TargetCodec
from llmreg.methods import Method, resolve_method
from llmreg.numbers.distribution import DECODINGS
from llmreg.tables.serialization import RowSerializer

__all__ = [
    "CONSTRAINTS",
    "LASTING",
    "LASTING_ADAPTERS",
    "LORA_DEFAULTS",
    "ParametersMixin",
    "is_pretrained",
]

COUNT = Interval(Integral, 1, None, closed="left")
EPOCHS = [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")]
RATE = [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")]

CONSTRAINTS: dict = {
    # Objects of torch, transformers and peft are checked where they are used: importing them here
    # would make `import llmreg` slow.
    "model": [str, HasMethods(["to_dict", "from_dict"]), tuple],
    "fit_method": [str, Method],
    "reward": [str, callable, None],
    "sft_method": [str, Method],
    "serializer": [RowSerializer, None],
    "codec": [TargetCodec, None],
    "number_input": [StrOptions({"auto", "text", "text+value", "value"})],
    "text_features": [StrOptions({"auto"}), bool, HasMethods(["fit_transform", "transform"])],
    "estimates": [StrOptions({"auto", "linear", "boosted", "both"}), None],
    "chat_template": ["boolean"],
    "decoding": [StrOptions({"auto", *DECODINGS})],
    "estimate_weight": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both")],
    "temperature_scaling": [StrOptions({"auto"}), "boolean"],
    "tree_tolerance": [Interval(Real, 0, None, closed="left")],
    "n_estimators": [COUNT],
    "sft_epochs": EPOCHS,
    "sft_learning_rate": RATE,
    "align_epochs": EPOCHS,
    "align_learning_rate": RATE,
    "batch_size": [StrOptions({"auto"}), COUNT],
    "micro_batch_size": [StrOptions({"auto"}), COUNT],
    "optimizer": [StrOptions({"adamw", "adafactor"})],
    "max_grad_norm": [*RATE, None],
    "weight_decay": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
    "dropout": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
    "lora_r": [COUNT, None],
    "lora_alpha": [Interval(Real, 0, None, closed="neither")],
    "lora_dropout": [Interval(Real, 0, 1, closed="left")],
    "target_modules": [str, list],
    "peft_config": [HasMethods(["to_dict", "save_pretrained"]), None],
    "validation_fraction": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="neither"), None],
    "n_iter_no_change": [COUNT, None],
    "max_prompt_tokens": [Interval(Integral, 8, None, closed="left")],
    "revision": [str, None],
    "token": [str, bool, None],
    "local_files_only": ["boolean"],
    "trust_remote_code": ["boolean"],
    "model_kwargs": [dict, None],
    "device": [str],
    "dtype": [StrOptions({"auto", "float32", "float64", "bfloat16"})],
    "gradient_checkpointing": ["boolean"],
    "torch_compile": ["boolean"],
    "checkpoint_dir": [str, PathLike, None],
    "checkpoint_interval": [Interval(Real, 0, None, closed="left")],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
}

LORA_DEFAULTS = {
    "lora_r": 8, "lora_alpha": 16, "lora_dropout": 0.0, "target_modules": "all-linear",
}  # fmt: skip

# Parameters that the first fit settles for all that follow with warm_start=True; on a pretrained
# base, the adapters too.
LASTING = (
    "model", "serializer", "codec", "number_input", "text_features", "estimates",
    "chat_template", "dropout", "max_prompt_tokens", "revision", "model_kwargs", "n_estimators",
)  # fmt: skip
LASTING_ADAPTERS = (*LORA_DEFAULTS, "peft_config")


def is_pretrained(model):
    """Whether ``model`` is weights that exist: a hub id, a folder, or a (model, tokenizer) pair."""
    return isinstance(model, tuple) or (isinstance(model, str) and model != "tiny")


class ParametersMixin:
    """How the estimator's parameters are set, and what it tells scikit-learn of itself."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.input_tags.allow_nan = True
        return tags

    def set_params(self, **params) -> Self:
        """Set parameters, also of parts that are still given by name or left at None.

        ``set_params(codec__n_digits=3)`` works on ``codec=None`` and
        ``set_params(fit_method__num_generations=8)`` on ``fit_method="grpo"``: the part is built
        with its defaults first. So a grid search can reach into a plain ``LLMRegressor()``. A
        method that is built takes the ``reward`` with it, and the parameter stays as it is.

        Parameters
        ----------
        **params : dict

        Returns
        -------
        self : LLMRegressor
        """
        for part in {key.partition("__")[0] for key in params if "__" in key}:
            value = params.get(part, getattr(self, part, None))
            if value is None and part in ("codec", "serializer"):
                params[part] = DigitCodec() if part == "codec" else RowSerializer()
            elif isinstance(value, str) and part in ("fit_method", "sft_method"):
                reward = params.get("reward", self.reward) if part == "fit_method" else None
                params[part] = resolve_method(value, part, reward)
        return super().set_params(**params)
