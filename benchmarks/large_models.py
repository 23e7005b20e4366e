"""Rows per second and peak memory of training and predicting with a language model of real shape.

    python benchmarks/large_models.py                      # a small Qwen2 shape, for the CPU
    python benchmarks/large_models.py --shape 0.5b --device cuda
    python benchmarks/large_models.py --shape 0.5b --device cuda --checkpointing --compile

Weights are random, prompts are random tokens: what is measured is the computation. One row per
kind of work: a step of cross-entropy, a step of GRPO, the exact distribution of every row; beside
each, one bare pass of the transformer over the same prompts (forward, or forward and backward),
timed in turn with it. "ratio" is the time in bare passes, which no method can bring below one.
"""

import argparse
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd
import torch
from peft import LoraConfig
from transformers import AutoModelForCausalLM, Qwen2Config

from llmreg import CE, GRPO, DigitCodec
from llmreg.lm.backbone import NumberLM
from llmreg.numbers.policy import ZScale
from llmreg.predicting import distributions
from llmreg.prompts.cells import CellValues
from llmreg.prompts.encoding import EncodedRows
from llmreg.training.parallel import Processes
from llmreg.training.stage import TrainingData
from llmreg.training.steps import BatchGradients, draw_noise

SHAPES = {
    "small": dict(
        vocab_size=8000, hidden_size=384, intermediate_size=1024, num_hidden_layers=4,
        num_attention_heads=6, num_key_value_heads=2,
    ),
    "0.5b": dict(
        vocab_size=151_936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24,
        num_attention_heads=14, num_key_value_heads=2,
    ),
    "1.5b": dict(
        vocab_size=151_936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28,
        num_attention_heads=12, num_key_value_heads=2,
    ),
}  # fmt: skip


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
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default=None, help="default: bfloat16 on cuda, else float32")
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--digits", type=int, default=3)
    parser.add_argument("--generations", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    args.dtype = args.dtype or ("bfloat16" if args.device.startswith("cuda") else "float32")
    return args


def build(args):
    """A model with LoRA of rank 8 on the device, as a fit has it."""
    torch.manual_seed(0)
    config = Qwen2Config(max_position_embeddings=4096, **SHAPES[args.shape])
    lm = AutoModelForCausalLM.from_config(config)
    codec = DigitCodec(n_digits=args.digits).fit([0.0, 1.0])
    model = NumberLM(lm, None, torch.arange(10), codec, pretrained=True)
    model.add_lora(LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    dtype = getattr(torch, args.dtype)
    model.place(args.device, dtype, dtype if dtype == torch.bfloat16 else None)
    model.checkpointing(args.checkpointing)
    if args.compile:
        model.compile()
    return model


def prompts(args, n_rows, model):
    """Random rows of the same length, and their targets."""
    rng = np.random.RandomState(0)
    lengths = np.full(n_rows, args.prompt)
    ids = rng.randint(10, model.transformer.config.vocab_size, lengths.sum()).astype(np.int32)
    none = np.zeros((n_rows, 0), np.float32)
    cells = CellValues(none, none.astype(np.int64), none[:, :, None])
    encoded = EncodedRows(ids, np.zeros_like(ids), lengths.cumsum() - lengths, lengths, cells)
    y = rng.rand(n_rows)
    z = (y - 0.5) / 0.29
    return TrainingData(encoded, z, model.codec.leaf_of(y), np.ones(n_rows))


def measure(args, work):
    """One line of the table, in a model of its own."""
    model = build(args)
    ours, bare = _works(args, work, model, prompts(args, args.batch, model))
    ours()  # compiles, allocates, picks kernels
    ours()
    peak = _peak(args.device)  # before the bare pass, which may need more
    bare()
    seconds = [(_timed(args.device, ours), _timed(args.device, bare)) for _ in range(args.repeats)]
    ours, bare = np.median(seconds, axis=0)
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


def _timed(device, function):
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _peak(device):
    """Bytes so far: of the GPU's memory, or of the whole process."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
