"""Token ids of many rows end to end, their batches, and what the encoders of rows share."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from llmreg.estimates.stacking import Estimate
from llmreg.numbers.estimate import estimate_on
from llmreg.prompts.cell_encoder import SlotLayout
from llmreg.prompts.cells import CellValues

__all__ = [
    "EncodedRows",
    "Prefix",
    "PromptBatch",
    "Prompts",
    "Ragged",
    "join",
    "warn_prompt_cut",
    "warn_text_cut",
    "within",
]


# Fewer tokens than these are not worth a pass of their own.
SHORTEST_PREFIX = 16


@dataclass(frozen=True)
class Prefix:
    """Tokens that stand in front of every prompt of a batch."""

    ids: torch.Tensor  # (S,)
    # Keys and values (1, heads, S, d) of each layer; None: every pass computes them, with gradients
    past: tuple | None = None


@dataclass(frozen=True)
class PromptBatch:
    """Prompts of B rows, padded on the left to P tokens, on the model's device."""

    ids: torch.Tensor  # (B, P)
    slots: torch.Tensor  # (B, P) index into the row's cell vectors
    mask: torch.Tensor  # (B, P) True for real tokens
    numbers: torch.Tensor
    categories: torch.Tensor
    texts: torch.Tensor
    estimate: Estimate | None = None  # what regressors make of the rows, as a tensor
    prefix: Prefix | None = None  # what stands before the P tokens
    unpadded: bool = False  # whether all tokens are known to be real
    lower: object = None  # llmreg.lm.lower_layers.LowerBatch: states that need not be computed

    def __len__(self):
        return len(self.ids)

    @property
    def n_before(self):
        """int: tokens before the batch's own."""
        return 0 if self.prefix is None else len(self.prefix.ids)

    @property
    def positions(self):
        """LongTensor (B, P): places of the tokens in their prompts; any on the padding."""
        return (self.mask.cumsum(1) - 1).clamp(min=0) + self.n_before


@dataclass(frozen=True)
class EncodedRows:
    """Token ids and slots of many rows, end to end, with each row's place in them."""

    ids: np.ndarray  # (total,) int32
    slots: np.ndarray  # (total,) int32
    starts: np.ndarray  # (n,) int64
    lengths: np.ndarray  # (n,) int64
    cells: CellValues
    estimate: Estimate | None = None  # what regressors make of the rows
    prefix: Prefix | None = None  # what stands before each row's tokens
    lower: object = None  # llmreg.lm.lower_layers.KeptStates: states that need not be computed

    def __len__(self):
        return len(self.lengths)

    def distinct(self):
        """Which rows to compute, so that all are: one of each kind.

        Returns
        -------
        rows : ndarray of int, ascending
        kind : ndarray of shape (n,)
            ``rows[kind]`` are rows equal to all.
        """
        cells = [self.cells.numbers, self.cells.categories, self.cells.texts]
        cells += [] if self.estimate is None else self.estimate.columns
        width = [np.ascontiguousarray(part).reshape(len(self), -1) for part in cells]
        keys = np.empty(len(self), dtype=object)
        for row, (start, length) in enumerate(zip(self.starts, self.lengths, strict=True)):
            tokens = slice(start, start + length)
            parts = (self.ids[tokens], self.slots[tokens], *(part[row] for part in width))
            keys[row] = b"".join(part.tobytes() for part in parts)
        kind, found = pd.factorize(keys)
        rows = np.full(len(found), len(self))
        np.minimum.at(rows, kind, np.arange(len(self)))
        return rows, kind

    def share_prefix(self, device):
        """The same rows with what all their prompts begin with taken in front of them.

        Tokens that carry a cell are not shared, and each row keeps a token at least. Rows with
        less than 16 tokens in common stay as they are.
        """
        size = self._n_common() if self.prefix is None and len(self) > 1 else 0
        if size < SHORTEST_PREFIX:
            return self
        start = self.starts[0]
        ids = torch.as_tensor(self.ids[start : start + size]).to(device=device, dtype=torch.long)
        return replace(
            self, starts=self.starts + size, lengths=self.lengths - size, prefix=Prefix(ids)
        )

    def _n_common(self):
        """Tokens without a cell that all rows begin with, but for the last of the shortest."""
        first = slice(self.starts[0], self.starts[0] + self.lengths.min() - 1)
        ids, slots = self.ids[first], self.slots[first]
        size = int((slots > 0).argmax()) if slots.any() else len(ids)
        for start in self.starts:
            other = slice(start, start + size)
            differs = (self.ids[other] != ids[:size]) | (self.slots[other] > 0)
            if differs.any():
                size = int(differs.argmax())
            if size < SHORTEST_PREFIX:
                break
        return size

    def take(self, rows):
        """These rows only; token arrays are shared, not copied."""
        return replace(
            self, starts=self.starts[rows], lengths=self.lengths[rows],
            cells=self.cells.take(rows), estimate=self.estimate and self.estimate.take(rows),
        )  # fmt: skip

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
            estimate=estimate_on(self.estimate and self.estimate.take(rows), device),
            prefix=self.prefix,
            unpadded=bool(mask.all()),
            lower=self.lower and self.lower.batch(starts, where),
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


def warn_text_cut(n_cut, n_rows, budget, column, featured):
    """Say how many rows have shortened text cells in a column, if any; ``featured``: whether these
    are read through features, too, and to their end."""
    _warn(n_cut, f"{n_rows} rows (column {column!r})", "Text cells were", budget,
          "read through text_features alone" if featured else "not read",
          "Raise max_text_tokens of the RowSerializer to read more.")  # fmt: skip


def warn_prompt_cut(n_cut, n_rows, budget):
    """Say how many rows have shortened prompts, if any."""
    _warn(n_cut, f"{n_rows} rows", "Prompts were", budget, "not read",
          "Choose columns of the RowSerializer, or raise its max_prompt_tokens.")  # fmt: skip


def _warn(n_cut, rows, what, budget, beyond, remedy):
    if n_cut:
        warnings.warn(
            f"{what} cut to {budget} tokens in {n_cut} of {rows}; what lies beyond is {beyond}. "
            f"{remedy}",
            UserWarning,
            stacklevel=2,
        )


class Prompts:
    """What both encoders share: the cells' numbers and the numbering of their vectors.

    Attributes
    ----------
    text_vectors : llmreg.tables.text_vectors.TextVectors or None
    estimates : llmreg.estimates.row_estimates.RowEstimates or None
        Fitted; they extend rows, in this order, before they are encoded.
    """

    def __init__(self, tokenizer, featurizer, *, max_prompt_tokens, max_text_tokens, n_soft):
        self.tokenizer = tokenizer
        self.featurizer = featurizer
        self.max_prompt_tokens = max_prompt_tokens
        self.max_text_tokens = max_text_tokens
        self.n_soft = n_soft
        self.text_vectors = None
        self.estimates = None

    def fit_encode(self, rows):
        """Fit the cells' scales and features on training rows, and encode them.

        They are extended already where there are vectors of texts, or estimates.
        """
        cells = self.featurizer.fit_transform(rows)
        self.layout = SlotLayout(
            cells.numbers.shape[1], cells.categories.shape[1], self._n_columns(rows),
            cells.texts.shape[1], self.n_soft,
        )  # fmt: skip
        return self._encode(rows, cells)

    def encode(self, rows):
        """:class:`EncodedRows` of serialised rows."""
        return self.encode_extended(self.extend(rows))

    def extend(self, rows):
        """Serialised rows with vectors of texts and estimates, if there are any."""
        rows = self._with_vectors(rows)
        return rows if self.estimates is None else self.estimates.extend(rows)

    def extend_training(self, rows, y, weight):
        """The same for further training rows, whose estimates are held out."""
        rows = self._with_vectors(rows)
        if self.estimates is None:
            return rows
        return self.estimates.extend_training(rows, y, weight)

    def _with_vectors(self, rows):
        return rows if self.text_vectors is None else self.text_vectors.extend(rows)

    def encode_extended(self, rows):
        """The same for rows that are extended already."""
        return self._encode(rows, self.featurizer.transform(rows))

    def _encode(self, rows, cells):
        ragged = self._tokens(rows)
        starts = ragged.lengths.cumsum() - ragged.lengths
        return EncodedRows(ragged.ids, ragged.slots, starts, ragged.lengths, cells, rows.estimate)
