"""`chatscale usage`: opens the log and the prices, and writes the report.

The report goes to standard output. What it lacks goes to standard error.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import yaml

from chatscale_cli.errors import ClusterError, CommandError
from chatscale_cli.output import replace_invalid_text
from chatscale_cli.usage.bill import Report, make_report
from chatscale_cli.usage.formats import format_report
from chatscale_cli.usage.options import STANDARD_INPUT
from chatscale_cli.usage.prices import read_prices
from chatscale_contract.money import Price


def run(options: argparse.Namespace) -> int:
    """Report usage. Returns 0. Raises CommandError."""
    if options.files:
        now = datetime.now(UTC)  # noqa: TID251 - the clock enters here
        lines = chain.from_iterable(map(_read_lines, options.files))
        write_report(options, lines, _prices_in(options.prices), now, sys.stdout, sys.stderr)
        return 0
    try:
        from chatscale_cli.keys.api_server import api_client
        from chatscale_cli.usage.cluster import GatewayLogs
    except ModuleNotFoundError as error:
        needed = f"without FILE `usage` needs the package {error.name}: in the repository, pip install '.[keys]'"
        raise ClusterError(needed) from error

    with api_client(options.kubeconfig, options.context) as (api, _):
        now = datetime.now(UTC)  # noqa: TID251 - after a login program has waited for a person
        logs = GatewayLogs(api, options.namespace)
        prices = {**read_prices(logs.chatmodels()), **_prices_in(options.prices)}
        since = _instant(options.since, now)
        since_s = None if since is None else max(1, round((now - since).total_seconds()))
        write_report(options, logs.lines(since_s), prices, now, sys.stdout, sys.stderr)
    return 0


def write_report(
    options: argparse.Namespace,
    lines: Iterable[str],
    prices: Mapping[str, Price],
    now: datetime,
    out: TextIO,
    info: TextIO,
) -> None:
    """out: the report. info: what it lacks, for people."""
    since, until = _instant(options.since, now), _instant(options.until, now)
    report = make_report(lines, options.by, prices, since, until)
    out.write(format_report(report, options.format))
    info.writelines(f"chatscale: {text}\n" for text in _remarks(report))


def _remarks(report: Report) -> Iterator[str]:
    if report.damaged_lines:
        yield f"damaged lines that are not counted: {report.damaged_lines:,}"
    total = report.total
    if 0 < total.unpriced_requests < total.requests:
        missing = "requests that the cost leaves out, because their models have no token prices in spec.price"
        yield f"{missing}: {total.unpriced_requests:,}"


def _instant(found: datetime | timedelta | None, now: datetime) -> datetime | None:
    """A duration counts back from now."""
    return now - found if isinstance(found, timedelta) else found


def _read_lines(path: Path) -> Iterator[str]:
    if path == STANDARD_INPUT:
        replace_invalid_text(sys.stdin)
        yield from sys.stdin
        return
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError as error:
        raise CommandError(f"{path}: cannot be read, {error.strerror}") from error


def _prices_in(paths: Sequence[Path]) -> dict[str, Price]:
    load: Callable[[str], Iterable[Any]] = yaml.safe_load_all
    found: dict[str, Price] = {}
    for path in paths:
        try:
            found.update(read_prices(load(path.read_text(encoding="utf-8"))))
        except OSError as error:
            raise CommandError(f"{path}: cannot be read, {error.strerror}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise CommandError(f"{path}: must be YAML, {' '.join(str(error).split())}") from error
    return found
