"""A layer put together from Docker's store is the tar that its digest names."""

import base64
import gzip
import hashlib
import io
import json
import tarfile

from hack.cluster.layers import CHUNK_BYTES, Layer, chain_ids, read_image


def tar_of(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def split(tar, files, content):
    """Take a tar apart as Docker does: file contents on the disk, the rest as segments."""
    entries, at = [], 0
    for name, data in files.items():
        start = tar.index(data, at) if data else at
        if data:
            entries.append({"type": 2, "payload": base64.b64encode(tar[at:start]).decode()})
        named = {"name": name} if name.isascii() else {"name_raw": base64.b64encode(name.encode()).decode()}
        entries.append({"type": 1, "size": len(data), **named})
        (content / name).parent.mkdir(parents=True, exist_ok=True)
        (content / name).write_bytes(data)
        at = start + len(data)
    entries.append({"type": 2, "payload": base64.b64encode(tar[at:]).decode()})
    return gzip.compress("".join(json.dumps(entry) + "\n" for entry in entries).encode())


def test_puts_a_layer_together_byte_by_byte(tmp_path):
    files = {"etc/a": b"AAAA", "empty": b"", "große": b"\x01" * (2 * CHUNK_BYTES + 5)}
    tar = tar_of(files)
    recipe = tmp_path / "recipe.gz"
    recipe.write_bytes(split(tar, files, tmp_path / "content"))
    chunks = list(Layer("sha256:x", recipe, tmp_path / "content").read())
    assert b"".join(chunks) == tar
    assert len(chunks) == len(tar) // CHUNK_BYTES + 1


def test_names_a_layer_with_all_below_it():
    both = hashlib.sha256(b"sha256:a sha256:b").hexdigest()
    assert chain_ids(["sha256:a", "sha256:b"]) == ["sha256:a", f"sha256:{both}"]
    assert chain_ids([]) == []


def test_finds_an_images_layers_in_dockers_store(tmp_path):
    config = json.dumps({"rootfs": {"diff_ids": ["sha256:d1"]}}).encode()
    store = tmp_path / "image" / "overlay2"
    (store / "imagedb/content/sha256").mkdir(parents=True)
    (store / "imagedb/content/sha256/id").write_bytes(config)
    (store / "layerdb/sha256/d1").mkdir(parents=True)
    (store / "layerdb/sha256/d1/cache-id").write_text("cached")
    recipe = store / "layerdb/sha256/d1/tar-split.json.gz"
    assert read_image(tmp_path, "sha256:id") == (
        config,
        [Layer("sha256:d1", recipe, tmp_path / "overlay2" / "cached" / "diff")],
    )
