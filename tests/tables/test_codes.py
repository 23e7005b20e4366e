"""Digits that are names: versions; the others are tested where columns are read."""

import pytest

from llmreg.tables.codes import are_codes, are_versions
from llmreg.tables.number_parts import split

VERSIONS = [
    ["3.1", "3.8", "3.9", "3.10", "3.11", "3.12"], ["3.8", "3.9", "3.10", "3.11"],
    ["1.1", "1.2", "1.9", "1.10", "1.11", "2.10"], ["2.1", "2.10"], [" 14.9", "14.10 "],
    ["3.9", "3.10", "4"], ["4", "4.1", "4.2", "4.10", "5"],
]  # fmt: skip
NUMBERS = [
    ["2.5", "2.50", "2.25", "3.0"], ["1.5", "1.20", "1.30", "2.05"], ["3.10", "3.20", "3.11"],
    ["3.1", "3.11", "3.12"], ["0.1", "0.15", "0.30", "0.75"], ["-1.9", "1.10"], ["1.9", "1.10 %"],
    ["1.0", "2.0"], ["1", "2", "10"], ["4", "2.50", "1.5"], ["1.5", "2.10", "7.30"],
]  # fmt: skip


@pytest.mark.parametrize("cells", VERSIONS)
def test_versions_count_on_behind_the_point(cells):
    assert are_versions(cells)


@pytest.mark.parametrize("cells", NUMBERS)
def test_fractions_are_no_versions(cells):
    assert not are_versions(cells)


def test_codes_are_told_by_their_digits():
    for cells, told in [(["01234", "10115"], True), (["12A", "7B"], True), (["1234", "99"], False)]:
        assert are_codes(cells, [split(cell) for cell in cells]) == told
