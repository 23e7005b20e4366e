"""matplotlib is asked for late, and its absence is explained."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from llmreg import CoverageDisplay


def test_a_missing_matplotlib_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    display = CoverageDisplay(np.full((3, 2), 0.5), np.ones(19))
    with pytest.raises(ImportError, match=r"CoverageDisplay needs .*: pip install matplotlib"):
        display.plot()


def test_what_is_given_is_drawn_on():
    _, axes = plt.subplots(ncols=3)
    display = CoverageDisplay(np.full((3, 2), 0.5), np.ones(19)).plot(axes[0], kind="pit")
    assert display.ax_ is axes[0] and display.figure_ is axes[0].figure
    display.plot(axes[1:])
    assert all(ax.has_data() for ax in axes)
