"""Predict numbers from tables with words in them, with a language model.

Importing this package, and building, cloning or printing its estimators, imports neither torch
nor transformers: fitting and predicting do.
"""

from llmreg.estimator import LLMRegressor
from llmreg.memory.estimate import MemoryEstimate, StageMemory, estimate_memory
from llmreg.numbers.codecs import DigitCodec
from llmreg.numbers.distribution import NumericDistribution
from llmreg.objectives import CE, GRPO, RAFT, Objective, ReMax, SoftCE, fit_methods
from llmreg.tables.serialization import RowSerializer

__version__ = "0.1.0.dev0"

__all__ = [
    "CE",
    "GRPO",
    "RAFT",
    "DigitCodec",
    "LLMRegressor",
    "MemoryEstimate",
    "NumericDistribution",
    "Objective",
    "ReMax",
    "RowSerializer",
    "SoftCE",
    "StageMemory",
    "estimate_memory",
    "fit_methods",
]
