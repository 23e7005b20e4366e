"""The full distribution of each row, beside 128 samples of it by transformers' ``generate``.

    python -m benchmarks.speed.generate                 # about 3 minutes on a CPU core
    python -m benchmarks.speed.generate --batch 16      # prompts per pass of llmreg

The same Qwen2 of random weights with adapters reads the same prompts. Each number has three digits:
llmreg evaluates the whole tree, 1,000 numbers with their probabilities; ``generate`` draws 128
numbers per prompt, held to digits by adding one row of a mask to the logits. Prompts are of equal
length, so nothing is padded. Two ways of generating are timed, each with the number of prompts per
call that suits it best: ``num_return_sequences=128`` as it comes, which reads a prompt 128 times;
and from a prompt's cache that was computed once and repeated, which takes some lines of one's own.
"""

import numpy as np
import torch
from transformers import DynamicCache, LogitsProcessor, LogitsProcessorList

from benchmarks.speed.shared import (
    in_turns,
    median_ratio,
    number_model,
    parser,
    random_prompts,
    settle,
    timed,
    training_data,
    verdict,
)
from llmreg.prediction.distributions import distributions

BAR = 30


def main():
    found = parser(__doc__, digits=3, batch=8, repeats=3)
    found.add_argument("--samples", type=int, default=128, help="numbers that generate draws")
    args = settle(found.parse_args())
    model = number_model(args).eval()
    ids, y = random_prompts(args, args.batch)
    rows, prompts = training_data(model, ids, y).rows, torch.as_tensor(ids, device=args.device)
    sampler = Sampler(model, args)
    ways = {"generate": sampler.plain, "generate from a repeated cache": sampler.cached}
    size = {name: sampler.best_batch(way, prompts) for name, way in ways.items()}
    work = [lambda: distributions(model, rows, 0.0)]
    work += [lambda way=way, n=size[name]: way(prompts[:n]) for name, way in ways.items()]
    seconds = in_turns(work, args) / [args.batch, *size.values()]
    print(f"{args.shape}, prompts of {args.prompt} tokens, {args.digits} digits, {args.device}")
    for name, n, taken in zip(["llmreg", *ways], [args.batch, *size.values()], seconds.T,
                              strict=True):  # fmt: skip
        print(f"{name:32} {n:3} prompts at once {1 / np.median(taken):8.3f} rows/s")
    for name, taken in zip(ways, seconds.T[1:], strict=True):
        print(verdict(f"rows/s, llmreg / {name}, {args.samples} samples",
                      median_ratio(taken, seconds[:, 0]), BAR, at_least=True))  # fmt: skip


class OnlyDigits(LogitsProcessor):
    """One row of zeros and minus infinities that is added to the logits."""

    def __init__(self, model):
        size = model.transformer.config.vocab_size
        self.row = torch.full((size,), -torch.inf, device=model.device)
        self.row[model.symbol_ids] = 0.0

    def __call__(self, input_ids, scores):
        return scores + self.row


class Sampler:
    """Draws numbers by ``generate``."""

    def __init__(self, model, args):
        self.lm, self.args = model.lm, args
        self.settings = dict(
            do_sample=True, top_k=0, max_new_tokens=args.digits, min_new_tokens=args.digits,
            logits_processor=LogitsProcessorList([OnlyDigits(model)]), pad_token_id=0,
        )  # fmt: skip

    @torch.inference_mode()
    def plain(self, prompts):
        """Let ``generate`` repeat the prompts."""
        return self.lm.generate(
            input_ids=prompts, attention_mask=torch.ones_like(prompts),
            num_return_sequences=self.args.samples, **self.settings,
        )[:, prompts.shape[1]:]  # fmt: skip

    @torch.inference_mode()
    def cached(self, prompts):
        """Read the prompts once, all but the last token; repeat their cache."""
        cache = DynamicCache(config=self.lm.config)
        self.lm(input_ids=prompts[:, :-1], past_key_values=cache, logits_to_keep=1)
        cache.batch_repeat_interleave(self.args.samples)
        repeated = prompts.repeat_interleave(self.args.samples, 0)
        return self.lm.generate(
            input_ids=repeated, attention_mask=torch.ones_like(repeated), past_key_values=cache,
            **self.settings,
        )[:, prompts.shape[1]:]  # fmt: skip

    def best_batch(self, way, prompts):
        """How many prompts a call takes for the most rows per second: 1, 2, 4, …"""
        best, size, rate = 1, 1, 0.0
        while size <= len(prompts):
            way(prompts[:1])
            found = size / timed(lambda n=size: way(prompts[:n]), self.args)
            if found < rate:
                break
            best, rate, size = size, found, 2 * size
        return best


if __name__ == "__main__":
    main()
