"""Real pretrained weights as readers of texts: ``pytest -m real``.

Where their packages are not installed (benchmarks/real_weights.py says how), tests are skipped.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from transformers import AutoModel, AutoTokenizer

from benchmarks.real_weights import real_model, sentence_encoder, word_vectors
from llmreg import LLMRegressor, RowSerializer, TextEncoder

pytestmark = pytest.mark.real
DATA = Path(__file__).parents[2] / "examples" / "data"
FOLDERS = {"SmolLM2": lambda: real_model("smollm2"), "MiniLM": sentence_encoder}
TEXTS = [
    "It broke after a week.", "The thing fell apart within days.", "A joy to use.",
    "I love it, wonderful!",
]  # fmt: skip


@pytest.fixture(scope="module", params=FOLDERS)
def folder(request):
    try:
        return FOLDERS[request.param]()
    except ModuleNotFoundError as error:
        pytest.skip(str(error))


def test_what_means_the_same_is_near(folder):
    a, a_too, b, b_too = TextEncoder(folder, device="cpu").fit_transform(TEXTS)
    assert min(a @ a_too, b @ b_too) > max(a @ b, a @ b_too, a_too @ b, a_too @ b_too)


def test_vectors_are_means_of_the_models_own_states(folder):
    found = TextEncoder(folder, device="cpu").fit_transform(TEXTS)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype="float32")
    for text, vector in zip(TEXTS, found, strict=True):
        if model.config.model_type == "bert":
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        else:
            ids = tokenizer(tokenizer.bos_token + text, return_tensors="pt")
            states = model(**ids, output_hidden_states=True).hidden_states[15][0, 1:]
        mean = states.mean(0).detach().numpy()
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def _correlation(reader):
    """With the stars of reviews in words that the training reviews do not have."""
    reviews = pd.read_csv(DATA / "reviews.csv")[:150]
    others = pd.read_csv(DATA / "rewordings.csv")
    model = LLMRegressor(fit_method="soft_ce", sft_epochs=3, random_state=0,
                         text_features=reader, device="cpu")  # fmt: skip
    model.fit(reviews[["review"]], reviews["stars"])
    return np.corrcoef(model.predict(others[["review"]]), others["stars"])[0, 1]


def test_words_never_seen_are_understood(folder):
    assert _correlation(TextEncoder(folder)) > _correlation("auto") + 0.05


def test_word_vectors_know_words_never_seen():
    pytest.importorskip("wordllama")
    assert _correlation(word_vectors()) > _correlation("auto") + 0.05


def test_how_alike_two_sentences_are_is_learnt(folder):
    rng = np.random.RandomState(0)
    same = [
        ("A man plays the guitar", "Someone makes music"),
        ("Two dogs run in the snow", "Animals play outside"),
        ("The price of oil rises", "Fuel becomes more expensive"),
        ("A child eats an apple", "A kid has some fruit"),
        ("It rains in Spain", "The weather is wet"),
        ("She writes a long letter", "A woman puts words on paper"),
    ]
    i, j = rng.randint(0, 6, (2, 160))
    j = np.where(rng.rand(160) < 0.5, i, j)
    alike, known = (i == j).astype(float), (i < 4) & (j < 4)  # nobody is shown the others
    X = pd.DataFrame({"one": [same[a][0] for a in i], "other": [same[b][1] for b in j]})

    def gap(reader):
        texts = RowSerializer(column_kinds={"one": "text", "other": "text"})
        model = LLMRegressor(fit_method="soft_ce", sft_epochs=2, serializer=texts,
                             text_features=reader, estimates="both", random_state=0)  # fmt: skip
        found = model.fit(X[known], alike[known]).predict(X[~known])
        return found[alike[~known] == 1].mean() - found[alike[~known] == 0].mean()

    assert gap(TextEncoder(folder)) > max(0.1, 2 * gap("auto"))
