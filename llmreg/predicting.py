"""From a fitted model and encoded rows to distributions, in batches that fit the memory."""

import warnings

import numpy as np
import torch

from llmreg.devices import resolve_device
from llmreg.numbers.decoding import bounded_distribution, exact_distribution
from llmreg.numbers.distribution import NumericDistribution
from llmreg.training.steps import split_on_memory_error

__all__ = ["distributions", "ready"]

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
        Largest error of the mean in the units of y; 0 computes everything.

    Returns
    -------
    NumericDistribution
    """
    order = np.argsort(encoded.lengths, kind="stable")  # rows of like length pad little
    parts = []
    precise = torch.promote_types(model.dtype, torch.float32)  # cells are, in any case

    def compute(rows):
        batch = encoded.batch(rows, model.device, precise)
        if tolerance > 0:
            return bounded_distribution(model, batch, tolerance)
        return exact_distribution(model, batch)

    for rows in _batches(order, encoded.lengths, model.tree.n_nodes):
        parts += split_on_memory_error(compute, rows)
    whole = parts[0] if len(parts) == 1 else NumericDistribution.concatenate(parts)
    return whole if (np.diff(order) == 1).all() else whole[np.argsort(order)]


def _batches(order, lengths, n_nodes):
    """Consecutive runs of rows that stay within the token budget when padded."""
    start = 0
    while start < len(order):
        # Lengths ascend, so the last row of a run sets its width.
        cost = (np.arange(1, len(order) - start + 1)) * (lengths[order[start:]] + n_nodes)
        stop = start + max(1, int(np.searchsorted(cost, TOKENS_PER_BATCH, side="right")))
        yield order[start:stop]
        start = stop
