"""Rows as matrices: what ridge regression and trees get to read."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

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
    assert found["linear"].shape[1] > 100 and found["boosted"].shape == (60, 1 + N_COMPONENTS)
    again = features.transform(_rows(X))
    np.testing.assert_allclose(again["boosted"], found["boosted"], atol=1e-12)
    unlike = features.transform(_rows(pd.DataFrame({"text": ["p p", "q q"]}), X))["boosted"]
    assert np.abs(unlike[0] - unlike[1]).max() > 0.1


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


@pytest.mark.parametrize("texts", [["", "", "!"], ["one word"] * 3, ["a"]])
def test_texts_with_next_to_nothing_in_them(texts):
    features = RowFeatures(BOTH, 0)
    rows = _rows(pd.DataFrame({"text": texts, "size": np.arange(len(texts))}))
    for found in (features.fit_transform(rows), features.transform(rows)):
        assert all(np.isfinite(matrix).all() for matrix in found.values())


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


def _with_vectors(rows, *vectors):
    """Rows whose text fields have vectors, in order."""
    given = iter(vectors)
    fields = [
        replace(field, vectors=next(given)) if field.kind == "text" else field
        for field in rows.fields
    ]
    return replace(rows, fields=tuple(fields))


def _dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def _pairs(n=40):
    rng = np.random.RandomState(0)
    words = [" ".join(rng.choice(list("pqrstuvw"), 4)) for _ in range(n)]
    X = pd.DataFrame({"size": rng.randn(n), "text": words, "other": words[::-1]})
    return RowSerializer(column_kinds={"text": "text", "other": "text"}).fit(X).serialize(X)


def test_vectors_are_columns_of_a_variance_of_one_for_slopes_and_components_for_trees():
    rows = _rows(_table()[["text"]])
    vectors = 7 + 3 * np.random.RandomState(1).randn(60, 5)
    features = RowFeatures(BOTH, 0)
    plain = features.fit_transform(rows)
    found = features.fit_transform(_with_vectors(rows, vectors))
    assert features.blocks_[3] == 5
    wide = _dense(found["linear"])[:, -5:]
    assert wide.shape[1] + plain["linear"].shape[1] == found["linear"].shape[1]
    assert wide.var(0).sum() == pytest.approx(1.0)
    np.testing.assert_allclose(wide, (vectors - vectors.mean(0)) / np.sqrt(vectors.var(0).sum()))
    assert found["boosted"].shape[1] == plain["boosted"].shape[1] + 4
    new = features.transform(_with_vectors(rows.take(np.array([3])), vectors[[3]]))
    np.testing.assert_allclose(_dense(new["linear"])[0, -5:], wide[3])
    np.testing.assert_allclose(new["boosted"][0], found["boosted"][3], atol=1e-12)


def test_vectors_that_are_all_alike_are_zeros():
    rows = _with_vectors(_rows(_table()[["text"]]), np.full((60, 3), 2.0))
    found = RowFeatures(BOTH, 0).fit_transform(rows)
    assert not _dense(found["linear"])[:, -3:].any()
    assert np.isfinite(found["boosted"]).all()


def test_how_alike_two_texts_are_is_a_number():
    rng = np.random.RandomState(2)
    a, b = rng.randn(40, 6), rng.randn(40, 6)
    a[5] = 0.0  # a text of which nothing is known is like no other
    rows = _with_vectors(_pairs(), a, b)
    found = RowFeatures(("boosted",), 0).fit_transform(rows)["boosted"]
    expected = [
        x @ y / (np.linalg.norm(x) * np.linalg.norm(y)) if x.any() else 0.0
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(found[:, 2], expected)
    assert found[5, 2] == 0.0


def test_vectors_of_two_kinds_are_not_compared():
    rng = np.random.RandomState(2)
    rows = _with_vectors(_pairs(), rng.rand(40, 6), rng.rand(40, 5))
    assert RowFeatures(("linear",), 0).fit(rows).blocks_[0] == 2  # zeros, and the size


SAID = ["the price of oil rises", "a child eats an apple", "PRICES of oils", "snow in spring"]


def _said(one, other):
    kinds = {"one": "text", "other": "text"}
    table = pd.DataFrame({"one": one, "other": other})
    return RowSerializer(column_kinds=kinds).fit(table).serialize(table)


def test_texts_without_vectors_are_alike_by_the_pieces_of_words_that_they_share():
    features = RowFeatures(("boosted",), 0)
    found = features.fit_transform(_said(SAID, [SAID[0], "dog", SAID[0], SAID[3]]))["boosted"]
    likeness = found[:, 1]
    np.testing.assert_allclose(likeness[[0, 1, 3]], [1.0, 0.0, 1.0], atol=1e-12)
    weights = features.common_.transform([SAID[2], SAID[0]]).toarray()
    assert likeness[2] == pytest.approx(weights[0] @ weights[1]) and 0.2 < likeness[2] < 0.9
    alone = features.transform(_said(SAID[2:3], SAID[:1]))["boosted"]
    np.testing.assert_allclose(alone[0, 1], likeness[2], atol=1e-12)


def test_long_texts_are_alike_by_their_words():
    one, other = "many words here " * 20, "quite another kind of thing, words " * 20
    features = RowFeatures(("boosted",), 0)
    found = features.fit_transform(_said([one, other], [one, other]))["boosted"]
    np.testing.assert_allclose(found[:, 1], 1.0)
    across = features.transform(_said([one], [other]))["boosted"]
    assert features.common_.analyzer == "word" and 0 < across[0, 1] < 0.5


def test_texts_that_share_no_more_within_a_row_than_across_rows_are_not_compared():
    rng = np.random.RandomState(0)
    one, other = (rng.choice(SAID, 60) for _ in range(2))
    features = RowFeatures(("boosted",), 0).fit(_said(one, other))
    assert features.common_ is None and features.pairs_ == []
    assert RowFeatures(("boosted",), 0).fit(_said(one, one)).pairs_ == [(0, 1)]


@pytest.mark.parametrize("other", [["", ""], ["!", "?"]])
def test_texts_in_which_there_is_nothing_to_count_are_not_compared(other):
    assert RowFeatures(BOTH, 0).fit(_said(other, other)).blocks_[0] <= 2
    assert np.isfinite(RowFeatures(BOTH, 0).fit_transform(_said(other, other))["boosted"]).all()


def test_two_missing_texts_are_not_alike():
    one = [None if i % 2 else f"{said} in {i}" for i, said in enumerate(SAID * 15)]
    other = [None if text is None else f"quite something else: {text[::-1]}" for text in one]
    assert RowFeatures(("boosted",), 0).fit(_said(one, other)).pairs_ == []
    found = RowFeatures(("boosted",), 0).fit_transform(_said(one, one))["boosted"][:, 1]
    np.testing.assert_allclose(found, [float(text is not None) for text in one], atol=1e-12)
    vectors = np.ones((60, 3))
    read = _with_vectors(_said(one, other), vectors, vectors)
    found = RowFeatures(("boosted",), 0).fit_transform(read)["boosted"][:, 1]
    np.testing.assert_allclose(found, [float(text is not None) for text in one])


def test_the_default_learns_that_two_texts_say_the_same_and_saves_it(tmp_path):
    rng = np.random.RandomState(0)
    words = np.array(["oil", "rises", "child", "apple", "snow", "spring", "letter", "guitar"])
    one = [" ".join(rng.choice(words, 4)) for _ in range(160)]
    same = rng.rand(160) < 0.5
    other = np.where(same, one, [" ".join(rng.choice(words, 4)) for _ in range(160)])
    X = pd.DataFrame({"one": one, "other": other})
    texts = RowSerializer(column_kinds={"one": "text", "other": "text"})
    model = LLMRegressor(
        fit_method="soft_ce", sft_epochs=1, serializer=texts, random_state=0, device="cpu"
    ).fit(X[:120], same[:120].astype(float))
    found = model.predict(X[120:])
    assert found[same[120:]].mean() > found[~same[120:]].mean() + 0.3
    model.save(tmp_path / "model")
    assert np.array_equal(LLMRegressor.load(tmp_path / "model").predict(X[120:]), found)
