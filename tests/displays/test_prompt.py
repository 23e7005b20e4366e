"""What was read, as text and as a page, for fresh and pretrained weights."""

import xml.etree.ElementTree as ElementTree

import pytest
from sklearn.exceptions import NotFittedError

from llmreg import LLMRegressor, PromptDisplay, RowSerializer

QUICK = dict(fit_method="ce", sft_epochs=1, random_state=0, validation_fraction=None)


@pytest.fixture(scope="module")
def pretrained(pretrained_folder, table):
    model = LLMRegressor(pretrained_folder, number_input="text+value", estimates=None, **QUICK)
    return model.fit(table.X[:8], table.y[:8])


def test_fresh_weights_read_cells(pipeline, table):
    display = PromptDisplay.from_estimator(pipeline, table.X, row=3)
    cells = display.to_frame().set_index("column")
    row = table.X.iloc[3]
    assert list(cells.index) == ["size", "city", "words", "linear estimate"]
    assert cells.loc["size", "text"] == f"{row['size']:.6g}"
    assert list(cells.loc["city"])[1:] == [row["city"], 0, 1]
    assert cells.loc["words", "text"] == row["words"] and cells.loc["words", "tokens"] > 0
    text = repr(display)
    assert text.startswith(f"size=<{row['size']:.6g}> city=<{row['city']}> words=[{row['words']}]<")
    assert "feature vectors>" in text and text.endswith("<answer>")


def test_pretrained_weights_read_the_row(pretrained, table):
    display = PromptDisplay.from_estimator(pretrained, table.X, row=-1)
    row = table.X.iloc[-1]
    size = f"{row['size']:.6g}"
    assert repr(display).endswith(
        f"size: [{size}]<{size}>, city: [{row['city']}], words: [{row['words']}]. price:"
    )
    prompt = pretrained.serializer_.transform(table.X).ravel()[-1]
    assert "".join(segment.text for segment in display.segments).endswith(prompt)


def test_a_texts_features_stand_first_and_are_named(pretrained_folder, table):
    model = LLMRegressor(pretrained_folder, text_features=True, **QUICK)
    text = repr(PromptDisplay.from_estimator(model.fit(table.X[:8], table.y[:8]), table.X))
    assert text.startswith("<8 feature vectors of words>")
    assert f"words: [{table.X['words'][0]}]" in text


def test_the_page_marks_the_cells_by_how_they_are_read(pretrained, table):
    page = PromptDisplay.from_estimator(pretrained, table.X)._repr_html_()
    root = ElementTree.fromstring(f"<div>{page}</div>")
    titles = [span.get("title") for span in root.iter("span") if span.get("title")]
    assert titles == [
        "size (number), read as text and vector",
        "city (category), read as text",
        "words (text), read as text",
    ]


def test_cells_cannot_write_html(quick_fit, table):
    X = table.X.assign(words='<b>bold</b> & "more" of it')
    model = quick_fit(X, table.y, fit_method="ce")
    page = PromptDisplay.from_estimator(model, X)._repr_html_()
    assert "<b>" not in page and "&lt;b&gt;bold" in page
    ElementTree.fromstring(f"<div>{page.replace('&nbsp;', ' ')}</div>")


def test_what_is_cut_is_not_shown(quick_fit, table):
    X = table.X.assign(words=[f"house {i} " * 100 for i in range(40)])
    with pytest.warns(UserWarning, match="cut"):
        model = quick_fit(X, table.y, fit_method="ce", serializer=RowSerializer(max_text_tokens=64))
    with pytest.warns(UserWarning, match="cut to 64 tokens in 1 of 1"):
        cells = PromptDisplay.from_estimator(model, X).to_frame().set_index("column")
    assert cells.loc["words", "tokens"] == 64
    assert X["words"][0].startswith(cells.loc["words", "text"])


def test_sentences_are_shown_as_vectors(quick_fit, table):
    X = table.X.assign(words=[f"house {i} " * 100 for i in range(40)])
    display = PromptDisplay.from_estimator(quick_fit(X, table.y, fit_method="ce"), X)
    cells = display.to_frame().set_index("column")
    assert cells.loc["words", "tokens"] == 0
    assert "words=<8 feature vectors>" in str(display)


def test_what_cannot_be_shown_is_refused(pipeline, table):
    with pytest.raises(NotFittedError):
        PromptDisplay.from_estimator(LLMRegressor(), table.X)
    for row in (40, -41, 1.5, "a", [1, 2]):
        with pytest.raises(IndexError, match=r"row=.* is no row of X: .* from -40 to 39"):
            PromptDisplay.from_estimator(pipeline, table.X, row=row)
