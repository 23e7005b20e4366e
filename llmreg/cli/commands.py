"""What the commands do, over LLMRegressor and RowSerializer."""

import sys

import pandas as pd

from llmreg.cli.files import check_file, names_cells, read_file, write_file
from llmreg.cli.names import find_columns, named_columns, near, plain_name, shown_names
from llmreg.cli.targets import split_target
from llmreg.displays.axes import pyplot
from llmreg.estimator import LLMRegressor
from llmreg.persistence.folders import check_place
from llmreg.tables.serialization import RowSerializer

__all__ = ["compare", "fit", "inspect", "predict"]

COLUMNS = ["kind", "read_as", "missing", "distinct", "examples"]


def fit(args):
    """Train on a table, and save the model."""
    check_place(args.out)
    X, y = _training_rows(args)
    model = _regressor(args, args.method, verbose=0 if args.quiet else 1).fit(X, y)
    model.save(args.out)
    error = model.history_["validation_rmse"][model.history_["kept"]].tail(1)
    said = f"; validation RMSE {error.item():.5g}" if error.notna().any() else ""
    print(f"fitted on {len(X)} rows{said}; saved in {args.out}")


def predict(args):
    """Add predictions to the rows of a table."""
    if args.out:
        check_file(args.out)
    frame = read_file(args.data)
    names = _new_columns(args, frame)
    model = LLMRegressor.load(args.model, device=args.device)
    X = _columns_of(model, frame, args.data)
    found = [model.predict(X, decoding=args.decoding)]
    if args.quantiles:
        found += [*model.predict_quantiles(X, args.quantiles).T]
    if args.interval is not None:
        found += [*model.predict_interval(X, args.interval).T]
    write_file(frame.assign(**dict(zip(names, found, strict=True))), args.out)


def _new_columns(args, frame):
    """Names of the columns that predictions are written to; ValueError where one is taken."""
    quantiles = [_quantile_name(q) for q in args.quantiles or ()]
    repeated = sorted({name for name in quantiles if quantiles.count(name) > 1})
    if repeated:
        raise ValueError(f"--quantiles names {', '.join(repeated)} more than once; give each once.")
    names = ["prediction", *quantiles, *(() if args.interval is None else ("lower", "upper"))]
    there = {plain_name(name) for name in [*frame, *frame.index.names] if name is not None}
    taken = [name for name in names if name in there]
    if taken:
        raise ValueError(
            f"{args.data} has columns {', '.join(taken)} already, which predictions would replace. "
            "Rename them, or leave them out; where the model reads them, load it in Python "
            "(LLMRegressor.load) and choose other names there."
        )
    return names


def _quantile_name(q):
    short = f"{q:g}"
    return f"q{short if float(short) == q else repr(q)}"


def compare(args):
    """Compare methods and other regressors on held-out rows."""
    from llmreg.cli.comparison import HEADINGS, draw

    if args.out:
        check_file(args.out)
    if args.plot:
        pyplot("A picture")  # before anything is measured
    table = pd.DataFrame(_measured(args))
    if not len(table):
        raise ValueError("None of the regressors could be fitted.")
    if args.plot:
        draw(table, args.plot)
    means = table.groupby("model").mean().sort_values("rmse").reset_index()
    means = means.reindex(columns=["model", *HEADINGS])
    if args.out:
        write_file(means, args.out)
    shown = means.rename(columns=HEADINGS)
    print(shown.to_string(index=False, na_rep="–", float_format="{:.4g}".format))


def _measured(args):
    """A dict of figures for each regressor and split; of those that fail, a line tells."""
    from sklearn.model_selection import train_test_split
    from tqdm import tqdm

    import llmreg.fit  # noqa: F401  (loads torch now, and not within the seconds of the first fit)
    from llmreg.cli.comparison import PEERS, measure

    X, y = _training_rows(args)
    models = dict(PEERS) if args.peers else {}
    models |= {name: lambda name=name: _regressor(args, name) for name in args.methods}
    work = [(split, name) for split in range(args.splits) for name in models]
    with tqdm(work, unit="fit", disable=args.quiet or None) as progress:
        for split, name in progress:
            progress.set_postfix_str(name)
            seed = args.seed + split
            X_train, X_test, y_train, y_test = train_test_split(
                X, y, test_size=0.2, random_state=seed
            )
            try:
                found = measure(models[name](), X_train, y_train, X_test, y_test)
            except Exception as error:  # one that fails must not end the others' comparison
                if args.debug:
                    raise
                print(f"llmreg: {name}: {' '.join(str(error).split())}", file=sys.stderr)
                continue
            yield {"model": name, **found}


def inspect(args):
    """Show what is read of each column, and what the first row becomes."""
    frame = read_file(args.data)
    if args.target:
        X, y, _ = split_target(frame, args.target, args.drop)
    else:
        X, y = frame.drop(columns=named_columns(frame, args.drop)), None
    serializer = RowSerializer().fit(X, y)
    report = serializer.report_
    print(report[COLUMNS].to_string(max_colwidth=50, float_format="{:.1%}".format))
    for name, advice in report["advice"][report["advice"] != ""].items():
        print(f"\n{name}: {advice}")
    print(f"\nthe first row:\n{serializer.transform(X[:1])[0, 0]}")


def _training_rows(args):
    X, y, n_left_out = split_target(read_file(args.data), args.target, args.drop)
    if n_left_out:
        print(f"llmreg: left out {n_left_out} rows without {args.target!r}", file=sys.stderr)
    return X, y


def _regressor(args, method, **params):
    model = LLMRegressor(args.model, method, random_state=args.seed, **params)
    return model.set_params(**dict(args.settings))


def _columns_of(model, frame, path):
    """The columns that the model was fitted on, in its order and by its names."""
    names = getattr(model, "feature_names_in_", None)
    if names is None:  # fitted on an array
        return frame
    found = find_columns(names, frame)
    missing = [name for name in names if name not in found]
    # What no row of a batch happens to have is missing, as in a list of dicts in Python.
    if missing and not (names_cells(path) and (found or not frame.shape[1])):
        close = {name: near(name, frame.columns.difference([*found.values()])) for name in missing}
        hints = [f" Is {name!r} {other!r}?" for name, other in close.items() if other is not None]
        raise ValueError(
            f"The model reads columns that are not there: {shown_names(missing)}.{''.join(hints)} "
            f"Columns of {path}: {shown_names(frame)}. Rename columns, or add those that are "
            "lacking, with blank cells where nothing is known."
        )
    X = frame[[*found.values()]].set_axis([*found], axis=1)
    return X.assign(**dict.fromkeys(missing))[list(names)]
