"""A training step of cross-entropy beside its limit: one bare forward and backward pass.

    python -m benchmarks.speed.step
    python -m benchmarks.speed.step --batch 16
    python -m benchmarks.speed.step --profile

The bare pass runs the transformer over prompt and number, takes the logits of the digits at the
number's places (the rows of the output layer that training computes too), their cross-entropy, and
goes back. llmreg's step adds what a fit adds: the batch and its masks, the clipped gradients, the
optimiser.
"""

import numpy as np
import torch

from benchmarks.speed.shared import (
    in_turns,
    median_ratio,
    number_model,
    parser,
    random_prompts,
    settle,
    training_data,
    verdict,
)
from llmreg import CE
from llmreg.lm.number_rows import number_rows
from llmreg.training.parallel import Processes
from llmreg.training.policy import ZScale
from llmreg.training.steps import BatchGradients

BAR = 1.15


def main():
    found = parser(__doc__, digits=3, batch=8, repeats=7)
    found.add_argument("--profile", action="store_true")
    args = settle(found.parse_args())
    model = number_model(args)
    ids, y = random_prompts(args, args.batch)
    data = training_data(model, ids, y)
    model.train_mode(dropout=True)
    step, bare = training_step(model, data), bare_step(model, data, ids)
    if args.profile:
        profile({"bare forward and backward": bare, "step": step})
        return
    seconds = in_turns([bare, step], args)
    bare_rate, rate = args.batch / np.median(seconds, 0)
    print(f"{args.shape}, {args.batch} prompts of {args.prompt} tokens, {args.digits} digits, "
          f"{args.device}: {rate:.2f} rows/s, bare {bare_rate:.2f}")  # fmt: skip
    print(verdict("cross-entropy step / bare forward and backward",
                  median_ratio(seconds[:, 1], seconds[:, 0]), BAR, at_least=False))  # fmt: skip


def training_step(model, data):
    """A function that does a step as a fit does."""
    scale = ZScale.from_tree(model.tree, 0.5, 0.29, model.device, model.dtype)
    gradients = BatchGradients(model, data, CE(), scale, Processes(), None)
    weights = list(model.trainable().values())
    optimizer = torch.optim.AdamW(weights, lr=1e-5)

    def step():
        gradients(np.arange(len(data)), None)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def bare_step(model, data, prompts):
    """A function that goes forward and backward over prompts and numbers."""
    symbols = model.tree.path_symbols[torch.as_tensor(data.leaf)].to(model.device)  # (B, C)
    numbers = model.symbol_ids[symbols]
    ids = torch.cat([torch.as_tensor(prompts, device=model.device), numbers], 1)
    layer, digits = model.lm.get_output_embeddings(), symbols.shape[1]
    bfloat16 = model.compute_dtype == torch.bfloat16

    def bare():
        with (
            torch.autocast(model.device.type, torch.bfloat16, enabled=bfloat16),
            number_rows(layer, model.symbol_ids),
        ):
            logits = model.lm(input_ids=ids, use_cache=False, logits_to_keep=digits + 1).logits
        found = logits[:, :-1].flatten(0, 1).float()
        torch.nn.functional.cross_entropy(found, symbols.flatten()).backward()
        model.zero_grad(set_to_none=True)

    return bare


def profile(works):
    """Print the operators that take the most time."""
    for name, work in works.items():
        work()
        with torch.profiler.profile() as recorded:
            work()
        print(name)
        print(recorded.key_averages().table(sort_by="self_cpu_time_total", row_limit=14))


if __name__ == "__main__":
    main()
