"""The sub-commands of `chatscale`. A new one is a row of `COMMANDS`.

Flags are declared without optional packages, so `chatscale --help` works in every installation. The program behind a
sub-command is imported when it runs.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chatscale_assistant.evaluation.options import add_options as add_evaluate_options
from chatscale_cli.chat.options import add_options as add_chat_options
from chatscale_cli.keys.options import add_options as add_key_options
from chatscale_cli.status.options import add_options as add_status_options
from chatscale_cli.usage.options import add_options as add_usage_options
from chatscale_simulator.options import add_options as add_simulate_options

Program = Callable[[argparse.Namespace], int]
"""Takes the parsed flags and returns the exit code. Raises CommandError or InputError."""


@dataclass(frozen=True, slots=True)
class Command:
    """One sub-command."""

    name: str
    help: str
    extra: str
    """Extra of the package `chatscale` that installs what the program imports."""
    add_options: Callable[[argparse.ArgumentParser], None]
    load: Callable[[], Program]
    """Imports the program. Raises ModuleNotFoundError without its packages."""


def _load_simulate() -> Program:
    from chatscale_simulator.command import simulate

    return simulate


def _load_evaluate() -> Program:
    from chatscale_assistant.evaluation.command import evaluate

    return evaluate


def _load_key() -> Program:
    from chatscale_cli.keys.command import run

    return run


def _load_usage() -> Program:
    from chatscale_cli.usage.command import run

    return run


def _load_chat() -> Program:
    from chatscale_cli.chat.command import run

    return run


def _load_status() -> Program:
    from chatscale_cli.status.command import run

    return run


COMMANDS: Final = (
    Command("chat", "talk to a model", "chat", add_chat_options, _load_chat),
    Command("status", "print replicas, load, latency and cost of all models", "chat", add_status_options, _load_status),
    Command(
        "simulate",
        "play traffic against a ChatModel or against policies, without a cluster",
        "simulator",
        add_simulate_options,
        _load_simulate,
    ),
    Command(
        "evaluate",
        "measure the assistant of a shop, and a chat model for it, without a cluster",
        "evaluate",
        add_evaluate_options,
        _load_evaluate,
    ),
    Command("key", "create, rotate, revoke and list API keys of the gateway", "keys", add_key_options, _load_key),
    Command("usage", "print tokens and money by API key and model", "keys", add_usage_options, _load_usage),
)
PLUGIN_COMMANDS: Final = tuple(command for command in COMMANDS if command.name not in {"simulate", "evaluate"})
"""Those of `kubectl chatmodel`: they talk to a cluster."""
