"""The data sets that the papers measure on, read from files that you have; nothing is downloaded.

Each loader returns a :class:`~benchmarks.datasets.base.RegressionData`: the table, the target, the
parts for training, validation and testing where the source fixes them, and the paper's prompt as a
template for :class:`llmreg.RowSerializer`.
"""

from benchmarks.datasets.amazon import load_amazon_reviews
from benchmarks.datasets.base import RegressionData
from benchmarks.datasets.code_metrics import load_code_metrics
from benchmarks.datasets.movielens import load_movielens_1m
from benchmarks.datasets.stsb import load_stsb
from benchmarks.datasets.synthetic import make_original_1
from benchmarks.datasets.talent import load_talent

__all__ = [
    "RegressionData",
    "load_amazon_reviews",
    "load_code_metrics",
    "load_movielens_1m",
    "load_stsb",
    "load_talent",
    "make_original_1",
]
