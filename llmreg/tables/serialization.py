"""Table rows as prompts: which columns, what kinds, and the words between them."""

import difflib
import re
import string
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from llmreg.integrations.arithmetic import own_arithmetic
from llmreg.integrations.documentation import DocumentedMixin
from llmreg.integrations.fitting import fit_context
from llmreg.tables.column_report import as_frame, describe_columns, warn_unseen
from llmreg.tables.columns import KINDS, plan_column, write_column
from llmreg.tables.kinds import look_at
from llmreg.tables.reading import read_table
from llmreg.tables.rows import Field, SerializedRows

__all__ = ["RowSerializer"]


@own_arithmetic
class RowSerializer(DocumentedMixin, TransformerMixin, BaseEstimator):
    """Write every row of a table as a prompt for a language model.

    Without a template a row reads "name: value, name: value. target:" in column order. A table
    whose only field is text reads "<text>", a line break and "target:", without a label; this is
    text regression, whether the text came as a Series, a list or a table of one column.

    Parameters
    ----------
    template : str or None, default=None
        The prompt with a field such as ``{title}`` or ``{price:.2f}`` for each column, ``{{`` and
        ``}}`` for braces. A format specification applies to numbers only and is followed to the
        letter. Columns that the template does not name are left out.
    columns : list of str or None, default=None
        The columns to use, in this order; None uses all. A template may only name these.
    column_kinds : dict or None, default=None
        Kinds that override the inferred ones: {column: "number", "category", "text" or
        "datetime"}. The others are inferred from the training rows, as described at
        :func:`llmreg.tables.kinds.infer_kind`; strings in a table of one column are text. Of
        strings asked to be a "number", every one must be readable: "$1,234", "5.5 %", "12 km".
    number_format : str, default=".6g"
        Format specification of numbers. In a column whose training values were all whole, whole
        values are written as integers, in full, whatever this says.
    missing : str, default="missing"
        The word for a missing cell.
    max_categories : int, default=200
        A column of strings with more distinct values than this is text.
    max_text_tokens : int or "auto", default="auto"
        The token budget of one text cell. Tokens are the model's, so it is ``LLMRegressor`` that
        shortens longer cells, with a warning; `transform` alone returns uncut text. "auto": 256 for
        pretrained models; 64 for fresh weights, but 0 with fewer than 1,500 rows for columns of
        sentences (16 words and more, in the mean) of which TF-IDF reads the first 50,000 characters
        anyway. 0: texts are read through ``text_features`` alone, which is faster.
    max_prompt_tokens : int, default=1024
        Longer prompts are cut, with a warning.

    Attributes
    ----------
    columns_ : list of str
        The columns used, in prompt order.
    kinds_ : dict
        The kind of each of these columns.
    template_ : str
        The template in use.
    target_name_ : str
        The name of `y` when it is a named Series, else "target".
    literals_ : tuple of str
        The constant texts around the fields.
    fields_ : tuple of (str, str or None)
        The column of each field, and the format specification that the template gives it.
    plans_ : dict
        The :class:`~llmreg.tables.columns.ColumnPlan` of each column used.
    n_features_in_ : int
        Number of columns seen in fit.
    feature_names_in_ : ndarray of str
        Names of the columns seen in fit; only where all are strings.

    Examples
    --------
    >>> import pandas as pd
    >>> from llmreg import RowSerializer
    >>> X = pd.DataFrame({"area": [54.5, None], "city": ["Graz", "Linz"]})
    >>> y = pd.Series([850, 990], name="rent")
    >>> RowSerializer().fit(X, y).transform(X).ravel().tolist()
    ['area: 54.5, city: Graz. rent:', 'area: missing, city: Linz. rent:']
    >>> serializer = RowSerializer("A flat of {area:.0f} square metres in {city} costs")
    >>> serializer.fit(X, y).transform(X)[0, 0]
    'A flat of 54 square metres in Graz costs'
    """

    _parameter_constraints: dict = {
        "template": [str, None],
        "columns": ["array-like", None],
        "column_kinds": [dict, None],
        "number_format": [str],
        "missing": [str],
        "max_categories": [Interval(Integral, 0, None, closed="left")],
        "max_text_tokens": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
        "max_prompt_tokens": [Interval(Integral, 8, None, closed="left")],
    }

    def __init__(
        self,
        template: str | None = None,
        *,
        columns: Sequence[str] | None = None,
        column_kinds: Mapping[str, str] | None = None,
        number_format: str = ".6g",
        missing: str = "missing",
        max_categories: int = 200,
        max_text_tokens: int | str = "auto",
        max_prompt_tokens: int = 1024,
    ):
        self.template = template
        self.columns = columns
        self.column_kinds = column_kinds
        self.number_format = number_format
        self.missing = missing
        self.max_categories = max_categories
        self.max_text_tokens = max_text_tokens
        self.max_prompt_tokens = max_prompt_tokens

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn the columns, their kinds and the wording from the training rows.

        Parameters
        ----------
        X : table-like of shape (n_rows, n_columns), or 1-D collection of strings
            See :func:`llmreg.tables.reading.read_table`.
        y : array-like of shape (n_rows,) or None, default=None
            Only its name is used, as the prompt's last word.

        Returns
        -------
        RowSerializer
            The fitted serializer itself.

        Raises
        ------
        ValueError
            If the table cannot be read, the template or the format is malformed, a column is not
            among those of the table, or a value cannot be read as the kind asked for.
        """
        frame = read_table(self, X, reset=True)
        _check_number_format(self.number_format, "number_format")
        columns = self._columns_in_use(list(frame.columns))
        asked_kinds = self._asked_kinds(list(frame.columns))
        literals = fields = None
        if self.template is not None:
            literals, fields = _parse_template(self.template, columns)
            columns = list(dict.fromkeys(name for name, _ in fields))
        self.columns_ = columns
        looks = {name: self._look(frame, name) for name in columns if name not in asked_kinds}
        self.plans_ = {
            name: plan_column(name, frame[name], asked_kinds.get(name), look=looks.get(name))
            for name in columns
        }
        self.kinds_ = {name: plan.kind for name, plan in self.plans_.items()}
        self.target_name_ = _name_of(y)
        literals, fields = (literals, fields) if fields else self._default_prompt()
        _check_field_formats(fields, self.kinds_)
        self.literals_, self.fields_ = literals, fields
        self.template_ = self.template if self.template is not None else _as_template(self)
        doubts = {name: look.doubt for name, look in looks.items()}
        self._report = describe_columns(self.plans_, frame, doubts)
        return self

    @property
    def report_(self) -> pd.DataFrame:
        """DataFrame: how each column used was read; see :meth:`report`."""
        return as_frame(self._report)

    def report(self, X: ArrayLike) -> pd.DataFrame:
        """Say how the columns of a table are read, without changing what was learned in fit.

        Parameters
        ----------
        X : table-like of shape (n_rows, n_columns), or 1-D collection of strings
            Rows with the columns seen in fit.

        Returns
        -------
        pandas.DataFrame, one row per column used
            "kind"; "read_as", in words; the shares of cells that are "missing", "unseen" (a
            category that training rows did not have) and "unreadable" (no number or date, in a
            column of these); "distinct", the number of different cells; "examples"; and "advice",
            "" where there is none.

        Examples
        --------
        >>> import pandas as pd
        >>> from llmreg import RowSerializer
        >>> X = pd.DataFrame({"price": ["$1,234", "$99", "n/a"], "city": ["Graz", "Linz", "Graz"]})
        >>> serializer = RowSerializer().fit(X)
        >>> serializer.report_[["kind", "read_as", "missing"]]
                    kind                           read_as   missing
        column
        price     number  number of $, written as '$1,234'  0.333333
        city    category                    one of 2 words  0.000000
        >>> new = X.assign(city="Wien")
        >>> serializer.report(new).loc["city", "unseen"].item()
        1.0
        """
        check_is_fitted(self)
        return as_frame(describe_columns(self.plans_, read_table(self, X, reset=False)))

    def serialize(self, X: ArrayLike, *, training: bool = False) -> SerializedRows:
        """Write rows as prompts whose fields are still apart.

        Parameters
        ----------
        X : table-like of shape (n_rows, n_columns), or 1-D collection of strings
            Rows with the columns seen in fit.
        training : bool, default=False
            Whether these are the rows of fit, which has warned of their cells.

        Returns
        -------
        SerializedRows

        Warns
        -----
        UserWarning
            If a column of numbers or dates holds something else, which is treated as missing;
            if most cells of a category column did not occur in training.
        """
        check_is_fitted(self)
        frame = read_table(self, X, reset=False)
        fields = tuple(self._write_field(frame, *field, training) for field in self.fields_)
        warn_unseen(self.plans_, fields)
        return SerializedRows(self.literals_, fields, len(frame))

    def transform(self, X: ArrayLike) -> NDArray[np.object_]:
        """Write rows as prompts.

        Parameters
        ----------
        X : table-like of shape (n_rows, n_columns), or 1-D collection of strings
            Rows with the columns seen in fit.

        Returns
        -------
        ndarray of shape (n_rows, 1), dtype object
            One prompt per row, uncut.
        """
        return self.serialize(X).to_text()[:, np.newaxis]

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
        """Return the name of the single output column.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Only checked against the columns seen in fit.

        Returns
        -------
        ndarray of shape (1,), dtype object
            ``["prompt"]``.
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features)
        return np.array(["prompt"], dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # 1-D input is legal as text, but the tag promises 1-D input of any kind.
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _columns_in_use(self, available):
        if self.columns is None:
            return available
        wanted = [str(name) for name in self.columns]
        for name in wanted:
            _refuse_unknown(name, available, "columns")
        if not wanted or len(set(wanted)) < len(wanted):
            raise ValueError(
                f"columns={wanted} must name at least one column and each only once. Legal "
                f"columns: {available}."
            )
        return wanted

    def _asked_kinds(self, available):
        asked = {str(name): kind for name, kind in (self.column_kinds or {}).items()}
        for name, kind in asked.items():
            _refuse_unknown(name, available, "column_kinds")
            if kind not in KINDS:
                raise ValueError(
                    f"column_kinds gives column {name!r} the kind {kind!r}. Legal kinds: "
                    f"{', '.join(KINDS)}; leave the column out to have its kind inferred."
                )
        return asked

    def _look(self, frame, name):
        alone = frame.shape[1] == 1
        return look_at(frame[name], max_categories=self.max_categories, alone=alone)

    def _default_prompt(self):
        fields = tuple((name, None) for name in self.columns_)
        if list(self.kinds_.values()) == ["text"]:
            return ("", f"\n{self.target_name_}:"), fields
        labels = [f"{name}: " for name in self.columns_]
        between = [f", {label}" for label in labels[1:]]
        return (labels[0], *between, f". {self.target_name_}:"), fields

    def _write_field(self, frame, name, spec, training):
        cells = write_column(
            self.plans_[name],
            frame[name],
            number_format=self.number_format if spec is None else spec,
            missing=self.missing,
            exact=spec is not None,
            training=training,
        )
        return Field(name, self.kinds_[name], *cells)


def _name_of(y):
    name = getattr(y, "name", None)
    return name if isinstance(name, str) and name.strip() else "target"


def _parse_template(template, columns):
    """Split a template into its F + 1 constant texts and its F (column, format) fields."""
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(
            f"template={template!r} cannot be read: {error}. Write a field as {{column}} and a "
            "literal brace as '{{' or '}}'."
        ) from error
    literals, fields = [""], []
    for literal, name, spec, conversion in pieces:
        literals[-1] += literal
        if name is not None:
            fields.append(_resolve_field(name, spec, conversion, columns))
            literals.append("")
    if not fields:
        raise ValueError(
            f"template={template!r} has no field, so that all rows would read alike. Name at least "
            f"one column in braces; legal columns: {columns}."
        )
    return tuple(literals), tuple(fields)


def _resolve_field(name, spec, conversion, columns):
    written = name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
    if written in columns:  # also names such as "price.usd" or "ratio: a"
        return written, None
    if conversion:
        raise ValueError(
            f"The template's field {{{written}}} has the conversion '!{conversion}', which is not "
            f"supported. Write {{{name}}}."
        )
    if name in columns:
        return name, spec or None
    base = re.split(r"[.\[]", name, maxsplit=1)[0]
    if base != name and base in columns:
        raise ValueError(
            f"The template's field {{{written}}} reaches into column {base!r}, which is not "
            f"supported. Write {{{base}}}, or make a column of what is meant."
        )
    _refuse_unknown(name, columns, "template")


def _refuse_unknown(name, available, where):
    if name in available:
        return
    close = difflib.get_close_matches(name, available, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(
        f"{where} names the column {name!r}, which is unknown.{hint} Legal columns: {available}."
    )


def _check_number_format(spec, where):
    try:
        format(1.5, spec)
    except ValueError as error:
        hint = "; for whole numbers write '.0f'" if spec[-1:] in set("bcdnoxX") else ""
        raise ValueError(
            f"{where} {spec!r} is not a format specification for numbers ({error}). Legal are "
            f"those of Python's format(), such as '.6g' or '.2f'{hint}."
        ) from error


def _check_field_formats(fields, kinds):
    for name, spec in fields:
        if spec is None:
            continue
        if kinds[name] != "number":
            raise ValueError(
                f"The template gives column {name!r} the format {spec!r}, but the column is a "
                f"{kinds[name]}, and formats apply to numbers only. Write {{{name}}}, or set "
                f"column_kinds={{{name!r}: 'number'}} if it holds numbers."
            )
        _check_number_format(spec, f"The template's format of column {name!r},")


def _as_template(serializer):
    """Spell out the default prompt as a template, for people to read and to start from."""
    literals = [text.replace("{", "{{").replace("}", "}}") for text in serializer.literals_]
    fields = ["{" + name + "}" for name, _ in serializer.fields_]
    pairs = zip(literals, [*fields, ""], strict=True)
    return "".join(literal + field for literal, field in pairs)
