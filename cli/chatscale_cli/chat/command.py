"""`chatscale chat`: chooses the model, and runs a conversation on a terminal or one answer in a pipe."""

import argparse
import asyncio
import sys
import time
from typing import Final

from rich.console import Console
from rich.text import Text

from chatscale_cli.chat.answer import Answer
from chatscale_cli.chat.conversation import Conversation
from chatscale_cli.chat.generation import Generation
from chatscale_cli.chat.reader import TerminalReader
from chatscale_cli.chat.session import Session, receive
from chatscale_cli.chat.views import PlainView, RichView, View
from chatscale_cli.errors import CommandError, UnknownModelError
from chatscale_cli.gateway.client import GatewayClient
from chatscale_cli.gateway.connection import list_models, open_gateway
from chatscale_cli.output import discard_output, replace_invalid_text
from chatscale_cli.terminal_text import one_line, printable
from chatscale_contract.sysexits import SysExit

_INTERRUPTED: Final = 130
"""As a shell reports a program that SIGINT ended."""
_MAX_CHOICES: Final = 4


def run(options: argparse.Namespace) -> int:
    """Run the conversation. Returns the exit code. Raises CommandError."""
    generation = Generation.from_options(options)
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if not sys.stdin.isatty():
        # Before `--key-file -` reads a line: Python refuses it after that.
        replace_invalid_text(sys.stdin)
    try:
        with asyncio.Runner() as runner, open_gateway(options, runner) as client:
            if on_terminal:
                _converse(options, generation, client, runner)
            else:
                _answer_once(options, generation, client, runner)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        discard_output()
        return SysExit.UNAVAILABLE
    return 0


def _converse(
    options: argparse.Namespace, generation: Generation, client: GatewayClient, runner: asyncio.Runner
) -> None:
    console = Console(highlight=False, markup=False, emoji=False)

    def notice(text: str) -> None:
        console.print(Text(printable(text), style="dim"))

    models = list_models(client, runner)
    reader = TerminalReader(keep_history=not options.no_history)
    model = options.model or _choose(models)
    if model not in models and not runner.run(client.has_model(model)):
        raise UnknownModelError(_unknown(model, models))
    notice(
        f"You talk to the model {one_line(model)}. A machine answers, and it can be wrong. /help lists the commands."
    )
    Session(
        client, runner, reader, RichView(console), notice, generation, model, Conversation(options.system or "")
    ).run()


def _answer_once(
    options: argparse.Namespace, generation: Generation, client: GatewayClient, runner: asyncio.Runner
) -> None:
    """The whole standard input is one message."""
    if sys.stdin.isatty():
        sys.stderr.write("chatscale: type the message, and end it with Ctrl-D\n")
    text = sys.stdin.read().strip()
    if not text:
        raise CommandError("standard input must have a message, found none")
    if options.model is None or client.key is None:
        models = list_models(client, runner)
        model = options.model or _only(models)
    else:
        model = options.model
    view: View = RichView(Console(highlight=False, markup=False, emoji=False))
    if not sys.stdout.isatty():
        replace_invalid_text(sys.stdout)
        view = PlainView(sys.stdout)
    answer = Answer(time.monotonic())
    body = Conversation(options.system or "").with_message(text).request(model, generation.fields())
    view.begin(generation.choices)
    try:
        runner.run(receive(client, body, view, answer, time.monotonic))
    except UnknownModelError as error:
        raise UnknownModelError(_unknown(model, runner.run(client.models()))) from error
    finally:
        view.end(answer)
    if answer.remark:
        sys.stderr.write(f"chatscale: {answer.remark}\n")


def _unknown(model: str, models: list[str]) -> str:
    return f"unknown model {one_line(model)}; the API key opens {_listed(models)}"


def _only(models: list[str]) -> str:
    """Raises CommandError unless there is one model."""
    if len(models) != 1:
        raise CommandError(f"MODEL is required: the API key opens {_listed(models)}")
    return models[0]


def _choose(models: list[str]) -> str:
    """The only model, or the one that the person chooses. Raises CommandError."""
    if len(models) <= 1:
        return _only(models)
    sys.stdout.write("".join(f"{at:>3}  {one_line(name)}\n" for at, name in enumerate(models, 1)))
    for _ in range(_MAX_CHOICES):
        try:
            text = input("number or name of the model: ").strip()
        except EOFError as error:
            raise CommandError("no model was chosen") from error
        if text in models:
            return text
        if text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= len(models):
            return models[int(text) - 1]
    raise CommandError("no model was chosen")


def _listed(models: list[str]) -> str:
    return ", ".join(map(one_line, models)) or "no model"
