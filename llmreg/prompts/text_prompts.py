"""Prompts of models with a vocabulary of their own: the serialised text, plain or as a chat."""

from dataclasses import replace
from itertools import chain

import numpy as np

from llmreg.prompts.chat import chat_frame, encode_plain, plain_frame
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

__all__ = ["TextPrompts"]


class TextPrompts(Prompts):
    """Prompts of a model with a vocabulary of its own: the serialised text.

    The text of a special token in a cell, such as "</s>", stays text.

    Parameters
    ----------
    tokenizer : transformers fast tokenizer
    featurizer : llmreg.prompts.cells.CellFeaturizer
    number_input : {"text", "text+value", "value"}
        "value" writes one "0" for every number and adds the cell's vector to it; "text+value"
        adds the vector to the last token of the number as written. Dates are always written out;
        with either, their last token carries the vector of the timestamp.
    chat_template : bool
        Whether a row is the user's message of a chat in which the model answers with the number,
        if the tokenizer has a chat template. Without one, and with False, the prompt is the
        row's text after the special tokens that the tokenizer puts in front of every text.
    instruction : str, default=""
        What stands in front of every row: what the model is asked to do.
    max_prompt_tokens, max_text_tokens, n_soft : int
        What is cut from longer prompts comes from the row, from before its last fixed text; the
        instruction and the chat template's own tokens count, but always stay.

    Attributes
    ----------
    prefill : str
        What stands between the row, or the header of the model's answer, and the number.

    Raises
    ------
    ValueError
        If the tokenizer does not say where its tokens are in a text (only fast ones do), if rows
        cannot be put into the chat template, or if that alone is ``max_prompt_tokens`` long.
    """

    def __init__(
        self, tokenizer, featurizer, *, number_input, chat_template, instruction="", **kwargs
    ):
        super().__init__(tokenizer, featurizer, **kwargs)
        if not getattr(tokenizer, "is_fast", False):
            raise ValueError(
                f"The tokenizer is a {type(tokenizer).__name__}, which does not say where in a "
                "text its tokens are. Use a fast tokenizer (a PreTrainedTokenizerFast, with a "
                "tokenizer.json in its folder)."
            )
        self.number_input = number_input
        self.as_chat = chat_template and tokenizer.chat_template is not None
        self.instruction, self.examples = instruction, ()
        self.answer_after("")

    def answer_after(self, prefill):
        """Let the number follow this text from now on.

        Parameters
        ----------
        prefill : str
            Behind the row; in a chat, behind the header of the model's answer.
        """
        self.prefill = prefill
        frame = (chat_frame if self.as_chat else plain_frame)(self.tokenizer, prefill)
        # In a chat the solved rows are part of the message, and their numbers follow a space.
        between = " " if self.as_chat else prefill
        solved = "".join(f"{text}{between}{answer}\n\n" for text, answer in self.examples)
        self.frame = replace(frame, before=frame.before + self.instruction + solved)
        needed = len(self.frame.tokens(self.tokenizer, ""))
        if needed >= self.max_prompt_tokens:
            raise ValueError(self._no_room(needed))

    def _no_room(self, needed):
        if self.examples:
            what = f"num_examples={len(self.examples)} and what else stands around them take"
            remedy = ", or show fewer."
        else:
            what = "what stands around them takes"
            remedy = ", or set PretrainedModel(chat_template=False)." if self.as_chat else "."
            remedy = ", shorten PretrainedModel(instruction=...)" * bool(self.instruction) + remedy
        return (
            f"max_prompt_tokens={self.max_prompt_tokens} leaves no room for rows: {what} {needed} "
            f"tokens by themselves. Raise RowSerializer(max_prompt_tokens=...){remedy}"
        )

    def show(self, rows, answers):
        """Put solved rows in front of the text of every prompt from now on.

        Parameters
        ----------
        rows : llmreg.tables.rows.SerializedRows
        answers : list of str
            The rows' numbers as the model would write them.

        Raises
        ------
        ValueError
            If they leave no room for a row within ``max_prompt_tokens``.
        """
        pieces, _ = self._pieces(rows)
        texts = map("".join, zip(*pieces[1:-1], strict=True))
        self.examples = tuple(zip(texts, answers, strict=True))
        self.answer_after(self.prefill)

    def segments(self, rows):
        """What is read of a row: a list of :class:`Segment` for serialised rows, which are one."""
        rows = self.extend(rows)
        pieces, spans = self._pieces(rows)
        read = self._pieces_read([piece for (piece,) in pieces])
        features = [f for f in rows.fields if f.kind == "text"] * (self.layout.n_texts > 0)
        names = ((f, (f"{f.name} (features)",) * self.layout.n_soft) for f in features)
        found = [Segment("", f.name, f.kind, 0, vectors) for f, vectors in names]
        found.append(self._constant(self.frame.head))
        for place, (text, count) in enumerate(read):
            if place < 2 or place % 2 or place == len(read) - 1:  # as _pieces orders them
                found.append(Segment(text, n_written=count))
                continue
            field = rows.fields[place // 2 - 1]
            vectors = field.number_names[:1] * (place in spans)
            if field.kind == "number" and self.number_input == "value":
                text, count = field.text[0], 0
            found.append(Segment(text, field.name, field.kind, count, vectors))
        found.append(self._constant(self.frame.tail))
        return [segment for segment in found if segment.text or segment.column]

    def _constant(self, ids):
        return Segment(self.tokenizer.decode(ids), n_written=len(ids))

    def _pieces_read(self, pieces):
        """Of each piece of a row's text, what is read of it, and in how many tokens."""
        lengths, ids, starts = self._encode_texts(["".join(pieces)])
        ends = np.cumsum([len(piece) for piece in pieces])
        numbered = Ragged(ids, np.arange(len(ids)), lengths)
        kept = self._drop_middle(numbered, starts, question=ends[-2:-1] - len(pieces[-2])).slots
        # A token reaches to the next one, and counts where it ends.
        begins, stops = starts[kept], np.append(starts[1:], ends[-1])[kept]
        home = np.searchsorted(ends, np.maximum(stops, begins + 1), side="left")
        whole = np.zeros(ends[-1], bool)
        for begin, stop in zip(begins, stops, strict=True):
            whole[begin:stop] = True
        places = zip(np.split(whole, ends[:-1]), pieces, strict=True)
        texts = ["".join(np.array(list(piece))[part]) for part, piece in places]
        return list(zip(texts, np.bincount(home, minlength=len(pieces)).tolist(), strict=True))

    def _n_columns(self, rows):
        return 0

    def _tokens(self, rows):
        pieces, spans = self._pieces(rows)
        lengths, ids, starts = self._encode_texts(list(map("".join, zip(*pieces, strict=True))))
        sizes = np.array([[len(text) for text in piece] for piece in pieces])  # (pieces, n)
        ends = sizes.cumsum(0)
        slots = _slots(starts, lengths, {slot: ends[piece] for piece, slot in spans.items()})
        body = Ragged(ids, slots, lengths)
        body = self._drop_middle(body, starts, question=ends[-2] - sizes[-2])

        def constant(ids, slots=0):
            slots = np.broadcast_to(slots, len(ids))
            return Ragged.constant(rows.n_rows, np.array(ids, np.int32), slots)

        places = np.arange(self.layout.soft, self.layout.n_slots)
        soft = constant([_blank(self.tokenizer)] * len(places), places)
        return join([soft, constant(self.frame.head), body, constant(self.frame.tail)])

    def _pieces(self, rows):
        """Columns of strings whose row-wise concatenation is what is tokenised (the first and the
        last belong to the frame, the one before the last asks for the number), and for each
        piece that carries a slot, the slot."""
        pieces, spans, slot = [], {}, self.layout.number
        for literal, field in zip(rows.literals, rows.fields, strict=False):
            pieces.append([literal] * rows.n_rows)
            if field.numbers is not None and self.number_input != "text":
                spans[len(pieces) + 1] = slot  # one further on, after what stands before the row
                slot += field.numbers.shape[1]
            pieces.append(self._written(field, rows.n_rows))
        pieces.append([rows.literals[-1]] * rows.n_rows)
        if self.frame.trims:
            pieces = _trimmed(pieces)
        around = ([text] * rows.n_rows for text in (self.frame.before, self.frame.after))
        before, after = around
        return [before, *pieces, after], spans

    def _written(self, field, n_rows):
        if field.kind == "number" and self.number_input == "value":
            return ["0"] * n_rows
        if field.kind == "text":
            return self._cut_cells(field)
        uniques, inverse = distinct(field.text)
        # Of a prompt that such a cell makes too long, nothing that is read goes.
        short = beginnings(self.tokenizer, uniques, self.max_prompt_tokens)
        return [short[i] for i in inverse]

    def _cut_cells(self, field):
        texts, budget = field.text, self.max_text_tokens
        if not budget:
            return [""] * len(texts)
        uniques, inverse = distinct(texts)
        uniques = beginnings(self.tokenizer, uniques, budget)
        lengths, _, offsets = encode_plain(self.tokenizer, uniques)
        short = [
            text[: at[budget - 1][1]] if length > budget else text
            for text, at, length in zip(uniques, offsets, lengths, strict=True)
        ]
        n_cut = int((np.array(lengths) > budget)[inverse].sum())
        warn_text_cut(n_cut, len(texts), budget, field.name, self.layout.featured)
        return [short[i] for i in inverse]

    def _encode_texts(self, texts):
        """Lengths of rows, and ids and starts of their tokens, end to end."""
        lengths, ids, offsets = encode_plain(self.tokenizer, texts, self.frame.anchor)
        for row, length in enumerate(lengths):
            if not length and not self.frame.n_fixed:  # there must be something to answer from
                lengths[row], ids[row], offsets[row] = 1, [_blank(self.tokenizer)], [(0, 0)]
        lengths = np.array(lengths, dtype=np.int64)
        total = lengths.sum()
        starts = (start for row in offsets for start, _ in row)
        return (
            lengths,
            np.fromiter(chain.from_iterable(ids), np.int32, total),
            np.fromiter(starts, np.int64, total),
        )

    def _drop_middle(self, body, starts, question):
        """Cut long prompts before the template's last text, which asks for the number.

        ``question`` says where in each row's text that begins.
        """
        room = self.max_prompt_tokens - self.frame.n_fixed
        long = body.lengths > room
        if not long.any():
            return body
        warn_prompt_cut(int(long.sum()), len(long), self.max_prompt_tokens)
        row = np.repeat(np.arange(len(long)), body.lengths)

        def count(which):
            return np.bincount(row[which], minlength=len(long))

        # The question may be longer than the room; the frame's own texts never are.
        n_last = np.minimum(
            count(starts >= question[row]), room - count(starts < len(self.frame.before))
        )
        at = within(body.lengths)
        kept = ~long[row] | (at < room - n_last[row]) | (at >= (body.lengths - n_last)[row])
        return Ragged(body.ids[kept], body.slots[kept], np.minimum(body.lengths, room))


def _blank(tokenizer):
    """A token for places that are read as vectors, or that have no text at all."""
    ids = (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id)
    return next((i for i in ids if i is not None), 0)


def _trimmed(pieces):
    """Without the white space at both ends of each row, which a chat template would drop."""
    rows = [list(parts) for parts in zip(*pieces, strict=True)]
    for parts in rows:
        for order, strip in ((1, str.lstrip), (-1, str.rstrip)):
            for i in range(len(parts))[::order]:
                parts[i] = strip(parts[i])
                if parts[i]:
                    break
    return [list(column) for column in zip(*rows, strict=True)]


def _slots(starts, lengths, ends):
    """A number's vector goes to the token of its last character: the last one that starts before
    its end. ``ends`` gives the numbers' ends in each row's text, by slot."""
    slots = np.zeros(len(starts), np.int32)
    if not len(starts):
        return slots
    row = np.arange(len(lengths))
    last = lengths.cumsum() - 1
    # All rows at once: one ascending axis on which they follow each other.
    width = max(starts.max(), *(end.max() for end in ends.values()), 0) + 2
    axis = np.maximum.accumulate(np.repeat(row * width, lengths) + starts)
    for slot, end in ends.items():
        at = np.searchsorted(axis, row * width + end, side="left") - 1
        at = np.clip(at, last - lengths + 1, last)
        slots[at[lengths > 0]] = slot
    return slots
