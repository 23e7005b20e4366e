"""Learning rates over the steps: pure numbers first, then torch's schedulers."""

import numpy as np
import pytest
import torch

from llmreg.config.plan import StageSettings
from llmreg.training.schedules import rate_share, scheduled


def _rates(n_steps, **changes):
    weight = torch.nn.Parameter(torch.zeros(1))
    settings = StageSettings("sft", 1, 2.0, 8, 0.0, None, **changes)
    optimizer = torch.optim.SGD([weight], lr=settings.learning_rate)
    schedule, rates = scheduled(optimizer, settings, n_steps), []
    for _ in range(n_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return np.array(rates)


def test_up_by_a_line_then_down_by_a_cosine():
    shares = np.array([rate_share(step, 110, warmup=10, final_share=0.1) for step in range(110)])
    np.testing.assert_allclose(shares[:10], np.arange(1, 11) / 10)
    half_way = 10 + 50
    assert shares[10] == 1 and shares[half_way] == pytest.approx(0.55)
    assert (np.diff(shares[10:]) < 0).all() and shares[-1] == pytest.approx(0.1, abs=1e-3)
    assert rate_share(500, 110, warmup=10, final_share=0.1) == pytest.approx(0.1)


def test_without_a_way_down_the_peak_stays():
    assert [rate_share(step, 4, warmup=0) for step in range(4)] == [1.0] * 4
    # A warm-up that is longer than the stage never gets to the peak.
    assert max(rate_share(step, 4, warmup=100) for step in range(4)) == 0.04


def test_schedules_are_torchs_with_these_rates():
    np.testing.assert_array_equal(_rates(5, schedule="constant", warmup=0), 2.0)
    np.testing.assert_allclose(_rates(4, schedule="constant", warmup=0.5), [1.0, 2.0, 2.0, 2.0])
    found = _rates(9, schedule="cosine", warmup=3, final_share=0.0)
    shares = [rate_share(step, 9, warmup=3, final_share=0.0) for step in range(9)]
    np.testing.assert_allclose(found, 2 * np.array(shares))


@pytest.mark.parametrize(("warmup", "peak"), [(0.5, 5), (3, 3)])
def test_one_cycle_is_at_its_peak_after_the_warm_up(warmup, peak):
    rates = _rates(10, warmup=warmup)
    assert abs(rates.argmax() - peak) <= 1 and rates.max() == pytest.approx(2.0, rel=0.05)
    assert rates[0] < 0.2 and rates[-1] < 0.2
