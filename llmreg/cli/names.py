"""Columns by their names, of which blanks around them and what is not seen don't count."""

import difflib
from collections import Counter

from llmreg.tables.cell_values import plain_text

__all__ = ["bare_name", "find_columns", "named_columns", "near", "plain_name", "shown_names"]


def bare_name(name):
    """A name without blanks around it, or what is not seen there.

    Examples
    --------
    >>> from llmreg.cli.names import bare_name
    >>> bare_name("\\ufeff price  in EUR\\u00a0")
    'price  in EUR'
    """
    seen = [i for i, character in enumerate(name) if plain_text(character).strip()]
    return name[seen[0] : seen[-1] + 1] if seen else ""


def plain_name(name):
    """What is seen of a name.

    Examples
    --------
    >>> from llmreg.cli.names import plain_name
    >>> plain_name("\\ufeff price\\u00a0in  EUR ")
    'price in EUR'
    """
    return " ".join(plain_text(name).split())


def find_columns(wanted, columns):
    """Columns that are called so, or are the only ones that look so.

    Parameters
    ----------
    wanted : iterable of str
    columns : iterable of str
        Of a table: each is found for one name at most.

    Returns
    -------
    dict of str to str
        {wanted name: column}, without those that are not found.

    Examples
    --------
    >>> from llmreg.cli.names import find_columns
    >>> find_columns(["y", "z"], ["a", " b", " y"])
    {'y': ' y'}
    """
    wanted, columns = dict.fromkeys(wanted), dict.fromkeys(columns)
    free = _by_plain_name(name for name in columns if name not in wanted)
    alone = _by_plain_name(name for name in wanted if name not in columns)
    found = {name: name if name in columns else free.get(plain_name(name)) for name in wanted}
    return {
        name: column
        for name, column in found.items()
        if column is not None and (name in columns or plain_name(name) in alone)
    }


def _by_plain_name(names):
    """Names by what is seen of them, where no other one looks so."""
    plain = {name: plain_name(name) for name in names}
    counts = Counter(plain.values())
    return {seen: name for name, seen in plain.items() if counts[seen] == 1}


def named_columns(frame, names):
    """Columns of a frame that users name, a list; ValueError where one is not there."""
    found = find_columns(names, frame)
    for name in names:
        if name not in found:
            close = near(name, frame)
            hint = f" Did you mean {close!r}?" if close is not None else ""
            raise ValueError(f"There is no column {name!r}.{hint} Columns: {shown_names(frame)}.")
    return [found[name] for name in names]


def near(name, columns):
    """The column whose name is most like another one, whatever the case of its letters; or None."""
    folded = {plain_name(column).casefold(): column for column in columns}
    close = difflib.get_close_matches(plain_name(name).casefold(), folded, n=1)
    return folded[close[0]] if close else None


def shown_names(names):
    """Names for a message, in quotes where not all of them is seen."""
    return ", ".join(name if name == plain_name(name) else repr(name) for name in names)
