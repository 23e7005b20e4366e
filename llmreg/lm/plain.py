"""The number tree by plain forward passes: one sequence for each path, no masks, no cache.

For models of which a prompt and its tree cannot share one sequence. Sequences are padded on the
right, which a causal model never sees. Slower than the packed road, same numbers.
"""

from dataclasses import dataclass

import torch
from torch.utils.checkpoint import checkpoint

__all__ = ["Paths", "plain_logits"]

TOKENS_PER_PASS = 16384


@dataclass(frozen=True)
class Paths:
    """Sequences that pass every node asked for: N of them, for B rows and K nodes each."""

    row: torch.Tensor  # (N,) whose prompt the sequence starts with
    end: torch.Tensor  # (N,) node at which it ends
    owner: torch.Tensor  # (B, 1 + K) the sequence on which each node is read, root first

    @classmethod
    def through(cls, tree, nodes):
        """One path for each node of (B, K) that leads to no other of its row; -1 is padding."""
        nodes = torch.cat([nodes.new_zeros(len(nodes), 1), nodes], 1)  # the root
        passed = tree.visible(nodes, nodes) & (nodes >= 0).unsqueeze(2)  # (B, end, node)
        itself = torch.eye(nodes.shape[1], dtype=torch.bool, device=nodes.device)
        ends = (nodes >= 0) & ~(passed & ~itself).any(1)
        row, column = ends.nonzero(as_tuple=True)
        number = torch.zeros_like(nodes).masked_scatter(ends, torch.arange(len(row)).to(nodes))
        # Every node is read once, on the first path through it; padding is read at the root.
        first = (passed & ends.unsqueeze(2)).to(torch.uint8).argmax(1)
        first = torch.where(nodes >= 0, first, first[:, :1])
        return cls(row, nodes[row, column], number.gather(1, first))


def plain_logits(forward, tree, symbol_ids, batch, cells, nodes):
    """Next-symbol logits at the root and at some nodes.

    Parameters
    ----------
    forward : callable
        ``forward(ids, mask, cells)`` gives the logits (N, T, S) of right-padded sequences.
    tree : llmreg.numbers.tree.NumberTree
    symbol_ids : LongTensor of shape (S,)
    batch : llmreg.prompts.cell_prompts.PromptBatch
    cells : llmreg.lm.embedding.CellInput or None
    nodes : LongTensor of shape (B, K); -1 is padding, the others are distinct within a row

    Returns
    -------
    Tensor of shape (B, 1 + K, S)
        Root first.
    """
    paths = Paths.through(tree, nodes)
    lengths = batch.mask.sum(1)  # (B,)
    total = lengths[paths.row] + tree.depth[paths.end]

    def run(row, end):
        ids, mask, part = _sequences(tree, symbol_ids, batch, cells, lengths, row, end)
        return _ladder(forward(ids, mask, part), tree, lengths[row])

    chunks = list(_chunks(total.tolist()))
    if len(chunks) > 1 and torch.is_grad_enabled():
        # The activations of one chunk at a time, computed again in the backward pass.
        parts = [checkpoint(run, paths.row[c], paths.end[c], use_reentrant=False) for c in chunks]
    else:
        parts = [run(paths.row[c], paths.end[c]) for c in chunks]
    depth = torch.cat([torch.zeros_like(paths.owner[:, :1]), tree.depth[nodes.clamp(min=0)]], 1)
    return torch.cat(parts)[paths.owner, depth]


def _chunks(lengths):
    """Consecutive slices of the sequences that stay within the token budget when padded."""
    start = width = 0
    for i, length in enumerate(lengths):
        width = max(width, length)
        if i > start and width * (i + 1 - start) > TOKENS_PER_PASS:
            yield slice(start, i)
            start, width = i, length
    yield slice(start, len(lengths))


def _sequences(tree, symbol_ids, batch, cells, lengths, row, end):
    """Token ids (N, T), mask (N, T) and cells of [prompt, symbols to the end], padded right."""
    length = lengths[row].unsqueeze(1)
    total = length + tree.depth[end].unsqueeze(1)
    t = torch.arange(int(total.max()), device=row.device).expand(len(row), -1)
    width = batch.ids.shape[1]
    columns = (width - length + t).clamp(max=width - 1)
    prompt = t < length
    level = (t - length + 1).clamp(0, tree.n_levels - 1)
    node = tree.ancestors[end].gather(1, level).clamp(min=0)
    ids = torch.where(prompt, batch.ids[row].gather(1, columns), symbol_ids[tree.symbol[node]])
    return ids, t < total, None if cells is None else cells.take(row, columns, prompt)


def _ladder(logits, tree, lengths):
    """Logits (N, depths, S) at the prompt's end and after each symbol."""
    at = lengths.unsqueeze(1) - 1 + torch.arange(tree.n_levels, device=lengths.device)
    at = at.clamp(max=logits.shape[1] - 1)
    return logits.gather(1, at.unsqueeze(2).expand(-1, -1, logits.shape[2]))
