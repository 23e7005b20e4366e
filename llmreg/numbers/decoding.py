"""Prompts to predictive distributions: the number tree evaluated exactly or to a bounded error."""

import numpy as np
import torch

from llmreg.numbers.calibration import UNTOUCHED, calibrated
from llmreg.numbers.distribution import NumericDistribution
from llmreg.numbers.estimate import estimate_steps
from llmreg.numbers.histogram_cells import likeliest
from llmreg.numbers.tree import greedy_leaf, keep_nodes, leaf_log_probs, step_log_probs

__all__ = ["bounded_distribution", "calibrated_steps", "open_steps", "tree_distribution"]

NODES_PER_PASS = 2048
# From so many tokens on, a pass of the prompt alone saves more than a second pass for nodes costs:
# its attention is plainly causal, and its last layer is read at one token.
LONG_PROMPT = 64


def _numpy(tensor):
    return tensor.double().cpu().numpy()


def calibrated_steps(steps, tree, nodes, estimate, calibration):
    """Log-probabilities of the next symbols, pooled with an estimate and at a temperature.

    Parameters
    ----------
    steps : Tensor of shape (B, K, S)
    tree : llmreg.numbers.tree.NumberTree
    nodes : LongTensor of shape (K,) or (B, K)
    estimate : llmreg.estimates.stacking.Estimate of B rows, or None
    calibration : llmreg.numbers.calibration.Calibration

    Returns
    -------
    Tensor of shape (B, K, S)
    """
    estimated = None
    if estimate is not None and calibration.estimate_weight:
        estimated = estimate_steps(estimate, tree, nodes)
    apart = tree.to_heaps
    apart = apart if apart is None else apart[nodes.clamp(min=0)]
    return calibrated(steps, estimated, calibration, apart)


def tree_distribution(tree, steps, values=None):
    """Every leaf's probability, from the steps at all open nodes.

    Parameters
    ----------
    tree : llmreg.numbers.tree.NumberTree of L leaves
    steps : Tensor of shape (B, n_open, S)
        Log-probabilities, from :func:`open_steps` or :func:`calibrated_steps`.
    values : ndarray of shape (L,) or None, default=None
        Learnt values in the units of y: all mass lies on them. None: the mass fills the codec's
        cells.

    Returns
    -------
    NumericDistribution
    """
    probs = _numpy(leaf_log_probs(steps, tree).exp())
    numbers = _numpy(tree.leaf_likeliest) if values is None else values
    greedy, mode = numbers[greedy_leaf(steps, tree).cpu().numpy()], likeliest(probs, numbers)
    if values is None:
        probs = probs[:, tree.cell_leaf.cpu().numpy()] * _numpy(tree.cell_share)
        (lower, upper), values = _numpy(tree.cell_span).T, _numpy(tree.cell_value)
    else:
        lower = upper = values
    return NumericDistribution(probs, lower, upper, values=values, greedy=greedy, mode=mode)


def open_steps(model, batch):
    """Log-probabilities of the next symbol at all nodes that leave a choice.

    Exact, and slow where there are tens of thousands of nodes: :func:`bounded_distribution`
    evaluates only those that matter. Up to 2,048 nodes take one pass over prompt and tree. More
    take a pass for every 1,024 of them, with the prompt and the nodes above them: the same numbers,
    and memory that stays within bounds.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    batch : llmreg.prompts.cell_prompts.PromptBatch of B rows

    Returns
    -------
    Tensor of shape (B, n_open, S)
    """
    tree = model.tree
    nodes = torch.arange(tree.n_open, device=model.device)
    if len(nodes) <= NODES_PER_PASS:
        return step_log_probs(_logits(model, batch, nodes[1:]), tree, nodes)
    steps = None
    for part in _subtrees(tree):
        found = step_log_probs(model.node_logits(batch, part[1:]), tree, part)
        if steps is None:
            steps = found.new_empty(len(batch), len(nodes), found.shape[2])
        steps[:, part] = found
    return steps


def _logits(model, batch, nodes):
    """Logits (B, 1 + K, S) at the root and at nodes."""
    apart = model.packs and len(nodes) and batch.ids.shape[1] >= LONG_PROMPT
    if torch.is_grad_enabled() or not apart:
        return model.node_logits(batch, nodes)
    root, cache = model.prefill(batch)
    return torch.cat([root.unsqueeze(1), model.extend(cache, nodes.expand(len(batch), -1))], 1)


def _subtrees(tree):
    """All open nodes, in parts with their ancestors; each ascends, so parents come first."""
    # Nodes of a level are in the order of their prefixes: neighbours share most ancestors.
    for part in torch.arange(tree.n_open).split(NODES_PER_PASS // 2):
        nodes = tree.ancestors[part.to(tree.ancestors.device)].unique()
        yield nodes[nodes >= 0].long()


def bounded_distribution(model, batch, tolerance, calibration=UNTOUCHED):
    """Leaves where the mass is, whole intervals elsewhere.

    Level by level on the cached prompt, only those nodes are expanded that could still move the
    mean: what is left out moves it by at most ``tolerance``. A node that is not expanded stands for
    the intervals of y below it (one for digits; what begins with "1" may be 1, 10 to 19, 100 to
    199), with the mass shared among them by their numbers of leaves.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    batch : llmreg.prompts.cell_prompts.PromptBatch
    tolerance : float
        In the units of y.
    calibration : llmreg.numbers.calibration.Calibration, default: none
        Of every step. The bound is on the mean after it.

    Returns
    -------
    NumericDistribution
        Rows have supports of their own: bins, and intervals that were not expanded.
    """
    tree, rows = model.tree, torch.arange(len(batch), device=model.device).unsqueeze(1)
    logits, cache = model.prefill(batch)
    nodes = torch.zeros(len(batch), 1, dtype=torch.long, device=model.device)
    mass, greedy = torch.ones_like(nodes, dtype=logits.dtype), torch.zeros_like(nodes)
    logits, cells, chosen = logits.unsqueeze(1), _Cells(tree), torch.full_like(nodes, -1)
    # Errors are compared as shares of y's range: float32 cannot hold every unit of y.
    unit = float(tree.radius[0]) or 1.0
    share = tolerance / unit / max(tree.n_levels - 1, 1)
    for level in range(tree.n_levels):
        steps = step_log_probs(logits, tree, nodes)
        steps = calibrated_steps(steps, tree, nodes, batch.estimate, calibration)
        probs = steps.exp() * mass.unsqueeze(2)  # (B, K, S)
        # The greedy path is always expanded, so that greedy decoding is exact.
        symbol = probs[rows, greedy].argmax(-1)  # (B, 1)
        at = nodes.gather(1, greedy).clamp(min=0)
        chosen = torch.where(chosen < 0, tree.leaf[at, symbol], chosen)
        following = nodes.clamp(min=0)
        cells.add_leaves(probs.flatten(1), tree.leaf[following].flatten(1))
        if level == tree.n_levels - 1:
            break
        # Waiting nodes are numbers, which are in the cells already.
        children = tree.child[following].flatten(1)
        opens = (children >= 0) & (children < tree.n_open)
        children, probs = children.masked_fill(~opens, -1), probs.flatten(1) * opens
        best = torch.where(chosen < 0, tree.child[at, symbol], tree.n_nodes)
        radius = (tree.radius[children.clamp(min=0)] / unit).to(probs)
        keep = keep_nodes(probs, 2 * radius, share) & opens | (children == best)
        cells.add_intervals(probs.masked_fill(keep, 0.0), children)
        if not keep.any():
            break
        nodes, mass = _compact(children, probs, keep)
        greedy = (nodes == best).long().argmax(1, keepdim=True)
        logits = _extended(model, cache, nodes)
    return cells.distribution(chosen.squeeze(1))


class _Cells:
    """The support of bounded distributions as it grows, and the numbers that are looked at."""

    def __init__(self, tree):
        self.tree = tree
        self.parts = []
        self.looked_at = []

    def add_leaves(self, probs, leaves):
        """Numbers with their probabilities, both (B, K); -1 is none."""
        decided = leaves >= 0
        if not decided.any():
            return
        tree, found = self.tree, leaves.clamp(min=0)
        for cells in tree.leaf_cells.unbind(1):
            cell = cells[found]
            share = tree.cell_share[cell].masked_fill((cell < 0) | ~decided, 0.0)
            if share.any():
                self._add(probs * share, tree.cell_span[cell], _numpy(tree.cell_value[cell]))
        self._look_at(probs * decided, tree.leaf_likeliest[found])

    def add_intervals(self, probs, nodes):
        """What is below open nodes with their probabilities, both (B, K); -1 is none."""
        found = nodes.clamp(min=0)
        share = self.tree.run_share[found].to(probs)
        runs = self.tree.run_spans[found].flatten(1, 2)
        self._add((probs.unsqueeze(2) * share).flatten(1), runs, None)
        # Intervals that merge several numbers don't compete for the likeliest number.
        if self.tree.only_number is not None:
            number = self.tree.only_number[found]
            self._look_at(probs * ~number.isnan(), number.nan_to_num())

    def _look_at(self, probs, numbers):
        self.looked_at.append((_numpy(probs), _numpy(numbers)))

    def _add(self, probs, spans, values):
        ends = _numpy(spans)
        lower, upper = ends[..., 0], ends[..., 1]
        values = lower / 2 + upper / 2 if values is None else values
        self.parts.append((_numpy(probs), lower, upper, values))

    def distribution(self, greedy):
        """The finished distributions; ``greedy`` are leaves (B,)."""
        probabilities, lower, upper, values = _side_by_side(self.parts)
        probs, numbers = _side_by_side(self.looked_at)
        return NumericDistribution(
            probabilities, lower, upper, values=values,
            greedy=_numpy(self.tree.leaf_likeliest[greedy]),
            mode=likeliest(probs, numbers),
        )  # fmt: skip


def _side_by_side(parts):
    """The arrays (B, K) of all parts, each joined along K."""
    return [np.concatenate(part, 1) for part in zip(*parts, strict=True)]


def _extended(model, cache, nodes):
    """Logits (B, K, S) at further nodes, 2,048 at a time; none of a level sees another."""
    parts = [model.extend(cache, part) for part in nodes.split(NODES_PER_PASS, 1)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def _compact(children, probs, keep):
    """Kept children to the front of each row, padded with -1 and mass 0."""
    order = keep.long().argsort(dim=1, descending=True, stable=True)
    order = order[:, : int(keep.sum(1).max())]
    kept = keep.gather(1, order)
    return children.gather(1, order).masked_fill(~kept, -1), probs.gather(1, order) * kept
