"""The losses' mathematics: pure functions of tensors.

B rows, L leaves of the number tree, G samples. Values v and targets y are in z-units: standardised
by the training targets' mean and standard deviation.
"""

import math

import torch

__all__ = ["bin_mass", "categorical_kl", "crps", "expected_squared_error", "soft_cross_entropy"]


def bin_mass(y, edges, sigma):
    """Mass that a Gaussian around each y puts into each bin, normalised over the bins.

    Parameters
    ----------
    y : Tensor of shape (B,)
    edges : Tensor of shape (L, 2)
        Lower and upper end of each bin.
    sigma : float
        Standard deviation of the Gaussian.

    Returns
    -------
    Tensor of shape (B, L)
        Rows sum to one. A y so far outside that no bin gets mass goes to the nearest bin.
    """
    z = (edges - y[:, None, None]) / (sigma * math.sqrt(2))  # (B, L, 2)
    # erfc on the far side keeps the digits that 1 - erf would lose in the tails.
    sign = torch.where(z.sum(-1, keepdim=True) > 0, 1.0, -1.0)
    tails = torch.erfc(z * sign)
    mass = (tails[..., 0] - tails[..., 1]).abs()
    nearest = (edges.mean(-1) - y[:, None]).abs().argmin(-1)
    fallback = torch.nn.functional.one_hot(nearest, edges.shape[0]).to(mass)
    total = mass.sum(-1, keepdim=True)
    return torch.where(total > 1e-12, mass / total.clamp(min=1e-12), fallback)


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
