"""`chatscale status`: reads the live state from the gateway and writes it."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from chatscale_cli.errors import GatewayError, KeyRefusedError
from chatscale_cli.gateway.client import GatewayClient
from chatscale_cli.gateway.connection import open_gateway
from chatscale_cli.gateway.key import prompted_key
from chatscale_cli.output import discard_output
from chatscale_cli.status.options import INTERVAL_S, Format
from chatscale_cli.status.table import format_snapshot
from chatscale_cli.terminal_text import printable
from chatscale_contract.gateway.live import LiveSnapshot


def run(options: argparse.Namespace) -> int:
    """Write the state. Returns 0. Raises CommandError."""
    try:
        with asyncio.Runner() as runner, open_gateway(options, runner) as client:
            first = _read_first(client, runner)
            if options.watch:
                _watch(options.format, first, lambda: runner.run(client.live()))
            else:
                sys.stdout.write(format_live(first, options.format, indent=2))
                sys.stdout.flush()
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        discard_output()
    return 0


def format_live(snapshot: LiveSnapshot, form: Format, *, indent: int | None = None) -> str:
    """Text that ends with a line end."""
    return format_snapshot(snapshot) if form is Format.TABLE else json.dumps(snapshot.to_json(), indent=indent) + "\n"


def _read_first(client: GatewayClient, runner: asyncio.Runner) -> LiveSnapshot:
    try:
        return runner.run(client.live())
    except KeyRefusedError:
        if client.key is not None:
            raise
    client.key = prompted_key()
    return runner.run(client.live())


def _watch(form: Format, first: LiveSnapshot, read: Callable[[], LiveSnapshot]) -> None:
    """Until Ctrl-C. A failed reading is shown, and the next one follows."""
    if form is Format.TABLE and sys.stdout.isatty():
        _watch_on_screen(first, read)
    else:
        _watch_as_lines(form, first, read, sys.stdout, sys.stderr)


def _watch_on_screen(first: LiveSnapshot, read: Callable[[], LiveSnapshot]) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    text = format_snapshot(first)
    with Live(Text(text, no_wrap=True), console=console, auto_refresh=False, vertical_overflow="crop") as live:
        live.refresh()
        while True:
            time.sleep(INTERVAL_S)
            problem = ""
            try:
                text = format_snapshot(read())
            except GatewayError as error:
                problem = printable(f"\nthe table is old: {error}\n")
            live.update(Text(text + problem, no_wrap=True), refresh=True)


def _watch_as_lines(
    form: Format, first: LiveSnapshot, read: Callable[[], LiveSnapshot], out: TextIO, info: TextIO
) -> None:
    out.write(format_live(first, form))
    while True:
        out.flush()
        time.sleep(INTERVAL_S)
        try:
            out.write(("\n" if form is Format.TABLE else "") + format_live(read(), form))
        except GatewayError as error:
            info.write(printable(f"chatscale: {error}\n"))
