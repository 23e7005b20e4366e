"""What importing llmreg costs, and that estimators can be handled without torch.

    python -m benchmarks.speed.startup

Each line runs in fresh interpreters, in turns with an interpreter that imports scikit-learn and
pandas alone, which an estimator cannot do without.
"""

import subprocess
import sys
import time

import numpy as np

BASE = "import pandas, sklearn.base, sklearn.model_selection"
WORK = {
    "scikit-learn and pandas": BASE,
    "import llmreg": f"{BASE}; import llmreg",
    "build, clone, print": f"{BASE}; import llmreg; from sklearn.base import clone; "
    "repr(clone(llmreg.LLMRegressor(fit_method=llmreg.GRPO(8))))",
}
HEAVY = ("torch", "transformers", "peft", "accelerate")


def main():
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds = np.array([[timed(code) for code in WORK.values()] for _ in range(repeats)])
    for name, code, taken in zip(WORK, WORK.values(), np.median(seconds, 0), strict=True):
        print(f"{name:26} {taken:6.2f} s   imports of {', '.join(HEAVY)}: {heavy(code) or 'none'}")
    more = np.median(seconds[:, 1] / seconds[:, 0])
    print(f"RATIO import llmreg / scikit-learn and pandas: {more:.2f}x")


def timed(code):
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def heavy(code):
    """Which heavy packages an interpreter has imported after some code."""
    told = f"{code}; import sys; print(*({HEAVY!r} & sys.modules.keys()))".replace(
        repr(HEAVY), repr(set(HEAVY))
    )
    found = subprocess.run([sys.executable, "-c", told], check=True, capture_output=True, text=True)
    return found.stdout.strip()


if __name__ == "__main__":
    main()
