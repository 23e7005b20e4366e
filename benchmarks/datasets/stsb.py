"""STS-B: how alike two sentences are, from 0 to 5."""

import csv

import numpy as np
import pandas as pd

from benchmarks.datasets.base import (
    RegressionData,
    draw_parts,
    existing,
    finite_targets,
    given_parts,
    open_text,
)  # fmt: skip

__all__ = ["load_stsb"]

TEMPLATE = (
    "What is the sentence similarity between the following two sentences measured on a scale of 0 "
    "to 5: {sentence1}, {sentence2}. The similarity measured on a scale of 0 to 5 with 0 being "
    "unrelated and 5 being related is equal to"
)
SOURCE = (
    "the STS benchmark (STSbenchmark.tar.gz, https://ixa2.si.ehu.eus/stswiki), GLUE's STS-B, or "
    "https://github.com/PhilipMay/stsb-multi-mt."
)
SCORES = ("similarity_score", "score", "label", "similarity")
OFFICIAL = ["genre", "filename", "year", "id", "score", "sentence1", "sentence2"]
VALIDATION_SHARE = 0.15


def load_stsb(path, *, parts="official", random_state=0):
    """Read STS-B with RAFT's prompt.

    Parameters
    ----------
    path : str or os.PathLike
        A csv or tsv file (.gz too), or a folder whose file names hold "train", "dev" and "test".
        Read are: a header with "sentence1", "sentence2" and one of "score", "similarity_score",
        "label", "similarity" (GLUE's tsv files are of this kind), and the two forms without a
        header: sentence, sentence, score, and the seven columns of the original files. A column
        "split" is kept as the parts.
    parts : {"official", "raft"}, default="official"
        "official": train, dev and test (5,749, 1,500 and 1,379 rows). "raft": the sizes of RAFT's
        Table 7, where the official dev rows are the test and 15 % of the train rows are for
        validation (4,887, 862 and 1,500 rows; the table says 863, which is one row more than there
        are). Which 15 %, the paper does not say: they are drawn by ``random_state``.
    random_state : int, default=0
        Only for ``parts="raft"``.

    Returns
    -------
    RegressionData
        Columns "sentence1", "sentence2"; y "similarity", 0 to 5; RAFT's grid 1 to 5.

    Raises
    ------
    FileNotFoundError
        If there is nothing at the path.
    ValueError
        For columns that cannot be recognised, scores that are not on the scale of 0 to 5, or
        ``parts="raft"`` without official train and dev rows.

    References
    ----------
    Cer et al., SemEval-2017 Task 1. Prompt and sizes: RAFT (Lukasik et al., 2025), Tables 6, 7.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from benchmarks.datasets import load_stsb
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "stsb.csv"
    >>> _ = path.write_text("sentence1,sentence2,score\\nA dog runs.,A dog is running.,4.8\\n")
    >>> data = load_stsb(path)
    >>> data.y.tolist(), data.target_range
    ([4.8], (0.0, 5.0))
    """
    if parts not in ("official", "raft"):
        raise ValueError(f"parts={parts!r} is not one of 'official', 'raft'.")
    path = existing(path, "STS-B file or folder", SOURCE)
    table = _folder(path) if path.is_dir() else _file(path)
    y = finite_targets(table["score"], "similarity", path.name)
    table, y = table[y.notna()].reset_index(drop=True), y.dropna().reset_index(drop=True)
    _check_scale(y, path)
    found = given_parts(table["split"]) if "split" in table else {}
    return RegressionData(
        "stsb",
        table[["sentence1", "sentence2"]],
        y,
        parts=_raft_parts(found, random_state) if parts == "raft" else found,
        template=TEMPLATE,
        column_kinds={"sentence1": "text", "sentence2": "text"},
        target_range=(0.0, 5.0),
        grid=(1.0, 2.0, 3.0, 4.0, 5.0),
        source=f"Cer et al. 2017; {SOURCE}",
    )


def _raft_parts(found, random_state):
    if not {"train", "validation"} <= set(found):
        raise ValueError(
            f"parts='raft' needs the official train and dev rows; found are {list(found)}. Give a "
            "folder with train and dev files, or a file with a column 'split'."
        )
    train = found["train"]
    n_validation = int(VALIDATION_SHARE * len(train))
    drawn = draw_parts(len(train), (len(train) - n_validation, n_validation, 0), random_state)
    return {
        "train": train[drawn["train"]],
        "validation": train[drawn["validation"]],
        "test": found["validation"],
    }


def _folder(folder):
    tables = []
    for part in ("train", "dev", "test"):
        files = [p for p in sorted(folder.iterdir()) if _is_part(p, part)]
        if len(files) > 1:
            raise ValueError(
                f"{folder} holds several {part} files: {[p.name for p in files]}. Leave one of "
                "them, for one language."
            )
        if files:
            table = _file(files[0], unlabelled=part == "test")
            tables += [] if table is None else [table.assign(split=part)]
    if not tables:
        what = "STS-B file with 'train', 'dev' or 'test' in its name"
        existing(folder / "train.tsv", what, SOURCE)
    return pd.concat(tables, ignore_index=True)


def _is_part(path, part):
    name = path.name.lower().removesuffix(".gz")
    return part in name and name.endswith((".csv", ".tsv"))


def _file(path, unlabelled=False):
    """The columns sentence1, sentence2, score and, if there is one, split; None for a file without
    scores where that is allowed (GLUE keeps its test scores to itself)."""
    with open_text(path) as file:
        first = file.readline()
    tabs = "\t" in first
    named = "sentence1" in first
    table = pd.read_csv(
        path,
        sep="\t" if tabs else ",",
        header=0 if named else None,
        # Quotes in the tab-separated files are part of the sentences.
        quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
        dtype=str,
        keep_default_na=False,
        usecols=None if named or not tabs else range(7),  # the originals may go on with notes
    )
    if not named:
        names = {7: OFFICIAL, 3: ["sentence1", "sentence2", "score"]}.get(table.shape[1])
        if names is None:
            _refuse(path, table.shape[1])
        return table.set_axis(names, axis=1)[["sentence1", "sentence2", "score"]]
    score = next((name for name in SCORES if name in table), None)
    if "sentence2" not in table or score is None:
        if unlabelled and "sentence2" in table:
            return None
        _refuse(path, list(table))
    kept = ["sentence1", "sentence2", score, *(["split"] if "split" in table else [])]
    return table[kept].rename(columns={score: "score"})


def _refuse(path, found):
    found = f"columns {found}" if isinstance(found, list) else f"{found} columns without a header"
    raise ValueError(
        f"{path} has {found}. Needed are a header with 'sentence1', 'sentence2' and one of "
        f"{SCORES}, or, without a header, 3 columns (sentence, sentence, score) or the original 7."
    )


def _check_scale(y, path):
    if len(y) and (y.min() < 0 or y.max() > 5):
        raise ValueError(
            f"Scores in {path} go from {y.min():g} to {y.max():g}; STS-B's go from 0 to 5."
        )
    if len(y) >= 100 and np.max(y) <= 1:
        raise ValueError(
            f"Scores in {path} go from {y.min():g} to {y.max():g}: a copy scaled to 0 to 1, while "
            "the prompt speaks of 0 to 5. Multiply the scores by 5."
        )
