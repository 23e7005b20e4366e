"""Training objectives, one small class per method, found by name in one registry."""

from llmreg.methods.base import Method
from llmreg.methods.genre2 import GenRe2
from llmreg.methods.heads import (
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
from llmreg.methods.learnt import LearnableRAFT, NewTokens
from llmreg.methods.number_tokens import DIST2, NTLMSE, NTLWAS
from llmreg.methods.policy_gradient import GRPO, RLOO, ReMax
from llmreg.methods.registry import METHODS, fit_methods, resolve_method
from llmreg.methods.regression_aware import CRPS, MBR, RAFT
from llmreg.methods.token_level import CE, SoftCE
from llmreg.methods.untrained import ZeroShot

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
    "Method",
    "MinPoolHead",
    "NewTokens",
    "Pointwise",
    "ProbabilitiesHead",
    "ReMax",
    "SoftCE",
    "SpecialTokenHead",
    "ZeroShot",
    "fit_methods",
    "resolve_method",
]
