"""Which device torch computes on, and in which number formats."""

import warnings

import torch

from llmreg.config.plan import Computing

__all__ = ["computing_of", "prediction_device", "resolve_device", "training_device"]


def resolve_device(name):
    """torch.device for "auto" (cuda, then mps, then cpu) or an explicit name."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ValueError(
            f"device={name!r} is not a device. Use 'auto', 'cpu', 'cuda' (or 'cuda:1' and so "
            "on) or 'mps'."
        ) from error


def training_device(name):
    """:func:`resolve_device`, but an error for a device that is not there."""
    resolved = resolve_device(name)
    missing = _missing(resolved)
    if missing:
        raise ValueError(
            f"device={name!r} was asked for, but {missing}. Use device='auto', which takes what is "
            "there."
        )
    return resolved


def prediction_device(name):
    """:func:`resolve_device`, but the CPU, with a warning, for a device that is not there: models
    are opened elsewhere than where they were fitted."""
    resolved = resolve_device(name)
    missing = _missing(resolved)
    if not missing:
        return resolved
    warnings.warn(
        f"device={str(resolved)!r} was asked for, but {missing}: predicting on the CPU. Set "
        "device='auto' to choose what is there.",
        UserWarning,
        stacklevel=3,
    )
    return torch.device("cpu")


def _missing(device):
    """Why torch can't compute on a device here, in words; None if it can."""
    kind = device.type
    if kind == "meta":
        return "torch's 'meta' has shapes and no numbers"
    if kind == "cuda":  # counting does not open one, which would take memory of the first
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count:
            few = f"this machine has {count} of CUDA, counted from 0"
            return few if (device.index or 0) >= count else None
    elif _computes(device):
        return None
    return f"this machine (or this build of torch) has no {kind.upper()}"


def _computes(device):
    try:
        return torch.ones(1, device=device).cpu().item() == 1
    except Exception:  # of any kind: each backend has its own
        return False


def computing_of(device, place, pretrained, adapters):
    """Where and in which number formats a fit computes.

    "auto": float32, except that a pretrained model on a GPU with bfloat16 uses that: for its
    frozen weights where it has adapters, by autocast where all weights train. Fresh weights
    predict in float64, so that rounding hides no effect of how rows are batched.

    Parameters
    ----------
    device : Device
        The estimator's parameter.
    place : torch.device
    pretrained : PretrainedModel or None
        None: fresh weights.
    adapters : int, peft.PeftConfig or None
        None: all weights train.

    Returns
    -------
    Computing
    """
    training = prediction = "float32" if device.dtype == "auto" else device.dtype
    autocast = None
    if device.dtype == "auto" and not pretrained:
        prediction = "float32" if place.type == "mps" else "float64"
    elif device.dtype == "auto" and place.type == "cuda" and torch.cuda.is_bf16_supported():
        autocast = "bfloat16"
        training = prediction = "float32" if adapters is None else "bfloat16"
    return Computing(
        device=str(place), training=training, prediction=prediction, autocast=autocast,
        gradient_checkpointing=device.gradient_checkpointing, torch_compile=device.torch_compile,
    )  # fmt: skip
