"""Training methods, found by name in one registry: the loss of each, and the module it needs."""

# In the order in which fit_methods() lists them.
# isort: off
from llmreg.methods.base import Method
from llmreg.methods.registry import METHODS, fit_methods, register, resolve_method
from llmreg.methods.token_level import CE, SoftCE
from llmreg.methods.number_tokens import DIST2, NTLMSE, NTLWAS
from llmreg.methods.regression_aware import CRPS, MBR, RAFT
from llmreg.methods.policy_gradient import GRPO, RLOO, ReMax
from llmreg.methods.genre2 import GenRe2
from llmreg.methods.learnable_raft import LearnableRAFT
from llmreg.methods.new_tokens import NewTokens
from llmreg.methods.heads import (
    HeadMethod,
    LogitsMLPHead,
    Pointwise,
    PoolHead,
    ProbabilitiesHead,
    SpecialTokenHead,
)
from llmreg.methods.histogram import Histogram
from llmreg.methods.untrained import ZeroShot
# isort: on

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
    "HeadMethod",
    "Histogram",
    "LearnableRAFT",
    "LogitsMLPHead",
    "Method",
    "NewTokens",
    "Pointwise",
    "PoolHead",
    "ProbabilitiesHead",
    "ReMax",
    "SoftCE",
    "SpecialTokenHead",
    "ZeroShot",
    "fit_methods",
    "register",
    "resolve_method",
]
