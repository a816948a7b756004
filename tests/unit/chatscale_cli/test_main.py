"""The `chatscale` command: failures are one readable line and an exit code."""

import subprocess
import sys
from pathlib import Path

import pytest

from chatscale import __version__
from chatscale_cli.__main__ import main, plugin_main
from chatscale_contract.sysexits import SysExit

_HEAVY = (
    "kopf",
    "kubernetes",
    "torch",
    "transformers",
    "numpy",
    "numba",
    "matplotlib",
    "aiohttp",
    "rich",
    "prompt_toolkit",
)


def test_tells_its_version(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"{__version__}\n")


def test_a_file_that_is_missing_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["simulate", "--trace", str(tmp_path / "gone.csv")]) == SysExit.BAD_SETTINGS
    assert "gone.csv" in capsys.readouterr().err


def test_help_imports_no_optional_package():
    blocked = "; ".join(f"sys.modules[{name!r}] = None" for name in _HEAVY)
    code = f"import sys; {blocked}; from chatscale_cli.__main__ import main; main(['--help'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "simulate" in done.stdout


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    code = (
        "import sys; sys.modules['numpy'] = None; from chatscale_cli.__main__ import main;"
        " sys.exit(main(['simulate', '--trace', 'x.csv']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == SysExit.UNAVAILABLE
    assert "pip install '.[simulator]'" in done.stderr


def test_key_commands_name_the_package_that_is_missing():
    code = (
        "import sys; sys.modules['kubernetes'] = None; from chatscale_cli.__main__ import main;"
        " sys.exit(main(['key', 'list']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == SysExit.UNAVAILABLE
    assert "pip install '.[keys]'" in done.stderr


def test_key_commands_need_only_the_kubernetes_client(tmp_path: Path):
    blocked = "; ".join(f"sys.modules[{name!r}] = None" for name in _HEAVY if name != "kubernetes")
    arguments = ["key", "list", "--kubeconfig", str(tmp_path / "missing")]
    code = f"import sys; {blocked}; from chatscale_cli.__main__ import main; sys.exit(main({arguments!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == SysExit.UNAVAILABLE
    assert done.stderr.startswith("chatscale: no cluster: ")


def test_the_kubectl_plugin_names_itself_and_has_the_commands_of_a_cluster(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        plugin_main(["--help"])
    assert ended.value.code == 0
    assert "usage: kubectl chatmodel [-h] [--version] {chat,status,key,usage} ..." in capsys.readouterr().out


@pytest.mark.parametrize("command", ["chat", "status"])
def test_chat_commands_name_the_package_that_is_missing(command: str):
    code = (
        "import sys; sys.modules['rich'] = None; from chatscale_cli.__main__ import main;"
        f" sys.exit(main([{command!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == SysExit.UNAVAILABLE
    assert "pip install '.[chat]'" in done.stderr


def test_chat_at_an_address_needs_no_kubernetes_client():
    blocked = "; ".join(f"sys.modules[{name!r}] = None" for name in _HEAVY[:7])
    arguments = ["status", "--url", "http://127.0.0.1:1"]
    code = f"import sys; {blocked}; from chatscale_cli.__main__ import main; sys.exit(main({arguments!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("cannot be reached")) == (SysExit.UNAVAILABLE, 1)
