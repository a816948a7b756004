"""The model's tokenizer: prompts to tokens, tokens to text. Safe to use from several threads.

Works on the `tokenizers` object below transformers' wrapper, whose `__call__` changes shared padding
state and fails when two threads meet in it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from chatscale_server.engine.detokenize import Decoder, WindowDecoder
from chatscale_server.engine.protocol import ChatMessage, PromptError
from chatscale_server.errors import StartupError
from chatscale_server.wire import Env, ExitCode

PLAIN_TEMPLATE: Final = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"
)
"""For models without a chat template, such as GPT-2."""


class Tokenizer:
    """Loaded from a model's folder; `chat_template` replaces the model's own."""

    def __init__(self, folder: Path, chat_template: str | None) -> None:
        from transformers import AutoTokenizer

        try:
            self._wrapper: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
            self._inner: Any = self._wrapper.backend_tokenizer
        except Exception as error:  # a damaged file can raise anything, tokenizers raises bare Exception
            raise StartupError(
                ExitCode.MODEL_UNSUPPORTED, f"model {folder}: its tokenizer cannot be loaded: {error}"
            ) from error
        own = self._wrapper.chat_template
        if isinstance(own, dict):  # several by name, of which the others are for tools
            own = own.get("default")
        self._template = chat_template or own or PLAIN_TEMPLATE
        if chat_template:
            self._check_template(ExitCode.BAD_SETTINGS, str(Env.CHAT_TEMPLATE))
        else:
            self._check_template(ExitCode.MODEL_UNSUPPORTED, f"model {folder}: its chat template")

    @property
    def end_token(self) -> int | None:
        """The tokenizer's own end of sequence; generation settings may name more."""
        token: int | None = self._wrapper.eos_token_id
        return token

    def encode(self, text: str) -> list[int]:
        """A plain prompt, with the special tokens that the model expects around one."""
        return list(self._inner.encode(text, add_special_tokens=True).ids)

    def encode_chat(self, messages: Sequence[ChatMessage]) -> list[int]:
        """A conversation in the model's template, up to the assistant's turn. Raises PromptError."""
        turns = [
            {"role": message.role, "content": message.content} | ({"name": message.name} if message.name else {})
            for message in messages
        ]
        try:
            text = self._render(turns)
        except Exception as error:  # TemplateError where it refuses them, anything where it is not made for them
            raise PromptError(f"the model's chat template refuses them: {error}") from error
        return list(self._inner.encode(text, add_special_tokens=False).ids)

    def _check_template(self, code: ExitCode, what: str) -> None:
        """Raises StartupError for a template that no conversation gets through."""
        from jinja2 import TemplateSyntaxError

        try:
            self._render([{"role": "user", "content": "Hello"}])
        except TemplateSyntaxError as error:
            raise StartupError(code, f"{what} is not Jinja: line {error.lineno}: {error}") from error
        except Exception:  # noqa: BLE001 - it may want other messages than this one
            return

    def _render(self, turns: list[dict[str, str]]) -> str:
        return str(
            self._wrapper.apply_chat_template(
                turns, chat_template=self._template, add_generation_prompt=True, tokenize=False
            )
        )

    def decoder(self) -> Decoder:
        """A fresh incremental decoder; special tokens have no text."""
        return WindowDecoder(lambda tokens: str(self._inner.decode(list(tokens), skip_special_tokens=True)))
