"""The sub-commands of `chatscale`. A new one is a row of `COMMANDS`.

Flags are declared without optional packages, so `chatscale --help` works in every installation. The program behind a
sub-command is imported when it runs.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chatscale_cli.keys.options import add_options as add_key_options
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


def _load_key() -> Program:
    from chatscale_cli.keys.command import run

    return run


COMMANDS: Final = (
    Command(
        "simulate",
        "play traffic against a ChatModel or against policies, without a cluster",
        "simulator",
        add_simulate_options,
        _load_simulate,
    ),
    Command("key", "create, rotate, revoke and list API keys of the gateway", "keys", add_key_options, _load_key),
)
