"""The model's tokenizer: prompts to tokens, tokens to text. Thread-safe.

Uses the `tokenizers` object inside transformers' wrapper. The wrapper's `__call__` changes shared padding state and
fails if two threads call it at the same time.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from chatscale_contract.server.environment import Env, ReasoningFormat, ToolFormat
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.engine import template_formats
from chatscale_server.engine.control_tokens import ControlTokens, ForgedTokenError, control_tokens_of
from chatscale_server.engine.detokenize import BytesDecoder, Decoder
from chatscale_server.engine.protocol import NO_VARIABLES, ChatMessage, PromptError
from chatscale_server.errors import StartupError

PLAIN_TEMPLATE: Final = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"
)
"""For models without a chat template, such as GPT-2."""
REPLACEMENT: Final = "\ufffd"
"""Tokenizers decode incomplete and invalid bytes to this character."""
MAX_HELD_TOKENS: Final = 8
"""A character has at most four bytes, and a token at least one byte. Longer runs without text are invalid or special
tokens."""
WORD_START: Final = "\u2581"
"""SentencePiece's spelling of a space."""
_PRINTABLE: Final = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
"""Bytes that byte-level vocabularies spell as the character of that number. The others follow from 0x100 on."""
_BYTE_TOKEN: Final = re.compile(r"<0x([0-9A-F]{2})>")


class Tokenizer:
    """Loaded from a model's folder. `chat_template` replaces the model's own; both formats replace what it shows."""

    def __init__(
        self,
        folder: Path,
        chat_template: str | None,
        *,
        trust_remote_code: bool = False,
        tool_format: ToolFormat = ToolFormat.AUTO,
        reasoning_format: ReasoningFormat = ReasoningFormat.AUTO,
    ) -> None:
        from transformers import AutoTokenizer

        try:
            self._wrapper: Any = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=trust_remote_code, local_files_only=True
            )
            self._inner: Any = self._wrapper.backend_tokenizer
        except Exception as error:  # damaged files can raise any error; tokenizers raises plain Exception
            raise StartupError(
                ExitCode.MODEL_UNSUPPORTED, f"model {folder}: the tokenizer cannot be loaded: {error}"
            ) from error
        # Some files cut every text to a length or fill it up. The API rejects what is too long, and never cuts it.
        self._inner.no_truncation()
        self._inner.no_padding()
        own = self._wrapper.chat_template
        named = own if isinstance(own, dict) else {"default": own}
        self._template: str = chat_template or named.get("default") or PLAIN_TEMPLATE
        self._tool_template = self._template if chat_template else named.get("tool_use") or self._template
        if chat_template:
            self._check_template(ExitCode.BAD_SETTINGS, str(Env.CHAT_TEMPLATE))
        else:
            self._check_template(ExitCode.MODEL_UNSUPPORTED, f"model {folder}: the chat template")
        self.tool_format = tool_format
        """How the model writes calls; NONE if it takes no tools."""
        if tool_format is ToolFormat.AUTO:
            self.tool_format = template_formats.tool_format_of(self._tool_template)
        self.reasoning_format = reasoning_format
        """How the model marks its reasoning."""
        if reasoning_format is ReasoningFormat.AUTO:
            self.reasoning_format = template_formats.reasoning_format_of(self._template)
        templates = (self._template, self._tool_template)
        self.template_variables = frozenset().union(*map(template_formats.variables_of, templates))
        """Variables that the chat template reads."""
        self._reasoning_marks = template_formats.REASONING_MARKS.get(self.reasoning_format, ())
        self._control = ControlTokens(self._inner, control_tokens_of(self._inner, templates))
        self.token_bytes = token_bytes_of(self._inner)
        self._special = {number for number, token in self._added_tokens().items() if token.special}
        visible = {*template_formats.MARKS.get(self.tool_format, ()), *self._reasoning_marks}
        self._hidden = self._special - {number for number in self._special if self._spelling(number) in visible}
        self._stripped = stripped_spaces(self._inner)

    def _added_tokens(self) -> Mapping[int, Any]:
        found: dict[int, Any] = self._inner.get_added_tokens_decoder()
        return found

    def _spelling(self, token: int) -> str:
        return str(self._inner.id_to_token(token))

    @property
    def backend(self) -> Any:
        """The `tokenizers.Tokenizer`, for code that reads its vocabulary."""
        return self._inner

    @property
    def end_token(self) -> int | None:
        """The tokenizer's end-of-sequence token. The generation settings may name more."""
        token: int | None = self._wrapper.eos_token_id
        return token

    def encode(self, text: str) -> list[int]:
        """Token ids of a plain prompt, with the special tokens that the model expects around it.

        The names of special tokens in the text become special tokens: a plain prompt has no other way to contain them.
        """
        return list(self._inner.encode(text, add_special_tokens=True).ids)

    def encode_chat(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Mapping[str, Any]] = (),
        variables: Mapping[str, Any] = NO_VARIABLES,
    ) -> list[int]:
        """Token ids of a conversation in the model's template. Raises PromptError.

        variables: further variables of the template, and parameters of `apply_chat_template`.  The names of special
        tokens in any text of the conversation stay text.
        """
        with_tools = bool(tools) or any(message.tool_calls or message.tool_call_id for message in messages)
        template = self._tool_template if with_tools else self._template
        turns, control = [_turn(message) for message in messages], self._control
        harmless = control.is_harmless([list(tools), dict(variables)]) and all(
            control.is_harmless(value, self._kept_marks(turn, key)) for turn in turns for key, value in turn.items()
        )
        try:
            if harmless:
                text = self._render(template, turns, tools, variables)
                return list(self._inner.encode(text, add_special_tokens=False).ids)
            marked = [
                {key: control.marked(value, self._kept_marks(turn, key)) for key, value in turn.items()}
                for turn in turns
            ]
            text = self._render(template, marked, control.marked(list(tools)), control.marked(dict(variables)))
            return control.encode(text)
        except ForgedTokenError as error:
            raise PromptError(str(error)) from error
        except Exception as error:  # TemplateError if it rejects the messages, any error if it does not support them
            raise PromptError(f"the model's chat template rejects the messages: {error}") from error

    def _kept_marks(self, turn: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """Marks that keep their meaning in a field: templates look for the reasoning in earlier answers."""
        thinks = self.reasoning_format is ReasoningFormat.THINK and (turn["role"], key) == ("assistant", "content")
        return self._reasoning_marks if thinks else ()

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of a whole sequence, with the names of special tokens."""
        return str(self._inner.decode(list(tokens), skip_special_tokens=False))

    def _check_template(self, code: ExitCode, what: str) -> None:
        """Raises StartupError if the template has a syntax error."""
        from jinja2 import TemplateSyntaxError

        try:
            self._render(self._template, [{"role": "user", "content": "Hello"}], (), NO_VARIABLES)
        except TemplateSyntaxError as error:
            raise StartupError(code, f"{what} is not valid Jinja: line {error.lineno}: {error}") from error
        except Exception:  # noqa: BLE001 - the template may require other messages
            return

    def _render(
        self,
        template: str,
        turns: list[dict[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        variables: Mapping[str, Any],
    ) -> str:
        parameters = {"add_generation_prompt": True, **variables}
        return str(
            self._wrapper.apply_chat_template(
                turns, tools=list(tools) or None, chat_template=template, tokenize=False, **parameters
            )
        )

    def decoder(self, *, marks: bool = False) -> Decoder:
        """A new incremental decoder. Special tokens have no text.

        marks: those that mark calls and reasoning have their names as text.
        """
        hidden = self._hidden if marks else self._special
        if self._stripped is None:
            return StreamDecoder(self._inner)
        return BytesDecoder(lambda token: b"" if token in hidden else self.token_bytes(token), self._stripped)


class StreamDecoder:
    """Incremental detokenization by `tokenizers.decoders.DecodeStream`, for tokenizers without exact bytes.

    A U+FFFD that the model generates looks like an incomplete character here: at the end of the output it is dropped.
    DecodeStream holds tokens without text for ever and decodes all of them again in each step. It also has no way to
    return what it holds at the end of the output (docs/design/0010). In both cases the held tokens are decoded here.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._context: list[int] = []
        """Tokens of the last text. The text of a token depends on the tokens before it."""
        self._held: list[int] = []
        """Tokens since then."""
        self._stream = self._new_stream()

    def push(self, token: int) -> str:
        """See Decoder."""
        self._held.append(token)
        try:
            text = self._stream.step(self._tokenizer, token)
        except Exception:  # noqa: BLE001 - tokenizers raises plain Exception if earlier text changes with a token
            return self._release_held()
        if text is not None:
            self._context, self._held = self._held, []
            return str(text)
        return self._release_held() if len(self._held) > MAX_HELD_TOKENS else ""

    def flush(self) -> str:
        """See Decoder."""
        return self._held_text().rstrip(REPLACEMENT)

    def _release_held(self) -> str:
        text = self._held_text()
        if text:
            self._context = self._held
        self._held = []
        self._stream = self._new_stream()
        return text

    def _held_text(self) -> str:
        before = self._decode(self._context)
        return self._decode(self._context + self._held)[len(before) :]

    def _decode(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))

    def _new_stream(self) -> Any:
        from tokenizers.decoders import DecodeStream

        return DecodeStream(ids=self._context, skip_special_tokens=True)


def stripped_spaces(tokenizer: Any) -> int | None:
    """Spaces that the decoder removes from the start of a text; None if `token_bytes_of` is not exact for it."""
    steps = _decoder_steps(tokenizer)
    kinds = [step["type"] for step in steps]
    if kinds == ["ByteLevel"]:
        return 0
    if "ByteFallback" not in kinds or not set(kinds) <= {"ByteFallback", "Fuse", "Replace", "Strip"}:
        return None
    if any(step["type"] == "Replace" and step["pattern"] != {"String": WORD_START} for step in steps):
        return None
    return sum(int(step["start"]) for step in steps if step["type"] == "Strip")


def _decoder_steps(tokenizer: Any) -> list[dict[str, Any]]:
    if tokenizer.decoder is None:
        return []
    state: dict[str, Any] = json.loads(tokenizer.decoder.__getstate__())
    steps: list[dict[str, Any]] = state["decoders"] if state["type"] == "Sequence" else [state]
    return steps


def token_bytes_of(tokenizer: Any) -> Callable[[int], bytes]:
    """A function that gives the exact bytes of a token, which `decode` cannot: a token may be part of a character.

    The bytes of a special token are its name. Unknown tokens have no bytes.
    """
    added = {token: str(spelling.content) for token, spelling in tokenizer.get_added_tokens_decoder().items()}
    kinds = {step["type"] for step in _decoder_steps(tokenizer)}
    alphabet = _byte_alphabet()

    def token_bytes(token: int) -> bytes:
        if token in added:
            return added[token].encode()
        spelling = tokenizer.id_to_token(token)
        if spelling is None:
            return b""
        if "ByteLevel" in kinds and all(letter in alphabet for letter in spelling):
            return bytes(alphabet[letter] for letter in spelling)
        if "ByteFallback" in kinds:
            if found := _BYTE_TOKEN.fullmatch(spelling):
                return bytes.fromhex(found[1])
            return str(spelling).replace(WORD_START, " ").encode()
        return str(tokenizer.decode([token])).encode()

    return token_bytes


def _byte_alphabet() -> dict[str, int]:
    others = (byte for byte in range(0x100) if byte not in _PRINTABLE)
    return {chr(byte): byte for byte in _PRINTABLE} | {chr(0x100 + at): byte for at, byte in enumerate(others)}


def _turn(message: ChatMessage) -> dict[str, Any]:
    """A message as templates read it: the arguments of tool calls are objects, not JSON text."""
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.name:
        turn["name"] = message.name
    if message.reasoning:
        turn["reasoning_content"] = message.reasoning
        # The template of GPT-OSS takes either this or the content.
        turn |= {} if message.content else {"thinking": message.reasoning}
    if message.tool_call_id:
        turn["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        turn["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return turn
