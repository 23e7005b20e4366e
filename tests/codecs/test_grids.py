"""GridCodec: a list of numbers, spelled as people write them."""

import numpy as np
import pytest
from sklearn.utils._param_validation import InvalidParameterError

from llmreg.codecs.digits import END
from llmreg.codecs.grids import GridCodec
from llmreg.numbers.tree import NumberTree

EPS = np.finfo(float).eps


def _texts(codec):
    return ["".join(codec.symbols[i] for i in row).replace(END, "") for row in codec.sequences()]


def test_numbers_are_spelled_as_people_write_them():
    codec = GridCodec([12, -3, 4.5, 0, -0.0, 1e21, 0.001, 12.0]).fit([1.0])
    assert codec.values_.tolist() == [-3, 0, 0.001, 4.5, 12, 1e21]
    assert _texts(codec) == ["-3", "0", "0.001", "4.5", "12", "1" + "0" * 21]
    assert codec.symbols == ("-", ".", *"012345", END)


def test_stars_are_one_symbol_each_and_need_no_end():
    codec = GridCodec([1, 2, 3, 4, 5]).fit([3.0])
    assert codec.symbols == tuple("12345")
    assert codec.edges_.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    assert codec.leaf_of([0.2, 1.49, 1.5, 5.4, 9.0]).tolist() == [0, 0, 1, 4, 4]
    assert codec.n_clipped([0.2, 0.5, 5.5, 9.0]) == 2
    tree = NumberTree.from_codec(codec)
    assert (tree.n_nodes, tree.n_levels) == (1, 1)


def test_end_is_a_choice_only_where_one_number_begins_another():
    codec = GridCodec(np.arange(0, 101, 5)).fit([1.0])
    tree, end = NumberTree.from_codec(codec), codec.symbols.index(END)
    # root, 1 to 9, which all begin others, and 10
    assert tree.n_open == 1 + 9 + 1
    ends = (tree.child[: tree.n_open, end] >= 0) | (tree.leaf[: tree.n_open, end] >= 0)
    assert int(ends.sum()) == 2  # "5" begins 50 and 55, "10" begins 100
    assert tree.run_share.shape[1] == 2  # below "1" are 10 and 15, and then 100


def test_without_values_the_grid_is_that_of_the_targets():
    assert GridCodec().fit([2.5, 1.0, 2.5, 7.0]).values_.tolist() == [1.0, 2.5, 7.0]
    y = np.random.default_rng(0).normal(size=5000)
    codec = GridCodec(max_values=50).fit(y)
    assert 45 <= len(codec.values_) <= 50
    counts = np.bincount(codec.leaf_of(y))
    assert counts[1:-1].max() < 3 * 5000 / 50
    assert max(map(len, _texts(codec))) <= 5  # "-1.23": no more decimals than keep them apart
    assert codec.n_clipped(y) == 0


@pytest.mark.parametrize("n_decimals", [None, 0, 2, 15])
@pytest.mark.parametrize(
    "y", [[2.0**53, 2.0**53 + 2, 2.0**53 + 4], [1.0, 1 + EPS, 1 + 2 * EPS], [1e39, 1e39 / 3]]
)
def test_numbers_that_no_float_parts_decode_to_themselves(n_decimals, y):
    codec = GridCodec(n_decimals=n_decimals).fit(y)
    assert codec.decode(codec.encode(codec.values_)).tolist() == codec.values_.tolist()
    if y[0] > 1 or n_decimals is None:
        assert codec.values_.tolist() == sorted(y)


def test_decimals_of_huge_numbers_do_not_overflow():
    y = np.r_[1e300, np.logspace(-3, 3, 300)]
    with pytest.raises(ValueError, match=r"1e\+300 with 301 characters"):
        GridCodec(max_values=7).fit(y)
    assert np.isfinite(
        GridCodec([1, 1e307], n_decimals=15, spellings=["a", "b"]).fit(y).edges_
    ).all()


def test_numbers_that_occur_twice_are_one():
    assert GridCodec([3, 1, 3.0]).fit([1.0]).values_.tolist() == [1.0, 3.0]


def test_decimals_round_the_numbers():
    codec = GridCodec([1.234, 1.226, 9.999], n_decimals=2).fit([0.0])
    assert codec.values_.tolist() == [1.23, 10.0]


def test_a_single_number_is_a_constant():
    codec = GridCodec().fit([4.5, 4.5])
    assert codec.edges_.tolist() == [4.5, 4.5]


@pytest.mark.parametrize(
    ("values", "message"),
    [([], "are 0 numbers"), ([1, float("nan")], "values contains NaN"),
     ([float("inf")], "values contains inf"), ([[1, 2], [3, 4]], "values should be a 1d array"),
     (np.array(3.0), "values is array.*GridCodec needs an array or a list"),
     ([1e308], "values goes from 1e\\+308"),
     ([1e60], "1e\\+60 with 61 characters.*n_decimals"), ([1, 1e-50], "1e-50 with 52 characters")],
)  # fmt: skip
def test_values_that_cannot_be_spelled_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        GridCodec(values).fit([1.0])


def test_values_that_are_no_numbers_are_named():
    with pytest.raises(ValueError, match=r"values holds 'b' \(str\), and GridCodec needs finite"):
        GridCodec(["1", "b"]).fit([1.0])


@pytest.mark.parametrize(
    ("name", "value"), [("values", "stars"), ("max_values", 1), ("n_decimals", -1)]
)
def test_illegal_parameters_are_named(name, value):
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter of GridCodec"):
        GridCodec(**{name: value}).fit([1.0])


def test_words_can_stand_for_the_numbers():
    codec = GridCodec([5, 1, 3], spellings=["good", "poor", "fair"]).fit([3.0])
    assert codec.values_.tolist() == [1, 3, 5] and _texts(codec) == ["poor", "fair", "good"]
    assert codec.spell([1.2, 4.9]) == ["poor", "good"]
    assert codec.decode(codec.encode([4.9])).tolist() == [5.0]
    assert GridCodec([1, 2], spellings=["A", "Ab"]).fit([1.0]).symbols == ("A", "b", END)


@pytest.mark.parametrize(
    "values, spellings",
    [([1, 2], ["A"]), ([1, 2], ["A", "A"]), ([1, 2], ["A", ""]), ([1, 2], ["A", END]),
     ([1, 2], [1, 2]),
     ([1, 1, 2], ["A", "B"]), ([1, 1, 2], ["A", "B", "C"]), (None, ["A", "B"])],
)  # fmt: skip
def test_spellings_that_do_not_fit_are_refused(values, spellings):
    with pytest.raises(ValueError, match=r"spellings=.* must be distinct strings"):
        GridCodec(values, spellings=spellings).fit([1.0, 2.0])


def test_a_model_learns_words_for_numbers(quick_fit, table):
    from llmreg import RAFT

    grades = GridCodec([30, 50, 70], spellings=["low", "middle", "high"])
    model = quick_fit(table.X, table.y, fit_method=RAFT(stage="sft"), codec=grades, sft_epochs=15)
    assert model.score(table.X, table.y) > 0.3


def test_a_number_may_be_one_symbol():
    months = ["January", "February", "March"]
    codec = GridCodec([1, 2, 3], spellings=months, one_token=True).fit([2.0])
    assert codec.symbols == tuple(months) and codec.sequences().tolist() == [[0], [1], [2]]
    assert codec.spell([2.9]) == ["March"]
    assert codec.decode(codec.encode([1.0, 3.0])).tolist() == [1.0, 3.0]
    tree = NumberTree.from_codec(codec)
    assert (tree.n_nodes, tree.n_levels) == (1, 1)


def test_numbers_of_one_symbol_may_be_many():
    codec = GridCodec(range(1000), one_token=True).fit([0.0])
    y = np.array([0, 127, 255, 256, 257, 511, 512, 999])
    assert codec.symbols[-1] == "999"
    assert codec.encode(y)[:, 0].tolist() == y.tolist()
    assert codec.decode(codec.encode(y)).tolist() == y.tolist()


GRADES = {
    "words": GridCodec([30, 50, 70], spellings=["low", "middle", "high"], one_token=True),
    "letters": GridCodec([30, 50, 70], spellings=["C", "B", "A"], one_token=True),
    "numbers": GridCodec([30, 50, 70], one_token=True),
    "other scripts": GridCodec([30, 50, 70], spellings=["低", "中", "高"]),
}


@pytest.mark.parametrize("codec", GRADES.values(), ids=GRADES)
def test_raft_learns_with_tokens_of_any_kind(codec, quick_fit, table, tmp_path):
    """RAFT, eq. 15 and table 14."""
    from llmreg import RAFT, LLMRegressor

    raft = RAFT(stage="sft", normalisation="grid")
    model = quick_fit(table.X, table.y, fit_method=raft, codec=codec, sft_epochs=6,
                      estimates=None)  # fmt: skip
    assert len(set(model.model_.symbol_ids.tolist())) == len(model.codec_.symbols)
    loss = model.history_["loss"]
    assert loss.iloc[-1] < 0.9 * loss.iloc[0]
    model.save(tmp_path / "saved")
    again = LLMRegressor.load(tmp_path / "saved")
    assert np.array_equal(again.predict(table.X), model.predict(table.X))


def test_a_spelling_that_is_a_token_leaves_cells_as_they_were():
    from llmreg.prompts.tiny_tokenizer import symbol_names, train_tokenizer

    symbols = GridCodec([10, 20], one_token=True).fit([10.0]).symbols
    plain, tokenizer = train_tokenizer(["a b"]), train_tokenizer(["a b"], symbols=symbols)
    assert tokenizer.tokenize("2010 a") == plain.tokenize("2010 a")
    assert len({*tokenizer.convert_tokens_to_ids(symbol_names(symbols))}) == 2
