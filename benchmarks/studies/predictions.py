"""What fits predict, to compare two versions of the library: the same seeds, the same numbers.

    python -m benchmarks.studies.predictions save before.npz    # in the one version
    python -m benchmarks.studies.predictions compare before.npz # in the other

Five tables × three methods × both kinds of models, in small fits.
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes, make_friedman1

from llmreg import LLMRegressor

MPG = next(p for p in Path(__file__).resolve().parents if (p / "examples").exists()) / "examples"
N_ROWS, N_TEST = 120, 40
METHODS = ("soft_ce", "raft", "grpo")
WORDS = [
    "red", "blue", "old", "new", "big", "small", "quick", "slow", "fine", "rough", "house", "flat",
    "yard", "roof", "door",
]  # fmt: skip


def tables():
    """Numbers, categories, texts, dates and gaps; even and skewed targets."""
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    yield "diabetes", X, y
    X, y = make_friedman1(N_ROWS + N_TEST, n_features=6, noise=0.5, random_state=0)
    yield "friedman", pd.DataFrame(X), y
    frame = pd.read_csv(MPG / "data" / "auto-mpg.csv")
    yield "auto-mpg", frame.drop(columns="mpg"), frame["mpg"]
    rng = np.random.RandomState(0)
    texts = [" ".join(rng.choice(WORDS, rng.randint(3, 9))) for _ in range(N_ROWS + N_TEST)]
    values = [5.0 * ("old" in t) - 3 * t.count("big") + rng.randn() / 3 for t in texts]
    yield "texts", pd.DataFrame({"words": texts}), values
    n = N_ROWS + N_TEST
    mixed = pd.DataFrame(
        {
            "day": pd.date_range("2024-01-01", periods=n, freq="D"),
            "size": np.where(rng.rand(n) < 0.1, np.nan, rng.randn(n)),
            "town": rng.choice(["Graz", "Linz", "Wien"], n),
        }
    )
    skewed = np.exp(2 * np.nan_to_num(mixed["size"]) + (mixed["town"] == "Graz"))
    yield "skewed", mixed, skewed


def stand_in(folder):
    """A small Llama of random weights with a tokenizer of bytes, as a folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    raw = Tokenizer(models.BPE({"<s>": 256, "</s>": 257, **letters}, []))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        bos_token_id=256,
        eos_token_id=257,
        initializer_range=0.1,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def predictions():
    """Mean and 10 % quantile of the test rows by table, method and model."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, model in {"fresh": "tiny", "pretrained": stand_in(folder)}.items():
            for name, X, y in tables():
                rows = np.random.RandomState(1).permutation(len(y))[: N_ROWS + N_TEST]
                X_some, y_some = X.iloc[rows], np.asarray(y)[rows]
                for method in METHODS:
                    epochs = (
                        {"sft_epochs": 3, "align_epochs": 2}
                        if kind == "fresh"
                        else {"sft_epochs": 1, "align_epochs": 1}
                    )
                    regressor = LLMRegressor(model, method, random_state=0, **epochs)
                    regressor.fit(X_some[:N_ROWS], y_some[:N_ROWS])
                    test = X_some[N_ROWS:]
                    mean = regressor.predict(test)
                    low = regressor.predict_distribution(test).quantile([0.1]).ravel()
                    found[f"{kind} {name} {method}"] = np.stack([mean, low])
                    print(f"{kind} {name} {method}: mean {mean.mean():.6g}", flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["save", "compare"])
    parser.add_argument("file")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    started = time.perf_counter()
    found = predictions()
    print(f"{len(found)} fits, {time.perf_counter() - started:.0f} s")
    if args.what == "save":
        np.savez(args.file, **found)
        return
    before = np.load(args.file)
    worst = {
        name: float((np.abs(now - before[name]) / np.abs(before[name]).max()).max())
        for name, now in found.items()
    }
    for name, difference in worst.items():
        print(f"{name:<32} {difference:.1e}")
    print(f"largest relative difference: {max(worst.values()):.1e}")


if __name__ == "__main__":
    main()
