"""Prompts of text, for each way in which models write digits: what is written, what is cut, which
token carries a number's vector, and that no cell can write a special token."""

import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from tokenizer_zoo import CHAT_TEMPLATES, STYLES
from tokenizers import processors

from llmreg import RowSerializer
from llmreg.prompts.cells import CellFeaturizer
from llmreg.prompts.chat import special_ids
from llmreg.prompts.text_prompts import TextPrompts

FRAME = pd.DataFrame(
    {
        "a": [1.5, None, -20.25, 1000.0],
        "c": ["x", "y", None, "x"],
        "t": ["red old house", "", "été 🏠 12", "one more red old house"],
        "b": [7, 8, 9, 10],
    }
)
KINDS = {"c": "category", "t": "text"}


def _rows(frame=FRAME, **kwargs):
    return RowSerializer(column_kinds=KINDS, **kwargs).fit(frame).serialize(frame)


@pytest.fixture(scope="module", params=STYLES)
def style(request):
    return request.param


@pytest.fixture(scope="module")
def tokenizer(style, tokenizer_zoo):
    return tokenizer_zoo[style]


def _text_prompts(tokenizer, number_input="text", n_soft=0, chat_template=False, **kwargs):
    settings = dict(max_prompt_tokens=1000, max_text_tokens=1000) | kwargs
    featurizer = CellFeaturizer(
        numbers=number_input != "text", categories=False, texts=bool(n_soft), n_knots=3, n_edges=3,
        n_components=4, random_state=0,
    )  # fmt: skip
    return TextPrompts(
        tokenizer, featurizer, number_input=number_input, n_soft=n_soft,
        chat_template=chat_template, **settings,
    )  # fmt: skip


def _row(encoded, i):
    where = slice(encoded.starts[i], encoded.starts[i] + encoded.lengths[i])
    return encoded.ids[where].tolist(), encoded.slots[where].tolist()


# -- plain prompts ----------------------------------------------------------------------------


def _written(tokenizer, ids):
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


@pytest.mark.parametrize("template", [None, "{a}{t}{b}: ", "é🏠 {b} / {t} / {a} {c}"])
def test_text_prompts_are_the_serialised_text(template, tokenizer):
    rows = _rows(template=template)
    encoded = _text_prompts(tokenizer).fit_encode(rows)
    for i, text in enumerate(rows.to_text()):
        ids, slots = _row(encoded, i)
        assert ids == tokenizer(text)["input_ids"]
        assert not any(slots)


@pytest.mark.parametrize("number_input", ["text+value", "value"])
@pytest.mark.parametrize("template", [None, "é🏠 {b} / {t} / {a} {c} {b} costs", "{t} {b}"])
def test_a_numbers_vector_is_on_the_token_that_ends_it(number_input, template, tokenizer):
    rows = _rows(template=template)
    prompts = _text_prompts(tokenizer, number_input)
    encoded = prompts.fit_encode(rows)
    numbers = [field for field in rows.fields if field.numbers is not None]
    assert prompts.layout.category == 1 + len(numbers)
    for i in range(len(FRAME)):
        ids, slots = _row(encoded, i)
        carried = [slot for slot in slots if slot]
        assert carried == list(range(1, len(numbers) + 1))
        text = ""
        for field, literal in zip(rows.fields, rows.literals, strict=False):
            cell = field.text[i]
            if field.numbers is not None and number_input == "value":
                cell = "0"
            text += literal + cell
            if field.numbers is None:
                continue
            at = slots.index(1 + [f is field for f in numbers].index(True))
            before, through = (_written(tokenizer, ids[:stop]) for stop in (at, at + 1))
            # With this token the text reaches the number's end, and not before.
            assert len(before) < len(text) <= len(through)
            assert through.startswith(text)
        assert _written(tokenizer, ids) == text + rows.literals[-1]


@pytest.mark.parametrize("number_input", ["text", "text+value", "value"])
def test_dates_stay_written_out_however_numbers_are_read(number_input, tokenizer):
    frame = pd.DataFrame(
        {"n": [12.5, 3.25], "when": pd.to_datetime(["2024-01-30 10:20", "2024-03-01 07:00"]),
         "m": [77, 88]},
    )  # fmt: skip
    rows = RowSerializer("{n} on {when}, {m}:").fit(frame).serialize(frame)
    encoded = _text_prompts(tokenizer, number_input).fit_encode(rows)
    n_parts = len(rows.fields[1].number_names)
    assert n_parts > 1 and rows.fields[1].number_names[0] == "when__timestamp"
    for i, date in enumerate(["2024-01-30 10:20", "2024-03-01 07:00"]):
        ids, slots = _row(encoded, i)
        n, m = ("0", "0") if number_input == "value" else (["12.5", "3.25"][i], ["77", "88"][i])
        assert _written(tokenizer, ids) == f"{n} on {date}, {m}:"
        if number_input == "text":
            assert not any(slots)
            continue
        # The date's last token carries its first part, the timestamp; then comes "m".
        assert [slot for slot in slots if slot] == [1, 2, 2 + n_parts]
        through = _written(tokenizer, ids[: slots.index(2) + 1])
        assert through == f"{n} on {date}"


# -- special tokens ----------------------------------------------------------------------------


@pytest.mark.parametrize("number_input", ["text", "text+value", "value"])
@pytest.mark.parametrize("as_chat", [False, True])
@pytest.mark.parametrize("extra", ["", " 12 {0}{0}a"])
def test_the_text_of_a_special_token_stays_text(as_chat, extra, number_input, style, tokenizer_zoo):
    tokenizer = tokenizer_zoo[style]
    tokenizer.chat_template = CHAT_TEMPLATES[style]
    special = special_ids(tokenizer)
    assert special
    cells = [t + extra.format(t) for t in map(tokenizer.convert_ids_to_tokens, sorted(special))]
    assert tokenizer(cells[0], add_special_tokens=False)["input_ids"][0] in special  # by default
    frame = pd.DataFrame({"t": ["a red house", "", *cells], "n": 1.5})
    serializer = RowSerializer("{t} for {n}:", column_kinds={"t": "text"})
    rows = serializer.fit(frame).serialize(frame)
    for settings in (dict(), dict(max_text_tokens=4), dict(max_prompt_tokens=60)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that cells or prompts were cut
            encoded = _text_prompts(
                tokenizer, number_input, chat_template=as_chat, **settings
            ).fit_encode(rows)
        found = [[i for i in _row(encoded, row)[0] if i in special] for row in range(len(frame))]
        # What tokenizer and template themselves write is there once, and the same in every row.
        assert all(row == found[0] for row in found)
        if not as_chat:
            expected = [] if style in ("qwen", "gpt2") else [tokenizer.bos_token_id]
            assert found[0] == expected
        if not settings:
            number = "0" if number_input == "value" else "1.5"
            for row, cell in enumerate(frame["t"]):
                ids = [i for i in _row(encoded, row)[0] if i not in special]
                assert f"{cell} for {number}:".strip() in _written(tokenizer, ids)


def test_a_bos_takes_no_vector_from_a_number(tokenizer):
    frame = pd.DataFrame({"n": [7, 25.25]})
    rows = RowSerializer("{n}").fit(frame).serialize(frame)
    encoded = _text_prompts(tokenizer, "text+value").fit_encode(rows)
    for i in range(2):
        assert _row(encoded, i)[1] == [0] * (encoded.lengths[i] - 1) + [1]


def test_an_end_token_that_the_tokenizer_adds_does_not_end_the_prompt(tokenizer_zoo):
    tokenizer = tokenizer_zoo["llama2"]
    plain = _text_prompts(tokenizer).fit_encode(_rows())
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    assert tokenizer("a")["input_ids"][-1] == 2
    np.testing.assert_array_equal(_text_prompts(tokenizer).fit_encode(_rows()).ids, plain.ids)


def test_a_number_that_ends_in_many_bytes_has_its_vector_on_the_last_of_them(tokenizer):
    frame = pd.DataFrame({"n": [1.5, None], "m": [3, 4]})
    rows = RowSerializer("{n} {m}", missing="🏠").fit(frame).serialize(frame)
    encoded = _text_prompts(tokenizer, "text+value").fit_encode(rows)
    ids, slots = _row(encoded, 1)
    at = slots.index(1)
    before, through = _written(tokenizer, ids[:at]), _written(tokenizer, ids[: at + 1])
    assert "🏠" not in before and through.endswith("🏠")


def test_an_empty_number_in_an_empty_row_leaves_the_other_rows_alone(tokenizer):
    frame = pd.DataFrame({"n": [12.5, None, 7], "t": ["abc", "", "d"]})
    serializer = RowSerializer("{n}{t}", missing="", column_kinds={"t": "text"})
    rows = serializer.fit(frame).serialize(frame)
    assert rows.to_text()[1] == ""
    encoded = _text_prompts(tokenizer, "text+value").fit_encode(rows)
    for i in (0, 2):
        assert [slot for slot in _row(encoded, i)[1] if slot] == [1]
        assert _row(encoded, i)[1][-1] == 0
    assert encoded.lengths[1] == 1


def test_features_of_text_come_before_the_prompt(tokenizer):
    rows = _rows()
    plain = _text_prompts(tokenizer).fit_encode(rows)
    prompts = _text_prompts(tokenizer, n_soft=2)
    encoded = prompts.fit_encode(rows)
    layout = prompts.layout
    assert (layout.soft, layout.n_slots) == (1, 3)
    for i in range(len(FRAME)):
        ids, slots = _row(encoded, i)
        assert slots[:2] == [1, 2] and not any(slots[2:])
        assert ids[2:] == _row(plain, i)[0]


def test_text_cells_of_text_prompts_are_cut_to_their_budget(tokenizer):
    rows, limit = _rows(template="{t}|{b}", missing=""), 3
    prompts = _text_prompts(tokenizer, "text+value", max_text_tokens=limit)
    cells = tokenizer(list(FRAME["t"]), add_special_tokens=False)["input_ids"]
    n_long = sum(len(ids) > limit for ids in cells)
    message = f"Text cells were cut to 3 tokens in {n_long} of 4 rows"
    with pytest.warns(UserWarning, match=message):
        encoded = prompts.fit_encode(rows)
    for i, cell in enumerate(FRAME["t"]):
        ids, slots = _row(encoded, i)
        kept, number = _written(tokenizer, ids).split("|")
        assert cell.startswith(kept.rstrip("�")) and number == str(FRAME["b"][i])
        n_tokens = len(tokenizer(cell, add_special_tokens=False)["input_ids"])
        assert (kept == cell) == (n_tokens <= limit)
        assert [slot for slot in slots if slot] == [1]


@pytest.mark.parametrize("number_input", ["text", "text+value"])
@pytest.mark.parametrize("as_chat", [False, True])
def test_long_prompts_lose_their_middle_and_keep_the_rest(
    as_chat, number_input, style, tokenizer_zoo
):
    tokenizer = tokenizer_zoo[style]
    tokenizer.chat_template = CHAT_TEMPLATES[style]
    rows = _rows(template="{a} {t} {b}? The price is")
    whole = _text_prompts(tokenizer, number_input, chat_template=as_chat).fit_encode(rows)
    budget = int(whole.lengths.max()) - 3
    prompts = _text_prompts(
        tokenizer, number_input, chat_template=as_chat, max_prompt_tokens=budget
    )
    n_long = int((whole.lengths > budget).sum())
    with pytest.warns(UserWarning, match=f"cut to {budget} tokens in {n_long} of 4 rows"):
        encoded = prompts.fit_encode(rows)
    assert 0 < n_long < 4
    for i in range(len(FRAME)):
        (ids, slots), full = _row(encoded, i), _row(whole, i)
        if len(full[0]) <= budget:
            assert (ids, slots) == full
            continue
        lost = len(full[0]) - budget
        cut = next(k for k in range(budget + 1) if full[0][:k] + full[0][k + lost :] == ids)
        while _written(tokenizer, ids[cut:]).lstrip()[:1] != "?":
            cut += 1  # a token like the first one lost
        assert ids == full[0][:cut] + full[0][cut + lost :]
        assert slots == full[1][:cut] + full[1][cut + lost :]
        assert _written(tokenizer, ids[cut:]).lstrip().startswith("? The price is")


def test_a_question_longer_than_the_budget_is_all_that_is_left(tokenizer):
    rows = _rows(template="{t} and this question is much too long to be asked: 12345")
    prompts = _text_prompts(tokenizer, max_prompt_tokens=8)
    with pytest.warns(UserWarning, match="Prompts were cut to 8 tokens in 4 of 4 rows"):
        encoded = prompts.fit_encode(rows)
    assert (encoded.lengths == 8).all()
    assert _written(tokenizer, _row(encoded, 0)[0]).endswith(": 12345")


def test_an_empty_prompt_still_has_a_token(tokenizer):
    frame = pd.DataFrame({"t": ["", "red"]})
    rows = RowSerializer("{t}", missing="", column_kinds={"t": "text"}).fit(frame).serialize(frame)
    encoded = _text_prompts(tokenizer).fit_encode(rows)
    if tokenizer("")["input_ids"] == []:
        blank = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        assert _row(encoded, 0) == ([blank], [0])
    assert _row(encoded, 1)[0] == tokenizer("red")["input_ids"]
    assert (encoded.lengths > 0).all()


def test_without_any_special_token_prompts_are_the_same_but_for_them(tokenizer_zoo):
    from transformers import PreTrainedTokenizerFast

    tokenizer = tokenizer_zoo["gpt2"]
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    assert bare.eos_token_id is None and bare.pad_token_id is None
    frame = pd.DataFrame({"t": ["", "red 12"]})
    rows = RowSerializer("{t}", column_kinds={"t": "text"}).fit(frame).serialize(frame)
    encoded, usual = (_text_prompts(t, n_soft=2).fit_encode(rows) for t in (bare, tokenizer))
    assert _row(encoded, 1)[0][2:] == _row(usual, 1)[0][2:]
    np.testing.assert_array_equal(encoded.slots, usual.slots)
    assert encoded.lengths.min() > 0 and encoded.ids.min() >= 0


def test_equal_rows_have_equal_tokens_whatever_stands_beside_them(tokenizer):
    some, more = FRAME.iloc[[2, 2]], pd.concat([FRAME, FRAME.iloc[[2]]])
    serializer = RowSerializer(column_kinds=KINDS).fit(FRAME)
    prompts = _text_prompts(tokenizer, "text+value")
    whole = prompts.fit_encode(serializer.serialize(more))
    part = prompts.encode(serializer.serialize(some))
    assert _row(whole, 2) == _row(whole, 4) == _row(part, 0) == _row(part, 1)


def test_a_tokenizer_that_does_not_know_where_its_tokens_are_is_refused(tokenizer_zoo):
    class Slow:
        is_fast = False

    with pytest.raises(ValueError, match="tokenizer is a Slow, which does not say where"):
        _text_prompts(Slow())


# -- chats ------------------------------------------------------------------------------------


def _chat_text(tokenizer, content):
    return tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True,
        enable_thinking=False,
    )  # fmt: skip


@pytest.mark.parametrize("number_input", ["text", "text+value"])
def test_a_chat_prompt_is_the_templates_text_with_the_row_as_the_message(
    number_input, style, tokenizer_zoo
):
    tokenizer = tokenizer_zoo[style]
    tokenizer.chat_template = CHAT_TEMPLATES[style]
    rows = _rows()
    encoded = _text_prompts(tokenizer, number_input, chat_template=True).fit_encode(rows)
    for i, text in enumerate(rows.to_text()):
        ids, slots = _row(encoded, i)
        assert ids == tokenizer(_chat_text(tokenizer, text), add_special_tokens=False)["input_ids"]
        assert ids.count(tokenizer.bos_token_id) <= 1  # in GPT-2 it is the end of the message
        if number_input == "text":
            assert not any(slots)
            continue
        for slot, name in enumerate("ab", start=1):
            through = _written(tokenizer, ids[: slots.index(slot) + 1])
            assert through.endswith(f"{name}: {rows.fields[' actb'.index(name) - 1].text[i]}")


@pytest.mark.parametrize("style", ["llama3", "llama2"], indirect=True)
def test_a_template_that_trims_its_message_trims_the_row(style, tokenizer_zoo):
    tokenizer = tokenizer_zoo[style]
    frame = pd.DataFrame({"t": ["  red ", " ", "old\n"], "n": [1, 2, 3]})
    serializer = RowSerializer(" {t}{n} \n", column_kinds={"t": "text"})
    rows = serializer.fit(frame).serialize(frame)
    encoded = _text_prompts(tokenizer, "text+value", chat_template=True).fit_encode(rows)
    for i, text in enumerate(rows.to_text()):
        ids, slots = _row(encoded, i)
        assert ids == tokenizer(_chat_text(tokenizer, text), add_special_tokens=False)["input_ids"]
        assert _written(tokenizer, ids[: slots.index(1) + 1]).endswith(text.strip())


def test_without_a_template_or_unless_asked_for_there_is_no_chat(style, tokenizer_zoo):
    tokenizer, rows = tokenizer_zoo[style], _rows()
    tokenizer.chat_template = CHAT_TEMPLATES[style]
    plain = _text_prompts(tokenizer, chat_template=False).fit_encode(rows)
    assert _row(plain, 0)[0] == tokenizer(rows.to_text()[0])["input_ids"]
    tokenizer.chat_template = None
    without = _text_prompts(tokenizer, chat_template=True).fit_encode(rows)
    np.testing.assert_array_equal(without.ids, plain.ids)


def test_a_chat_template_as_long_as_the_budget_is_named(style, tokenizer_zoo):
    tokenizer = tokenizer_zoo[style]
    tokenizer.chat_template = CHAT_TEMPLATES[style]
    needed = len(tokenizer(_chat_text(tokenizer, ""), add_special_tokens=False)["input_ids"])
    message = rf"max_prompt_tokens={needed - 1} leaves no room.*chat_template=False"
    with pytest.raises(ValueError, match=message):
        _text_prompts(tokenizer, chat_template=True, max_prompt_tokens=needed - 1)
    _text_prompts(tokenizer, chat_template=False, max_prompt_tokens=needed - 1)


def test_however_long_the_question_the_chat_stays_whole(style, tokenizer_zoo):
    tokenizer = tokenizer_zoo[style]
    tokenizer.chat_template = CHAT_TEMPLATES[style]
    rows = _rows(template="{t} and this question is much too long to be asked: 12345")
    before, after = _chat_text(tokenizer, "ROW").split("ROW")
    before, after = (tokenizer(t, add_special_tokens=False)["input_ids"] for t in (before, after))
    budget = len(before) + len(after) + 4
    whole = _text_prompts(tokenizer, chat_template=True).fit_encode(rows)
    prompts = _text_prompts(tokenizer, chat_template=True, max_prompt_tokens=budget)
    with pytest.warns(UserWarning, match=f"Prompts were cut to {budget} tokens in 4 of 4 rows"):
        encoded = prompts.fit_encode(rows)
    assert (encoded.lengths == budget).all()
    for i in range(len(FRAME)):
        ids, full = _row(encoded, i)[0], _row(whole, i)[0]
        kept = len(before) - 2  # by itself, its end may be other tokens than before a row
        assert ids[:kept] == full[:kept]
        assert ids[kept + 4 :] == full[kept + 4 - budget :]


def test_prompts_come_out_of_a_pickle_as_they_were(tokenizer_zoo):
    rows = _rows()
    prompts = _text_prompts(tokenizer_zoo["qwen"], "text+value", chat_template=True)
    expected = prompts.fit_encode(rows)
    again = pickle.loads(pickle.dumps(prompts)).encode(rows)
    np.testing.assert_array_equal(again.ids, expected.ids)
    np.testing.assert_array_equal(again.slots, expected.slots)


# -- what was read, for people ----------------------------------------------------------------


@pytest.mark.parametrize("chat_template", [False, True])
@pytest.mark.parametrize("max_prompt_tokens", [1000, 60])
@pytest.mark.parametrize("template", [None, "é🏠 {b} / {t} / {a} {c}", "{t} {b}"])
def test_segments_are_the_prompt(template, max_prompt_tokens, chat_template, tokenizer):
    rows = _rows(template=template)
    prompts = _text_prompts(
        tokenizer, chat_template=chat_template, max_prompt_tokens=max_prompt_tokens
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # prompts that are cut
        encoded = prompts.fit_encode(rows)
        for i in range(rows.n_rows):
            segments = prompts.segments(rows.take([i]))
            assert sum(segment.n_written for segment in segments) == encoded.lengths[i]
            ids, _ = _row(encoded, i)
            text = "".join(segment.text for segment in segments)
            # Decoders put spaces beside special tokens; a cut may leave bytes of a character.
            found, expected = (
                re.sub(r"\s|🏠|\ufffd", "", part) for part in (text, tokenizer.decode(ids))
            )
            assert found == expected


@pytest.mark.parametrize("number_input", ["text", "text+value", "value"])
def test_segments_name_the_cells_and_their_vectors(number_input, tokenizer):
    rows = _rows()
    prompts = _text_prompts(tokenizer, number_input, n_soft=2)
    prompts.fit_encode(rows)
    cells = [s for s in prompts.segments(rows.take([0])) if s.column is not None]
    assert [(s.column, s.text) for s in cells] == [
        ("t", ""), ("a", "1.5"), ("c", "x"), ("t", "red old house"), ("b", "7")
    ]  # fmt: skip
    assert cells[0].vectors == ("t (features)",) * 2
    assert cells[1].vectors == (() if number_input == "text" else ("a",))
    assert (cells[1].n_written == 0) == (number_input == "value")
    assert cells[2].vectors == () and cells[2].n_written > 0


def test_without_tokens_a_texts_place_stays_empty(tokenizer):
    rows, prompts = _rows(), _text_prompts(tokenizer, n_soft=2, max_text_tokens=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prompts.fit_encode(rows)
        features, cell = [s for s in prompts.segments(rows.take([0])) if s.column == "t"]
    assert cell.text == features.text == "" and features.vectors == ("t (features)",) * 2


def test_segments_end_where_cells_are_cut(tokenizer):
    rows = _rows()
    prompts = _text_prompts(tokenizer, max_text_tokens=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prompts.fit_encode(rows)
        (cell,) = [s for s in prompts.segments(rows.take([0])) if s.column == "t"]
    assert "red old house".startswith(cell.text) and cell.text != "red old house"
