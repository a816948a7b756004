"""The flags of `chatscale key`. Imports no optional package: `chatscale --help` needs them too."""

import argparse
import re
from datetime import datetime, timedelta
from typing import Final

from chatscale_contract.gateway.key_secret import MAX_LIMIT, MAX_PRIORITY

ACTION: Final = "key_command"
"""Name of the parsed attribute that says which sub-command was given."""
DEFAULT_OVERLAP: Final = "24h"
MAX_DURATION: Final = timedelta(days=36_500)
_DESCRIPTION: Final = """\
API keys of the gateway. A key is a Secret with the label chatscale.dev/api-key=true. The Secret holds the SHA-256 of
the key and its policy, never the key itself. A key opens the ChatModels of the Secret's namespace; a key in the
namespace of the gateway opens the ChatModels of all namespaces. The name of the Secret is public: it is in logs and
metrics.
"""
_CREATE: Final = """\
Create a key and print it once on standard output; everything else is printed on standard error:

  KEY=$(chatscale key create shop --models shop --requests-per-minute 600)
"""
_ROTATE: Final = """\
Replace a key by a new one, and print the new one on standard output. The policy stays. The old key stays valid for the
overlap, so clients can change over without an error. `--overlap 0s` ends the old key at once.
"""
_UNITS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION: Final = re.compile(r"(?:\d{1,9}[dhms]){1,4}")
_PART: Final = re.compile(r"(\d+)([dhms])")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-commands and their flags."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest=ACTION, required=True, metavar="COMMAND")
    _add_create(_add_parser(actions, "create", "create a key and print it", _CREATE))
    _add_rotate(_add_parser(actions, "rotate", "replace a key; the old one stays valid for a while", _ROTATE))
    revoke = _add_parser(actions, "revoke", "delete a key", "Delete a key. Gateways refuse it within 5 seconds.\n")
    _add_name(revoke)
    listing = _add_parser(actions, "list", "list keys with their policies", "List keys. Hashes are not shown.\n")
    listing.add_argument("-A", "--all-namespaces", action="store_true", help="list the keys of all namespaces")
    for each in actions.choices.values():
        _add_cluster(each)


def _add_parser(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, summary: str, description: str
) -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    return actions.add_parser(name, help=summary, description=description, formatter_class=formatter)


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the key's Secret")


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("cluster")
    group.add_argument("-n", "--namespace", metavar="NS", help="namespace (default: that of the kubeconfig's context)")
    group.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig (default: KUBECONFIG, or ~/.kube/config)")
    group.add_argument("--context", metavar="NAME", help="context of the kubeconfig (default: the current one)")


def _add_create(parser: argparse.ArgumentParser) -> None:
    _add_name(parser)
    group = parser.add_argument_group("policy; without a flag there is no limit")
    add = group.add_argument
    models_help = "ChatModels as name or namespace/name (default: all); NAME comes before this flag"
    add("--models", nargs="+", default=[], metavar="MODEL", help=models_help)
    add("--requests-per-minute", type=_limit, metavar="N", help="requests per minute")
    add("--input-tokens-per-minute", type=_limit, metavar="N", help="prompt tokens per minute")
    add("--output-tokens-per-minute", type=_limit, metavar="N", help="tokens of answers per minute")
    add("--max-concurrency", type=_limit, metavar="N", help="requests at a time, held ones included")
    add(
        "--priority",
        type=_priority,
        default=0,
        metavar="P",
        help=f"-{MAX_PRIORITY} to {MAX_PRIORITY}; held requests of a higher priority go first (default 0)",
    )
    add("--expires", type=expiry, metavar="WHEN", help="a duration such as 30d, or a time such as 2026-12-31T23:59:59Z")
    add("--no-wake", action="store_true", help="requests do not start a ChatModel that has 0 replicas")
    add("--live", action="store_true", help="the key may read the live page")


def _add_rotate(parser: argparse.ArgumentParser) -> None:
    _add_name(parser)
    help_text = f"how long the old key stays valid, such as 24h or 90m (default {DEFAULT_OVERLAP})"
    parser.add_argument("--overlap", type=duration, default=DEFAULT_OVERLAP, metavar="TIME", help=help_text)
    parser.add_argument(
        "--force", action="store_true", help="rotate while an earlier rotation overlaps; the oldest key ends at once"
    )


def duration(text: str) -> timedelta:
    """`30d`, `24h`, `90m`, `45s`, or several such as `1d12h`. Raises ArgumentTypeError."""
    if not _DURATION.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be a duration such as 30d, 24h or 90m, found {text!r}")
    total_s = sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if total_s > MAX_DURATION.total_seconds():
        raise argparse.ArgumentTypeError(f"must be at most {MAX_DURATION.days}d, found {text!r}")
    return timedelta(seconds=total_s)


def expiry(text: str) -> timedelta | datetime:
    """A duration from now, or an RFC 3339 time with its zone. Raises ArgumentTypeError."""
    if _DURATION.fullmatch(text):
        return duration(text)
    try:
        found = datetime.fromisoformat(text) if _TIME.fullmatch(text) else None
    except ValueError:
        found = None
    if found is None:
        expected = "a duration such as 30d or a time with its zone such as 2026-12-31T23:59:59Z"
        raise argparse.ArgumentTypeError(f"must be {expected}, found {text!r}")
    return found


def _limit(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,13}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {MAX_LIMIT}, found {text!r}")
    return int(text)


def _priority(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,3}", text) or abs(int(text)) > MAX_PRIORITY:
        raise argparse.ArgumentTypeError(
            f"must be a whole number from -{MAX_PRIORITY} to {MAX_PRIORITY}, found {text!r}"
        )
    return int(text)
