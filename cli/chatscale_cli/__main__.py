"""The `chatscale` command: parses arguments and calls the program that does the work."""

import argparse
import sys
from collections.abc import Sequence

from chatscale import __version__
from chatscale_cli.commands import COMMANDS, PLUGIN_COMMANDS, Command
from chatscale_cli.errors import CommandError
from chatscale_cli.terminal_text import printable
from chatscale_contract.sysexits import SysExit
from chatscale_simulator.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `chatscale`. Returns the exit code."""
    return _main("chatscale", COMMANDS, arguments)


def plugin_main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `kubectl chatmodel`: kubectl runs the program `kubectl-chatmodel` on PATH."""
    return _main("kubectl chatmodel", PLUGIN_COMMANDS, arguments)


def _main(name: str, commands: Sequence[Command], arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(prog=name, description="Serve a chat LLM on Kubernetes through bursts.")
    parser.add_argument("--version", action="version", version=__version__)
    parsers = parser.add_subparsers(dest="command", required=True)
    for command in commands:
        command.add_options(parsers.add_parser(command.name, help=command.help))
    options = parser.parse_args(arguments)
    return _run(next(command for command in commands if command.name == options.command), options)


def _run(command: Command, options: argparse.Namespace) -> int:
    try:
        program = command.load()
    except ModuleNotFoundError as error:
        needed = f"`{command.name}` needs the package {error.name}: in the repository, pip install '.[{command.extra}]'"
        sys.stderr.write(f"chatscale: {needed}\n")
        return SysExit.UNAVAILABLE
    try:
        return program(options)
    except CommandError as error:
        # It can have text of a server.
        sys.stderr.write(f"chatscale: {printable(str(error))}\n")
        return error.exit_code
    except InputError as error:
        sys.stderr.write(f"chatscale: {error}\n")
        return SysExit.BAD_SETTINGS


if __name__ == "__main__":
    sys.exit(main())
