"""Training objectives, one small class per method, found by name in one registry."""

from llmreg.objectives.base import Objective
from llmreg.objectives.genre2 import GenRe2
from llmreg.objectives.heads import (
    Histogram,
    LastStateHead,
    LogitsMLPHead,
    MaxPoolHead,
    MeanPoolHead,
    MinPoolHead,
    Pointwise,
    ProbabilitiesHead,
    SpecialTokenHead,
)
from llmreg.objectives.learnt import LearnableRAFT, NewTokens
from llmreg.objectives.number_tokens import DIST2, NTLMSE, NTLWAS
from llmreg.objectives.policy_gradient import GRPO, RLOO, ReMax
from llmreg.objectives.registry import METHODS, fit_methods, resolve_method
from llmreg.objectives.regression_aware import CRPS, MBR, RAFT
from llmreg.objectives.token_level import CE, SoftCE
from llmreg.objectives.untrained import ZeroShot

__all__ = [
    "CE",
    "CRPS",
    "DIST2",
    "GRPO",
    "MBR",
    "METHODS",
    "NTLMSE",
    "NTLWAS",
    "RAFT",
    "RLOO",
    "GenRe2",
    "Histogram",
    "LastStateHead",
    "LearnableRAFT",
    "LogitsMLPHead",
    "MaxPoolHead",
    "MeanPoolHead",
    "MinPoolHead",
    "NewTokens",
    "Objective",
    "Pointwise",
    "ProbabilitiesHead",
    "ReMax",
    "SoftCE",
    "SpecialTokenHead",
    "ZeroShot",
    "fit_methods",
    "resolve_method",
]
