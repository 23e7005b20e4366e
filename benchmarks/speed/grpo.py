"""A step of GRPO beside TRL's GRPOTrainer: same model, adapters, prompts, group and optimiser.

    python -m benchmarks.speed.grpo                      # G = 16, about 2 minutes on a CPU core
    python -m benchmarks.speed.grpo --generations 64     # about 7 minutes
    python -m benchmarks.speed.grpo --batch 4            # prompts per step, of both

Needs ``python -m pip install trl datasets``. A Qwen2 of random weights reads prompts of random
words and writes four digits; the reward is minus the squared error. Each side runs in a process of
its own, whose peak memory is its own, and both take turns. TRL gets what speeds it up: no gradient
checkpointing, no reference model (``beta=0``), no second pass for old log-probabilities (one update
per batch), whole groups in one batch, nothing saved or logged. Its numbers are held to digits by
``suppress_tokens``, the cheapest way that it has (``--free`` leaves that out).
"""

import os
import tempfile

import numpy as np
import torch

from benchmarks.speed.shared import (
    N_SPECIAL,
    N_SYMBOLS,
    SHAPES,
    language_model,
    lora,
    median_ratio,
    need,
    number_model,
    parser,
    race,
    random_prompts,
    settle,
    training_data,
    verdict,
)
from llmreg import GRPO
from llmreg.training.parallel import Processes
from llmreg.training.policy import ZScale
from llmreg.training.steps import BatchGradients, draw_noise

BARS = {16: 25, 64: 65}  # rows per second, in TRL's
MEMORY_BAR = 4  # TRL's peak, in ours


def main():
    args = _arguments()
    need("trl", "python -m pip install trl datasets")
    seconds, peak, before = race({"llmreg": ours, "trl": trl}, args, args.repeats + 1)
    print(f"GRPO step, {args.shape}, {args.batch} prompts of {args.prompt} tokens, "
          f"{args.generations} numbers of {args.digits} digits each, {args.device}")  # fmt: skip
    for name, taken in seconds.items():
        step = np.median(taken)
        print(f"{name:7} {step:8.3f} s/step {args.batch / step:8.3f} rows/s "
              f"{peak[name] / 2**30:6.2f} GiB at its peak, {before[name] / 2**30:.2f} before its "
              "first step")  # fmt: skip
    ratio = median_ratio(seconds["trl"], seconds["llmreg"])
    print(verdict(f"rows/s, llmreg / TRL, G = {args.generations}", ratio,
                  BARS.get(args.generations, args.generations), at_least=True))  # fmt: skip
    print(verdict("peak memory, TRL / llmreg", [peak["trl"] / peak["llmreg"]] * 3, MEMORY_BAR,
                  at_least=True))  # fmt: skip
    step = {name: (peak[name] - before[name]) / 2**20 for name in peak}
    print(f"A step adds {step['llmreg']:.0f} MiB to what the process had before, TRL's "
          f"{step['trl']:.0f} MiB: {step['trl'] / max(step['llmreg'], 1):.1f}x.")  # fmt: skip


def _arguments():
    found = parser(__doc__, digits=4, batch=2, repeats=3)
    found.add_argument("--generations", type=int, default=16, help="numbers per prompt")
    found.add_argument("--free", action="store_true", help="TRL may write any token")
    return settle(found.parse_args())


def ours(turn, args, rounds):
    """Steps of GRPO as a fit does them."""
    model = number_model(args)
    ids, y = random_prompts(args, args.batch * rounds)
    data = training_data(model, ids, y)
    model.train_mode(dropout=False)
    scale = ZScale.from_tree(model.tree, 0.5, 0.29, model.device, model.dtype)
    objective = GRPO(args.generations, reward="mse")
    gradients = BatchGradients(model, data, objective, scale, Processes(), None)
    weights = list(model.trainable().values())
    optimizer = torch.optim.AdamW(weights, lr=1e-5)
    generator = torch.Generator().manual_seed(0)
    for step in range(rounds):
        turn.begins()
        noise = draw_noise(args.batch, objective.num_draws, model.tree.n_levels, generator)
        gradients(np.arange(args.batch) + args.batch * step, noise)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        turn.ends()


def trl(turn, args, rounds):
    """The same steps by TRL."""
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    class Turns(TrainerCallback):
        def on_step_begin(self, *args, **kwargs):
            turn.begins()

        def on_step_end(self, *args, **kwargs):
            turn.ends()

    def reward(completions, target, **kwargs):
        written = [int(text.replace(" ", "") or 0) if text.replace(" ", "").isdigit() else 0
                   for text in completions]  # fmt: skip
        return [-((v / 10**args.digits - y) ** 2) for v, y in zip(written, target, strict=True)]

    vocabulary = SHAPES[args.shape]["vocab_size"]
    held = {} if args.free else {"suppress_tokens": list(range(vocabulary - N_SYMBOLS))}
    ids, y = random_prompts(args, args.batch * rounds)
    words = [" ".join(f"w{token}" for token in row) for row in ids]
    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder, per_device_train_batch_size=args.batch * args.generations,
            num_generations=args.generations, max_completion_length=args.digits,
            max_steps=rounds, learning_rate=1e-5, temperature=1.0, beta=0.0,
            gradient_checkpointing=False, bf16=args.dtype == "bfloat16",
            use_cpu=args.device == "cpu", logging_steps=10**6, save_strategy="no", report_to=[],
            disable_tqdm=True, generation_kwargs={"min_new_tokens": args.digits, **held},
        )  # fmt: skip
        trainer = GRPOTrainer(
            model=language_model(args.shape), reward_funcs=reward, args=config,
            train_dataset=Dataset.from_dict({"prompt": words, "target": y.tolist()}),
            processing_class=word_tokenizer(vocabulary), peft_config=lora(), callbacks=[Turns()],
        )  # fmt: skip
        trainer.train()


def word_tokenizer(vocabulary):
    """One token per word; the last ten tokens are the digits."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    first_digit = vocabulary - N_SYMBOLS
    tokens = {"<pad>": 0, "<eos>": 1, "<unk>": 2}
    tokens |= {f"w{token}": token for token in range(N_SPECIAL, first_digit)}
    tokens |= {str(digit): first_digit + digit for digit in range(N_SYMBOLS)}
    words = Tokenizer(models.WordLevel(tokens, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>",
        padding_side="left",
    )  # fmt: skip


if __name__ == "__main__":
    main()
