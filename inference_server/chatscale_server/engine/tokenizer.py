"""The model's tokenizer: prompts to tokens, tokens to text. Safe to use from several threads.

Works on the `tokenizers` object below transformers' wrapper, whose `__call__` changes shared padding
state and fails when two threads meet in it.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from chatscale_contract.server.environment import Env
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.engine.detokenize import Decoder, WindowDecoder
from chatscale_server.engine.protocol import ChatMessage, PromptError
from chatscale_server.engine.token_bytes import token_bytes_of
from chatscale_server.errors import StartupError

PLAIN_TEMPLATE: Final = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"
)
"""For models without a chat template, such as GPT-2."""

CALL_MARK: Final = "<tool_call>"
"""Before a call in the form of Hermes and Qwen: a JSON object with name and arguments."""
OTHER_CALLS: Final = ("<function=", "<arg_key>")
"""In templates of models that write something else after the same mark (Qwen3-Coder, GLM)."""


class Tokenizer:
    """Loaded from a model's folder; `chat_template` replaces the model's own."""

    def __init__(self, folder: Path, chat_template: str | None, *, trust_remote_code: bool = False) -> None:
        from transformers import AutoTokenizer

        try:
            self._wrapper: Any = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=trust_remote_code, local_files_only=True
            )
            self._inner: Any = self._wrapper.backend_tokenizer
        except Exception as error:  # a damaged file can raise anything, tokenizers raises bare Exception
            raise StartupError(
                ExitCode.MODEL_UNSUPPORTED, f"model {folder}: its tokenizer cannot be loaded: {error}"
            ) from error
        own = self._wrapper.chat_template
        named = own if isinstance(own, dict) else {"default": own}
        self._template: str = chat_template or named.get("default") or PLAIN_TEMPLATE
        self._tool_template = self._template if chat_template else named.get("tool_use") or self._template
        self.token_bytes = token_bytes_of(self._inner)
        if chat_template:
            self._check_template(ExitCode.BAD_SETTINGS, str(Env.CHAT_TEMPLATE))
        else:
            self._check_template(ExitCode.MODEL_UNSUPPORTED, f"model {folder}: its chat template")

    @property
    def takes_tools(self) -> bool:
        """The chat template has a place for tools, and makes the model write calls in the form that is read."""
        marked = CALL_MARK in self._tool_template and not any(mark in self._tool_template for mark in OTHER_CALLS)
        # Special tokens have no text, so a call between two of them would not be seen.
        hidden = any(token.special and token.content == CALL_MARK for token in self._added_tokens())
        return marked and not hidden and _uses_tools(self._tool_template)

    def _added_tokens(self) -> Collection[Any]:
        found: dict[int, Any] = self._inner.get_added_tokens_decoder()
        return found.values()

    @property
    def backend(self) -> Any:
        """The `tokenizers.Tokenizer`, for those who read its vocabulary."""
        return self._inner

    @property
    def end_token(self) -> int | None:
        """The tokenizer's own end of sequence; generation settings may name more."""
        token: int | None = self._wrapper.eos_token_id
        return token

    def encode(self, text: str) -> list[int]:
        """A plain prompt, with the special tokens that the model expects around one."""
        return list(self._inner.encode(text, add_special_tokens=True).ids)

    def encode_chat(self, messages: Sequence[ChatMessage], tools: Sequence[Mapping[str, Any]] = ()) -> list[int]:
        """A conversation in the model's template, up to the assistant's turn. Raises PromptError."""
        with_tools = bool(tools) or any(message.tool_calls or message.tool_call_id for message in messages)
        template = self._tool_template if with_tools else self._template
        try:
            text = self._render(template, [_turn(message) for message in messages], tools)
        except Exception as error:  # TemplateError where it refuses them, anything where it is not made for them
            raise PromptError(f"the model's chat template refuses them: {error}") from error
        return list(self._inner.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of a whole sequence, special tokens by their names."""
        return str(self._inner.decode(list(tokens), skip_special_tokens=False))

    def _check_template(self, code: ExitCode, what: str) -> None:
        """Raises StartupError for a template that no conversation gets through."""
        from jinja2 import TemplateSyntaxError

        try:
            self._render(self._template, [{"role": "user", "content": "Hello"}], ())
        except TemplateSyntaxError as error:
            raise StartupError(code, f"{what} is not Jinja: line {error.lineno}: {error}") from error
        except Exception:  # noqa: BLE001 - it may want other messages than this one
            return

    def _render(self, template: str, turns: list[dict[str, Any]], tools: Sequence[Mapping[str, Any]]) -> str:
        return str(
            self._wrapper.apply_chat_template(
                turns, tools=list(tools) or None, chat_template=template, add_generation_prompt=True, tokenize=False
            )
        )

    def decoder(self) -> Decoder:
        """A fresh incremental decoder; special tokens have no text."""
        return WindowDecoder(lambda tokens: str(self._inner.decode(list(tokens), skip_special_tokens=True)))


def _turn(message: ChatMessage) -> dict[str, Any]:
    """As templates read it: arguments of calls are objects to them, not JSON text."""
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.name:
        turn["name"] = message.name
    if message.tool_call_id:
        turn["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        turn["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return turn


def _uses_tools(template: str) -> bool:
    """Whether the template reads the variable `tools`."""
    from jinja2 import Environment, TemplateError, meta

    try:
        # Only parsed, never rendered: autoescape has nothing to do.
        tree = Environment(extensions=["jinja2.ext.loopcontrols"]).parse(template)  # noqa: S701
    except TemplateError:  # a tag that only transformers knows
        return re.search(r"\btools\b", template) is not None
    return "tools" in meta.find_undeclared_variables(tree)
