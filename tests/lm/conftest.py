"""Models of several families, and one with vectors of cells."""

from dataclasses import replace

import pytest
import torch
from number_lm import TWO

from llmreg.prompts.cell_encoder import CellEncoder, SlotLayout

FAMILIES = ["llama", "qwen2", "gpt2"]


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture
def with_cells(build_model, random_batch):
    """A model with cell vectors, and a batch of three rows that carry some: numbers in slots 1 and
    2, a category in slot 3, a column's vector in slot 4."""
    torch.manual_seed(0)
    cells = CellEncoder(
        SlotLayout(2, 1, 1, 0, 0), knots=torch.randn(2, 3), edges=torch.randn(2, 3).sort(1).values,
        n_levels=[4], n_columns=1, n_texts=0,
        n_components=0, size=32, std=1.0, dropout=0.0,
    )  # fmt: skip
    model = build_model("llama", TWO, cells=cells)
    batch = random_batch((6, 4, 5))
    slots = torch.zeros_like(batch.ids)
    slots[0, 3:] = torch.tensor([1, 2, 3])
    slots[1, 4] = 4
    batch = replace(
        batch, slots=slots, numbers=torch.randn(3, 2), categories=torch.tensor([[2], [0], [3]]),
        texts=torch.zeros(3, 0, 0),
    )  # fmt: skip
    return model, batch
