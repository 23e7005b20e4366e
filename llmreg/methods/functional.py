"""The losses' mathematics: pure functions of tensors.

B rows, L leaves of the number tree, G samples, N steps, S symbols. Values v and targets y are in
z-units: standardised by the training targets' mean and standard deviation on the codec's axis.
"""

import math

import torch

__all__ = [
    "bin_mass",
    "categorical_kl",
    "crps",
    "digit_kl",
    "digit_squared_error",
    "digit_wasserstein",
    "expected_squared_error",
    "keep_at_ends",
    "mean_log_loss",
    "mean_sample_error",
    "soft_cross_entropy",
]


def bin_mass(y, edges, sigma):
    """Mass that a Gaussian around each y puts into each bin, normalised over the bins.

    Parameters
    ----------
    y : Tensor of shape (B,)
    edges : Tensor of shape (L, 2)
        Lower and upper end of each bin; the outermost may be infinite.
    sigma : float or Tensor of shape (B,)
        Standard deviation of the Gaussian.

    Returns
    -------
    Tensor of shape (B, L)
        Rows sum to one. A y so far outside that no bin gets mass goes to the nearest bin.
    """
    sigma = torch.as_tensor(sigma).to(y).expand(y.shape)[:, None, None]
    z = (edges - y[:, None, None]) / (sigma * math.sqrt(2))  # (B, L, 2)
    # erfc on the far side keeps the digits that 1 - erf would lose in the tails.
    sign = torch.where(z.sum(-1, keepdim=True) > 0, 1.0, -1.0)
    tails = torch.erfc(z * sign)
    mass = (tails[..., 0] - tails[..., 1]).abs()
    nearest = (edges.mean(-1) - y[:, None]).abs().argmin(-1)
    fallback = torch.nn.functional.one_hot(nearest, edges.shape[0]).to(mass)
    total = mass.sum(-1, keepdim=True)
    return torch.where(total > 1e-12, mass / total.clamp(min=1e-12), fallback)


def keep_at_ends(weights, leaf, edges):
    """Smoothed targets (B, L), but those whose own bin is endless stay in it.

    Such a bin stands for an end of the range on which targets heap up, and all beyond it (see
    ``TargetCodec.open_edges``): that a target is there is no sign of others being a little less.

    Parameters
    ----------
    weights : Tensor of shape (B, L)
    leaf : LongTensor of shape (B,)
        The targets' bins.
    edges : Tensor of shape (L, 2)
    """
    own = torch.nn.functional.one_hot(leaf, len(edges)).to(weights)
    endless = edges.isinf().any(-1)
    return torch.where(endless[leaf].unsqueeze(1), own, weights)


def soft_cross_entropy(log_probs, weights):
    """−Σ w log p per row, for weights (B, L) that sum to one."""
    return -(weights * log_probs).sum(-1)


def expected_squared_error(log_probs, values, y):
    """(y − E_p v)² per row: RAFT, eq. 9–10, over all leaves of the codec.

    Parameters
    ----------
    log_probs : Tensor of shape (B, L)
    values : Tensor of shape (L,)
    y : Tensor of shape (B,)
    """
    return (log_probs.exp() @ values - y) ** 2


def mean_log_loss(log_probs, values, y):
    """Cross-entropy between the target and the mean as shares of the way from the lowest number to
    the highest, per row: −t log m − (1 − t) log(1 − m), t = (y − low) / (high − low), m likewise.

    RAFT, appendix E.6, where the grid is {0, 1} and m therefore the probability of "1". Parameters
    are those of :func:`expected_squared_error`; values ascend; y outside goes to the nearest end.
    """
    width = values[-1] - values[0]
    share = ((values - values[0]) / width).clamp(0, 1)
    target = ((y - values[0]) / width).clamp(0, 1)
    # Sums of probabilities, not differences from one: neither end loses its digits.
    log_mean = (log_probs + share.log()).logsumexp(-1)
    log_rest = (log_probs + (1 - share).log()).logsumexp(-1)
    return -target * log_mean - (1 - target) * log_rest


def mean_sample_error(log_probs, values, y):
    """E_p (y − v)² per row: RAFT, eq. 13–14 (minimum Bayes risk), over all leaves of the codec.

    Parameters are those of :func:`expected_squared_error`, which it exceeds by the variance of p.
    """
    return (log_probs.exp() * (values - y[:, None]) ** 2).sum(-1)


def crps(log_probs, values, y):
    """CRPS of the distribution over the leaves as atoms: E|v − y| − ½ E|v − v'| per row.

    Parameters are those of :func:`expected_squared_error`; values ascend. Equals
    ∫ (F(t) − 1[t ≥ y])² dt (Gneiting & Raftery 2007, eq. 20–21).
    """
    probs = log_probs.exp()
    to_target = (probs * (values - y[:, None]).abs()).sum(-1)
    below = probs.cumsum(-1)[:, :-1]
    # ½ E|v − v'| = ∫ F (1 − F), a sum over the gaps between neighbouring atoms.
    spread = (below * (1 - below) * values.diff()).sum(-1)
    return to_target - spread


def categorical_kl(log_probs, reference):
    """KL(p ‖ reference) per row, from log-probabilities of shape (B, L)."""
    return (log_probs.exp() * (log_probs - reference)).sum(-1)


def _among_digits(steps, symbols, values):
    """Distributions over the symbols that have a value, at the steps where the target's has one.

    Returns log-probabilities (B, N, S), the target's value (B, N), 0 where it has none, and which
    steps count (B, N).
    """
    valued = ~values.isnan()
    log_probs = steps.masked_fill(~valued, -1e30).log_softmax(-1)
    return log_probs, values.nan_to_num()[symbols], valued[symbols]


def digit_squared_error(steps, symbols, values):
    """Σ_k (Σ_v p_k(v) v − t_k)² per row, over the steps whose symbols have a value.

    Parameters
    ----------
    steps : Tensor of shape (B, N, S)
        Log-probabilities of the next symbol along the target's path. Symbols without a value take
        no part: p is normalised over the others.
    symbols : LongTensor of shape (B, N)
        The target's symbols.
    values : Tensor of shape (S,)
        Values of the symbols; NaN for none.

    Returns
    -------
    Tensor of shape (B,)
        NTL-MSE of Zausinger et al. (arXiv 2411.02083), summed over steps as the cross-entropy is.
    """
    log_probs, target, counts = _among_digits(steps, symbols, values)
    return (((log_probs.exp() @ values.nan_to_num()) - target) ** 2 * counts).sum(-1)


def digit_wasserstein(steps, symbols, values):
    """Σ_k Σ_v p_k(v) |v − t_k| per row: the Wasserstein-1 distance to the target's digit.

    NTL-WAS of Zausinger et al. (arXiv 2411.02083). Parameters are those of
    :func:`digit_squared_error`.
    """
    log_probs, target, counts = _among_digits(steps, symbols, values)
    gap = (values.nan_to_num() - target.unsqueeze(-1)).abs()
    return ((log_probs.exp() * gap).sum(-1) * counts).sum(-1)


def digit_kl(steps, symbols, values, temperature):
    """Σ_k KL(q_k ‖ p_k) per row, q_k(v) ∝ exp(−(v − t_k)² / temperature) over the legal digits.

    DIST² of Chung et al. (arXiv 2503.02379). Parameters are those of :func:`digit_squared_error`.
    """
    log_probs, target, counts = _among_digits(steps, symbols, values)
    gap = (values.nan_to_num() - target.unsqueeze(-1)) ** 2
    illegal = log_probs < -1e20
    wanted = (-gap / temperature).masked_fill(illegal, -1e30).log_softmax(-1)
    return (categorical_kl(wanted, log_probs) * counts).sum(-1)
