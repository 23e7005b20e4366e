"""The number tree's structure, in numpy: from a codec's sequences to tables of nodes."""

from dataclasses import dataclass

import numpy as np

from llmreg.codecs.base import END

__all__ = ["Trie", "check_numbers"]


@dataclass(frozen=True)
class Trie:
    """Tables of :class:`llmreg.numbers.tree.NumberTree`, of the same names and shapes.

    Open nodes (more than one number below, or a spelling to finish) come first, level by level and
    in each level in the order of their prefixes; then one waiting node for each number that is
    decided before the last level.
    """

    symbol: np.ndarray  # (M,)
    depth: np.ndarray  # (M,)
    ancestors: np.ndarray  # (M, N)
    child: np.ndarray  # (M, S)
    leaf: np.ndarray  # (M, S)
    path_nodes: np.ndarray  # (L, N)
    path_symbols: np.ndarray  # (L, N)
    first: np.ndarray  # (M,) lowest leaf below
    stop: np.ndarray  # (M,) one past the highest leaf below
    n_open: int

    @classmethod
    def from_sequences(cls, sequences, symbols, whole=False):
        """Build the tables from sequences (L, N); ValueError if two are equal or END is not last.

        Parameters
        ----------
        sequences : ndarray of shape (L, N) of int
            In ascending order of the numbers.
        symbols : sequence of str
        whole : bool, default=False
            Go on to the end of every spelling, its END included, also where one number is left.
        """
        sequences = np.asarray(sequences)
        _check_ends(sequences, symbols)
        least = _spelled_lengths(sequences, symbols) if whole else np.ones(len(sequences), int)
        nodes, length = _open_paths(sequences, len(symbols), least)  # -1 where decided
        n_open, n_levels = int(nodes.max()) + 1, nodes.shape[1]
        path_symbols = sequences[:, :n_levels].astype(np.int64)
        depth, some, first, stop = _passed(nodes, n_open)
        ancestors = np.where(np.arange(n_levels) <= depth[:, None], nodes[some], -1)
        symbol = np.where(depth > 0, sequences[some, depth - 1], 0)
        below = np.arange(1, n_open)  # all but the root
        child = np.full((n_open, len(symbols)), -1)
        child[ancestors[below, depth[below] - 1], symbol[below]] = below
        leaves, decided = np.arange(len(nodes)), np.full_like(child, -1)
        decided[nodes[leaves, length - 1], path_symbols[leaves, length - 1]] = leaves
        trie = cls(
            symbol, depth, ancestors, child, decided, nodes, path_symbols, first, stop, n_open
        )
        return trie._with_waiting(length)

    def _with_waiting(self, length):
        """The trie with a waiting node for each leaf whose path is shorter than the others'."""
        n_levels = self.path_nodes.shape[1]
        early = np.flatnonzero(length < n_levels)
        length = length[early]
        waiting = self.n_open + np.arange(len(early))
        above, symbol = self.path_nodes[early, length - 1], self.path_symbols[early, length - 1]
        levels = np.arange(n_levels)
        path_nodes, path_symbols = self.path_nodes.copy(), self.path_symbols.copy()
        waits = levels >= length[:, None]
        path_nodes[early] = np.where(waits, waiting[:, None], path_nodes[early])
        path_symbols[early] = np.where(waits, symbol[:, None], path_symbols[early])
        ancestors = np.where(levels <= length[:, None], path_nodes[early], -1)
        nowhere = np.full((len(early), self.child.shape[1]), -1)
        child, leaf = (np.concatenate([table, nowhere]) for table in (self.child, self.leaf))
        child[above, symbol] = child[waiting, symbol] = waiting
        leaf[waiting, symbol] = early
        return Trie(
            np.append(self.symbol, symbol), np.append(self.depth, length),
            np.concatenate([self.ancestors, ancestors]).astype(np.int32), child, leaf,
            path_nodes.astype(np.int32), path_symbols,
            np.append(self.first, early), np.append(self.stop, early + 1), self.n_open,
        )  # fmt: skip

    def runs(self):
        """Runs of neighbouring leaves below each open node.

        Returns
        -------
        first, stop : ndarray of shape (n_open, R)
            Leaves at which runs begin and one past which they end; where a node has fewer than R,
            empty runs at the end of its last.
        share : ndarray of shape (n_open, R)
            Share of the node's leaves.
        """
        nodes, first, stop = map(np.concatenate, zip(*self._runs_by_level(), strict=True))
        order = np.argsort(nodes, kind="stable")  # runs of a node stay ascending
        nodes, first, stop = nodes[order], first[order], stop[order]
        count = np.bincount(nodes)
        place = np.arange(len(nodes)) - np.repeat(np.cumsum(count) - count, count)
        shape = self.n_open, count.max()
        firsts = np.broadcast_to(self.stop[: self.n_open, None], shape).copy()
        stops = firsts.copy()
        firsts[nodes, place], stops[nodes, place] = first, stop
        size = stops - firsts
        return firsts, stops, size / size.sum(1, keepdims=True)

    def _runs_by_level(self):
        for nodes in self.path_nodes.T:
            starts = np.flatnonzero(np.diff(nodes, prepend=-1))
            ends = np.append(starts[1:], len(nodes))
            open_ = nodes[starts] < self.n_open
            yield nodes[starts][open_], starts[open_], ends[open_]


def _spelled_lengths(sequences, symbols):
    """Symbols (L,) of each spelling, with its first END."""
    if END not in symbols:
        return np.full(len(sequences), sequences.shape[1])
    going_on = (sequences != tuple(symbols).index(END)).sum(1)
    return np.minimum(going_on + 1, sequences.shape[1])


def _open_paths(sequences, n_symbols, least):
    """Open nodes (L, N) on the way to each leaf, -1 after it is decided, and symbols until then, at
    least so many (L,)."""
    n_leaves, n_levels = sequences.shape
    nodes = np.full((n_leaves, n_levels), -1, dtype=np.int64)
    nodes[:, 0] = 0
    length = np.full(n_leaves, n_levels)
    alive, n_nodes = np.arange(n_leaves), 1
    for level in range(1, n_levels + 1):
        # Nodes are numbered in the order of their prefixes, so these keys are in that order too.
        key = nodes[alive, level - 1] * n_symbols + sequences[alive, level - 1]
        _, which, count = np.unique(key, return_inverse=True, return_counts=True)
        decided = (count[which] == 1) & (level >= least[alive])
        length[alive[decided]] = level
        if decided.all():
            break
        if level == n_levels:
            _refuse_twins(sequences, alive[~decided])
        stays = np.zeros(len(count), dtype=bool)
        stays[which[~decided]] = True
        number = n_nodes + np.cumsum(stays) - 1
        alive, n_nodes = alive[~decided], n_nodes + int(stays.sum())
        nodes[alive, level] = number[which[~decided]]
    return nodes[:, :level], length


def _passed(nodes, n_open):
    """Depth, any leaf below, lowest leaf and one past the highest, of each open node (n_open,)."""
    depth, some, first, stop = np.zeros((4, n_open), dtype=np.int64)
    first += len(nodes)
    for level, at in enumerate(nodes.T):
        leaves = np.flatnonzero(at >= 0)
        at = at[leaves]
        depth[at], some[at] = level, leaves
        np.minimum.at(first, at, leaves)
        np.maximum.at(stop, at, leaves + 1)
    return depth, some, first, stop


def _check_ends(sequences, symbols):
    if END in symbols:
        ended = sequences == tuple(symbols).index(END)
        wrong = (ended[:, :-1] & ~ended[:, 1:]).any(1)
        if wrong.any():
            raise ValueError(
                f"The sequence {_text(sequences[wrong.argmax()], symbols)} goes on after its end. "
                "A codec fills its sequences up with END."
            )


def _refuse_twins(sequences, leaves):
    first = sequences[leaves[0]]
    second = next(k for k in leaves[1:] if (sequences[k] == first).all())
    raise ValueError(
        f"The numbers {leaves[0]} and {second} (counted in ascending order) have the same sequence "
        f"of symbols, {first.tolist()}. A codec gives every number its own."
    )


def _text(sequence, symbols):
    return repr([symbols[i] for i in sequence])


def check_numbers(codec):
    """Refuse a codec whose numbers don't ascend; see TargetCodec for the rules.

    Raises
    ------
    ValueError
        Says which number breaks which rule.
    """
    edges, values = np.asarray(codec.edges_), np.asarray(codec.values_)
    rules = {
        "is not above the one before it": np.append(False, values[1:] < values[:-1]),
        "lies outside its bin": (values < edges[:-1]) | (values > edges[1:]),
        "has a bin that ends before it begins": edges[1:] < edges[:-1],
    }
    for rule, broken in rules.items():
        if broken.any():
            k = int(broken.argmax())
            raise ValueError(
                f"Number {k} of the codec {codec!r}, {values[k]:g} in [{edges[k]:g}, "
                f"{edges[k + 1]:g}], {rule}. A codec's numbers and edges must ascend."
            )
