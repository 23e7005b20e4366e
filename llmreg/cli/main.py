"""The command ``llmreg``: fit, predict, compare and inspect, without a script."""

import argparse
import os
import sys
import warnings
from ast import literal_eval

from llmreg.methods.registry import METHODS
from llmreg.version import __version__

__all__ = ["main"]

INTERRUPTED = 130  # as shells say it of Ctrl-C


def main(arguments=None):
    """Run a command.

    Parameters
    ----------
    arguments : list of str or None, default=None
        None: those of the process.

    Returns
    -------
    int
        0; 1 after an error, of which a line on standard error tells; 130 after Ctrl-C.

    Raises
    ------
    SystemExit
        With status 2 for arguments that are not legal, 0 after ``--help`` and ``--version``.

    Examples
    --------
    >>> from llmreg.cli.main import main
    >>> main(["fit", "nowhere.csv", "--target", "price", "-o", "model"])
    1
    """
    args = _parser().parse_args(arguments)
    from llmreg.cli import commands  # not before: --help is quick

    try:
        with warnings.catch_warnings():
            warnings.showwarning = _one_line_warning
            getattr(commands, args.command)(args)
            sys.stdout.flush()
    except BrokenPipeError:  # who reads the output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("llmreg: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if args.debug:
            raise
        print(f"llmreg: {_one_line(error)}", file=sys.stderr)
        return 1
    return 0


def _one_line(error):
    text = " ".join(str(error).split())
    told = isinstance(error, ValueError | OSError | ImportError) and text
    return text if told else f"{type(error).__name__}: {text}"


def _one_line_warning(message, category, filename, lineno, file=None, line=None):
    print(f"llmreg: warning: {' '.join(str(message).split())}", file=sys.stderr)


def _parser():
    parser = argparse.ArgumentParser(
        "llmreg", description="Predict numbers from tables with words in them."
    )
    parser.add_argument("--version", action="version", version=f"llmreg {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add(commands, "fit", "train on a table, and save the model as a folder", _target, _estimator,
         _fit_options)  # fmt: skip
    _add(commands, "predict", "add predictions to the rows of a table", _predict_options)
    _add(commands, "compare", "compare methods and other regressors on held-out rows", _target,
         _estimator, _compare_options)  # fmt: skip
    _add(commands, "inspect", "show what is read of each column", _inspect_options)
    return parser


def _add(commands, name, summary, *options):
    parser = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
    if name == "predict":
        parser.add_argument("model", metavar="MODEL", help="what fit saved, or a hub id")
    parser.add_argument("data", metavar="DATA", help=".csv, .tsv, .parquet or .jsonl; also .csv.gz")
    for add in options:
        add(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    parser.add_argument("--debug", action="store_true", help="show where an error came from")


def _target(parser):
    parser.add_argument("--target", required=True, metavar="COLUMN", help="what to predict")
    parser.add_argument("--drop", nargs="+", default=[], metavar="COLUMN", help="not to be read")


def _estimator(parser):
    parser.add_argument("--model", default="tiny", help="hub id or folder; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "--set", action="append", default=[], type=_setting, metavar="NAME=VALUE", dest="settings",
        help="a parameter of LLMRegressor, such as sft_epochs=5 or codec__n_digits=3",
    )  # fmt: skip


def _setting(text):
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _fit_options(parser):
    parser.add_argument("--method", default="grpo", choices=METHODS, metavar="NAME",
                        help="default: %(default)s; llmreg.fit_methods() has all")  # fmt: skip
    parser.add_argument("-o", "--out", required=True, metavar="FOLDER", help="where to save")


def _predict_options(parser):
    parser.add_argument("-o", "--out", metavar="FILE", help="default: csv on standard output")
    spread = parser.add_mutually_exclusive_group()
    spread.add_argument("--quantiles", nargs="+", type=float, metavar="Q", help="such as .1 .5 .9")
    spread.add_argument("--interval", type=float, metavar="COVERAGE", help="such as 0.9")
    parser.add_argument("--decoding", help="how a number is read off; default: the model's own")
    parser.add_argument("--device", help="default: as it was fitted")


def _compare_options(parser):
    parser.add_argument("--methods", nargs="+", default=["soft_ce", "grpo"], choices=METHODS,
                        metavar="NAME", help="default: soft_ce grpo")  # fmt: skip
    parser.add_argument("--splits", type=int, default=1, metavar="N",
                        help="random splits, 80 %% to train on; default: %(default)s")  # fmt: skip
    parser.add_argument("--no-peers", dest="peers", action="store_false",
                        help="leave out the mean, ridge regression and boosted trees")  # fmt: skip
    parser.add_argument("--plot", metavar="FILE", help="also draw a picture")
    parser.add_argument("-o", "--out", metavar="FILE", help="also write the table")


def _inspect_options(parser):
    parser.add_argument("--target", metavar="COLUMN", help="what is to be predicted")
    parser.add_argument("--drop", nargs="+", default=[], metavar="COLUMN", help="not to be read")
