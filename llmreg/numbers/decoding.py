"""Prompts to predictive distributions: the number tree evaluated exactly or to a bounded error."""

import numpy as np
import torch

from llmreg.numbers.distribution import NumericDistribution
from llmreg.numbers.tree import greedy_leaf, keep_nodes, leaf_log_probs, step_log_probs

__all__ = ["bounded_distribution", "exact_distribution"]


def _numpy(tensor):
    return tensor.double().cpu().numpy()


def exact_distribution(model, batch):
    """Every leaf's probability, in one forward pass over prompt and tree.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    batch : llmreg.prompts.cell_prompts.PromptBatch

    Returns
    -------
    NumericDistribution
    """
    tree = model.tree
    nodes = torch.arange(tree.n_nodes, device=model.device)
    steps = step_log_probs(model.node_logits(batch, nodes[1:]), tree, nodes)
    span, value = _numpy(tree.leaf_span), _numpy(tree.leaf_value)
    return NumericDistribution(
        _numpy(leaf_log_probs(steps, tree).exp()), span[:, 0], span[:, 1], values=value,
        greedy=value[greedy_leaf(steps, tree).cpu().numpy()],
    )  # fmt: skip


def bounded_distribution(model, batch, tolerance):
    """Leaves where the mass is, whole intervals elsewhere.

    Level by level on the cached prompt, only those nodes are expanded that could still move the
    mean: what is left out moves it by at most ``tolerance``.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    batch : llmreg.prompts.cell_prompts.PromptBatch
    tolerance : float
        In the units of y.

    Returns
    -------
    NumericDistribution
        Rows have supports of their own: bins, and intervals that were not expanded.
    """
    tree, rows = model.tree, torch.arange(len(batch), device=model.device).unsqueeze(1)
    logits, cache = model.prefill(batch)
    nodes = torch.zeros(len(batch), 1, dtype=torch.long, device=model.device)
    mass, greedy = torch.ones_like(nodes, dtype=logits.dtype), torch.zeros_like(nodes)
    logits, support, greedy_value = logits.unsqueeze(1), [], None
    # Errors are compared as shares of y's range: float32 cannot hold every unit of y.
    unit = float(tree.span[0].diff()) or 1.0
    for level in range(tree.n_levels):
        probs = step_log_probs(logits, tree, nodes).exp() * mass.unsqueeze(2)  # (B, K, S)
        # The greedy path is always expanded, so that greedy decoding is exact.
        symbol = probs[rows, greedy].argmax(-1)  # (B, 1)
        following = nodes.clamp(min=0)
        if level == tree.n_levels - 1:
            leaves = tree.leaf[following]
            support.append(_cells(probs, leaves, tree.leaf_span))
            greedy_value = tree.leaf_value[leaves[rows, greedy, symbol]].squeeze(1)
            # Intervals that merge many numbers don't compete for the likeliest number.
            likeliest = leaves.flatten(1).gather(1, probs.flatten(1).argmax(1, keepdim=True))
            break
        children = tree.child[following].flatten(1)
        probs = probs.flatten(1) * (children >= 0)
        best = tree.child[nodes.gather(1, greedy), symbol]
        width = (tree.span[children.clamp(min=0)].diff(dim=-1).squeeze(-1) / unit).to(probs)
        share = tolerance / unit / (tree.n_levels - 1)
        keep = keep_nodes(probs, width, share) | (children == best)
        support.append(_cells(probs.masked_fill(keep, 0.0), children, tree.span))
        nodes, mass = _compact(children, probs, keep)
        greedy = (nodes == best).long().argmax(1, keepdim=True)
        logits = model.extend(cache, nodes)
    probabilities, lower, upper = (np.concatenate(part, 1) for part in zip(*support, strict=True))
    return NumericDistribution(
        probabilities, lower, upper, greedy=_numpy(greedy_value),
        mode=_numpy(tree.leaf_value[likeliest.squeeze(1)]),
    )  # fmt: skip


def _cells(probs, index, spans):
    """Probabilities and intervals as numpy arrays of shape (B, K)."""
    ends = _numpy(spans[index.clamp(min=0)].flatten(1, -2))
    return _numpy(probs.flatten(1)), ends[..., 0], ends[..., 1]


def _compact(children, probs, keep):
    """Kept children to the front of each row, padded with -1 and mass 0."""
    order = keep.long().argsort(dim=1, descending=True, stable=True)
    order = order[:, : int(keep.sum(1).max())]
    kept = keep.gather(1, order)
    return children.gather(1, order).masked_fill(~kept, -1), probs.gather(1, order) * kept
