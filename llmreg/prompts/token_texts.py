"""Which cells of a table are written as tokens."""

from llmreg.prompts.cutting import most_characters
from llmreg.tables.plain_cells import legible

__all__ = ["is_spelled", "token_texts"]


def is_spelled(field, number_input, budget):
    """Whether a fresh model reads a field's cells as tokens.

    Parameters
    ----------
    field : llmreg.tables.rows.Field
    number_input : {"text", "text+value", "value"}
    budget : int
        Tokens of a text cell.

    Returns
    -------
    bool
    """
    if field.kind == "text":
        return budget > 0
    return field.numbers is not None and number_input != "value"


def token_texts(rows, number_input, budget):
    """Distinct cells that will be written as tokens, as far as ``budget`` tokens may reach.

    Parameters
    ----------
    rows : llmreg.tables.rows.SerializedRows
    number_input : {"text", "text+value", "value"}
    budget : int

    Returns
    -------
    list of str, ascending
    """
    texts = set()
    for field in rows.fields:
        if is_spelled(field, number_input, budget):
            texts.update(legible(text[: most_characters(budget)]) for text in field.text)
    return sorted(texts)
