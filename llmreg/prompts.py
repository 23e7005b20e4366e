"""Serialised rows to token ids, and which cell vector each token carries.

Two encoders with one result: :class:`CellPrompts` for the embedded model (cells alone, one token
for each cell that is read as a vector) and :class:`TextPrompts` for models with a vocabulary of
their own (the whole text). Rows are tokenised once per fit, and equal cells once per table.
"""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch

from llmreg.cell_encoder import SlotLayout
from llmreg.cells import CellValues
from llmreg.tiny.tokenizer import CELL_TOKENS

__all__ = ["CellPrompts", "EncodedRows", "PromptBatch", "TextPrompts"]


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
class _Ragged:
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
        within = _within(self.lengths)
        chosen = within < np.repeat(budget, self.lengths)
        return _Ragged(self.ids[chosen], self.slots[chosen], np.minimum(self.lengths, budget))


def _within(lengths):
    """0, 1, 2, … restarting at every row."""
    ends = lengths.cumsum()
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)


def _join(parts):
    """Row-wise concatenation of ragged parts."""
    lengths = sum(part.lengths for part in parts)
    row_start = lengths.cumsum() - lengths
    ids = np.empty(lengths.sum(), np.int32)
    slots = np.empty_like(ids)
    done = np.zeros_like(lengths)
    for part in parts:
        where = np.repeat(row_start + done, part.lengths) + _within(part.lengths)
        ids[where], slots[where] = part.ids, part.slots
        done = done + part.lengths
    return _Ragged(ids, slots, lengths)


def _encode_texts(tokenizer, texts):
    """Ragged token ids of strings, each distinct string tokenised once; also the offsets' ends."""
    uniques, inverse = np.unique(texts.astype(str), return_inverse=True)
    # Split: "<pad>" in a cell is five characters, not the special token.
    encoded = tokenizer(uniques.tolist(), add_special_tokens=False, split_special_tokens=True)[
        "input_ids"
    ]
    lengths = np.array([len(ids) for ids in encoded], dtype=np.int64)
    flat = np.fromiter((i for ids in encoded for i in ids), np.int32, lengths.sum())
    starts = (lengths.cumsum() - lengths)[inverse]
    lengths = lengths[inverse]
    ids = flat[np.repeat(starts, lengths) + _within(lengths)]
    return _Ragged(ids, np.zeros_like(ids), lengths)


def _warn_cut(n_cut, n_rows, what, budget, remedy):
    if n_cut:
        warnings.warn(
            f"{what} cut to {budget} tokens in {n_cut} of {n_rows} rows; what lies beyond is not "
            f"read. {remedy}",
            UserWarning,
            stacklevel=2,
        )


class _Prompts:
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

    def _cut_text(self, part, n_rows):
        _warn_cut(
            int((part.lengths > self.max_text_tokens).sum()), n_rows, "Text cells were",
            self.max_text_tokens, "Raise max_text_tokens of the RowSerializer to read more.",
        )  # fmt: skip
        return part.keep(np.minimum(part.lengths, self.max_text_tokens))

    def _cut_prompt(self, part, reserve):
        budget = self.max_prompt_tokens - reserve
        _warn_cut(
            int((part.lengths > budget).sum()), len(part.lengths), "Prompts were",
            self.max_prompt_tokens,
            "Choose columns with RowSerializer(columns=...) or raise max_prompt_tokens.",
        )  # fmt: skip
        return part.keep(np.minimum(part.lengths, budget))


class CellPrompts(_Prompts):
    """Prompts of the embedded model: the cells in order, then ``<answer>``.

    The template's fixed texts are the same in every row; a model without pretraining learns
    nothing from them, so they are left out. Cells that are read as vectors take one token each.

    Parameters
    ----------
    tokenizer : transformers tokenizer with ``CELL_TOKENS``
    featurizer : llmreg.cells.CellFeaturizer
    number_input : {"text", "text+value", "value"}
    max_prompt_tokens, max_text_tokens, n_soft : int
    """

    def __init__(self, tokenizer, featurizer, *, number_input, **kwargs):
        super().__init__(tokenizer, featurizer, **kwargs)
        self.number_input = number_input
        self.special = {
            kind: tokenizer.convert_tokens_to_ids(token) for kind, token in CELL_TOKENS.items()
        }

    def _n_columns(self, rows):
        return len(rows.fields)

    def _tokens(self, rows):
        counters = {"number": self.layout.number, "category": self.layout.category,
                    "soft": self.layout.soft}  # fmt: skip
        parts = []
        for j, field in enumerate(rows.fields):
            parts += self._field(field, self.layout.column + j, counters, rows.n_rows)
        body = self._cut_prompt(_join(parts), reserve=1)
        answer = _Ragged.constant(rows.n_rows, [self.special["answer"]], [0])
        return _join([body, answer])

    def _field(self, field, column, counters, n_rows):
        """Token runs of one column; ``counters`` hands out the slots in order."""
        parts = []
        as_number = field.numbers is not None
        if (as_number and self.number_input != "value") or field.kind == "text":
            part = _encode_texts(self.tokenizer, field.text)
            part = replace(part, slots=np.full_like(part.ids, column))
            parts.append(self._cut_text(part, n_rows))
        if as_number and self.number_input != "text":
            parts.append(self._vectors("number", field.numbers.shape[1], counters, n_rows))
        if field.kind == "category":
            parts.append(self._vectors("category", 1, counters, n_rows))
        if field.kind == "text" and self.layout.n_slots > self.layout.soft:
            parts.append(self._vectors("soft", self.layout.n_soft, counters, n_rows))
        return parts

    def _vectors(self, kind, count, counters, n_rows):
        slots = np.arange(counters[kind], counters[kind] + count)
        counters[kind] += count
        return _Ragged.constant(n_rows, [self.special[kind]] * count, slots)


class TextPrompts(_Prompts):
    """Prompts of a model with a vocabulary of its own: the serialised text.

    Parameters
    ----------
    tokenizer : transformers fast tokenizer
    featurizer : llmreg.cells.CellFeaturizer
    number_input : {"text", "text+value", "value"}
        "value" writes one "0" for every number and adds the cell's vector to it; "text+value"
        adds the vector to the last token of the number as written. Dates are always written out;
        with either, their last token carries the vector of the timestamp.
    max_prompt_tokens, max_text_tokens, n_soft : int
    """

    def __init__(self, tokenizer, featurizer, *, number_input, **kwargs):
        super().__init__(tokenizer, featurizer, **kwargs)
        self.number_input = number_input

    def _n_columns(self, rows):
        return 0

    def _tokens(self, rows):
        pieces, spans = self._pieces(rows)
        texts = ["".join(parts) for parts in zip(*pieces, strict=True)]
        encoded = self.tokenizer(
            texts, add_special_tokens=True, split_special_tokens=True,
            return_offsets_mapping=True, return_attention_mask=False,
        )  # fmt: skip
        lengths = np.array([len(ids) for ids in encoded["input_ids"]], dtype=np.int64)
        ids = np.fromiter((i for row in encoded["input_ids"] for i in row), np.int32, lengths.sum())
        ends = np.fromiter(
            (end for row in encoded["offset_mapping"] for _, end in row), np.int64, lengths.sum()
        )
        slots = self._slots(ends, lengths, pieces, spans)
        body = self._drop_middle(_Ragged(ids, slots, lengths), rows)
        soft = self.layout.n_slots - self.layout.soft
        pad = self.tokenizer.pad_token_id or 0
        if not soft:
            # An empty cell under the template "{column}" still needs a token to answer from.
            blank = _Ragged.constant(rows.n_rows, [pad], [0])
            return _join([blank.keep((lengths == 0).astype(np.int64)), body])
        places = np.arange(self.layout.soft, self.layout.n_slots)
        return _join([_Ragged.constant(rows.n_rows, [pad] * soft, places), body])

    def _pieces(self, rows):
        """Columns of strings whose row-wise concatenation is the prompt, and for each slot the
        piece that carries it."""
        pieces, spans, slot = [], {}, self.layout.number
        for literal, field in zip(rows.literals, rows.fields, strict=False):
            pieces.append([literal] * rows.n_rows)
            as_number = field.numbers is not None
            if as_number and self.number_input != "text":
                spans[len(pieces)] = slot
                slot += field.numbers.shape[1]
            text = field.text
            if field.kind == "number" and self.number_input == "value":
                text = np.full(rows.n_rows, "0", dtype=object)
            if field.kind == "text":
                text = self._cut_cells(text, rows.n_rows)
            pieces.append(text.tolist())
        pieces.append([rows.literals[-1]] * rows.n_rows)
        return pieces, spans

    def _cut_cells(self, texts, n_rows):
        uniques, inverse = np.unique(texts.astype(str), return_inverse=True)
        encoded = self.tokenizer(
            uniques.tolist(), add_special_tokens=False, split_special_tokens=True,
            return_offsets_mapping=True,
        )  # fmt: skip
        budget = self.max_text_tokens
        cut = np.array([len(ids) > budget for ids in encoded["input_ids"]])
        short = [
            text[: offsets[budget - 1][1]] if long else text
            for text, offsets, long in zip(uniques, encoded["offset_mapping"], cut, strict=True)
        ]
        _warn_cut(
            int(cut[inverse].sum()), n_rows, "Text cells were", budget,
            "Raise max_text_tokens of the RowSerializer to read more.",
        )  # fmt: skip
        return np.array(short, dtype=object)[inverse]

    @staticmethod
    def _slots(ends, lengths, pieces, spans):
        """A number's vector goes to the last token that ends within its characters."""
        slots = np.zeros(len(ends), np.int32)
        row_end = lengths.cumsum()
        sizes = np.array([[len(text) for text in piece] for piece in pieces])  # (pieces, n)
        stop = sizes.cumsum(0)
        for piece, slot in spans.items():
            for i, (start, end) in enumerate(zip(row_end - lengths, row_end, strict=True)):
                at = start + np.searchsorted(ends[start:end], stop[piece, i], side="left")
                slots[min(at, end - 1)] = slot
        return slots

    def _drop_middle(self, part, rows):
        """Cut long prompts before the template's last text, which asks for the number."""
        if (part.lengths <= self.max_prompt_tokens).all():
            return part
        question = self.tokenizer(
            rows.literals[-1], add_special_tokens=False, split_special_tokens=True
        )["input_ids"]
        question = question[-self.max_prompt_tokens :]
        tail = _Ragged.constant(rows.n_rows, question, [0] * len(question))
        long = part.lengths > self.max_prompt_tokens
        head = self._cut_prompt(part, reserve=0).keep(
            np.where(long, self.max_prompt_tokens - len(question), part.lengths)
        )
        return _join([head, tail.keep(np.where(long, len(question), 0))])
