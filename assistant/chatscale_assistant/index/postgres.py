"""Vectors in a Postgres with pgvector, for more than about 100,000 chunks and for pods that share the embedding work.

Postgres holds hashes of texts and vectors, and no text: chunks stay in each pod's own file, built from the sources
that the pod sees, so a changed text cannot come back from here. Each encoder has its own table, so a switch of the
encoder fills a new table beside the old one. One pod embeds at a time (advisory lock); its death frees the lock.

Without a connection a pod goes on with BM25 and fields, and its sources have the message. It tries again after 5 s.
"""

import asyncio
import hashlib
import re
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from pgvector import Vector
from pgvector.psycopg import register_vector
from psycopg import sql
from typing_extensions import override

from chatscale_assistant.domain.interfaces import Encoder
from chatscale_assistant.errors import SourceError
from chatscale_assistant.index.content import Content
from chatscale_assistant.index.snapshot import Snapshot
from chatscale_assistant.index.snapshot import Vectors as StoredVectors
from chatscale_assistant.index.store import Store
from chatscale_assistant.index.vectors import Vectors

CONNECT_TIMEOUT_S: Final = 3
STATEMENT_TIMEOUT_MS: Final = 2000
"""Of a search. Builds may take longer."""
BUILD_TIMEOUT_MS: Final = 600_000
RETRY_S: Final = 5.0
"""Between two tries to connect, so that searches do not wait for a database that is down."""
UNUSED_DAYS: Final = 7
"""Vectors that no pod's index had for so long are deleted."""
APPROXIMATE_FROM: Final = 50_000
"""Vectors of an encoder from which an HNSW index is built; an exact scan of fewer takes some 20 ms."""
_OVERFETCH: Final = 4
"""Neighbours fetched for each wanted one: some belong to text that is not in this pod's index."""
_EXACT_SOURCE: Final = 5000
"""A source with up to so many passages is searched exactly, by its keys."""
_NEAREST: Final = "SELECT key, -(vector <#> %(question)s) FROM {} ORDER BY vector <#> %(question)s LIMIT %(limit)s"
_NEAREST_OF_KEYS: Final = (
    "SELECT key, -(vector <#> %(question)s) FROM {} WHERE key = ANY(%(keys)s) "
    "ORDER BY vector <#> %(question)s LIMIT %(limit)s"
)
_EXPLORED: Final = "SET LOCAL hnsw.ef_search = 200"
"""An HNSW index returns no more rows than this; the default is 40."""
_UNSAFE: Final = re.compile(r"[^a-z0-9]+")


@dataclass(slots=True)
class _Link:
    """One connection, opened when needed. Transactions of several threads wait for each other."""

    url: str = field(repr=False)
    clock: Callable[[], float]
    _connection: psycopg.Connection[Any] | None = None
    _not_before_s: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def transaction(self, timeout_ms: int) -> Iterator[psycopg.Connection[Any]]:
        """A transaction; errors of the connection become SourceError, and the next call connects anew."""
        with self._lock:
            if self._connection is None and self.clock() < self._not_before_s:
                raise SourceError("store: Postgres cannot be reached: the next try follows in a moment")
            try:
                if self._connection is None:
                    self._connection = _connect(self.url)
                with self._connection.transaction():
                    timeout = sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(timeout_ms))
                    self._connection.execute(timeout)
                    yield self._connection
            except psycopg.Error as e:
                if self._connection is None or self._connection.broken or self._connection.closed:
                    self._drop()
                    self._not_before_s = self.clock() + RETRY_S
                # The driver's message may have the address, which may have the password.
                raise SourceError(f"store: Postgres failed: {type(e).__name__} {e.sqlstate or ''}".rstrip()) from e

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def _connect(url: str) -> psycopg.Connection[Any]:
    connection = psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S, autocommit=True)
    if not _has_extension(connection):  # creating it needs more rights than using it
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    register_vector(connection)
    return connection


def _has_extension(connection: psycopg.Connection[Any]) -> bool:
    return connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'vector'").fetchone() is not None


class PostgresStore(Store):
    """The vectors of one assistant."""

    def __init__(self, url: str, assistant: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`assistant` names the schema, such as namespace and name: two assistants never share vectors."""
        self._schema = f"chatscale_{hashlib.sha256(assistant.encode()).hexdigest()[:16]}"
        self._building = _Link(url, clock)
        self._searching = _Link(url, clock)
        self._locks = _Link(url, clock)
        self._made: set[str] = set()

    @override
    def missing(self, encoder: Encoder, keys: Sequence[bytes]) -> list[bytes]:
        wanted = list(dict.fromkeys(keys))
        query = "UPDATE {} SET used = now() WHERE key = ANY(%s) AND used < now() - interval '1 hour'"
        with self._building.transaction(BUILD_TIMEOUT_MS) as connection:
            table = self._table(connection, encoder)
            connection.execute(sql.SQL(query).format(table), (wanted,))
            found = connection.execute(sql.SQL("SELECT key FROM {} WHERE key = ANY(%s)").format(table), (wanted,))
            there = {bytes(row[0]) for row in found}
        return [key for key in wanted if key not in there]

    @override
    def get(self, encoder: Encoder, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        with self._building.transaction(BUILD_TIMEOUT_MS) as connection:
            query = sql.SQL("SELECT key, vector FROM {} WHERE key = ANY(%s)").format(self._table(connection, encoder))
            return {
                bytes(key): np.asarray(vector.to_numpy() if isinstance(vector, Vector) else vector, dtype=np.float32)
                for key, vector in connection.execute(query, (list(keys),))
            }

    @override
    def put(self, encoder: Encoder, vectors: Mapping[bytes, NDArray[np.float32]]) -> None:
        query = "INSERT INTO {} (key, vector) VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET used = now()"
        with self._building.transaction(BUILD_TIMEOUT_MS) as connection, connection.cursor() as cursor:
            table = self._table(connection, encoder)
            cursor.executemany(sql.SQL(query).format(table), [(key, Vector(each)) for key, each in vectors.items()])

    @override
    def in_snapshot(self, encoders: Sequence[Encoder], content: Content) -> StoredVectors:
        return {}

    @override
    def open(self, snapshot: Snapshot, encoders: Sequence[Encoder], content: Content) -> Vectors:
        missing = {}
        tables = {each.name: sql.Identifier(self._schema, self._name(each)) for each in encoders}
        for encoder in encoders:
            absent = frozenset(self.missing(encoder, content.keys))
            missing[encoder.name] = frozenset(number for number, key in enumerate(content.keys) if key in absent)
        return PostgresVectors(self._searching, tables, content, missing)

    @override
    @asynccontextmanager
    async def embedding(self, encoder: Encoder) -> AsyncIterator[bool]:
        """Holds the advisory lock of this encoder's table while another connection works."""
        number = int.from_bytes(hashlib.sha256(f"{self._schema} {encoder.name}".encode()).digest()[:8], signed=True)
        is_mine = await asyncio.to_thread(self._lock, "SELECT pg_try_advisory_lock(%s)", number)
        try:
            yield is_mine
        finally:
            if is_mine:
                await asyncio.to_thread(self._lock, "SELECT pg_advisory_unlock(%s)", number)

    def _lock(self, query: str, number: int) -> bool:
        with self._locks.transaction(STATEMENT_TIMEOUT_MS) as connection:
            row = connection.execute(query, (number,)).fetchone()
        return row is not None and bool(row[0])

    @override
    def end_build(self) -> None:
        """Delete unused vectors, and index tables that have become large."""
        for name in sorted(self._made):
            table = sql.Identifier(self._schema, name)
            with self._building.transaction(BUILD_TIMEOUT_MS) as connection:
                old = "DELETE FROM {} WHERE used < now() - make_interval(days => %s)"
                connection.execute(sql.SQL(old).format(table), (UNUSED_DAYS,))
                row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone()
                if row is not None and row[0] >= APPROXIMATE_FROM:
                    connection.execute(
                        sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} USING hnsw (vector vector_ip_ops)").format(
                            sql.Identifier(f"{name}_near"), table
                        )
                    )

    @override
    def close(self) -> None:
        for link in (self._building, self._searching, self._locks):
            link.close()

    def _name(self, encoder: Encoder) -> str:
        """Name of the encoder's table: readable, and distinct for each encoder and dimension."""
        digest = hashlib.sha256(f"{encoder.name} {encoder.dimensions}".encode()).hexdigest()[:8]
        return f"{_UNSAFE.sub('_', encoder.name.lower())[:40]}_{digest}"

    def _table(self, connection: psycopg.Connection[Any], encoder: Encoder) -> sql.Identifier:
        name = self._name(encoder)
        table = sql.Identifier(self._schema, name)
        if name not in self._made:
            # Several pods start at once, and IF NOT EXISTS alone fails then.
            connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (self._schema,))
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self._schema)))
            connection.execute(
                sql.SQL(
                    "CREATE TABLE IF NOT EXISTS {} (key bytea PRIMARY KEY, vector vector({}) NOT NULL, "
                    "used timestamptz NOT NULL DEFAULT now())"
                ).format(table, sql.Literal(encoder.dimensions))
            )
            self._made.add(name)
        return table


class PostgresVectors(Vectors):
    """The part of the store that one index version has."""

    def __init__(
        self,
        link: _Link,
        tables: Mapping[str, sql.Identifier],
        content: Content,
        missing: Mapping[str, frozenset[int]],
    ) -> None:
        self._link = link
        self._tables = tables
        self._missing = missing
        self._numbers: dict[bytes, list[int]] = defaultdict(list)
        self._keys_of: dict[str, list[bytes]] = defaultdict(list)
        self._sources = [passage.source for passage in content.passages]
        for number, key in enumerate(content.keys):
            self._numbers[key].append(number)
            self._keys_of[self._sources[number]].append(key)

    @override
    def nearest(self, encoder: str, question: NDArray[np.float32], source: str | None, limit: int) -> dict[int, float]:
        values: dict[str, Any] = {"question": Vector(question), "limit": limit * _OVERFETCH}
        query = _NEAREST
        if source is not None and len(keys := self._keys_of.get(source, [])) <= _EXACT_SOURCE:
            query, values["keys"] = _NEAREST_OF_KEYS, keys
        with self._link.transaction(STATEMENT_TIMEOUT_MS) as connection:
            connection.execute(_EXPLORED)
            rows = connection.execute(sql.SQL(query).format(self._tables[encoder]), values).fetchall()
        found: dict[int, float] = {}
        for key, similarity in rows:
            for number in self._numbers.get(bytes(key), ()):
                if len(found) < limit and (source is None or self._sources[number] == source):
                    found[number] = float(similarity)
        return found

    @override
    def missing(self, encoder: str) -> frozenset[int]:
        return self._missing[encoder]
