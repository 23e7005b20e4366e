"""What a model read of a row."""

from collections.abc import Sequence
from html import escape
from numbers import Integral
from typing import Any, Self

import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from llmreg.prediction.through import regressor_within
from llmreg.prompts.segments import Segment
from llmreg.tables.reading import read_table

__all__ = ["PromptDisplay"]

PLAIN = "white-space:pre-wrap;overflow-wrap:anywhere;font-family:monospace;line-height:2"
CELL = "border-radius:4px;padding:1px 4px;color:#000;box-decoration-break:clone;"
# Read as text, as vectors, as both: told apart by their borders as well.
STYLES = {
    (True, False): CELL + "background:#CCE3F2;border:1px solid #0072B2",
    (False, True): CELL + "background:#FBE0CC;border:1px dashed #D55E00",
    (True, True): CELL + "background:#D3EEE5;border:1px double #009E73",
}
LEGEND = {(True, False): "text", (False, True): "vector", (True, True): "text and vector"}


class PromptDisplay:
    """A row's prompt, with its cells marked: what the model read, cut where it was cut.

    Fresh weights read cells alone, numbers and categories as vectors; pretrained ones read the
    text of the row, a chat template and an instruction included. It is printed as text, and a
    notebook shows it in colours. In text, ``[…]`` is a cell that is read as text, ``<…>`` one that
    is read as a vector, ``[…]<…>`` both; a text's features are named.

    Parameters
    ----------
    segments : list of Segment
        See :class:`llmreg.prompts.segments.Segment`.

    See Also
    --------
    RowSerializer.report : How columns are read.

    Examples
    --------
    >>> import pandas as pd
    >>> from llmreg import LLMRegressor, PromptDisplay
    >>> X = pd.DataFrame({"size": [30.0, 45, 60, 80], "city": list("ABAB")})
    >>> model = LLMRegressor(fit_method="ce", estimates=None, sft_epochs=1, random_state=0)
    >>> display = PromptDisplay.from_estimator(model.fit(X, [300.0, 380, 590, 650]), X, row=1)
    >>> display
    size=<45> city=<B> <answer>
    >>> display.to_frame()[["column", "text", "vectors"]]
      column text  vectors
    0   size   45        1
    1   city    B        1
    """

    def __init__(self, segments: Sequence[Segment]):
        self.segments = segments

    @classmethod
    def from_estimator(cls, estimator: Any, X: ArrayLike, *, row: int = 0) -> Self:
        """Show what a fitted estimator reads of a row.

        Parameters
        ----------
        estimator : fitted LLMRegressor, or a Pipeline or search that ends with one
        X : table-like of shape (n_rows, n_columns)
        row : int, default=0
            The position of the row in X.

        Returns
        -------
        display : PromptDisplay

        Raises
        ------
        NotFittedError
            Before ``fit``.
        IndexError
            If there is no such row.
        """
        regressor, X = regressor_within(estimator, X)
        check_is_fitted(regressor, "model_")
        frame = read_table(regressor, X, reset=False)
        n_rows = len(frame)
        if not isinstance(row, Integral) or not -n_rows <= row < n_rows:
            raise IndexError(
                f"row={row!r} is no row of X: give a position, an integer from {-n_rows} to "
                f"{n_rows - 1}."
            )
        one = frame.iloc[[row]]
        return cls(regressor.prompts_.segments(regressor.serializer_.serialize(one)))

    def to_frame(self) -> pd.DataFrame:
        """The cells as a table.

        Returns
        -------
        pandas.DataFrame, one row per cell in the order in which they are read
            "column"; "kind"; "text", as far as it is read; "tokens" that spell it, 0 if it is read
            as a vector alone; "vectors", how many are read beside them.
        """
        cells = [s for s in self.segments if s.column is not None]
        rows = [(s.column, s.kind, s.text, s.n_written, len(s.vectors)) for s in cells]
        return pd.DataFrame(rows, columns=["column", "kind", "text", "tokens", "vectors"])

    def __repr__(self):
        return self._joined(_plain)

    def _repr_html_(self):
        legend = " ".join(f'<span style="{STYLES[way]}">{LEGEND[way]}</span>' for way in STYLES)
        return f'<div style="{PLAIN}">{self._joined(_marked)}</div><p>Cells read as {legend}</p>'

    def _joined(self, write):
        """Fresh weights read nothing between cells, which are then apart and have names."""
        named = not any(s.column is None for s in self.segments[:-1])
        written = [write(segment, named) for segment in self.segments]
        return (" " if named else "").join(written)


def _ways(segment):
    return segment.n_written > 0 or not segment.vectors, bool(segment.vectors)


def _features(segment, named):
    """Of a text; where its cell stands elsewhere and has no name, with the column's."""
    return f"{len(segment.vectors)} feature vectors" + (not named) * f" of {segment.column}"


def _is_features(segment):
    return segment.kind == "text" and bool(segment.vectors)


def _plain(segment, named):
    if segment.column is None:
        return segment.text
    as_text, as_vector = _ways(segment)
    inside = _features(segment, named) if _is_features(segment) else segment.text
    cell = f"[{segment.text}]" * as_text + f"<{inside}>" * as_vector
    return f"{segment.column}={cell}" if named else cell


def _marked(segment, named):
    text = escape(segment.text)
    if segment.column is None:
        return f'<span style="opacity:0.7">{text}</span>'
    if _is_features(segment):
        text = f"{text} + {escape(_features(segment, named))}".removeprefix(" + ")
    how = LEGEND[_ways(segment)]
    title = escape(f"{segment.column} ({segment.kind}), read as {how}", quote=True)
    label = f"{escape(segment.column)} " * named
    return (
        f'{label}<span style="{STYLES[_ways(segment)]}" title="{title}">{text or "&nbsp;"}</span>'
    )
