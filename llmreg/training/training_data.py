"""Encoded training rows with their targets, as batches are made of them."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from llmreg.tables.weights import entry_counts
from llmreg.training.policy import Targets

__all__ = ["TrainingData"]


@dataclass(frozen=True)
class TrainingData:
    """Encoded training rows and their targets."""

    rows: object  # llmreg.prompts.cell_prompts.EncodedRows
    z: np.ndarray  # (n,) targets in z-units
    leaf: np.ndarray  # (n,) bin of each target
    weight: np.ndarray  # (n,)
    bandwidth: np.ndarray  # (n,) of a kernel about each target, in z-units

    def __len__(self):
        return len(self.z)

    def take(self, rows):
        """These rows only."""
        own = (part[rows] for part in (self.z, self.leaf, self.weight, self.bandwidth))
        return TrainingData(self.rows.take(rows), *own)

    def bare(self):
        """Without what was computed of it on the way."""
        return replace(self, rows=replace(self.rows, lower=None))

    def dealt(self):
        """Entries of an epoch: rows of much weight several times, and a mean weight of 1.

        A row of three times the mean weight has three entries with a third of its weight each, as
        if it were in the table three times: in small batches one heavy row would now and then
        outweigh all others, which an optimiser that divides by the gradients' size does not
        average out. Equal weights: the rows as they are.
        """
        times = entry_counts(self.weight)
        entries = replace(self, weight=self.weight / times)
        if times.max() > 1:
            entries = entries.take(np.repeat(np.arange(len(self)), times))
        return replace(entries, weight=entries.weight / entries.weight.mean())

    def batch(self, rows, weight, device, dtype):
        """Prompts and targets of some rows as tensors, with these weights."""
        targets = Targets(
            z=torch.as_tensor(self.z[rows]).to(device=device, dtype=dtype),
            leaf=torch.as_tensor(self.leaf[rows]).to(device),
            weight=torch.as_tensor(weight).to(device=device, dtype=dtype),
            bandwidth=torch.as_tensor(self.bandwidth[rows]).to(device=device, dtype=dtype),
        )
        return self.rows.batch(rows, device, dtype), targets
