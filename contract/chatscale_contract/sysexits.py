"""Exit codes of the command line programs, as sysexits.h has them."""

from enum import IntEnum


class SysExit(IntEnum):
    """Why a program ended before its work was done."""

    BAD_SETTINGS = 64
    """EX_USAGE: a flag or an environment variable is invalid."""
    UNAVAILABLE = 69
    """EX_UNAVAILABLE: the API server, or a package that the command needs, is missing."""
    BUG = 70
    """EX_SOFTWARE."""
