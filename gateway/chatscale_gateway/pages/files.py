"""Reads the pages and their assets from the package.

Pages name their assets as `{{assets}}/chat/main.js`, relative to the page, so that they work under any path prefix.
`{{assets}}` becomes `assets/<version>`, where the version is a hash over all assets: browsers may cache an asset for
ever, and a new gateway has new addresses. The files hold no data, so they need no API key.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

PAGES: Final = {"/": "index.html", "/live": "live.html"}
"""Path of a page, without the path prefix: its file."""
ASSETS_PATH: Final = "/assets"
_PLACEHOLDER: Final = b"{{assets}}"
_VERSION_DIGITS: Final = 16
_CONTENT_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "json": "application/json",
    "NOTICE": "text/plain; charset=utf-8",
}
"""By extension, or by the name of a file without one. Other files are not served."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file as a browser gets it."""

    content: bytes
    content_type: str
    etag: str
    """A strong validator, without the quotes."""


@dataclass(frozen=True, slots=True)
class PageFiles:
    """All files."""

    pages: Mapping[str, PageFile]
    """By path, such as `/live`."""
    assets: Mapping[str, PageFile]
    """By name below the assets folder, such as `chat/main.js`."""
    version: str
    """Changes with every asset."""


def load_page_files() -> PageFiles:
    """Read all files. Raises FileNotFoundError if the package is not complete."""
    root = files("chatscale_gateway.pages") / "files"
    assets = {
        name: _page_file(content, content_type)
        for name, content in sorted(_walk(root / "assets", ""))
        if (content_type := _content_type(name))
    }
    digest = hashlib.sha256()
    for name, asset in assets.items():
        digest.update(f"{name} {asset.etag}\n".encode())
    version = digest.hexdigest()[:_VERSION_DIGITS]
    base = f"{ASSETS_PATH[1:]}/{version}".encode()
    pages = {
        path: _page_file((root / name).read_bytes().replace(_PLACEHOLDER, base), _CONTENT_TYPES["html"])
        for path, name in PAGES.items()
    }
    return PageFiles(pages, assets, version)


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry.read_bytes()


def _content_type(name: str) -> str:
    return _CONTENT_TYPES.get(name.rpartition("/")[2].rpartition(".")[2], "")


def _page_file(content: bytes, content_type: str) -> PageFile:
    return PageFile(content, content_type, hashlib.sha256(content).hexdigest()[:_VERSION_DIGITS])
