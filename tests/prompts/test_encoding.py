"""Many rows' tokens: what they share, and which rows are the same."""

from dataclasses import replace

import numpy as np
import torch

from llmreg.estimates.stacking import Estimate, Spread
from llmreg.prompts.cells import CellValues
from llmreg.prompts.encoding import SHORTEST_PREFIX, EncodedRows

SHARED = list(range(100, 120))


def _rows(*rows, slots=None, numbers=None):
    ids = np.concatenate(rows).astype(np.int32)
    lengths = np.array([len(row) for row in rows])
    none = np.zeros((len(rows), 0), np.float32)
    numbers = none if numbers is None else np.array(numbers, np.float32)[:, None]
    cells = CellValues(numbers, none.astype(np.int64), none[:, :, None])
    slots = np.zeros_like(ids) if slots is None else np.concatenate(slots).astype(np.int32)
    return EncodedRows(ids, slots, lengths.cumsum() - lengths, lengths, cells)


def test_what_all_rows_begin_with_is_taken_in_front_of_them():
    rows = _rows([*SHARED, 1, 2], [*SHARED, 3], [*SHARED, 1, 4, 5]).share_prefix("cpu")
    assert rows.prefix.ids.tolist() == SHARED
    batch = rows.batch(np.arange(3), "cpu", torch.float32)
    assert batch.ids.tolist() == [[0, 1, 2], [0, 0, 3], [1, 4, 5]]
    assert batch.positions.tolist() == [[20, 20, 21], [20, 20, 20], [20, 21, 22]]
    assert rows.take([1]).batch([0], "cpu", torch.float32).prefix is rows.prefix


def test_every_row_keeps_a_token():
    rows = _rows(SHARED, [*SHARED, 3], SHARED).share_prefix("cpu")
    assert rows.prefix.ids.tolist() == SHARED[:-1] and rows.lengths.tolist() == [1, 2, 1]


def test_tokens_that_carry_cells_are_not_shared():
    slots = [[0] * 22, [0] * 17 + [3] + [0] * 4]
    for order in (1, -1):
        rows = _rows([*SHARED, 1, 2], [*SHARED, 3, 4], slots=slots[::order]).share_prefix("cpu")
        assert rows.prefix.ids.tolist() == SHARED[:17]


def test_short_beginnings_and_single_rows_stay_whole():
    short = SHARED[: SHORTEST_PREFIX - 1]
    assert _rows([*short, 1, 1], [*short, 2, 1]).share_prefix("cpu").prefix is None
    assert _rows([*SHARED, 1]).share_prefix("cpu").prefix is None
    assert _rows([1, *SHARED], [2, *SHARED]).share_prefix("cpu").prefix is None


def test_equal_rows_are_found_whatever_makes_others_differ():
    slots = [[0, 1], [0, 1], [0, 2], [0, 1], [0, 1, 0]]
    rows = _rows([1, 2], [1, 2], [1, 2], [1, 2], [1, 2, 2], slots=slots, numbers=[5, 5, 5, 6, 5])
    chosen, kind = rows.distinct()
    assert chosen.tolist() == [0, 2, 3, 4] and chosen[kind].tolist() == [0, 0, 2, 3, 4]
    missing = _rows([1], [1], [1], numbers=[np.nan, np.nan, 0.0])
    assert missing.distinct()[0].tolist() == [0, 2]


def test_rows_of_which_estimates_differ_are_not_the_same():
    centre, width = np.array([3.0, 3.0, 4.0, 3.0]), np.array([1.0, 2.0, 1.0, 1.0])
    estimate = Estimate(centre, width, Spread(1.0, 2.0, 0.1))
    rows = replace(_rows([1], [1], [1], [1]), estimate=estimate)
    assert rows.distinct()[0].tolist() == [0, 1, 2]
