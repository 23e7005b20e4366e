"""The plan that an estimator would make of rows, without a fit."""

import torch

from llmreg import RowSerializer, SoftCE
from llmreg.config.device import as_device
from llmreg.config.devices import computing_of
from llmreg.config.pretrained_model import as_pretrained
from llmreg.config.resolve import resolve


def plan_of(estimator, rows, codec=None, methods=None, scores=None, place="cpu"):
    """``rows`` are serialised; the codec, where there is one, is fitted."""
    computing = computing_of(
        as_device(estimator.device), torch.device(place), as_pretrained(estimator.model),
        estimator.adapters,
    )  # fmt: skip
    serializer = RowSerializer() if estimator.serializer is None else estimator.serializer
    serializer.target_name_ = "target"
    params = estimator.get_params(deep=False)
    return resolve(
        params,
        methods or (SoftCE(), None),
        rows,
        serializer,
        codec,
        scores or {},
        computing,
        seed=0,
    )
