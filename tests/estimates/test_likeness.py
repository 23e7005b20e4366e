"""How alike two texts of a row are: by vectors, by words, and not at all."""

import numpy as np
import pandas as pd
import pytest
from text_vectors import with_vectors

from llmreg import LLMRegressor, RowSerializer
from llmreg.estimates.likeness import TextLikeness
from llmreg.estimates.row_features import RowFeatures


def _pairs(n=40):
    rng = np.random.RandomState(0)
    words = [" ".join(rng.choice(list("pqrstuvw"), 4)) for _ in range(n)]
    X = pd.DataFrame({"size": rng.randn(n), "text": words, "other": words[::-1]})
    return RowSerializer(column_kinds={"text": "text", "other": "text"}).fit(X).serialize(X)


def test_how_alike_two_texts_are_is_a_number():
    rng = np.random.RandomState(2)
    a, b = rng.randn(40, 6), rng.randn(40, 6)
    a[5] = 0.0  # a text of which nothing is known is like no other
    rows = with_vectors(_pairs(), a, b)
    found = TextLikeness().fit_transform(rows)
    expected = [
        x @ y / (np.linalg.norm(x) * np.linalg.norm(y)) if x.any() else 0.0
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(found[:, 0], expected)
    assert found[5, 0] == 0.0
    features = RowFeatures(("boosted", "linear"), 0)
    np.testing.assert_array_equal(features.fit_transform(rows)["boosted"][:, 2], found[:, 0])
    # Zeros, the number, and this; some by rank, too.
    assert features.blocks_[0] == [1] * (3 + len(features.ranks_.columns_))


def test_vectors_of_two_kinds_are_not_compared():
    rng = np.random.RandomState(2)
    rows = with_vectors(_pairs(), rng.rand(40, 6), rng.rand(40, 5))
    assert TextLikeness().fit_transform(rows).shape == (40, 0)


SAID = ["the price of oil rises", "a child eats an apple", "PRICES of oils", "snow in spring"]


def _said(one, other):
    kinds = {"one": "text", "other": "text"}
    table = pd.DataFrame({"one": one, "other": other})
    return RowSerializer(column_kinds=kinds).fit(table).serialize(table)


def test_texts_without_vectors_are_alike_by_the_pieces_of_words_that_they_share():
    likeness = TextLikeness()
    (found,) = likeness.fit_transform(_said(SAID, [SAID[0], "dog", SAID[0], SAID[3]])).T
    np.testing.assert_allclose(found[[0, 1, 3]], [1.0, 0.0, 1.0], atol=1e-12)
    weights = likeness.common_.transform([SAID[2], SAID[0]]).toarray()
    assert found[2] == pytest.approx(weights[0] @ weights[1]) and 0.2 < found[2] < 0.9
    alone = likeness.transform(_said(SAID[2:3], SAID[:1]))
    np.testing.assert_allclose(alone, [[found[2]]], atol=1e-12)


def test_long_texts_are_alike_by_their_words():
    one, other = "many words here " * 20, "quite another kind of thing, words " * 20
    likeness = TextLikeness()
    found = likeness.fit_transform(_said([one, other], [one, other]))
    np.testing.assert_allclose(found, 1.0)
    across = likeness.transform(_said([one], [other]))
    assert likeness.common_.analyzer == "word" and 0 < across[0, 0] < 0.5


def test_long_texts_without_blanks_are_alike_by_their_pieces():
    rng = np.random.default_rng(0)
    one = ["".join(rng.choice(list("ACGT"), 300)) for _ in range(40)]
    other = [text[:280] + "".join(rng.choice(list("ACGT"), 20)) for text in one]
    likeness = TextLikeness()
    (found,) = likeness.fit_transform(_said(one, other)).T
    assert likeness.common_.analyzer == "char_wb" and found.min() > 0.8


def test_texts_that_share_no_more_within_a_row_than_across_rows_are_not_compared():
    rng = np.random.RandomState(0)
    one, other = (rng.choice(SAID, 60) for _ in range(2))
    likeness = TextLikeness().fit(_said(one, other))
    assert likeness.common_ is None and likeness.pairs_ == []
    assert TextLikeness().fit(_said(one, one)).pairs_ == [(0, 1)]


def test_texts_in_which_there_is_nothing_to_count_are_not_compared():
    rows = _said(["", ""], ["", ""])
    assert TextLikeness().fit_transform(rows).shape == (2, 0)
    assert np.isfinite(RowFeatures(("boosted",), 0).fit_transform(rows)["boosted"]).all()


def test_two_missing_texts_are_not_alike():
    one = [None if i % 2 else f"{said} in {i}" for i, said in enumerate(SAID * 15)]
    other = [None if text is None else f"quite something else: {text[::-1]}" for text in one]
    assert TextLikeness().fit(_said(one, other)).pairs_ == []
    (found,) = TextLikeness().fit_transform(_said(one, one)).T
    np.testing.assert_allclose(found, [float(text is not None) for text in one], atol=1e-12)
    vectors = np.ones((60, 3))
    read = with_vectors(_said(one, other), vectors, vectors)
    (found,) = TextLikeness().fit_transform(read).T
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
