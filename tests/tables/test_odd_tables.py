"""From odd tables to prompts and predictions: gaps, half emoji, NUL characters, long cells."""

import numpy as np
import pandas as pd
import pytest

from llmreg import LLMRegressor, RowSerializer

HALF = "\ud83d"  # of an emoji, as cut-off JSON has it
IDS = [10**18 + 1, 10**18 + 2, 10**18 + 3, 10**18 + 1]


def _records(ids, gap):
    rows = [{"id": number, "size": number % 7, "flag": number % 2 == 0} for number in ids]
    return [*rows, {}] if gap else rows


@pytest.mark.parametrize("gap_in_fit", [False, True])
@pytest.mark.parametrize("kind", ["category", "text", "number"])
def test_a_gap_changes_no_other_prompt(gap_in_fit, kind):
    serializer = RowSerializer(column_kinds={"id": kind}).fit(_records(IDS, gap_in_fit))
    found, other = (serializer.serialize(_records(IDS, gap)) for gap in (False, True))
    assert found.to_text().tolist() == other.to_text().tolist()[:-1]
    for field, with_gap in zip(found.fields, other.fields, strict=True):
        if field.numbers is not None:
            np.testing.assert_array_equal(field.numbers, with_gap.numbers[:-1])
    if kind != "number":
        assert found.fields[0].text.tolist() == list(map(str, IDS))


def test_ids_with_a_gap_are_told_apart_in_every_container():
    pl = pytest.importorskip("polars")
    pa = pytest.importorskip("pyarrow")
    columns = {"id": [*IDS, None], "city": [*"abca", None]}
    serializer = RowSerializer(column_kinds={"id": "category"}).fit(columns)
    expected = [[str(i), c] for i, c in zip(IDS, "abca", strict=True)] + [["missing"] * 2]
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for X in (columns, rows, pl.DataFrame(columns), pl.LazyFrame(columns), pa.table(columns)):
        found = serializer.serialize(X)
        assert np.stack([field.text for field in found.fields], 1).tolist() == expected


@pytest.fixture(scope="module")
def odd():
    """A table with halves of emoji wherever a string can be, and a target named by one."""
    rng = np.random.RandomState(0)
    X = [
        {
            "n" + HALF: float(rng.randn()),
            "level": rng.choice(["a", "a\0", HALF, "b\u202e\ufffe"]),
            "text": " ".join(rng.choice(["red", "old\0", HALF, "🏠", ""], 3)) + str(i),
        }
        for i in range(40)
    ]
    return X, pd.Series(rng.randn(40), name="price " + HALF)


def _settings(**kwargs):
    few = dict(fit_method="ce", sft_epochs=1, random_state=0, validation_fraction=None)
    return few | dict(serializer=RowSerializer(missing="none " + HALF)) | kwargs


@pytest.mark.parametrize("pretrained", [False, True])
def test_half_emoji_and_odd_characters_are_learnt_and_predicted(
    odd, pretrained, pretrained_folder, tmp_path
):
    X, y = odd
    model = pretrained_folder if pretrained else "tiny"
    settings = _settings(model=model, estimates="linear")
    model = LLMRegressor(**settings).fit(X, y)
    some = [*X[:5], {}]
    predicted = model.predict(some)
    assert np.isfinite(predicted).all()
    np.testing.assert_allclose(model.predict(some[::-1])[::-1], predicted, atol=1e-5)
    model.save(tmp_path / "model")
    np.testing.assert_allclose(
        LLMRegressor.load(tmp_path / "model").predict(some), predicted, atol=1e-6
    )


def test_text_regression_reads_half_emoji():
    texts = [f"flat {i} {HALF}" for i in range(20)]
    model = LLMRegressor(**_settings(estimates=None)).fit(texts, np.arange(20.0))
    assert np.isfinite(model.predict([HALF, "", "\0", "flat 3"])).all()


@pytest.mark.parametrize("rows", [lambda X: X, lambda X: X.to_numpy(object).tolist()])
def test_a_gap_among_intervals_does_not_change_how_the_others_are_written(rows):
    X = pd.DataFrame({"bin": pd.cut(np.arange(6), [-1, 2, 9]).astype(object), "b": np.arange(6)})
    gap = X.assign(bin=X["bin"].where(X["b"] > 0))
    floats = X.assign(bin=[pd.Interval(float(i.left), float(i.right)) for i in X["bin"]])
    serializer = RowSerializer().fit(rows(X))
    expected = serializer.transform(rows(X))[1:]
    for other in (gap, floats):
        assert serializer.transform(rows(other))[1:].tolist() == expected.tolist()
