"""What heads read of a language model: its hidden states and logits at the prompt, in one pass."""

import torch

from llmreg.lm.embedding import cell_input
from llmreg.lm.number_rows import all_rows, number_rows, states_kept
from llmreg.lm.placement import precise

__all__ = ["answer_logits", "last_states", "prompt_states"]


def prompt_states(model, batch):
    """Final hidden states of all prompt tokens, after the last norm.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    batch : llmreg.prompts.cell_prompts.PromptBatch of B rows and P tokens

    Returns
    -------
    states : Tensor of shape (B, P, d), at least float32
    mask : BoolTensor of shape (B, P)
        Which of them belong to real tokens: those at the end of each row on the packed road, at
        its beginning on the plain one.
    """
    kept = []
    model.prompt_pass(batch, lambda layer, at: states_kept(layer, kept), batch.ids.shape[1])
    (states,) = kept
    mask = batch.mask if model.packs else _moved_left(batch)[1]
    return states.to(precise(states.dtype)), mask


def last_states(model, batch):
    """Final hidden states (B, d) of the prompts' last tokens, at least float32."""
    kept, where = [], []

    def output(layer, at):
        where.append(at)
        return states_kept(layer, kept)

    model.prompt_pass(batch, output, 1)
    states = where[0](kept[0]).squeeze(1)
    return states.to(precise(states.dtype))


def answer_logits(model, batch, tokens=None):
    """Logits at the prompts' last tokens: those of the first symbol to be written.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    batch : llmreg.prompts.cell_prompts.PromptBatch of B rows
    tokens : LongTensor of shape (S,) or None, default=None
        The tokens asked about; None: the whole vocabulary, in the format that the model computes
        in.

    Returns
    -------
    Tensor of shape (B, S) or (B, vocabulary), at least float32
    """

    def output(layer, at):
        return all_rows(layer, at) if tokens is None else number_rows(layer, tokens, at)

    return model.prompt_pass(batch, output, 1).squeeze(1)


def right_padded(model, batch):
    """Prompts as a model without a packed road reads them.

    Returns
    -------
    ids, mask : Tensor of shape (B, P)
    cells : llmreg.lm.embedding.CellInput or None
    """
    columns, real = _moved_left(batch)
    cells = cell_input(model.cells, batch)
    if cells is not None:
        rows = torch.arange(len(batch), device=columns.device)
        cells = cells.take(rows, columns, real)
    return batch.ids.gather(1, columns), real, cells


def _moved_left(batch):
    """Columns (B, P) of the batch that hold each row's tokens in order, and which are real."""
    width, lengths = batch.ids.shape[1], batch.mask.sum(1, keepdim=True)
    place = torch.arange(width, device=batch.ids.device)
    return (width - lengths + place).clamp(max=width - 1), place < lengths
