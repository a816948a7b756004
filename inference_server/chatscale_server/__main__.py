"""`python -m chatscale_server`: read the settings from the environment, then serve until SIGTERM."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chatscale_contract.server.endpoints import HTTP_PORT, TERMINATION_MESSAGE_PATH
from chatscale_server.engine.factory import build_engine
from chatscale_server.errors import StartupError
from chatscale_server.http.serve import serve
from chatscale_server.logs import set_up_logging
from chatscale_server.settings import read_settings

log = logging.getLogger(__name__)

MAX_MESSAGE_CHARS: Final = 1000
"""The kubelet keeps 4096 bytes, and messages of libraries can be longer."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server; the exit code is 0 or an `ExitCode`."""
    parser = argparse.ArgumentParser(prog="chatscale-server", description=__doc__)
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104 - all addresses of the pod
    parser.add_argument("--port", type=int, default=HTTP_PORT, help="0 selects a free port")
    parser.add_argument("--termination-message", type=Path, default=Path(TERMINATION_MESSAGE_PATH))
    options = parser.parse_args(arguments)
    set_up_logging("INFO")
    try:
        settings = read_settings(os.environ)
        set_up_logging(settings.log_level)
        asyncio.run(serve(build_engine(settings), settings, host=options.host, port=options.port))
    except StartupError as error:
        reason = " ".join(str(error).split())[:MAX_MESSAGE_CHARS]
        log.error("stopped", extra={"exit_code": int(error.code), "reason": reason})  # noqa: TRY400 - not a bug
        _write_termination_message(options.termination_message, reason)
        return error.code
    return 0


def _write_termination_message(path: Path, message: str) -> None:
    """Write the reason for the kubelet. Outside a pod there is no such file, and the log line remains."""
    try:
        path.write_text(message + "\n")
    except OSError as error:
        log.debug("termination message not written", extra={"path": str(path), "error": str(error)})


if __name__ == "__main__":
    exit_code = main()
    logging.shutdown()
    sys.stdout.flush()
    # The engine's thread may still be loading or stepping, and a normal interpreter exit could hang or crash in it.
    os._exit(exit_code)
