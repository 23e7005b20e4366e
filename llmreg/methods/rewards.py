"""Rewards of sampled numbers, and the advantages that a policy gradient makes of them.

All in z-units: samples v of shape (B, G) with weights w (B, G) that sum to one over a row, targets
y (B, 1); for "quantile_mse" both as normal scores. "rail" and "crps" judge the *group*: a sample's
reward depends on the others, so that the policy gradient does not pay for sharpness. All others
judge each sample alone.

For plain rewards −E(v − y)² = −(E v − y)² − Var v: the second term pays for a narrow distribution,
though a prediction by the mean needs only the first. GenRe² (arXiv 2512.06533) names the resulting
over-sharpening as its limit.
"""

import numpy as np
import torch

from llmreg.methods.functional import crps, expected_squared_error

__all__ = [
    "exact_advantages",
    "expected_reward",
    "moments",
    "sample_metrics",
    "sampled_advantages",
    "scale_advantages",
]

WORST = 50.0  # squared error that costs no more if it grows, in GenRe² for codecs that reach far


def sampled_advantages(samples, greedy, y, reward, baseline):
    """Advantages of G samples per row.

    Parameters
    ----------
    samples : Tensor of shape (B, G), G ≥ 2 (G ≥ 3 for "crps" among samples)
    greedy : Tensor of shape (B,)
        The number that greedy decoding writes.
    y : Tensor of shape (B,)
    reward : {"mse", "clipped_mse", "quantile_mse", "mae", "rail", "crps"} or callable
        A callable gets numpy arrays ``samples`` (B, C) and ``y`` (B, 1) and returns (B, C).
    baseline : {"group", "others", "greedy"}
        "group": the samples' mean reward (GRPO). "others": that of the other samples (RLOO).
        "greedy": the reward of the greedy number (ReMax).

    Returns
    -------
    Tensor of shape (B, G)
        Where samples are judged alone: r − baseline. For "rail": −2 (v̄₋ₛ − y)(v_s − b), v̄₋ₛ the
        mean of the other samples and b = v̄₋ₛ or the greedy number. For "crps":
        −|v_s − y| + mean over the others of |v_s − v'|, less the same for the baseline. Rewards
        that judge the group average the baseline over the other samples only, for "group" as for
        "others", so that the gradient stays unbiased.
    """
    y = y.unsqueeze(1)  # (B, 1)
    greedy = greedy.unsqueeze(1)
    n_samples = samples.shape[1]
    others = (samples.sum(1, keepdim=True) - samples) / (n_samples - 1)  # (B, G): v̄₋ₛ
    if reward == "rail":
        start = greedy if baseline == "greedy" else others
        return -2 * (others - y) * (samples - start)
    if reward == "crps":
        gaps = (samples.unsqueeze(2) - samples.unsqueeze(1)).abs()  # (B, G, G)
        apart = gaps.sum(2)
        score = -(samples - y).abs() + apart / (n_samples - 1)
        if baseline == "greedy":
            to_greedy = (samples - greedy).abs()
            apart_greedy = to_greedy.sum(1, keepdim=True) - to_greedy
            return score + (greedy - y).abs() - apart_greedy / (n_samples - 1)
        return score - _crps_of_others(samples, y, apart)
    value = _plain_reward(reward, samples, y)
    if baseline == "greedy":
        return _within_range(value - _plain_reward(reward, greedy, y), samples, reward)
    value = value - value[:, :1]  # equal rewards, however large, leave no rounding behind
    centred = value - value.mean(1, keepdim=True)
    # r_s − mean of the others = G / (G − 1) · (r_s − mean of all)
    factor = n_samples / (n_samples - 1) if baseline == "others" else 1
    return _within_range(factor * centred, samples, reward)


def _crps_of_others(samples, y, apart):
    """Mean score of a group without sample s, for each s."""
    n_samples = samples.shape[1]
    error = (samples - y).abs()
    mean_error = (error.sum(1, keepdim=True) - error) / (n_samples - 1)
    pairs = apart.sum(1, keepdim=True) - 2 * apart
    return -mean_error + pairs / ((n_samples - 1) * (n_samples - 2))


def exact_advantages(values, probs, greedy, y, reward, baseline):
    """Advantages of all L leaves: the limit of infinitely many samples.

    Parameters
    ----------
    values : Tensor of shape (L,)
    probs : Tensor of shape (B, L)
        The policy's probabilities, without gradient.
    greedy, y, reward, baseline
        As in :func:`sampled_advantages`; "group" and "others" are the same here.

    Returns
    -------
    Tensor of shape (B, L)
        −Σ p A, differentiated through p alone, is the gradient of −E[reward], of (E v − y)² for
        "rail" and of the CRPS for "crps".
    """
    y = y.unsqueeze(1)
    mean = (probs @ values).unsqueeze(1)
    start = greedy.unsqueeze(1) if baseline == "greedy" else mean
    if reward == "rail":
        return -2 * (mean - y) * (values - start)
    if reward == "crps":
        gaps = (values.unsqueeze(1) - values).abs()  # (L, L)
        score = -(values - y).abs() + probs @ gaps
        if baseline != "greedy":
            return score - (probs * score).sum(1, keepdim=True)
        to_greedy = (values - greedy.unsqueeze(1)).abs()
        return score + (start - y).abs() - (probs * to_greedy).sum(1, keepdim=True)
    value = _plain_reward(reward, values.expand_as(probs), y)
    if baseline == "greedy":
        return _within_range(value - _plain_reward(reward, start, y), probs, reward)
    value = value - value[:, :1]  # as among samples
    return _within_range(value - (probs.to(value) * value).sum(1, keepdim=True), probs, reward)


def expected_reward(log_probs, values, y, reward):
    """The mean reward of numbers that the model would write, per row, over all of them.

    Parameters
    ----------
    log_probs : Tensor of shape (B, L)
    values : Tensor of shape (L,)
    y : Tensor of shape (B,)
    reward
        As in :func:`sampled_advantages`; "rail" is −(E v − y)², "crps" minus the CRPS.

    Returns
    -------
    Tensor of shape (B,)
    """
    if reward == "rail":
        return -expected_squared_error(log_probs, values, y)
    if reward == "crps":
        return -crps(log_probs, values, y)
    probs = log_probs.exp()
    value = _plain_reward(reward, values.expand_as(probs), y.unsqueeze(1))
    return (probs.to(value) * value).sum(1).to(probs)


def _within_range(advantages, like, reward):
    """Advantages in the precision of ``like``, which may hold less than a reward of one's own."""
    found = advantages.to(like)
    if callable(reward) and not torch.isfinite(found).all():
        raise ValueError(
            f"The reward function {reward!r} returned values that differ by up to "
            f"{float(advantages.abs().max()):.2g}, more than {like.dtype} holds. Return smaller "
            "numbers: their size makes no difference where advantages are scaled."
        )
    return found


def _plain_reward(reward, samples, y):
    """Rewards (B, C); those of a callable as it gives them: in float64, on the CPU."""
    if reward == "mse":
        return -((samples - y) ** 2)
    if reward == "mae":
        return -(samples - y).abs()
    if reward in ("clipped_mse", "quantile_mse"):
        return -((samples - y) ** 2).clamp(max=WORST)
    result = reward(samples.detach().cpu().double().numpy(), y.detach().cpu().double().numpy())
    result = np.asarray(result, dtype=np.float64)
    if result.shape != tuple(samples.shape) or not np.isfinite(result).all():
        raise ValueError(
            f"The reward function {reward!r} returned "
            + (
                f"shape {result.shape}"
                if result.shape != tuple(samples.shape)
                else "values that are not finite"
            )
            + f" for samples of shape {tuple(samples.shape)}. It must return one finite number per "
            "sample: reward(samples, y) with samples (rows, numbers) and y (rows, 1), both in "
            "standard deviations of the training targets from their mean."
        )
    return torch.as_tensor(result)


def sample_metrics(samples, y, weights):
    """Mean squared error of the samples and their spread per row, in z-units.

    Parameters
    ----------
    samples : Tensor of shape (B, G) or (G,)
    y : Tensor of shape (B,)
    weights : Tensor of shape (B, G)
        Sum to one over each row.

    Returns
    -------
    dict of str to Tensor of shape (B,)
        "sample_mse" and "sample_spread". Where the latter is 0, all samples of the row agree: there
        is nothing to learn from.
    """
    error = (weights * (samples - y[:, None]) ** 2).sum(1)
    mean = (weights * samples).sum(1, keepdim=True)
    spread = (weights * (samples - mean) ** 2).sum(1).clamp(min=0).sqrt()
    return {"sample_mse": error, "sample_spread": spread}


def moments(advantages, weights, row_weight):
    """Sums over rows that describe a batch's advantages: what scaling by "batch" needs.

    Parameters
    ----------
    advantages, weights : Tensor of shape (B, G)
    row_weight : Tensor of shape (B,)

    Returns
    -------
    Tensor of shape (3,), float64
        Σ u, Σ u Σ w A, Σ u Σ w A² for row weights u. Sums of parts of a batch add up.
    """
    advantages, weights, u = (x.detach().cpu().double() for x in (advantages, weights, row_weight))
    first = (weights * advantages).sum(1)
    second = (weights * advantages**2).sum(1)
    return torch.stack([u.sum(), u @ first, u @ second])


def scale_advantages(advantages, weights, scale_rewards, batch=None):
    """Divide by a standard deviation.

    Parameters
    ----------
    advantages, weights : Tensor of shape (B, G)
        Weights sum to one over each row (1/G for samples, p for all leaves).
    scale_rewards : {"group", "batch"} or False
        "group": by each row's own deviation, which forgets how wrong a row is (GRPO as published).
        "batch": by the deviation over the batch. False: leave as they are. Where there is no
        deviation, advantages become zero.
    batch : Tensor of shape (3,) or None, default=None
        :func:`moments` of the batch, for "batch"; None: of these rows, equally weighted.

    Returns
    -------
    Tensor of shape (B, G)
    """
    if scale_rewards is False:
        return advantages
    if scale_rewards == "batch":
        if batch is None:
            batch = moments(advantages, weights, weights.new_ones(len(weights)))
        total, first, second = batch.tolist()
        centre = advantages.new_tensor(first / total)
        deviation = advantages.new_tensor(max(second / total - (first / total) ** 2, 0.0) ** 0.5)
    else:
        centre = (weights * advantages).sum(1, keepdim=True)
        deviation = (weights * (advantages - centre) ** 2).sum(1, keepdim=True).sqrt()
    # Without spread there is nothing to scale by. With the greedy baseline all samples of a row
    # may share an advantage other than zero, which a small divisor would blow up.
    spread = deviation > 1e-6 + 1e-5 * centre.abs()
    return torch.where(spread, advantages / (deviation + 1e-6), 0.0)
