"""A row's prompt as the model gets it, in runs of tokens that belong together."""

from dataclasses import dataclass

__all__ = ["Segment"]


@dataclass(frozen=True)
class Segment:
    """Tokens in a row that spell a cell, carry its vectors, or stand around cells.

    Parameters
    ----------
    text : str
        What the tokens spell, as far as it is read; the cell as the serializer writes it if it is
        read as a vector alone; "" if the tokens only carry a text's features.
    column : str or None, default=None
        The cell's column; None: what is the same in every row.
    kind : str or None, default=None
        What the column is.
    n_written : int, default=0
        Tokens that spell the text.
    vectors : tuple of str, default=()
        Names of the numbers, categories and text features that are read as vectors.
    """

    text: str
    column: str | None = None
    kind: str | None = None
    n_written: int = 0
    vectors: tuple[str, ...] = ()
