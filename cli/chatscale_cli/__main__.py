"""The `chatscale` command: parses arguments and calls the program that does the work.

Each sub-command imports its program when it runs, so `chatscale --help` needs no optional package.
"""

import argparse
import sys
from collections.abc import Sequence

from chatscale import __version__
from chatscale_contract.sysexits import SysExit
from chatscale_simulator.errors import InputError
from chatscale_simulator.options import add_options


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `chatscale`. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="chatscale", description="Serve a chat LLM on Kubernetes through bursts.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    add_options(
        commands.add_parser("simulate", help="play traffic against a ChatModel or against policies, without a cluster")
    )
    return _simulate(parser.parse_args(arguments))


def _simulate(options: argparse.Namespace) -> int:
    try:
        from chatscale_simulator.command import simulate
    except ModuleNotFoundError as error:
        sys.stderr.write(f"chatscale: `simulate` needs the package {error.name}: pip install 'chatscale[simulator]'\n")
        return SysExit.UNAVAILABLE
    try:
        return simulate(options)
    except InputError as error:
        sys.stderr.write(f"chatscale: {error}\n")
        return SysExit.BAD_SETTINGS


if __name__ == "__main__":
    sys.exit(main())
