"""What the speed benchmarks share: random models and prompts, timing in turns, peak memory.

Two things that are compared are timed in turns, round by round, so that whatever else the machine
does slows both; the ratio of a benchmark is the median of its rounds' ratios. Things whose memory
is compared run in a process each (:func:`race`), and still take turns.
"""

import argparse
import resource
import sys
import time
from multiprocessing import get_context

import numpy as np
import torch
from peft import LoraConfig
from transformers import AutoModelForCausalLM, Qwen2Config

from llmreg import DigitCodec
from llmreg.lm.backbone import NumberLM
from llmreg.prompts.cells import CellValues
from llmreg.prompts.encoding import EncodedRows
from llmreg.training.training_data import TrainingData

SHAPES = {
    "test": dict(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1,
    ),
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
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
N_SPECIAL = 3  # padding, end of sequence, unknown
N_SYMBOLS = 10  # the vocabulary's last tokens are the digits


def parser(doc, *, digits, batch, prompt=256, repeats=5):
    """Arguments that all speed benchmarks of random models take."""
    found = argparse.ArgumentParser(description=doc.split("\n")[0])
    found.add_argument("--shape", choices=SHAPES, default="small")
    found.add_argument("--device", default="cpu")
    found.add_argument("--dtype", default=None, help="default: bfloat16 on cuda, else float32")
    found.add_argument("--prompt", type=int, default=prompt, help="tokens of a prompt")
    found.add_argument("--batch", type=int, default=batch, help="prompts at once")
    found.add_argument("--digits", type=int, default=digits, help="digits of a number")
    found.add_argument("--repeats", type=int, default=repeats, help="rounds")
    add_clock(found)
    return found


def add_clock(found):
    """The argument that says which clock times the rounds."""
    found.add_argument(
        "--clock", choices=CLOCKS, default="wall",
        help="cpu: the process' own CPU seconds, for a machine that others use as well; with "
        "OMP_NUM_THREADS=1",
    )  # fmt: skip


def settle(args):
    """The arguments with ``dtype`` chosen."""
    args.dtype = args.dtype or ("bfloat16" if args.device.startswith("cuda") else "float32")
    return args


def language_model(shape):
    """A Qwen2 of some shape, with random weights that are the same each time."""
    torch.manual_seed(0)
    config = Qwen2Config(
        max_position_embeddings=4096, pad_token_id=0, eos_token_id=1, bos_token_id=1,
        **SHAPES[shape],
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config)


def lora():
    """Adapters of rank 8 on all linear layers but the output layer."""
    return LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM")


def number_model(args, adapters=True):
    """The model as a fit has it: asked about digits, with adapters, on its device."""
    lm = language_model(args.shape)
    codec = DigitCodec(n_digits=args.digits).fit([0.0, 1.0])
    vocabulary = lm.config.vocab_size
    symbols = torch.arange(vocabulary - N_SYMBOLS, vocabulary)
    model = NumberLM(lm, None, symbols, codec, pretrained=True)
    if adapters:
        model.add_lora(lora())
    dtype = getattr(torch, args.dtype)
    return model.place(args.device, dtype, dtype if dtype == torch.bfloat16 else None)


def random_prompts(args, n_rows):
    """Token ids (n_rows, P) of words that are no digits, and targets in [0, 1)."""
    rng = np.random.RandomState(0)
    words = SHAPES[args.shape]["vocab_size"] - N_SYMBOLS
    return rng.randint(N_SPECIAL, words, (n_rows, args.prompt)), rng.rand(n_rows)


def training_data(model, ids, y):
    """Prompts of equal length and their targets as training has them."""
    n_rows, width = ids.shape
    none = np.zeros((n_rows, 0), np.float32)
    cells = CellValues(none, none.astype(np.int64), none[:, :, None])
    starts, flat = np.arange(n_rows) * width, ids.ravel().astype(np.int32)
    rows = EncodedRows(flat, np.zeros_like(flat), starts, np.full(n_rows, width), cells)
    return TrainingData(rows, (y - 0.5) / 0.29, model.codec.leaf_of(y), *np.ones((2, n_rows)))


# -- timing -----------------------------------------------------------------------------------


def timed(function, args):
    """Seconds that a call takes, by ``args.clock`` and on ``args.device``."""
    _wait_for(args.device)
    start = CLOCKS[args.clock]()
    function()
    _wait_for(args.device)
    return CLOCKS[args.clock]() - start


def in_turns(functions, args):
    """Seconds (args.repeats, n) of functions called one after the other, round by round."""
    for function in functions:
        function()
    return np.array([[timed(f, args) for f in functions] for _ in range(args.repeats)])


def median_ratio(slower, faster):
    """Median over the rounds of what one took in terms of the other, and the extremes.

    >>> median_ratio([2.0, 3.0, 9.0], [1.0, 1.0, 1.0])
    (3.0, 2.0, 9.0)
    """
    ratios = np.asarray(slower) / np.asarray(faster)
    return float(np.median(ratios)), float(ratios.min()), float(ratios.max())


def verdict(what, ratio, bar, at_least):
    """One line: the ratio, its range over the rounds, and whether it reaches the bar.

    >>> print(verdict("predict / bare pass", (1.4, 1.3, 1.6), 1.5, at_least=False))
    RATIO predict / bare pass: 1.40x (rounds 1.30 to 1.60; bar: at most 1.5x, met)
    """
    met = ratio[0] >= bar if at_least else ratio[0] <= bar
    return (
        f"RATIO {what}: {ratio[0]:.2f}x (rounds {ratio[1]:.2f} to {ratio[2]:.2f}; bar: at "
        f"{'least' if at_least else 'most'} {bar:g}x, {'met' if met else 'NOT met'})"
    )


def _wait_for(device):
    if device.startswith("cuda"):
        torch.cuda.synchronize()


# -- a process each ---------------------------------------------------------------------------


class Turn:
    """In a contestant's process: when to start, and to tell how long it took."""

    def __init__(self, connection, args):
        self.connection, self.device, self.clock = connection, args.device, CLOCKS[args.clock]
        self.memory_before = None

    def begins(self):
        """Wait for the turn."""
        if self.memory_before is None:
            self.memory_before = peak_bytes(self.device)
        self.connection.recv()
        _wait_for(self.device)
        self.start = self.clock()

    def ends(self):
        """Tell the seconds since the turn began."""
        _wait_for(self.device)
        self.connection.send(self.clock() - self.start)


def race(contestants, args, rounds):
    """Let contestants take turns, each in a process of its own.

    Parameters
    ----------
    contestants : dict of str to callable
        ``contestant(turn, args, rounds)`` prepares itself, then calls ``turn.begins()`` and
        ``turn.ends()`` around each round's work. A function at the top of a module.
    args : Namespace
    rounds : int
        The first one warms up and is left out.

    Returns
    -------
    seconds : dict of str to ndarray of shape (rounds - 1,)
    peak, before : dict of str to int
        Bytes of the process: at its peak, and when it was ready for its first turn.
    """
    context, processes, lines = get_context("spawn"), [], {}
    for name, contestant in contestants.items():
        lines[name], far = context.Pipe()
        process = context.Process(target=_contestant, args=(contestant, far, args, rounds))
        process.start()
        far.close()  # so that a death at the other end is noticed
        processes.append(process)
    try:
        seconds = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, line in lines.items():
                line.send("go")
                seconds[name].append(_received(line, name))
        memory = {name: _received(line, name) for name, line in lines.items()}
    finally:
        for process in processes:
            process.terminate()
            process.join()
    return (
        {name: np.array(taken[1:]) for name, taken in seconds.items()},
        {name: peak for name, (peak, _) in memory.items()},
        {name: before for name, (_, before) in memory.items()},
    )


def _received(line, name):
    try:
        return line.recv()
    except EOFError:
        sys.exit(f"{name} ended before its time; its own message is above.")


def _contestant(contestant, connection, args, rounds):
    turn = Turn(connection, args)
    contestant(turn, args, rounds)
    connection.send((peak_bytes(args.device), turn.memory_before))


def peak_bytes(device):
    """Most bytes so far: of the GPU's memory, or of the whole process."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def need(package, how):
    """Stop with a clear message where a peer is not installed."""
    from importlib.util import find_spec

    if find_spec(package) is None:
        sys.exit(f"This benchmark compares with {package}, which is not installed here: {how}")
