"""Which character stands between the cells of a text."""

import math
import re

from llmreg.cli.quotes import ENCLOSED, n_odd, read_rows

__all__ = ["SEPARATORS", "between_names", "declared_separator", "find_separator"]

SEPARATORS = ",;\t|"
LINE_ENDS = "\r\n"
DECLARED = re.compile(  # in quotes, it could be a name: the next line tells
    r'sep=([^\w"\r\n]) *(?=[\r\n]|\Z)|"sep=([^\w"\r\n])"(?=[\r\n]+[^\r\n]*\2)', re.IGNORECASE
)


def _enclosed(around):
    return rf"(?<![^{around}]){ENCLOSED.pattern}(?=[{around}]|\Z)"


ENCLOSED_CELL = re.compile(_enclosed(SEPARATORS + " " + LINE_ENDS))
LINE = rf"(?:{_enclosed(SEPARATORS + LINE_ENDS)}|[^\r\n])*+"
NAMES = re.compile(rf"(?:[^\S\r\n]*+[\r\n])*+({LINE})")


def declared_separator(text):
    """What a first line such as ``sep=;`` says, as Excel reads and others write it.

    Parameters
    ----------
    text : str

    Returns
    -------
    sep : str or None
        None without such a line.
    text : str
        With that line left blank.

    Examples
    --------
    >>> from llmreg.cli.separators import declared_separator
    >>> declared_separator("sep=;\\na;b")
    (';', '\\na;b')
    """
    found = DECLARED.match(text)
    return (found[1] or found[2], text[found.end() :]) if found else (None, text)


def between_names(text):
    """The first line that is not blank, without the names that quotes enclose."""
    return ENCLOSED_CELL.sub("", NAMES.match(text)[1])


def find_separator(path, text):
    """Tell the separator from the names, and from the rows where these hold several.

    That is the one with which the fewest rows have more or fewer cells than there are names; of
    several, the one that the names have most of; and then the one that, unlike the others, does
    not always stand as in sentences or numbers. What stands so in names, and in no row, is none.

    Parameters
    ----------
    path : str or os.PathLike
        For messages.
    text : str

    Returns
    -------
    str
        A comma where the names hold none.

    Raises
    ------
    ValueError
        Where it can't be told.
    """
    names = between_names(text)
    found = [sep for sep in SEPARATORS if sep in names]
    if found and _is_one_name(text, names, found):
        return next((sep for sep in ";\t|" if sep not in found), ",")
    if len(found) < 2:
        return found[0] if found else ","
    ranks = {sep: (_n_odd_rows(path, text, sep), -names.count(sep)) for sep in found}
    best = [sep for sep in found if ranks[sep] == min(ranks.values())]
    if len(best) > 1:
        best = [sep for sep in best if not _is_content(text, sep)] or best
    if len(best) == 1:
        return best[0]
    raise ValueError(
        f"Cells of {str(path)!r} may have {' or '.join(map(repr, best))} between them: lines have "
        f"as many of each as the first one, {names:.80}. Enclose names that hold another than the "
        f"true one in quotes, or write which it is as a line in front, such as sep={best[-1]}"
    )


def _is_one_name(text, names, found):
    """Whether names are rather one, such as "Price, EUR", of what no row has several of."""
    outside = ENCLOSED_CELL.sub("", text)
    return all(outside.count(sep) == names.count(sep) and _is_content(names, sep) for sep in found)


def _n_odd_rows(path, text, sep):
    try:
        return n_odd(read_rows(path, text, sep))
    except ValueError:
        return math.inf


def _is_content(text, sep):
    """Whether it always stands before a space, or as a comma between digits."""
    decimal = r"(?!(?<=\d,)\d)" if sep == "," else ""
    return not re.search(rf"{re.escape(sep)}(?! ){decimal}", ENCLOSED_CELL.sub("", text))
