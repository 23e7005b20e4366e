"""From rows to prompts, and with a language model and a codec to the model that a fit trains."""

from functools import partial

import numpy as np
import torch

from llmreg.estimates.row_estimates import RowEstimates
from llmreg.lm.adapters import adapter_config
from llmreg.lm.backbone import NumberLM
from llmreg.lm.loading.base import fresh_base, pretrained_base
from llmreg.lm.parts import give_parts
from llmreg.prompts.cell_encoder import CellEncoder
from llmreg.prompts.fitting import fit_prompts, show_examples
from llmreg.tables.text_vectors import fit_text_vectors

__all__ = ["build_model", "prompts_and_model"]


def prompts_and_model(plan, model, rows, y, weight, codec, mean, std, estimating=True):
    """Fit what training rows are read by.

    Parameters
    ----------
    plan, rows, y, weight, codec, mean, std
        Of the training rows, as :func:`llmreg.fit.fit_model` makes them.
    model : PretrainedModel; or, for fresh weights, "tiny" or transformers.PretrainedConfig
    estimating : bool, default=True
        False: nothing is fitted to the targets, and for estimates stand numbers about as long.

    Returns
    -------
    rows : llmreg.tables.rows.SerializedRows
        With vectors of texts and estimates, where the plan has some.
    prompts : CellPrompts or TextPrompts
    encoded : llmreg.prompts.encoding.EncodedRows
    build : callable
        :func:`build_model` of all that; from fresh weights, another model each time.
    """
    # The user's vectors of texts; what regressors say of rows that they have not seen.
    text_vectors, rows = fit_text_vectors(plan.reading.text_features, rows, plan.seed)
    estimates = None
    if plan.reading.estimates:
        estimates = RowEstimates(plan.reading.estimates, codec, mean, std, plan.seed)
        extend = estimates.fit_extend if estimating else estimates.extend_unfitted
        rows = extend(rows, y, weight)
    # Prompts for a language model, be it fresh or pretrained.
    if plan.pretrained:
        base = pretrained_base(model, codec, plan.computing.formats("training")[0])
    else:
        base = fresh_base(model, plan, rows, codec)
    prompts, encoded = fit_prompts(plan, base, rows, codec)
    prompts.text_vectors, prompts.estimates = text_vectors, estimates
    if plan.methods[0].num_examples:
        encoded = show_examples(prompts, plan.methods[0].num_examples, rows, y, codec, plan.seed)
    build = partial(build_model, plan, base, prompts, encoded, codec, mean, std)
    return rows, prompts, encoded, build


def build_model(plan, base, prompts, encoded, codec, mean=0.0, std=1.0, verify=True):
    """Build the model, with the cell vectors, adapters, heads and tokens that the plan asks for.

    Parameters
    ----------
    plan : llmreg.config.plan.Plan
    base : llmreg.lm.loading.base.Base
    prompts : CellPrompts or TextPrompts
    encoded : llmreg.prompts.encoding.EncodedRows
        The training rows.
    codec : fitted codec
    mean, std : float
        Of the training targets on the codec's axis, which heads predict in units of.
    verify : bool, default=True
        Whether the packed road is compared with the plain one; the model "tiny" is known.

    Returns
    -------
    llmreg.lm.backbone.NumberLM
        On the CPU.
    """
    lm = base.language_model()
    cells = None
    if not plan.pretrained or prompts.layout.n_slots > 1:
        cells = _cell_encoder(plan, prompts, encoded, lm)
    model = NumberLM(
        lm, cells, base.symbol_ids, codec, source=base.source, pretrained=plan.pretrained
    )
    if plan.pretrained:
        _put_adapters(model, plan)
    if verify and not base.known:
        _verify(model, encoded)
    give_parts(model, prompts.tokenizer, plan.methods, mean, std)
    return model


def _put_adapters(model, plan):
    """A pretrained model is tuned through adapters in both stages, or whole in both."""
    model.requires_grad_(plan.trains)
    config = adapter_config(plan.adapters, model.lm) if plan.trains else None
    if config is not None:
        model.add_lora(config)
        if model.cells is not None:
            model.cells.requires_grad_(True)


def _cell_encoder(plan, prompts, encoded, lm):
    """Vectors that start small beside fresh embeddings, and at nothing beside pretrained ones."""
    featurizer, layout = prompts.featurizer, prompts.layout
    n_texts, n_components = encoded.cells.texts.shape[1:]
    return CellEncoder(
        layout,
        knots=torch.as_tensor(featurizer.knots_),
        edges=torch.as_tensor(featurizer.edges_),
        n_levels=[len(levels) + 2 for levels in featurizer.levels_],
        n_columns=layout.soft - layout.column,
        n_texts=n_texts,
        n_components=n_components,
        size=lm.get_input_embeddings().embedding_dim,
        std=0.0 if plan.pretrained else 0.1,
        dropout=plan.reading.dropout,
        n_estimates=featurizer.n_estimates_,
        estimate_dropout=plan.reading.estimate_dropout,
    )


def _verify(model, encoded):
    """Compare packed with plain forward passes once, on the two shortest prompts."""
    shortest = np.argsort(encoded.lengths, kind="stable")[:2]
    model.eval()
    model.verify_packing(encoded.batch(shortest, model.device, model.dtype))
