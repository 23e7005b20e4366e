"""How noisy a policy gradient is: sampled numbers beside all numbers, on one batch.

    python -m benchmarks.studies.gradients

After a first stage, the gradient of one batch is computed again and again with new draws, and once
over all numbers. Printed for each method: the draws' variance by the exact gradient's square (0: no
noise; 1: as much noise as signal), and the seconds of a step. No cells are hidden.
"""

import argparse
import time

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_diabetes

from llmreg import GRPO, RLOO, GenRe2, LLMRegressor, ReMax
from llmreg.training.policy import ZScale
from llmreg.training.stage import TrainingData
from llmreg.training.steps import BatchGradients, draw_noise


def gradient(model, data, method, scale, rows, generator):
    """The gradient of a batch as one vector (float64), and the seconds it took."""
    from llmreg.training.parallel import Processes

    batch = BatchGradients(model, data, method, scale, Processes(), None)
    noise = draw_noise(len(rows), method.num_draws, model.tree.n_levels, generator)
    start = time.perf_counter()
    batch(rows, noise)
    seconds = time.perf_counter() - start
    found = torch.cat([p.grad.flatten() for p in model.trainable().values() if p.grad is not None])
    model.zero_grad(set_to_none=True)
    return found.double(), seconds


def methods():
    for reward in ("mse", "crps"):
        for kind in (GRPO, RLOO, ReMax, GenRe2):
            yield kind, dict(reward=reward, scale_rewards=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    fitted = LLMRegressor(
        fit_method="soft_ce", sft_epochs=args.epochs, estimates=None, dropout=0.0, random_state=0
    ).fit(X, y)
    model, codec = fitted.model_, fitted.codec_
    model.place("cpu", torch.float32).train_mode(dropout=False)
    z = (codec.to_axis(y.to_numpy()) - fitted.y_mean_) / fitted.y_std_
    encoded = fitted.prompts_.encode(fitted.serializer_.serialize(X))
    data = TrainingData(encoded, z, codec.leaf_of(y.to_numpy()), np.ones(len(y)))
    scale = ZScale.from_tree(model.tree, fitted.y_mean_, fitted.y_std_, "cpu", torch.float32)
    rows, generator, lines = np.arange(32), torch.Generator().manual_seed(0), []
    for kind, params in methods():
        exact, exact_seconds = gradient(
            model, data, kind("exact", **params), scale, rows, generator
        )
        for count in (4, 16, 64):
            drawn = [
                gradient(model, data, kind(count, **params), scale, rows, generator)
                for _ in range(args.repeats)
            ]
            variance = torch.stack([found for found, _ in drawn]).var(0).sum()
            lines.append({
                "method": kind.__name__, "reward": params["reward"], "draws": count,
                "variance / exact²": float(variance / exact.square().sum()),
                "step, s": float(np.median([seconds for _, seconds in drawn])),
                "exact step, s": exact_seconds,
            })  # fmt: skip
    print(pd.DataFrame(lines).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
