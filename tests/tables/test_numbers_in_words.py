"""Numbers among words."""

import time as clock

import pytest

from llmreg.tables.numbers_in_words import numbers_within


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("2-pack of 0,75 l at −4.5 °C, 1,200 g", [2, 0.75, -4.5, 1200]), ("", []), ("none", []),
        ("10-20", [10, 20]), ("1.2.3", [1.2, 3]), ("3,4,5", [3, 4, 5]),
        ("2021-05-03", [2021, 5, 3]),
        ("1.234.567 or 1.234,5 or 1,234.5", [1234567, 1234.5, 1234.5]), ("1'234 .5", [1234, 0.5]),
        ("₹1,00,000", [100000]), ("1\u202f234\u00a0567 m", [1234567]), ("the end is 7.", [7]),
        ("x" + "9" * 70, []), ("1,2345 0,125", [1.2345, 0.125]),
    ],
)  # fmt: skip
def test_numbers_among_words(text, numbers):
    assert numbers_within(text) == numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1e-05", [1e-5]), ("p < 2e-16", [2e-16]), ("x3e-4 7", [3e-4, 7]), ("of 3e-4x", [3, 4]),
        ("1e3", [1000]), ("an 1e3", [1, 3]),
    ],
)  # fmt: skip
def test_exponents(text, numbers):
    assert numbers_within(text) == numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("(0,10]", [0, 10]), ("(100,500]", [100, 500]), ("[65,120)", [65, 120]),
        ("{100,200}", [100, 200]), ("(1e-05,0.0001]", [1e-5, 1e-4]), ("(-Inf,0]", [0]),
        ("in [1.5,2.5]", [1.5, 2.5]), ("(0, 10]", [0, 10]), ("sold (1,234)", [1234]),
        ("(0,1)", [0, 1]), ("(0.5,10)", [0.5, 10]), ("(1,234)", [-1234]),
    ],
)  # fmt: skip
def test_intervals_have_two_ends(text, numbers):
    assert numbers_within(text) == numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Flat (large),3 rooms", [3]), ("3 beds ,2 baths", [3, 2]), ("60%,40%", [60, 40]),
        ("5€,10€", [5, 10]), ('6",8" pipe', [6, 8]), ("costs $.99 or -.5", [0.99, -0.5]),
    ],
)  # fmt: skip
def test_a_comma_behind_something_else_is_no_fraction(text, numbers):
    assert numbers_within(text) == numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("50%-60%", [50, 60]), ("5€-10€", [5, 10]), ('3"-4"', [3, 4]), ("1.-3. floor", [1, 3]),
        ("(555)-123-4567", [555, 123, 4567]), ("40.7128,-74.0060", [40.7128, -74.006]),
        ("-$1,200.50 fee", [-1200.5]), ("from -$3 to $4", [-3, 4]), ("10-pack", [10]),
    ],
)  # fmt: skip
def test_a_hyphen_is_a_minus_only_where_a_number_may_begin(text, numbers):
    assert numbers_within(text) == numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("-33.9,151.2", [-33.9, 151.2]), ("−33.9,151.2", [-33.9, 151.2]),
        ("-0.12,51.5", [-0.12, 51.5]), ("51.5,-0.12", [51.5, -0.12]),
        ("51.5;-0.12", [51.5, -0.12]), ("33.9|-151.2", [33.9, -151.2]),
        ("[-1.5,2.5,3.5]", [-1.5, 2.5, 3.5]), ("(-1.5,-2.5)", [-1.5, -2.5]), ("-1,2,3", [-1, 2, 3]),
        ("at -33.9,151.2 or 33.9,151.2", [-33.9, 151.2, 33.9, 151.2]), ("-.5,.3", [-0.5, 0.3]),
        ("[[-1,2],[-3,4]]", [-1, 2, -3, 4]), ("-1.2.3", [-1.2, 3]), ("12..5", [12, 5]),
    ],
)  # fmt: skip
def test_numbers_without_blanks_between_keep_their_minus(text, numbers):
    assert numbers_within(text) == numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1.5M views by 20k users", [1.5e6, 20000]), ("over 10K+ downloads", [10000]),
        ("it cost $5m", [5e6]), ("a 5m cable", [5]), ("some 2 crore rupees", [2e7]),
        ("3 million and 4 billions", [3e6, 4e9]), ("5 Tsd. Euro im Jahr", [5000]),
        ("a 5kg bag, 2Mbit", [5, 2]), ("3BR/2B home", [3, 2]), ("3M tape, 5M cable", [3, 5]),
        ("3M tape", [3]), ("19M", [19e6]), ("12M€", [12e6]), ("N77K and N8B", [77, 8]),
        ("4.5B years", [4.5e9]), ("10-15 Lakhs", [1e6, 1.5e6]), ("$50-60K (est.)", [50e3, 60e3]),
        ("$53K-$91K", [53e3, 91e3]), ("10-15 kg", [10, 15]), ("at 300 K or so", [300]),
    ],
)  # fmt: skip
def test_thousands_and_millions_in_words_multiply(text, numbers):
    assert numbers_within(text) == numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("revenue of $1,234 million in 2020", [1.234e9, 2020]), ("1,250k followers", [1250000]),
        ("about 1,200 crore", [1.2e10]), ("sold for £12,938m", [1.2938e10]), ("1,234M", [1.234e9]),
        ("$1,250-1,500K", [1.25e6, 1.5e6]), ("1.234 million of 2.125M", [1.234e6, 2.125e6]),
        ("some 1,5 million", [1.5e6]), ("0,125 million", [125000]), ("1.234e5", [123400]),
    ],
)  # fmt: skip
def test_a_comma_before_three_digits_parts_thousands_whatever_follows(text, numbers):
    assert numbers_within(text) == numbers


def test_blanks_group_digits_where_nothing_else_is_there():
    assert numbers_within("12 000 km") == [12000]
    assert numbers_within("1 250 000 kr") == [1250000]
    assert numbers_within("Galaxy 12 128 GB") == [12, 128]
    assert numbers_within("298 455th Ave.") == [298, 455]
    assert numbers_within("711 420th") == [711, 420]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("价格￥１，２３４．５ 起", [1234.5]), ("－５ ℃", [-5]), ("约 ￥1.5M", [1.5e6]),
        ("面积12，345元", [12, 345]), ("２０个，３盒", [20, 3]), ("１０％～２０％", [10, 20]),
    ],
)  # fmt: skip
def test_digits_and_signs_of_full_width_are_as_others(text, numbers):
    assert numbers_within(text) == numbers


@pytest.mark.parametrize(
    "cell",
    ["1" * 10**5 + "x", "1," * 10**5, "1." * 10**5, " " * 10**5 + "x", "[1,1" * 10**5,
     "1e-" * 10**5, "$ " * 10**5, "-" * 10**5, "[" + "1." * 10**5],
)  # fmt: skip
def test_a_long_text_takes_no_longer_than_it_is(cell):
    started = clock.process_time()
    numbers_within(cell)
    assert clock.process_time() - started < 2
