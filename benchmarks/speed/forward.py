"""Predicting beside its limit: one bare forward pass of the transformer over the same prompts.

    python -m benchmarks.speed.forward                   # P = 256, three digits
    python -m benchmarks.speed.forward --prompt 512
    python -m benchmarks.speed.forward --trained 300     # distributions that have learnt something
    python -m benchmarks.speed.forward --profile         # where the time goes

The bare pass computes the prompts' states and the last one's logits; it predicts nothing. llmreg
adds the number tree: all its nodes (tolerance 0), or those that could still move the mean by more
than the tolerance, in standard deviations of y. How many these are depends on what the model knows:
random weights give flat distributions, the worst case. ``--trained`` fits all weights for so many
steps to prompts whose words tell y up to noise of 0.3 standard deviations (R² 0.91 at best).
"""

import numpy as np
import torch

from benchmarks.speed.shared import (
    N_SPECIAL,
    N_SYMBOLS,
    SHAPES,
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
from llmreg.prediction.distributions import distributions
from llmreg.training.parallel import Processes
from llmreg.training.policy import ZScale
from llmreg.training.steps import BatchGradients

BARS = {256: 1.5, 512: 1.25}
TOLERANCES = (0.0, 0.001, 0.01, 0.03)
SPREAD = 0.29  # of y, uniform in [0, 1)
NOISE = 0.3 * SPREAD
GROUPS = 50  # values of y that words can tell


def main():
    args = _arguments()
    model = number_model(args, adapters=not args.trained)
    ids, y = random_prompts(args, args.batch)
    if args.trained:
        teach(model, args)
        y = np.random.RandomState(2).randint(GROUPS, size=args.batch)
        ids, y = telling(ids, y), (y + 0.5) / GROUPS
    model.eval()
    rows = training_data(model, ids, y).rows
    if args.profile:
        profile(model, rows)
        return
    work = [bare_pass(model, rows)]
    work += [lambda t=t: distributions(model, rows, t * SPREAD) for t in args.tolerances]
    seconds = in_turns(work, args)
    print(f"{args.shape}, {args.batch} prompts of {args.prompt} tokens, {args.digits} digits, "
          f"trained for {args.trained} steps, {args.device}; a bare pass takes "
          f"{1000 * np.median(seconds[:, 0]) / args.batch:.1f} ms per row")  # fmt: skip
    exact = distributions(model, rows, 0.0)
    if args.trained:
        print(f"R² on these prompts, without the noise: {_r2(y, exact.mean()):.3f}; standard "
              f"deviation of a prediction {exact.std().mean() / SPREAD:.2f} of y's")  # fmt: skip
    for tolerance, taken in zip(args.tolerances, seconds.T[1:], strict=True):
        nodes = nodes_evaluated(model, rows, tolerance * SPREAD)
        error = np.abs(distributions(model, rows, tolerance * SPREAD).mean() - exact.mean()).max()
        print(f"tolerance {tolerance:g}: {nodes:.0f} nodes per row, largest error "
              f"{error / SPREAD:.1g} standard deviations of y")  # fmt: skip
        print(verdict(f"predict / bare pass, P = {args.prompt}, tolerance {tolerance:g}",
                      median_ratio(taken, seconds[:, 0]), BARS.get(args.prompt, 1.5),
                      at_least=False))  # fmt: skip


def _arguments():
    found = parser(__doc__, digits=3, batch=8, repeats=7)
    found.add_argument("--trained", type=int, default=0, metavar="STEPS")
    found.add_argument("--tolerances", type=float, nargs="+", default=TOLERANCES)
    found.add_argument("--profile", action="store_true")
    return settle(found.parse_args())


def bare_pass(model, rows):
    """A function that runs the transformer over the prompts and asks for the last logits."""
    batch = rows.batch(np.arange(len(rows)), model.device, torch.float32)

    @torch.inference_mode()
    def forward():
        model.lm(input_ids=batch.ids, use_cache=False, logits_to_keep=1)

    return forward


def telling(ids, group):
    """Words like these, each of which tells its row's group: those of a group are GROUPS apart."""
    kinds = (SHAPES["test"]["vocab_size"] - N_SYMBOLS - N_SPECIAL) // GROUPS  # in the smallest
    return N_SPECIAL + group[:, None] + GROUPS * (ids % kinds)


def teach(model, args):
    """Fit all weights by cross-entropy to noisy numbers around what short prompts tell."""
    for weight in model.parameters():
        weight.requires_grad_(True)
    rng = np.random.RandomState(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scale = ZScale.from_tree(model.tree, 0.5, SPREAD, model.device, model.dtype)
    model.train_mode(dropout=False)
    for _ in range(args.trained):
        group = rng.randint(GROUPS, size=64)
        y = (group + 0.5) / GROUPS + NOISE * rng.randn(64)
        # All words of a prompt say the same, so that what is learnt holds at any length.
        ids = telling(rng.randint(1000, size=(64, 8)), group)
        data = training_data(model, ids, np.clip(y, 0, 1 - 1e-9))
        BatchGradients(model, data, CE(), scale, Processes(), None)(np.arange(64), None)
        optimizer.step()
        optimizer.zero_grad()


def nodes_evaluated(model, rows, tolerance):
    """Nodes of the number tree per row that a prediction asks the model about; the root is free."""
    if not tolerance:
        return model.tree.n_open - 1
    asked, extend = [], model.extend

    def counting(cache, nodes):
        asked.append((nodes >= 0).sum().item())
        return extend(cache, nodes)

    model.extend = counting
    try:
        distributions(model, rows, tolerance)
    finally:
        del model.extend
    return sum(asked) / len(rows)


def profile(model, rows):
    """Print the operators that take the most time, in a bare pass and in a prediction."""
    for name, work in {
        "bare pass": bare_pass(model, rows),
        "predict": lambda: distributions(model, rows, 0.0),
    }.items():
        work()
        with torch.profiler.profile() as recorded:
            work()
        print(name)
        print(recorded.key_averages().table(sort_by="self_cpu_time_total", row_limit=12))


def _r2(y, found):
    return 1 - np.mean((y - found) ** 2) / np.var(y)


if __name__ == "__main__":
    main()
