import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from chatscale_assistant.errors import SourceError
from chatscale_assistant.evaluation.datasets import PACKAGES, Kind, Package, ensure


def wheel(folder: Path) -> Path:
    path = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny/data.txt", "one\n")
    return path


@pytest.fixture
def package(tmp_path):
    digest = hashlib.sha256(wheel(tmp_path).read_bytes()).hexdigest()
    return Package("tiny", "1.0", Kind.WHEEL, "tiny-1.0-py3-none-any.whl", digest, "MIT", "one line")


def copy_of(source: Path):
    def fetch(package: Package, folder: Path) -> Path:
        target = folder / package.file
        target.write_bytes((source / package.file).read_bytes())
        return target

    return fetch


def test_unpacks_once_and_needs_no_network_afterwards(package, tmp_path):
    folder = ensure(package, tmp_path / "cache", copy_of(tmp_path))

    def offline(_package, _folder):
        raise AssertionError

    assert ensure(package, tmp_path / "cache", offline) == folder
    assert (folder / "tiny/data.txt").read_text() == "one\n"
    assert [each.name for each in (tmp_path / "cache").iterdir()] == [package.folder]


def test_refuses_a_file_with_another_hash_and_leaves_nothing(package, tmp_path):
    other = replace(package, sha256="0" * 64)
    with pytest.raises(SourceError, match=r"data set tiny 1\.0: sha256 is .*, expected 0000"):
        ensure(other, tmp_path / "cache", copy_of(tmp_path))
    assert list((tmp_path / "cache").iterdir()) == []


def test_keeps_the_folder_of_a_process_that_was_faster(package, tmp_path):
    def fetch(each: Package, folder: Path) -> Path:
        ensure(each, tmp_path / "cache", copy_of(tmp_path))
        return copy_of(tmp_path)(each, folder)

    folder = ensure(package, tmp_path / "cache", fetch)
    assert (folder / "tiny/data.txt").exists()
    assert [each.name for each in (tmp_path / "cache").iterdir()] == [package.folder]


@pytest.mark.parametrize("package", PACKAGES.values(), ids=lambda each: each.name)
def test_every_package_is_pinned_by_version_and_hash(package):
    assert package.version in package.file
    assert len(package.sha256) == 64
