"""Every link within the built site leads on; skipped where no site was built."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "docs" / "_build" / "html"


class Page(HTMLParser):
    """The anchors of a page, and what it links to and shows."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.targets = {""}, set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors.update(given[name] for name in ("id", "name") if given.get(name))
        self.targets.update(given[name] for name in ("href", "src") if given.get(name))


def broken(site):
    """(page, target) of each link within a folder of pages that leads nowhere."""
    pages = {path: Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}
    for path, page in pages.items():
        for target in page.targets:
            place, anchor = urldefrag(target)
            if urlsplit(target).scheme or target.startswith("//"):
                continue
            file = path.parent / unquote(urlsplit(place).path) if place else path
            file = (file / "index.html" if file.is_dir() else file).resolve()
            if not file.exists() or (file in pages and anchor not in pages[file].anchors):
                yield path.relative_to(site).as_posix(), target


def test_links_of_the_site_lead_somewhere():
    if not (SITE / "index.html").exists():
        pytest.skip("no site here: python -m sphinx -W -n docs docs/_build/html")
    assert not list(broken(SITE))


def test_broken_links_are_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<h1 id="x">A</h1><a href="#x">1</a><a href="b.html#y">2</a><a href="b.html#z">3</a>'
        '<a href="c.html">4</a><img src="d.png"><a href="https://example.org">5</a>'
    )
    (tmp_path / "b.html").write_text('<p id="y">B</p><a href="a.html">6</a>')
    assert sorted(broken(tmp_path)) == [
        ("a.html", "b.html#z"), ("a.html", "c.html"), ("a.html", "d.png"),
    ]  # fmt: skip
