"""Which cells of a table are written as tokens."""

from llmreg.prompts.cutting import most_characters
from llmreg.tables.plain_cells import legible

__all__ = ["token_texts"]


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
        if field.kind == "text" or (field.numbers is not None and number_input != "value"):
            texts.update(legible(text[: most_characters(budget)]) for text in field.text)
    return sorted(texts)
