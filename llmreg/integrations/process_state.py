"""What all threads of a process share in torch, and what a forked process inherits of it."""

import contextlib
import functools
import os
import threading

import torch

from llmreg.integrations.arithmetic import own_reactions

__all__ = ["own_draws", "own_modes", "random_state", "set_random_state", "survive_forks"]

AUTOCASTING = ("cpu", "cuda", "mps", "xpu")  # kinds of devices that may round for their caller

_turn = threading.RLock()


def random_state(device):
    """torch's random state on a device (torch.device), as a tensor on the CPU."""
    if device.type == "cpu":
        return torch.get_rng_state()
    return torch.get_device_module(device).get_rng_state(device)


def set_random_state(state, device):
    """Go back to an earlier :func:`random_state` of the device."""
    if device.type == "cpu":
        torch.set_rng_state(state)
    else:
        torch.get_device_module(device).set_rng_state(state, device)


@contextlib.contextmanager
def own_draws(seed=None, device=None):
    """Within this context torch's global state is this thread's alone, and then as before.

    Layers draw their first weights and their dropout from its random state and no other, in its
    default number format, which is float32 here, and threads share both: those that draw take
    turns, so that each draws what it would have drawn alone. See also :func:`own_modes`.

    Parameters
    ----------
    seed : int or None, default=None
        What the state starts from.
    device : torch.device or None, default=None
        The device that is drawn on besides the CPU.
    """
    kind = "cpu" if device is None else device.type
    devices = [] if kind == "cpu" else [device]
    with _turn, torch.random.fork_rng(devices, device_type=kind), _float32(), own_modes():
        if seed is not None:
            torch.manual_seed(seed)
        yield


@contextlib.contextmanager
def _float32():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def own_modes():
    """Within this context torch computes with gradients, without autocast and on the CPU unless
    told otherwise, whatever its caller has set for this thread (``torch.no_grad()``,
    ``inference_mode()``, ``autocast(...)``, ``set_default_device(...)``); NumPy computes within
    :func:`llmreg.integrations.arithmetic.own_reactions`."""
    with (
        own_reactions(), torch.inference_mode(False), torch.enable_grad(),
        contextlib.ExitStack() as stack,
    ):  # fmt: skip
        for kind in filter(torch.is_autocast_enabled, AUTOCASTING):
            stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


@functools.cache
def survive_forks():
    """Let forked processes compute with one thread, from now on.

    torch's own threads do not come along, and it would wait for them for ever.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_begin_anew)


def _begin_anew():
    global _turn
    _turn = threading.RLock()  # a thread that stayed behind may have held it
    torch.set_num_threads(1)
