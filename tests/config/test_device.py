"""A device as a parameter with parameters."""

import pytest
from sklearn.base import clone

from llmreg import Device, LLMRegressor
from llmreg.config.device import as_device


def test_a_name_is_a_device_with_defaults():
    assert as_device("cpu").name == "cpu" and as_device("cpu").dtype == "auto"
    given = Device("cpu", dtype="float64")
    assert as_device(given) is given


@pytest.mark.parametrize("device", ["cpu", Device("cpu")])
def test_its_parameters_are_within_reach_of_a_search(device):
    model = clone(LLMRegressor(device=device)).set_params(device__dtype="float64")
    assert model.device.dtype == "float64" and model.device.name == "cpu"


def test_formats_and_recomputing_act(table, quick_fit):
    kwargs = dict(fit_method="ce", estimates=None, dropout=0.0)
    plain = quick_fit(table.X, table.y, **kwargs)
    for device in (
        Device("cpu", gradient_checkpointing=True), Device("cpu", micro_batch_size=3),
    ):  # fmt: skip
        same = quick_fit(table.X, table.y, device=device, **kwargs)
        assert same.predict(table.X) == pytest.approx(plain.predict(table.X), rel=1e-4)
    double = quick_fit(table.X, table.y, device=Device("cpu", dtype="float64"), **kwargs)
    assert double.plan_.computing.training == "float64"
    assert double.predict(table.X) != pytest.approx(plain.predict(table.X), rel=1e-12)


@pytest.mark.parametrize(
    "wrong", [dict(dtype="float8"), dict(micro_batch_size=0), dict(torch_compile="yes")]
)
def test_illegal_values_are_refused_when_fitting(wrong, table):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LLMRegressor(device=Device(**wrong)).fit(table.X, table.y)
