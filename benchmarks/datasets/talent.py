"""Data sets of the TALENT benchmark, which GenRe² measures on."""

import json

import numpy as np
import pandas as pd

from benchmarks.datasets.base import PARTS, RegressionData, consecutive_parts, existing

__all__ = ["load_talent"]

FILES = dict(zip(PARTS, ("train", "val", "test"), strict=True))
MISSING = ["nan", "NaN", "", "None"]  # what TALENT reads as a missing category
SOURCE = (
    "the TALENT benchmark, https://github.com/LAMDA-Tabular/TALENT, whose README links the data "
    "sets; unpack one folder per data set."
)


def load_talent(folder, *, allow_pickle=False):
    """Read one data set of the TALENT benchmark, with its fixed parts.

    Parameters
    ----------
    folder : str or os.PathLike
        Holds info.json, y_train.npy, y_val.npy, y_test.npy and, where the data have them, N_*.npy
        (numbers) and C_*.npy (categories).
    allow_pickle : bool, default=False
        Whether to read arrays of Python objects, which is how most C_*.npy files are stored.
        Unpickling runs what the file says: only for files that you trust.

    Returns
    -------
    RegressionData
        Numbers first, then categories (as text); columns under the names of
        info.json where these fit, else "N_0", ..., "C_0", .... y is "target" in its own units.
        All rows are in one of the parts "train", "validation", "test". No template: GenRe² feeds
        the cells to an MLP.

    Raises
    ------
    FileNotFoundError
        If the folder or one of its files is missing.
    ValueError
        If the task is not regression, the arrays do not match each other, or arrays of objects
        are found without ``allow_pickle=True``.

    References
    ----------
    TALENT: Liu et al., arXiv 2407.04057. GenRe² (arXiv 2512.06533) uses 100 of its data sets.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> import numpy as np
    >>> from benchmarks.datasets import load_talent
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "info.json").write_text(json.dumps({"task_type": "regression"}))
    >>> for part, n in (("train", 6), ("val", 2), ("test", 2)):
    ...     np.save(folder / f"N_{part}.npy", np.ones((n, 3)))
    ...     np.save(folder / f"y_{part}.npy", np.arange(float(n)))
    >>> data = load_talent(folder)
    >>> data.X.shape, {part: len(rows) for part, rows in data.parts.items()}
    ((10, 3), {'train': 6, 'validation': 2, 'test': 2})
    """
    folder = existing(folder, "folder of a TALENT data set", SOURCE)
    info = json.loads(existing(folder / "info.json", "info.json", SOURCE).read_text("utf-8"))
    if info.get("task_type") != "regression":
        raise ValueError(
            f"{folder.name} has task_type {info.get('task_type')!r} in its info.json; only "
            "'regression' has a number as its target. Choose another data set."
        )
    y = _arrays(folder, "y", allow_pickle)
    tables = [
        _table(folder, letter, info.get(f"{kind}_feature_intro"), y, allow_pickle)
        for letter, kind in (("N", "num"), ("C", "cat"))
        if (folder / f"{letter}_train.npy").exists()
    ]
    if not tables:
        existing(folder / "N_train.npy", "N_train.npy or C_train.npy", SOURCE)
    categories = tables[-1].columns if (folder / "C_train.npy").exists() else ()
    return RegressionData(
        info.get("name") or folder.name,
        pd.concat(tables, axis=1),
        pd.Series(np.concatenate(list(y.values())).astype(float).ravel(), name="target"),
        parts=consecutive_parts(map(len, y.values())),
        column_kinds=dict.fromkeys(categories, "category"),
        source=str(info.get("source") or SOURCE),
    )


def _arrays(folder, letter, allow_pickle):
    """The three parts of one kind of array, each of shape (n, k)."""
    arrays = {}
    for part, suffix in FILES.items():
        path = existing(folder / f"{letter}_{suffix}.npy", f"{letter}_{suffix}.npy", SOURCE)
        try:
            array = np.load(path, allow_pickle=allow_pickle)
        except ValueError as error:
            if "pickle" not in str(error):
                raise ValueError(f"{path} is not a .npy file: {error}.") from error
            raise ValueError(
                f"{path} holds Python objects, which can only be unpickled, and unpickling runs "
                "what the file says. If you trust it: load_talent(folder, allow_pickle=True)."
            ) from error
        arrays[part] = array.reshape(len(array), -1)
    return arrays


def _table(folder, letter, intro, y, allow_pickle):
    arrays = _arrays(folder, letter, allow_pickle)
    for part, array in arrays.items():
        if len(array) != len(y[part]):
            raise ValueError(
                f"{folder.name}: {letter}_{FILES[part]}.npy has {len(array)} rows, "
                f"y_{FILES[part]}.npy {len(y[part])}. The files belong to different data sets."
            )
    whole = np.concatenate(list(arrays.values()))
    # Intros of some data sets name other columns than the arrays hold: trust them if they fit.
    fits = isinstance(intro, dict) and len(intro) == whole.shape[1]
    names = list(intro) if fits else [f"{letter}_{k}" for k in range(whole.shape[1])]
    if letter == "N":
        return pd.DataFrame(whole.astype(float), columns=names)
    table = pd.DataFrame(whole.astype(str).astype(object), columns=names)
    return table.mask(table.isin(MISSING))
