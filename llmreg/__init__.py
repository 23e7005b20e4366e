"""Predict numbers from tables with words in them, with a language model.

Importing this package, and building, cloning or printing its estimators, imports neither torch
nor transformers: fitting and predicting do.
"""

from llmreg.codecs.decimals import DecimalCodec
from llmreg.codecs.digits import DigitCodec, TargetCodec
from llmreg.codecs.grids import GridCodec
from llmreg.codecs.scientific import ScientificCodec
from llmreg.config.adapters import Adapters
from llmreg.config.device import Device
from llmreg.config.optimizer import Optimizer
from llmreg.config.pretrained_model import PretrainedModel
from llmreg.config.published import published
from llmreg.config.text_encoder import TextEncoder
from llmreg.displays import (
    CoverageDisplay,
    DistributionDisplay,
    HistoryDisplay,
    PromptDisplay,
    SamplesDisplay,
)
from llmreg.estimator import LLMRegressor
from llmreg.integrations.callbacks import EpochCallback
from llmreg.memory.needs import MemoryEstimate, StageMemory, estimate_memory
from llmreg.methods import (
    CE,
    CRPS,
    DIST2,
    GRPO,
    MBR,
    NTLMSE,
    NTLWAS,
    RAFT,
    RLOO,
    GenRe2,
    HeadMethod,
    Histogram,
    LearnableRAFT,
    LogitsMLPHead,
    Method,
    NewTokens,
    Pointwise,
    PoolHead,
    ProbabilitiesHead,
    ReMax,
    SoftCE,
    SpecialTokenHead,
    ZeroShot,
    fit_methods,
    register,
)
from llmreg.metrics import combine_scorers, get_scorer
from llmreg.numbers.distribution import NumericDistribution
from llmreg.prediction.quantile_view import QuantileView
from llmreg.tables.serialization import RowSerializer
from llmreg.version import __version__

__all__ = [
    "CE",
    "CRPS",
    "DIST2",
    "GRPO",
    "MBR",
    "NTLMSE",
    "NTLWAS",
    "RAFT",
    "RLOO",
    "Adapters",
    "CoverageDisplay",
    "DecimalCodec",
    "Device",
    "DigitCodec",
    "DistributionDisplay",
    "EpochCallback",
    "GenRe2",
    "GridCodec",
    "HeadMethod",
    "Histogram",
    "HistoryDisplay",
    "LLMRegressor",
    "LearnableRAFT",
    "LogitsMLPHead",
    "MemoryEstimate",
    "Method",
    "NewTokens",
    "NumericDistribution",
    "Optimizer",
    "Pointwise",
    "PoolHead",
    "PretrainedModel",
    "ProbabilitiesHead",
    "PromptDisplay",
    "QuantileView",
    "ReMax",
    "RowSerializer",
    "SamplesDisplay",
    "ScientificCodec",
    "SoftCE",
    "SpecialTokenHead",
    "StageMemory",
    "TargetCodec",
    "TextEncoder",
    "ZeroShot",
    "__version__",
    "combine_scorers",
    "estimate_memory",
    "fit_methods",
    "get_scorer",
    "published",
    "register",
]
