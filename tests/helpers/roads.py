"""One number tree, by each of the roads that compute its logits."""

import torch

from llmreg.codecs.digits import DigitCodec

CODEC = DigitCodec(3, 3).fit([0.0, 1.0])  # 12 nodes beside the root, on two levels


def _nodes(model, n_rows):
    return torch.arange(1, model.tree.n_nodes, device=model.device).expand(n_rows, -1)


def node_logits(model, batch, road):
    nodes = _nodes(model, len(batch))
    if road == "packed":
        return model.node_logits(batch, nodes)
    if road == "plain":
        return model.plain_logits(batch, nodes)
    root, cache = model.prefill(batch)
    levels = [model.extend(cache, nodes[:, :3]), model.extend(cache, nodes[:, 3:])]
    return torch.cat([root.unsqueeze(1), *levels], 1)
