"""The stages of a fit, one after the other, and where an interrupted fit takes them up again."""

import math
import platform
from dataclasses import replace
from importlib import metadata

import torch

from llmreg import version
from llmreg.training.checkpoints import fingerprint
from llmreg.training.interruptions import HeldSignals
from llmreg.training.stage import Stage

__all__ = ["fit_name", "train_stages"]

# Other versions of these may draw, round or encode otherwise.
PACKAGES = ("accelerate", "numpy", "peft", "scikit-learn", "tokenizers", "torch", "transformers")


def train_stages(model, data, plan, checkpoints, *, seconds=None, lora=None, **common):
    """Train a model by several methods in a row.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    data : llmreg.training.training_data.TrainingData
    plan : list of (Method, StageSettings)
    checkpoints : llmreg.training.checkpoints.Checkpoints
    seconds : callable or None, default=None
        ``seconds(index)`` that a stage may take, asked as it begins; where it has none, it is left
        out, but for the first. None: as many as they need.
    lora : peft.PeftConfig or None, default=None
        Adapters that a model with fresh weights gets for its second stage; they are merged at the
        end. A pretrained model has its adapters already, or is tuned whole.
    **common
        Further parameters of :class:`llmreg.training.stage.Stage`.

    Returns
    -------
    list of dict
        One record per epoch.
    """
    saved = checkpoints.load()
    with HeldSignals(checkpoints.path is not None) as signals:
        return _train(model, data, plan, checkpoints, saved, signals, seconds, lora, **common)


def _train(model, data, plan, checkpoints, saved, signals, seconds, lora, **common):
    first, history = (saved["stage"], saved["history"]) if saved else (0, [])
    for index in range(first, len(plan)):
        method, settings = plan[index]
        given_time = math.inf if seconds is None else seconds(index)
        if index and not given_time:
            break
        resumed = saved and index == first
        if method.stage == "align" and lora is not None:
            model.add_lora(lora)
        if resumed:
            _put(model, saved["fixed"])
            _put(model, saved["start"])
        reference = method.needs_reference
        given = {
            "stage": index, "history": history, "fixed": _fixed(model),
            "start": model.snapshot() if reference else {},
        }  # fmt: skip
        model.keep_reference(reference)

        def after_step(stage, given=given):
            if checkpoints.due() or signals.pending is not None:
                checkpoints.save({**given, "run": stage.state()})
            signals.deliver()

        stage = Stage(
            model, data, method, settings=settings, after_step=after_step, seconds=given_time,
            **common,
        )  # fmt: skip
        if resumed:
            stage.load(saved["run"])
        history = history + stage.run()
        if stage.stop_asked:
            checkpoints.leave()
        model.keep_reference(False)
    if lora is not None:
        model.merge_lora()
    if saved and first == len(plan):
        _put(model, saved["fixed"] | saved["start"])
    else:
        checkpoints.save(
            {"stage": len(plan), "history": history, "run": None, "fixed": _fixed(model),
             "start": model.snapshot()}
        )  # fmt: skip
    return history


def _fixed(model):
    """Weights that don't train now and can't be loaded again: those that started fresh."""
    if model.pretrained:
        return {}
    return {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}


@torch.no_grad()
def _put(model, weights):
    parameters = dict(model.named_parameters())
    for name, weight in weights.items():
        parameters[name].copy_(weight)


def fit_name(model, plan, seed, **further):
    """A name for a fit, by which its checkpoint is found: equal if the fit would be the same.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
        Before training.
    plan : llmreg.config.plan.Plan
        Which of several like devices it names decides nothing, nor does a transformer of texts,
        which are encoded already.
    seed : int
    **further : object
        What else decides the result.

    Returns
    -------
    str
    """
    reading = replace(plan.reading, text_features=plan.reading.text_features is not False)
    plan = replace(plan, reading=reading, computing=replace(plan.computing, device=""), why={})
    versions = {"llmreg": version.__version__, "python": platform.python_version()}
    versions |= {package: metadata.version(package) for package in PACKAGES}
    return fingerprint(
        versions, model.device.type, seed, plan, model.lm.config, model.codec,
        dict(model.named_parameters()), dict(model.named_buffers()), list(model.trainable()),
        further,
    )  # fmt: skip
