"""Pretrained readers of texts beside TF-IDF, in llmreg and in its peers.

    LLMREG_DATA=<folder> python -m benchmarks.studies.text_encoders
    LLMREG_DATA=<folder> python -m benchmarks.studies.text_encoders --data alexa_reviews \\
        --try "llmreg + SmolLM2" "CatBoost + SmolLM2" --max-rows 1000 --splits 2

Every text table of the folder but pairs of sentences and programs, rows and splits of the suite
(suite/tables.py). Ridge and CatBoost get numbers, dates and categories as in the suite, and of each
text the same vectors; CatBoost 30 components of them. Weights: see benchmarks.real_weights. A line
per fit goes to a CSV file; lines that it holds are not computed again. Seconds are of the
processor, vectors included, all threads together.
"""

import argparse
import json
import os
import time
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline

from benchmarks.real_weights import real_model, sentence_encoder, word_vectors
from benchmarks.suite.columns import COMPONENTS, Components, linear_features, tfidf
from benchmarks.suite.measure import figures
from benchmarks.suite.peers import ALPHAS, CatBoost
from benchmarks.suite.tables import load_table, split_table
from llmreg import LLMRegressor, TextEncoder

ENCODERS = {
    "MiniLM": lambda: TextEncoder(sentence_encoder()),
    "SmolLM2": lambda: TextEncoder(real_model("smollm2")),
    "Gemma": lambda: TextEncoder(real_model("gemma3")),
    "WordLlama": word_vectors,
}
CHOICES = [
    f"{model} + {words}"
    for words in ("TF-IDF", *ENCODERS)
    for model in ("llmreg", "CatBoost", "Ridge")
]
LEFT_OUT = ("stsb_en", "kernelbench_timing")  # two sentences in relation; programs of pages
KEYS = ["data", "split", "max_rows", "choice"]


class Vectors(TransformerMixin, BaseEstimator):
    """Vectors of an encoder of the table, computed once for all who ask; ``seconds_saved`` adds up
    what that saved, for the times to be reported."""

    seconds_saved = 0.0

    def __init__(self, encoder):
        self.encoder = encoder

    def fit(self, X, y=None):
        self.n_features_in_ = 1
        return self

    def transform(self, X):
        known, texts = _known(self.encoder), list(dict.fromkeys(X))
        new = [text for text in texts if text not in known]
        Vectors.seconds_saved += sum(known[text][1] for text in texts if text in known)
        if new:
            start = time.process_time()
            vectors = ENCODERS[self.encoder]().fit_transform(new)
            seconds = (time.process_time() - start) / len(new)
            known.update({text: (v, seconds) for text, v in zip(new, vectors, strict=True)})
        return np.stack([known[text][0] for text in X])


@cache
def _known(encoder):
    return {}


class Few(PCA):
    """At most so many components as the suite gives trees."""

    def fit_transform(self, X, y=None):
        self.n_components = min(COMPONENTS, *X.shape)
        return super().fit_transform(X)


def estimator(choice, part, text, seed):
    """What a choice stands for, not fitted."""
    model, words = choice.split(" + ")
    if model == "llmreg":
        reads = "auto" if words == "TF-IDF" else Vectors(words)
        return LLMRegressor(text_features=reads, random_state=seed)
    if model == "Ridge":
        wide = tfidf if words == "TF-IDF" else partial(Vectors, words)
        return make_pipeline(linear_features(part.X, text, wide), RidgeCV(ALPHAS))
    few = Components if words == "TF-IDF" else partial(_few, words)
    return CatBoost(text, seed, few)


def _few(words):
    return make_pipeline(Vectors(words), Few(random_state=0))


def line(data, split, max_rows, choice):
    """A fit, its errors and its seconds."""
    table = load_table(data)
    part = split_table(table, split, max_rows)
    model = estimator(choice, part, table.text, split)
    start, saved = time.process_time(), Vectors.seconds_saved
    model.fit(part.X, part.y)
    found = getattr(model, "predict_distribution", model.predict)(part.X_test)
    seconds = time.process_time() - start + Vectors.seconds_saved - saved
    errors = figures(part.y_test, found, getattr(model, "decoding_", "rail"))
    if "crps" in errors:
        errors["crps"] /= part.y_test.std()
    kept = {k: v for k, v in errors.items() if k.startswith(("r2", "crps", "coverage", "claimed"))}
    kept.pop("r2_greedy", None)
    key = dict(zip(KEYS, (data, split, max_rows, choice), strict=True))
    return key | {"n_train": len(part.y)} | kept | {"seconds": seconds}


def text_tables():
    """Names of the folder's tables with text."""
    manifest = Path(os.environ["LLMREG_DATA"], "manifest.json").read_text(encoding="utf-8")
    named = [entry["name"] for entry in json.loads(manifest) if entry["text"]]
    return [name for name in named if name not in LEFT_OUT]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", nargs="+", default=None, help="default: all tables with text")
    parser.add_argument("--try", nargs="+", default=CHOICES, choices=CHOICES, dest="choices")
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--max-rows", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("text_encoders.csv"))
    args = parser.parse_args()
    lines = pd.read_csv(args.out).to_dict("records") if args.out.exists() else []
    done = {tuple(one[key] for key in KEYS) for one in lines}
    for split in range(args.splits):
        for data in args.data or text_tables():
            for choice in args.choices:
                if (data, split, args.max_rows, choice) not in done:
                    lines.append(line(data, split, args.max_rows, choice))
                    pd.DataFrame(lines).to_csv(args.out, index=False)
                    print(pd.DataFrame(lines[-1:]).round(3).to_string(header=False), flush=True)
            for encoder in ENCODERS:
                _known(encoder).clear()
    report(pd.DataFrame(lines))


def report(table):
    """Print R² by table, and means over the tables that all choices have."""
    wide = table.groupby(["data", "choice"])["r2"].mean().unstack().dropna()
    print(f"R²\n{wide.round(3).to_string()}\n")
    same = table[table["data"].isin(wide.index)]
    means = same.groupby("choice", sort=False).mean(numeric_only=True)
    print(means.drop(columns=["split", "max_rows"]).round(3).to_string())


if __name__ == "__main__":
    main()
