"""Pictures of the methods: what one step of gradient descent does to a distribution.

Each function draws one picture; ``pictures.py NAME`` in a page's plot directive names it. The
losses are llmreg's own, on a number tree of two digits in base 4 whose logits are free parameters.
conf.py lets it import tests/helpers/free_policies.py.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from free_policies import QUATERNARY, FreeModel

from llmreg import methods
from llmreg.numbers.tree import NumberTree
from llmreg.training.policy import NumberPolicy, Targets, ZScale

NUMBERS = np.arange(16) + 0.5
LEAF, TARGET = 9, 9.5
MEAN, STD = 8.0, 4.0
# A guess with two minds: rather 4, perhaps 12.
BEFORE = 0.62 * np.exp(-((NUMBERS - 4.5) ** 2) / 6) + 0.38 * np.exp(-((NUMBERS - 11.5) ** 2) / 5)
BEFORE = (BEFORE + 0.01) / (BEFORE + 0.01).sum()
GREY, BLUE, ORANGE = "#b8bec6", "#1f5fa8", "#c2410c"
MOVED = 0.12  # probability that a drawn step moves, the same for all methods


def ce():
    _draw(_after(methods.CE()), "every number that begins with the same digit gains")


def soft_ce():
    _draw(_after(methods.SoftCE(sigma=0.3)), "numbers near the target gain, and the mean moves")


def ntl_mse():
    _draw(_after(methods.NTLMSE()), "each digit's mean is pulled to the target's digit")


def ntl_was():
    _draw(_after(methods.NTLWAS()), "each digit's distance to the target's digit shrinks")


def dist2():
    _draw(_after(methods.DIST2()), "digits next to the target's digits gain as well")


def raft():
    _draw(_after(methods.RAFT()), "whatever moves the mean: far numbers most")


def mbr():
    _draw(_after(methods.MBR()), "numbers with a smaller error than the mean error gain")


def crps():
    _draw(_after(methods.CRPS()), "the whole distribution moves towards the target")


def remax():
    _draw(_after(methods.ReMax("exact")), "numbers better than the greedy number gain")


def grpo():
    _draw(_after(methods.GRPO("exact")), "numbers that improve their group's CRPS gain")


def rloo():
    _draw(_after(methods.RLOO("exact")), "numbers better than the others' mean gain")


def genre2():
    _draw(_after(methods.GenRe2("exact")), "ReMax, and a little of what an expert would write")


def new_tokens():
    """Cross-entropy on one logit per number."""
    logits = torch.tensor(np.log(BEFORE), requires_grad=True)
    (-logits.log_softmax(0)[LEAF]).backward()
    _draw(_stepped(logits, lambda x: x.softmax(0).numpy()), "the target's number alone gains")


def learnable_raft():
    """The values of the numbers move, each by as much as it weighs in the mean."""
    shift = BEFORE * (TARGET - BEFORE @ NUMBERS) * 3
    ax = _axes("what the numbers are worth moves, most where the probability is")
    ax.bar(NUMBERS, BEFORE, width=0.9, color=GREY, label="probability")
    for value, height, by in zip(NUMBERS, BEFORE, shift, strict=True):
        if by > 0.05:
            ax.annotate("", (value + by, height), (value, height),
                        arrowprops={"arrowstyle": "->", "color": BLUE, "lw": 1.8})  # fmt: skip
    _finish(ax, BEFORE @ NUMBERS, BEFORE @ (NUMBERS + shift))


def histogram():
    """The target of the head's cross-entropy: a Gaussian around y, in bins."""
    edges = np.linspace(0, 16, 65)
    centres = (edges[1:] + edges[:-1]) / 2
    q = np.exp(-((centres - TARGET) ** 2) / (2 * 0.75**2))
    p = np.interp(centres, NUMBERS, BEFORE)
    ax = _axes("cross-entropy between the head's bins and a bell around the target")
    ax.stairs(p / p.sum(), edges, fill=True, color=GREY, label="the head's bins, before")
    ax.stairs(q / q.sum(), edges, color=BLUE, lw=1.8, label="a bell around the target")
    ax.axvline(TARGET, color=ORANGE, ls="--", lw=1.5, label="target")
    ax.legend(frameon=False, fontsize=9)


def heads():
    """What each head reads of the model's output at the prompt."""
    _, ax = plt.subplots(figsize=(7, 3), layout="constrained")
    words = ["hp:", "165", "origin:", "usa", "mpg:"]
    for i, word in enumerate(words):
        _box(ax, i, 0, word, "white")
        _box(ax, i, 1, f"h{i + 1}", GREY)
        ax.annotate("", (i, 0.78), (i, 0.22), arrowprops={"arrowstyle": "->", "color": "#444"})
    ax.text(-0.6, 0, "prompt", ha="right", va="center")
    ax.text(-0.6, 1, "hidden states", ha="right", va="center")
    for i in range(5):
        ax.annotate("", (2, 1.8), (i, 1.22), arrowprops={"arrowstyle": "->", "color": "#999"})
    _box(ax, 2, 2, "mean, min, max", "white", 1.6)
    ax.annotate("", (4, 1.8), (4, 1.22), arrowprops={"arrowstyle": "->", "color": BLUE, "lw": 1.8})
    _box(ax, 4, 2, "last, logits", "white", 1.3)
    for i in (2, 4):
        ax.annotate("", (3, 2.8), (i, 2.22), arrowprops={"arrowstyle": "->", "color": BLUE})
    _box(ax, 3, 3, "one number", "white", 1.4)
    ax.text(-0.6, 3, "head", ha="right", va="center")
    ax.set(xlim=(-1.9, 5), ylim=(-0.4, 3.4))
    ax.axis("off")


def zero_shot():
    """Two ways of reading a model that was asked for stars."""
    stars, p = np.arange(1, 6), np.array([0.28, 0.10, 0.12, 0.18, 0.32])
    ax = _axes("an untrained model's stars, read in two ways (for illustration)")
    ax.bar(stars, p, width=0.8, color=GREY, label="p(stars)")
    ax.axvline(5, color=ORANGE, ls="--", lw=1.5, label="greedy: 5")
    ax.axvline(p @ stars, color=BLUE, lw=1.8, label=f"RAIL, the mean: {p @ stars:.1f}")
    ax.set(xlabel="stars", xticks=stars)
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))


# --- Steps and axes ------------------------------------------------------------------------------


def _after(method):
    """The distribution after a step of gradient descent on the method's loss."""
    tree = NumberTree.from_codec(QUATERNARY)
    logits = torch.tensor(_node_logits(), requires_grad=True)
    loss, _ = method.loss(*_row(tree, logits))
    loss.sum().backward()
    return _stepped(logits, lambda x: _row(tree, x)[0].leaf_log_probs().exp()[0].numpy())


def _row(tree, logits):
    scale = ZScale.from_tree(tree, MEAN, STD, "cpu", torch.float64)
    z = torch.tensor([(TARGET - MEAN) / STD], dtype=torch.float64)
    targets = Targets(z, torch.tensor([LEAF]), torch.ones(1, dtype=torch.float64))
    return NumberPolicy(FreeModel(QUATERNARY, logits), range(1), scale), targets


def _node_logits():
    """Logits (1, 5, 4) of the root and of the second digits that make BEFORE."""
    grid = BEFORE.reshape(4, 4)
    root = grid.sum(1)
    return np.log(np.concatenate([root[None], grid / root[:, None]]))[None]


def _stepped(logits, probabilities):
    """Go down the gradient until MOVED of the probability has moved."""
    low, high = 0.0, 100.0
    for _ in range(50):
        middle = (low + high) / 2
        after = probabilities((logits - middle * logits.grad).detach())
        moved = np.abs(after - BEFORE).sum() / 2
        low, high = (middle, high) if moved < MOVED else (low, middle)
    return after


def _axes(title):
    _, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
    ax.set_title(title, fontsize=11, loc="left", pad=10)
    ax.set(xlabel="number", ylabel="probability")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _draw(after, title):
    ax = _axes(title)
    ax.bar(NUMBERS, BEFORE, width=0.9, color=GREY, label="before")
    ax.stairs(after, np.arange(17), color=BLUE, lw=1.8, label="after a step")
    _finish(ax, BEFORE @ NUMBERS, after @ NUMBERS)


def _finish(ax, mean, mean_after):
    ax.axvline(TARGET, color=ORANGE, ls="--", lw=1.5, label="target")
    style = {"marker": "v", "ls": "none", "clip_on": False, "zorder": 3, "ms": 7}
    top = ax.get_ylim()[1]
    ax.plot(mean, 1.06 * top, color="#6b7280", label="mean before", **style)
    ax.plot(mean_after, 1.06 * top, color=BLUE, label="mean after", **style)
    ax.set(ylim=(0, 1.06 * top), xlim=(0, 16), xticks=range(0, 17, 4))
    ax.legend(frameon=False, fontsize=9, ncol=1, loc="center left", bbox_to_anchor=(1, 0.5))


def _box(ax, x, y, text, color, width=0.8):
    ax.add_patch(plt.Rectangle((x - width / 2, y - 0.2), width, 0.4, fc=color, ec="#444"))
    ax.text(x, y, text, ha="center", va="center", fontsize=9)
