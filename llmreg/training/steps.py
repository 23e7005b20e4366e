"""Gradients of one batch: in parts that fit the memory, over the processes that train together."""

import numpy as np
import torch

from llmreg.integrations.process_state import random_state, set_random_state
from llmreg.training.policy import NumberPolicy

__all__ = [
    "BatchGradients",
    "draw_noise",
    "random_states",
    "set_random_states",
    "split_on_memory_error",
]

HELD_OUT_ROWS = 64  # at once


def draw_noise(n_rows, num_draws, n_levels, generator):
    """Uniform numbers (n_rows, num_draws, n_levels) for the numbers that a batch draws, or None.

    Drawn for the whole batch at once, on the CPU: which rows are computed together, where and by
    which process makes no difference to them.
    """
    if not num_draws:
        return None
    return torch.rand(n_rows, num_draws, n_levels, generator=generator, dtype=torch.float64)


def is_memory_error(error):
    """Whether an exception says that a device is out of memory."""
    from accelerate.utils.memory import should_reduce_batch_size

    return isinstance(error, Exception) and should_reduce_batch_size(error)


def split_on_memory_error(compute, rows):
    """Results of ``compute`` for parts of ``rows``: all at once, or halved until they fit.

    Parameters
    ----------
    compute : callable
        Takes an array of rows.
    rows : ndarray

    Returns
    -------
    list
        One result per part, in the order of the rows.
    """
    try:
        return [compute(rows)]
    except Exception as error:
        if not is_memory_error(error) or len(rows) == 1:
            raise
    _free_memory()  # outside of the handler, whose traceback holds on to tensors
    middle = len(rows) // 2
    first = split_on_memory_error(compute, rows[:middle])
    return first + split_on_memory_error(compute, rows[middle:])


def _free_memory():
    from accelerate.utils import release_memory

    release_memory()


class BatchGradients:
    """Computes the gradients of a batch's loss: the weighted sum over its rows, by their number.

    Not divided by the weights' sum: a row of weight 2 counts as two rows wherever it comes, be its
    batch-mates heavy or light. Weights have a mean of 1 over the training rows.

    The batch is shared out among the processes, and each share is computed in parts of at most
    ``rows_at_once`` rows. Where memory runs out, parts become half as large and the batch starts
    over: the gradients are the same, and so are the draws.

    Parameters
    ----------
    model : llmreg.lm.backbone.NumberLM
    data : llmreg.training.training_data.TrainingData
    method : llmreg.methods.Method
    scale : llmreg.training.policy.ZScale
    processes : llmreg.training.parallel.Processes
    rows_at_once : int or None
        None: whole shares, until memory says otherwise.
    """

    def __init__(self, model, data, method, scale, processes, rows_at_once):
        self.model = model
        self.data = data
        self.method = method
        self.scale = scale
        self.processes = processes
        self.rows_at_once = rows_at_once

    def __call__(self, rows, noise):
        """Leave the gradients of these rows' loss in the trainable weights.

        Parameters
        ----------
        rows : ndarray of int
        noise : Tensor of shape (len(rows), G, N) or None

        Returns
        -------
        dict of str to float
            The loss and the metrics: weighted sums over the rows, divided by their number.

        Raises
        ------
        MemoryError
            If a single row does not fit.
        """
        while True:
            before = random_states(self.model.device)
            try:
                return self._batch(rows, noise)
            except Exception as error:
                if not is_memory_error(error):
                    raise
                self._smaller_parts(rows, error)
            self.model.zero_grad(set_to_none=True)
            _free_memory()
            set_random_states(before, self.model.device)

    def _smaller_parts(self, rows, error):
        size = min(self.rows_at_once or len(rows), -(-len(rows) // self.processes.count))
        if size == 1 or self.processes.sharded:  # sharded weights: all must split alike
            raise MemoryError(self._advice(rows, size, error)) from error
        self.rows_at_once = -(-size // 2)

    def _advice(self, rows, size, error):
        weights = sum(p.numel() * p.element_size() for p in self.model.parameters()) / 2**30
        longest = int(self.data.rows.lengths[rows].max())
        return (
            f"Training does not fit into the memory of {self.model.device}, with {size} row(s) at "
            f"a time: weights of {weights:.2f} GiB, prompts of up to {longest} tokens, "
            f"{self.method.num_draws or 'no'} sampled numbers per row, a number tree of "
            f"{self.model.tree.n_open} nodes. Use Device(gradient_checkpointing=True), a lower "
            "RowSerializer(max_prompt_tokens=...), a codec with fewer digits, fewer "
            "num_generations, Device(dtype='bfloat16'), a smaller or quantised model"
            + (", or a lower Device(micro_batch_size=...)." if size > 1 else ".")
            + " llmreg.estimate_memory tells what each takes."
            f" The device said: {error}"
        )

    def _batch(self, rows, noise):
        parts = self._parts(rows, noise)
        first, statistics = self._survey(parts)
        sums = {}
        for part in parts:
            policy, targets = first or self._policy(*part)
            first = None
            loss, metrics = self.method.loss(policy, targets, statistics)
            ((targets.weight * loss).sum() / len(rows)).backward()
            for name, values in {"loss": loss, **metrics}.items():
                value = (targets.weight * values.detach()).sum().cpu().double()
                sums[name] = sums.get(name, 0.0) + value
        self.processes.sum_gradients(self.model)
        means = self.processes.sum(torch.stack(list(sums.values()))) / len(rows)
        return dict(zip(sums, means.tolist(), strict=True))

    def _parts(self, rows, noise):
        """This process' rows, their noise and their weights, in parts of rows of like length.

        All processes compute equally many, so that they stay in step: a row that fills up has
        weight zero.
        """
        mine = self.processes.share(np.arange(len(rows)))
        weight = self.data.weight[rows[mine]]
        absent = -(-len(rows) // self.processes.count) - len(mine)
        mine, weight = np.append(mine, [0] * absent), np.append(weight, [0.0] * absent)
        order = np.argsort(self.data.rows.lengths[rows[mine.astype(int)]], kind="stable")
        mine, weight = mine.astype(int)[order], weight[order]
        size = self.rows_at_once or len(mine)
        return [
            (rows[mine[i : i + size]], None if noise is None else noise[mine[i : i + size]],
             weight[i : i + size])
            for i in range(0, len(mine), size)
        ]  # fmt: skip

    def _survey(self, parts):
        """What the loss must know of the whole batch; and the policy, where that is one part.

        Several parts are evaluated once more, without gradients, if rows see one another at all.
        """
        first = self._policy(*parts[0])
        if len(parts) == 1:
            statistics = self.method.statistics(*first)
        else:
            states = random_states(self.model.device)
            with torch.no_grad():
                statistics = self.method.statistics(*first)
                if statistics is not None:
                    rest = [self.method.statistics(*self._policy(*part)) for part in parts[1:]]
                    statistics = statistics + sum(rest)
            first = None  # without gradients
            set_random_states(states, self.model.device)
        return first, None if statistics is None else self.processes.sum(statistics)

    def answers(self, rows):
        """What the model says of these rows: its head, or the targets' log-probabilities."""
        policy, targets = self._policy(rows, None, self.data.weight[rows])
        if self.model.head is not None:
            return self.model.head_output(policy.batch)
        return policy.log_prob_of(targets.leaf)

    @torch.no_grad()
    def objectives(self):
        """What the method minimises, for all rows (n,): weighted, the mean weight being one."""
        weight = self.data.weight / self.data.weight.mean()

        def losses(rows):
            return self.method.held_out_loss(*self._policy(rows, None, weight[rows]))

        size = self.rows_at_once or HELD_OUT_ROWS
        rows = np.arange(len(weight))
        parts = [
            part
            for start in range(0, len(rows), size)
            for part in split_on_memory_error(losses, rows[start : start + size])
        ]
        return torch.cat(parts).cpu().double().numpy() * weight

    def _policy(self, rows, noise, weight):
        device = self.model.device
        precise = torch.promote_types(self.model.dtype, torch.float32)  # cells are, in any case
        batch, targets = self.data.batch(rows, weight, device, precise)
        if noise is not None:  # not every device has float64
            noise = noise.to(device, torch.float32 if device.type == "mps" else torch.float64)
        return NumberPolicy(self.model, batch, self.scale, noise), targets


def random_states(device):
    """torch's global random states that training on a device draws from."""
    on_device = None if device.type == "cpu" else random_state(device)
    return torch.get_rng_state(), on_device


def set_random_states(states, device):
    """Go back to earlier :func:`random_states` of the device."""
    torch.set_rng_state(states[0])
    if device.type != "cpu":
        set_random_state(states[1], device)
