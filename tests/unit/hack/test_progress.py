"""Steps tell what they do; the first failure stops the others."""

import io
import threading
import time

import pytest

from hack.cluster.errors import CommandFailedError, StepFailedError, StoppedError
from hack.cluster.lanes import Lane
from hack.cluster.progress import Progress


@pytest.fixture
def progress(tmp_path):
    return Progress(tmp_path / "logs")


def test_a_failed_command_shows_its_output_and_names_the_log(progress, capsys):
    with pytest.raises(StepFailedError), progress.step("some step") as commands:
        commands.run("sh", "-c", "echo the reason >&2; exit 3")
    said = capsys.readouterr().out
    assert "ended with 3" in said
    assert "the reason" in said
    assert str(progress.logs / "some-step.log") in said


def test_reads_output_apart_from_errors(progress):
    with progress.step("read") as commands:
        assert commands.read("sh", "-c", "echo out; echo err >&2") == "out\n"
        assert commands.read("cat", stdin=b"given") == "given"
    assert "err" in (progress.logs / "read.log").read_text()
    assert [path.name for path in progress.logs.iterdir()] == ["read.log"]


def test_ends_a_command_and_its_children_at_the_deadline(progress, tmp_path):
    mark = tmp_path / "mark"
    with progress.step("slow") as commands, pytest.raises(CommandFailedError, match="did not end within 0 s"):
        commands.run("sh", "-c", f"sh -c 'sleep 1; touch {mark}' & wait", deadline_s=0.3)
    assert not mark.exists()


def test_says_that_a_program_is_not_installed(progress):
    with progress.step("absent") as commands, pytest.raises(CommandFailedError, match="`no-such-program` is not inst"):
        commands.run("no-such-program")


def test_the_first_failure_stops_what_runs_beside_it(progress, capsys):
    running = threading.Event()

    def build():
        with progress.step("build") as commands:
            running.set()
            commands.run("sleep", "60")

    def fail_beside_it():
        with Lane(progress, "build") as lane:
            lane.start(build)
            running.wait(5)
            with progress.step("other") as commands:
                commands.run("false")

    began = time.monotonic()
    with pytest.raises(StepFailedError, match="other failed"):
        fail_beside_it()
    assert time.monotonic() - began < 10
    said = capsys.readouterr().out
    assert said.count("FAILED") == 1


def test_a_failure_in_the_lane_reaches_who_waits_for_it(progress):
    def build():
        with progress.step("build") as commands:
            commands.run("false")

    with pytest.raises(StepFailedError, match="build failed"), Lane(progress, "build") as lane:
        lane.start(build).result()


def test_nothing_starts_after_a_failure(progress):
    progress.stopping.set()
    with progress.step("late") as commands, pytest.raises(StoppedError):
        commands.run("true")


def test_waits_no_longer_than_told(progress):
    with progress.step("wait") as commands:
        commands.wait_until(lambda: True, "the ready", deadline_s=0)
        with pytest.raises(CommandFailedError, match="waited 0 s for the moon"):
            commands.wait_until(lambda: False, "the moon", deadline_s=0, every_s=0.01)


def test_every_line_says_how_far_an_expected_run_is(progress, capsys):
    progress.say("before")
    progress.expect({"build": 60.0, "rest": 180.0})
    with progress.step("build"):
        pass
    with progress.step("not expected"):
        pass
    progress.say("after")
    before, start, after = capsys.readouterr().out.splitlines()
    assert before == "[00:00] before"
    assert start == "[00:00, 0 % done, about 4 min left] build ..."
    assert after == "[00:00, 25 % done, about 2 min left] after"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_the_running_steps_in_its_last_line(tmp_path):
    progress = Progress(tmp_path / "logs", out=Terminal())
    with progress.heartbeat(), progress.step("build") as commands:
        commands.wait_until(lambda: "build 00:0" in progress.out.getvalue(), "the line", deadline_s=5, every_s=0.05)
    assert "\n" not in progress.out.getvalue()
    assert progress.out.getvalue().endswith("\r\x1b[2K")
