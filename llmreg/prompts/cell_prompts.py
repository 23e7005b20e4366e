"""Rows for fresh weights: cells alone, one token for each that is read as a vector.

Rows are tokenised once per fit, and equal cells once per table.
"""

from dataclasses import replace
from itertools import groupby

import numpy as np
from tokenizers.decoders import ByteLevel

from llmreg.prompts.cutting import beginnings, distinct
from llmreg.prompts.encoding import (
    Prompts,
    Ragged,
    join,
    warn_prompt_cut,
    warn_text_cut,
    within,
)
from llmreg.prompts.segments import Segment
from llmreg.prompts.tiny_tokenizer import CELL_TOKENS
from llmreg.prompts.token_texts import is_spelled
from llmreg.tables.plain_cells import legible

__all__ = ["CellPrompts"]


class CellPrompts(Prompts):
    """Prompts for fresh weights: the cells in order, then ``<answer>``.

    The template's fixed texts are the same in every row; a model without pretraining learns
    nothing from them, so they are left out. Cells that are read as vectors take one token each.

    Parameters
    ----------
    tokenizer : transformers tokenizer with ``CELL_TOKENS``
    featurizer : llmreg.prompts.cells.CellFeaturizer
    number_input : {"text", "text+value", "value"}
    vector_texts : tuple of str
        Columns of texts that are read as vectors alone.
    max_prompt_tokens, max_text_tokens, n_soft : int
    """

    def __init__(self, tokenizer, featurizer, *, number_input, vector_texts=(), **kwargs):
        super().__init__(tokenizer, featurizer, **kwargs)
        self.number_input, self.vector_texts = number_input, vector_texts
        self.special = {
            kind: tokenizer.convert_tokens_to_ids(token) for kind, token in CELL_TOKENS.items()
        }

    def segments(self, rows):
        """What is read of a row: a list of :class:`Segment` for serialised rows, which are one."""
        rows = self.extend(rows)
        tokens, carried = self._tokens(rows), self._carried(rows.fields)
        # Of each token: its field, what its vector is of, and its id.
        tokens = [(*carried[slot], i) for i, slot in zip(tokens.ids, tokens.slots, strict=True)]
        runs = [list(run) for _, run in groupby(tokens, key=lambda token: id(token[0]))]
        return [self._segment(run) for run in runs]

    def _carried(self, fields):
        """For each slot its field, and what the vector there is of ("": of the column alone)."""
        numbers = [f for f in fields if f.numbers is not None] * (self.layout.n_numbers > 0)
        texts = [f for f in fields if f.kind == "text"] * (self.layout.n_texts > 0)
        return [
            (None, ""),
            *((f, name) for f in numbers for name in f.number_names),
            *((f, f.name) for f in fields if f.kind == "category"),
            *((f, "") for f in fields),
            *((f, f"{f.name} (features)") for f in texts for _ in range(self.layout.n_soft)),
        ]

    def _segment(self, run):
        field = run[0][0]
        spelled = self.tokenizer.convert_ids_to_tokens([int(i) for _, name, i in run if not name])
        if field is None:
            return Segment("".join(spelled), n_written=len(spelled))
        vectors = tuple(name for _, name, _ in run if name)
        text = ByteLevel().decode(spelled) if field.kind == "text" or spelled else field.text[0]
        return Segment(text, field.name, field.kind, len(spelled), vectors)

    def _n_columns(self, rows):
        return len(rows.fields)

    def _tokens(self, rows):
        counters = {"number": self.layout.number, "category": self.layout.category,
                    "soft": self.layout.soft}  # fmt: skip
        parts = [Ragged.constant(rows.n_rows, [], [])]  # there may be nothing to read
        for j, field in enumerate(rows.fields):
            parts += self._field(field, self.layout.column + j, counters, rows.n_rows)
        body = self._cut_prompt(join(parts))
        answer = Ragged.constant(rows.n_rows, [self.special["answer"]], [0])
        return join([body, answer])

    def _cut_prompt(self, part):
        budget = self.max_prompt_tokens - 1  # the token to answer from always stays
        n_long = int((part.lengths > budget).sum())
        warn_prompt_cut(n_long, len(part.lengths), self.max_prompt_tokens)
        return part.keep(np.minimum(part.lengths, budget))

    def _cut_text(self, part, field, n_rows):
        budget, n_cut = self.max_text_tokens, int((part.lengths > self.max_text_tokens).sum())
        warn_text_cut(n_cut, n_rows, budget, field.name, self.layout.featured)
        return part.keep(np.minimum(part.lengths, budget))

    def _field(self, field, column, counters, n_rows):
        """Token runs of one column; ``counters`` hands out the slots in order."""
        parts = []
        as_number = field.numbers is not None
        if is_spelled(field, self.number_input, self.max_text_tokens, self.vector_texts):
            part = _encode_texts(self.tokenizer, field.text, self.max_text_tokens)
            part = replace(part, slots=np.full_like(part.ids, column))
            parts.append(self._cut_text(part, field, n_rows))
        if as_number and self.number_input != "text":
            parts.append(self._vectors("number", field.numbers.shape[1], counters, n_rows))
        if field.kind == "category":
            parts.append(self._vectors("category", 1, counters, n_rows))
        if field.kind == "text" and self.layout.featured:
            parts.append(self._vectors("soft", self.layout.n_soft, counters, n_rows))
        return parts

    def _vectors(self, kind, count, counters, n_rows):
        slots = np.arange(counters[kind], counters[kind] + count)
        counters[kind] += count
        return Ragged.constant(n_rows, [self.special[kind]] * count, slots)


def _encode_texts(tokenizer, texts, budget):
    """Ragged token ids of strings, each distinct string tokenised once; more than ``budget`` tokens
    of those that have more."""
    uniques, inverse = distinct(texts)
    uniques = list(map(legible, beginnings(tokenizer, uniques, budget)))
    # Split: "<pad>" in a cell is five characters, not the special token.
    encoded = tokenizer(uniques, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    lengths = np.array([len(ids) for ids in encoded], dtype=np.int64)
    flat = np.fromiter((i for ids in encoded for i in ids), np.int32, lengths.sum())
    starts = (lengths.cumsum() - lengths)[inverse]
    lengths = lengths[inverse]
    ids = flat[np.repeat(starts, lengths) + within(lengths)]
    return Ragged(ids, np.zeros_like(ids), lengths)
