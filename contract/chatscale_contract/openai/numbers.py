"""Numbers of request bodies as lenient runtimes read them. Pure."""

from typing import Final

_LONGEST_TEXT: Final = 32
"""Characters. No count needs more."""


def read_whole_number(value: object) -> int | None:
    """5 for `5`, `5.0` and `"5"`: vLLM and others accept all three. None for anything else.

    A limit that looks only at JSON's whole numbers would miss what such a runtime obeys.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and len(value) <= _LONGEST_TEXT:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) else None
