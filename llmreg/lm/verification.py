"""Whether the packed road of a model gives the numbers of the plain one."""

from dataclasses import replace

import torch

__all__ = ["packing_problem", "shorten"]

TOKENS = (8, 5)  # of different length: a row without and one with padding


def shorten(batch):
    """The last few tokens of a batch's first two rows."""
    n_rows = min(len(batch), len(TOKENS))
    width = min(batch.ids.shape[1], max(TOKENS))
    mask = batch.mask[:n_rows, -width:].clone()
    for row, length in enumerate(TOKENS[:n_rows]):
        mask[row, : max(width - length, 0)] = False
    first = {
        name: getattr(batch, name)[:n_rows] for name in ("numbers", "categories", "texts")
    }  # fmt: skip
    return replace(
        batch, ids=batch.ids[:n_rows, -width:], slots=batch.slots[:n_rows, -width:], mask=mask,
        unpadded=False, **first,
    )  # fmt: skip


def packing_problem(model, batch):
    """What is wrong with the packed and the cached road, or None.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    batch : llmreg.prompts.cell_prompts.PromptBatch

    Returns
    -------
    str or None
    """
    nodes = _siblings(model.tree)
    try:
        packed = model.node_logits(batch, nodes)
        cached = _level_by_level(model, batch, nodes)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # whatever a family's code makes of a mask that it did not expect
        return f"the attempt ended in {type(error).__name__}: {error}"
    plain = model.plain_logits(batch, nodes)
    difference = float(torch.max((packed - plain).abs().max(), (cached - plain).abs().max()))
    allowed = _rounding(model) * max(1.0, float(plain.abs().max()))
    if difference <= allowed:
        return None
    return f"logits differ by {difference:.2g} from those of separate passes, {allowed:.2g} allowed"


def _siblings(tree):
    """The first and the last open node of each level, of which one must not see the other, and all
    above them; level by level, as open nodes are.

    Nodes of numbers that are decided wait behind the open nodes of all levels, and no road
    evaluates them.
    """
    depth = tree.depth[: tree.n_open]
    ends = [torch.nonzero(depth == level)[[0, -1], 0] for level in range(int(depth.max()) + 1)]
    nodes = tree.ancestors[torch.cat(ends)].unique()
    return nodes[nodes > 0].long()  # the root comes by itself


def _level_by_level(model, batch, nodes):
    root, cache = model.prefill(batch)
    logits = [root.unsqueeze(1)]
    for depth in model.tree.depth[nodes].unique():
        level = nodes[model.tree.depth[nodes] == depth]
        logits.append(model.extend(cache, level.expand(len(batch), -1)))
    return torch.cat(logits, 1)


def _rounding(model):
    """Share of the largest logit that rounding may explain: the root of the format's precision.

    Norm layers compute in float32 at best.
    """
    coarsest = max(torch.finfo(kind).eps for kind in (model.compute_dtype, torch.float32))
    return coarsest**0.5
