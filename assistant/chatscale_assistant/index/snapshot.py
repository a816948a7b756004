"""The SQLite file of one index version: written once beside the old one, renamed as a whole, then only read.

Tables: `chunks`, `cells` (catalogue values, for rows by column), `passages`, `terms` (FTS5 over pre-made terms),
`vectors` (by encoder and passage), `meta`.
"""

import json
import os
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw
import numpy as np
from numpy.typing import NDArray

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind
from chatscale_assistant.domain.evidence import Chunk
from chatscale_assistant.index.content import Content
from chatscale_assistant.retrieval.columns import normal_name
from chatscale_assistant.retrieval.terms import fold, match_any

_LONGEST_CELL: Final = 100
"""Characters of a cell that rows can be found by."""
_SCHEMA: Final = """
    CREATE TABLE chunks (row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, source TEXT NOT NULL, kind TEXT NOT NULL,
        title TEXT NOT NULL, text TEXT NOT NULL, version TEXT NOT NULL, fields TEXT NOT NULL, passage INTEGER NOT NULL);
    CREATE TABLE cells (name TEXT NOT NULL, value TEXT NOT NULL, row INTEGER NOT NULL,
        PRIMARY KEY (name, value, row)) WITHOUT ROWID;
    CREATE TABLE passages (number INTEGER PRIMARY KEY, source TEXT NOT NULL, kind TEXT NOT NULL);
    CREATE VIRTUAL TABLE terms USING fts5 (text, content = '', columnsize = 1,
        tokenize = "unicode61 remove_diacritics 0");
    CREATE TABLE vectors (encoder TEXT NOT NULL, passage INTEGER NOT NULL, vector BLOB NOT NULL,
        PRIMARY KEY (encoder, passage)) WITHOUT ROWID;
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_CHUNK_COLUMNS: Final = "id, source, kind, title, text, version, fields"

Vectors = Mapping[str, Mapping[int, NDArray[np.float32]]]
"""Encoder's name, then number of the passage."""


def write_snapshot(path: Path, version: str, content: Content, vectors: Vectors) -> None:
    """Write the file beside its place and rename it. Blocks for about 1 s for 10,000 chunks."""
    beside = path.with_suffix(".part")
    beside.unlink(missing_ok=True)
    connection = apsw.Connection(str(beside))
    try:
        connection.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").fetchall()
        with connection:
            connection.execute(_SCHEMA).fetchall()
            _write_chunks(connection, content)
            connection.executemany(
                "INSERT INTO vectors VALUES (?, ?, ?)",
                (
                    (encoder, number, np.ascontiguousarray(vector, dtype="<f4").tobytes())
                    for encoder, by_passage in vectors.items()
                    for number, vector in by_passage.items()
                ),
            )
            connection.execute("INSERT INTO meta VALUES ('version', ?)", (version,))
        connection.execute("INSERT INTO terms (terms) VALUES ('optimize')")
    finally:
        connection.close()
    os.replace(beside, path)  # noqa: PTH105 - atomic by contract


def _write_chunks(connection: apsw.Connection, content: Content) -> None:
    passage_of = {row: number for number, passage in enumerate(content.passages) for row in passage.chunks}
    chunks = content.chunks
    connection.executemany(
        "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (row, each.id, each.source, each.kind, each.title, each.text, each.version, _json(each.fields), number)
            for row, each in enumerate(chunks)
            for number in [passage_of[row]]
        ),
    )
    connection.executemany(
        "INSERT OR IGNORE INTO cells VALUES (?, ?, ?)",
        (
            (normal_name(column), fold(value).strip(), row)
            for row, each in enumerate(chunks)
            if each.kind is KnowledgeKind.CATALOGUE
            for column, value in each.fields.items()
            if 0 < len(value) <= _LONGEST_CELL
        ),
    )
    connection.executemany(
        "INSERT INTO passages VALUES (?, ?, ?)",
        ((number, each.source, chunks[each.chunks[0]].kind) for number, each in enumerate(content.passages)),
    )
    connection.executemany(
        "INSERT INTO terms (rowid, text) VALUES (?, ?)",
        ((number, each.terms) for number, each in enumerate(content.passages)),
    )


def _json(fields: Mapping[str, str]) -> str:
    return json.dumps(dict(fields), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Matrix:
    """The vectors of one encoder."""

    passages: NDArray[np.int64]
    """Numbers of the passages, one for each row."""
    vectors: NDArray[np.float32]
    """[rows, dimensions]."""


class Snapshot:
    """An open index file. Use it in one thread at a time; another thread opens the file again.

    The file of a retired snapshot is deleted when its last reader lets go of it.
    """

    def __init__(self, path: Path) -> None:
        """Open the file. Raises apsw.Error if it is damaged."""
        self.path = path
        self._connection = apsw.Connection(f"file:{path}?mode=ro&immutable=1", flags=_READ_ONLY)
        self.version = str(self._one("SELECT value FROM meta WHERE name = 'version'"))
        self.sources = [str(row[0]) for row in self._all("SELECT source FROM passages ORDER BY number")]
        """Of each passage."""
        self._read: dict[int, tuple[Chunk, ...]] = {}
        """Chunks by passage, as they were read before."""
        self.kinds = [KnowledgeKind(row[0]) for row in self._all("SELECT kind FROM passages ORDER BY number")]

    def retire(self) -> None:
        """Delete the file after the last reader."""
        weakref.finalize(self, self.path.unlink, missing_ok=True)

    def lexical(self, terms: Iterable[str], *, limit: int) -> list[tuple[int, float]]:
        """Passages with any of the terms and their BM25 scores (higher is better), best first."""
        if not (expression := match_any(terms)):
            return []
        query = "SELECT rowid, -bm25(terms) FROM terms WHERE terms MATCH ? ORDER BY 2 DESC, 1 LIMIT ?"
        return [(int(row[0]), float(row[1])) for row in self._all(query, (expression, limit))]

    def frequency(self, term: str) -> int:
        """In how many passages the term is."""
        return int(self._one("SELECT count(*) FROM terms WHERE terms MATCH ?", (match_any([term]),)))

    def with_any(self, terms: Sequence[str], passages: Sequence[int]) -> set[int]:
        """Those of the passages that have any of the terms."""
        if not (expression := match_any(terms)):
            return set()
        places = ", ".join("?" * len(passages))
        # `+` makes it one search: without it FTS5 searches again for each passage.
        query = f"SELECT rowid FROM terms WHERE terms MATCH ? AND +rowid IN ({places})"  # noqa: S608 - only places
        return {int(row[0]) for row in self._all(query, (expression, *passages))}

    def matrix(self, encoder: str, dimensions: int) -> Matrix:
        """The vectors of an encoder; passages that are not embedded yet are missing."""
        rows = self._all("SELECT passage, vector FROM vectors WHERE encoder = ? ORDER BY passage", (encoder,))
        vectors = np.frombuffer(b"".join(row[1] for row in rows), dtype="<f4").reshape(len(rows), dimensions)
        return Matrix(np.array([row[0] for row in rows], dtype=np.int64), vectors)

    def chunks_of(self, passage: int) -> Sequence[Chunk]:
        """The chunks of a passage, in the order of the source."""
        if (found := self._read.get(passage)) is None:
            if len(self._read) >= _READ_PASSAGES:
                self._read.clear()
            found = self._read[passage] = tuple(self._chunks("passage = ? ORDER BY row", (passage,)))
        return found

    def chunk(self, chunk_id: str) -> Chunk | None:
        """A chunk by its id."""
        return next(iter(self._chunks("id = ?", (chunk_id,))), None)

    def rows(self, column: str, value: str, source: str | None, limit: int) -> list[Chunk]:
        """Catalogue rows with this value, whatever the case and accents."""
        return self._chunks(
            "row IN (SELECT row FROM cells WHERE name = ? AND value = ?) AND (? IS NULL OR source = ?) "
            "ORDER BY row LIMIT ?",
            (normal_name(column), fold(value).strip(), source, source, limit),
        )

    def siblings(self, chunk_id: str) -> list[Chunk]:
        """The chunks of the same passage, such as all rows of a product."""
        return self._chunks("passage = (SELECT passage FROM chunks WHERE id = ?) ORDER BY row", (chunk_id,))

    def _chunks(self, where: str, values: Sequence[Any]) -> list[Chunk]:
        query = f"SELECT {_CHUNK_COLUMNS} FROM chunks WHERE {where}"  # noqa: S608 - constants of this module
        return [
            Chunk(row[0], row[1], KnowledgeKind(row[2]), row[3], row[4], row[5], json.loads(row[6]))
            for row in self._all(query, values)
        ]

    def _all(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, values).fetchall()

    def _one(self, query: str, values: Sequence[Any] = ()) -> Any:
        return self._connection.execute(query, values).get


_READ_PASSAGES: Final = 2000
"""Passages in memory, about 2 MB. Reading ten of them took a sixth of the time of a search."""
_READ_ONLY: Final = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
