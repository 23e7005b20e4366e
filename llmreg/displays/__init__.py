"""Pictures in scikit-learn's manner: of fits, of distributions, and of what a model reads."""

from llmreg.displays.coverage import CoverageDisplay
from llmreg.displays.distributions import DistributionDisplay
from llmreg.displays.history import HistoryDisplay
from llmreg.displays.prompt import PromptDisplay
from llmreg.displays.samples import SamplesDisplay

__all__ = [
    "CoverageDisplay",
    "DistributionDisplay",
    "HistoryDisplay",
    "PromptDisplay",
    "SamplesDisplay",
]
