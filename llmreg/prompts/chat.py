"""What stands around a row's text: the tokenizer's own special tokens, or a chat's one turn."""

import datetime
from dataclasses import dataclass, replace
from itertools import takewhile

from llmreg.tables.plain_cells import legible

__all__ = ["Frame", "chat_frame", "encode_plain", "plain_frame", "special_ids"]

# Templates that write today's date would give other prompts tomorrow: for them it is always this
# day, by a macro that takes the place of transformers' function.
DAY = datetime.datetime(2024, 7, 26)
FIXED_DAY = (
    "{%- macro strftime_now(format) -%}{{ format"
    + "".join(f" | replace('%{c}', '{DAY.strftime('%' + c)}')" for c in "aAbBdjmyYHIMSp")
    + " }}{%- endmacro %}{{ '' }}"  # the last keeps a line break that comes after it
)
# What templates may do to a message shows on this one: quotes, braces, tags, breaks, capitals.
PROBE = "size: 12.5, \"a\" & 'B' <c> {d}\n\nprice:"
# Put before a text, it keeps tokenizers that mark the start of their input from marking the text.
ANCHOR = "\x01"


@dataclass(frozen=True)
class Frame:
    """The constant parts of a prompt, from left to right: head, before, the row, after, tail.

    The row is tokenised together with the plain texts beside it, as those may share tokens with
    it; what lies beyond special tokens is tokens already.
    """

    head: tuple[int, ...] = ()
    before: str = ""
    after: str = ""
    tail: tuple[int, ...] = ()
    anchor: str = ""
    trims: bool = False  # white space around the row goes

    @property
    def n_fixed(self):
        """int: tokens of head and tail."""
        return len(self.head) + len(self.tail)

    def tokens(self, tokenizer, text):
        """Ids of the whole prompt of one text."""
        _, ids, _ = encode_plain(tokenizer, [self.before + text + self.after], self.anchor)
        return [*self.head, *ids[0], *self.tail]


def special_ids(tokenizer):
    """set of int: tokens with a meaning of their own, named by the tokenizer or not."""
    added = tokenizer.added_tokens_decoder.items()
    return {i for i, token in added if token.special} | set(tokenizer.all_special_ids)


def encode_plain(tokenizer, texts, anchor=""):
    """Tokens of texts in which nothing is special: "</s>" is four characters.

    Returns
    -------
    lengths : list of int
    ids, offsets : list of list
        Offsets are those of each token in its text, (start, end).
    """
    encoded = tokenizer(
        [anchor + legible(text) for text in texts], add_special_tokens=False,
        split_special_tokens=True, return_offsets_mapping=True, return_attention_mask=False,
        verbose=False,
    )  # fmt: skip
    ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
    if anchor:
        size = len(anchor)
        ids = [
            [i for i, (start, _) in zip(row, at, strict=True) if start >= size]
            for row, at in zip(ids, offsets, strict=True)
        ]
        offsets = [[(a - size, b - size) for a, b in at if a >= size] for at in offsets]
    return [len(row) for row in ids], ids, offsets


def plain_frame(tokenizer, prefill=""):
    """Nothing but the special tokens that the tokenizer puts in front of a text, if any, and what
    stands between the row and its number.

    Those that it puts behind, such as an end token, are left out: a number is to follow.
    """
    encoded = tokenizer("a", return_special_tokens_mask=True)
    marked = zip(encoded["input_ids"], encoded["special_tokens_mask"], strict=True)
    return Frame(head=tuple(i for i, _ in takewhile(lambda pair: pair[1], marked)), after=prefill)


def chat_frame(tokenizer, prefill=""):
    """A chat in which the row is the user's only message, up to where the model answers.

    Parameters
    ----------
    tokenizer : transformers fast tokenizer with a chat template
    prefill : str, default=""
        What the answer begins with before its number.

    Returns
    -------
    Frame
        Its tokens are those of the template's text, tokenised as a whole.

    Raises
    ------
    ValueError
        If the template fails, or does more to the message than trim it.
    """
    before, after, trims = _sides(tokenizer)
    after += prefill
    whole = before + PROBE + after
    encoded = tokenizer(
        whole, add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )  # fmt: skip
    ids, row, end = encoded["input_ids"], len(before), len(before) + len(PROBE)
    (head, start), (tail, stop) = _plain_part(tokenizer, encoded, row, end)
    frame = Frame(tuple(ids[:head]), whole[start:row], whole[end:stop], tuple(ids[tail:]))
    frame = replace(frame, trims=trims)
    frames = [frame, replace(frame, anchor=ANCHOR)]
    # If neither hits it, they differ in white space that the tokenizer puts in by itself.
    return next((f for f in frames if f.tokens(tokenizer, PROBE) == ids), frame)


def _plain_part(tokenizer, encoded, row, end):
    """Where the plain text around the row begins and ends, as (token, character) each: after the
    last special token before the row, and at the first one after it."""
    special, ids = special_ids(tokenizer), encoded["input_ids"]
    marks = [
        (at, *span)
        for at, (token, span) in enumerate(zip(ids, encoded["offset_mapping"], strict=True))
        if token in special
    ]
    left = [(at + 1, right) for at, _, right in marks if right <= row]
    right = [(at, left) for at, left, _ in marks if left >= end]
    return (left or [(0, 0)])[-1], (right or [(len(ids), None)])[0]


def _sides(tokenizer):
    """The template's text before and after the message, and whether it trims the message."""
    rendered = _render(tokenizer, PROBE)
    if rendered.count(PROBE) != 1:
        raise ValueError(
            f"The chat template of {_name(tokenizer)} writes a user's message "
            f"{rendered.count(PROBE)} times as it is (of {PROBE!r} it makes {rendered!r}), so that "
            "rows cannot be put in. Set PretrainedModel(chat_template=False) to read rows as plain "
            "text."
        )
    before, after = rendered.split(PROBE)
    padded = _render(tokenizer, f"\n {PROBE} \n")
    return before, after, padded == rendered


def _render(tokenizer, content):
    try:
        template = tokenizer.get_chat_template()
        if "strftime_now" in template:
            template = FIXED_DAY + template
        return tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True,
            enable_thinking=False, chat_template=template,
        )  # fmt: skip
    except Exception as error:  # a template is a program, which may raise anything
        raise ValueError(
            f"The chat template of {_name(tokenizer)} failed on a single message of the user: "
            f"{error}. Set PretrainedModel(chat_template=False) to read rows as plain text."
        ) from error


def _name(tokenizer):
    return repr(getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__)
