"""`python -m chatscale`: read the settings, run the operator, map failures to exit codes."""

import asyncio
import logging
import os
import sys

from chatscale.errors import ClusterUnavailableError
from chatscale.handlers.process import run_operator
from chatscale.logs import set_up_logs
from chatscale.settings import LogFormat, Settings, SettingsError
from chatscale_contract.sysexits import SysExit

log = logging.getLogger(__name__)


def main() -> int:
    """Run until SIGTERM. Returns the exit code."""
    try:
        settings = Settings.from_env(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"chatscale: {error}\n")
        return SysExit.BAD_SETTINGS
    set_up_logs(settings.log_level, as_json=settings.log_format is LogFormat.JSON)
    try:
        asyncio.run(run_operator(settings))
    except ClusterUnavailableError as error:
        sys.stderr.write(f"chatscale: {error}\n")
        return SysExit.UNAVAILABLE
    except Exception:
        log.exception("the operator failed")
        return SysExit.BUG
    return 0


if __name__ == "__main__":
    sys.exit(main())
