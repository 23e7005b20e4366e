"""Rows per second and peak memory of training and predicting with a language model of real shape.

    python -m benchmarks.speed.large_models                      # a small Qwen2 shape, for the CPU
    python -m benchmarks.speed.large_models --shape 0.5b --device cuda
    python -m benchmarks.speed.large_models --shape 0.5b --device cuda --checkpointing --compile

Weights are random, prompts are random tokens: what is measured is the computation. One row per
kind of work: a step of cross-entropy, a step of GRPO, the exact distribution of every row; beside
each, one bare pass of the transformer over the same prompts (forward, or forward and backward),
timed in turn with it. "ratio" is the time in bare passes of the prompts alone, without number and
output layer; ``forward.py`` and ``step.py`` compare with the limits of each work.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd
import torch

from benchmarks.speed.shared import (
    in_turns,
    number_model,
    parser,
    peak_bytes,
    random_prompts,
    settle,
    training_data,
)
from llmreg import CE, GRPO
from llmreg.prediction.distributions import distributions
from llmreg.training.parallel import Processes
from llmreg.training.policy import ZScale
from llmreg.training.steps import BatchGradients, draw_noise


def main():
    args = _arguments()
    rows = []
    for work in ("ce", "grpo", "predict"):
        # Each in a process of its own, whose peak is its own.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            rows.append(pool.submit(measure, args, work).result())
    print(f"{args.shape}, prompts of {args.prompt} tokens, batches of {args.batch}, "
          f"{args.digits} digits, G = {args.generations}, {args.device}, {args.dtype}")  # fmt: skip
    print(pd.DataFrame(rows).round(3).to_string(index=False))


def _arguments():
    found = parser(__doc__, digits=3, batch=8)
    found.add_argument("--generations", type=int, default=16)
    found.add_argument("--checkpointing", action="store_true")
    found.add_argument("--compile", action="store_true")
    return settle(found.parse_args())


def measure(args, work):
    """One line of the table, in a model of its own."""
    model = number_model(args)
    model.checkpointing(args.checkpointing)
    if args.compile:
        model.compile()
    data = training_data(model, *random_prompts(args, args.batch))
    ours, bare = _works(args, work, model, data)
    ours()  # compiles, allocates, picks kernels
    ours()
    peak = peak_bytes(args.device)  # before the bare pass, which may need more
    ours, bare = np.median(in_turns([ours, bare], args), axis=0)
    return {
        "work": work, "rows/s": args.batch / ours, "ms/row": 1000 * ours / args.batch,
        "ratio": ours / bare, "peak GiB": peak / 2**30,
    }  # fmt: skip


def _works(args, work, model, data):
    """What is measured, and the bare pass over the same prompts."""
    batch = data.rows.batch(np.arange(len(data)), model.device, torch.float32)
    transformer = model.transformer.base_model
    if work == "predict":
        model.eval()

        @torch.inference_mode()
        def bare():
            transformer(input_ids=batch.ids, attention_mask=batch.mask.long(), use_cache=False)

        return lambda: distributions(model, data.rows, 0.0), bare

    objective = CE() if work == "ce" else GRPO(args.generations)
    model.train_mode(dropout=work == "ce")
    scale = ZScale.from_tree(model.tree, 0.5, 0.29, model.device, model.dtype)
    gradients = BatchGradients(model, data, objective, scale, Processes(), None)
    optimizer = torch.optim.AdamW(model.trainable().values(), lr=1e-5)
    generator = torch.Generator().manual_seed(0)

    def step():
        noise = draw_noise(len(data), objective.num_draws, model.tree.n_levels, generator)
        gradients(np.arange(len(data)), noise)
        optimizer.step()
        optimizer.zero_grad()

    def bare():
        with torch.autocast(model.device.type, torch.bfloat16, enabled=args.dtype == "bfloat16"):
            out = transformer(
                input_ids=batch.ids, attention_mask=batch.mask.long(), use_cache=False
            )
        out[0].float().mean().backward()
        optimizer.zero_grad()

    return step, bare


if __name__ == "__main__":
    main()
