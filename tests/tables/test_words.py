"""How much of a column's texts is counted, and what is typical of it."""

import re

import pytest

from llmreg.tables.words import (
    LONG_WORD,
    LONGEST,
    WORD,
    beginnings,
    longest_piece,
    n_words,
    typical,
    unparted,
)


def test_the_beginning_of_a_very_long_text_is_counted():
    assert beginnings(["a short one", "x" * (LONGEST + 5)]) == ["a short one", "x" * LONGEST]


def test_what_is_typical_is_the_mean_and_no_single_long_text():
    assert typical([1, 2, 3], 2) == 2
    assert typical([1] * 999 + [10**6], 2) == pytest.approx(1.019)


@pytest.mark.parametrize(
    "text",
    ["नमस्ते दुनिया", "สวัสดี ชาวโลก", "مُحَمَّدٌ رَسُول", "שָׁלוֹם עוֹלָם", "cafe\u0301 x\u0304y", "ශ්\u200dරී ලංකා",
     "می\u200cخواهم بروم", "தமிழ் மொழி"],
)  # fmt: skip
def test_words_hold_their_accents_and_vowel_signs(text):
    assert re.findall(WORD, text) == re.findall(LONG_WORD, text) == text.split()
    assert n_words(text) == 2


def test_words_of_latin_letters_are_runs_of_letters_and_digits():
    text = "Größe: 12,5 cm; naïve_Œuvre don't a\u200d (x) 5\ufe0f\u20e3 Žižek\u2019s 日本語、東京"
    assert re.findall(WORD, text) == re.findall(r"\b\w+\b", text)
    assert re.findall(LONG_WORD, text) == re.findall(r"\b\w\w+\b", text)


ENGLISH = "The flat is bright, quiet and close to the station; heating and water are included. "
GERMAN = "Donaudampfschifffahrtsgesellschaften beförderten Reisende, nachmittags und abends. "
KOREAN = "호텔 위치가 아주 좋고 지하철역에서 가깝습니다. 방은 깨끗하고 직원들도 친절했습니다. "
LIST = '{TV,"Cable TV",Internet,Kitchen,Heating,"Family/kid friendly",Washer,Dryer,Essentials} '
CHINESE = (
    "酒店位置很好,离地铁站很近。房间干净,服务员热情,早餐种类丰富!下次还会再来,强烈推荐给大家。"
)
THAI = "ร้านอาหารใหญ่มาก เลี้ยวเข้ามาเจอห้องน้ำก่อนเลย ห้องทานหลักๆอยู่ชั้นสอง อาหารอร่อยทุกจานจริงๆ "
SMILES = "CC(=O)OC1=CC=CC=C1C(=O)NCCN1CCN(CC1)C2=CC(Cl)=CC=C2"


@pytest.mark.parametrize("text", [ENGLISH, GERMAN, KOREAN, LIST])
def test_words_tell_enough_of_long_texts_with_blanks_or_commas(text):
    texts = [text * 5] * 3
    assert not unparted(texts) and longest_piece(texts) == 0
    assert longest_piece([text[:150]]) == 4


@pytest.mark.parametrize(
    "text",
    [CHINESE, CHINESE.replace(",", " "), CHINESE.replace("。", "。\u3000"), THAI, SMILES,
     "MKVLAAGIVG", "0f9a"],
)  # fmt: skip
def test_pieces_of_texts_without_blanks_between_words_are_counted_at_any_length(text):
    for length, longest in ((190, 4), (210, 3), (900, 3), (3000, 2), (50_000, 2)):
        texts = [(text * 20_000)[:length]] * 3
        assert longest_piece(texts) == longest and unparted(texts)


def test_some_cells_without_blanks_are_enough():
    assert unparted([ENGLISH * 4] * 6 + [CHINESE * 8] * 4)
    assert not unparted([ENGLISH * 4] * 99 + ["x" * 40_000])
