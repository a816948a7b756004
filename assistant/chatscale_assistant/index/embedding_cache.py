"""Vectors on disk by encoder and hash of the text, so that only new text is embedded, also after a restart.

It has no text. A damaged file is replaced by an empty one: the vectors are made again.
"""

import contextlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import apsw
import numpy as np
from numpy.typing import NDArray

MAX_VECTORS: Final = 400_000
"""About 700 MB with both encoders; the least recently used ones are dropped beyond."""
_SCHEMA: Final = """
    PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS vectors (encoder TEXT NOT NULL, key BLOB NOT NULL, vector BLOB NOT NULL,
        used INTEGER NOT NULL, PRIMARY KEY (encoder, key)) WITHOUT ROWID;
"""


class EmbeddingCache:
    """May be used by several threads: one that was left alone by a cancelled task may still write during `close`."""

    def __init__(self, path: Path, *, max_vectors: int = MAX_VECTORS) -> None:
        self._max_vectors = max_vectors
        self._lock = threading.Lock()
        try:
            self._connection = _open(path)
        except apsw.Error:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._connection = _open(path)
        self._build = int(self._connection.execute("SELECT coalesce(max(used), 0) + 1 FROM vectors").get)

    def get(self, encoder: str, dimensions: int, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """The vectors that are there, and marks them as used."""
        found: dict[bytes, NDArray[np.float32]] = {}
        with self._lock, self._connection:
            for key in keys:
                query = "UPDATE vectors SET used = ? WHERE encoder = ? AND key = ? RETURNING vector"
                blob = self._connection.execute(query, (self._build, encoder, key)).get
                if isinstance(blob, bytes) and len(blob) == 4 * dimensions:
                    found[key] = np.frombuffer(blob, dtype="<f4")
        return found

    def put(self, encoder: str, vectors: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Keep vectors by key."""
        with self._lock, self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)",
                (
                    (encoder, key, np.ascontiguousarray(vector, dtype="<f4").tobytes(), self._build)
                    for key, vector in vectors.items()
                ),
            )

    def end_build(self) -> None:
        """Drop the least recently used vectors beyond the bound."""
        with self._lock, self._connection:
            count = int(self._connection.execute("SELECT count(*) FROM vectors").get)
            if count > self._max_vectors:
                self._connection.execute(
                    "DELETE FROM vectors WHERE (encoder, key) IN "
                    "(SELECT encoder, key FROM vectors ORDER BY used LIMIT ?)",
                    (count - self._max_vectors,),
                )
            self._build += 1

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def _open(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    try:
        connection.execute(_SCHEMA).fetchall()
    except apsw.Error:
        with contextlib.suppress(apsw.Error):
            connection.close()
        raise
    return connection
