"""
A pretrained model on the CPU
=============================

How a pretrained model is tuned: given by name, folder or, as here, as ``(model, tokenizer)`` in
memory. **This one is a stand-in**: a tiny model with random weights, so that the page needs no
download. It shows the mechanics; it knows nothing, and its figures mean nothing. Put
``model="HuggingFaceTB/SmolLM2-135M-Instruct"`` in its place for the real thing, which takes
minutes.
"""

# %%
# A stand-in
# ----------
# A Llama of two layers, and a tokenizer trained on the texts.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from llmreg import LLMRegressor

reviews = pd.read_csv("../data/reviews.csv")[:200]
X, y = reviews[["review"]], reviews["stars"]

bpe = Tokenizer(models.BPE())
bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
bpe.decoder = decoders.ByteLevel()
alphabet = pre_tokenizers.ByteLevel.alphabet()
bpe.train_from_iterator(
    X["review"],
    trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=alphabet, special_tokens=["<end>"], show_progress=False
    ),
)
tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<end>", pad_token="<end>")

torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=len(tokenizer),
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=4,
    max_position_embeddings=512,
)
stand_in = LlamaForCausalLM(config), tokenizer

# %%
# Tuning adapters
# ---------------
# The base stays frozen; LoRA adapters of rank 8 are trained. ``"raft"`` trains the mean, after a
# short first stage that finds the range. The warning is right: random weights would hardly begin
# a number.

model = LLMRegressor(
    stand_in,
    "raft",
    sft_epochs=2,
    align_epochs=4,
    batch_size=16,
    random_state=0,
    sft_learning_rate=3e-3,
    align_learning_rate=3e-3,
)
model.fit(X, y)
model.history_[["stage", "epoch", "loss", "validation_rmse", "kept"]].round(3)

# %%
# What it was asked, word by word, and how much of its probability was on numbers before any
# training:

print(model.plan_.reading.instruction + model.serializer_.transform(X[:1])[0, 0])
print("answer mass:", model.plan_.answer_mass)

# %%
# The learning curve of both stages, in stars:

history = model.history_
fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
for stage, label in {"sft": "first stage (soft_ce)", "align": "second stage (raft)"}.items():
    part = history[history["stage"] == stage]
    ax.plot(part.index + 1, part["validation_rmse"], "o-", label=label)
ax.axhline(y.std(), color="grey", ls="--", lw=1, label="always the mean")
ax.set(xlabel="epoch", ylabel="validation RMSE (stars)", xticks=history.index + 1)
ax.legend()
plt.show()

# %%
# What is saved
# -------------
# On a base with a name the adapters alone are saved; a model that was given in memory is saved
# whole.

with tempfile.TemporaryDirectory() as folder:
    model.save(folder)
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            print(f"{path.stat().st_size:9,}  {path.relative_to(folder)}")
