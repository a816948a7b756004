"""The layers of an image as Docker keeps them on disk, read without asking the daemon.

`docker push` compresses every layer on one core: six minutes for torch.  Docker
keeps a layer as the unpacked files and a recipe (tar-split) of the tar that
they came in; put together again they give the very bytes whose digest the
image's configuration names, at the speed of the disk.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK_BYTES = 1 << 20
FILE_ENTRY, SEGMENT_ENTRY = 1, 2
"""Types of a tar-split entry: a file's content, and everything between two of them."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image."""

    digest: str
    """Of the uncompressed tar; also the layer's name in the registry."""
    recipe: Path
    content: Path

    def read(self) -> Iterator[bytes]:
        """Yield the layer's tar in chunks of about CHUNK_BYTES."""
        waiting = bytearray()
        for piece in self._pieces():
            waiting += piece
            if len(waiting) >= CHUNK_BYTES:
                yield bytes(waiting)
                waiting.clear()
        if waiting:
            yield bytes(waiting)

    def _pieces(self) -> Iterator[bytes]:
        with gzip.open(self.recipe, "rt", encoding="utf-8") as entries:
            for line in entries:
                entry = json.loads(line)
                if entry["type"] == SEGMENT_ENTRY:
                    yield base64.b64decode(entry["payload"])
                elif entry.get("size"):
                    yield from self._file(_name_of(entry))

    def _file(self, name: str) -> Iterator[bytes]:
        with (self.content / name).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk


def read_image(docker_root: Path, image_id: str) -> tuple[bytes, list[Layer]]:
    """Return an image's configuration and its layers, the lowest first.

    Raises OSError where Docker keeps its layers in another way.
    """
    store = docker_root / "image" / "overlay2"
    config = (store / "imagedb" / "content" / image_id.replace(":", "/")).read_bytes()
    layers = []
    digests: list[str] = json.loads(config)["rootfs"]["diff_ids"]
    for chain, digest in zip(chain_ids(digests), digests, strict=True):
        entry = store / "layerdb" / chain.replace(":", "/")
        content = docker_root / "overlay2" / (entry / "cache-id").read_text(encoding="ascii") / "diff"
        layers.append(Layer(digest, entry / "tar-split.json.gz", content))
    return config, layers


def chain_ids(digests: list[str]) -> list[str]:
    """Name each layer together with all below it (OCI image specification, "Layer ChainID")."""
    chain: list[str] = []
    for digest in digests:
        both = f"{chain[-1]} {digest}" if chain else None
        chain.append(digest if both is None else f"sha256:{hashlib.sha256(both.encode()).hexdigest()}")
    return chain


def _name_of(entry: dict[str, str]) -> str:
    """Return a file's name; one that is not UTF-8 is kept as bytes."""
    raw = entry.get("name_raw")
    return base64.b64decode(raw).decode("utf-8", "surrogateescape") if raw else entry["name"]
