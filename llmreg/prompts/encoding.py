"""Token ids of many rows end to end, their batches, and what the encoders of rows share."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch

from llmreg.prompts.cell_encoder import SlotLayout
from llmreg.prompts.cells import CellValues

__all__ = [
    "EncodedRows",
    "PromptBatch",
    "Prompts",
    "Ragged",
    "join",
    "warn_prompt_cut",
    "warn_text_cut",
    "within",
]


@dataclass(frozen=True)
class PromptBatch:
    """Prompts of B rows, padded on the left to P tokens, on the model's device."""

    ids: torch.Tensor  # (B, P)
    slots: torch.Tensor  # (B, P) index into the row's cell vectors
    mask: torch.Tensor  # (B, P) True for real tokens
    numbers: torch.Tensor
    categories: torch.Tensor
    texts: torch.Tensor

    def __len__(self):
        return len(self.ids)


@dataclass(frozen=True)
class EncodedRows:
    """Token ids and slots of many rows, end to end, with each row's place in them."""

    ids: np.ndarray  # (total,) int32
    slots: np.ndarray  # (total,) int32
    starts: np.ndarray  # (n,) int64
    lengths: np.ndarray  # (n,) int64
    cells: CellValues

    def __len__(self):
        return len(self.lengths)

    def take(self, rows):
        """These rows only; token arrays are shared, not copied."""
        return replace(
            self, starts=self.starts[rows], lengths=self.lengths[rows], cells=self.cells.take(rows)
        )

    def batch(self, rows, device, dtype):
        """The :class:`PromptBatch` of some rows."""
        starts, lengths = self.starts[rows], self.lengths[rows]
        width = int(lengths.max())
        column = np.arange(width) - (width - lengths[:, None])  # (B, P), negative on padding
        mask = column >= 0
        where = np.where(mask, starts[:, None] + column, 0)
        cells = self.cells.take(rows)

        def tensor(array, kind):
            return torch.as_tensor(np.ascontiguousarray(array)).to(device=device, dtype=kind)

        return PromptBatch(
            ids=tensor(np.where(mask, self.ids[where], 0), torch.long),
            slots=tensor(np.where(mask, self.slots[where], 0), torch.long),
            mask=tensor(mask, torch.bool),
            numbers=tensor(cells.numbers, dtype),
            categories=tensor(cells.categories, torch.long),
            texts=tensor(cells.texts, dtype),
        )


@dataclass(frozen=True)
class Ragged:
    """Sequences of ids and slots, one per row, end to end."""

    ids: np.ndarray
    slots: np.ndarray
    lengths: np.ndarray

    @classmethod
    def constant(cls, n_rows, ids, slots):
        """The same tokens in every row."""
        length = np.full(n_rows, len(ids))
        return cls(np.tile(ids, n_rows), np.tile(slots, n_rows), length)

    def keep(self, budget):
        """The first ``budget[i]`` tokens of row i."""
        chosen = within(self.lengths) < np.repeat(budget, self.lengths)
        return Ragged(self.ids[chosen], self.slots[chosen], np.minimum(self.lengths, budget))


def within(lengths):
    """0, 1, 2, … restarting at every row."""
    ends = lengths.cumsum()
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)


def join(parts):
    """Row-wise concatenation of ragged parts."""
    lengths = sum(part.lengths for part in parts)
    row_start = lengths.cumsum() - lengths
    ids = np.empty(lengths.sum(), np.int32)
    slots = np.empty_like(ids)
    done = np.zeros_like(lengths)
    for part in parts:
        where = np.repeat(row_start + done, part.lengths) + within(part.lengths)
        ids[where], slots[where] = part.ids, part.slots
        done = done + part.lengths
    return Ragged(ids, slots, lengths)


def warn_text_cut(n_cut, n_rows, budget):
    """Say how many rows have shortened text cells, if any."""
    _warn(n_cut, n_rows, "Text cells were", budget,
          "Raise max_text_tokens of the RowSerializer to read more.")  # fmt: skip


def warn_prompt_cut(n_cut, n_rows, budget):
    """Say how many rows have shortened prompts, if any."""
    _warn(n_cut, n_rows, "Prompts were", budget,
          "Choose columns with RowSerializer(columns=...) or raise max_prompt_tokens.")  # fmt: skip


def _warn(n_cut, n_rows, what, budget, remedy):
    if n_cut:
        warnings.warn(
            f"{what} cut to {budget} tokens in {n_cut} of {n_rows} rows; what lies beyond is not "
            f"read. {remedy}",
            UserWarning,
            stacklevel=2,
        )


class Prompts:
    """What both encoders share: the cells' numbers and the numbering of their vectors."""

    def __init__(self, tokenizer, featurizer, *, max_prompt_tokens, max_text_tokens, n_soft):
        self.tokenizer = tokenizer
        self.featurizer = featurizer
        self.max_prompt_tokens = max_prompt_tokens
        self.max_text_tokens = max_text_tokens
        self.n_soft = n_soft

    def fit_encode(self, rows):
        """Fit the cells' scales and features on training rows, and encode them."""
        cells = self.featurizer.fit_transform(rows)
        self.layout = SlotLayout(
            cells.numbers.shape[1], cells.categories.shape[1], self._n_columns(rows),
            cells.texts.shape[1], self.n_soft,
        )  # fmt: skip
        return self._encode(rows, cells)

    def encode(self, rows):
        """:class:`EncodedRows` of serialised rows."""
        return self._encode(rows, self.featurizer.transform(rows))

    def _encode(self, rows, cells):
        ragged = self._tokens(rows)
        starts = ragged.lengths.cumsum() - ragged.lengths
        return EncodedRows(ragged.ids, ragged.slots, starts, ragged.lengths, cells)
