"""Exit codes of the command line programs, as in sysexits.h."""

from enum import IntEnum


class SysExit(IntEnum):
    """Why a program ended with an error."""

    BAD_SETTINGS = 64
    """EX_USAGE: a flag or an environment variable is invalid."""
    UNAVAILABLE = 69
    """EX_UNAVAILABLE: the API server, or a package that the command needs, is missing."""
    BUG = 70
    """EX_SOFTWARE."""
