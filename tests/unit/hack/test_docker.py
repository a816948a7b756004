"""A daemon that was killed does not keep the next one from starting."""

import pytest

from hack.cluster.docker import _remove_if_stale


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
