"""The flags of `chatscale status`. Imports no optional package: `chatscale --help` needs them too."""

import argparse
from enum import StrEnum
from typing import Final

from chatscale_cli.gateway.options import add_gateway_options

INTERVAL_S: Final = 2.0
"""Between two readings of `--watch`."""
_DESCRIPTION: Final = """\
Replicas, load, time to first token and cost of the models that the API key opens. The key needs `live: true`:

  chatscale key create me -n chatscale-system --live
"""


class Format(StrEnum):
    """How the state is written."""

    TABLE = "table"
    JSON = "json"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--watch", action="store_true", help=f"read it every {INTERVAL_S:g} s until Ctrl-C; JSON: an object a line"
    )
    parser.add_argument("--format", type=Format, choices=list(Format), default=Format.TABLE, help="default table")
    add_gateway_options(parser)
