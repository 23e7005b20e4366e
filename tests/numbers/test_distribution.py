"""NumericDistribution against closed forms, explicit grids and enumeration."""

import numpy as np
import pytest
from scipy import stats

from llmreg.numbers.distribution import DECODINGS, DRAWN, NumericDistribution


def random_case(seed, *, n=4, k=6, atoms=False, per_row=True, gaps=True, scale=10.0):
    """Sorted supports with gaps, some cells without mass, some (or all) of width zero."""
    rng = np.random.default_rng(seed)
    shape = (n, k) if per_row else (k,)
    widths = np.zeros(shape) if atoms else rng.uniform(0.1, 2.0, shape)
    if atoms is None:  # a mixture
        widths *= rng.random(shape) < 0.6
    steps = rng.uniform(0.1, 1.0, shape) if gaps else np.zeros(shape)
    upper = (widths + steps).cumsum(axis=-1) - scale
    p = rng.dirichlet(np.full(k, 0.7), n) * (rng.random((n, k)) < 0.8)
    p[:, 2] += 0.05
    return p / p.sum(axis=1, keepdims=True), upper - widths, upper, rng


def grid_cdf(p, lower, upper, t):
    """CDF of one row on the points t, cell by cell in the plainest way."""
    total = np.zeros(len(t))
    for mass, a, b in zip(p, lower, upper, strict=True):
        if a == b:
            total += mass * (t >= a)
        else:
            total += mass * stats.uniform.cdf(t, a, b - a)
    return total


def grid_crps(p, lower, upper, y, n_points=100_001):
    """The defining integral by the midpoint rule, over all that can be nonzero."""
    edges = np.linspace(min(lower.min(), y), max(upper.max(), y), n_points)
    t = (edges[:-1] + edges[1:]) / 2
    return ((grid_cdf(p, lower, upper, t) - (t >= y)) ** 2).sum() * (edges[1] - edges[0])


def as_points(p, lower, upper, n_points=2000):
    """Many equal atoms per cell, at midpoints: values and masses of one row."""
    share = (np.arange(n_points) + 0.5) / n_points
    points = lower[:, None] + share * (upper - lower)[:, None]
    return points.ravel(), np.repeat(p / n_points, n_points)


# Moments, mode, entropy


@pytest.mark.parametrize("seed", range(5))
def test_mean_and_std_are_those_of_the_mass_spread_over_a_fine_grid(seed):
    p, lower, upper, _ = random_case(seed, atoms=None)
    dist = NumericDistribution(p, lower, upper)
    for i in range(len(p)):
        x, w = as_points(p[i], lower[i], upper[i])
        mean = (w * x).sum()
        assert dist.mean()[i] == pytest.approx(mean, rel=1e-9)
        assert dist.std()[i] == pytest.approx(np.sqrt((w * (x - mean) ** 2).sum()), rel=1e-6)


def test_one_wide_cell_is_the_uniform_distribution_of_scipy():
    dist, exact = NumericDistribution([[1.0]], [2.0], [5.0]), stats.uniform(2, 3)
    q, y = np.linspace(0, 1, 11), np.linspace(1, 6, 21)
    assert dist.mean()[0] == pytest.approx(exact.mean())
    assert dist.std()[0] == pytest.approx(exact.std())
    np.testing.assert_allclose(dist.quantile(q)[0], exact.ppf(q))
    np.testing.assert_allclose(dist.cdf(y[None])[0], exact.cdf(y))
    np.testing.assert_allclose(dist.interval(0.8)[0], exact.interval(0.8))


def test_the_mean_of_the_smallest_floats_is_among_them():
    values = np.arange(1, 101) * 5e-324
    dist = NumericDistribution(np.full((1, 100), 0.01), values, values)
    assert dist.mean()[0] == 50 * 5e-324


def test_mean_uses_the_given_values_and_std_the_cells():
    dist = NumericDistribution([[0.25, 0.75]], [0, 1], [1, 2], values=[0.0, 2.0])
    plain = NumericDistribution([[0.25, 0.75]], [0, 1], [1, 2])
    assert dist.mean()[0] == 1.5 and plain.mean()[0] == 1.25
    assert dist.std()[0] == plain.std()[0] == pytest.approx(np.sqrt(0.1875 + 1 / 12))


def test_std_of_a_narrow_distribution_far_from_zero_keeps_its_digits():
    dist = NumericDistribution([[0.5, 0.5]], [1e9, 1e9 + 1], [1e9, 1e9 + 1])
    assert dist.std()[0] == pytest.approx(0.5, rel=1e-12)


def test_mode_is_the_value_of_the_most_probable_cell_and_the_smallest_of_several():
    p = [[0.2, 0.5, 0.3], [0.4, 0.2, 0.4], [0.0, 0.0, 1.0]]
    dist = NumericDistribution(p, [0, 1, 2], [1, 2, 3], values=[7.0, 1.5, 2.5])
    np.testing.assert_array_equal(dist.mode(), [1.5, 2.5, 2.5])


def test_entropy_is_in_nats_and_zero_when_certain():
    dist = NumericDistribution([[0.5, 0.5, 0], [0.2, 0.3, 0.5], [0, 1, 0]], [0, 1, 2], [0, 1, 2])
    np.testing.assert_allclose(dist.entropy(), stats.entropy(dist.probabilities, axis=1))
    assert dist.entropy()[0] == pytest.approx(np.log(2))
    assert not np.signbit(dist.entropy()[2])


@pytest.mark.parametrize("per_row", [True, False])
def test_atoms_of_one_number_are_one_cell(per_row):
    p = np.array([[0.3, 0.3, 0.0, 0.4], [0.1, 0.1, 0.8, 0.0], [0.0, 0.0, 0.0, 1.0]])
    at = np.array([5.0, 5.0, 7.0, 6.0])
    at = np.stack([at, at, [1.0, 2.0, 3.0, 4.0]]) if per_row else at
    dist = NumericDistribution(p, at, at)
    assert dist.probabilities.shape == (3, 4 if per_row else 3)
    assert dist.mode().tolist() == [5, 7, 4 if per_row else 6]
    expected = [stats.entropy([0.6, 0.4]), stats.entropy([0.2, 0.8]), 0.0]
    np.testing.assert_allclose(dist.entropy(), expected, atol=1e-12)
    np.testing.assert_allclose(dist.mean(), (p * at).sum(1))
    np.testing.assert_allclose(dist[0].cdf([[4.9, 5, 6, 7]]), [[0, 0.6, 1, 1]])


def test_atoms_that_stand_for_several_numbers_stay_apart():
    dist = NumericDistribution([[0.5, 0.5]], [3, 3], [3, 3], values=[2.5, 4.0])
    assert dist.probabilities.shape == (1, 2) and dist.mean()[0] == 3.25


def test_what_a_function_maps_to_one_number_is_one_number():
    edges = np.arange(-4.0, 7)
    p = np.array([[0.08] * 4 + [0.3, 0.2] + [0.045] * 4])
    dist = NumericDistribution(p, edges[:-1], edges[1:], mode=[0.5])
    none_below = dist.transformed(lambda y: np.maximum(y, 0))
    assert none_below.mode().tolist() == [0.0]
    assert none_below.entropy()[0] == pytest.approx(stats.entropy([0.32, 0.3, 0.2, *[0.045] * 4]))
    assert dist.transformed(np.exp).mode().tolist() == [np.exp(0.5)]
    assert none_below.cdf(0.0)[0] == pytest.approx(0.32)


@pytest.mark.parametrize("per_row", [True, False])
def test_a_mode_that_is_given_is_kept_through_rows_and_parts(per_row):
    p, lower, upper, _ = random_case(3, per_row=per_row)
    given = np.array([40.0, 10.0, 30.0, 20.0])
    dist = NumericDistribution(p, lower, upper, mode=given)
    given[0] = -1.0  # a copy was kept
    np.testing.assert_array_equal(dist.mode(), [40, 10, 30, 20])
    np.testing.assert_array_equal(dist.decode("mode"), dist.mode())
    np.testing.assert_array_equal(dist[[2, 0]].mode(), [30, 40])
    np.testing.assert_array_equal(dist[1].mode(), [10])
    again = NumericDistribution.concatenate([dist[:1], dist[1:]])
    np.testing.assert_array_equal(again.mode(), dist.mode())
    plain = NumericDistribution(p, lower, upper)
    assert (plain.mode() != dist.mode()).any()
    for name in ("mean", "median", "std", "entropy"):
        np.testing.assert_array_equal(getattr(dist, name)(), getattr(plain, name)())
    with pytest.raises(ValueError, match="read-only"):
        dist.mode()[0] = 0


def test_modes_are_given_in_all_parts_or_in_none():
    one = NumericDistribution([[1.0]], [0], [1], mode=[0.3])
    other = NumericDistribution([[1.0]], [0], [1])
    for parts in ([one, other], [other, one]):
        with pytest.raises(ValueError, match="1 of 2 parts carry mode values"):
            NumericDistribution.concatenate(parts)
    assert NumericDistribution.concatenate([other, other]).mode().tolist() == [0.5, 0.5]


# Quantiles and the CDF


@pytest.mark.parametrize("seed", range(5))
def test_cdf_is_the_plain_sum_over_cells_even_outside_and_at_edges(seed):
    p, lower, upper, _ = random_case(seed, atoms=None)
    y = np.concatenate([lower, upper, np.tile(np.linspace(-12, 8, 101), (len(p), 1))], axis=1)
    cdf = NumericDistribution(p, lower, upper).cdf(y)
    for i in range(len(p)):
        np.testing.assert_allclose(cdf[i], grid_cdf(p[i], lower[i], upper[i], y[i]), atol=1e-14)


def test_cdf_accepts_a_scalar_a_number_per_row_and_a_matrix():
    dist = NumericDistribution([[1.0, 0.0], [0.5, 0.5]], [0, 2], [1, 4])
    np.testing.assert_allclose(dist.cdf(0.5), [0.5, 0.25])
    np.testing.assert_allclose(dist.cdf([0.5, 3.0]), [0.5, 0.75])
    np.testing.assert_allclose(dist.cdf([[0.5, 9], [3, -1]]), [[0.5, 1], [0.75, 0]])
    np.testing.assert_allclose(dist.cdf([[-np.inf, np.inf]] * 2), [[0, 1], [0, 1]])


def test_cdf_is_right_continuous_at_an_atom():
    dist = NumericDistribution([[0.25, 0.75]], [1, 2], [1, 2])
    y = [[np.nextafter(1, 0), 1, np.nextafter(2, 0), 2]]
    np.testing.assert_array_equal(dist.cdf(y), [[0, 0.25, 0.25, 1]])


@pytest.mark.parametrize("seed", range(10))
def test_cdf_undoes_quantile_when_all_cells_have_width(seed):
    p, lower, upper, rng = random_case(seed, per_row=seed % 2 == 0, gaps=seed % 3 > 0)
    dist = NumericDistribution(p, lower, upper)
    q = np.concatenate([[0, 1, 0.5], rng.random(50)])
    np.testing.assert_allclose(dist.cdf(dist.quantile(q)), np.tile(q, (len(p), 1)), atol=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_quantile_is_the_smallest_number_whose_cdf_reaches_the_level(seed):
    p, lower, upper, rng = random_case(seed, atoms=None)
    dist, q = NumericDistribution(p, lower, upper), rng.uniform(0.001, 0.999, 40)
    at = dist.quantile(q)
    assert (dist.cdf(at) >= q - 1e-12).all()
    assert (dist.cdf(at - 1e-6) < q).all()


@pytest.mark.parametrize("seed", range(5))
def test_quantiles_grow_with_the_level_from_the_first_mass_to_the_last(seed):
    p, lower, upper, _ = random_case(seed, atoms=None)
    at = NumericDistribution(p, lower, upper).quantile(np.linspace(0, 1, 301))
    assert (np.diff(at, axis=1) >= 0).all()
    np.testing.assert_array_equal(at[:, 0], np.where(p > 0, lower, np.inf).min(axis=1))
    np.testing.assert_array_equal(at[:, -1], np.where(p > 0, upper, -np.inf).max(axis=1))


def test_a_level_reached_exactly_before_a_gap_gives_the_left_end_of_the_gap():
    dist = NumericDistribution([[0.5, 0.0, 0.5]], [0, 2, 4], [1, 3, 5])
    np.testing.assert_array_equal(dist.quantile([0.5, 0.75]), [[1.0, 4.5]])


def test_tails_too_light_for_the_cumulative_sum_still_bound_the_full_interval():
    dist = NumericDistribution([[1e-30, 1.0, 1e-30, 0.0]], [-9, 0, 8, 99], [-8, 1, 9, 100])
    np.testing.assert_array_equal(dist.interval(1.0), [[-9, 9]])


def test_the_quantile_at_zero_is_the_lower_edge_exactly():
    dist = NumericDistribution([[0.0, 1.0]], [-1, 0], [0, 3])
    assert dist.quantile(0)[0] == 0.0


def test_a_level_just_below_one_stays_in_the_last_cell_with_mass_when_the_sum_is_rounded():
    p, edges = [[1 / 300] * 300 + [0.0]], np.arange(302.0)
    dist, level = NumericDistribution(p, edges[:-1], edges[1:]), np.nextafter(1, 0)
    assert dist.probabilities.cumsum()[-1] < level  # or this would check nothing
    assert 299 < dist.quantile(level)[0] <= 300


def test_median_is_the_middle_quantile_and_quantile_shapes_follow_q():
    p, lower, upper, _ = random_case(3)
    dist = NumericDistribution(p, lower, upper)
    assert dist.quantile(0.5).shape == (4,) and dist.quantile([0.1, 0.5, 0.9]).shape == (4, 3)
    assert dist.quantile([0.3]).shape == (4, 1) and dist.quantile([]).shape == (4, 0)
    np.testing.assert_array_equal(dist.median(), dist.quantile([0.1, 0.5])[:, 1])


@pytest.mark.parametrize("coverage", [0.0, 0.5, 0.9, 1.0])
def test_an_interval_holds_its_coverage_with_equal_tails(coverage):
    p, lower, upper, _ = random_case(1)
    dist = NumericDistribution(p, lower, upper)
    tails = dist.cdf(dist.interval(coverage))
    np.testing.assert_allclose(tails[:, 1] - tails[:, 0], coverage, atol=1e-12)
    np.testing.assert_allclose(tails[:, 0], 1 - tails[:, 1], atol=1e-12)


# CRPS


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("atoms", [False, None])
def test_crps_is_the_defining_integral_inside_and_outside_the_support(seed, atoms):
    p, lower, upper, rng = random_case(seed, atoms=atoms, n=3)
    dist = NumericDistribution(p, lower, upper)
    inside = upper[np.arange(3), rng.integers(0, 6, 3)] - 0.03
    for y in (inside, lower[:, 0] - 2.5, upper[:, -1] + 1.5):
        expected = [grid_crps(*row) for row in zip(p, lower, upper, y, strict=True)]
        np.testing.assert_allclose(dist.crps(y), expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("seed", range(8))
def test_crps_on_atoms_is_the_energy_form_by_enumeration(seed):
    p, x, _, rng = random_case(seed, atoms=True, per_row=seed % 2 == 0)
    y, x_rows = rng.uniform(-14, 2, len(p)), np.broadcast_to(x, p.shape)
    far = (p * np.abs(x_rows - y[:, None])).sum(axis=1)
    apart = np.abs(x_rows[:, :, None] - x_rows[:, None, :])
    spread = np.einsum("ni,nj,nij->n", p, p, apart)
    np.testing.assert_allclose(
        NumericDistribution(p, x, x).crps(y), far - spread / 2, rtol=1e-11, atol=1e-12
    )


def test_crps_of_a_single_atom_is_the_absolute_error():
    y = np.array([-3.0, 2.0, 2.5, 1e6])
    dist = NumericDistribution(np.ones((4, 1)), [2.0], [2.0])
    np.testing.assert_array_equal(dist.crps(y), np.abs(y - 2))


def test_crps_of_a_uniform_cell_has_its_closed_form():
    y = np.array([-1.0, 0.0, 0.3, 1.0, 2.5])
    z = np.clip(y, 0, 1)
    expected = z**3 / 3 + (1 - z) ** 3 / 3 + np.abs(y - z)
    dist = NumericDistribution(np.ones((5, 1)), [0.0], [1.0])
    np.testing.assert_allclose(dist.crps(y), expected, rtol=1e-14)


def test_crps_of_two_atoms_weighs_the_gap_by_the_squared_mass_beyond():
    dist = NumericDistribution([[0.3, 0.7]] * 3, [0, 2], [0, 2])
    np.testing.assert_allclose(dist.crps([0.5, -1, 3]), [0.78, 1.98, 1.18])


def test_crps_keeps_its_digits_when_almost_all_mass_is_on_what_was_observed():
    tail = 1e-9  # the energy form, or 1 - CDF, would lose most digits of tail squared
    dist = NumericDistribution([[tail, 1 - 2 * tail, tail]], [-1e3, 0, 2e3], [-1e3, 0, 2e3])
    assert dist.crps([0.0])[0] == pytest.approx(3e3 * tail**2, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_crps_scales_and_shifts_and_mirrors_with_y(seed):
    p, lower, upper, rng = random_case(seed, atoms=None)
    y = rng.uniform(-14, 2, len(p))
    score = NumericDistribution(p, lower, upper).crps(y)
    moved = NumericDistribution(p, 3 * lower + 7, 3 * upper + 7).crps(3 * y + 7)
    mirrored = NumericDistribution(p, -upper, -lower).crps(-y)
    np.testing.assert_allclose(moved, 3 * score, rtol=1e-11)
    np.testing.assert_allclose(mirrored, score, rtol=1e-11)


def test_crps_in_blocks_is_crps_in_one_go(monkeypatch):
    p, lower, upper, rng = random_case(0, n=23)
    dist, y = NumericDistribution(p, lower, upper), rng.uniform(-12, 0, 23)
    whole = dist.crps(y)
    monkeypatch.setattr("llmreg.numbers.distribution._BLOCK_CELLS", 13)  # two rows of six cells
    np.testing.assert_array_equal(dist.crps(y), whole)


# Supports: order, padding, sharing


@pytest.mark.parametrize("per_row", [True, False])
def test_the_order_of_the_cells_does_not_matter(per_row):
    p, lower, upper, rng = random_case(7, atoms=None, per_row=per_row)
    values = lower + 0.25 * (upper - lower)
    plain = NumericDistribution(p, lower, upper, values=values)
    order = rng.permuted(np.tile(np.arange(6), (4, 1)), axis=1) if per_row else rng.permutation(6)
    pick = np.broadcast_to(order, p.shape)
    mixed = NumericDistribution(
        np.take_along_axis(p, pick, 1),
        *(np.take_along_axis(a, order, -1) for a in (lower, upper)),
        values=np.take_along_axis(values, order, -1),
    )
    for name in ("probabilities", "lower", "upper", "values"):
        np.testing.assert_allclose(getattr(mixed, name), getattr(plain, name), rtol=1e-15)
    np.testing.assert_allclose(mixed.quantile([0.1, 0.7]), plain.quantile([0.1, 0.7]))


@pytest.mark.parametrize("pad", [(-2.0, 3.0), (-9.5, -9.5), (5.0, -5.0), (1e300, 1e300)])
def test_cells_without_mass_change_nothing_wherever_they_lie(pad):
    p, lower, upper, _ = random_case(4, n=3)
    plain = NumericDistribution(p, lower, upper)
    add = [
        np.hstack([np.full((3, 2), edge), a]) for edge, a in zip(pad, (lower, upper), strict=True)
    ]
    padded = NumericDistribution(np.hstack([np.zeros((3, 2)), p]), *add)
    y, q = np.array([-9.0, -20.0, 12.0]), [0, 0.2, 0.5, 1]
    for name in ("mean", "std", "median", "mode", "entropy"):
        np.testing.assert_allclose(getattr(padded, name)(), getattr(plain, name)(), rtol=1e-12)
    np.testing.assert_allclose(padded.quantile(q), plain.quantile(q))
    np.testing.assert_allclose(padded.crps(y), plain.crps(y), rtol=1e-12)
    np.testing.assert_allclose(padded.cdf(y), plain.cdf(y), rtol=1e-12, atol=1e-15)


def test_a_shared_support_is_not_copied_for_every_row_and_gives_what_a_copy_gives():
    p, lower, upper, _ = random_case(2, per_row=False, n=5)
    shared = NumericDistribution(p, lower, upper)
    copied = NumericDistribution(p, np.tile(lower, (5, 1)), np.tile(upper, (5, 1)))
    assert shared.lower.shape == shared.values.shape == (6,) and copied.lower.shape == (5, 6)
    y = np.linspace(-12, 0, 5)
    for method in ("mean", "std", "median", "mode", "entropy"):
        np.testing.assert_array_equal(getattr(shared, method)(), getattr(copied, method)())
    for a, b in zip((shared.cdf(y), shared.crps(y)), (copied.cdf(y), copied.crps(y)), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(shared.sample(9, 0), copied.sample(9, 0))


def test_an_edge_rounded_twice_is_not_an_overlap():
    edge = 0.1 + 0.2  # just above 0.3
    dist = NumericDistribution([[0.5, 0.5]], [0.0, 0.3], [edge, 0.6])
    assert edge > 0.3 and dist.crps([0.3])[0] == pytest.approx(0.6 / 12)


def test_an_atom_may_touch_the_cells_on_both_sides():
    dist = NumericDistribution([[0.25, 0.25, 0.5]], [1, 0, 1], [2, 1, 1])
    np.testing.assert_allclose(dist.quantile([0.2, 0.5, 0.9]), [[0.8, 1, 1.6]])


def test_arrays_are_float64_read_only_and_apart_from_the_callers():
    p, lower, upper = np.array([[0.5, 0.5]], np.float32), np.array([0.0, 1.0]), np.array([1.0, 2.0])
    dist = NumericDistribution(p, lower, upper)
    lower[0], upper[1], p[0, 0] = -50.0, 60.0, 0.9
    np.testing.assert_array_equal(dist.interval(1.0), [[0, 2]])
    assert dist.mean()[0] == 1.0
    for array in (dist.probabilities, dist.lower, dist.upper, dist.values, dist[:1].probabilities):
        assert array.dtype == np.float64
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_sums_that_are_slightly_off_are_renormalised():
    dist = NumericDistribution([[0.5, 0.4995]], [0, 1], [0, 1])
    assert dist.probabilities.sum() == pytest.approx(1, abs=1e-15)
    assert dist.probabilities[0, 0] == pytest.approx(0.5 / 0.9995)


# Sampling and decoding


def test_sampling_frequencies_are_the_masses_within_five_sigma():
    p, lower, upper, _ = random_case(11, atoms=None, n=2)
    draws = NumericDistribution(p, lower, upper).sample(20_000, random_state=0)
    inside = (draws[..., None] >= lower[:, None]) & (draws[..., None] <= upper[:, None])
    assert (np.abs(inside.mean(axis=1) - p) <= 5 * np.sqrt(p * (1 - p) / 20_000)).all()


def test_draws_are_uniform_within_a_cell_and_independent_across_rows():
    draws = NumericDistribution(np.ones((2, 1)), [0], [1]).sample(5000, random_state=1)
    assert stats.kstest(draws[0], "uniform").pvalue > 1e-6
    assert abs(np.corrcoef(draws)[0, 1]) < 5 / np.sqrt(5000)


def test_sampling_repeats_with_a_seed_and_moves_on_with_a_random_state():
    dist = NumericDistribution(np.ones((3, 1)), [0], [1])
    assert dist.sample().shape == (3, 1)
    np.testing.assert_array_equal(dist.sample(4, 5), dist.sample(4, 5))
    rng = np.random.RandomState(5)
    assert (dist.sample(4, rng) != dist.sample(4, rng)).all()


def test_decode_gives_the_method_of_that_name():
    p, lower, upper, _ = random_case(5)
    dist = NumericDistribution(p, lower, upper, greedy=[1, 2, 3, 4])
    methods = {"rail": dist.mean, "median": dist.median, "mode": dist.mode, "greedy": dist.greedy}
    assert {*methods, *DRAWN} == set(DECODINGS)
    for decoding, method in methods.items():
        np.testing.assert_array_equal(dist.decode(decoding), method())
    np.testing.assert_array_equal(dist.decode("greedy"), [1, 2, 3, 4])


def test_decode_sample_draws_values_of_cells_as_often_as_their_masses():
    n, p, values = 20_000, np.array([0.1, 0.0, 0.6, 0.3]), np.array([0.25, 1.25, 2.25, 3.25])
    dist = NumericDistribution(np.tile(p, (n, 1)), np.arange(4), np.arange(1, 5), values=values)
    share = (dist.decode("sample", random_state=3)[:, None] == values).mean(axis=0)
    assert share.sum() == pytest.approx(1)
    assert (np.abs(share - p) <= 5 * np.sqrt(p * (1 - p) / n)).all()
    np.testing.assert_array_equal(dist.decode("sample", 3), dist.decode("sample", 3))


def test_sampled_mean_is_the_mean_of_32_draws():
    n, p, values = 5_000, np.array([0.1, 0.0, 0.6, 0.3]), np.array([0.25, 1.25, 2.25, 3.25])
    dist = NumericDistribution(np.tile(p, (n, 1)), np.arange(4), np.arange(1, 5), values=values)
    found = dist.decode("sampled_mean", random_state=3)
    spread = np.sqrt(p @ (values - p @ values) ** 2)
    assert found.mean() == pytest.approx(p @ values, abs=5 * spread / np.sqrt(32 * n))
    assert found.std() == pytest.approx(spread / np.sqrt(32), rel=0.05)
    np.testing.assert_array_equal(found, dist.decode("sampled_mean", 3))


def test_sampled_averages_are_those_of_the_draws():
    p, lower, upper, _ = random_case(5)
    dist = NumericDistribution(p, lower, upper)
    draws = dist.draws(7, random_state=2)
    assert draws.shape == (4, 7)
    assert np.isin(draws, dist.values).all()
    np.testing.assert_allclose(dist.decode("sampled_mean", 2, 7), draws.mean(axis=1))
    np.testing.assert_array_equal(dist.decode("sampled_median", 2, 7), np.median(draws, axis=1))
    with pytest.raises(ValueError, match="n_samples is 0"):
        dist.draws(0)


# Rows


@pytest.mark.parametrize("per_row", [True, False])
@pytest.mark.parametrize(
    "rows", [2, -1, np.int64(0), slice(1, 3), slice(None, None, -1), [3, 0, 0], [], "mask"], ids=str
)
def test_indexing_gives_the_distributions_of_these_rows(rows, per_row):
    p, lower, upper, _ = random_case(6, per_row=per_row)
    dist = NumericDistribution(p, lower, upper, greedy=np.arange(4.0))
    rows = np.array([True, False, False, True]) if isinstance(rows, str) else rows
    some, kept = dist[rows], np.atleast_1d(np.arange(4)[rows])
    assert isinstance(some, NumericDistribution) and len(some) == len(kept)
    np.testing.assert_array_equal(some.greedy(), kept)
    np.testing.assert_array_equal(some.mean(), dist.mean()[kept])
    np.testing.assert_array_equal(some.quantile([0.2, 0.6]), dist.quantile([0.2, 0.6])[kept])
    np.testing.assert_array_equal(some.crps(np.full(len(kept), -8.0)), dist.crps([-8.0] * 4)[kept])


def test_iteration_visits_each_row_once_and_a_row_beyond_is_an_index_error():
    dist = NumericDistribution(np.eye(3), [0, 1, 2], [0, 1, 2])
    assert [row.mean()[0] for row in dist] == [0, 1, 2]
    for rows in (3, [[0, 1]], (0, 1)):
        with pytest.raises(IndexError):
            dist[rows]


def test_concatenating_the_slices_gives_the_whole_with_its_shared_support():
    p, lower, upper, _ = random_case(8, per_row=False)
    dist = NumericDistribution(p, lower, upper, greedy=np.arange(4.0))
    again = NumericDistribution.concatenate(dist[i : i + 2] for i in (0, 2))
    assert again.lower.shape == (6,)
    np.testing.assert_array_equal(again.probabilities, dist.probabilities)
    np.testing.assert_array_equal(again.greedy(), dist.greedy())


def test_concatenating_different_supports_keeps_every_row():
    one = random_case(9, k=3, n=2, per_row=False)[:3]
    two = random_case(10, k=7, n=3, atoms=None)[:3]
    parts = [NumericDistribution(*one), NumericDistribution(*two)]
    both, y = NumericDistribution.concatenate(parts), np.linspace(-12, 0, 5)
    assert len(both) == 5 and both.probabilities.shape == both.lower.shape == (5, 7)
    assert (np.diff(both.lower, axis=1) >= 0).all()
    for name in ("mean", "std", "median", "mode", "entropy"):
        expected = np.concatenate([getattr(part, name)() for part in parts])
        np.testing.assert_allclose(getattr(both, name)(), expected, rtol=1e-13)
    expected = np.concatenate([parts[0].crps(y[:2]), parts[1].crps(y[2:])])
    np.testing.assert_allclose(both.crps(y), expected, rtol=1e-12)
    np.testing.assert_array_equal(both.quantile(1.0)[:2], parts[0].quantile(1.0))


def test_equal_edges_with_different_values_are_not_taken_for_one_support():
    parts = [NumericDistribution([[1.0]], [0], [1], values=[v]) for v in (0.0, 1.0)]
    np.testing.assert_array_equal(NumericDistribution.concatenate(parts).mean(), [0, 1])


def test_no_rows_are_legal():
    dist = NumericDistribution(np.empty((0, 2)), [0, 1], [1, 2])
    assert len(dist) == 0 and dist.quantile([0.1, 0.2]).shape == (0, 2)
    assert dist.crps([]).shape == dist.std().shape == dist.decode("sample").shape == (0,)


def test_repr_is_short_and_names_rows_and_cells():
    dist = NumericDistribution([[0.5, 0.5]], [[0, 1]], [[1, 2]])
    assert repr(dist) == "NumericDistribution(n_rows=1, n_cells=2, per-row support)"


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, 0.5], [0, 1], [1, 2]), r"shape \(2,\).*n_rows, K"),
        (([[0.5, 0.6]], [0, 1], [1, 2]), r"row 0 of probabilities sums to 1.1"),
        (([[0.5, 0.4]], [0, 1], [1, 2]), r"sums to 0.9.*within 0.001"),
        (([[1.5, -0.5]], [0, 1], [1, 2]), r"contains -0.5.*>= 0"),
        (([[np.nan, 0.5]], [0, 1], [1, 2]), r"probabilities contains nan.*finite"),
        (([[0.5, 0.5]], [0, -np.inf], [1, 2]), r"lower contains -inf.*finite"),
        (([[0.5, 0.5]], [0, 1, 2], [1, 2, 3]), r"lower has shape \(3,\).*\(2,\).*\(1, 2\)"),
        (([[0.5, 0.5]], [0, 1], [[1, 2]] * 3), r"upper has shape \(3, 2\)"),
        (([[0.5, 0.5]], [0, 3], [1, 2]), r"\[3.0, 2.0\] is reversed"),
        (([[1, 0], [0.5, 0.5]], [0, 1], [1.5, 2]), r"row 1.*\[1.0, 2.0\].*overlaps"),
        (([[0.5, 0.5]], [0, 0.5], [1, 0.5]), r"\[0.5, 0.5\].*overlaps"),
    ],
)
def test_cells_that_are_not_distributions_are_refused_with_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        NumericDistribution(*arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: d.quantile(1.2), r"1\.2.*\[0, 1\]"),
        (lambda d: d.quantile([0.5, -0.1]), r"-0\.1.*\[0, 1\]"),
        (lambda d: d.quantile(np.nan), r"nan.*\[0, 1\]"),
        (lambda d: d.quantile([[0.5]]), r"shape \(1, 1\)"),
        (lambda d: d.interval(90), r"90.*\[0, 1\]"),
        (lambda d: d.cdf([0.0]), r"shape \(1,\).*\(2,\)"),
        (lambda d: d.cdf(np.nan), r"1 NaN"),
        (lambda d: d.crps([0.0]), r"shape \(1,\).*\(2,\)"),
        (lambda d: d.crps([0.0, np.inf]), r"y contains inf"),
        (lambda d: d.sample(0), r"n_samples is 0.*>= 1"),
        (lambda d: d.sample(2.5), r"n_samples is 2.5"),
        (lambda d: d.decode("mean"), r"'mean'.*rail.*median.*mode.*greedy.*sample"),
        (lambda d: d.decode("greedy"), r"pass greedy="),
        (lambda d: NumericDistribution.concatenate([]), r"at least one part"),
        (lambda d: NumericDistribution.concatenate([d, _with_greedy(d)]), r"1 of 2 parts"),
    ],
)
def test_calls_that_cannot_be_answered_say_what_is_legal(call, message):
    with pytest.raises(ValueError, match=message):
        call(NumericDistribution([[0.5, 0.5], [0, 1]], [0, 1], [1, 2]))


def _with_greedy(dist):
    greedy = np.zeros(len(dist))
    return NumericDistribution(dist.probabilities, dist.lower, dist.upper, greedy=greedy)


def test_greedy_values_of_the_wrong_length_or_not_finite_are_refused():
    with pytest.raises(ValueError, match=r"greedy has shape \(2,\).*\(1,\)"):
        NumericDistribution([[1.0]], [0], [1], greedy=[1, 2])
    with pytest.raises(ValueError, match="greedy contains nan"):
        NumericDistribution([[1.0]], [0], [1], greedy=[np.nan])


def test_modes_of_the_wrong_length_or_not_finite_are_refused():
    with pytest.raises(ValueError, match=r"mode has shape \(2,\).*\(1,\)"):
        NumericDistribution([[1.0]], [0], [1], mode=[1, 2])
    with pytest.raises(ValueError, match="mode contains inf"):
        NumericDistribution([[1.0]], [0], [1], mode=[np.inf])
