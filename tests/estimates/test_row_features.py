"""Rows as matrices: what ridge regression and trees get to read."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge
from text_vectors import with_vectors

from llmreg import LLMRegressor, RowSerializer
from llmreg.estimates.row_features import N_COMPONENTS, RowFeatures

KINDS = {"colour": "category", "text": "text"}
BOTH = ("linear", "boosted")


def _rows(X, fitted_on=None):
    kinds = {name: kind for name, kind in KINDS.items() if name in X}
    return RowSerializer(column_kinds=kinds).fit(X if fitted_on is None else fitted_on).serialize(X)


def _table(n=60):
    rng = np.random.RandomState(0)
    size = np.where(rng.rand(n) < 0.2, np.nan, 100 + 10 * rng.randn(n))
    text = [" ".join(rng.choice(list("pqrstuvw"), 4)) for _ in range(n)]
    return pd.DataFrame({"size": size, "colour": rng.choice(list("abc"), n), "text": text})


def test_numbers_are_standardised_for_slopes_and_left_alone_for_trees():
    X = _table()[["size"]]
    found = RowFeatures(BOTH, 0).fit_transform(_rows(X))
    nothing, z, gap = found["linear"].T
    size = X["size"].to_numpy()
    np.testing.assert_array_equal(nothing, 0)
    np.testing.assert_array_equal(gap, np.isnan(size))
    known = ~np.isnan(size)
    np.testing.assert_allclose(z[known], (size[known] - size[known].mean()) / size[known].std())
    np.testing.assert_array_equal(z[~known], 0)
    np.testing.assert_array_equal(found["boosted"][:, 1], size)


def test_levels_are_columns_for_slopes_and_codes_for_trees():
    X = pd.DataFrame({"colour": [*"abcabcabc", "seldom"]})
    features = RowFeatures(BOTH, 0)
    found = features.fit_transform(_rows(X))
    assert found["linear"].shape == (10, 1 + 4)  # a, b, c, and what is seen once
    np.testing.assert_array_equal(found["boosted"][:, 1], [0, 1, 2] * 3 + [3])
    new = features.transform(_rows(pd.DataFrame({"colour": ["never", "b"]}), X))
    np.testing.assert_array_equal(new["linear"][0], found["linear"][9])
    np.testing.assert_array_equal(new["boosted"][:, 1], [-1, 1])


def test_words_are_columns_for_slopes_and_components_for_trees():
    X = _table()[["text"]]
    features = RowFeatures(BOTH, 0)
    found = features.fit_transform(_rows(X))
    assert found["linear"].shape[1] > 100 and found["boosted"].shape == (60, 3 + N_COMPONENTS)
    again = features.transform(_rows(X))
    np.testing.assert_allclose(again["boosted"], found["boosted"], atol=1e-12)
    unlike = features.transform(_rows(pd.DataFrame({"text": ["p p", "q q"]}), X))["boosted"]
    assert np.abs(unlike[0] - unlike[1]).max() > 0.1


def test_how_long_texts_are_is_told_to_trees_to_their_ends():
    texts = ["two words", None, "three, long: words", "x" * 60_000]
    rows = _rows(pd.DataFrame({"text": texts, "size": range(4)}))
    features = RowFeatures(("boosted",), 0)
    found = features.fit_transform(rows)["boosted"]
    sizes = np.log1p([[9, 2], [0, 0], [18, 3], [60_000, 1]])
    np.testing.assert_allclose(found[:, 2:4], sizes)
    third = features.transform(rows.take(np.array([2])))["boosted"]
    np.testing.assert_allclose(third[0, 2:4], sizes[2])


def test_levels_of_a_category_are_one_group_and_numbers_and_flags_one_each():
    colours = ["red", "blue", "red", "blue", "green", "red"]
    sizes = ["s", "m", "s", "m", "s", "m"]
    X = pd.DataFrame({"n": [1.0, 2.0, np.nan, 4.0, 5.0, 6.0], "colour": colours, "size": sizes})
    serializer = RowSerializer(column_kinds={"colour": "category", "size": "category"}).fit(X)
    features = RowFeatures(("kernel",), 0)
    columns = _dense(features.fit_transform(serializer.serialize(X))["kernel"])
    # Zeros, the number and its gaps; red, blue and levels seen once; two sizes.
    assert features.blocks_ == [[1, 1, 1], [3, 2], [], [], []]
    assert columns.shape[1] == sum(map(sum, features.blocks_))
    (place,) = np.flatnonzero((columns[:, 3:6] == (np.array(colours) == "red")[:, None]).all(0))
    assert place in (0, 1) and (columns[:, 3:6].sum(1) == 1).all()


def test_numbers_over_orders_of_magnitude_have_ranks_too():
    X = pd.DataFrame({"sold": np.geomspace(1, 1e9, 50), "even": np.linspace(0, 1, 50)})
    features = RowFeatures(("linear", "kernel"), 0)
    found = features.fit_transform(_rows(X))
    assert features.ranks_.columns_[0] == 0
    assert features.blocks_[0] == [1] * found["kernel"].shape[1]
    np.testing.assert_array_equal(found["linear"], found["kernel"])
    ranks = found["kernel"][:, 3]
    assert np.ptp(np.diff(ranks)[15:35]) < 0.02 < np.diff(ranks).min()
    again = features.transform(_rows(X[:1], X))
    np.testing.assert_array_equal(again["kernel"][0], found["kernel"][0])


def test_kernels_have_words_that_grow_with_their_texts_too():
    rows = _rows(pd.DataFrame({"text": ["C C C C O", "C O", "N N", "C N O O O O O"]}))
    features = RowFeatures(("linear", "kernel"), 0)
    found = {kind: _dense(matrix) for kind, matrix in features.fit_transform(rows).items()}
    (n_words,) = features.blocks_[2]
    assert features.blocks_ == [[1], [], [n_words], [n_words], [0]]
    scaled, counts = found["kernel"][:, 1 : 1 + n_words], found["kernel"][:, 1 + n_words :]
    np.testing.assert_array_equal(found["linear"][:, 1:], scaled)
    counters = features.counters_[0]
    ends = np.cumsum([0, *(len(counter.vocabulary_) for counter in counters)])
    for first, last in itertools.pairwise(ends):
        part, length = counts[:, first:last], np.linalg.norm(counts[:, first:last], axis=1)
        np.testing.assert_allclose(scaled[:, first:last] * length[:, None], part, atol=1e-12)
        assert length[1] < length[0] < length[3]
    again = features.transform(rows)
    np.testing.assert_allclose(_dense(again["kernel"]), found["kernel"], atol=1e-12)


def test_targets_that_grow_with_the_length_of_texts_are_found():
    rng = np.random.RandomState(0)
    letters = ["".join(rng.choice(list("CNO"), rng.randint(3, 30))) for _ in range(260)]
    y = np.log([len(text) for text in letters])
    X = pd.DataFrame({"formula": letters, "noise": rng.randn(260)})
    texts = RowSerializer(column_kinds={"formula": "text"})
    model = LLMRegressor(
        fit_method="soft_ce", sft_epochs=1, serializer=texts, random_state=0, device="cpu"
    ).fit(X[:200], y[:200])
    assert model.score(X[200:], y[200:]) > 0.97


def test_only_what_is_asked_for_is_made():
    rows = _rows(_table())
    assert list(RowFeatures(("linear",), 0).fit_transform(rows)) == ["linear"]
    trees = RowFeatures(("boosted",), 0)
    assert list(trees.fit_transform(rows)) == list(trees.transform(rows)) == ["boosted"]
    assert RowFeatures(("linear",), 0).fit(rows).components_ == []


def test_wide_matrices_are_sparse_and_narrow_ones_dense():
    X = _table()
    dense = RowFeatures(("linear",), 0).fit_transform(_rows(X[["size", "colour"]]))["linear"]
    assert isinstance(dense, np.ndarray)
    words = X.assign(text=[f"{t} {i} {i * 7}" for i, t in enumerate(X["text"])])
    assert sparse.issparse(RowFeatures(("linear",), 0).fit_transform(_rows(words))["linear"])


def test_long_texts_are_read_by_words_alone():
    X = _table()
    short = RowFeatures(("linear",), 0).fit(_rows(X))
    long = RowFeatures(("linear",), 0).fit(_rows(X.assign(text=X["text"] + " x" * 200)))
    assert [len(short.counters_[0]), len(long.counters_[0])] == [2, 1]


def test_long_texts_without_blanks_are_read_by_pieces():
    rng = np.random.default_rng(0)
    letters, shares = list("ACDEFGHIKL"), rng.dirichlet(np.full(10, 3.0), 160)
    X = pd.DataFrame({"text": ["".join(rng.choice(letters, 250, p=p)) for p in shares]})
    y = 10 * (shares[:, 0] - shares[:, 5])
    found = RowFeatures(BOTH, 0).fit_transform(_rows(X))
    for kind, model in (("linear", Ridge(0.1)), ("boosted", Ridge())):
        model.fit(found[kind][:120], y[:120])
        assert model.score(found[kind][120:], y[120:]) > 0.5


@pytest.mark.parametrize("texts", [["", "", "!"], ["one word"] * 3, ["a"]])
def test_texts_with_next_to_nothing_in_them(texts):
    features = RowFeatures(BOTH, 0)
    rows = _rows(pd.DataFrame({"text": texts, "size": np.arange(len(texts))}))
    for found in (features.fit_transform(rows), features.transform(rows)):
        assert all(np.isfinite(matrix).all() for matrix in found.values())


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("text", ["a b c", None, "red old house by the sea"])
def test_texts_that_are_all_alike_say_nothing(text):
    found = RowFeatures(("boosted",), 0).fit_transform(_rows(pd.DataFrame({"text": [text] * 40})))
    assert np.isfinite(found["boosted"]).all() and (np.ptp(found["boosted"], axis=0) < 1e-9).all()


def test_one_long_text_does_not_decide_how_the_others_are_counted():
    X = _table()
    longest = X.copy()
    longest.loc[3, "text"] = "word " * 9_000
    found = RowFeatures(("linear",), 0).fit(_rows(longest))
    assert len(found.counters_[0]) == 2


def test_levels_are_told_apart_to_the_last_character():
    X = pd.DataFrame({"colour": ["a", "a\0", "a", "a\0"]})
    found = RowFeatures(("boosted",), 0).fit_transform(_rows(X))["boosted"]
    assert found[:, 1].tolist() == [0, 1, 0, 1]


# -- vectors of texts -------------------------------------------------------------------------


def _dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def test_vectors_are_columns_of_a_variance_of_one_for_slopes_and_components_for_trees():
    rows = _rows(_table()[["text"]])
    vectors = 7 + 3 * np.random.RandomState(1).randn(60, 5)
    features = RowFeatures(BOTH, 0)
    plain = features.fit_transform(rows)
    found = features.fit_transform(with_vectors(rows, vectors))
    assert features.blocks_[-1] == [5]
    wide = _dense(found["linear"])[:, -5:]
    assert wide.shape[1] + plain["linear"].shape[1] == found["linear"].shape[1]
    assert wide.var(0).sum() == pytest.approx(1.0)
    np.testing.assert_allclose(wide, (vectors - vectors.mean(0)) / np.sqrt(vectors.var(0).sum()))
    assert found["boosted"].shape[1] == plain["boosted"].shape[1] + 4
    new = features.transform(with_vectors(rows.take(np.array([3])), vectors[[3]]))
    np.testing.assert_allclose(_dense(new["linear"])[0, -5:], wide[3])
    np.testing.assert_allclose(new["boosted"][0], found["boosted"][3], atol=1e-12)


def test_vectors_that_are_all_alike_are_zeros():
    rows = with_vectors(_rows(_table()[["text"]]), np.full((60, 3), 2.0))
    found = RowFeatures(BOTH, 0).fit_transform(rows)
    assert not _dense(found["linear"])[:, -3:].any()
    assert np.isfinite(found["boosted"]).all()
