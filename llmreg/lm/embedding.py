"""Cell vectors on top of the language model's own input embeddings."""

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields

import torch

from llmreg.integrations.process_state import random_state, set_random_state
from llmreg.prompts.encoding import PromptBatch

__all__ = ["CellInput", "FixedBatch", "cell_input", "cells_added", "fix_hidden_cells"]


@dataclass(frozen=True)
class FixedBatch(PromptBatch):
    """A batch whose hidden cells are drawn: every pass over it hides the same ones."""

    seed: int = 0


@dataclass(frozen=True)
class CellInput:
    """What the cells do to the embeddings of B rows of T tokens."""

    blank: torch.Tensor  # (B, T) True where the token's own embedding is hidden
    vectors: torch.Tensor  # (B, n_slots, size)
    slots: torch.Tensor  # (B, T) vector that each token carries

    def take(self, rows, columns, real):
        """The same for chosen tokens: ``rows`` (N,), ``columns`` (N, T), ``real`` (N, T) bool."""
        return CellInput(
            blank=self.blank[rows].gather(1, columns) & real,
            vectors=self.vectors[rows],
            slots=self.slots[rows].gather(1, columns).masked_fill(~real, 0),
        )


def fix_hidden_cells(cells, batch):
    """The batch with its hidden cells drawn, in training with hidden cells; else the batch."""
    if cells is None or not (cells.training and cells.dropout) or isinstance(batch, FixedBatch):
        return batch
    seed = int(torch.randint(2**62, ()))
    return FixedBatch(**{f.name: getattr(batch, f.name) for f in fields(batch)}, seed=seed)


def cell_input(cells, batch):
    """The :class:`CellInput` of a batch's prompts, or None for a model without cells."""
    if cells is None:
        return None
    # The cells' weights may be more precise than the language model's.
    precise = cells.missing.dtype
    with _drawn_from(batch):
        return CellInput(
            blank=cells.blank(batch.slots),
            vectors=cells(batch.numbers.to(precise), batch.categories, batch.texts.to(precise)),
            slots=batch.slots,
        )


@contextmanager
def _drawn_from(batch):
    if not isinstance(batch, FixedBatch):
        yield
        return
    device = batch.ids.device
    state = random_state(device)
    # Not torch.manual_seed: without a GPU it remembers every call, for when there is one.
    set_random_state(torch.Generator(device).manual_seed(batch.seed).get_state(), device)
    try:
        yield
    finally:
        set_random_state(state, device)


def cells_added(embedding, cells):
    """Within this context the embedding layer's output has cell vectors on its first tokens.

    A hook, not embeddings computed outside of the model: sharded weights are whole only while the
    model runs.

    Parameters
    ----------
    embedding : Module
        The model's input embeddings.
    cells : CellInput or None
        Of as many tokens as the model gets, or fewer: what follows them is left alone.
    """
    if cells is None:
        return nullcontext()
    return _hooked(embedding, cells)


@contextmanager
def _hooked(embedding, cells):
    def add(module, args, output):
        width = cells.slots.shape[1]
        index = cells.slots.unsqueeze(-1).expand(-1, -1, output.shape[-1])
        added = cells.vectors.gather(1, index).to(output)
        kept = output[:, :width].masked_fill(cells.blank.to(output.device).unsqueeze(-1), 0.0)
        return torch.cat([kept + added, output[:, width:]], 1)

    handle = embedding.register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()
