"""Rows as prompts: wording, templates, kinds, and scikit-learn's conventions."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

from llmreg.tables.serialization import RowSerializer


@pytest.fixture
def flats():
    return pd.DataFrame(
        {
            "title": ["Bright flat with a view over the whole old town", "A ruin {sic}", None],
            "area": [54.5, 120.0, np.nan],
            "rooms": [2, 5, 1],
            "city": ["Graz", "Linz", "Graz"],
            "built": pd.to_datetime(["1968-03-01", "1911-07-15", None]),
        }
    )


def prompts(serializer, X, y=None):
    return serializer.fit(X, y).transform(X).ravel().tolist()


# scikit-learn compares outputs as numbers; prompts are compared as what they are, exactly.


def assert_same(actual, desired, err_msg="", **tolerances):
    np.testing.assert_array_equal(actual, desired, err_msg=err_msg)


@pytest.fixture
def text_is_compared_exactly(monkeypatch):
    monkeypatch.setattr(estimator_checks, "assert_allclose", assert_same)
    monkeypatch.setattr(estimator_checks, "assert_allclose_dense_sparse", assert_same)


@pytest.mark.usefixtures("text_is_compared_exactly")
@estimator_checks.parametrize_with_checks([RowSerializer()])
def test_it_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.usefixtures("text_is_compared_exactly")
@pytest.mark.parametrize(
    "check",
    [
        "check_param_validation",
        "check_dataframe_column_names_consistency",
        "check_transformer_get_feature_names_out",
        "check_transformer_get_feature_names_out_pandas",
        "check_set_output_transform",
        "check_set_output_transform_pandas",
    ],
)
def test_it_passes_the_checks_that_scikit_learn_reserves_for_its_own(check):
    getattr(estimator_checks, check)("RowSerializer", RowSerializer())


# Wording


def test_a_row_reads_as_names_and_values_in_column_order_and_ends_in_the_target(flats):
    y = pd.Series([1.0, 2.0, 3.0], name="rent")
    assert prompts(RowSerializer(columns=["rooms", "city", "area", "built"]), flats, y) == [
        "rooms: 2, city: Graz, area: 54.5, built: 1968-03-01. rent:",
        "rooms: 5, city: Linz, area: 120, built: 1911-07-15. rent:",
        "rooms: 1, city: Graz, area: missing, built: missing. rent:",
    ]


@pytest.mark.parametrize(
    "y",
    [None, [1, 2, 3], np.ones(3), *(pd.Series([1, 2, 3], name=name) for name in (None, 0, " "))],
)
def test_a_target_without_a_name_is_called_target(flats, y):
    serializer = RowSerializer(columns=["rooms"]).fit(flats, y)
    assert serializer.target_name_ == "target"
    assert serializer.template_ == "rooms: {rooms}. target:"


def test_a_polars_series_names_the_target(flats):
    polars = pytest.importorskip("polars")
    serializer = RowSerializer().fit(flats, polars.Series("rent", [1, 2, 3]))
    assert serializer.target_name_ == "rent"


@pytest.mark.parametrize(
    "texts",
    [
        ["good", "bad", "good"],
        np.array(["good", "bad", "good"]),
        pd.Series(["good", "bad", "good"], name="review"),
        pd.DataFrame({"review": ["good", "bad", "good"]}),
    ],
)
def test_text_regression_has_no_label(texts):
    serializer = RowSerializer()
    assert prompts(serializer, texts) == ["good\ntarget:", "bad\ntarget:", "good\ntarget:"]
    assert list(serializer.kinds_.values()) == ["text"]


def test_the_columns_parameter_selects_and_orders(flats):
    serializer = RowSerializer(columns=["city", "rooms"]).fit(flats)
    assert serializer.columns_ == ["city", "rooms"]
    assert serializer.transform(flats)[0, 0] == "city: Graz, rooms: 2. target:"


def test_integer_column_names_may_be_given_as_integers():
    X = pd.DataFrame({0: [1, 2], 1: ["a", "b"]})
    serializer = RowSerializer(columns=[1], column_kinds={1: "category"})
    assert prompts(serializer, X) == ["1: a. target:", "1: b. target:"]


# Templates


def test_a_template_sets_the_words_and_leaves_out_what_it_does_not_name(flats):
    serializer = RowSerializer("{title}: {rooms} rooms. Price in EUR:")
    assert prompts(serializer, flats)[1:] == [
        "A ruin {sic}: 5 rooms. Price in EUR:",
        "missing: 1 rooms. Price in EUR:",
    ]
    assert serializer.columns_ == ["title", "rooms"]
    assert serializer.template_ == "{title}: {rooms} rooms. Price in EUR:"


def test_braces_are_written_twice_in_a_template(flats):
    serializer = RowSerializer('{{"rooms": {rooms}}}')
    assert prompts(serializer, flats)[0] == '{"rooms": 2}'


def test_a_format_in_the_template_is_followed_to_the_letter(flats):
    serializer = RowSerializer("{area:.2f}/{rooms:.1f}/{rooms}/{area}", number_format=".4g")
    assert prompts(serializer, flats) == [
        "54.50/2.0/2/54.5",
        "120.00/5.0/5/120",
        "missing/1.0/1/missing",
    ]


@pytest.mark.parametrize("name", ["engine size (l)", "price.usd", "ratio: a", "a[0]", "Größe 📏"])
def test_column_names_need_not_be_identifiers(name):
    X = pd.DataFrame({name: [1.5, 2.5]})
    assert prompts(RowSerializer("It is {" + name + "}!"), X) == ["It is 1.5!", "It is 2.5!"]


def test_a_default_prompt_copes_with_braces_in_column_names():
    X = pd.DataFrame({"a{b}": [1, 2], "{": [3, 4]})
    assert prompts(RowSerializer(), X)[0] == "a{b}: 1, {: 3. target:"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("Price:", r"has no field.*legal columns: \['title', 'area'"),
        ("{areas}", r"'areas', which is unknown\. Did you mean 'area'\? Legal columns: \['title'"),
        ("{}", "'', which is unknown"),
        ("{area!r}", r"conversion '!r', which is not supported\. Write \{area\}"),
        ("{area.real}", "reaches into column 'area'"),
        ("{area[0]}", "reaches into column 'area'"),
        ("{area", "cannot be read: .*literal brace"),
        ("{city:>10}", "'city' the format '>10', but the column is a category"),
        ("{built:%Y}", "'built' the format '%Y', but the column is a datetime"),
        ("{area:nonsense}", "format of column 'area', 'nonsense' is not a format specification"),
        ("{rooms:d}", "for whole numbers write '.0f'"),
    ],
)
def test_a_wrong_template_is_refused_with_a_remedy(flats, template, message):
    with pytest.raises(ValueError, match=message):
        RowSerializer(template).fit(flats)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"columns": ["rooms", "citty"]}, r"'citty', which is unknown\. Did you mean 'city'"),
        ({"columns": []}, "at least one column"),
        ({"columns": ["city", "city"]}, "only once"),
        ({"columns": ["city"], "template": "{rooms}"}, r"Legal columns: \['city'\]"),
        ({"column_kinds": {"citty": "text"}}, "column_kinds names the column 'citty'"),
        ({"column_kinds": {"city": "numeric"}}, "'numeric'. Legal kinds: number, category"),
        ({"column_kinds": {"city": "number"}}, "3 of its 3 values cannot be, for example 'Graz'"),
        ({"column_kinds": {"rooms": "datetime"}}, "read as a datetime.*for example 2"),
        ({"number_format": "four"}, "number_format 'four' is not a format"),
        ({"max_text_tokens": -1}, "'max_text_tokens' parameter of RowSerializer must be"),
        ({"max_categories": -1}, "'max_categories' parameter of RowSerializer must be"),
    ],
)
def test_wrong_parameters_are_refused_with_what_is_legal(flats, parameters, message):
    with pytest.raises(ValueError, match=message):
        RowSerializer(**parameters).fit(flats)


# Serialised rows


def test_fields_and_literals_put_together_are_the_prompts(flats):
    serializer = RowSerializer("<{rooms}|{area}{city}>").fit(flats)
    rows = serializer.serialize(flats)
    assert rows.literals == ("<", "|", "", ">")
    assert rows.n_rows == 3
    assert [field.name for field in rows.fields] == ["rooms", "area", "city"]
    assert rows.to_text().tolist() == ["<2|54.5Graz>", "<5|120Linz>", "<1|missingGraz>"]
    assert rows.to_text().dtype == object


def test_a_field_carries_text_numbers_and_where_they_are_missing(flats):
    city, area = RowSerializer("{city} {area}").fit(flats).serialize(flats).fields
    assert (city.kind, city.numbers, city.number_names) == ("category", None, ())
    assert area.kind == "number"
    assert area.number_names == ("area",)
    np.testing.assert_array_equal(area.numbers, [[54.5], [120.0], [np.nan]])
    np.testing.assert_array_equal(area.missing, [False, False, True])
    assert area.text.tolist() == ["54.5", "120", "missing"]


def test_text_is_returned_uncut_whatever_the_token_budget():
    long = "word " * 10_000
    serializer = RowSerializer(max_text_tokens=1)
    assert prompts(serializer, [long, "short"])[0] == long + "\ntarget:"


def test_cells_are_never_interpreted():
    X = ["{title}", "{{}}", "{0!r:>10}", "%s", "naïve 🏠\n{"]
    assert prompts(RowSerializer("<{text}>"), X) == [f"<{text}>" for text in X]


def test_categories_unseen_in_training_are_written_as_they_are(flats):
    serializer = RowSerializer("{city}").fit(flats)
    new = flats.assign(city=["Wien", None, "Graz"])
    assert serializer.transform(new).ravel().tolist() == ["Wien", "missing", "Graz"]


def test_the_prompt_of_a_row_does_not_depend_on_the_rows_beside_it(flats):
    flats = flats.assign(mixed=pd.Series([1, True, 1.0], dtype=object))
    serializer = RowSerializer().fit(flats)
    together = serializer.transform(flats).ravel()
    alone = [serializer.transform(flats.iloc[[row]])[0, 0] for row in range(3)]
    assert together.tolist() == alone


def test_a_number_column_that_holds_words_warns_and_reads_them_as_missing(flats):
    serializer = RowSerializer("{area}").fit(flats)
    new = flats.assign(area=pd.Series(["many", "70", "many"], dtype=object))
    with pytest.warns(UserWarning, match="'area' was a number in training, but 2 of the 3.*'many'"):
        assert serializer.transform(new).ravel().tolist() == ["missing", "70", "missing"]


def test_columns_of_unseen_categories_warn_once_with_counts_and_examples(flats):
    flats = flats.assign(size=pd.cut(flats["rooms"], 3), zone=["a", "b", "a"])
    serializer = RowSerializer(columns=["city", "size", "zone"]).fit(flats)
    new = flats.assign(city=["GRAZ", "LINZ", None], size=pd.cut(flats["rooms"] + 1, 3))
    with pytest.warns(UserWarning) as caught:
        serializer.transform(new)
    [warning] = caught
    message = str(warning.message)
    assert "'city' (2 of 2, for example 'GRAZ', where training had 'Graz', 'Linz')" in message
    assert "'size' (3 of 3" in message and "'zone'" not in message


@pytest.mark.parametrize(
    "city", [["Graz ", " Linz", "Graz"], ["Graz", "Linz", "Wien"], ["Wien", "", None]]
)
def test_few_unseen_categories_and_blanks_around_them_are_no_news(flats, city):
    serializer = RowSerializer("{city}").fit(flats)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        serializer.transform(flats.assign(city=city))


def test_a_blank_cell_is_missing_everywhere(flats):
    blank = flats.assign(title=["a b", "", " "], city=["", "Graz", "\t"])
    serializer = RowSerializer("{title}|{city}", column_kinds={"title": "text"})
    assert prompts(serializer, blank) == ["a b|missing", "missing|Graz", "missing|missing"]


def test_positions_match_columns_when_only_fit_saw_names(flats):
    serializer = RowSerializer("{rooms} in {city}").fit(flats)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        texts = serializer.transform(flats.to_numpy(dtype=object))
    assert texts.ravel().tolist() == ["2 in Graz", "5 in Linz", "1 in Graz"]


# scikit-learn's conventions


def test_a_table_is_never_modified(flats):
    before = flats.copy(deep=True)
    RowSerializer().fit(flats).transform(flats)
    pd.testing.assert_frame_equal(flats, before)


def test_an_unfitted_serializer_says_so(flats):
    with pytest.raises(NotFittedError):
        RowSerializer().serialize(flats)
    with pytest.raises(NotFittedError):
        RowSerializer().get_feature_names_out()


def test_a_pickled_serializer_writes_the_same(flats):
    serializer = RowSerializer(missing="?").fit(flats)
    copy = pickle.loads(pickle.dumps(serializer))
    assert_same(copy.transform(flats), serializer.transform(flats))


def test_a_clone_is_unfitted_and_has_the_same_parameters():
    serializer = RowSerializer("{a}", columns=["a"], column_kinds={"a": "text"}, missing="?")
    copy = clone(serializer.fit(pd.DataFrame({"a": ["x"]})))
    assert copy.get_params() == serializer.get_params()
    assert not hasattr(copy, "columns_")


def test_the_output_can_be_a_pandas_frame_with_the_index_of_the_input(flats):
    flats.index = ["a", "b", "c"]
    out = RowSerializer().set_output(transform="pandas").fit(flats).transform(flats)
    assert list(out.columns) == ["prompt"]
    assert list(out.index) == ["a", "b", "c"]


def test_it_works_in_a_pipeline_and_has_an_html_representation(flats):
    length = FunctionTransformer(lambda X: np.char.str_len(X.astype(str)))
    pipeline = make_pipeline(RowSerializer("{city}"), length)
    assert pipeline.fit_transform(flats).tolist() == [[4], [4], [4]]
    assert "RowSerializer" in pipeline._repr_html_()


def test_fitting_and_writing_a_clean_table_warns_of_nothing(flats):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RowSerializer().fit(flats).transform(flats)


def test_refitting_forgets_the_previous_table(flats):
    serializer = RowSerializer().fit(flats).fit(np.ones((2, 2)))
    assert serializer.columns_ == ["x0", "x1"]
    assert not hasattr(serializer, "feature_names_in_")


def test_rows_can_be_taken():
    X = pd.DataFrame({"a": [1.5, np.nan, 3.0], "b": ["x", "y", "z"]})
    rows = RowSerializer().fit(X).serialize(X)
    some = rows.take(np.array([2, 0]))
    assert some.n_rows == 2
    np.testing.assert_array_equal(some.to_text(), rows.to_text()[[2, 0]])
    np.testing.assert_array_equal(some.fields[0].numbers, [[3.0], [1.5]])
    assert not some.fields[0].missing.any() and some.fields[1].numbers is None


def test_prompts_go_on_as_strings_by_a_column_transformer():
    X = pd.DataFrame({"size": [30.0, 45, 60, 80], "city": ["Graz", "Linz", "Graz", "Wien"]})
    prompts = make_column_transformer((TfidfVectorizer(), 0))
    pipeline = make_pipeline(RowSerializer(), prompts, Ridge()).fit(X, [3.0, 4, 6, 8])
    assert "graz" in pipeline[1].named_transformers_["tfidfvectorizer"].vocabulary_
    assert pipeline.predict(X).shape == (4,)
