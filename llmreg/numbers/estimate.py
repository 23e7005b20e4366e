"""What regressors say of a number, as log-probabilities to pool with the language model's.

Pure functions of tensors. An estimate (:class:`llmreg.estimates.stacking.Estimate`) is a
distribution on the codec's axis; here it becomes one over intervals, and over the next symbols at
a node of the number tree.
"""

import math
from dataclasses import replace

import torch
from torch.nn.functional import logsigmoid

__all__ = ["estimate_on", "estimate_steps", "interval_log_mass"]

FARTHEST = 1e30  # scales
LEAST_LOG_MASS = -1e4  # of an interval: what lies beyond all scales stays finite
IMPOSSIBLE = -1e30  # as in step_log_probs


def estimate_on(estimate, device):
    """An estimate with tensors on a device, as precise as number trees are there.

    Parameters
    ----------
    estimate : llmreg.estimates.stacking.Estimate or None
        With ndarrays; None stays None.
    device : torch.device or str
    """
    if estimate is None:
        return None
    device = torch.device(device)
    # Not every device has float64.
    dtype = torch.float32 if device.type == "mps" else torch.float64

    def there(part):
        return torch.as_tensor(part).to(device, dtype)

    centre, width, heaps = there(estimate.centre), there(estimate.width), estimate.heaps
    if heaps is not None:
        heaps = heaps._replace(chance=there(heaps.chance), ends=there(heaps.ends))
    return replace(estimate, centre=centre, width=width, heaps=heaps)


def interval_log_mass(estimate, spans, ends=(-math.inf, math.inf)):
    """Log-probability of intervals.

    Each part of the spread is of numbers between the ends: what would lie beyond them is not lost
    to the other part, which is elsewhere.

    Parameters
    ----------
    estimate : llmreg.estimates.stacking.Estimate of B rows
        With tensors (B,).
    spans : Tensor of shape (B, ..., 2) or (1, ..., 2)
        Lower and upper ends, in the estimate's units.
    ends : pair of float or Tensor, default=(-inf, inf)
        Of all numbers that there are.

    Returns
    -------
    Tensor of shape (B, ...)
        At least -10,000.

    Examples
    --------
    >>> import torch
    >>> from llmreg.numbers.estimate import interval_log_mass
    >>> from llmreg.estimates.stacking import Estimate, Spread
    >>> estimate = Estimate(torch.tensor([10.0]), torch.ones(1), Spread(1.0, 3.0, 0.1))
    >>> spans = torch.tensor([[[-99.0, 10.0], [10.0, 11.0]]])
    >>> [round(p, 3) for p in interval_log_mass(estimate, spans).exp()[0].tolist()]
    [0.5, 0.216]
    """
    ends = torch.as_tensor(ends).to(spans)
    if estimate.heaps is None:
        return _bell_log_mass(estimate, spans, ends)
    chance, heaps = estimate.heaps
    by_row = -1, *[1] * (spans.dim() - 2)
    # The bell is of what lies between the heaps.
    found = _bell_log_mass(estimate, spans.clamp(*heaps), ends.clamp(*heaps))
    found = found + torch.log1p(-chance.sum(1)).view(by_row)
    lower, upper = spans.unbind(-1)
    low, high = heaps
    for k, holds in enumerate([(lower <= low) & (low < upper), (lower < high) & (high <= upper)]):
        if heaps[k].isfinite():
            at = chance[:, k].log().view(by_row).expand_as(found)
            found = torch.where(holds, torch.logaddexp(found, at), found)
    return found.clamp(min=LEAST_LOG_MASS)


def _bell_log_mass(estimate, spans, ends):
    by_row = -1, *[1] * (spans.dim() - 1)
    centre, width = estimate.centre.view(by_row), estimate.width.view(by_row)
    # Ends that are infinitely many scales away have no difference.
    farthest = FARTHEST * estimate.spread.narrow
    offset, whole = (((at - centre) / width).clamp(-farthest, farthest) for at in (spans, ends))
    most, few = (
        math.log(share)
        + _logistic_log_mass((offset - at) / scale)
        - _logistic_log_mass((whole - at) / scale).clamp(min=IMPOSSIBLE)  # where there is no width
        for share, at, scale in estimate.spread.parts
    )
    return torch.logaddexp(most, few).clamp(min=LEAST_LOG_MASS)


def _logistic_log_mass(spans):
    """log(σ(b) − σ(a)) = log σ(b) + log σ(−a) + log(1 − e^{a−b}): nothing cancels in the tails."""
    low, high = spans.unbind(-1)
    return logsigmoid(high) + logsigmoid(-low) + torch.log(-torch.expm1(low - high))


def estimate_steps(estimate, tree, nodes):
    """Log-probability of each next symbol at each node, as an estimate has it.

    A symbol is as likely as the numbers are that it leads to.

    Parameters
    ----------
    estimate : llmreg.estimates.stacking.Estimate of B rows
        With tensors (B,).
    tree : llmreg.numbers.tree.NumberTree
    nodes : LongTensor of shape (K,) or (B, K)
        Open ones; -1 is padding.

    Returns
    -------
    Tensor of shape (B, K, S)
        Each row sums to one in probability; near -1e30 where a symbol is illegal.
    """
    if nodes.dim() == 1:
        nodes = nodes.unsqueeze(0)
    nodes = nodes.clamp(min=0)
    leaf, child = tree.leaf[nodes], tree.child[nodes]  # (B or 1, K, S)
    # Of a number its bin; of what lies below a node its runs of bins.
    runs = tree.runs[child.clamp(0, tree.n_open - 1)]  # (B or 1, K, S, R, 2)
    bins = tree.leaf_span[leaf.clamp(min=0)].unsqueeze(3).expand_as(runs).clone()
    bins[..., 1:, 0] = bins[..., 1:, 1]  # one run, and empty ones
    spans = torch.where((leaf >= 0)[..., None, None], bins, runs)
    mass = interval_log_mass(estimate, spans, tree.leaf_span[[0, -1], [0, 1]]).logsumexp(-1)
    return mass.masked_fill((leaf < 0) & (child < 0), IMPOSSIBLE).log_softmax(-1)
