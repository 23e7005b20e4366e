"""From a fitted model and encoded rows to distributions, in batches that fit the memory."""

import warnings

import numpy as np
import torch

from llmreg.devices import resolve_device
from llmreg.numbers.decoding import (
    NODES_PER_PASS,
    bounded_distribution,
    exact_distribution,
    open_steps,
)
from llmreg.numbers.distribution import NumericDistribution
from llmreg.numbers.tree import greedy_leaf, leaf_log_probs
from llmreg.training.steps import split_on_memory_error

__all__ = ["distributions", "ready", "tokens_after_prompt"]

TOKENS_PER_BATCH = 16384


def ready(model, device):
    """The fitted model on the device asked for, ready to predict."""
    device = resolve_device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        warnings.warn(
            f"device={str(device)!r} was asked for, but this machine has no CUDA: predicting on "
            "the CPU. Set device='auto' to choose what is there.",
            UserWarning,
            stacklevel=2,
        )
        device = torch.device("cpu")
    return model if model.device == device else model.place(device)


@torch.inference_mode()
def distributions(model, encoded, tolerance):
    """Predictive distributions of encoded rows, in their order.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    encoded : llmreg.prompts.cell_prompts.EncodedRows
    tolerance : float
        Largest error of the mean in the units of y; 0 computes everything. Heads and learnt values
        are computed exactly in any case.

    Returns
    -------
    NumericDistribution
        Of a head that predicts a number: all mass on it, so that all decodings give that number. Of
        a histogram: its bins; greedy is the likeliest one's centre. Of learnt values: all mass on
        these, in ascending order, whatever bins they came from.
    """
    # A constant target leaves nothing to train: every number of the tree is that constant.
    head = model.head if float(model.tree.span[0].diff()) else None
    order = np.argsort(encoded.lengths, kind="stable")  # rows of like length pad little
    parts = []
    precise = torch.promote_types(model.dtype, torch.float32)  # cells are, in any case

    def compute(rows):
        batch = encoded.batch(rows, model.device, precise)
        if head is not None:
            return head.distribution(model.head_output(batch))
        if model.leaf_shift is not None:
            return _learnt_distribution(model, batch)
        if tolerance > 0:
            return bounded_distribution(model, batch, tolerance)
        return exact_distribution(model, batch)

    for rows in _batches(order, encoded.lengths, tokens_after_prompt(model)):
        parts += split_on_memory_error(compute, rows)
    whole = parts[0] if len(parts) == 1 else NumericDistribution.concatenate(parts)
    return whole if (np.diff(order) == 1).all() else whole[np.argsort(order)]


def tokens_after_prompt(model):
    """What a prediction takes beside a row's prompt, in tokens: the nodes of the number tree that
    one pass evaluates, or as many as have room for the logits that a head reads."""
    if model.head is None:
        return min(model.tree.n_open, NODES_PER_PASS)
    return model.head.n_logits // model.head.sizes["size"]


def _learnt_distribution(model, batch):
    """All leaves as atoms at their learnt values."""
    tree, steps = model.tree, open_steps(model, batch)
    probs = leaf_log_probs(steps, tree).exp().double().cpu().numpy()
    values = model.leaf_shift.values(tree.leaf_value).numpy()
    return NumericDistribution(
        probs, values, values, greedy=values[greedy_leaf(steps, tree).cpu().numpy()]
    )


def _batches(order, lengths, width):
    """Consecutive runs of rows that stay within the token budget when padded.

    ``width`` tokens come on top of each row's own.
    """
    start = 0
    while start < len(order):
        # Lengths ascend, so the last row of a run sets its width.
        cost = (np.arange(1, len(order) - start + 1)) * (lengths[order[start:]] + width)
        stop = start + max(1, int(np.searchsorted(cost, TOKENS_PER_BATCH, side="right")))
        yield order[start:stop]
        start = stop
