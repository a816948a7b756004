"""A mounted folder as a source: what it holds now, read within bounds.

A ConfigMap's mount is a folder of symlinks into `..data`, which the kubelet swaps as a whole. A claim's files change
one by one. Both show in the size, times and inode of the files behind the links.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chatscale_assistant.errors import SourceError
from chatscale_assistant.retrieval.decoding import MAX_FILE_BYTES

MAX_FILES: Final = 5000
MAX_SOURCE_BYTES: Final = 200 * 2**20
"""Of all files of one source."""
ATTEMPTS: Final = 3
"""Reads of a folder that changes while it is read."""

Fingerprint = tuple[tuple[str, int, int, int, int], ...]
"""Of each file: path, size, modification and change time in ns, inode."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a source."""

    path: str
    """Relative to the source's folder."""
    content: bytes


def fingerprint(folder: Path) -> Fingerprint:
    """What a change of any file changes; costs one `stat` a file. Raises SourceError for a folder that is not there."""
    return tuple((relative, *_stat(path)) for relative, path in _files(folder))


def read_folder(source: str, folder: Path) -> tuple[tuple[File, ...], Fingerprint]:
    """The files of one moment, by path. Raises SourceError if there are too many, or they change all the time."""
    for _ in range(ATTEMPTS):
        before = fingerprint(folder)
        _check_sizes(source, before)
        try:
            files = tuple(File(relative, path.read_bytes()) for relative, path in _files(folder))
        except FileNotFoundError:
            continue  # deleted in between
        except OSError as e:
            raise SourceError(f"source {source}: cannot read {e.filename}: {e.strerror}") from e
        if fingerprint(folder) == before:
            return files, before
    raise SourceError(f"source {source}: its files changed during each of {ATTEMPTS} reads")


def digest_files(files: tuple[File, ...]) -> str:
    """Digest of names and content, 64 hexadecimal characters."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{len(file.path.encode())}:{len(file.content)}:{file.path}".encode())
        digest.update(file.content)
    return digest.hexdigest()


def _check_sizes(source: str, seen: Fingerprint) -> None:
    if len(seen) > MAX_FILES:
        raise SourceError(f"source {source}: expected at most {MAX_FILES} files, found {len(seen)}")
    for path, size, *_ in seen:
        if size > MAX_FILE_BYTES:
            raise SourceError(f"source {source}: {path}: expected at most {MAX_FILE_BYTES} bytes, found {size}")
    if (total := sum(size for _, size, *_ in seen)) > MAX_SOURCE_BYTES:
        raise SourceError(f"source {source}: expected at most {MAX_SOURCE_BYTES} bytes in all files, found {total}")


def _files(folder: Path) -> list[tuple[str, Path]]:
    """Regular files below the folder, without hidden ones: `..data` and editors' files are no knowledge."""
    if not folder.is_dir():
        raise SourceError(f"folder {folder}: expected a mounted folder, found none")
    root = folder.resolve()
    found: list[tuple[str, Path]] = []
    for parent, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "lost+found")
        for name in names:
            path = Path(parent, name)
            # A link out of the source could show any file of the pod.
            if not name.startswith(".") and _is_inside(path, root) and path.is_file():
                # A name that is not UTF-8 could not be written to logs and JSON.
                shown = os.fsencode(path.relative_to(root)).decode("utf-8", "replace")
                found.append((shown, path))
        if len(found) > MAX_FILES:
            break
    return sorted(found)


def _is_inside(path: Path, root: Path) -> bool:
    try:
        return not path.is_symlink() or path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # a loop of links
        return False


def _stat(path: Path) -> tuple[int, int, int, int]:
    try:
        seen = path.stat()
    except OSError:
        return (0, 0, 0, 0)  # deleted in between: the next poll sees it
    return seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino
