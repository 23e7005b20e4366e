"""Print one of the commands that README.md tells its readers to run.

    python .ci/readme_commands.py README.md quickstart

prints the content of the fenced ```bash block that directly follows the comment
`<!-- command: quickstart -->`, so that what is checked is what is documented, to the letter.
"""

import re
import sys
from pathlib import Path

MARKER = re.compile(r"<!--\s*command:\s*(\S+)\s*-->")
FENCE = re.compile(r"(`{3,}|~{3,})\s*(\S*)")


def read_commands(text):
    """Return {name: shell commands} of every marked block of a Markdown text."""
    lines = text.splitlines()
    commands = {}
    position = 0
    while position < len(lines):
        marker = MARKER.fullmatch(lines[position].strip())
        position += 1
        if marker is None:
            continue
        name = marker.group(1)
        if name in commands:
            raise ValueError(f"line {position}: command {name!r} is marked twice")
        marked_at = position
        while position < len(lines) and not lines[position].strip():
            position += 1
        fence = FENCE.fullmatch(lines[position].strip()) if position < len(lines) else None
        if fence is None or fence.group(2) != "bash":
            raise ValueError(f"line {marked_at}: no ```bash block directly follows {name!r}")
        position += 1
        start = position
        # A fence is closed by its own character, at least as many times as it was opened with.
        mark = fence.group(1)
        closing = re.compile(re.escape(mark) + re.escape(mark[0]) + "*")
        while position < len(lines) and not closing.fullmatch(lines[position].strip()):
            position += 1
        if position == len(lines):
            raise ValueError(f"line {start}: the ```bash block of {name!r} is never closed")
        block = "\n".join(lines[start:position]).strip()
        if not block:
            raise ValueError(f"line {start}: the ```bash block of {name!r} is empty")
        commands[name] = block
        position += 1
    return commands


def main(arguments):
    if len(arguments) != 2:
        sys.exit("usage: readme_commands.py README.md NAME")
    path, name = arguments
    try:
        commands = read_commands(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        sys.exit(f"{path}: {error}")
    if name not in commands:
        known = ", ".join(commands) or "none"
        sys.exit(f"{path}: no command is marked {name!r} (found: {known})")
    print(commands[name])


if __name__ == "__main__":
    main(sys.argv[1:])
