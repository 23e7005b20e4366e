"""Gradient-boosted trees that, once fitted, are plain arrays.

scikit-learn grows them; what is kept can be saved without pickle, opened from strangers without
harm, and does not depend on how scikit-learn lays out a fitted model.
"""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor

__all__ = ["BoostedTrees", "tree_settings"]

ROWS_AT_ONCE = 2048
# More accurate than scikit-learn's defaults where it was tried (docs/appendix/ablations.md): small
# steps, and each split chooses among half of the columns, which makes the trees differ.
COMMON = {
    "max_features": 0.5, "min_samples_leaf": 5, "l2_regularization": 3.0,
}  # fmt: skip
# With few rows larger steps do, and a quarter of the usual bins says as much of where to split.
FEW = {"learning_rate": 0.075, "max_iter": 130, "max_leaf_nodes": 16, "max_bins": 63}
MANY = {"learning_rate": 0.05, "max_iter": 300, "max_leaf_nodes": 31}
MANY_ROWS = 1000
# Of scikit-learn's nodes.
USED = (
    "feature_idx", "num_threshold", "missing_go_to_left", "left", "right", "is_leaf", "value",
    "depth",
)  # fmt: skip


class BoostedTrees(RegressorMixin, BaseEstimator):
    """scikit-learn's ``HistGradientBoostingRegressor`` with settings of our own, kept as arrays.

    Parameters
    ----------
    random_state : int, default=0
    coarse : bool, default=False
        Half as many trees in steps of twice the size: nearly as accurate, enough to compare by.

    Attributes
    ----------
    baseline_ : float
        What all trees add to.
    feature_, threshold_, gap_left_, left_, right_, value_ : ndarray of shape (n_trees, n_nodes)
        Of each node: which column it reads, up to which value a row goes left, whether gaps do,
        where left and right lead to (a leaf leads to itself), and what a leaf adds.
    depth_ : int
        Steps from a root to the farthest leaf.

    Examples
    --------
    >>> import numpy as np
    >>> from llmreg.estimates.boosted_trees import BoostedTrees
    >>> X = np.arange(100.0)[:, None]
    >>> BoostedTrees().fit(X, X[:, 0] > 50).predict([[10.0], [90.0]]).round(2) + 0.0
    array([0., 1.])
    """

    def __init__(self, random_state=0, coarse=False):
        self.random_state = random_state
        self.coarse = coarse

    def fit(self, X, y, sample_weight=None):
        """Grow trees on an array (n, n_columns), with NaN for gaps, and targets (n,)."""
        X = np.where(np.isnan(X).all(0), 0.0, X)  # columns of gaps alone are refused
        if sample_weight is not None and np.ptp(sample_weight) == 0:
            sample_weight = None  # all alike they change nothing, and take seven times as long
        grown = HistGradientBoostingRegressor(
            **tree_settings(len(y), self.coarse), random_state=self.random_state
        ).fit(X, y, sample_weight=sample_weight)
        self._keep([tree.nodes for (tree,) in grown._predictors])
        self.baseline_ = float(np.ravel(grown._baseline_prediction)[0])
        return self

    def _keep(self, trees):
        n_nodes = max(map(len, trees))
        # Of nodes that a tree lacks, none is ever reached.
        stack = {name: np.zeros((len(trees), n_nodes), trees[0].dtype[name]) for name in USED}
        for number, nodes in enumerate(trees):
            for name, column in stack.items():
                column[number, : len(nodes)] = nodes[name]
        leaf, own = stack["is_leaf"].astype(bool), np.arange(n_nodes)
        self.feature_ = _smallest(stack["feature_idx"])
        self.threshold_ = stack["num_threshold"]
        self.gap_left_ = stack["missing_go_to_left"].astype(bool)
        self.left_ = _smallest(np.where(leaf, own, stack["left"]))
        self.right_ = _smallest(np.where(leaf, own, stack["right"]))
        self.value_ = stack["value"]
        self.depth_ = int(stack["depth"].max())

    def predict(self, X):
        """Estimates (n,) for rows of the columns fitted on."""
        X = np.asarray(X, float)
        parts = [X[start : start + ROWS_AT_ONCE] for start in range(0, len(X), ROWS_AT_ONCE)]
        return np.concatenate([self._predict(part) for part in parts] or [np.zeros(0)])

    def _predict(self, X):
        tree, row = np.arange(len(self.value_)), np.arange(len(X))[:, None]
        node = np.zeros((len(X), len(tree)), int)
        for _ in range(self.depth_):
            x = X[row, self.feature_[tree, node]]
            gap = np.isnan(x) & self.gap_left_[tree, node]
            left = gap | (x <= self.threshold_[tree, node])
            node = np.where(left, self.left_[tree, node], self.right_[tree, node])
        return self.baseline_ + self.value_[tree, node].sum(1)


def tree_settings(n_rows, coarse=False):
    """Parameters of scikit-learn's model for so many rows."""
    settings = COMMON | (FEW if n_rows < MANY_ROWS else MANY)
    if coarse:
        settings["max_iter"] //= 2
        settings["learning_rate"] *= 2
    return settings


def _smallest(numbers):
    """Whole numbers >= 0 in as few bytes as they need."""
    return numbers.astype(np.min_scalar_type(int(numbers.max())))
