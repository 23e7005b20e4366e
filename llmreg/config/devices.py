"""Where a model computes, and in which number formats."""

from dataclasses import dataclass

import torch

from llmreg.config.parameters import is_pretrained

__all__ = ["Precision", "precision_of", "resolve_device", "training_device"]


@dataclass(frozen=True)
class Precision:
    """Number formats: for each purpose the weights' dtype, and that of autocast or None."""

    training: tuple
    prediction: tuple


def resolve_device(device):
    """torch.device for "auto" (cuda, then mps, then cpu) or an explicit name."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"device={device!r} is not a device. Use 'auto', 'cpu', 'cuda' (or 'cuda:1' and so "
            "on) or 'mps'."
        ) from error


def training_device(device):
    """:func:`resolve_device`, but an error for a CUDA device on a machine without one."""
    resolved = resolve_device(device)
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={device!r} was asked for, but this machine (or this build of torch) "
            "has no CUDA. Use device='auto', which takes what is there."
        )
    return resolved


def precision_of(params, device):
    """Number formats for the estimator's ``dtype``.

    "auto": float32, except that a pretrained model on a GPU with bfloat16 uses that: for its
    frozen weights where it has adapters, by autocast where all weights train. Fresh weights
    predict in float64, so that rounding hides no effect of how rows are batched.

    Parameters
    ----------
    params : dict
        The estimator's parameters.
    device : torch.device

    Returns
    -------
    Precision
    """
    if params["dtype"] != "auto":
        chosen = (getattr(torch, params["dtype"]), None)
        return Precision(chosen, chosen)
    single = (torch.float32, None)
    if not is_pretrained(params["model"]):
        double = (torch.float64, None)
        return Precision(single, single if device.type == "mps" else double)
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        tuned_whole = params["lora_r"] is None and params["peft_config"] is None
        mixed = (torch.float32 if tuned_whole else torch.bfloat16, torch.bfloat16)
        return Precision(mixed, mixed)
    return Precision(single, single)
