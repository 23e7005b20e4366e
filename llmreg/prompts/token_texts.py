"""Which cells of a table are written as tokens."""

from llmreg.prompts.cutting import most_characters
from llmreg.tables.plain_cells import legible

__all__ = ["is_spelled", "token_texts"]


def is_spelled(field, number_input, budget, vector_texts=()):
    """Whether a fresh model reads a field's cells as tokens.

    Parameters
    ----------
    field : llmreg.tables.rows.Field
    number_input : {"text", "text+value", "value"}
    budget : int
        Tokens of a text cell.
    vector_texts : tuple of str
        Columns of texts that are read as vectors alone.

    Returns
    -------
    bool
    """
    if field.kind == "text":
        return budget > 0 and field.name not in vector_texts
    return field.numbers is not None and number_input != "value"


def token_texts(rows, number_input, budget, vector_texts=()):
    """Distinct cells that will be written as tokens, as far as ``budget`` tokens may reach.

    Parameters
    ----------
    rows : llmreg.tables.rows.SerializedRows
    number_input : {"text", "text+value", "value"}
    budget : int
    vector_texts : tuple of str

    Returns
    -------
    list of str, ascending
    """
    texts = set()
    for field in rows.fields:
        if is_spelled(field, number_input, budget, vector_texts):
            texts.update(legible(text[: most_characters(budget)]) for text in field.text)
    return sorted(texts)
