"""Adapters on a language model: the only module that knows peft."""

import copy
import warnings
from contextlib import contextmanager

from llmreg.lm.recompute import named_blocks

__all__ = [
    "ADAPTER",
    "active_reference",
    "adapter_config",
    "adapter_weights",
    "add_adapters",
    "copy_reference",
    "drop_reference",
    "has_reference",
]

ADAPTER = "default"
REFERENCE = "reference"
MAMBA_TYPES = {"falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h"}


def adapter_config(adapters, lm):
    """peft's configuration for a plan's ``adapters``; None to train all weights.

    Parameters
    ----------
    adapters : llmreg.Adapters, peft.PeftConfig or None
        Of a settled depth.
    lm : transformers.PreTrainedModel
        That is to get them.

    Returns
    -------
    peft.PeftConfig or None
    """
    from peft import LoraConfig, PeftConfig

    if adapters is None or isinstance(adapters, PeftConfig):
        return copy.deepcopy(adapters)
    return LoraConfig(
        r=adapters.rank,
        lora_alpha=2 * adapters.rank,
        target_modules="all-linear",
        exclude_modules=_excluded(adapters, lm),
        task_type="CAUSAL_LM",
    )


def _excluded(adapters, lm):
    """Names of layers that get no adapters, or None. Patterns would be illegal in saved models."""
    blocks = named_blocks(lm)
    names = [
        f"{block}.{name}"
        for block, module in blocks[: len(blocks) - adapters.n_blocks(len(blocks))]
        for name, part in module.named_modules()
        if name and not any(part.children())
    ]
    if lm.config.model_type in MAMBA_TYPES:
        # Their kernels read these weights past the layers, so peft refuses adapters on them.
        names += ["out_proj", "conv1d"]
    return names or None


def add_adapters(lm, config):
    """Wrap a language model in trainable adapters.

    Parameters
    ----------
    lm : transformers.PreTrainedModel
        Changed in place, as peft does.
    config : peft.PeftConfig
        Copied, since peft writes into it.

    Returns
    -------
    peft.PeftModel

    Raises
    ------
    ValueError
        If the configuration is one of virtual prompt tokens, or targets the output layer.
    """
    from peft import get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    if config.is_prompt_learning or config.is_adaption_prompt:
        raise ValueError(
            f"adapters={type(config).__name__}(...) puts virtual tokens into the prompt; the "
            "number tree's positions would be wrong. Use adapters on the weights, such as "
            "peft.LoraConfig."
        )
    with _quietly():
        wrapped = get_peft_model(lm, copy.deepcopy(config))
    if isinstance(wrapped.get_output_embeddings(), BaseTunerLayer):
        targets = getattr(config, "target_modules", None)
        raise ValueError(
            f"adapters: target_modules={targets!r} puts an adapter on the output layer, of "
            "which only the number symbols' rows are computed. Leave that layer out; "
            "'all-linear' does, and modules_to_save can train a whole copy of it."
        )
    return wrapped


@contextmanager
def _quietly():
    with warnings.catch_warnings():
        # peft asks for an attribute that transformers is renaming; nothing of ours to change.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        # GPT-2's layers store weights transposed; peft notices and says that it copes.
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)
        yield


def adapter_weights(lm):
    """The adapters' parameters by name, without trained biases or copies of whole modules."""
    prefix = lm.base_model.prefix
    return {name: p for name, p in lm.named_parameters() if prefix in name}


def copy_reference(lm):
    """Copy the present adapter into a second, frozen one.

    Returns
    -------
    set of str
        Names of the parameters that the copy stands for; empty for kinds of adapters of which peft
        may not allow a second one (other than LoRA, or on bare parameters).
    """
    from peft import LoraConfig

    config = lm.peft_config[ADAPTER]
    if not isinstance(config, LoraConfig) or config.target_parameters:
        return set()
    drop_reference(lm)
    trainable = {name: p.requires_grad for name, p in lm.named_parameters()}
    config = copy.deepcopy(config)
    config.bias = "none"  # trained biases are the base's own weights: there is one set of them
    config.init_lora_weights = True  # costly or data-driven starts would be overwritten
    with _quietly():
        lm.add_adapter(REFERENCE, config)
    weights = dict(lm.named_parameters())
    copied = set()
    for name, p in weights.items():
        if f".{REFERENCE}" in name:
            source = name.replace(f".{REFERENCE}", f".{ADAPTER}")
            p.data = _whole(weights[source].detach()).to(p.device, copy=True)
            copied.add(source)
    _set_trainable(lm, trainable)
    return copied


def _whole(tensor):
    """A weight that is split over processes (FSDP), put together; others as they are."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def has_reference(lm):
    """Whether there is a second adapter."""
    return REFERENCE in lm.peft_config


def drop_reference(lm):
    """Delete the second adapter, if there is one."""
    if has_reference(lm):
        trainable = {name: p.requires_grad for name, p in lm.named_parameters()}
        lm.delete_adapter(REFERENCE)
        _set_trainable(lm, trainable)


@contextmanager
def active_reference(lm):
    """Within this context the second adapter acts in the first one's place."""
    trainable = {name: p.requires_grad for name, p in lm.named_parameters()}
    lm.set_adapter(REFERENCE)
    try:
        yield
    finally:
        lm.set_adapter(ADAPTER)
        _set_trainable(lm, trainable)


def _set_trainable(lm, flags):
    """Put back which weights train: peft decides that anew whenever adapters change."""
    for name, p in lm.named_parameters():
        p.requires_grad_(flags.get(name, False))
