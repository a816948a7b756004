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
from chatscale_server.wire import ExitCode

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
        self._template = chat_template or self._wrapper.chat_template or PLAIN_TEMPLATE

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
        from jinja2 import TemplateError

        turns = [
            {"role": message.role, "content": message.content} | ({"name": message.name} if message.name else {})
            for message in messages
        ]
        try:
            text = self._wrapper.apply_chat_template(
                turns, chat_template=self._template, add_generation_prompt=True, tokenize=False
            )
        except TemplateError as error:
            raise PromptError(f"the model's chat template refuses them: {error}") from error
        return list(self._inner.encode(text, add_special_tokens=False).ids)

    def decoder(self) -> Decoder:
        """A fresh incremental decoder; special tokens have no text."""
        return WindowDecoder(lambda tokens: str(self._inner.decode(list(tokens), skip_special_tokens=True)))
