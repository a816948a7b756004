"""A key changes exactly when what it stands for does."""

import io
import tarfile

from hack.cluster.content import build_context, files_below, key_of, key_of_files


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_moving_a_boundary_between_parts_changes_the_key():
    assert key_of("ab", "c") != key_of("a", "bc")
    assert key_of("ab", b"c") == key_of(b"ab", "c")


def test_lists_files_sorted_and_without_caches(tmp_path):
    write(tmp_path, dict.fromkeys(["b", "a/d/e.py", "a/c", "a/m.pyc", "a/__pycache__/x", ".venv/y"], ""))
    assert [str(path.relative_to(tmp_path)) for path in files_below(tmp_path)] == ["a/c", "a/d/e.py", "b"]


def test_key_follows_name_content_mode_and_arguments(tmp_path):
    write(tmp_path, {"a": "1", "b": "2"})
    paths = [tmp_path / "a", tmp_path / "b"]
    key = key_of_files(tmp_path, paths, "ENGINE=x")
    assert key_of_files(tmp_path, reversed(paths), "ENGINE=x") == key
    assert key_of_files(tmp_path, paths, "ENGINE=y") != key
    assert key_of_files(tmp_path, paths[:1], "ENGINE=x") != key
    (tmp_path / "a").chmod(0o640)
    assert key_of_files(tmp_path, paths, "ENGINE=x") == key
    (tmp_path / "a").chmod(0o755)
    assert key_of_files(tmp_path, paths, "ENGINE=x") != key


def test_packs_the_same_bytes_for_the_same_files_and_makes_scripts_executable(tmp_path):
    write(tmp_path, {"script": "#!/bin/sh\n", "plain": "x"})
    files = [("s", tmp_path / "script"), ("p", tmp_path / "plain"), ("t", "text")]
    packed = build_context(files)
    (tmp_path / "plain").touch()
    assert build_context(files) == packed
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert [(entry.name, oct(entry.mode), entry.mtime) for entry in tar] == [
            ("s", "0o755", 0),
            ("p", "0o644", 0),
            ("t", "0o644", 0),
        ]


def test_packs_a_link_to_a_file_beside_it_as_a_link(tmp_path):
    write(tmp_path, {"program": "x"})
    (tmp_path / "name").symlink_to("program")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "program")
    packed = build_context([(name, tmp_path / name) for name in ("program", "name", "elsewhere")])
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert [(entry.name, entry.issym(), entry.linkname) for entry in tar] == [
            ("program", False, ""),
            ("name", True, "program"),
            ("elsewhere", False, ""),
        ]
