"""The losses' mathematics against enumeration, integration and each other."""

import itertools

import numpy as np
import pytest
import torch
from free_policies import BINS, VALUES
from scipy import stats
from torch.autograd import gradcheck

from llmreg import NumericDistribution
from llmreg.methods import functional as F


def _random_log_probs(n_rows=3, seed=0, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(n_rows, 6, generator=generator, dtype=torch.float64)
    return logits.log_softmax(1), torch.randn(n_rows, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("sigma", [0.05, 0.15, 1.0, 20.0])
def test_bin_mass_is_the_integral_of_the_gaussian_over_each_bin(sigma):
    y = torch.tensor([-1.7, -0.5, 0.1, 0.7, 2.0], dtype=torch.float64)
    found = F.bin_mass(y, BINS, sigma)
    for row, centre in enumerate(y.tolist()):
        mass = []
        for low, high in BINS.tolist():
            grid = np.linspace(low, high, 20_001)
            middle = (grid[1:] + grid[:-1]) / 2
            mass.append(stats.norm.pdf(middle, centre, sigma).mean() * (high - low))
        assert found[row].numpy() == pytest.approx(np.array(mass) / sum(mass), abs=1e-6)


def test_bin_mass_sums_to_one_however_far_the_target_is():
    y = torch.tensor([-1e6, -50.0, -2.0, 0.3, 3.0, 7.0, 1e6])
    for sigma in (1e-3, 0.15, 5.0):
        found = F.bin_mass(y, BINS.float(), sigma)
        assert torch.allclose(found.sum(1), torch.ones(7))
        assert (found >= 0).all()


def test_a_target_far_outside_goes_to_the_nearest_bin():
    found = F.bin_mass(torch.tensor([-50.0, 50.0]), BINS.float(), 0.15)
    assert found.tolist() == [[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]]


def test_bin_mass_keeps_its_tails_in_single_precision():
    edges = torch.linspace(-1, 1, 101, dtype=torch.float64)
    bins = torch.stack([edges[:-1], edges[1:]], 1)
    y = torch.tensor([-0.9, 0.0, 0.9], dtype=torch.float64)
    exact = F.bin_mass(y, bins, 0.15)
    single = F.bin_mass(y.float(), bins.float(), 0.15).double()
    assert exact.min() < 1e-30
    seen = exact > 1e-30
    assert torch.allclose(single[seen], exact[seen], rtol=1e-3, atol=0)


def test_only_targets_of_endless_bins_stay_in_them():
    edges = BINS.clone()
    edges[-1, 1] = np.inf
    inside, at_end = float(edges[2].mean()), float(edges[-1, 0]) + 0.01
    y, leaf = torch.tensor([inside, at_end, at_end], dtype=torch.float64), torch.tensor([2, 5, 4])
    smooth = F.bin_mass(y, edges, 0.5)
    found = F.keep_at_ends(smooth, leaf, edges)
    assert found[[0, 2]].tolist() == smooth[[0, 2]].tolist()
    assert found[1].tolist() == [0, 0, 0, 0, 0, 1]
    # Of others' tails it has all that is beyond its beginning.
    expected = stats.norm.sf(float(edges[-1, 0]), inside, 0.5)
    expected /= stats.norm.sf(float(edges[0, 0]), inside, 0.5)
    assert float(smooth[0, -1]) == pytest.approx(expected)


def test_bins_without_width_take_no_mass_and_make_no_nan():
    edges = torch.tensor([0.0, 1.0, 1.0, 2.0])
    found = F.bin_mass(torch.tensor([1.0]), torch.stack([edges[:-1], edges[1:]], 1), 0.1)
    assert found[0].tolist() == pytest.approx([0.5, 0, 0.5])
    constant = F.bin_mass(torch.tensor([4.0]), torch.full((3, 2), 4.0), 0.1)
    assert float(constant.sum()) == 1.0


def test_soft_cross_entropy_is_the_mean_log_loss():
    log_probs, _ = _random_log_probs()
    weights = torch.rand(3, 6, dtype=torch.float64).softmax(1)
    expected = [
        -sum(w * lp for w, lp in zip(row, other, strict=True))
        for row, other in zip(weights.tolist(), log_probs.tolist(), strict=True)
    ]
    assert F.soft_cross_entropy(log_probs, weights).tolist() == pytest.approx(expected)
    # Smallest where the distribution equals the weights.
    assert (F.soft_cross_entropy(log_probs, log_probs.exp())
            < F.soft_cross_entropy(log_probs.roll(1, 1), log_probs.exp())).all()  # fmt: skip


def test_expected_squared_error_is_that_of_the_enumerated_mean():
    log_probs, y = _random_log_probs()
    for row, found in enumerate(F.expected_squared_error(log_probs, VALUES, y).tolist()):
        mean = sum(np.exp(lp) * v for lp, v in zip(log_probs[row].tolist(), VALUES, strict=True))
        assert found == pytest.approx(float(mean - y[row]) ** 2)


def test_crps_equals_its_enumeration_and_that_of_the_distribution_of_atoms():
    log_probs, _ = _random_log_probs()
    probs = log_probs.exp().numpy()
    values = VALUES.numpy()
    for y in (-9.0, -0.6, float(values[3]), 2.5):
        found = F.crps(log_probs, VALUES, torch.full((3,), y, dtype=torch.float64))
        atoms = NumericDistribution(probs, values, values)
        assert found.numpy() == pytest.approx(atoms.crps(np.full(3, y)))
        for row in range(3):
            pairs = itertools.product(zip(probs[row], values, strict=True), repeat=2)
            spread = sum(p * q * abs(v - w) for (p, v), (q, w) in pairs)
            assert found[row].item() == pytest.approx(probs[row] @ abs(values - y) - spread / 2)


def test_categorical_kl_is_zero_for_equal_and_positive_for_other_distributions():
    p, q = _random_log_probs()[0], _random_log_probs(seed=1)[0]
    expected = [stats.entropy(a, b) for a, b in zip(p.exp().numpy(), q.exp().numpy(), strict=True)]
    assert F.categorical_kl(p, q).tolist() == pytest.approx(expected)
    assert (F.categorical_kl(p, q) > 0.01).all()
    assert F.categorical_kl(p, p).tolist() == [0, 0, 0]


def test_the_log_loss_of_the_mean_is_that_of_the_digit_one_on_a_grid_of_zero_and_one():
    # RAFT, appendix E.6: −y log p(1) − (1 − y) log(1 − p(1))
    log_probs, y = torch.tensor([[0.7, 0.3], [0.1, 0.9]]).double().log(), torch.tensor([0.4, 1.0])
    found = F.mean_log_loss(log_probs, torch.tensor([0.0, 1.0]), y)
    expected = [-0.4 * np.log(0.3) - 0.6 * np.log(0.7), -np.log(0.9)]
    assert found.tolist() == pytest.approx(expected, rel=1e-6)


def test_the_log_loss_of_the_mean_counts_shares_of_the_range_and_clips_targets_to_it():
    log_probs, _ = _random_log_probs()
    y = torch.tensor([-9.0, 0.4, 9.0]).double()
    low, high = VALUES[0], VALUES[-1]
    mean = (log_probs.exp() @ VALUES - low) / (high - low)
    share = ((y - low) / (high - low)).clamp(0, 1)
    assert share.tolist() == pytest.approx([0, (0.4 + 1.5) / 3.5, 1])
    expected = torch.nn.functional.binary_cross_entropy(mean, share, reduction="none")
    assert torch.allclose(F.mean_log_loss(log_probs, VALUES, y), expected)


def test_the_log_loss_of_the_mean_stays_finite_for_a_distribution_that_is_certain():
    log_probs = torch.tensor([[0.0, -1e4, -1e4]]).requires_grad_()
    loss = F.mean_log_loss(log_probs, torch.tensor([-1.0, 0.0, 1.0]), torch.tensor([0.5]))
    loss.sum().backward()
    assert torch.isfinite(loss).all() and torch.isfinite(log_probs.grad).all()


def test_the_mean_error_of_numbers_is_the_error_of_their_mean_and_their_variance():
    log_probs, y = _random_log_probs()
    probs = log_probs.exp()
    variance = probs @ VALUES**2 - (probs @ VALUES) ** 2
    found = F.mean_sample_error(log_probs, VALUES, y)
    assert torch.allclose(found, F.expected_squared_error(log_probs, VALUES, y) + variance)


# Distances between digits. Symbols 0, 1, 2 and "-"; the target is "-", 2.

DIGITS = torch.tensor([0.0, 1.0, 2.0, float("nan")], dtype=torch.float64)
STEPS = torch.tensor([[[0.1, 0.1, 0.2, 0.6], [0.2, 0.3, 0.1, 0.4]]], dtype=torch.float64).log()
SYMBOLS = torch.tensor([[3, 2]])


def _digit_distances(steps, symbols, values):
    return {
        "mse": F.digit_squared_error(steps, symbols, values),
        "was": F.digit_wasserstein(steps, symbols, values),
        "kl": F.digit_kl(steps, symbols, values, 1.0),
    }


def test_digit_distances_of_a_case_computed_by_hand():
    # Only the second step counts, and among digits p = (2, 3, 1) / 6: the mean digit is 5/6.
    found = _digit_distances(STEPS, SYMBOLS, DIGITS)
    wanted = np.exp([-4.0, -1.0, 0.0])
    assert found["mse"].item() == pytest.approx((2 - 5 / 6) ** 2)
    assert found["was"].item() == pytest.approx((2 * 2 + 3 * 1) / 6)
    assert found["kl"].item() == pytest.approx(stats.entropy(wanted, [2, 3, 1]))
    cold = F.digit_kl(STEPS, SYMBOLS, DIGITS, 0.5)
    assert cold.item() == pytest.approx(stats.entropy(wanted**2, [2, 3, 1]))


def test_digit_distances_add_up_over_steps():
    both = _digit_distances(STEPS[:, [1, 1]], torch.tensor([[2, 0]]), DIGITS)
    for name, apart in _digit_distances(
        STEPS[:, [1]].expand(2, 1, 4), torch.tensor([[2], [0]]), DIGITS
    ).items():
        assert both[name].item() == pytest.approx(apart.sum().item())
        assert (apart > 0).all()


def test_a_digit_that_may_not_be_written_is_not_wanted():
    steps = torch.tensor([[[0.0, -1e30, 0.0, -1e30]]], dtype=torch.float64).log_softmax(-1)
    found = _digit_distances(steps, torch.tensor([[2]]), DIGITS)
    assert found["kl"].item() == pytest.approx(stats.entropy(np.exp([-4.0, 0.0]), [1, 1]))
    assert (found["mse"].item(), found["was"].item()) == pytest.approx((1, 1))
    certain = torch.tensor([[[-1e30, -1e30, 0.0, -1e30]]], dtype=torch.float64)
    found = _digit_distances(certain, torch.tensor([[2]]), DIGITS)
    assert [value.item() for value in found.values()] == [0, 0, 0]


def test_in_base_2_digit_distances_are_functions_of_the_wrong_bits_probability_alone():
    wrong = torch.tensor([0.2, 0.6], dtype=torch.float64)
    steps = torch.stack([wrong, 1 - wrong], 1).log().unsqueeze(1)
    found = _digit_distances(steps, torch.ones(2, 1, dtype=torch.long), DIGITS[:2])
    assert found["mse"].tolist() == pytest.approx((wrong**2).tolist())
    assert found["was"].tolist() == pytest.approx(wrong.tolist())
    smooth = [stats.entropy([0.26894, 0.73106], [p, 1 - p]) for p in wrong.tolist()]
    assert found["kl"].tolist() == pytest.approx(smooth, rel=1e-4)


@pytest.mark.parametrize("name", ["mse", "was", "kl"])
def test_gradients_of_digit_distances_are_those_of_finite_differences(name):
    logits = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    symbols = torch.tensor([[3, 2, 0], [1, 1, 2]])
    assert gradcheck(
        lambda x: _digit_distances(x.log_softmax(-1), symbols, DIGITS)[name], (logits,)
    )


@pytest.mark.parametrize(
    "function",
    [
        lambda lp, y: F.mean_log_loss(lp, VALUES, y),
        lambda lp, y: F.mean_sample_error(lp, VALUES, y),
        lambda lp, y: F.soft_cross_entropy(lp, F.bin_mass(y, BINS, 0.4)),
        lambda lp, y: F.expected_squared_error(lp, VALUES, y),
        lambda lp, y: F.crps(lp, VALUES, y),
        lambda lp, y: F.categorical_kl(lp, _random_log_probs(seed=1)[0]),
        lambda lp, y: F.bin_mass(y, BINS, 0.4),
    ],
)
def test_gradients_are_those_of_finite_differences(function):
    logits, y = _random_log_probs()
    logits.requires_grad_(), y.requires_grad_()
    assert gradcheck(lambda a, b: function(a.log_softmax(1), b), (logits, y))
