"""Training objectives, one small class per method, found by name in one registry."""

from llmreg.objectives.base import Objective
from llmreg.objectives.policy_gradient import GRPO, ReMax
from llmreg.objectives.registry import METHODS, fit_methods, resolve_method
from llmreg.objectives.regression_aware import RAFT
from llmreg.objectives.token_level import CE, SoftCE

__all__ = [
    "CE",
    "GRPO",
    "METHODS",
    "RAFT",
    "Objective",
    "ReMax",
    "SoftCE",
    "fit_methods",
    "resolve_method",
]
