"""Every ```python block in README.md and docs/ runs, and every link between documents leads on.

The blocks of one file share a namespace, in order, and run in a temporary folder that holds a copy
of examples/, so a document may read `examples/data/...` and write files. Chapters of the guide run
after the blocks of docs/guide/index.md. `<!-- skip: reason -->` on the line before a block leaves
it out.
"""

import contextlib
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import llmreg
from llmreg.methods import registry

ROOT = Path(__file__).resolve().parents[2]
SKIP = re.compile(r"<!--\s*skip:\s*\S.*-->")
GUIDE = ROOT / "docs" / "guide" / "index.md"
OPENING = re.compile(r"(\s*)(`{3,}|~{3,})\s*([\w+-]*).*")


class Block(NamedTuple):
    language: str
    source: str
    line: int  # of the first line of source, counted from 1
    skipped: bool


def read_blocks(text):
    """Return the fenced blocks of a Markdown text."""
    lines = text.splitlines()
    blocks = []
    previous = ""  # the last line of text that is not blank
    position = 0
    while position < len(lines):
        opening = OPENING.fullmatch(lines[position])
        if opening is None:
            previous = lines[position].strip() or previous
            position += 1
            continue
        indent, fence, language = opening.groups()
        start = position = position + 1
        while position < len(lines) and not lines[position].strip().startswith(fence):
            position += 1
        if position == len(lines):
            raise ValueError(f"the block that opens in line {start} is never closed")
        source = "\n".join(line.removeprefix(indent) for line in lines[start:position])
        blocks.append(Block(language, source, start + 1, bool(SKIP.fullmatch(previous))))
        previous = ""
        position += 1
    return blocks


def python_blocks(path):
    blocks = read_blocks(path.read_text(encoding="utf-8"))
    return [block for block in blocks if block.language == "python"]


def run_blocks(path, namespace=None):
    # "__main__", as in a script: what a block defines can then be found again by its module's name.
    namespace = {"__name__": "__main__"} if namespace is None else namespace
    for block in python_blocks(path):
        if block.skipped:
            continue
        # Blank lines before the source make tracebacks name the document's own lines.
        padded = "\n" * (block.line - 1) + block.source
        try:
            exec(compile(padded, str(path), "exec"), namespace)
        except Exception as error:
            error.add_note(f"in the python block at {path.name}:{block.line}")
            raise
    return namespace


DOCUMENTS = [
    path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
    if any(not block.skipped for block in python_blocks(path))
]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_python_blocks_run(path, tmp_path, monkeypatch):
    # What a page registers is gone after it.
    monkeypatch.setattr(registry, "METHODS", dict(registry.METHODS))
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    is_chapter = path.parent == GUIDE.parent and path != GUIDE
    run_blocks(path, run_blocks(GUIDE) if is_chapter else None)


def test_readme_is_among_the_documents():
    assert ROOT / "README.md" in DOCUMENTS


def test_blocks_share_a_namespace_and_skipped_ones_do_not_run(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(
        "```python\na = 1\n```\n"
        "<!-- skip: needs a download -->\n\n```python\na = 2\n```\n"
        "```bash\nexit 1\n```\n"
        "- item\n\n  ```python\n  assert a == 1\n  ```\n",
        encoding="utf-8",
    )
    run_blocks(path)
    assert [block.skipped for block in python_blocks(path)] == [False, True, False]


def test_a_failure_names_the_block(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("# Page\n\n```python\na = 1\nb = a / 0\n```\n", encoding="utf-8")
    with pytest.raises(ZeroDivisionError) as caught:
        run_blocks(path)
    assert caught.value.__notes__ == ["in the python block at page.md:4"]
    assert caught.traceback[-1].lineno + 1 == 5


def test_an_open_fence_is_an_error():
    with pytest.raises(ValueError, match="line 1 is never closed"):
        read_blocks("```python\na = 1\n")


# --- Links ---------------------------------------------------------------------------------------

SITE = "https://llmreg.readthedocs.io/en/latest/"
LINK = re.compile(r"\[[^\]]*\]\(\s*([^)\s]+)\s*\)")
FENCED = re.compile(r"(?ms)^\s*(`{3,}|~{3,}).*?^\s*\1\s*$")
BUILT = ("gallery/", "api/", "genindex")  # pages that a build of the site writes


def markdown_files():
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    files += [ROOT / name / "README.md" for name in ("tests", "benchmarks", "examples/data")]
    return [path for path in files if "_build" not in path.parts]


def anchors(path):
    """The anchors of a page's headings, as GitHub and MyST name them."""
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"(?m)^#+ (.*)$", text)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def broken_links(path, text):
    """Links of a Markdown text to files or headings that are not there."""
    for link in LINK.findall(FENCED.sub("", text)):
        target, _, anchor = link.partition("#")
        if link.startswith(SITE):
            target = target.removeprefix(SITE).removesuffix(".html")
            if target.startswith(BUILT) or not target:
                continue
            place = ROOT / "docs" / f"{target}.md"
        elif "://" in link or link.startswith("mailto:"):
            continue
        else:
            place = (path.parent / target) if target else path
            if place.resolve().as_posix().startswith((ROOT / "docs/gallery").as_posix()):
                script = place.with_suffix(".py").name
                place = ROOT / "examples" / "gallery" / script if "plot_" in script else ROOT
        if not place.exists() or (anchor and anchor not in anchors(place)):
            yield link


@pytest.mark.parametrize("path", markdown_files(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    assert not list(broken_links(path, path.read_text(encoding="utf-8")))


def test_a_link_to_nowhere_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `b`, c\n", encoding="utf-8")
    text = "[1](#a-b-c) [2](#d) [3](other.md) [4](https://example.org/x)\n```\n[5](no.md)\n```\n"
    assert list(broken_links(page, text)) == ["#d", "other.md"]
    text = f"[1]({SITE}guide/saving.html#as-a-folder) [2]({SITE}guide/saving.html#as-a-box)"
    assert list(broken_links(page, text)) == [f"{SITE}guide/saving.html#as-a-box"]


def test_lines_of_pages_are_short():
    for path in (ROOT / "docs" / "guide").glob("*.md"):
        lines = path.read_text(encoding="utf-8").splitlines()
        long = [line for line in lines if len(line) > 100]
        assert not long, f"{path.name}: {long}"


def figures(path):
    return set(re.findall(r"\b0\.\d{2,3}\b", path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs" / "ideas").glob("*.md"))],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)  # fmt: skip
def test_figures_stand_on_the_page_of_accuracy(path):
    found = figures(path)
    assert found or path.name != "README.md"
    assert not found - figures(ROOT / "docs" / "accuracy.md"), "figures of another day"


@pytest.mark.skipif(torch.cuda.is_available(), reason="the guide's plan is that of a CPU")
def test_the_plan_in_the_guide_is_what_is_printed():
    page = (ROOT / "docs" / "guide" / "plan.md").read_text(encoding="utf-8")
    (shown,) = (block.source for block in read_blocks(page) if block.language == "text")
    with contextlib.chdir(ROOT):
        printed = repr(run_blocks(GUIDE)["model"].plan_) + "\n"
    cut = re.escape(shown + "\n").replace(r"\.\.\.", "(.|\n)*?").replace("\\ ", " ")
    assert re.fullmatch(cut, printed)


def test_nobody_is_sent_to_a_registry_that_has_no_llmreg():
    sources = [*markdown_files(), *(p for p in ROOT.glob("*/**/*.py") if "tests" not in p.parts)]
    assert not [path for path in sources if "llmreg[" in path.read_text(encoding="utf-8")]


def test_the_reference_has_every_public_name():
    listed = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").split()
    assert not [name for name in llmreg.__all__ if name not in listed and name != "__version__"]
