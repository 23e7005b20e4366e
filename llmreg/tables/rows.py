"""Rows of a table as they stand in prompts: fields, and the constant texts between them."""

from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np

__all__ = ["Field", "SerializedRows"]


@dataclass(frozen=True)
class Field:
    """One column as it stands in the prompt.

    Parameters
    ----------
    name : str
        The column.
    kind : {"number", "category", "text", "datetime"}
        What the column is.
    text : ndarray of shape (n_rows,), dtype object
        The cells as written in the prompt; a missing cell is the word for missing.
    missing : ndarray of shape (n_rows,), dtype bool
        Where the cell is missing.
    numbers : ndarray of shape (n_rows, k), dtype float64, or None
        The cells as numbers, NaN where missing: one column for a number, several for a datetime,
        None for categories and text.
    number_names : tuple of str
        Names of these k columns: the field's own, or "<name>__timestamp" (days since 1970),
        "<name>__month", "<name>__day", "<name>__weekday" and "<name>__hour" (with minutes and
        seconds as a fraction) without those that were constant in training.
    estimate : bool, default=False
        Whether it is a regressor's estimate of the target, and no column of the table.
    vectors : ndarray of shape (n_rows, d), dtype float64, or None, default=None
        What a transformer of the user's makes of texts.
    """

    name: str
    kind: str
    text: np.ndarray
    missing: np.ndarray
    numbers: np.ndarray | None
    number_names: tuple[str, ...]
    estimate: bool = False
    vectors: np.ndarray | None = None


@dataclass(frozen=True)
class SerializedRows:
    """Rows as prompts, with fields and constant texts still apart.

    Parameters
    ----------
    literals : tuple of str
        The F + 1 constant texts around the F fields.
    fields : tuple of Field
        The fields in prompt order.
    n_rows : int
        Number of rows.
    estimate : llmreg.estimates.stacking.Estimate or None, default=None
        What regressors make of the rows beside the language model.
    weight : ndarray of shape (n_rows,) or None, default=None
        How much training rows count in scales and quantiles of numbers; None: alike.
    """

    literals: tuple[str, ...]
    fields: tuple[Field, ...]
    n_rows: int
    estimate: Any = None
    weight: np.ndarray | None = None

    def to_text(self):
        """Return the full prompts.

        Returns
        -------
        ndarray of shape (n_rows,), dtype object
            ``literals[0] field0 literals[1] field1 ... literals[F]`` of every row.
        """
        parts = [repeat(self.literals[0], self.n_rows)]
        for field, literal in zip(self.fields, self.literals[1:], strict=True):
            parts += [field.text, repeat(literal)]
        prompts = np.empty(self.n_rows, dtype=object)
        prompts[:] = list(map("".join, zip(*parts)))  # noqa: B905  (repeat has no end)
        return prompts

    def take(self, rows):
        """These rows only.

        Parameters
        ----------
        rows : ndarray of int

        Returns
        -------
        SerializedRows
        """
        fields = [
            replace(
                field, text=field.text[rows], missing=field.missing[rows],
                numbers=None if field.numbers is None else field.numbers[rows],
                vectors=None if field.vectors is None else field.vectors[rows],
            )
            for field in self.fields
        ]  # fmt: skip
        estimate = self.estimate and self.estimate.take(rows)
        weight = None if self.weight is None else self.weight[rows]
        return SerializedRows(self.literals, tuple(fields), len(rows), estimate, weight)

    def followed_by(self, others):
        """These rows and then others of the same fields; weights are left out.

        Parameters
        ----------
        others : SerializedRows

        Returns
        -------
        SerializedRows
        """
        fields = [
            replace(
                mine, text=np.append(mine.text, other.text),
                missing=np.append(mine.missing, other.missing),
                numbers=None if mine.numbers is None else np.append(
                    mine.numbers, other.numbers, axis=0),
                vectors=None if mine.vectors is None else np.append(
                    mine.vectors, other.vectors, axis=0),
            )
            for mine, other in zip(self.fields, others.fields, strict=True)
        ]  # fmt: skip
        estimate = self.estimate and self.estimate.followed_by(others.estimate)
        n_rows = self.n_rows + others.n_rows
        return SerializedRows(self.literals, tuple(fields), n_rows, estimate)
