"""A daemon that was killed does not keep the next one from starting."""

import pytest

from hack.cluster.docker import _remove_if_stale, ends_left_over


@pytest.mark.parametrize(
    ("cmdline", "stays"),
    [
        pytest.param(b"/usr/sbin/dockerd\0--config-file=x\0", True, id="running"),
        pytest.param(b"", False, id="zombie"),
        pytest.param(b"sleep\0100\0", False, id="another-program-has-its-number"),
        pytest.param(None, False, id="gone"),
    ],
)
def test_removes_a_pid_file_unless_its_daemon_runs(tmp_path, cmdline, stays):
    pid_file = tmp_path / "docker.pid"
    pid_file.write_text("77\n")
    if cmdline is not None:
        (tmp_path / "77").mkdir()
        (tmp_path / "77" / "cmdline").write_bytes(cmdline)
    _remove_if_stale(pid_file, proc=tmp_path)
    assert pid_file.exists() == stays


def test_finds_the_network_ends_that_a_killed_daemon_left_on_its_bridges(tmp_path):
    for interface, master in (
        ("veth81393f9", "br-efcf5bc6efbc"),
        ("veth77", "docker0"),
        ("veth99", "virbr0"),
        ("eth0", None),
        ("tap0", "br-efcf5bc6efbc"),
    ):
        (tmp_path / interface).mkdir()
        if master:
            (tmp_path / interface / "master").symlink_to(f"../{master}")
    assert ends_left_over(tmp_path) == ["veth77", "veth81393f9"]
