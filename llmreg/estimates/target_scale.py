"""On which scale the targets are learnt: a codec's axis, and how "auto" finds it."""

import warnings

import numpy as np
from sklearn.base import clone

from llmreg.codecs.digits import CROWDED, DigitCodec, bent_scales
from llmreg.codecs.grids import GridCodec
from llmreg.estimates.row_estimates import RowEstimates
from llmreg.estimates.row_features import RowFeatures
from llmreg.tables.copies import copy_groups
from llmreg.tables.weights import whole_counts

__all__ = ["axis_moments", "choose_scale", "fit_codec", "root_mean_square", "within_reach"]

# Fewer rows say too little about which scale is better: there the targets alone decide.
ENOUGH_ROWS = 50
MOST_ROWS = 1000  # that decide
KINDS = ("linear", "boosted")  # of regressors that do
# Targets whose range is this many interquartile ranges have a tail that a logarithm may mend.
LONG_TAIL = 5.0
# A scale is chosen if it is better than those before it by this share of their score.
CLEARLY = 0.02

FINEST = 1e-6  # deviation of the targets, in ranges of the codec: no codec has more numbers


def axis_moments(codec, y, weight):
    """Weighted mean and standard deviation of targets on a fitted codec's axis.

    Returns
    -------
    mean, std : float
        ``std`` is 1 where all targets are equal, and no less than a millionth of the codec's range,
        in smaller units of which squared errors on it would overflow.
    """
    place = codec.to_axis(y)
    mean = float(np.average(place, weights=weight))
    low, high = codec.to_axis(codec.values_[[0, -1]])
    least = FINEST * (high / 2 - low / 2) * 2
    return mean, max(root_mean_square(place - mean, weight) or 1.0, least)


def root_mean_square(values, weight):
    """Weighted, and right where squares of the values would over- or underflow."""
    largest = np.abs(values).max(initial=0.0)
    if largest == 0:
        return 0.0
    return float(largest * np.sqrt(np.average((values / largest) ** 2, weights=weight)))


def fit_codec(codec, rows, y, weight, seed, methods=()):
    """Fit a codec on the training targets; see :func:`choose_scale`.

    Parameters
    ----------
    codec : TargetCodec
        Fitted in place. ``scale="auto"`` of a DigitCodec is replaced by what was chosen.
    rows : llmreg.tables.rows.SerializedRows of n rows
    y, weight : ndarray of shape (n,)
    seed : int
    methods : sequence of (Method or None), default=()
        Those that sum shares of y (``normalisation=None``) need a codec whose axis is y itself.

    Returns
    -------
    dict of str to float
        The scores of the scales that were compared; empty if none were.

    Warns
    -----
    UserWarning
        If the codec cannot tell many of the targets apart.

    Raises
    ------
    ValueError
        If a method needs y itself and the codec has another axis.
    """
    scores, sums = {}, _sums_shares(methods)
    if isinstance(codec, DigitCodec) and codec.scale == "auto":
        scale = "minmax"
        if not sums:
            scale, scores = choose_scale(codec, rows, y, weight, seed)
        codec.scale = scale
    codec.fit(y, weight)
    if sums and not codec.linear:
        raise ValueError(
            f"normalisation=None sums shares of y itself, and {codec!r} measures errors on another "
            "scale. Use a DigitCodec with scale='minmax', a DecimalCodec or an even GridCodec; or "
            "normalisation='grid'."
        )
    _warn_crowded(codec, y)
    return scores


def choose_scale(codec, rows, y, weight, seed):
    """The scale of a DigitCodec on which simple regressors predict held-out rows best.

    Only targets with a long tail are tried on logarithmic scales. Regressors on each scale (ridge
    regression and boosted trees, four folds, at most 1,000 rows) say a distribution of each row
    that they have not seen. A scale's score is the geometric mean of the root mean square error of
    the mean and the mean CRPS, both in the units of y; it must beat "minmax" by 2 %. Scales with
    bins that hold more than a quarter of the targets are out, if any is not.

    Parameters
    ----------
    codec, rows, y, weight, seed
        As in :func:`fit_codec`.

    Returns
    -------
    scale : {"minmax", "log", "shifted_log", "symlog"}
    scores : dict of str to float
        By scale, the smaller the better; empty if the targets alone decided.
    """
    entries = np.repeat(y, whole_counts(weight))
    if len(y) < ENOUGH_ROWS or not _has_long_tail(entries):
        return clone(codec).fit(y, weight).scale_, {}
    coarse = {"base": 10, "n_digits": 2}  # as fine as the choice needs
    scales = ("minmax", *bent_scales(entries))
    codecs = [_changed(codec, scale=scale, **coarse).fit(y, weight) for scale in scales]
    crowding = np.array([one.crowding(entries) for one in codecs])
    fine = crowding <= max(CROWDED, crowding.min())
    codecs = [one for one, is_fine in zip(codecs, fine, strict=True) if is_fine]
    some = np.sort(np.random.RandomState(seed).permutation(len(y))[:MOST_ROWS])
    y, weight = y[some], weight[some]
    rows = rows.take(some)
    designs, groups = RowFeatures(KINDS, seed).fit_transform(rows), copy_groups(rows, y)
    scores = {one.scale_: _score(one, designs, y, weight, groups, seed) for one in codecs}
    best = next(iter(scores))
    for scale, score in scores.items():
        if score < (1 - CLEARLY) * scores[best]:
            best = scale
    return best, scores


def _changed(codec, **parameters):
    """A copy, of a subclass, too, whose ``__init__`` has fewer parameters."""
    codec = clone(codec)
    vars(codec).update(parameters)
    return codec


def _has_long_tail(y):
    low, high = np.quantile(y, [0.25, 0.75])
    return bool(y.max() / 2 - y.min() / 2 > LONG_TAIL * (high / 2 - low / 2))


def _score(codec, designs, y, weight, groups, seed):
    import torch

    from llmreg.numbers.decoding import tree_distribution
    from llmreg.numbers.estimate import estimate_on, estimate_steps
    from llmreg.numbers.tree import NumberTree

    estimates = RowEstimates(KINDS, codec, *axis_moments(codec, y, weight), seed)
    estimate = estimates.held_out_estimate(designs, y, weight, groups)
    tree = NumberTree.from_codec(codec)
    steps = estimate_steps(estimate_on(estimate, "cpu"), tree, torch.arange(tree.n_open))
    found = tree_distribution(tree, steps)
    crps = np.average(found.crps(y), weights=weight)
    return float(np.sqrt(root_mean_square(found.mean() - y, weight)) * np.sqrt(crps))


def _warn_crowded(codec, y):
    """Warn of a codec whose numbers are too coarse, or too far apart, for the targets."""
    # How many bins or grid values there are is the user's wish; decimals are taken as they fall.
    wished = 1 / len(codec.values_) if isinstance(codec, (DigitCodec, GridCodec)) else 0.0
    share = codec.crowding(y)
    if share <= CROWDED + wished:
        return
    warnings.warn(
        f"{codec!r} writes the same number for {share:.0%} of the training targets, which differ "
        f"from one another: it cannot tell them apart (they go from {y.min():g} to {y.max():g}, "
        f"median {np.median(y):g}). Use codec=None, a DigitCodec with scale='log', "
        "'shifted_log' or 'symlog' or more digits, or drop targets that are mistakes.",
        UserWarning,
        stacklevel=2,
    )


def _sums_shares(methods):
    return any(method is not None and method.sums_shares for method in methods)


def within_reach(codec, y, methods=(), new=True):
    """Targets as a codec can write them: what is outside its range is learnt as its nearest end.

    Sums of shares are not held to the range: with methods that predict them targets stay.

    Parameters
    ----------
    codec : fitted codec
    y : ndarray of shape (n,)
    methods : sequence of (Method or None), default=()
    new : bool, default=True
        Whether the codec is fitted on these targets; False: on those of an earlier fit.

    Returns
    -------
    ndarray of shape (n,)

    Warns
    -----
    UserWarning
        If some are outside.
    """
    clipped = 0 if _sums_shares(methods) else codec.n_clipped(y)
    if clipped:
        low, high = codec.edges_[0], codec.edges_[-1]
        remedy = codec.widening if new else "Set warm_start=False to fit the codec to them, too."
        warnings.warn(
            f"{clipped} of {len(y)} targets lie outside the codec's range [{low:g}, {high:g}] "
            f"(targets: {y.min():g} to {y.max():g}) and are learnt as its nearest end. {remedy}",
            UserWarning,
            stacklevel=2,
        )
    return codec.clip(y) if clipped else y
