"""What a table costs is the size of its cells: not rows times the longest one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import llmreg

MOST = 100  # MB beyond what the same table takes without the long cells

# Peak memory only ever rises, so what the long cells add is what it rises by after a table without.
SCRIPT = """
import json, resource, time, warnings

import numpy as np
import pandas as pd
from llmreg import LLMRegressor, RowSerializer
from llmreg.estimates.row_features import RowFeatures

warnings.simplefilter("ignore")
rng = np.random.RandomState(0)
n = 200
plain = pd.DataFrame({
    "a": rng.randn(n),
    "text": [" ".join(rng.choice(list("pqrstuvw"), 4)) for _ in range(n)],
    "code": rng.choice(["AB", "CD"], n),
    "level": rng.choice(["red", "blue"], n),
})
letters = rng.choice(list("abcdefghijklmnopqrstuvwxyz"), (170_000, 5))
long = plain.copy()
long.loc[7, "text"] = " ".join("".join(word) for word in letters)
long.loc[8, "code"] = "".join(letters.ravel())
long.loc[9, "level"] = "1" * 1_000_000 + "x"
serializer = RowSerializer(column_kinds={"text": "text", "code": "text"})


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cost(X):
    before, start = peak(), time.process_time()
    rows = serializer.fit(X).serialize(X)
    RowFeatures(("linear", "boosted"), 0).fit_transform(rows)
    model = LLMRegressor(
        fit_method="ce", sft_epochs=0, estimates=None, random_state=0, serializer=serializer
    )
    model.fit(X, plain["a"]).predict(X[:20])
    return peak() - before, time.process_time() - start


cost(plain)
print(json.dumps(cost(long)))
"""


def test_one_long_cell_in_many_rows_costs_its_own_size():
    env = {**os.environ, "PYTHONPATH": str(Path(llmreg.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=env)
    assert run.returncode == 0, run.stderr
    megabytes, seconds = json.loads(run.stdout)
    assert megabytes < MOST
    assert seconds < 60  # a pattern or a tokenizer that goes back and forth takes hours
