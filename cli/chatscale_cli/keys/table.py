"""Lists of keys as text."""

from collections.abc import Iterable
from typing import Final

from chatscale_cli.keys.manifests import KeyRow, format_time
from chatscale_contract.gateway.keys import KeyPolicy

_HEADER: Final = ("NAMESPACE", "NAME", "MODELS", "LIMITS", "PRIORITY", "EXPIRES", "OPTIONS", "STATE")
_NONE: Final = "-"


def format_rows(rows: Iterable[KeyRow]) -> str:
    """One line a key, below a header."""
    lines = [_HEADER, *map(_cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADER))]
    return "".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )


def _cells(row: KeyRow) -> tuple[str, ...]:
    policy = row.policy
    if policy is None:
        return (row.key.namespace, row.key.name, *[_NONE] * 5, row.state)
    return (
        row.key.namespace,
        row.key.name,
        ",".join(sorted(policy.models)) or "all",
        _limits(policy),
        str(policy.priority),
        _NONE if policy.expires is None else format_time(policy.expires),
        _options(policy),
        row.state,
    )


def _limits(policy: KeyPolicy) -> str:
    values = (
        ("requests={}/min", policy.requests_per_minute),
        ("input={}/min", policy.input_tokens_per_minute),
        ("output={}/min", policy.output_tokens_per_minute),
        ("concurrency={}", policy.max_concurrency),
    )
    return ",".join(text.format(value) for text, value in values if value is not None) or _NONE


def _options(policy: KeyPolicy) -> str:
    found = [*([] if policy.wake else ["no-wake"]), *(["live"] if policy.live else [])]
    return ",".join(found) or _NONE
