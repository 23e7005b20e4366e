"""Memory in long tables: what is kept per row is little more than the row's own numbers."""

import subprocess
import sys

import pytest

MB = 2**20
BYTES_PER_ROW = 5 * 8

SCRIPT = """
import resource, sys, warnings
import numpy as np
from llmreg import DigitCodec, LLMRegressor

def peak():
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale

task, few, many = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
X = np.random.RandomState(0).randn(many, 5)
model = LLMRegressor(
    codec=DigitCodec(n_digits=1), sft_epochs=1, align_epochs=0, batch_size=64, random_state=0
)
if task == "predict":
    model.fit(X[:200], X[:200, 0])
    work = lambda n: model.predict(X[:n])
else:
    work = lambda n: model.fit(X[:n], X[:n, 0])
work(few)
before = peak()
work(many)
print(peak() - before)
"""


def _growth(task, few, many):
    """Bytes by which the peak grows from ``few`` rows to ``many``, in a process of its own."""
    pytest.importorskip("resource")
    command = [sys.executable, "-c", SCRIPT, task, str(few), str(many)]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    growth = int(out.stdout)
    print(f"{task}: {few:,} to {many:,} rows: {growth / MB:.1f} MB")
    return growth


@pytest.mark.parametrize(
    ("few", "many"),
    [(5_000, 25_000), pytest.param(20_000, 100_000, marks=pytest.mark.slow)],
)
def test_predicting_a_long_table_takes_little_more_memory_than_the_table(few, many):
    assert _growth("predict", few, many) < 8 * BYTES_PER_ROW * many + 50 * MB


@pytest.mark.slow
def test_fitting_a_long_table_takes_a_small_multiple_of_the_table():
    assert _growth("fit", 2_000, 20_000) < 20 * BYTES_PER_ROW * 20_000 + 100 * MB
