"""A catalogue as chunks: CSV or JSONL, one product or variant a row.

A file with an error is not used at all: half a catalogue would deny products that the shop has.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NoReturn

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind
from chatscale_assistant.domain.evidence import Chunk
from chatscale_assistant.errors import SourceError
from chatscale_assistant.retrieval.chunks import chunk_id
from chatscale_assistant.retrieval.columns import ID_COLUMNS, NAME_COLUMNS, find_column
from chatscale_assistant.retrieval.decoding import decode, is_valid

MAX_ROWS: Final = 500_000
MAX_COLUMNS: Final = 200
MAX_CELL_CHARACTERS: Final = 8000
MAX_NAME_CHARACTERS: Final = 300
_DELIMITERS: Final = ",;\t"
_MAX_DEPTH: Final = 4
_SHOWN: Final = 40
"""Characters of a found value in a message."""

Row = tuple[int, dict[str, str]]
"""Line in the file, from 1, and the cells."""


def read_catalogue(source: str, version: str, file: str, raw: bytes) -> list[Chunk]:
    """The rows of one file. Raises SourceError with source, file, row, column, expectation and found value."""
    suffix = file.rsplit(".", 1)[-1].lower()
    where = f"source {source}: {file}"
    text = decode(source, file, raw)
    if suffix in {"jsonl", "ndjson"}:
        rows = list(_read_jsonl(where, text))
    elif suffix in {"csv", "tsv"}:
        rows = list(_read_csv(where, text))
    else:
        raise SourceError(f"{where}: expected a file named .csv, .tsv, .jsonl or .ndjson")
    if not rows:
        raise SourceError(f"{where}: expected at least one row, found none")
    return _chunks(source, version, where, rows)


def _chunks(source: str, version: str, where: str, rows: list[Row]) -> list[Chunk]:
    columns = list(dict.fromkeys(column for _, row in rows for column in row))
    name = find_column(columns, NAME_COLUMNS)
    if name is None:
        expected = ", ".join(NAME_COLUMNS)
        raise SourceError(f"{where}: expected a column with the product's name ({expected}), found {_shown(columns)}")
    key = find_column(columns, ID_COLUMNS)
    seen: dict[str, Row] = {}
    chunks: dict[str, Chunk] = {}
    for line, row in rows:
        if not (title := " ".join(row.get(name, "").split())):
            raise SourceError(f"{where}: row {line}, column {name!r}: expected the product's name, found an empty cell")
        if len(title) > MAX_NAME_CHARACTERS:
            raise SourceError(
                f"{where}: row {line}, column {name!r}: expected at most {MAX_NAME_CHARACTERS} characters, "
                f"found {len(title)}"
            )
        if key and (value := row.get(key, "")):
            other = seen.setdefault(value, (line, row))
            if other[1] != row:
                raise SourceError(
                    f"{where}: row {line}, column {key!r}: expected a value that no other row has, "
                    f"found {_shown(value)} of row {other[0]} again"
                )
        chunk = row_chunk(source, version, title, row)
        chunks.setdefault(chunk.id, chunk)
    return list(chunks.values())


def row_chunk(source: str, version: str, title: str, row: Mapping[str, str]) -> Chunk:
    """One row as a chunk; its text is `column: value`, one a line, without empty cells."""
    text = "\n".join(f"{column}: {' '.join(value.split())}" for column, value in row.items() if value.strip())
    return Chunk(chunk_id(source, title, text), source, KnowledgeKind.CATALOGUE, title, text, version, dict(row))


def _read_csv(where: str, text: str) -> Iterator[Row]:
    first_line = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        _check_header(where, header)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise SourceError(
                    f"{where}: row {reader.line_num}: expected {len(header)} cells as in the header, found {len(cells)}"
                )
            row = dict(zip(header, cells, strict=True))
            _check_row(where, reader.line_num, row)
            yield reader.line_num, row
    except csv.Error as e:
        raise SourceError(f"{where}: row {reader.line_num}: expected valid CSV, found: {e}") from e


def _check_header(where: str, header: Sequence[str]) -> None:
    if len(header) > MAX_COLUMNS:
        raise SourceError(f"{where}: row 1: expected at most {MAX_COLUMNS} columns, found {len(header)}")
    seen: set[str] = set()
    for number, column in enumerate(header, 1):
        if not column:
            raise SourceError(f"{where}: row 1, column {number}: expected a name, found an empty cell")
        if column in seen:
            raise SourceError(f"{where}: row 1, column {number}: expected distinct names, found {_shown(column)}")
        seen.add(column)


def _check_row(where: str, line: int, row: Mapping[str, str]) -> None:
    if line > MAX_ROWS:
        raise SourceError(f"{where}: expected at most {MAX_ROWS} rows, found more")
    if len(row) > MAX_COLUMNS:
        raise SourceError(f"{where}: row {line}: expected at most {MAX_COLUMNS} columns, found {len(row)}")
    for column, value in row.items():
        if not is_valid(column + value):
            raise SourceError(f"{where}: row {line}, column {column!a:.40}: expected text, found half a character")
        if len(value) > MAX_CELL_CHARACTERS:
            raise SourceError(
                f"{where}: row {line}, column {_shown(column)}: expected at most {MAX_CELL_CHARACTERS} characters, "
                f"found {len(value)}"
            )


def _read_jsonl(where: str, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        row_where = f"{where}: row {number}"

        def no_constant(name: str, place: str = row_where) -> NoReturn:
            raise SourceError(f"{place}: expected JSON, found {name}")

        def distinct(pairs: list[tuple[str, object]], place: str = row_where) -> dict[str, object]:
            found = dict(pairs)
            if len(found) != len(pairs):
                raise SourceError(f"{place}: expected each column once, found one twice")
            return found

        try:
            # Numbers stay as they are written: 19.90 must not become 19.9.
            value = json.loads(
                line, parse_float=str, parse_int=str, parse_constant=no_constant, object_pairs_hook=distinct
            )
        except (ValueError, RecursionError) as e:
            raise SourceError(f"{row_where}: expected a JSON object, found {_shown(line)}: {e}") from e
        if not isinstance(value, dict):
            raise SourceError(f"{row_where}: expected a JSON object, found {_shown(line)}")
        row: dict[str, str] = {}
        _flatten(row_where, value, "", row, 0)
        _check_row(where, number, row)
        yield number, row


def _flatten(where: str, value: object, column: str, row: dict[str, str], depth: int) -> None:
    """Nested objects become columns such as `options.color`; a list of plain values becomes one cell."""
    if depth > _MAX_DEPTH:
        raise SourceError(f"{where}, column {_shown(column)}: expected at most {_MAX_DEPTH} levels, found more")
    if isinstance(value, dict):
        for name, part in value.items():
            _flatten(where, part, f"{column}.{name}" if column else str(name), row, depth + 1)
    elif isinstance(value, list):
        if any(isinstance(part, dict | list) for part in value):
            raise SourceError(f"{where}, column {_shown(column)}: expected a list of plain values, found nested ones")
        row[column] = ", ".join(_plain(part) for part in value)
    else:
        row[column] = _plain(value)


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
