"""The rooms of the package stand in an order: modules import from their own room and from below.

So no two rooms import each other, by way of others or not. Imports inside functions count too.
"""

import ast
from pathlib import Path

import pytest

import llmreg

PACKAGE = Path(llmreg.__file__).parent

DESIGN = Path(__file__).resolve().parents[1] / "docs" / "design.md"


def _pictured():
    """The rooms in the picture of docs/design.md, from the bottom to the top."""
    picture = DESIGN.read_text(encoding="utf-8").split("```text\n")[1].split("```")[0]
    return tuple(line.split()[0] for line in reversed(picture.splitlines()))


# A room is a folder of llmreg, or a module that has no folder.
ORDER = _pictured()


def read_package(folder=PACKAGE):
    """{name of a module: its source}; a package has its folder's name."""
    sources = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name] = path.read_text(encoding="utf-8")
    return sources


def imports_of(name, sources):
    """Modules of the package that a module imports, anywhere in its source."""
    package = name if any(other.startswith(name + ".") for other in sources) else _parent(name)
    for node in ast.walk(ast.parse(sources[name])):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _room(alias.name))
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            start = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names if _room(start) else ():
                whole = f"{start}.{alias.name}"
                yield whole if whole in sources else start


def upward_imports(sources):
    """{(module, imported module)} of the imports that run from a room to one above it."""
    return {
        (name, imported)
        for name in sources
        for imported in imports_of(name, sources)
        if ORDER.index(_room(imported)) > ORDER.index(_room(name))
    }


def _parent(name):
    return name.rpartition(".")[0]


def _room(name):
    """The room of a module of this package, None for another's."""
    first, *inner = name.split(".")
    return (inner[0] if inner else "llmreg") if first == "llmreg" else None


def test_every_room_has_its_place():
    rooms = {_room(name) for name in read_package()}
    assert rooms == set(ORDER), "name each room, and no other, in the picture"
    assert len(ORDER) == len(rooms)


def test_imports_run_downwards():
    found = upward_imports(read_package())
    assert not found, "these import from a room above: move what they need down, or them up"


def test_the_package_does_not_know_what_is_around_it():
    for name, source in read_package().items():
        for node in ast.walk(ast.parse(source)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            around = {"benchmarks", "tests", "examples"} & {n.split(".")[0] for n in names}
            assert not around, name


NOTHING = dict.fromkeys(read_package(), "")


@pytest.mark.parametrize(
    ("module", "source", "imported"),
    [
        ("llmreg.codecs.base", "import llmreg.fit", "llmreg.fit"),
        ("llmreg.codecs.base", "from llmreg import fit", "llmreg.fit"),
        ("llmreg.codecs.base", "from llmreg import __version__", "llmreg"),
        ("llmreg.codecs.base", "from ..lm import backbone", "llmreg.lm.backbone"),
        ("llmreg.codecs.base", "from ..lm.backbone import NumberLM", "llmreg.lm.backbone"),
        ("llmreg.codecs", "from ..fit import fit_model", "llmreg.fit"),
        ("llmreg.lm.loading", "from ...methods import base", "llmreg.methods.base"),
        ("llmreg.tables.dates", "def f():\n    import llmreg.codecs.base", "llmreg.codecs.base"),
        (
            "llmreg.tables.dates",
            "if TYPE_CHECKING:\n    from llmreg.estimator import LLMRegressor",
            "llmreg.estimator",
        ),
    ],
)
def test_an_import_from_above_is_seen(module, source, imported):
    assert upward_imports({**NOTHING, module: source}) == {(module, imported)}


@pytest.mark.parametrize(
    "source",
    [
        "from . import digits",
        "from ..tables import dates",
        "import llmreg.tables",
        "import numpy",
        "from numpy import fit",
    ],
)
def test_imports_from_below_and_of_other_packages_are_not(source):
    assert not upward_imports({**NOTHING, "llmreg.codecs.base": source})
