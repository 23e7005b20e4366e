"""Code and a number measured on it: memory, latency, accuracy."""

import ast
import json
import warnings

import pandas as pd

from benchmarks.datasets.base import RegressionData, existing, finite_targets, given_parts
from benchmarks.datasets.json_lines import read_json_lines

__all__ = ["load_code_metrics"]

SOURCE = (
    "https://huggingface.co/datasets/akhauriyash/Code-Regression (export the rows to json lines: "
    "datasets.load_dataset(...).to_json(path))."
)


def load_code_metrics(path, *, space=None, code="input", target="target", max_rows=None):
    """Read programs with a metric of each, in the layout of the Code-Regression data set.

    Parameters
    ----------
    path : str or os.PathLike
        One JSON object per line, .gz too, with the program's text and the metric; "space" (the
        sub-benchmark: "APPS", "CDSS", "KBSS"), "metadata" (an object, or text that spells one,
        with a "language") and "split" are used where they are there.
    space : str or None, default=None
        Only the rows of this sub-benchmark. Metrics of different ones have different units (bytes
        in APPS and CDSS, milliseconds in KBSS).
    code, target : str, default="input" and "target"
        Names of the text and of the metric.
    max_rows : int or None, default=None
        Stop after this many rows of that sub-benchmark; the whole file has millions.

    Returns
    -------
    RegressionData
        Columns "space" and "language" where they are known, and "code"; y under the name of
        ``target``. The prompt is the released models': the space's name, the language as a comment
        where all rows have one, then the code. Parts where the file has a "split".

    Raises
    ------
    FileNotFoundError
        If the file is missing.
    ValueError
        For lines that are not JSON objects, lines without the text or the metric, metrics that are
        not numbers, no row of the ``space``, or ``max_rows`` below 1.

    Warns
    -----
    UserWarning
        If rows without a finite metric are left out.

    References
    ----------
    Akhauri et al., "Regression Language Models for Code", arXiv 2509.26476; GenRe² (arXiv
    2512.06533) measures on it.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from benchmarks.datasets import load_code_metrics
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "code.jsonl"
    >>> _ = path.write_text('{"space": "APPS", "input": "print(1)", "target": 9216}\\n')
    >>> data = load_code_metrics(path)
    >>> data.template, data.y.tolist()
    ('{space}\\n{code}', [9216.0])
    """
    path = existing(path, "file of code metrics", SOURCE)
    spaces = set()

    def keep(row):
        for name in (code, target):
            if name not in row:
                raise ValueError(
                    f"{path} has an object without {name!r}; its fields are {list(row)}. Say which "
                    "they are: load_code_metrics(path, code=..., target=...)."
                )
        spaces.add(row.get("space"))
        if space is not None and row.get("space") != space:
            return None
        known = {"space": row.get("space"), "language": _language(row.get("metadata"))}
        return {**known, "code": row[code], "y": row[target], "split": row.get("split")}

    try:
        table = pd.DataFrame(read_json_lines(path, keep, max_rows))
    except ValueError as error:
        if space is not None and spaces and space not in spaces:
            found = sorted(map(str, spaces))
            raise ValueError(f"{path} has no rows of space {space!r}; it has {found}.") from error
        raise
    return _as_data(table, target, path)


def _as_data(table, target, path):
    y = finite_targets(table["y"], target, path.name)
    if y.isna().any():
        warnings.warn(
            f"{int(y.isna().sum())} of {len(y)} rows in {path.name} have no finite {target!r} and "
            "are left out.",
            UserWarning,
            stacklevel=3,
        )
    table, y = table[y.notna()].reset_index(drop=True), y.dropna().reset_index(drop=True)
    known = [name for name in ("space", "language") if table[name].notna().any()]
    template = "{code}"
    if table["space"].notna().all():
        template = "{space}\n{code}"
        if table["language"].notna().all():
            template = "# {space}\n# Language: {language}\n{code}"
    return RegressionData(
        "code_metrics",
        table[[*known, "code"]],
        y,
        parts=given_parts(table["split"]),
        template=template,
        column_kinds={"code": "text", **dict.fromkeys(known, "category")},
        source=f"Akhauri et al. 2025; {SOURCE}",
    )


def _language(metadata):
    """The language that the metadata name; None where there is none."""
    if isinstance(metadata, str):
        for parse in (json.loads, ast.literal_eval):  # released as the text of a Python dict
            try:
                metadata = parse(metadata)
                break
            except (ValueError, SyntaxError):
                continue
    return metadata.get("language") if isinstance(metadata, dict) else None
