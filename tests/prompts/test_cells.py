"""Cells as numbers: scales, knots, edges, category codes and text features."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from llmreg import RowSerializer
from llmreg.prompts.cells import CLIP, CellFeaturizer, TextFeaturizer


def _featurizer(numbers=True, categories=True, texts=True, **kwargs):
    settings = dict(n_knots=3, n_edges=4, n_components=5, random_state=0) | kwargs
    return CellFeaturizer(numbers=numbers, categories=categories, texts=texts, **settings)


def _rows(frame, **kinds):
    return RowSerializer(column_kinds=kinds).fit(frame).serialize(frame)


def _fit(frame, new=None, **kinds):
    """The featurizer, its values of the training frame, and those of a new frame."""
    serializer = RowSerializer(column_kinds=kinds).fit(frame)
    featurizer = _featurizer()
    values = featurizer.fit_transform(serializer.serialize(frame))
    return featurizer, values, featurizer.transform(serializer.serialize(frame if new is None
                                                                         else new))  # fmt: skip


@pytest.fixture
def frame():
    rng = np.random.RandomState(0)
    words = ["red", "blue", "old", "new", "big"]
    return pd.DataFrame(
        {
            "a": rng.randn(30) * 7 + 100,
            "b": np.where(rng.rand(30) < 0.3, np.nan, rng.rand(30)),
            "c": rng.choice(["x", "y", None], 30),
            "t": [" ".join(rng.choice(words, 4)) for _ in range(30)],
            "u": [" ".join(rng.choice(words, 2)) for _ in range(30)],
        }
    )


# -- numbers ----------------------------------------------------------------------------------


def test_numbers_are_standardised_by_the_training_rows(frame):
    _, values, _ = _fit(frame, c="category", t="text", u="text")
    raw = frame[["a", "b"]].to_numpy()
    expected = (raw - np.nanmean(raw, 0)) / np.nanstd(raw, 0)
    np.testing.assert_allclose(values.numbers, expected, rtol=1e-5, atol=1e-6)
    assert values.numbers.dtype == np.float32


def test_missing_numbers_stay_missing(frame):
    new = frame[:2].assign(a=[None, 1.0])
    _, values, later = _fit(frame, new, c="category", t="text", u="text")
    np.testing.assert_array_equal(np.isnan(values.numbers[:, 1]), frame["b"].isna())
    assert np.isnan(later.numbers[:, 0]).tolist() == [True, False]


def test_numbers_far_out_are_pulled_in_and_keep_their_order():
    X = pd.DataFrame({"a": np.r_[np.zeros(50), np.ones(50), 1e6]})
    new = pd.DataFrame({"a": [1e300, 2e6, 1e6, -1e300, 0.5]})
    _, values, later = _fit(X, new)
    found = later.numbers.ravel()
    assert found[0] > found[1] > found[2] == values.numbers.max() > 4
    assert abs(found[0]) < 9 and found[0] == -found[3]
    assert abs(found[4]) < 1


@pytest.mark.parametrize("value", [0.0, 5.0, 0.1, -1e200, 1e-200])
def test_constant_columns_say_nothing(value):
    X = pd.DataFrame({"a": np.full(11, value)})
    _, values, later = _fit(X, pd.DataFrame({"a": [value, value * 3 + 1, np.nan]}))
    assert (values.numbers == 0).all()
    assert (later.numbers[:2] == 0).all() and np.isnan(later.numbers[2])


def test_columns_whose_spread_is_rounding_noise_are_constant():
    X = pd.DataFrame({"a": np.array([0.1 + 0.2, 0.3] * 10) * 1e3})
    assert X["a"].nunique() == 2
    _, values, later = _fit(X, pd.DataFrame({"a": [301.0]}))
    assert (values.numbers == 0).all() and (later.numbers == 0).all()


def test_all_missing_columns_are_missing_and_later_values_say_nothing():
    X = pd.DataFrame({"a": [np.nan] * 5, "b": np.arange(5.0)})
    featurizer, values, later = _fit(X, X.assign(a=3.0))
    assert np.isnan(values.numbers[:, 0]).all()
    assert (later.numbers[:, 0] == 0).all()
    assert np.isfinite(featurizer.edges_).all()


@pytest.mark.parametrize("scale", [1e-250, 1e-10, 1e10, 1e250])
def test_standardised_numbers_do_not_depend_on_the_unit(scale):
    X = pd.DataFrame({"a": np.random.RandomState(0).randn(20)})
    _, expected, _ = _fit(X)
    featurizer, found, _ = _fit(X * scale)
    np.testing.assert_allclose(found.numbers, expected.numbers, rtol=1e-5)
    assert np.ptp(featurizer.edges_) > 0


def test_knots_are_quantiles_of_the_training_values(frame):
    featurizer, values, _ = _fit(frame, c="category", t="text", u="text")
    assert featurizer.knots_.shape == (2, 3)
    for knots, z in zip(featurizer.knots_, values.numbers.T, strict=True):
        expected = np.quantile(z[~np.isnan(z)], [0.25, 0.5, 0.75])
        np.testing.assert_allclose(knots, expected, atol=1e-5)


def test_estimates_have_knots_and_no_edges(frame):
    rows = _rows(frame, c="category", t="text", u="text")
    fields = [replace(field, estimate=field.name == "b") for field in rows.fields]
    featurizer = _featurizer()
    featurizer.fit_transform(replace(rows, fields=fields))
    assert np.ptp(featurizer.edges_[0]) > 0 and np.ptp(featurizer.edges_[1]) == 0
    assert (np.ptp(featurizer.knots_, axis=1) > 0).all()


def test_edges_are_quantiles_from_the_least_to_the_greatest_training_value(frame):
    featurizer, values, _ = _fit(frame, c="category", t="text", u="text")
    assert featurizer.edges_.shape == (2, 4)
    for edges, z in zip(featurizer.edges_, values.numbers.T, strict=True):
        expected = np.quantile(z[~np.isnan(z)], [0, 1 / 3, 2 / 3, 1])
        np.testing.assert_allclose(edges, expected, atol=1e-5)


def test_edges_of_a_few_values_are_these_values():
    X = pd.DataFrame({"a": [3.0, 1.0, 1.0, 1.0, 9.0, np.nan] * 3, "b": [0.0] * 8 + list(range(10))})
    featurizer, values, _ = _fit(X)
    few = np.unique(values.numbers[:5, 0])
    assert featurizer.edges_[0].tolist() == [*few, few[-1]]
    ties = featurizer.edges_[1]  # two of four quantiles are the same 0
    assert (np.diff(ties) >= 0).all() and ties[0] == values.numbers[0, 1]
    assert len(np.unique(ties)) == 3 and ties[-2] == ties[-1]


def test_datetimes_give_one_number_per_part():
    X = pd.DataFrame({"when": pd.date_range("2024-01-30", periods=9, freq="40h")})
    rows = _rows(X)
    values = _featurizer().fit_transform(rows)
    assert values.numbers.shape == (9, len(rows.fields[0].number_names)) == (9, 5)
    assert (np.diff(values.numbers[:, 0]) > 0).all()


# -- categories -------------------------------------------------------------------------------


def test_categories_are_coded_missing_unseen_and_seen():
    X = pd.DataFrame({"c": ["y", None, "x", "missing", "y"], "d": list("ppqqp")})
    new = pd.DataFrame({"c": [None, "z", "x", "y", "missing"], "d": ["r", None, "q", "p", "P"]})
    _, values, later = _fit(X, new, c="category", d="category")
    assert values.categories[:, 0].tolist() == [4, 0, 3, 2, 4]  # the word "missing" is a value
    assert values.categories[:, 1].tolist() == [2, 2, 3, 3, 2]
    assert later.categories[:, 0].tolist() == [0, 1, 3, 4, 2]
    assert later.categories[:, 1].tolist() == [1, 0, 3, 2, 1]
    assert values.categories.dtype == np.int64


def test_a_category_column_without_any_value_has_no_levels():
    X = pd.DataFrame({"c": [None, None], "d": ["p", "q"]})
    _, values, later = _fit(X, X.assign(c="new"), c="category", d="category")
    assert values.categories[:, 0].tolist() == [0, 0]
    assert later.categories[:, 0].tolist() == [1, 1]


# -- what is asked for ------------------------------------------------------------------------


def test_only_the_cells_asked_for_get_numbers(frame):
    rows = _rows(frame, c="category", t="text", u="text")
    shapes = {"numbers": (30, 2), "categories": (30, 1), "texts": (30, 2, 5)}
    empty = {"numbers": (30, 0), "categories": (30, 0), "texts": (30, 0, 0)}
    for asked in shapes:
        featurizer = _featurizer(**{name: name == asked for name in shapes})
        for values in (featurizer.fit_transform(rows), featurizer.transform(rows)):
            for name in shapes:
                found = getattr(values, name).shape
                assert found == (shapes if name == asked else empty)[name]


def test_taking_rows_takes_all_parts(frame):
    _, values, _ = _fit(frame, c="category", t="text", u="text")
    taken = values.take(np.array([3, 1]))
    for name in ("numbers", "categories", "texts"):
        np.testing.assert_array_equal(getattr(taken, name), getattr(values, name)[[3, 1]])


def test_training_rows_have_the_same_values_later(frame):
    _, values, later = _fit(frame, c="category", t="text", u="text")
    np.testing.assert_array_equal(later.numbers, values.numbers)
    np.testing.assert_array_equal(later.categories, values.categories)
    np.testing.assert_allclose(later.texts, values.texts, atol=1e-5)


def test_values_of_a_row_do_not_depend_on_the_other_rows(frame):
    kinds = dict(c="category", t="text", u="text")
    _, _, whole = _fit(frame, **kinds)
    for i in (0, 7):
        _, _, alone = _fit(frame, frame[i : i + 1], **kinds)
        np.testing.assert_array_equal(alone.numbers[0], whole.numbers[i])
        np.testing.assert_array_equal(alone.categories[0], whole.categories[i])
        np.testing.assert_allclose(alone.texts[0], whole.texts[i], atol=1e-6)


# -- texts ------------------------------------------------------------------------------------


def _texts(*texts):
    return np.array(texts, dtype=object)


WORDY = _texts(*[f"{a} {b} house" for a in ("Red", "blue", "old") for b in ("big", "SMALL", "new")])
CODES = _texts("CCO", "CCN", "c1ccccc1", "CC(=O)O", "NCCO", "OCC")


def test_several_words_are_counted_as_words_and_pairs():
    model = TextFeaturizer(3, 0)
    model.fit_transform(WORDY)
    terms = set(model.model_.get_feature_names_out())
    assert {"red", "house", "red big", "small house"} <= terms
    assert all(len(term.split()) <= 2 for term in terms)


def test_single_words_are_counted_by_their_characters():
    model = TextFeaturizer(3, 0)
    model.fit_transform(CODES)
    terms = set(model.model_.get_feature_names_out())
    assert {"C", "c", "CC", "(=O)"} <= terms  # the case of a letter is kept
    assert max(map(len, terms)) == 4


def test_rare_terms_are_dropped_from_long_tables_alone():
    short = TextFeaturizer(3, 0)
    short.fit_transform(WORDY)
    assert "red big" in short.model_.get_feature_names_out()
    long = TextFeaturizer(3, 0)
    long.fit_transform(np.concatenate([WORDY] * 6 + [_texts("unique words here")]))
    terms = set(long.model_.get_feature_names_out())
    assert "red big" in terms and "unique" not in terms


def test_features_are_the_reduced_standardised_tfidf():
    texts = WORDY[:-2]  # without symmetry, in which a component would be constant
    model = TextFeaturizer(3, 7)
    found = model.fit_transform(texts)
    tfidf = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)).fit_transform(texts)
    reduced = TruncatedSVD(3, random_state=7).fit_transform(tfidf)
    expected = (reduced - reduced.mean(0)) / reduced.std(0)
    np.testing.assert_allclose(found, np.clip(expected, -CLIP, CLIP), rtol=1e-4, atol=1e-5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(model.transform(texts), found, atol=1e-4)


def test_there_are_no_more_features_than_rows_and_terms_allow():
    assert TextFeaturizer(64, 0).fit_transform(WORDY).shape == (9, 8)
    assert TextFeaturizer(64, 0).fit_transform(_texts("a a", "b b", "aa bb")).shape[1] <= 2


@pytest.mark.parametrize(
    "texts", [("", "", ""), ("one text",), ("\u200b \u200b", ""), ("a b c", "a b c")], ids=str
)
def test_texts_without_features_do_no_harm(texts):
    model = TextFeaturizer(4, 0)
    found = model.fit_transform(_texts(*texts))
    assert len(found) == len(texts) and np.isfinite(found).all()
    later = model.transform(_texts("something else", ""))
    assert later.shape == (2, found.shape[1]) and np.isfinite(later).all()


def test_a_column_without_features_beside_one_with_features_is_zero(frame):
    _, values, later = _fit(frame.assign(u="."), c="category", t="text", u="text")
    assert values.texts.shape == (30, 2, 5)
    assert values.texts[:, 0].any() and not values.texts[:, 1].any() and not later.texts[:, 1].any()
    _, values, _ = _fit(frame.assign(u=".", t="."), c="category", t="text", u="text")
    assert values.texts.shape == (30, 0, 0)  # as if there were no text columns


def test_unheard_of_words_are_the_average_text():
    model = TextFeaturizer(3, 0)
    model.fit_transform(WORDY)
    later = model.transform(_texts("zebra", "Red big house"))
    np.testing.assert_allclose(later[0], model.transform(_texts(""))[0], atol=1e-6)
    assert np.abs(later[1] - later[0]).max() > 0.1


def test_vectors_that_are_there_replace_tfidf():
    lengths = np.array([[len(text), 3.0] for text in WORDY])
    model = TextFeaturizer(64, 0)
    found = model.fit_transform(WORDY, lengths)
    expected = (lengths[:, 0] - lengths[:, 0].mean()) / lengths[:, 0].std()
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-5)
    assert (found[:, 1] == 0).all() and found.dtype == np.float32
    assert model.transform(_texts("any"), np.array([[1e6, 3.0]])).tolist() == [[CLIP, 0.0]]


def test_each_text_column_has_features_of_its_own(frame):
    featurizer, values, _ = _fit(frame, c="category", t="text", u="text")
    one, other = featurizer.text_models_
    assert one.model_ is not other.model_
    for column, model, found in zip("tu", (one, other), values.texts.swapaxes(0, 1), strict=True):
        np.testing.assert_allclose(
            found, model.transform(frame[column].to_numpy(object)), atol=1e-5
        )
