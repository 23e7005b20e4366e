"""Whether columns can be ruled out by few of their cells."""

import numpy as np
import pytest

from llmreg.tables.agreement import may_reach


@pytest.mark.parametrize("n_words", [5, 6])
@pytest.mark.parametrize("words_first", [True, False])
def test_a_column_is_ruled_out_only_where_all_cells_would_do_so(n_words, words_first):
    cells = [f"w{i}" for i in range(n_words * 100)], [str(i) for i in range(9500)]
    cells = [*cells[0], *cells[1]] if words_first else [*cells[1], *cells[0]]
    ones = np.ones(len(cells), int)
    share = 9500 / len(cells)
    assert may_reach(share, str.isdigit, cells, ones)
    assert may_reach(0.95, str.isdigit, cells, ones) or n_words == 6


def test_counts_weigh_and_the_order_of_cells_does_not():
    cells, counts = ["tba", "soon", "1"], np.array([1, 2, 57])
    assert may_reach(0.95, str.isdigit, cells, counts)
    assert may_reach(0.95, str.isdigit, cells[::-1], counts[::-1])
    assert not may_reach(0.95, str.isdigit, cells, np.array([1, 3, 57]))
    assert not may_reach(0.95, str.isdigit, [], np.array([], int))


def test_long_columns_are_not_read_in_full():
    looked = []
    for text in ("words", "12"):
        looked.clear()
        cells = [text] * 100_000
        fits = may_reach(0.95, lambda cell: looked.append(cell) or cell == "12", cells,
                         np.ones(100_000, int))  # fmt: skip
        assert fits == (text == "12") and len(looked) <= 5001
