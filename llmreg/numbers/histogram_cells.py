"""The cells of histograms: checked, put in order, joined where they are one point, stacked."""

import numpy as np

from llmreg.tables.targets import refuse_masked

__all__ = [
    "as_support",
    "finite",
    "joined",
    "likeliest",
    "merged",
    "normalised",
    "ordered",
    "per_row",
    "stacked",
]

_SUM_TOLERANCE = 1e-3  # float16 softmax rows are this far from 1; more is a bug upstream
_EDGE_TOLERANCE = 1e-12  # relative: an edge shared by two cells may come from two roundings


def per_row(name, values, n_rows):
    """One finite number per row, or None."""
    if values is None:
        return None
    values = finite(name, values)
    if values.shape != (n_rows,):
        raise ValueError(
            f"{name} has shape {values.shape}; give one number per row, shape {(n_rows,)}."
        )
    return values


def joined(name, arrays):
    """The arrays end to end; None if all are, ValueError if some are."""
    given = sum(a is not None for a in arrays)
    if given not in (0, len(arrays)):
        raise ValueError(
            f"{given} of {len(arrays)} parts carry {name} values; give them in all parts or in "
            "none."
        )
    return np.concatenate(arrays) if given else None


def finite(name, a):
    """A float64 copy, refusing NaN and infinities."""
    refuse_masked(a, name)
    a = np.array(a, dtype=np.float64)
    if not np.isfinite(a).all():
        raise ValueError(f"{name} contains {a[~np.isfinite(a)][0]}; give finite numbers only.")
    return a


def normalised(probabilities):
    """Rows that sum to 1 in float64, after checks."""
    p = finite("probabilities", probabilities)
    if p.ndim != 2 or p.shape[1] == 0:
        raise ValueError(f"probabilities has shape {p.shape}; give (n_rows, K) with K >= 1 cells.")
    if (p < 0).any():
        raise ValueError(f"probabilities contains {p.min()}; give masses >= 0 (not log masses).")
    total = p.sum(axis=1, keepdims=True)
    far = np.flatnonzero(np.abs(total - 1) > _SUM_TOLERANCE)
    if far.size:
        raise ValueError(
            f"row {far[0]} of probabilities sums to {total[far[0], 0]}; rows must sum "
            f"to 1 within {_SUM_TOLERANCE}: add the missing cells, or normalise."
        )
    return p / total


def as_support(name, a, shape):
    """Edges or values of cells, for all rows or each: a finite float64 copy."""
    a = finite(name, a)
    if a.shape not in (shape, shape[1:]):
        raise ValueError(
            f"{name} has shape {a.shape}; give {shape[1:]}, shared by all rows, or "
            f"{shape}, like probabilities."
        )
    return a


def ordered(p, *support):
    """p, lower, upper, values with cells in order in each row; ValueError if that cannot be."""
    cells = _sorted(p, *support)
    if not _misplaced(*cells).any():
        return cells
    # Padding may be in the way: an atom without mass at the upper end of its row is in no one's.
    mass = p > 0
    end = np.where(mass, support[1], -np.inf).max(axis=1, keepdims=True)
    cells = _sorted(p, *(np.where(mass, a, end) for a in support))
    wrong = np.argwhere(_misplaced(*cells))
    if wrong.size:
        row, k = wrong[0]
        lower, upper = cells[1][row, k], cells[2][row, k]
        raise ValueError(
            f"row {row}: the cell [{lower}, {upper}] is reversed or overlaps another "
            "one; cells with mass need lower <= upper and may only touch: merge "
            "them, or cut them at a common edge."
        )
    return cells


def _sorted(p, *support):
    """Sort by lower edge, then upper: an atom goes before the cell that it begins."""
    if any(a.ndim == 2 for a in support):
        support = [np.broadcast_to(a, p.shape) for a in support]
    order = np.lexsort((support[1], support[0]), axis=-1)
    if (np.diff(order) == 1).all():
        return p, *support
    p = np.take_along_axis(p, np.broadcast_to(order, p.shape), axis=1)
    return p, *(np.take_along_axis(a, order, axis=-1) for a in support)


def _misplaced(p, lower, upper, values):
    """Mask of sorted cells that are reversed or begin before the previous one ends."""
    wrong = lower > upper
    slack = _EDGE_TOLERANCE * np.abs(upper[..., :-1])
    wrong[..., 1:] |= lower[..., 1:] < upper[..., :-1] - slack
    return wrong


def merged(p, *support):
    """p, lower, upper, values of cells in order; those on one point, for one number, are one cell.

    Rows with fewer cells than others end with atoms without mass.
    """
    same = np.logical_and.reduce([a[..., 1:] == a[..., :-1] for a in support])
    if not same.any():
        return p, *support
    place = np.zeros(np.atleast_2d(support[0]).shape, dtype=int)
    place[:, 1:] = (~same).cumsum(axis=-1)
    n_cells = place.max() + 1
    flat = place + n_cells * np.arange(len(p))[:, None]
    mass = np.bincount(flat.ravel(), p.ravel(), minlength=len(p) * n_cells)
    cells = [mass.reshape(len(p), n_cells)]
    for a in support:
        cells.append(np.repeat(support[1][..., -1:], n_cells, axis=-1))
        np.put_along_axis(np.atleast_2d(cells[-1]), place, np.atleast_2d(a), axis=1)
    return cells


def likeliest(p, numbers):
    """The likeliest number of each row, and of several the smallest: (n,).

    Parameters
    ----------
    p : ndarray of shape (n, K)
        Probabilities, those of a number in one place or in several.
    numbers : ndarray of shape (K,) or (n, K)
    """
    p, numbers, *_ = merged(*_sorted(p, numbers, numbers, numbers))
    place = p.argmax(axis=1)
    return numbers[place] if numbers.ndim == 1 else numbers[np.arange(len(p)), place]


def stacked(cells):
    """The (p, lower, upper, values) of all parts as one; a support common to all stays shared."""
    support = cells[0][1:]
    if all(
        a.ndim == 1 and np.array_equal(a, b)
        for part in cells
        for a, b in zip(part[1:], support, strict=True)
    ):
        return np.concatenate([part[0] for part in cells]), *support
    n_cells = max(part[0].shape[1] for part in cells)
    padded = (_padded(*part, n_cells) for part in cells)
    return tuple(map(np.concatenate, zip(*padded, strict=True)))


def _padded(p, lower, upper, values, n_cells):
    """The four arrays as (n, n_cells): atoms without mass are added at the last upper edge."""
    extra = ((0, 0), (0, n_cells - p.shape[1]))
    lower, upper, values = (np.broadcast_to(a, p.shape) for a in (lower, upper, values))
    ends = np.repeat(upper[:, -1:], n_cells - p.shape[1], axis=1)
    return np.pad(p, extra), *(np.hstack([a, ends]) for a in (lower, upper, values))
