"""The flags of `chatscale chat`. Imports no optional package: `chatscale --help` needs them too."""

import argparse
import math
import re
from collections.abc import Callable
from typing import Final

from chatscale_cli.gateway.options import add_gateway_options

MAX_TOKENS: Final = 1_048_576
"""This limit and the next ones are those of the inference server."""
MAX_CHOICES: Final = 128
MAX_BEAMS: Final = 64
MAX_TOP_K: Final = 1_000_000
MAX_TEMPERATURE: Final = 2.0
_DESCRIPTION: Final = """\
Talk to a model. On a terminal:

  chatscale chat shop

In a pipe the whole standard input is one message, and only the answer is printed:

  echo "Where is my parcel?" | chatscale chat shop

Enter sends a message; Alt+Enter, or Esc and then Enter, begins a new line. Ctrl-C stops an answer, Ctrl-D ends.
/help lists the commands.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", nargs="?", metavar="MODEL", help="model (default: the only one, or a choice)")
    parser.add_argument("--system", metavar="TEXT", help="system prompt")
    parser.add_argument("--no-history", action="store_true", help="do not keep messages for the next start")
    group = parser.add_argument_group("generation; without a flag the server's default holds")
    add = group.add_argument
    limit = group.add_mutually_exclusive_group().add_argument
    limit("--max-tokens", type=_whole(1, MAX_TOKENS), metavar="N", help="most tokens of an answer")
    limit("--max-length", type=_whole(1, MAX_TOKENS), metavar="N", help="most tokens of conversation and answer")
    add("--num-return-sequences", type=_whole(1, MAX_CHOICES), metavar="N", help="answers to each message; the "
        "conversation goes on with the first")  # fmt: skip
    add("--do-sample", action=argparse.BooleanOptionalAction, help="sample, or take the most likely token")
    add("--temperature", type=_number(0, MAX_TEMPERATURE), metavar="T", help=f"0 to {MAX_TEMPERATURE:g}")
    add("--top-k", type=_whole(0, MAX_TOP_K), metavar="K", help="sample from the K most likely tokens; 0: from all")
    add("--top-p", type=_number(0, 1, above=True), metavar="P", help="sample from the most likely tokens that have "
        "this probability together")  # fmt: skip
    add("--num-beams", type=_whole(1, MAX_BEAMS), metavar="N", help="beam search, if above 1: the answer comes as a "
        "whole, and no other flag for sampling is allowed")  # fmt: skip
    add_gateway_options(parser)


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"must be a whole number from {low} to {high}, found {text!r}")
        return int(text)

    return parse


def _number(low: float, high: float, *, above: bool = False) -> Callable[[str], float]:
    """above: the lower bound itself is not allowed."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high or (above and value == low):
            first = f"above {low:g}" if above else f"from {low:g}"
            raise argparse.ArgumentTypeError(f"must be a number {first} to {high:g}, found {text!r}")
        return value

    return parse
