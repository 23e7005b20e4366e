"""The bound on gradients: out of the way in ordinary steps, there when one is far too long."""

import numpy as np
import pytest
import torch

from llmreg.training.clipping import FEWEST, RECENT, TIMES, GradientClip


def _stepped(clip, norms):
    """Norms after clipping gradients of these norms, shared out over two weights."""
    found = []
    for norm in map(float, norms):
        a, b = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(2))
        a.grad, b.grad = torch.tensor([0.6 * norm]), torch.tensor([0.0, 0.8 * norm])
        before, clipped = clip([a, b])
        assert before == pytest.approx(norm, rel=1e-6)
        after = float(torch.cat([a.grad, b.grad]).norm())
        assert clipped == (after < 0.999 * norm)
        found.append(after)
    return np.array(found)


def test_an_outlier_is_shortened_to_ten_times_the_usual_norm_and_others_are_left():
    norms = np.random.RandomState(0).lognormal(3, 0.5, 60)
    norms[40] = 1e6
    found = _stepped(GradientClip("auto"), norms)
    assert found[40] == pytest.approx(TIMES * np.median(norms[:40]), rel=1e-5)
    np.testing.assert_allclose(np.delete(found, 40), np.delete(norms, 40), rtol=1e-6)


@pytest.mark.parametrize("size", [1e-12, 1e12])
def test_the_running_bound_does_not_mind_the_size_of_the_loss(size):
    norms = size * np.ones(30)
    norms[20] *= 1000
    assert _stepped(GradientClip("auto"), norms)[20] == pytest.approx(TIMES * size, rel=1e-5)


def test_the_running_bound_follows_the_last_steps():
    clip = GradientClip("auto")
    _stepped(clip, np.full(RECENT, 1.0))
    assert clip.bound == pytest.approx(TIMES)
    _stepped(clip, np.full(RECENT, 5.0))
    assert clip.bound == pytest.approx(5 * TIMES)


def test_nothing_is_clipped_before_there_is_something_to_compare_with():
    norms = np.ones(FEWEST)
    norms[-1] = 1e6
    np.testing.assert_allclose(_stepped(GradientClip("auto"), norms), norms, rtol=1e-6)


def test_steps_without_a_gradient_do_not_forbid_those_with_one():
    clip = GradientClip("auto")
    found = _stepped(clip, np.r_[np.ones(FEWEST), np.zeros(2 * RECENT), 3.0])
    assert found[-1] == pytest.approx(3.0)


def test_a_constant_bound_and_none():
    norms = np.array([0.5, 2.0, 1e6])
    np.testing.assert_allclose(_stepped(GradientClip(1.5), norms), [0.5, 1.5, 1.5], rtol=1e-5)
    np.testing.assert_allclose(_stepped(GradientClip(None), norms), norms, rtol=1e-6)
