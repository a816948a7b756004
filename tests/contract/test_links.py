"""Links between the documents of this repository lead somewhere, anchors included."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from hack.paths import ROOT

DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "*/README.md", "docs/**/*.md", "charts/*/README.md", "tests/data/traces/README.md")
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"(?ms)^( *)```.*?^\1```$")
CODE = re.compile(r"`[^`\n]*`")


def links(path: Path) -> Iterator[str]:
    """Targets of links outside code; `http:` and the like left out."""
    text = CODE.sub("", FENCE.sub("", path.read_text()))
    return (target for target in LINK.findall(text) if "://" not in target and not target.startswith("mailto:"))


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives to headings."""
    headings = re.findall(r"(?m)^#+ (.+?)\s*$", FENCE.sub("", path.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_dead(document: Path, link: str) -> bool:
    target, _, anchor = unquote(link).partition("#")
    found = (document.parent / target).resolve() if target else document
    if not found.exists() or not found.is_relative_to(ROOT):
        return True
    return bool(anchor) and found.suffix == ".md" and anchor not in anchors(found)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_of_a_document_leads_somewhere(document: Path):
    assert [link for link in links(document) if is_dead(document, link)] == []


@pytest.mark.parametrize("wanted", ["README.md", "SECURITY.md", "docs/guide/install.md", "charts/chatscale/README.md"])
def test_the_documents_that_users_read_are_checked(wanted: str):
    assert ROOT / wanted in DOCUMENTS
