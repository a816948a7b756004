"""`python -m chatscale_server`: read the settings from the environment, then serve until SIGTERM.

In a pod the server listens on all addresses and leaves the reason of its end for the kubelet. Elsewhere it listens on
127.0.0.1, and its messages name environment variables instead of fields of a ChatModel.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chatscale_contract.server.endpoints import HTTP_PORT, TERMINATION_MESSAGE_PATH
from chatscale_contract.server.environment import Env
from chatscale_server.engine.factory import build_engine
from chatscale_server.errors import StartupError
from chatscale_server.http.serve import serve
from chatscale_server.logs import set_up_logging
from chatscale_server.settings import describe_variables, read_settings

log = logging.getLogger(__name__)

IN_A_POD: Final = "KUBERNETES_SERVICE_HOST"
"""The kubelet sets this variable in every container."""
LOOPBACK: Final = "127.0.0.1"
ALL_ADDRESSES: Final = "0.0.0.0"  # noqa: S104 - those of the pod
FIELD_VARIABLES: Final = {
    "spec.server.maxConcurrency": Env.MAX_CONCURRENCY,
    "spec.server.maxModelLen": Env.MAX_MODEL_LEN,
    "spec.server.maxQueue": Env.MAX_QUEUE,
    "spec.server.dtype": Env.DTYPE,
}
"""Fields of a ChatModel in messages of the engine, and the variables that the operator sets from them."""
MAX_MESSAGE_CHARS: Final = 1000
"""The kubelet keeps 4096 bytes, and messages of libraries can be longer."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server; the exit code is 0 or an `ExitCode`."""
    in_a_pod = IN_A_POD in os.environ
    options = _parser(in_a_pod=in_a_pod).parse_args(arguments)
    set_up_logging("INFO")
    try:
        settings = read_settings(os.environ)
        set_up_logging(settings.log_level)
        asyncio.run(serve(build_engine(settings), settings, host=options.host, port=options.port))
    except StartupError as error:
        reason = " ".join((str(error) if in_a_pod else _with_variables(str(error))).split())[:MAX_MESSAGE_CHARS]
        log.error("stopped", extra={"exit_code": int(error.code), "reason": reason})  # noqa: TRY400 - not a bug
        if options.termination_message:
            _write_termination_message(options.termination_message, reason)
        return error.code
    return 0


def _parser(*, in_a_pod: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chatscale-server",
        description="Serve one model with the OpenAI API. All settings but these flags are environment variables.",
        epilog=describe_variables(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--host", default=ALL_ADDRESSES if in_a_pod else LOOPBACK,
        help=f"address to listen on; default {LOOPBACK}, in a pod {ALL_ADDRESSES}",
    )  # fmt: skip
    parser.add_argument("--port", type=int, default=HTTP_PORT, help=f"0 selects a free port; default {HTTP_PORT}")
    parser.add_argument(
        "--termination-message", type=Path, default=Path(TERMINATION_MESSAGE_PATH) if in_a_pod else None,
        help=f"file for the reason of an error; default none, in a pod {TERMINATION_MESSAGE_PATH}",
    )  # fmt: skip
    return parser


def _with_variables(message: str) -> str:
    """The message with environment variables instead of the fields of a ChatModel."""
    for name, variable in FIELD_VARIABLES.items():
        message = message.replace(name, variable)
    return message


def _write_termination_message(path: Path, message: str) -> None:
    """Write the reason for the kubelet. If that fails, the log line remains."""
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
