"""The output layer restricted to the symbols, and left as it was found."""

import pytest
import torch
from torch import nn

from llmreg.lm.number_rows import number_rows, shares_of_all, whole_rows

ROWS = torch.tensor([7, 2, 9])


@pytest.fixture
def head():
    torch.manual_seed(0)
    return nn.Linear(5, 12)


@pytest.fixture
def hidden():
    return torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(1))


def test_the_rows_are_those_of_the_whole_layer(head, hidden):
    whole = head(hidden)
    with number_rows(head, ROWS):
        assert torch.allclose(head(hidden), whole[..., ROWS], atol=1e-6)
    assert torch.equal(head(hidden), whole)
    assert "forward" not in vars(head)


def test_someone_elses_forward_is_put_back(head, hidden):
    def doubled(x):
        return 2 * nn.functional.linear(x, head.weight, head.bias)

    head.forward = doubled
    with pytest.raises(RuntimeError), number_rows(head, ROWS):
        assert head(hidden).shape == (2, 3, 3)
        raise RuntimeError
    assert head.forward is doubled


def test_accelerates_hooks_act_and_stay(head, hidden):
    from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module

    class Shift(ModelHook):
        def pre_forward(self, module, *args, **kwargs):
            return (args[0] + 1,), kwargs

    whole = head(hidden + 1)
    add_hook_to_module(head, Shift())
    forward, own = head.forward, head._old_forward
    with number_rows(head, ROWS):
        assert torch.allclose(head(hidden), whole[..., ROWS], atol=1e-6)
    assert head.forward is forward and head._old_forward is own
    assert torch.equal(head(hidden), whole)
    remove_hook_from_module(head)
    assert torch.equal(head(hidden + 1), whole)


def test_a_layer_with_a_forward_of_its_own_is_asked_for_everything(hidden):
    class Quantised(nn.Linear):
        def forward(self, x):
            return (3 * super().forward(x)).round()

    head = Quantised(5, 12)
    whole = head(hidden)
    with number_rows(head, ROWS):
        assert torch.equal(head(hidden), whole[..., ROWS])


@pytest.mark.parametrize("autocast", [False, True])
def test_logits_of_coarse_weights_are_computed_in_float32(head, hidden, autocast):
    head, hidden = head.to(torch.bfloat16), hidden.to(torch.bfloat16)
    exact = hidden.double() @ head.weight.double().T + head.bias.double()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast), number_rows(head, ROWS):
        logits = head(hidden)
    assert logits.dtype == torch.float32
    assert torch.allclose(logits.double(), exact[..., ROWS], atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_shares_are_those_among_all_tokens(head, hidden, dtype):
    head, hidden = head.to(dtype), hidden.to(dtype)
    with whole_rows(head, ROWS):
        found = shares_of_all(head(hidden), ROWS)
    exact = hidden.double() @ head.weight.double().T + head.bias.double()
    expected = exact.softmax(-1)[..., ROWS].log()
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    # Of coarse weights, the asked tokens are precise; the rest enters the sum in its own format.
    assert torch.allclose(found.double(), expected, atol=1e-12 if dtype == torch.float64 else 5e-3)
    assert torch.allclose(found.diff().double(), expected.diff(), atol=1e-6)
    assert "forward" not in vars(head)
