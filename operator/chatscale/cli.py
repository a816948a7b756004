"""The command line: parses arguments, reads the environment, starts a process, turns failures into exit codes."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from typing import Final

from chatscale import __version__
from chatscale.errors import ClusterUnavailableError
from chatscale.handlers.process import run_operator
from chatscale.logs import set_up_logs
from chatscale.settings import LogFormat, Settings, SettingsError
from chatscale.simulate.errors import InputError
from chatscale.simulate.options import add_options

EXIT_BAD_SETTINGS: Final = 64
"""EX_USAGE of sysexits.h, as the inference server does."""
EXIT_UNAVAILABLE: Final = 69
EXIT_BUG: Final = 70

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `chatscale`. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="chatscale", description="Serve a chat LLM on Kubernetes through bursts.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("operator", help="run the operator; it is configured by CHATSCALE_OPERATOR_* variables")
    add_options(
        commands.add_parser("simulate", help="what traffic would cost and customers would wait, without a cluster")
    )
    options = parser.parse_args(arguments)
    if options.command == "simulate":
        return _simulate(options)
    return _operate()


def _simulate(options: argparse.Namespace) -> int:
    try:
        from chatscale.simulate.command import simulate
    except ModuleNotFoundError as error:
        sys.stderr.write(f"chatscale: `simulate` needs the package {error.name}: pip install 'chatscale[simulation]'\n")
        return EXIT_UNAVAILABLE
    try:
        return simulate(options)
    except InputError as error:
        sys.stderr.write(f"chatscale: {error}\n")
        return EXIT_BAD_SETTINGS


def _operate() -> int:
    try:
        settings = Settings.from_env(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"chatscale: {error}\n")
        return EXIT_BAD_SETTINGS
    set_up_logs(settings.log_level, as_json=settings.log_format is LogFormat.JSON)
    return _run(settings)


def _run(settings: Settings) -> int:
    try:
        asyncio.run(run_operator(settings))
    except ClusterUnavailableError as error:
        sys.stderr.write(f"chatscale: {error}\n")
        return EXIT_UNAVAILABLE
    except Exception:
        log.exception("the operator ended")
        return EXIT_BUG
    return 0
