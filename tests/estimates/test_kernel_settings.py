"""Settings of a kernel: leave-one-out by brute force, slopes by automatic differentiation."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.kernel_ridge import KernelRidge

from llmreg.estimates.kernel_settings import (
    PENALTIES,
    best_settings,
    emphases,
    leave_one_out,
    mean_slopes,
)


def _rows(n):
    rng = np.random.RandomState(0)
    return rng.randn(n, 3), rng.randn(n), rng.randint(1, 4, n).astype(float)


@pytest.mark.parametrize("weighted", [False, True])
def test_leave_one_out_is_a_fit_without_each_row(weighted):
    X, z, weight = _rows(25)
    weight = weight if weighted else np.ones(25)
    kernel = np.exp(-0.5 * ((X[:, None] - X) ** 2).sum(2))
    penalties = np.array([0.01, 1.0])
    found = leave_one_out(kernel, z, weight, penalties)
    for said, penalty in zip(found, penalties, strict=True):
        for row in range(25):
            rest = np.delete(np.arange(25), row)
            plain = KernelRidge(alpha=penalty, kernel="rbf", gamma=0.5)
            plain.fit(X[rest], z[rest], sample_weight=weight[rest])
            assert said[row] == pytest.approx(plain.predict(X[[row]])[0], abs=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_slopes_are_those_of_automatic_differentiation(weighted):
    X, dual, weight = _rows(20)
    weight = weight if weighted else np.ones(20)
    X[1] = X[0]  # rows in one place
    words = np.random.RandomState(1).rand(20, 20)
    words = words + words.T
    kernel = np.exp(-0.3 * (cdist(X, X) ** 1.5 + words))

    def said(row):
        def function(x):
            far = ((x - torch.tensor(np.delete(X, [0, 1, row], 0))) ** 2).sum(1) ** 0.75
            rest = np.delete(np.arange(20), [0, 1, row])
            known = torch.exp(-0.3 * (far + torch.tensor(words[row, rest])))
            # Of rows where it stands itself the distance has no gradient, and they have no pull.
            others = [i for i in (0, 1) if row > 1]
            near = ((x - torch.tensor(X[others])) ** 2).sum(1) ** 0.75
            near = torch.exp(-0.3 * (near + torch.tensor(words[row, others])))
            return known @ torch.tensor(dual[rest]) + near @ torch.tensor(dual[others])

        return torch.autograd.functional.jacobian(function, torch.tensor(X[row])).numpy()

    slopes = np.stack([said(row) for row in range(20)])
    expected = np.sqrt(np.average(slopes**2, axis=0, weights=weight))
    found = mean_slopes(X, kernel, dual, weight) * 2 * 0.3 * 0.75
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("seed", range(3))
def test_the_best_settings_are_the_best_of_all(seed):
    rng = np.random.RandomState(seed)
    X, weight = rng.randn(30, 2), rng.randint(1, 4, 30).astype(float)
    z = np.sin((1, 3, 9)[seed] * X[:, 0])  # as rough as a narrow kernel, or as smooth as a wide one
    far = cdist(X, X) ** 1.5
    found = best_settings(far, z, weight)
    tried = [
        (np.average((said - z) ** 2, weights=weight), gamma, penalty)
        for gamma in np.array([0.1, 0.3, 1.0]) / np.median(far)
        for penalty, said in zip(
            PENALTIES, leave_one_out(np.exp(-gamma * far), z, weight, PENALTIES), strict=True
        )
    ]
    assert found == pytest.approx(min(tried))


def test_blocks_of_texts_are_tried_together_and_alone_and_more_than_numbers():
    assert [list(tried) for tried in emphases(np.array([1.0, 1.0]))] == [[1, 1]]
    two = [tuple(tried) for tried in emphases(np.array([1.0, 0.0, 1.0, 1.0]))]
    expected = {(1, 1, a * s, b * s) for a, b in ((1, 1), (1, 0), (0, 1)) for s in (1, 3, 10)}
    assert set(two) == expected and len(two) == len(expected)
    # With nothing beside texts, how much they count says nothing; constant blocks are not tried.
    (tried,) = emphases(np.array([0.0, 0.0, 2.0, 0.0]))
    assert tried[2] == 1
