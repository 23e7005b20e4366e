"""Gradient checkpointing: layers forget their activations and compute them again for gradients."""

from contextlib import contextmanager
from functools import partial

import torch
from transformers.modeling_layers import GradientCheckpointingLayer

__all__ = ["named_blocks", "recomputing", "repeated_layers", "switch_checkpointing"]


def named_blocks(lm):
    """The transformer's layers with their names, in order."""
    return [(name, m) for name, m in lm.named_modules() if _repeated(m)]


def repeated_layers(lm):
    """The transformer's layers, in order."""
    return [m for m in lm.modules() if _repeated(m)]


def _repeated(module):
    return isinstance(module, GradientCheckpointingLayer)


def switch_checkpointing(lm, on):
    """Turn transformers' gradient checkpointing on or off.

    Parameters
    ----------
    lm : transformers.PreTrainedModel
    on : bool

    Raises
    ------
    ValueError
        If the model has no gradient checkpointing.
    """
    if on and not (lm.supports_gradient_checkpointing and repeated_layers(lm)):
        raise ValueError(
            f"Device(gradient_checkpointing=True) was asked for, but {type(lm).__name__} has none. "
            "Set it to False; Device(micro_batch_size=...) saves memory too."
        )
    if not on:
        disable = getattr(lm, "activation_checkpointing_disable", None)
        (disable or lm.gradient_checkpointing_disable)()
    elif hasattr(lm, "activation_checkpointing_enable"):  # its name since transformers 5.18
        lm.activation_checkpointing_enable({"use_reentrant": False})
    else:
        lm.gradient_checkpointing_enable({"use_reentrant": False})
    # Gradients of the embeddings are what re-entrant checkpoints need; frozen ones shall have none.
    lm.disable_input_require_grads()


@contextmanager
def recomputing(lm, active):
    """Within this context checkpoints act or not, whatever mode the layers are in.

    transformers' layers make a checkpoint in training mode alone, and then lose their cache. Here
    they also do in eval mode, with dropout off; and never where a cache is wanted.

    Parameters
    ----------
    lm : transformers.PreTrainedModel
        With :func:`switch_checkpointing` on.
    active : bool
    """
    switched = [m for m in lm.modules() if hasattr(m, "gradient_checkpointing")]
    layers = repeated_layers(lm) if active else []
    before = [_switches(layer) for layer in layers]
    for module in switched:
        module.gradient_checkpointing = active
    for layer, (training, checkpoint, compiled) in zip(layers, before, strict=True):
        layer._gradient_checkpointing_func = partial(
            _in_its_mode, layer, training, checkpoint, compiled is not None
        )
        layer.training, layer._compiled_call_impl = True, None
    try:
        yield
    finally:
        for module in switched:
            module.gradient_checkpointing = True
        for layer, (training, checkpoint, compiled) in zip(layers, before, strict=True):
            layer.training, layer._compiled_call_impl = training, compiled
            layer._gradient_checkpointing_func = checkpoint


def _switches(layer):
    return layer.training, layer._gradient_checkpointing_func, layer._compiled_call_impl


def _in_its_mode(layer, training, checkpoint, compiled, function, *args):
    """Run a layer under a checkpoint: ``layer.training`` is True to ask for one, but some layers
    (OPT's) also read from it whether to apply dropout. The compiled code goes inside."""
    if compiled:
        call = torch.compile(function.func, dynamic=True)
        function = partial(call, *function.args, **function.keywords)

    def run(*args):
        now, layer.training = layer.training, training
        try:
            return function(*args)
        finally:
            layer.training = now

    return checkpoint(run, *args)
