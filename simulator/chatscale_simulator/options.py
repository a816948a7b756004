"""The flags of `chatscale simulate`. Imports no optional package: `chatscale --help` needs them too."""

import argparse
import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from chatscale_contract.money import PRICE_PATTERN
from chatscale_simulator.inputs.events import Event, parse_event

_HOURS: Final = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)")
_DESCRIPTION: Final = """\
Simulate replicas and scaling policies under a trace of requests, in virtual time, and report latencies and cost. A
trace is a CSV file, plain or gzipped, with the columns arrival_s,input_tokens,output_tokens, or a rate recorded from
Prometheus with the columns timestamp,requests_per_second.

With --chatmodel the result is a forecast for your ChatModel. Without it, scaling policies are compared.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    _add_traffic(parser.add_argument_group("traffic"))
    _add_replicas(parser.add_argument_group("replicas and policies"))
    _add_output(parser.add_argument_group("output"))


def _add_traffic(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--trace", nargs="+", type=Path, required=True, metavar="FILE", help="traces to simulate")
    by_factor = "multiply the load by K: superpose K copies, each request moved by up to 15 s"
    add("--load-factor", type=_whole, default=1, metavar="K", help=by_factor)
    part = "simulate only these hours of the trace, e.g. 6-12"
    add("--hours", type=_hours, default=None, metavar="FROM-TO", help=part)
    mean = "mean of a request, for a recorded rate without the column"
    add("--input-tokens", type=_positive, default=None, metavar="MEAN", help=mean)
    add("--output-tokens", type=_positive, default=None, metavar="MEAN", help="the same for an answer")
    add(
        "--event",
        nargs="+",
        type=_event,
        default=[],
        metavar="FROM-TO=N",
        help="announced event: at least N replicas between two hours of the simulated time, e.g. 20-22=12",
    )
    add(
        "--starts-at",
        type=_instant,
        default=None,
        metavar="TIME",
        help="wall clock at the start of the simulated time, for the events of a ChatModel: 2026-11-27T00:00:00+01:00",
    )


def _add_replicas(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--chatmodel", type=Path, metavar="FILE", help="YAML of a ChatModel; its autoscaling, limits and GPUs are used")
    profile = "server profile: M is a 70B model on four H100, S is an 8B model on an A100 (default M)"
    add("--profile", choices=("M", "S"), help=profile)
    cold_start = "median cold start of 30, 80 or 295 s (default cached)"
    add("--cold-start", choices=("fast", "cached", "cold"), default="cached", help=cold_start)
    add("--policy", nargs="+", default=None, metavar="NAME", help="compare these policies (default: all)")
    add(
        "--routing",
        choices=("gateway", "service", "least-loaded"),
        default=None,
        help="gateway: least load, and a queue before the replicas, as the chart installs it; service: a random "
        "replica, and queues in the replicas; least-loaded: the replica with the fewest requests, and queues there "
        "(default gateway for a ChatModel; least-loaded for policies, because most do not read the gateway's queue)",
    )
    add(
        "--track",
        choices=("equal", "native"),
        default=None,
        help="equal: the same 15 s scrapes for all policies; native: each policy's own metrics and interval "
        "(default equal; native for a ChatModel whose source is PodScrape)",
    )


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    seeds = "repeat with N seeds for cold starts, scrapes and superposition"
    add("--seeds", type=_whole, default=1, metavar="N", help=seeds)
    money = "report the cost in money too (default: spec.price.gpuHour of the ChatModel)"
    add("--gpu-price-per-hour", type=_amount, default=None, metavar="X", help=money)
    add("--json", type=Path, default=None, metavar="OUT", help="write every run as one object of a JSON list")
    add("--plot", type=Path, default=None, metavar="OUT", help="draw replicas and load over time (.svg, .png or .pdf)")
    add("--processes", type=_whole, default=None, metavar="N", help="parallel runs (default: one per core)")


def _whole(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, found {text!r}")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, found {text!r}")
    return value


def _amount(text: str) -> Decimal:
    if not re.fullmatch(PRICE_PATTERN, text):
        raise argparse.ArgumentTypeError(f"must be an amount such as 2.49, found {text!r}")
    return Decimal(text)


def _hours(text: str) -> tuple[float, float]:
    match = _HOURS.fullmatch(text)
    if match is None or float(match[1]) >= float(match[2]):
        raise argparse.ArgumentTypeError(f"must be two ascending hours such as 6-12, found {text!r}")
    return float(match[1]), float(match[2])


def _event(text: str) -> Event:
    try:
        return parse_event(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise argparse.ArgumentTypeError(f"must be a time with its zone such as 2026-11-27T20:00:00Z, found {text!r}")
    return found
