"""Pushing to the local registry: uncompressed where Docker's layers can be read, with `docker push` elsewhere.

Loopback and the node's bridge are faster than gzip, and the node saves the
unpacking as well.
"""

import hashlib
import http.client
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hack.cluster.commands import Commands
from hack.cluster.errors import BringUpError
from hack.cluster.layers import Layer, read_image
from hack.cluster.registry import PORT, PUSH_HOST

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
TIMEOUT_S = 300.0
"""For one request: the registry may have 5 GB to write out before it answers."""


class PushError(BringUpError):
    """The registry refused: `docker push` may still do it."""


def push_image(commands: Commands, repository: str, tag: str, mount_from: Iterable[str] = ()) -> None:
    """Push an image named PUSH_HOST/repository:tag; layers that `mount_from` has are not sent again."""
    reference = f"{PUSH_HOST}/{repository}:{tag}"
    try:
        root = Path(commands.read("docker", "info", "--format", "{{.DockerRootDir}}").strip())
        image_id = commands.read("docker", "image", "inspect", "--format", "{{.Id}}", reference).strip()
        config, layers = read_image(root, image_id)
        _Push(commands, repository, tuple(mount_from)).push(config, layers, tag)
    except (OSError, http.client.HTTPException, PushError) as error:
        commands.say(f"pushing the slow way, with docker push ({error})")
        commands.run("docker", "push", reference)


@dataclass(frozen=True, slots=True)
class _Push:
    """One image's way into the registry, by its HTTP API (OCI distribution specification)."""

    commands: Commands
    repository: str
    mount_from: tuple[str, ...]

    def push(self, config: bytes, layers: list[Layer], tag: str) -> None:
        described = [self._describe(LAYER, layer.digest, self._ensure_layer(layer)) for layer in layers]
        digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
        if self._size_of(digest) is None:
            self._upload(digest, [config])
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._describe(CONFIG, digest, len(config)),
            "layers": described,
        }
        body = json.dumps(manifest).encode()
        self._request("PUT", f"/v2/{self.repository}/manifests/{tag}", body, {"Content-Type": MANIFEST}, expect=201)

    def _ensure_layer(self, layer: Layer) -> int:
        """Return the layer's size in bytes, sending it if no repository has it."""
        size = self._size_of(layer.digest)
        if size is None and any(self._mount(layer.digest, other) for other in self.mount_from):
            size = self._size_of(layer.digest)
        if size is None:
            size = self._upload(layer.digest, layer.read())
            self.commands.say(f"sent {size / 1e6:.0f} MB")
        return size

    def _mount(self, digest: str, other: str) -> bool:
        """Ask the registry to take a layer over from another repository."""
        if self._size_of(digest, other) is None:
            return False
        path = f"/v2/{self.repository}/blobs/uploads/?mount={digest}&from={other}"
        self._request("POST", path, expect=201)
        return True

    def _upload(self, digest: str, chunks: Iterable[bytes]) -> int:
        """Send bytes; the registry compares them with the digest.  Returns how many."""
        sent = 0

        def counted() -> Iterable[bytes]:
            nonlocal sent
            for chunk in chunks:
                sent += len(chunk)
                yield chunk

        started = self._request("POST", f"/v2/{self.repository}/blobs/uploads/", expect=202)
        headers = {"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked"}
        moved = self._request("PATCH", _path(started["location"]), counted(), headers, expect=202)
        path = _path(moved["location"])
        self._request("PUT", f"{path}{'&' if '?' in path else '?'}digest={digest}", expect=201)
        return sent

    def _size_of(self, digest: str, repository: str = "") -> int | None:
        try:
            found = self._request("HEAD", f"/v2/{repository or self.repository}/blobs/{digest}", expect=200)
        except PushError:
            return None
        return int(found["content-length"])

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
        *,
        expect: int,
    ) -> dict[str, str]:
        """Send one request and return the answer's headers, in lower case."""
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=TIMEOUT_S)
        try:
            chunked = not isinstance(body, bytes | None)
            connection.request(method, path, body, headers or {}, encode_chunked=chunked)
            answer = connection.getresponse()
            text = answer.read(500).decode(errors="replace")
            if answer.status != expect:
                raise PushError(f"{method} {path}: expected {expect}, found {answer.status} {text}")
            return {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()

    @staticmethod
    def _describe(media_type: str, digest: str, size: int) -> dict[str, str | int]:
        return {"mediaType": media_type, "digest": digest, "size": size}


def _path(location: str) -> str:
    """Keep path and query of an upload's address."""
    parts = urlsplit(location)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
