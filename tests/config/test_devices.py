"""Devices and number formats: what "auto" means where."""

import pytest
import torch

from llmreg import Device, PretrainedModel
from llmreg.config.devices import (
    computing_of,
    prediction_device,
    resolve_device,
    training_device,
)

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


@pytest.mark.parametrize("name", ["hpu", "xpu:0", "vulkan", "meta"])
def test_any_device_that_is_not_there_is_refused_by_a_fit_and_replaced_in_a_prediction(name):
    with pytest.raises(ValueError, match=f"device='{name}' was asked for, but .*device='auto'"):
        training_device(name)
    with pytest.warns(UserWarning, match=f"device='{name}'.*predicting on the CPU.*device='auto'"):
        assert prediction_device(name) == CPU


def test_devices_are_counted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert training_device("cuda") == CUDA and prediction_device("cuda:1").index == 1
    with pytest.raises(ValueError, match=r"device='cuda:2' .* 2 of CUDA, counted from 0"):
        training_device("cuda:2")
