"""What a fit would be if it ended now, for callbacks that look at it while it trains."""

import copy
import threading
import warnings
from dataclasses import replace

from llmreg.prediction.held_out import calibrate
from llmreg.training.parallel import Processes

__all__ = ["interim"]


def interim(fitted, rows, processes, weights):
    """The fit as it would be with these weights: a copy, calibrated and ready to predict.

    Parameters
    ----------
    fitted : llmreg.prediction.fitted.Fitted
        Under training; of an ensemble, the present member.
    rows : llmreg.training.run.TrainingRows
    processes : llmreg.training.parallel.Processes
    weights : dict of str to Tensor
        As of ``model.snapshot()``.

    Returns
    -------
    llmreg.prediction.fitted.Fitted
        Frozen weights of a pretrained model are shared with the one under training. None where
        processes hold parts of the weights (FSDP).
    """
    if processes.sharded:
        return None
    model, computing = _copied(fitted.model), fitted.plan.computing
    model.restore(weights)
    model.keep_reference(False)
    if not fitted.plan.pretrained:
        model.merge_lora()
    model.checkpointing(False)
    model.place(model.device, *computing.formats("prediction")).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fit itself will say what is to be said, once
        return calibrate(replace(fitted, model=model), rows, False, Processes())


def _copied(model):
    """A copy of a model in its memory: pickling would load a pretrained base once more."""
    memo = {id(model._pass_lock): threading.RLock()}
    if model.pretrained:
        memo |= {id(p): p for p in model.parameters() if not p.requires_grad}
    copied = object.__new__(type(model))
    copied.__dict__ = copy.deepcopy(vars(model), memo)
    return copied
