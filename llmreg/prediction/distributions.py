"""From a fitted model and encoded rows to distributions, in batches that fit the memory."""

import math
from contextlib import closing
from dataclasses import replace

import numpy as np
import torch

from llmreg.config.devices import prediction_device
from llmreg.integrations.process_state import survive_forks
from llmreg.lm.backbone import NumberLM
from llmreg.numbers.calibration import UNTOUCHED, calibrated
from llmreg.numbers.decoding import (
    NODES_PER_PASS,
    bounded_distribution,
    open_steps,
    tree_distribution,
)
from llmreg.numbers.distribution import NumericDistribution
from llmreg.numbers.estimate import estimate_on, estimate_steps
from llmreg.numbers.tree import mixed_steps
from llmreg.training.steps import split_on_memory_error

__all__ = [
    "calibrated_distribution",
    "distributions",
    "has_spread",
    "is_constant",
    "on_axis",
    "outputs",
    "ready",
    "sums_shares",
    "tokens_after_prompt",
]

TOKENS_PER_BATCH = 16384
MOST_PADDING = 0.05  # of a batch's tokens, from so many rows on:
WORTHWHILE_ROWS = 32
SMALL_TREE = 32  # nodes that one pass evaluates faster than several passes find those that matter


def ready(model, device):
    """The fitted model on the device asked for, ready to predict."""
    survive_forks()
    here = torch.empty(0, device=prediction_device(device)).device  # "cuda" is one of several
    return model if model.device == here else model.place(here)


@torch.inference_mode()
def distributions(model, encoded, tolerance, calibration=UNTOUCHED):
    """Predictive distributions of encoded rows, in their order.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    encoded : llmreg.prompts.cell_prompts.EncodedRows
    tolerance : float
        Largest error of the mean in the units of y; 0 computes everything. Heads, learnt values,
        ensembles, trees of up to 32 nodes and codecs whose axis is not y (a small error on it may
        be a large one of y) are computed exactly in any case.
    calibration : llmreg.numbers.calibration.Calibration, default: none
        Of the model's steps, or of a histogram's bins; a head that predicts a number is moved
        towards the rows' estimates by their weight.

    Returns
    -------
    NumericDistribution
        Of a head that predicts a number: all mass on it, so that all decodings give that number. Of
        a histogram: its bins; greedy is the likeliest one's centre. Of learnt values: all mass on
        these, in ascending order, whatever bins they came from.
    """
    writes = _head(model) is None and model.leaf_shift is None and not model.further_members
    tree = model.tree
    bounded = tolerance > 0 and writes and tree.linear and tree.n_open > SMALL_TREE

    def compute(batch):
        if bounded:
            return bounded_distribution(model, batch, tolerance, calibration)
        found = _output(model, batch)
        estimated = _estimated(model, batch.estimate) if calibration.estimate_weight else None
        return calibrated_distribution(model, found, estimated, calibration)

    parts, place = _in_batches(model, encoded, compute)
    whole = parts[0] if len(parts) == 1 else NumericDistribution.concatenate(parts)
    return whole if (np.diff(place, prepend=-1) == 1).all() else whole[place]


@torch.inference_mode()
def outputs(model, encoded):
    """What the model, and what an estimate, says of rows before they are calibrated.

    Returns
    -------
    found : Tensor of shape (n, ...)
        For :func:`calibrated_distribution`: log-probabilities (n, n_open, S) of all steps, or the
        head's output. On the model's device.
    estimated : Tensor of the same shape, or None
        What the rows' estimate says in the same terms, if they have one.
    """
    parts, place = _in_batches(model, encoded, lambda batch: _output(model, batch))
    return torch.cat(parts)[place], _estimated(model, estimate_on(encoded.estimate, model.device))


def is_constant(model):
    """Whether the model can predict one number alone, so that nothing is left to train.

    A grid of one value says more where its probability is not normalised: p(v) v.
    """
    alone = len(model.tree.leaf_value) == 1
    varies = bool(model.tree.span[0].diff()) or (alone and sums_shares(model))
    return not varies


def sums_shares(model):
    """Whether the prediction is Σ p(v) v of probabilities that don't sum to one."""
    return model.head is not None and model.head.sums_shares


def _head(model):
    """The head that predicts, if one does."""
    return None if is_constant(model) else model.head


def has_spread(model):
    """Whether the model predicts distributions: not so a head that predicts one number."""
    head = _head(model)
    return head is None or head.spreads


def _output(model, batch):
    """What the model says, or an ensemble together: the mixture of its members' distributions."""
    compute = open_steps if _head(model) is None else NumberLM.head_output
    if not model.further_members:
        return compute(model, batch)
    with model.alone(), closing(model.members()) as members:  # they take turns in one model
        found = torch.stack([compute(member, batch) for member in members])
    if _head(model) is None:
        return mixed_steps(found, model.tree)
    return found.logsumexp(0) - math.log(len(found)) if has_spread(model) else found.mean(0)


def _estimated(model, estimate):
    """What an estimate (None: there is none) says, in the terms of the model's output."""
    if estimate is None:
        return None
    if _head(model) is not None:
        return model.head.estimate(estimate, model.tree)
    nodes = torch.arange(model.tree.n_open, device=model.device)
    return estimate_steps(estimate, model.tree, nodes)


def _apart(model):
    """What of the model's output leads to a heap of targets; None if nothing does."""
    heaped = model.tree.to_heaps if _head(model) is None else None
    return heaped if heaped is None else heaped[: model.tree.n_open]


def calibrated_distribution(model, output, estimated, calibration):
    """The distributions of rows, in the units of y, from :func:`outputs`."""
    if not has_spread(model):
        weight = 0.0 if estimated is None else calibration.estimate_weight
        output = output.lerp(estimated.to(output), weight) if weight else output
    else:
        output = calibrated(output, estimated, calibration, _apart(model))
    if _head(model) is not None:
        found = model.head.distribution(output, model.tree)
        moves = model.head.on_axis and not model.codec.linear
        return found.transformed(model.codec.from_axis) if moves else found
    values = None
    shift = model.leaf_shift
    if shift is not None:
        values = model.codec.from_axis(shift.part.values(shift, model.tree.leaf_place).numpy())
    return tree_distribution(model.tree, output, values)


def on_axis(distributions, codec):
    """Distributions over y as distributions on the codec's axis."""
    return distributions if codec.linear else distributions.transformed(codec.to_axis)


def _in_batches(model, encoded, compute):
    """Parts with what ``compute`` makes of batches of distinct rows, and the place of each row in
    their concatenation."""
    unique, kind = encoded.distinct()
    encoded = _shared(model, encoded.take(unique))
    order = np.argsort(encoded.lengths, kind="stable")  # rows of like length pad little
    parts = []
    precise = torch.promote_types(model.dtype, torch.float32)  # cells are, in any case

    def of_rows(rows):
        return compute(encoded.batch(rows, model.device, precise))

    for rows in _batches(order, encoded.lengths, tokens_after_prompt(model)):
        parts += split_on_memory_error(of_rows, rows)
    return parts, np.argsort(order)[kind]


def _shared(model, encoded):
    """The rows with what all prompts begin with read by the model, once."""
    if model.shares_prefix and encoded.prefix is None:
        encoded = encoded.share_prefix(model.device)
    prefix = encoded.prefix
    if prefix is None or model.further_members:  # each member reads it for itself
        return encoded
    return replace(encoded, prefix=replace(prefix, past=model.read_prefix(prefix.ids)))


def tokens_after_prompt(model):
    """What a prediction takes beside a row's prompt, in tokens: the nodes of the number tree that
    one pass evaluates, or as many as have room for the logits that a head reads."""
    if model.head is None:
        return min(model.tree.n_open, NODES_PER_PASS)
    return model.head.n_logits(model.tree) // model.head.sizes["size"]


def _batches(order, lengths, width):
    """Consecutive runs of rows that stay within the token budget when padded, and pad little.

    ``width`` tokens come on top of each row's own.
    """
    start = 0
    while start < len(order):
        tokens = lengths[order[start:]] + width
        # Lengths ascend, so the last row of a run sets its width.
        padded = np.arange(1, len(tokens) + 1) * tokens
        within = int(np.searchsorted(padded, TOKENS_PER_BATCH, side="right"))
        wasteful = padded[:within] > (1 + MOST_PADDING) * tokens[:within].cumsum()
        wasteful[:WORTHWHILE_ROWS] = False
        stop = start + max(1, int(wasteful.argmax()) if wasteful.any() else within)
        yield order[start:stop]
        start = stop
