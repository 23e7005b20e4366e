"""Devices and number formats: what "auto" means where."""

import pytest
import torch

from llmreg import Device, PretrainedModel
from llmreg.config.devices import computing_of, resolve_device, training_device

CPU, CUDA, MPS = map(torch.device, ("cpu", "cuda", "mps"))


def _formats(place, pretrained, adapters=8, dtype="auto"):
    known = PretrainedModel("owner/name") if pretrained else None
    found = computing_of(Device(dtype=dtype), place, known, adapters)
    return found.training, found.prediction, found.autocast


@pytest.fixture
def half(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)


@pytest.mark.parametrize(
    ("place", "pretrained", "adapters", "expected"),
    [
        (CPU, False, 8, ("float32", "float64", None)),
        (MPS, False, 8, ("float32", "float32", None)),
        (CUDA, False, 8, ("float32", "float64", None)),
        (CPU, True, 8, ("float32", "float32", None)),
        (CUDA, True, 8, ("bfloat16", "bfloat16", "bfloat16")),
        (CUDA, True, None, ("float32", "float32", "bfloat16")),
    ],
)
def test_formats_by_device_and_weights(place, pretrained, adapters, expected, half):
    assert _formats(place, pretrained, adapters) == expected


def test_old_gpus_compute_in_single_precision(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert _formats(CUDA, True) == ("float32", "float32", None)


def test_a_format_that_was_asked_for_is_that_of_all(half):
    assert _formats(CUDA, True, dtype="float64") == ("float64", "float64", None)


def test_formats_are_torchs_own():
    computing = computing_of(Device(dtype="bfloat16"), CPU, None, 8)
    assert computing.formats("training") == (torch.bfloat16, None)


def test_unknown_and_missing_devices_are_named(monkeypatch):
    with pytest.raises(ValueError, match=r"device='gpu' is not a device"):
        resolve_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"device='cuda' was asked for"):
        training_device("cuda")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto") == CPU
