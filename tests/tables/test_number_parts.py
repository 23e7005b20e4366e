"""Numbers in words, taken apart."""

import pytest

from llmreg.tables.number_parts import (
    NumberParts,
    decides,
    goes_with_commas,
    is_currency,
    plain_characters,
    plain_signs,
    power_of,
    signed,
    singular,
    split,
    value_of,
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("12", NumberParts(False, "", "12", "")),
        (" -5,5 % ", NumberParts(True, "%", "5,5", "")),
        ("USD 1,500", NumberParts(False, "USD", "1,500", "")),
        ("$(3)", NumberParts(True, "$", "3", "")),
        ("5 years.", NumberParts(False, "years", "5", "")),
        ("5 m/s", NumberParts(False, "m/s", "5", "")),
        ("2e-3", NumberParts(False, "", "2", "e-3")),
        ("5M USD", NumberParts(False, "USD", "5", "e6", "M")),
        ("12k€", NumberParts(False, "€", "12", "e3", "k")),
        ("5MB", NumberParts(False, "MB", "5", "")),
        ("300 K", NumberParts(False, "K", "300", "")),
        ("7.50-", NumberParts(True, "", "7.50", "")),
        ("7-", None),  # "7 and more", or a grade
        ("10-20", None), ("five", None), ("+-5", None), ("5 of 7", None), ("1" * 61, None),
    ],
)  # fmt: skip
def test_split(text, parts):
    assert split(text) == parts


def test_powers_of_ten():
    assert power_of(" million", False) == power_of("M", False) == power_of("m", True) == "e6"
    assert power_of("crores", False) == power_of(" CRORE", False) == "e7"
    assert power_of(" Billions", False) == power_of("bn", False) == "e9"
    assert power_of("m", False) == power_of("T", False) == power_of("kg", True) == ""


def test_signs():
    assert plain_signs("−1\u00a0234’5") == "-1 234'5"
    assert [decides(split(text)) for text in ("1,5", "1.5", "1,234", "€1,234", "1,2,3")] == [
        ",", ".", "", ".", "."
    ]  # fmt: skip
    assert is_currency("US$") and is_currency("kr") and not is_currency("kg")


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("1.234k", ""), ("1,234M", ""), ("1,234 million", ""), ("€1,234M", ""), ("€1.234M", ""),
        ("R$ 1,234M", ""), ("1.234 Mio. €", ""), ("1,234 Mrd. €", ""), ("$1,234M", "."),
        ("US$ 1,234 million", "."), ("£12,938m", "."), ("$1.234M", "."), ("1.234 billion", "."),
        ("1,200 crore", "."), ("3,980万円", "."), ("1.25M", "."), ("1,25M", ","), ("0,125M", ","),
        ("1234,567k", ","), ("1.234e5", "."), ("1,234e5", ","),
    ],
)  # fmt: skip
def test_three_digits_before_a_power_may_be_thousands(text, sign):
    assert decides(split(text)) == sign


def test_words_of_languages_with_decimal_commas():
    words = ("Mio", "Mrd", "million", "k", "")
    assert [goes_with_commas(word) for word in words] == [True, True, False, False, False]


def test_one_and_many():
    assert [singular(unit) for unit in ("years", "year", "s", "ms", "")] == [
        "year", "year", "s", "ms", ""
    ]  # fmt: skip


def test_characters():
    assert plain_characters("ｋｇ　＄５．５％ ￥٣ ½ é") == "kg $5.5% ¥3 ½ é"


def test_no_group_of_thousands_begins_with_a_zero():
    assert value_of(split("0.125"), ",", ".") is None
    assert value_of(split("0,125"), ".", ",") is value_of(split("0,12,500"), ".", ",") is None
    assert value_of(split("0.000"), ",", ".") == 0
    assert value_of(split("$0,500"), ".", ",") is None
    assert value_of(split("10.125"), ",", ".") == 10_125


def test_what_is_open_at_its_end_is_no_loss():
    for text in ("2015–", "65 –", "65‑ years", "$18–"):
        assert split(text) is None or not split(text).negative
    assert split("2015–") is None
    assert split("12.50-").negative and split("12−").negative and split("–12").negative
    assert split("12,–") is None or not split("12,–").negative


def test_values():
    assert value_of(split("1.234,5"), ",", ".") == 1234.5
    assert value_of(split("1.234,5"), ".", "") is None
    assert value_of(split("2 500k"), ".", "") == 2_500_000
    assert signed("12", True) == -12 and isinstance(signed("12", True), int)
    assert signed("0", True) == 0 and signed("1e2", False) == 100
