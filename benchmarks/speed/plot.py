"""Draw the ratios that the speed benchmarks printed beside their bars.

python -m benchmarks.speed.grpo | tee -a speed.txt       # and the others
python -m benchmarks.speed.plot speed.txt --out speed.svg
"""

import argparse
import re
from pathlib import Path

LINE = re.compile(
    r"^RATIO (?P<what>.+): (?P<ratio>[\d.]+)x \(rounds (?P<low>[\d.]+) to (?P<high>[\d.]+); "
    r"bar: at (?P<sense>least|most) (?P<bar>[\d.e+]+)x"
)


def main():
    found = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    found.add_argument("files", type=Path, nargs="+", help="what the benchmarks printed")
    found.add_argument("--out", type=Path, default=Path("speed.svg"))
    args = found.parse_args()
    lines = [line for path in args.files for line in path.read_text().splitlines()]
    draw(ratios(lines), args.out)
    print(args.out)


def ratios(lines):
    """What was compared, its ratio with the extremes of the rounds, the bar and its sense.

    >>> ratios(["RATIO a / b: 1.40x (rounds 1.30 to 1.60; bar: at most 1.5x, met)", "other"])
    [('a / b', 1.4, 1.3, 1.6, 1.5, 'most')]
    """
    matches = [match for match in map(LINE.match, lines) if match]
    return [
        (m["what"], *(float(m[key]) for key in ("ratio", "low", "high", "bar")), m["sense"])
        for m in matches
    ]


def draw(found, path):
    """One line per ratio on a logarithmic axis; the bar is a stroke, green where it is met."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, axis = plt.subplots(figsize=(9, 1 + 0.4 * len(found)), layout="constrained")
    for place, (_, ratio, low, high, bar, sense) in enumerate(found):
        met = ratio >= bar if sense == "least" else ratio <= bar
        colour = "tab:green" if met else "tab:red"
        axis.plot([low, high], [place, place], color=colour, linewidth=2)
        axis.plot(ratio, place, "o", color=colour)
        axis.plot(bar, place, "|" if sense == "most" else "x", color="black", markersize=12)
    axis.set(xscale="log", xlabel="ratio; black: the bar, | at most, x at least")
    axis.set_yticks(range(len(found)), [what for what, *_ in found])
    axis.invert_yaxis()
    fig.savefig(path)


if __name__ == "__main__":
    main()
