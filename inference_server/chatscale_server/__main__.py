"""`python -m chatscale_server`: settings from the environment, then serve until told to stop."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
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
"""kubelet keeps 4096 bytes; libraries' own messages can be pages."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server; the exit code is 0 or an `ExitCode`."""
    parser = argparse.ArgumentParser(prog="chatscale-server", description=__doc__)
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104 - a pod's own address
    parser.add_argument("--port", type=int, default=HTTP_PORT, help="0 picks a free one")
    parser.add_argument("--termination-message", type=Path, default=Path(TERMINATION_MESSAGE_PATH))
    options = parser.parse_args(arguments)
    set_up_logging("INFO")
    try:
        settings = replace(read_settings(os.environ), termination_message_path=options.termination_message)
        set_up_logging(settings.log_level)
        asyncio.run(serve(build_engine(settings), settings, host=options.host, port=options.port))
    except StartupError as error:
        reason = " ".join(str(error).split())[:MAX_MESSAGE_CHARS]
        log.error("stopped", extra={"exit_code": int(error.code), "reason": reason})  # noqa: TRY400 - not a bug
        _leave_message(options.termination_message, reason)
        return error.code
    return 0


def _leave_message(path: Path, message: str) -> None:
    """Tell kubelet why. Where there is no such file, as outside a pod, the log line must do."""
    try:
        path.write_text(message + "\n")
    except OSError as error:
        log.debug("no termination message", extra={"path": str(path), "error": str(error)})


if __name__ == "__main__":
    exit_code = main()
    logging.shutdown()
    sys.stdout.flush()
    # The engine's thread may still be deep in a load or a step; interpreter shutdown would wait or crash in it.
    os._exit(exit_code)
