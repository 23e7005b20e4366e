"""Prompts of cells token by token: what is written, what is cut, which cell a token carries."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from llmreg import RowSerializer
from llmreg.prompts.cell_prompts import CellPrompts, _encode_texts
from llmreg.prompts.cells import CellFeaturizer
from llmreg.prompts.encoding import Ragged, join, within
from llmreg.prompts.tiny_tokenizer import CELL_TOKENS, train_tokenizer

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


def _featurizer(numbers=True, categories=True, texts=True):
    return CellFeaturizer(
        numbers=numbers, categories=categories, texts=texts, n_knots=3, n_edges=3,
        n_components=4, random_state=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["red old house", "one more red old house", "12 34"] * 3)


def _cell_prompts(tokenizer, number_input="value", n_soft=2, **kwargs):
    settings = dict(max_prompt_tokens=1000, max_text_tokens=1000) | kwargs
    return CellPrompts(
        tokenizer, _featurizer(numbers=number_input != "text"), number_input=number_input,
        n_soft=n_soft, **settings,
    )  # fmt: skip


def _row(encoded, i):
    where = slice(encoded.starts[i], encoded.starts[i] + encoded.lengths[i])
    return encoded.ids[where].tolist(), encoded.slots[where].tolist()


# -- ragged sequences -------------------------------------------------------------------------


def _random_ragged(rng, n_rows):
    lengths = rng.randint(0, 4, n_rows)
    ids, slots = rng.randint(100, size=(2, lengths.sum()))
    return Ragged(ids, slots, lengths)


def _as_lists(part):
    ends = part.lengths.cumsum()
    return [
        list(zip(part.ids[end - n : end], part.slots[end - n : end], strict=True))
        for end, n in zip(ends, part.lengths, strict=True)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_joining_is_row_wise_concatenation(seed):
    rng = np.random.RandomState(seed)
    parts = [_random_ragged(rng, 6) for _ in range(4)]
    expected = [list(itertools.chain(*rows)) for rows in zip(*map(_as_lists, parts), strict=True)]
    assert _as_lists(join(parts)) == expected


@pytest.mark.parametrize("seed", range(5))
def test_keeping_takes_the_first_tokens_of_each_row(seed):
    rng = np.random.RandomState(seed)
    part, budget = _random_ragged(rng, 6), rng.randint(0, 5, 6)
    expected = [row[:n] for row, n in zip(_as_lists(part), budget, strict=True)]
    assert _as_lists(part.keep(budget)) == expected


@pytest.mark.parametrize("lengths", [[], [0], [0, 0], [3], [2, 0, 1, 0], [0, 4, 1]])
def test_within_counts_anew_in_every_row(lengths):
    expected = [i for length in lengths for i in range(length)]
    assert within(np.array(lengths, dtype=np.int64)).tolist() == expected


def test_constant_repeats_the_same_tokens():
    assert _as_lists(Ragged.constant(2, [5, 6], [0, 1])) == [[(5, 0), (6, 1)]] * 2


def test_texts_are_encoded_as_if_one_by_one_and_equal_ones_once(tokenizer):
    texts = np.array(["red", "", "old house 12", "red", "red"], dtype=object)
    calls = []

    def counting(batch, **kwargs):
        calls.append(batch)
        return tokenizer(batch, **kwargs)

    part = _encode_texts(counting, texts, 64)
    expected = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert [[id_ for id_, _ in row] for row in _as_lists(part)] == expected
    assert calls == [["red", "", "old house 12"]]
    assert not part.slots.any()


# -- the fresh model's tokenizer -----------------------------------------------------------


def test_digits_are_single_tokens(tokenizer):
    written = tokenizer.convert_ids_to_tokens(tokenizer("2001.75", add_special_tokens=False)[
        "input_ids"
    ])  # fmt: skip
    assert written == list("2001.75")
    assert not [token for token in tokenizer.get_vocab() if len(token) > 1 and "1" in token]


def test_every_text_can_be_written_without_unknown_tokens():
    for trained_on in ([], ["red old house"]):
        tokenizer = train_tokenizer(trained_on)
        texts = [chr(code) for code in [*range(256), 0x3B1, 0x5D0, 0x1F3E0, 0x10FFFF]]
        encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
        assert all(ids and tokenizer.unk_token_id not in ids for ids in encoded)
        assert len(set(map(tuple, encoded))) == len(texts)


def test_words_of_training_are_few_tokens(tokenizer):
    assert len(tokenizer("red old house", add_special_tokens=False)["input_ids"]) <= 4
    assert len(tokenizer("dre dol eoush", add_special_tokens=False)["input_ids"]) > 6


@pytest.mark.parametrize("text", ["<pad>", "<unk>", *CELL_TOKENS.values(), "a<num>b <answer>"])
def test_the_text_of_a_special_token_stays_text(tokenizer, text):
    special = set(tokenizer.convert_tokens_to_ids(["<pad>", "<unk>", *CELL_TOKENS.values()]))
    assert len(special) == 6
    part = _encode_texts(tokenizer, np.array([text], dtype=object), 64)
    assert not special & set(part.ids.tolist())
    assert "".join(tokenizer.convert_ids_to_tokens(part.ids)).replace("Ġ", " ") == text


# -- prompts of cells -------------------------------------------------------------------------


@pytest.mark.parametrize("number_input", ["value", "text", "text+value"])
def test_cell_prompts_hold_the_cells_in_order(number_input, tokenizer):
    rows = _rows()
    prompts = _cell_prompts(tokenizer, number_input)
    encoded = prompts.fit_encode(rows)
    layout, special = prompts.layout, prompts.special
    n_numbers = 0 if number_input == "text" else 2
    first = [1, 1 + n_numbers, 2 + n_numbers, 6 + n_numbers, 8 + n_numbers]
    assert [
        layout.number, layout.category, layout.column, layout.soft, layout.n_slots,
    ] == first  # fmt: skip
    for i in range(len(FRAME)):
        expected, number = [], 0
        for j, field in enumerate(rows.fields):
            as_text = field.kind == "text" or (field.kind == "number" and number_input != "value")
            if as_text:
                ids = tokenizer(field.text[i], add_special_tokens=False)["input_ids"]
                expected += [(id_, layout.column + j) for id_ in ids]
            if field.kind == "number" and number_input != "text":
                expected.append((special["number"], layout.number + number))
                number += 1
            if field.kind == "category":
                expected.append((special["category"], layout.category))
            if field.kind == "text":
                expected += [(special["soft"], layout.soft + k) for k in range(2)]
        expected.append((special["answer"], 0))
        assert list(zip(*_row(encoded, i), strict=True)) == expected
    again = prompts.encode(rows)
    np.testing.assert_array_equal(again.ids, encoded.ids)
    np.testing.assert_array_equal(again.slots, encoded.slots)
    np.testing.assert_array_equal(again.cells.texts, encoded.cells.texts)


def test_a_datetime_takes_one_token_per_part(tokenizer):
    frame = pd.DataFrame({"when": pd.date_range("2024-01-30", periods=4, freq="40h")})
    rows = RowSerializer().fit(frame).serialize(frame)
    prompts = _cell_prompts(tokenizer)
    encoded = prompts.fit_encode(rows)
    n_parts = len(rows.fields[0].number_names)
    assert n_parts == 5
    ids, slots = _row(encoded, 0)
    assert ids == [prompts.special["number"]] * n_parts + [prompts.special["answer"]]
    assert slots == [*range(1, n_parts + 1), 0]


def test_text_features_that_do_not_exist_take_no_tokens(tokenizer):
    frame = pd.DataFrame({"t": ["", "", ""]})
    rows = RowSerializer(missing="", column_kinds={"t": "text"}).fit(frame).serialize(frame)
    prompts = _cell_prompts(tokenizer)
    encoded = prompts.fit_encode(rows)
    assert prompts.layout.n_slots == prompts.layout.soft
    assert _row(encoded, 0) == ([prompts.special["answer"]], [0])


def test_long_text_cells_are_cut_to_their_budget_with_a_warning(tokenizer):
    rows, limit = _rows(missing=""), 3
    whole = _cell_prompts(tokenizer, n_soft=0).fit_encode(rows)
    prompts = _cell_prompts(tokenizer, n_soft=0, max_text_tokens=limit)
    message = r"cut to 3 tokens in 2 of 4 rows \(column 't'\).* is not read. Raise max_text_tokens"
    with pytest.warns(UserWarning, match=message):
        encoded = prompts.fit_encode(rows)
    column = prompts.layout.column + 2
    for i in range(len(FRAME)):
        expected = [pair for pair in zip(*_row(whole, i), strict=True)]
        text = [pair for pair in expected if pair[1] == column]
        keep = [pair for pair in expected if pair not in text[limit:] or pair in text[:limit]]
        assert len([pair for pair in zip(*_row(encoded, i), strict=True) if pair[1] == column]) == (
            min(limit, len(text))
        )
        assert _row(encoded, i)[0][-2:] == _row(whole, i)[0][-2:]  # what follows is kept
        assert len(_row(encoded, i)[0]) == len(expected) - max(0, len(text) - limit)
        assert keep[: 2 + limit] == list(zip(*_row(encoded, i), strict=True))[: 2 + limit]


def test_the_warning_tells_what_features_read_to_the_end(tokenizer):
    prompts = _cell_prompts(tokenizer, max_text_tokens=3)
    with pytest.warns(UserWarning, match="beyond is read through text_features alone. Raise"):
        prompts.fit_encode(_rows(missing=""))


def test_without_tokens_texts_are_read_through_their_features_alone(tokenizer):
    rows = _rows()
    whole, prompts = (_cell_prompts(tokenizer, max_text_tokens=n) for n in (1000, 0))
    expected = whole.fit_encode(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoded = prompts.fit_encode(rows)
    column = prompts.layout.column + 2
    for i in range(len(FRAME)):
        pairs = list(zip(*_row(expected, i), strict=True))
        assert list(zip(*_row(encoded, i), strict=True)) == [p for p in pairs if p[1] != column]
    np.testing.assert_array_equal(encoded.cells.texts, expected.cells.texts)


def test_texts_named_to_be_vectors_have_no_tokens(tokenizer):
    rows = _rows()
    (name,) = (field.name for field in rows.fields if field.kind == "text")
    none, named, other = (
        _cell_prompts(tokenizer, **settings).fit_encode(rows).ids.tolist()
        for settings in (dict(max_text_tokens=0), dict(vector_texts=(name,)),
                         dict(vector_texts=("another",)))
    )  # fmt: skip
    assert none == named and len(other) > len(named)


def test_long_prompts_are_cut_before_the_answer_with_a_warning(tokenizer):
    rows = _rows()
    prompts = _cell_prompts(tokenizer, "text+value", max_prompt_tokens=10)
    whole = _cell_prompts(tokenizer, "text+value").fit_encode(rows)
    with pytest.warns(UserWarning, match="Prompts were cut to 10 tokens in 4 of 4 rows.*its max"):
        encoded = prompts.fit_encode(rows)
    assert (encoded.lengths == 10).all()
    for i in range(4):
        ids, slots = _row(encoded, i)
        full_ids, full_slots = _row(whole, i)
        assert ids == [*full_ids[:9], prompts.special["answer"]]
        assert slots == [*full_slots[:9], 0]


def test_prompts_within_their_budgets_do_not_warn(tokenizer):
    rows = _rows()
    longest = _cell_prompts(tokenizer).fit_encode(rows).lengths.max()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _cell_prompts(tokenizer, max_prompt_tokens=int(longest)).fit_encode(rows)


# -- batches ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoded(tokenizer):
    return _cell_prompts(tokenizer, "text+value").fit_encode(_rows())


@pytest.mark.parametrize("rows", [[0], [1], [3, 1, 0], [2, 2], [0, 1, 2, 3]])
def test_batches_are_padded_on_the_left(rows, encoded):
    batch = encoded.batch(np.array(rows), "cpu", torch.float64)
    width = encoded.lengths[rows].max()
    assert len(batch) == len(rows) and batch.ids.shape == (len(rows), width)
    for place, row in enumerate(rows):
        ids, slots = _row(encoded, row)
        padding = width - len(ids)
        assert batch.mask[place].tolist() == [False] * padding + [True] * len(ids)
        assert batch.ids[place, padding:].tolist() == ids
        assert batch.slots[place, padding:].tolist() == slots
        assert not batch.slots[place, :padding].any() and not batch.ids[place, :padding].any()
    np.testing.assert_array_equal(batch.numbers.numpy(), encoded.cells.numbers[rows])
    np.testing.assert_array_equal(batch.categories.numpy(), encoded.cells.categories[rows])
    np.testing.assert_array_equal(batch.texts.numpy(), encoded.cells.texts[rows])
    assert batch.numbers.dtype == batch.texts.dtype == torch.float64
    assert batch.ids.dtype == batch.slots.dtype == batch.categories.dtype == torch.long


def test_taking_rows_and_batching_them_is_batching_those_rows(encoded):
    rows = np.array([3, 0, 2])
    taken = encoded.take(rows)
    assert len(taken) == 3 and taken.ids is encoded.ids
    some = np.array([2, 1])
    one = taken.batch(some, "cpu", torch.float32)
    other = encoded.batch(rows[some], "cpu", torch.float32)
    for name in ("ids", "slots", "mask", "categories"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    for name in ("numbers", "texts"):
        np.testing.assert_array_equal(getattr(one, name).numpy(), getattr(other, name).numpy())


# -- what was read, for people ----------------------------------------------------------------


def test_segments_name_the_cells_in_order_and_how_they_are_read(tokenizer):
    rows = _rows()
    prompts = _cell_prompts(tokenizer)
    prompts.fit_encode(rows)
    *cells, answer = prompts.segments(rows.take([0]))
    assert [(s.column, s.text) for s in cells] == [
        ("a", "1.5"), ("c", "x"), ("t", "red old house"), ("b", "7")
    ]  # fmt: skip
    assert [s.vectors for s in cells] == [("a",), ("c",), ("t (features)",) * 2, ("b",)]
    assert [s.n_written > 0 for s in cells] == [False, False, True, False]
    assert (answer.text, answer.column) == ("<answer>", None)
    missing = prompts.segments(rows.take([1]))
    assert [s.text for s in missing[:3]] == ["missing", "y", "missing"]


@pytest.mark.parametrize("number_input", ["text", "text+value", "value"])
@pytest.mark.parametrize("max_prompt_tokens", [1000, 8])
def test_segments_have_all_tokens(number_input, max_prompt_tokens, tokenizer):
    rows = _rows(FRAME.assign(d=pd.to_datetime(["2020-01-05 03:00"] * 3 + ["2021-03-02 12:00"])))
    prompts = _cell_prompts(tokenizer, number_input, max_prompt_tokens=max_prompt_tokens)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # prompts that are cut
        encoded = prompts.fit_encode(rows)
        for i in range(rows.n_rows):
            segments = prompts.segments(rows.take([i]))
            n_tokens = sum(s.n_written + len(s.vectors) for s in segments)
            assert n_tokens == encoded.lengths[i]
    if number_input == "text+value" and max_prompt_tokens == 1000:
        number = next(s for s in segments if s.column == "a")
        assert number.text == "1000" and number.vectors == ("a",)
