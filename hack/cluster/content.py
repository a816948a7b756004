"""Names for content: short hashes that change exactly when the inputs do."""

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

KEY_LENGTH = 12
"""Hex digits of a key: 48 bits, far from a collision among a few hundred images."""
IGNORED_NAMES = frozenset({"__pycache__", ".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache"})
EXECUTABLE, PLAIN = 0o755, 0o644


def key_of(*parts: str | bytes) -> str:
    """Hash parts, each with its length, so that moving a boundary changes the key."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(f"{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()[:KEY_LENGTH]


def files_below(path: Path) -> Iterator[Path]:
    """List a file, or the files of a folder, sorted; without caches and bytecode."""
    if path.is_file():
        yield path
        return
    for child in sorted(path.iterdir()):
        if child.name not in IGNORED_NAMES and child.suffix != ".pyc":
            yield from files_below(child)


def key_of_files(root: Path, paths: Iterable[Path], *more: str) -> str:
    """Hash names, executable bits and bytes of files, with their names below `root`."""
    parts: list[str | bytes] = [*more]
    for path in sorted(set(paths)):
        parts += [str(path.relative_to(root)), f"{_mode(path):o}", path.read_bytes()]
    return key_of(*parts)


def build_context(files: Iterable[tuple[str, Path | str]]) -> bytes:
    """Pack a Docker build context: name in the context -> file, or text.

    Owners and times are left out, so that the same files are the same context.
    Scripts are executable even where the checkout or Go's module cache forgot it.
    A symbolic link to a file of the same folder stays one.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, source in files:
            entry = tarfile.TarInfo(name)
            if isinstance(source, Path) and source.is_symlink() and source.readlink().name == str(source.readlink()):
                entry.type, entry.linkname = tarfile.SYMTYPE, str(source.readlink())
                tar.addfile(entry)
                continue
            data = source.encode() if isinstance(source, str) else source.read_bytes()
            entry.size = len(data)
            is_script = data.startswith(b"#!")
            entry.mode = EXECUTABLE if is_script else PLAIN if isinstance(source, str) else _mode(source)
            tar.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def _mode(path: Path) -> int:
    """755 or 644, whatever the checkout's umask was."""
    return EXECUTABLE if path.stat().st_mode & 0o100 else PLAIN
