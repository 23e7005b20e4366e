"""Where a pretrained model's number stands: behind the text after which it would write one."""

import warnings

import numpy as np
import torch

from llmreg.numbers.tree import leaf_log_probs
from llmreg.prediction.distributions import is_constant
from llmreg.prompts.asking import prefills_for

__all__ = ["answer_mass", "place_answer"]

FEW = 4  # rows that are asked: the texts differ by factors of ten and more
LOW = 0.1  # of the probability; below, the prompt does not ask for a number
WHOLE_TREE = 128  # nodes; of larger trees the first symbols are asked about alone


@torch.no_grad()  # sharded weights keep the buffers of their first pass, for training
def answer_mass(model, encoded, whole=True):
    """The probability that a model gives to all legal numbers together, among all it could write.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
        That writes symbols; in eval mode.
    encoded : llmreg.prompts.encoding.EncodedRows
    whole : bool, default=True
        False: of the numbers' first symbols alone, an upper bound. So it is, too, where the number
        tree has more than 128 nodes that leave a choice.

    Returns
    -------
    float
        The rows' mean.
    """
    whole = whole and model.tree.n_open <= WHOLE_TREE
    nodes = torch.arange(1, model.tree.n_open if whole else 1, device=model.device)
    masses = []
    for row in range(len(encoded)):  # one at a time: the vocabulary's logits at all nodes are large
        precise = torch.promote_types(model.dtype, torch.float32)  # cells are, in any case
        batch = encoded.batch(np.array([row]), model.device, precise)
        shares = model.node_logits(batch, nodes, shares=True)
        found = leaf_log_probs(shares, model.tree) if whole else _first(shares, model.tree)
        masses.append(found.double().logsumexp(-1).exp().mean())
    return float(torch.stack(masses).mean())


def _first(shares, tree):
    """Log-probabilities of the legal first symbols."""
    return shares[:, 0, tree.path_symbols[:, 0].unique()]


def place_answer(fitted, rows, encoded, processes):
    """Let the number follow the text after which the untrained model would most likely write one.

    Parameters
    ----------
    fitted : llmreg.prediction.fitted.Fitted
        Placed and not trained yet; its prompts are changed.
    rows : llmreg.tables.rows.SerializedRows
        Training rows with their estimates.
    encoded : llmreg.prompts.encoding.EncodedRows
        The same as the prompts are.
    processes : llmreg.training.parallel.Processes

    Returns
    -------
    plan : llmreg.config.plan.Plan
        With what was chosen, and what the model gives it.
    encoded : llmreg.prompts.encoding.EncodedRows
        The rows as the prompts are now.

    Warns
    -----
    UserWarning
        If the model would hardly write a number after any of the texts.
    """
    model, prompts, plan = fitted.model, fitted.prompts, fitted.plan
    writes = model.new_tokens is None and (model.head is None or model.head.whole)
    if not plan.pretrained or not writes or is_constant(model):
        return plan, encoded
    texts = (plan.reading.prefill,)
    if plan.reading.prefill is None:
        texts = prefills_for(prompts.as_chat, fitted.serializer.target_name_)
    chosen = np.random.RandomState(plan.seed % 2**32).permutation(len(encoded))[:FEW]
    some, training = rows.take(np.sort(chosen)), model.training
    model.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is cut has been said of all rows
        masses = {text: _mass_behind(text, fitted, some) for text in texts}
        best = processes.agree(max(masses, key=masses.get))
        mass = processes.agree(_mass_behind(best, fitted, some, whole=True))
        encoded = prompts.encode_extended(rows)
    model.train(training)
    if masses[best] < LOW:
        _warn(masses)
    return plan.answered(best, masses, mass), encoded


def _mass_behind(text, fitted, rows, whole=False):
    """The answer mass where the number follows a text, to which the prompts are set."""
    fitted.prompts.answer_after(text)
    return answer_mass(fitted.model, fitted.prompts.encode_extended(rows), whole)


def _warn(masses):
    tried = ", ".join(f"{text!r} ({mass:.2g})" for text, mass in masses.items())
    warnings.warn(
        "The untrained model would hardly begin a number where it is asked for one: probability "
        f"after {tried}. It has more to learn, and zero_shot says little. End "
        "RowSerializer(template=...) with words that a number follows, or set PretrainedModel("
        "prefill=...) to some.",
        UserWarning,
        stacklevel=4,
    )
