"""`python -m chatscale`: read the settings, run the operator, map failures to exit codes."""

import asyncio
import logging
import os
import sys
from collections.abc import Iterator
from typing import Final

from chatscale.errors import ClusterUnavailableError
from chatscale.handlers.process import run_operator
from chatscale.settings import Settings
from chatscale_contract.sysexits import SysExit
from chatscale_process.logs import set_up_logs
from chatscale_process.settings import LogFormat, SettingsError

QUIET: Final = ("kopf", "aiohttp")
"""kopf logs each event that it sees, aiohttp warns about each slow request to a pod that is shutting down."""

log = logging.getLogger(__name__)


def main() -> int:
    """Run until SIGTERM. Returns the exit code."""
    try:
        settings = Settings.from_env(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"chatscale: {error}\n")
        return SysExit.BAD_SETTINGS
    set_up_logs(settings.log_level, as_json=settings.log_format is LogFormat.JSON, quiet=QUIET)
    code = 0
    # A task group raises a group even if a single task failed, so both clauses look into groups.
    try:
        asyncio.run(run_operator(settings))
    except* ClusterUnavailableError as group:
        sys.stderr.writelines(f"chatscale: {error}\n" for error in _errors_in(group))
        code = SysExit.UNAVAILABLE
    except* Exception:
        log.exception("the operator failed")
        code = SysExit.BUG
    return code


def _errors_in(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    """The errors themselves, out of nested groups."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _errors_in(error)
        else:
            yield error


if __name__ == "__main__":
    sys.exit(main())
