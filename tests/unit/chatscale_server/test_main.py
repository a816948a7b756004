"""The process: readable reasons and the right exit code, and 0 after SIGTERM."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import chatscale_server
from chatscale_contract.server.environment import Env
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.__main__ import FIELD_VARIABLES, IN_A_POD, _parser, _with_variables


def start(tmp_path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "chatscale_server", "--host", "127.0.0.1", "--port", "0",
         "--termination-message", str(tmp_path / "message")],
        env={"PATH": os.environ["PATH"], **environment}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("environment", "code", "message"),
    [
        pytest.param({"CHATSCALE_MAX_QUEUE": "many"}, ExitCode.BAD_SETTINGS,
                     'CHATSCALE_MAX_QUEUE must be a whole number from 0 to 100000, found "many"\n', id="settings"),
        pytest.param({"CHATSCALE_MODEL_URI": "pvc://claim/model"}, ExitCode.MODEL_NOT_FOUND,
                     "model pvc://claim/model: there is no folder /models/claim/model\n", id="model"),
    ],
)  # fmt: skip
def test_leaves_a_reason_and_the_exit_code(tmp_path, environment, code, message):
    defaults = {} if "CHATSCALE_MODEL_URI" in environment else {"CHATSCALE_ENGINE": "Simulated"}
    process = start(tmp_path, **defaults, **environment)
    process.communicate(timeout=60)
    assert (process.returncode, (tmp_path / "message").read_text()) == (code, message)


def test_a_message_names_the_variable_outside_a_pod_and_the_field_inside():
    assert _with_variables("lower spec.server.maxConcurrency or spec.server.maxModelLen") == (
        "lower CHATSCALE_MAX_CONCURRENCY or CHATSCALE_MAX_MODEL_LEN"
    )
    source = "".join(path.read_text() for path in Path(chatscale_server.__file__).parent.rglob("*.py"))
    assert set(re.findall(r"spec\.server\.\w+", source)) - set(FIELD_VARIABLES) == set()


@pytest.mark.parametrize(
    ("environment", "host", "message"),
    [
        pytest.param({}, "127.0.0.1", None, id="standalone"),
        pytest.param({IN_A_POD: "10.0.0.1"}, "0.0.0.0", Path("/dev/termination-log"), id="pod"),
    ],
)
def test_only_in_a_pod_it_listens_on_all_addresses_and_leaves_a_message(environment, host, message):
    options = _parser(in_a_pod=IN_A_POD in environment).parse_args([])
    assert (options.host, options.termination_message) == (host, message)


def test_help_lists_every_variable_with_its_default():
    done = subprocess.run(
        [sys.executable, "-m", "chatscale_server", "--help"], stdout=subprocess.PIPE, text=True, timeout=60, check=True
    )
    assert {name for name in Env if f"  {name}\n" in done.stdout} == set(Env)
    assert "a whole number from 0 to 100000; default 64" in done.stdout
    assert "127.0.0.1" in done.stdout


def test_a_warning_of_a_library_is_a_json_line():
    script = (
        "import warnings; from chatscale_server.logs import set_up_logging; set_up_logging('INFO');"
        "warnings.warn('`past_key_values` is\\nremoved', FutureWarning)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    [line] = done.stdout.splitlines()
    assert (json.loads(line)["level"], done.stderr) == ("WARNING", "")
    assert "past_key_values" in json.loads(line)["event"]


def test_serves_until_sigterm_and_exits_with_0(tmp_path):
    process = start(tmp_path, CHATSCALE_ENGINE="Simulated", CHATSCALE_DRAIN_DELAY_SECONDS="0")
    lines = (json.loads(line) for line in process.stdout)
    port = next(line["port"] for line in lines if line["event"] == "listening")
    assert next(line for line in lines if line["event"] == "ready")["max_model_len"] == 8192
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as response:
        assert response.status == 200
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert (process.returncode, (tmp_path / "message").exists()) == (0, False)


WATCHED = """
import gc, os, signal, threading, time
from chatscale_server.__main__ import main

def watch():
    while not gc.get_freeze_count():
        seen.add(gc.get_threshold())
        time.sleep(0.001)
    while gc.get_threshold() != usual:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGTERM)

usual, seen = gc.get_threshold(), set()
threading.Thread(target=watch, daemon=True).start()
code = main(["--host", "127.0.0.1", "--port", "0"])
print(code, usual in seen, (100_000, *usual[1:]) in seen)
"""


def test_loaded_objects_are_excluded_from_garbage_collection():
    environment = {"PATH": os.environ["PATH"], "CHATSCALE_ENGINE": "Simulated",
                   "CHATSCALE_SIMULATED_STARTUP_SECONDS": "0.2", "CHATSCALE_DRAIN_DELAY_SECONDS": "0"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", WATCHED], env=environment, stdout=subprocess.PIPE, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines()[-1] == "0 True True"
