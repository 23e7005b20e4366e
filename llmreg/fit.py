"""The recipe of a fit: from checked training rows to all that predictions need."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from llmreg.config.device import as_device
from llmreg.config.devices import computing_of, training_device
from llmreg.config.pretrained_model import as_pretrained
from llmreg.config.resolve import resolve
from llmreg.estimates.target_scale import axis_moments, fit_codec, within_reach
from llmreg.integrations.autologging import unlogged
from llmreg.integrations.process_state import own_draws, survive_forks
from llmreg.lm.building import prompts_and_model
from llmreg.lm.parts import check_parts
from llmreg.prediction.answer import place_answer
from llmreg.prediction.distributions import is_constant
from llmreg.prediction.fitted import Fitted
from llmreg.prediction.held_out import calibrate
from llmreg.prediction.interim import interim
from llmreg.prediction.validation import validator
from llmreg.tables.copies import copy_groups
from llmreg.training.checkpoints import check_folder
from llmreg.training.members import train_members
from llmreg.training.parallel import launched
from llmreg.training.run import (
    Training,
    TrainingRows,
    placed,
    prepared,
    undone_on_error,
    with_judges,
)
from llmreg.training.time_limit import TimeLimit

__all__ = ["fit_model"]


@unlogged()
def fit_model(
    params, table, judges, *, serializer, codec, methods, random_state, callbacks, start=None
):
    """Fit every part of the road.

    Parameters
    ----------
    params : dict
        The estimator's parameters, which end here and in :func:`llmreg.config.resolve.resolve`.
    table : llmreg.config.checks.TrainingTable of n rows
    judges : llmreg.config.checks.TrainingTable or None
        Rows of their own to validate on; nothing else is learnt from them.
    serializer, codec : parts to fit, or those of ``start``
    methods : (Method, Method or None)
        Of the first and the second stage.
    random_state : RandomState
    callbacks : llmreg.integrations.callbacks.FitCallbacks
    start : llmreg.prediction.fitted.Fitted or None, default=None
        An earlier fit to go on from, which stays as it is if this one fails.

    Returns
    -------
    fitted : llmreg.prediction.fitted.Fitted
    history : list of dict
        A record per epoch.
    """
    time_limit = TimeLimit(params["time_limit"])
    device, pretrained, new = as_device(params["device"]), as_pretrained(params["model"]), not start
    processes, place = launched(training_device(device.name))
    survive_forks()
    seed = processes.agree(random_state.randint(np.iinfo(np.int32).max))
    if params["checkpoint_dir"] is not None and processes.index == 0:
        check_folder(params["checkpoint_dir"])
    frame, y, weight = table.frame, table.y, table.weight
    with own_draws(seed, place):
        # 1. Rows: cells of known kinds.
        if new:
            serializer.fit(frame, pd.Series(y, index=frame.index, name=table.target))
        rows = replace(serializer.serialize(frame, training=new), weight=weight)

        # 2. The codec, on the scale that held-out rows prefer; where targets lie on its axis.
        scores = fit_codec(codec, rows, y, weight, seed, methods) if new else start.scale_scores
        y = within_reach(codec, y, methods, new)
        mean, std = axis_moments(codec, y, weight) if new else (start.mean, start.std)

        # 3. The plan: here every "auto" ends.
        computing = computing_of(device, place, pretrained, params["adapters"])
        n_val = None if judges is None else len(judges.y)
        plan = resolve(params, methods, rows, serializer, codec, scores, computing, seed, n_val)

        # 4. The split: rows that train, and rows that judge; copies of a row on one side.
        plan, train, held_out = plan.divided(copy_groups(rows, y))

        if new:
            # 5. to 7. Vectors of texts, and what regressors say of rows that they have not seen;
            #    prompts; and the model to train, with what its methods need.
            rows, prompts, encoded, build = prompts_and_model(
                plan, pretrained or params["model"], rows, y, weight, codec, mean, std
            )
            fitted = Fitted(serializer, codec, prompts, build(), mean, std, plan, scores)
        else:
            check_parts(start.model, methods)
            rows = start.prompts.extend_training(rows, y, weight)
            encoded = start.prompts.encode_extended(rows)
            plan = plan.after(start.plan, 1 + len(start.model.further_members))
            fitted, build = replace(start, plan=plan), None
        rows, y, weight, encoded = with_judges(fitted, rows, y, weight, encoded, judges)

        # 8. Training: where the number stands, then each member through both stages, keeping what
        #    held-out rows like best.
        with undone_on_error(fitted, start) as fitted:
            with placed(fitted.model, fitted.plan, processes):
                if new:
                    fitted.plan, encoded = place_answer(fitted, rows, encoded, processes)
                encoded = prepared(fitted.model, encoded, processes)
                data = TrainingRows(encoded, y, weight, train, held_out)
                training = Training(
                    fitted, data, validator(fitted, data, processes), processes,
                    time_limit=time_limit, verbose=params["verbose"],
                    checkpoint_dir=params["checkpoint_dir"],
                    checkpoint_interval=params["checkpoint_interval"],
                    callbacks=callbacks, interim=partial(interim, fitted, data, processes),
                )  # fmt: skip
                learns = fitted.plan.trains and not is_constant(fitted.model)
                history = train_members(training, fitted.plan.n_estimators, build) if learns else []

            # 9. Calibration: temperature, weight of the estimates and decoding, by held-out rows.
            fitted = calibrate(fitted, data, params["temperature_scaling"] is True, processes)
    # 10. All that predictions need, in one object.
    callbacks.end(fitted, history)
    return fitted, history
